//! `kring-loadgen report`: results of runs that are over, side by side or added up.

use std::path::{Path, PathBuf};

use clap::Args;
use kring_runtime::process;

use super::output::{Files, print};
use crate::document::Document;
use crate::report::Report;
use crate::text::table;

#[derive(Args, Debug)]
pub struct Reporting {
    /// Results that --json wrote
    #[arg(required = true, value_name = "FILE")]
    results: Vec<PathBuf>,
    /// Add them up: instances that ran together (--start-at)
    #[arg(long)]
    merge: bool,
    /// Head of the page
    #[arg(long, value_name = "TEXT", default_value = "kring-loadgen")]
    title: String,
    #[command(flatten)]
    files: Files,
}

/// Whether all of them were good.
pub fn run(options: &Reporting) -> Result<bool, String> {
    let mut runs = options.results.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    if options.merge {
        runs = vec![merged(runs)?];
    }
    for run in &runs {
        print(&format!("{}\n{}", run.label, table(run)))?;
    }
    options.files.save(&options.title, &runs)?;
    Ok(runs.iter().all(Report::is_good))
}

fn read(path: &Path) -> Result<Report, String> {
    let text = process::read_text(path).map_err(|error| error.to_string());
    let report = text.and_then(|text| Document::parse(&text)).and_then(Document::into_report);
    report.map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn merged(runs: Vec<Report>) -> Result<Report, String> {
    let mut runs = runs.into_iter();
    let mut whole = runs.next().expect("at least one file is required");
    for run in runs {
        whole.merge(&run)?;
    }
    Ok(whole)
}
