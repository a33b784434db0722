//! The `kring` command line: parses the words, runs the broker or a small client, and turns every error into one
//! sentence and an exit code. Runs on the main thread; clients run on one shard of their own.

pub mod args;
mod client;
mod consume;
mod json;
mod log;
mod produce;
mod shard;
mod start;
mod topic;
mod tune;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command, ConfigCommand};

/// Parses the process's arguments and does what they say.
pub fn run() -> ExitCode {
    match execute(Cli::parse()) {
        Ok(code) => code,
        Err(sentence) => {
            complain(&sentence);
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: Cli) -> Result<ExitCode, String> {
    let done = match cli.command {
        Command::Log(command) => return Ok(log::run(command)),
        Command::Start(args) => start::run(args),
        Command::Config(ConfigCommand::List) => print(&crate::config::list_text()),
        Command::Tune(command) => return tune::run(command),
        Command::Topic(command) => topic::run(command),
        Command::Produce(args) => produce::run(args),
        Command::Consume(args) => consume::run(args),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Writes to standard output; a reader that has gone away is no error, as in any pipe.
fn print(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// Writes a sentence to standard error, where nobody may be listening either.
fn complain(sentence: &str) {
    let mut err = std::io::stderr().lock();
    let _nobody_listens = writeln!(err, "kring: {sentence}");
}
