//! Options that say where the result goes.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use kring_runtime::fs;

use super::measure::on_one_shard;
use crate::document::Document;
use crate::plot::chart::to_file;
use crate::report::Report;
use crate::sweep::result::Sweep;
use crate::{hgrm, page, plot};

#[derive(Args, Debug)]
#[command(next_help_heading = "Result")]
pub struct Output {
    #[command(flatten)]
    pub files: Files,
    /// Name of the run in reports; what it did unless told
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Print the result only: no settings before, no live line
    #[arg(long, short)]
    pub quiet: bool,
}

/// Files that a result can be written to.
#[derive(Args, Debug)]
pub struct Files {
    /// Write the result here as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a report with plots here, as one HTML file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the plots here
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write the latency distribution here, for HdrHistogram's plotter
    #[arg(long, value_name = "FILE")]
    hgrm: Option<PathBuf>,
}

impl Output {
    pub fn name(&self, report: &mut Report) {
        let told = ["workload", "topic", "rate"].map(|name| report.settings.get(name));
        let own = || told.into_iter().flatten().collect::<Vec<_>>().join(" ");
        report.label = self.label.clone().unwrap_or_else(own);
    }

    pub fn name_sweep(&self, sweep: &mut Sweep) {
        let told = ["workload", "topic"].map(|name| sweep.settings.get(name));
        let own = || format!("sweep of {}", told.into_iter().flatten().collect::<Vec<_>>().join(" "));
        sweep.label = self.label.clone().unwrap_or_else(own);
    }
}

impl Files {
    /// What is known to go wrong after the run goes wrong before it.
    pub fn check(&self) -> Result<(), String> {
        let all = [&self.json, &self.html, &self.svg, &self.hgrm];
        let paths: Vec<&PathBuf> = all.into_iter().flatten().collect();
        for (number, path) in paths.iter().enumerate() {
            if paths[..number].contains(path) && (path.is_file() || !path.exists()) {
                return Err(format!("{} is named twice: one result would replace the other", path.display()));
            }
            let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            if folder.is_some_and(|folder| !folder.is_dir()) {
                return Err(format!("cannot write {}: there is no such directory", path.display()));
            }
        }
        Ok(())
    }

    pub fn save(&self, title: &str, runs: &[Report]) -> Result<(), String> {
        if let Some(path) = &self.json {
            write(path, Document::of(only(runs, "--json")?).to_json())?;
        }
        if let Some(path) = &self.html {
            write(path, page::of_runs(title, runs))?;
        }
        if let Some(path) = &self.svg {
            write(path, to_file(&plot::charts(runs)))?;
        }
        if let Some(path) = &self.hgrm {
            write(path, distribution(only(runs, "--hgrm")?)?)?;
        }
        Ok(())
    }
}

impl Files {
    pub fn save_sweep(&self, sweep: &Sweep) -> Result<(), String> {
        if let Some(path) = &self.json {
            write(path, sweep.to_json())?;
        }
        if let Some(path) = &self.html {
            write(path, sweep.to_page())?;
        }
        if let Some(path) = &self.svg {
            write(path, to_file(&sweep.charts()))?;
        }
        match (&self.hgrm, &sweep.best) {
            (Some(path), Some(best)) => write(path, distribution(best)?),
            (Some(_), None) => Err("there is no distribution: no rate was found".to_owned()),
            (None, _) => Ok(()),
        }
    }
}

fn only<'a>(runs: &'a [Report], option: &str) -> Result<&'a Report, String> {
    match runs {
        [run] => Ok(run),
        runs => Err(format!("{option} holds one result, and these are {}: --merge adds them up", runs.len())),
    }
}

fn distribution(report: &Report) -> Result<String, String> {
    let main = report.stats.latencies.main();
    let (_, latencies) = main.ok_or("there is no distribution: nothing was measured")?;
    Ok(hgrm::distribution(latencies))
}

/// Writes a file, whole or not at all; or to a pipe or a device.
pub fn write(path: &Path, text: String) -> Result<(), String> {
    let path = path.to_owned();
    on_one_shard(move || save(path.clone(), text.clone()))
}

async fn save(path: PathBuf, text: String) -> Result<(), String> {
    let saved = fs::write_out(&path, text.as_bytes()).await;
    saved.map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Writes to standard output; a reader that has gone away is no error, as in any pipe.
pub fn print(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(()),
    }
}
