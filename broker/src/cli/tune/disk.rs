//! `kring tune disk`: measures on one shard, prints, and writes the settings that the broker reads at its start.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use futures_lite::future::or;
use kring_runtime::{RuntimeConfig, signal};
use kring_tuning::disk::{self, Chosen, Measured, Wish};

use super::json;
use crate::cli::{complain, print};

/// What the command line asks for.
#[derive(Clone)]
pub(super) struct Request {
    pub dir: PathBuf,
    pub wish: Wish,
    pub dry_run: bool,
    pub as_json: bool,
}

type Found = (Measured, Chosen, Option<PathBuf>);

pub(super) fn run(request: Request) -> Result<ExitCode, String> {
    if std::io::stderr().is_terminal() {
        complain(&format!("measuring {} for about {} s", request.dir.display(), request.wish.time.as_secs()));
    }
    let asked = request.clone();
    // As the broker runs its shards: what it will have is measured.
    let shards = kring_runtime::run(&RuntimeConfig::with_shards(1), move |_| unless_stopped(asked.clone()));
    let ended = shards.map_err(|error| error.to_string())?.pop().expect("one shard was asked for");
    let (measured, chosen, path) = ended?;
    print(&if request.as_json {
        json::disk(&measured, &chosen)
    } else {
        text(&measured, &chosen, path.as_deref())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// For the command line: seconds and mebibytes.
pub(super) fn wish(seconds: u64, space_mib: u64) -> Wish {
    Wish { time: Duration::from_secs(seconds), space_bytes: space_mib << 20 }
}

async fn unless_stopped(request: Request) -> Result<Found, String> {
    let dir = request.dir.clone();
    let stopped = async {
        signal::shutdown().await;
        None
    };
    if let Some(ended) = or(async { Some(measured(request).await) }, stopped).await {
        return ended;
    }
    let removed = disk::remove_leftovers(&dir).await;
    removed.map_err(|error| format!("stopped; its files in {} are left: {error}", dir.display()))?;
    Err("stopped; nothing was written".to_owned())
}

async fn measured(request: Request) -> Result<Found, String> {
    let measured = disk::measure(&request.dir, request.wish).await.map_err(|error| error.to_string())?;
    let chosen = disk::choose(&measured);
    if request.dry_run {
        return Ok((measured, chosen, None));
    }
    let written = disk::write_settings(&request.dir, &chosen.settings, &measured).await;
    let path = written.map_err(|error| error.to_string())?;
    Ok((measured, chosen, Some(path)))
}

fn text(measured: &Measured, chosen: &Chosen, path: Option<&Path>) -> String {
    let end = match path {
        Some(path) => format!("\nwritten to {}; the broker reads it at its next start\n", path.display()),
        None => "\nnot written (--dry-run)\n".to_owned(),
    };
    disk::text(measured, chosen) + &end
}
