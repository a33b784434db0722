//! The command line: which workload, its options, printing, exit code. Everything else is asked of the other modules.
//!
//! | module | job |
//! |---|---|
//! | `command` | the workloads, and their settings out of the options |
//! | `target`, `timing`, `machine`, `output` | options of every workload, in groups |
//! | `producing`, `consuming`, `grouping`, `connecting` | options of producers, consumers, members and connections |
//! | `measure` | runs a workload on the shards |
//! | `report` | results of runs that are over |
//! | `sweep` | one run after another, to find a rate |

mod command;
mod connecting;
mod consuming;
mod grouping;
mod machine;
mod measure;
mod output;
mod producing;
mod report;
mod sweep;
mod target;
mod timing;

use std::io::Write;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use kring_runtime::signal;

use crate::rows::Rows;
use crate::text::{head, table};
use command::Command;
use measure::measure;
use output::print;
use report::Reporting;
use sweep::Sweeping;

/// Loads a Kafka broker and measures it from the intended send times.
#[derive(Debug, Parser)]
#[command(name = "kring-loadgen", version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    #[command(flatten)]
    Load(Command),
    /// Show results that --json wrote: side by side, or added up
    Report(Reporting),
    /// Find the highest rate at which a latency target holds
    Sweep(Sweeping),
}

/// Runs the program.
pub fn run() -> ExitCode {
    let outcome = execute(Cli::parse());
    if let Err(sentence) = &outcome {
        let _nobody_listens = writeln!(std::io::stderr(), "kring-loadgen: {sentence}");
    }
    match (signal::received(), outcome) {
        // As a shell shows a program that the signal ended.
        (Some(signal), _) => ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX)),
        (None, Ok(true)) => ExitCode::SUCCESS,
        (None, Ok(false) | Err(_)) => ExitCode::FAILURE,
    }
}

/// Whether the run was good.
fn execute(cli: Cli) -> Result<bool, String> {
    match cli.task {
        Task::Load(command) => load(command),
        Task::Report(options) => report::run(&options),
        Task::Sweep(options) => sweep::run(options),
    }
}

/// The command line is wrong in a way that shows in the whole of it only.
fn refuse(sentence: String) -> ! {
    Cli::command().error(ErrorKind::ValueValidation, sentence).exit()
}

fn load(command: Command) -> Result<bool, String> {
    let (common, settings) = command.into_settings().unwrap_or_else(|sentence| refuse(sentence));
    common.output.files.check().unwrap_or_else(|sentence| refuse(sentence));
    common.machine.check().unwrap_or_else(|sentence| refuse(sentence));
    let threads = common.machine.threads(settings.clients());
    if !common.output.quiet {
        print(&head(&Rows::new(settings.rows()), threads))?;
    }
    let mut report = measure(&common.machine, settings, threads, common.output.quiet)?;
    common.output.name(&mut report);
    print(&table(&report))?;
    let good = report.is_good();
    common.output.files.save(&report.label.clone(), &[report])?;
    Ok(good)
}
