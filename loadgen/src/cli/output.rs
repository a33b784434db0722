//! Options that say where the result goes.

use std::path::PathBuf;

use clap::Args;
use kring_runtime::fs;

use super::measure::on_one_shard;
use crate::report::Report;

#[derive(Args, Debug)]
pub struct Output {
    /// Write the result here as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Output {
    pub fn save(&self, report: &Report) -> Result<(), String> {
        let Some(path) = self.json.clone() else { return Ok(()) };
        let json = format!("{}\n", report.to_json());
        on_one_shard(move || save(path.clone(), json.clone()))
    }
}

async fn save(path: PathBuf, text: String) -> Result<(), String> {
    let saved = fs::write_atomic(&path, text.as_bytes()).await;
    saved.map_err(|error| format!("cannot write {}: {error}", path.display()))
}
