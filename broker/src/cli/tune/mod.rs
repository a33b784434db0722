//! `kring tune`: looks at the host, sets it up, measures its disk. Runs beside no broker's shard; only `disk` runs one
//! of its own. Changes the host only by `apply`.

mod disk;
mod json;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use kring_runtime::{host, process};
use kring_tuning::{Host, Look, Machine, Report};

use super::args::TuneCommand;
use super::{complain, print};

const ERROR: u8 = 2;
const PARTLY: u8 = 1;

pub(super) fn run(command: TuneCommand) -> Result<ExitCode, String> {
    let done = match command {
        TuneCommand::Check { at, pid, json } => check(&at.data_dir, pid, json),
        TuneCommand::Apply { at, dry_run, undo, only } => apply(&at.data_dir, dry_run, &undo, &only),
        TuneCommand::Disk { dir, seconds, space, dry_run, json } => {
            disk::run(disk::Request { dir, wish: disk::wish(seconds, space), dry_run, as_json: json })
        }
    };
    Ok(done.unwrap_or_else(|sentence| {
        complain(&sentence);
        ExitCode::from(ERROR)
    }))
}

fn check(data_dir: &Path, pid: Option<u32>, as_json: bool) -> Result<ExitCode, String> {
    let process = pid.map_or_else(|| "/proc/self".to_string(), |pid| format!("/proc/{pid}"));
    if host::list(Path::new(&process)).is_err() {
        return Err(format!("there is no process {}", pid.unwrap_or_default()));
    }
    let data_dir = if pid.is_some() { seen_by(&process, data_dir)? } else { data_dir.to_path_buf() };
    let report = look(&data_dir, process);
    print(&if as_json { json::report(&report) } else { kring_tuning::render(&report) })?;
    Ok(ExitCode::from(report.exit_code()))
}

/// A relative directory is relative to where the process runs, which opened it so.
fn seen_by(process: &str, dir: &Path) -> Result<PathBuf, String> {
    if dir.is_absolute() {
        return Ok(dir.to_path_buf());
    }
    let cwd = Machine::this().link(&format!("{process}/cwd"));
    let cwd = cwd.ok_or_else(|| {
        format!("{process}/cwd cannot be read: say where its data is with an absolute --data-dir")
    })?;
    Ok(Path::new(&cwd).join(dir))
}

fn look(data_dir: &Path, process: String) -> Report {
    let machine = Machine::this();
    kring_tuning::check(&Look { host: &machine, process, data_dir: resolved(data_dir) })
}

fn apply(data_dir: &Path, dry_run: bool, undo: &Path, only: &[String]) -> Result<ExitCode, String> {
    let report = look(data_dir, "/proc/self".to_string());
    let plan = kring_tuning::plan(&report, only).map_err(|error| error.to_string())?;
    if dry_run {
        print(&plan.text(undo))?;
        return Ok(ExitCode::SUCCESS);
    }
    if !process::is_root() {
        return Err(
            "only root may set up a host: run it with sudo, or see what it would do with --dry-run".into()
        );
    }
    let applied =
        kring_tuning::apply(&Machine::this(), &plan, &absolute(undo)).map_err(|error| error.to_string())?;
    print(&applied.text(&plan))?;
    Ok(if applied.is_whole() { ExitCode::SUCCESS } else { ExitCode::from(PARTLY) })
}

/// Without links as far as it exists: what is not there yet will be made in what is.
fn resolved(dir: &Path) -> String {
    let dir = absolute(dir);
    let found = dir.ancestors().find_map(|above| Some((above, host::canonical(above).ok()?)));
    let path = match found {
        Some((above, real)) => real.join(dir.strip_prefix(above).unwrap_or(Path::new(""))),
        None => dir,
    };
    path.to_string_lossy().trim_end_matches('/').to_string() + if path == Path::new("/") { "/" } else { "" }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}
