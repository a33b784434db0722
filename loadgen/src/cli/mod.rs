//! The command line: which workload, its options, printing, exit code. Everything else is asked of the other modules.
//!
//! | module | job |
//! |---|---|
//! | `command` | the workloads, and their settings out of the options |
//! | `target`, `timing`, `machine`, `output` | options of every workload, in groups |
//! | `producing`, `consuming` | options of producers and of consumers |
//! | `measure` | runs a workload on the shards |

mod command;
mod consuming;
mod machine;
mod measure;
mod output;
mod producing;
mod target;
mod timing;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::rows::Rows;
use crate::text::{head, table};
use command::Command;
use measure::measure;

/// Loads a Kafka broker and measures it from the intended send times.
#[derive(Debug, Parser)]
#[command(name = "kring-loadgen", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Runs the program.
pub fn run() -> ExitCode {
    match execute(Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(sentence) => {
            let _nobody_listens = writeln!(std::io::stderr(), "kring-loadgen: {sentence}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the run was good.
fn execute(cli: Cli) -> Result<bool, String> {
    let (common, settings) = cli.command.into_settings()?;
    let threads = common.machine.threads(settings.clients());
    if !common.output.quiet {
        print(&head(&Rows::new(settings.rows()), threads))?;
    }
    let mut report = measure(&common.machine, settings, threads, common.output.quiet)?;
    common.output.name(&mut report);
    print(&table(&report))?;
    common.output.save(&report)?;
    Ok(report.is_good())
}

/// Writes to standard output; a reader that has gone away is no error, as in any pipe.
fn print(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(()),
    }
}
