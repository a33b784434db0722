//! `kring-loadgen report`: results of runs that are over, side by side or added up.

use std::path::{Path, PathBuf};

use clap::Args;
use kring_runtime::process;

use super::output::{Files, print};
use crate::document::Document;
use crate::report::Report;
use crate::sweep::stored;
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
    let texts = options.results.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    match texts.iter().position(|text| stored::is_sweep(text)) {
        None => show_runs(options, &texts),
        Some(_) if texts.len() == 1 => show_sweep(options, &texts[0]),
        Some(at) => Err(format!(
            "{} is a sweep, which is many runs: it is shown alone",
            options.results[at].display()
        )),
    }
}

/// Whether a rate was found.
fn show_sweep(options: &Reporting, text: &str) -> Result<bool, String> {
    let sweep = stored::parse(text).map_err(|error| unreadable(&options.results[0], &error))?;
    print(&sweep.table())?;
    options.files.save_sweep(&sweep)?;
    Ok(sweep.found().is_some())
}

fn show_runs(options: &Reporting, texts: &[String]) -> Result<bool, String> {
    let named = options.results.iter().zip(texts);
    let mut runs = named.map(|(path, text)| parse(path, text)).collect::<Result<Vec<_>, _>>()?;
    if options.merge {
        check_once(&options.results, texts)?;
        runs = vec![merged(runs)?];
    }
    for run in &runs {
        print(&format!("{}\n{}", run.label, table(run)))?;
    }
    options.files.save(&options.title, &runs)?;
    Ok(runs.iter().all(Report::is_good))
}

fn read(path: &Path) -> Result<String, String> {
    process::read_text(path).map_err(|error| unreadable(path, &error.to_string()))
}

fn parse(path: &Path, text: &str) -> Result<Report, String> {
    let report = Document::parse(text).and_then(Document::into_report);
    report.map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &str) -> String {
    format!("cannot read {}: {error}", path.display())
}

/// No two runs have one text, so that a file that is named twice, or a copy of it, is found.
fn check_once(paths: &[PathBuf], texts: &[String]) -> Result<(), String> {
    let again = |at: &usize| texts[..*at].contains(&texts[*at]);
    let Some(at) = (1..texts.len()).find(again) else { return Ok(()) };
    let first = texts.iter().position(|text| *text == texts[at]).unwrap_or(at);
    let (one, two) = (paths[first].display(), paths[at].display());
    Err(format!("{one} and {two} are the same result: it would be counted twice"))
}

fn merged(runs: Vec<Report>) -> Result<Report, String> {
    let mut runs = runs.into_iter();
    let mut whole = runs.next().expect("at least one file is required");
    for run in runs {
        whole.merge(&run)?;
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_added_once() {
        let check = |texts: &[&str]| {
            let paths: Vec<_> = (0..texts.len()).map(|n| PathBuf::from(format!("{n}.json"))).collect();
            check_once(&paths, &texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(check(&["a", "b", "c"]), Ok(()));
        let error = check(&["a", "b", "c", "b"]).unwrap_err();
        assert_eq!(error, "1.json and 3.json are the same result: it would be counted twice");
    }
}
