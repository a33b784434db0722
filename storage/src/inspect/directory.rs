//! What a path is: a data directory with its checkpoints, or one partition. Held by its lock while it is looked at.
//! Removes no clean-shutdown marker and makes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kring_runtime::fs::{self, LockGuard};

use super::Finding;
use super::repair::Plan;
use super::verify::{self, PartitionReport};
use crate::checkpoint::LogName;
use crate::dir::{
    CLEAN, CLEANER_POINTS, LOCK, META, RECOVERY_POINTS, REPLICATION_POINTS, START_OFFSETS, decode_checkpoint,
    lock, read_meta,
};
use crate::error::LogError;
use crate::journal::is_journal;
use crate::segment::parse_file_name;
use crate::types::Offset;

/// Partitions at rest, with what their data directory says of them.
pub struct Inspection {
    partitions: Vec<PathBuf>,
    /// What is wrong with the checkpoints.
    pub findings: Vec<Finding>,
    /// What the next start will do with what else is there.
    pub remarks: Vec<Finding>,
    points: Points,
    _lock: Option<LockGuard>,
}

/// What the checkpoints of a data directory say.
pub(super) struct Points {
    pub root: PathBuf,
    recovery: BTreeMap<LogName, Offset>,
    start: BTreeMap<LogName, Offset>,
    cleaner: BTreeMap<LogName, Offset>,
    pub is_clean: bool,
}

impl Points {
    /// Everything of the partition below this offset had been durable.
    pub fn recovery_of(&self, partition: &Path) -> Offset {
        of(&self.recovery, partition)
    }

    pub fn start_of(&self, partition: &Path) -> Offset {
        of(&self.start, partition)
    }

    /// Compaction may have made gaps.
    pub fn was_compacted(&self, partition: &Path) -> bool {
        name_of(partition).is_some_and(|name| self.cleaner.contains_key(&name))
    }
}

fn of(points: &BTreeMap<LogName, Offset>, partition: &Path) -> Offset {
    name_of(partition).and_then(|name| points.get(&name).copied()).unwrap_or(Offset::ZERO)
}

pub(super) fn name_of(partition: &Path) -> Option<LogName> {
    LogName::parse(partition.file_name()?.to_str()?)
}

impl Inspection {
    /// Takes a data directory with all of its partitions, or the directory of one partition.
    ///
    /// # Errors
    /// When a broker holds the directory ([`LogError::Locked`]), when it is neither ([`LogError::Foreign`]), or when it
    /// cannot be read.
    pub async fn open(path: &Path) -> Result<Inspection, LogError> {
        let entries = fs::read_dir(path).await.map_err(|e| LogError::io(path, "listing", &e))?;
        let has_meta = entries.iter().any(|entry| entry.name == META);
        let has_files = entries.iter().any(|entry| !entry.is_dir && is_of_partition(&entry.name));
        // One that lost all of its files is known by its neighbours.
        let is_partition =
            has_files || (!has_meta && name_of(path).is_some() && is_inside_data(path).await?);
        let mut partitions: Vec<PathBuf> = if is_partition {
            vec![path.to_path_buf()]
        } else {
            let inside = entries.iter().filter(|entry| entry.is_dir && LogName::parse(&entry.name).is_some());
            inside.map(|entry| path.join(&entry.name)).collect()
        };
        if partitions.is_empty() && !has_meta {
            return Err(LogError::foreign(
                path,
                "it is neither a data directory nor the directory of a partition",
            ));
        }
        partitions.sort();
        let journals = entries.iter().filter(|entry| is_journal(&entry.name));
        let remarks = journals.map(|journal| kept_in(path.join(&journal.name))).collect();
        let root = if is_partition { parent_of(path) } else { path.to_path_buf() };
        let lock = take_lock(&root).await?;
        let (points, findings) = read_points(root).await?;
        // What is wrong beside a partition is not asked for with it.
        let findings = if is_partition { Vec::new() } else { findings };
        Ok(Inspection { partitions, findings, remarks, points, _lock: lock })
    }

    /// Takes over what the checkpoints say now.
    pub async fn read_checkpoints(&mut self) -> Result<(), LogError> {
        (self.points, self.findings) = read_points(self.points.root.clone()).await?;
        Ok(())
    }

    /// The directories of the partitions, in order.
    pub fn partitions(&self) -> &[PathBuf] {
        &self.partitions
    }

    /// The segments in the directory of a partition, in order.
    pub async fn segments(partition: &Path) -> Result<Vec<(Offset, PathBuf)>, LogError> {
        let entries = fs::read_dir(partition).await.map_err(|e| LogError::io(partition, "listing", &e))?;
        let logs =
            entries.iter().filter_map(|entry| parse_file_name(&entry.name, "log").zip(Some(&entry.name)));
        let mut segments: Vec<(Offset, PathBuf)> =
            logs.map(|(base, name)| (base, partition.join(name))).collect();
        segments.sort();
        Ok(segments)
    }

    /// Looks at every byte of one of them.
    pub async fn verify(&self, partition: &Path) -> Result<PartitionReport, LogError> {
        verify::partition(partition, &self.points).await
    }

    /// What would mend one of them.
    pub fn plan(&self, report: &PartitionReport) -> Plan {
        Plan::of(report, &self.points)
    }

    /// What would mend the checkpoints.
    pub fn plan_for_checkpoints(&self) -> Plan {
        Plan::for_checkpoints(&self.findings)
    }
}

fn kept_in(journal: PathBuf) -> Finding {
    let cause = "a journal: logs that end before its records take them over at the next start of a broker";
    Finding::at_start(journal, cause)
}

fn is_of_partition(name: &str) -> bool {
    name == "partition.metadata" || parse_file_name(name, "log").is_some()
}

async fn is_inside_data(path: &Path) -> Result<bool, LogError> {
    let meta = parent_of(path).join(META);
    fs::exists(&meta).await.map_err(|e| LogError::io(&meta, "looking for", &e))
}

/// Of a path as it was typed, `.` included.
fn parent_of(path: &Path) -> PathBuf {
    match path.parent().filter(|_| path.file_name().is_some()) {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        Some(_) => PathBuf::from("."),
        None => path.join(".."),
    }
}

/// `None` where there is no lock: nobody has it.
async fn take_lock(root: &Path) -> Result<Option<LockGuard>, LogError> {
    let file = root.join(LOCK);
    match fs::exists(&file).await.map_err(|e| LogError::io(&file, "looking for", &e))? {
        true => lock(root).await.map(Some),
        false => Ok(None),
    }
}

async fn read_points(root: PathBuf) -> Result<(Points, Vec<Finding>), LogError> {
    let mut findings = Vec::new();
    let recovery = read_offsets(&root.join(RECOVERY_POINTS), &mut findings).await?;
    let start = read_offsets(&root.join(START_OFFSETS), &mut findings).await?;
    let cleaner = read_offsets(&root.join(CLEANER_POINTS), &mut findings).await?;
    read_offsets(&root.join(REPLICATION_POINTS), &mut findings).await?;
    let meta = root.join(META);
    match read_meta(&root).await {
        Err(LogError::Corrupt { cause, .. }) => findings.push(Finding::at_start(meta, &*cause)),
        read => drop(read?),
    }
    let marker = root.join(CLEAN);
    let is_clean = fs::exists(&marker).await.map_err(|e| LogError::io(&marker, "looking for", &e))?;
    Ok((Points { root, recovery, start, cleaner, is_clean }, findings))
}

async fn read_offsets(
    path: &Path,
    findings: &mut Vec<Finding>,
) -> Result<BTreeMap<LogName, Offset>, LogError> {
    let decoded = decode_checkpoint(path).await?;
    Ok(decoded.unwrap_or_else(|bad| {
        findings.push(Finding::at_start(path.to_path_buf(), bad));
        BTreeMap::new()
    }))
}
