//! `kring log verify`: everything that is damaged, a line each, and a sum. Changes nothing.

use std::path::{Path, PathBuf};

use kring_storage::LogError;
use kring_storage::inspect::{Inspection, PartitionReport};

use super::out::Out;
use super::{Result, State, failed};

#[derive(Default)]
struct Sum {
    partitions: usize,
    segments: usize,
    batches: u64,
    records: u64,
    bytes: u64,
    damaged: usize,
    /// Damaged files that belong to no partition.
    checkpoints: usize,
}

pub(super) async fn run(dirs: &[PathBuf], out: &mut Out) -> Result<State> {
    let mut sum = Sum::default();
    for dir in dirs {
        let inspection = Inspection::open(dir).await.map_err(failed)?;
        for finding in &inspection.findings {
            sum.checkpoints += 1;
            out.line(&format!("damaged: {finding}")).await?;
        }
        for remark in &inspection.remarks {
            out.line(&format!("note: {remark}")).await?;
        }
        for partition in inspection.partitions() {
            if out.is_over() {
                return Ok(State::Sound);
            }
            sum.partition(&inspection, partition, out).await?;
        }
    }
    out.line(&sum.line()).await?;
    Ok(if sum.damaged + sum.checkpoints == 0 { State::Sound } else { State::Damaged })
}

impl Sum {
    async fn partition(&mut self, inspection: &Inspection, path: &Path, out: &mut Out) -> Result<()> {
        self.partitions += 1;
        match inspection.verify(path).await {
            Ok(report) => self.add(&report, out).await,
            // What cannot be read is damaged as well.
            Err(error @ (LogError::Io { .. } | LogError::Corrupt { .. })) => {
                self.damaged += 1;
                out.line(&format!("damaged: {error}")).await
            }
            Err(error) => Err(failed(error)),
        }
    }

    async fn add(&mut self, report: &PartitionReport, out: &mut Out) -> Result<()> {
        self.segments += report.segments;
        self.batches += report.batches;
        self.records += report.records;
        self.bytes += report.bytes;
        self.damaged += usize::from(!report.findings.is_empty());
        for finding in &report.findings {
            out.line(&format!("damaged: {finding}")).await?;
        }
        for remark in &report.remarks {
            out.line(&format!("note: {remark}")).await?;
        }
        Ok(())
    }

    fn line(&self) -> String {
        let Sum { partitions, segments, batches, records, bytes, damaged, checkpoints } = self;
        let checkpoints = match checkpoints {
            0 => String::new(),
            count => format!(", {count} damaged checkpoints"),
        };
        format!(
            "{partitions} partitions, {segments} segments, {batches} batches, {records} records, {bytes} bytes: \
             {damaged} damaged partitions{checkpoints}"
        )
    }
}
