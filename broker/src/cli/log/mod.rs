//! `kring log`: verify, repair and dump, on directories that no broker holds.
//! Never changes anything but by `repair --yes`. Exit codes: 0 sound, 1 damaged, 2 an error.

mod decode;
mod dump;
mod out;
mod repair;
mod verify;

use std::process::ExitCode;

use kring_storage::LogError;

use super::args::LogCommand;
use super::client::ClientError;
use super::{complain, shard};
use decode::Decoder;
use out::Out;

const DAMAGED: u8 = 1;
const ERROR: u8 = 2;

type Result<T> = std::result::Result<T, ClientError>;

/// What a command found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Sound,
    Damaged,
}

pub(super) fn run(command: LogCommand) -> ExitCode {
    let ended = shard::run(move || {
        let command = command.clone();
        async move {
            let mut out = Out::default();
            let ended = execute(&command, &mut out).await;
            // What was found before an error is worth reading.
            out.flush().await?;
            ended
        }
    });
    match ended {
        Ok(State::Sound) => ExitCode::SUCCESS,
        Ok(State::Damaged) => ExitCode::from(DAMAGED),
        Err(sentence) => {
            complain(&sentence);
            ExitCode::from(ERROR)
        }
    }
}

async fn execute(command: &LogCommand, out: &mut Out) -> Result<State> {
    match command {
        LogCommand::Verify { dirs } => verify::run(dirs, out).await,
        LogCommand::Repair { dirs, yes } => repair::run(dirs, *yes, out).await,
        LogCommand::Dump { paths, records, offsets_decoder, cluster_metadata_decoder, format } => {
            let decoder = match (offsets_decoder, cluster_metadata_decoder) {
                (true, _) => Some(Decoder::Offsets),
                (_, true) => Some(Decoder::ClusterMetadata),
                (false, false) => None,
            };
            let records = *records || decoder.is_some();
            dump::run(paths, dump::Wish { records, format: *format, decoder }, out).await
        }
    }
}

fn failed(error: LogError) -> ClientError {
    ClientError::Plain(match error {
        LogError::Locked { .. } => format!("{error}: stop that broker first"),
        error => error.to_string(),
    })
}
