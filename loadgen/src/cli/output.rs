//! Options that say where the result goes.

use std::path::{Path, PathBuf};

use clap::Args;
use kring_runtime::fs;

use super::measure::on_one_shard;
use crate::document::Document;
use crate::hgrm;
use crate::report::Report;

#[derive(Args, Debug)]
pub struct Output {
    /// Write the result here as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the latency distribution here, for HdrHistogram's plotter
    #[arg(long, value_name = "FILE")]
    hgrm: Option<PathBuf>,
    /// Name of the run in reports; what it did unless told
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Print the result only: no settings before, no live line
    #[arg(long, short)]
    pub quiet: bool,
}

impl Output {
    pub fn name(&self, report: &mut Report) {
        let told = ["workload", "topic", "rate"].map(|name| report.settings.get(name));
        let own = || told.into_iter().flatten().collect::<Vec<_>>().join(" ");
        report.label = self.label.clone().unwrap_or_else(own);
    }

    pub fn save(&self, report: &Report) -> Result<(), String> {
        if let Some(path) = &self.json {
            write(path, Document::of(report).to_json())?;
        }
        if let Some(path) = &self.hgrm {
            write(path, distribution(report)?)?;
        }
        Ok(())
    }
}

fn distribution(report: &Report) -> Result<String, String> {
    let main = report.stats.latencies.main();
    let (_, latencies) = main.ok_or("there is no distribution: nothing was measured")?;
    Ok(hgrm::distribution(latencies))
}

/// Writes a file, whole or not at all.
pub fn write(path: &Path, text: String) -> Result<(), String> {
    let path = path.to_owned();
    on_one_shard(move || save(path.clone(), text.clone()))
}

async fn save(path: PathBuf, text: String) -> Result<(), String> {
    let saved = fs::write_atomic(&path, text.as_bytes()).await;
    saved.map_err(|error| format!("cannot write {}: {error}", path.display()))
}
