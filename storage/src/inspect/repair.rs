//! What would mend a partition, and doing that. Every byte that is taken out is kept in a file beside, every offset that
//! is lost is named, and the offsets that stay do not move: where records are gone, an empty batch holds their place.
//! Never guesses at records.

use std::path::{Path, PathBuf};

use kring_runtime::fs;
use kring_wire::record::{BatchHeader, MAGIC_V2};

use super::Finding;
use super::directory::{Points, name_of};
use super::pieces::{Damage, Piece, Pieces};
use super::verify::{PartitionReport, Remedy};
use crate::batch::{CRC_FROM, HEADER_BYTES};
use crate::checkpoint;
use crate::config::LogConfig;
use crate::dir::{META, START_OFFSETS, decode_checkpoint, read_bytes};
use crate::error::LogError;
use crate::index::Indexer;
use crate::recovery::EPOCHS;
use crate::segment::{file_name, write_file};
use crate::txn_index;
use crate::types::Offset;

/// Bytes of a batch after its length field.
const EMPTY_LENGTH: i32 = (HEADER_BYTES - 12) as i32;

/// What is to be done, in order.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    steps: Vec<Step>,
    /// What nothing here mends.
    pub unmended: Vec<Finding>,
}

#[derive(Clone, Debug)]
enum Step {
    TakeOut {
        log: PathBuf,
        aside: PathBuf,
        damage: Damage,
    },
    /// After all that is taken out of one segment.
    Refill {
        log: PathBuf,
        damages: Vec<Damage>,
    },
    Reindex {
        log: PathBuf,
        base: Offset,
    },
    SetAside {
        path: PathBuf,
        aside: PathBuf,
    },
    Write {
        path: PathBuf,
        bytes: Vec<u8>,
    },
    ForgetStart {
        checkpoint: PathBuf,
        partition: PathBuf,
    },
}

impl Plan {
    pub(super) fn of(report: &PartitionReport, points: &Points) -> Plan {
        let mut plan = Plan::default();
        for remedy in &report.remedies {
            plan.add(&report.path, remedy, points);
        }
        plan
    }

    pub(super) fn for_checkpoints(findings: &[Finding]) -> Plan {
        let mut plan = Plan::default();
        for finding in findings {
            if finding.path.file_name().is_some_and(|name| name == META) {
                plan.unmended.push(finding.clone());
            } else {
                plan.set_aside(&finding.path);
            }
        }
        plan
    }

    /// Nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// One line a step.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.steps.iter().filter_map(Step::line)
    }

    fn add(&mut self, dir: &Path, remedy: &Remedy, points: &Points) {
        match remedy {
            Remedy::Refill { base, damages } => {
                self.refill(dir.join(file_name(*base, "log")), *base, damages)
            }
            Remedy::Reindex { base } => {
                self.steps.push(Step::Reindex { log: dir.join(file_name(*base, "log")), base: *base });
            }
            Remedy::SetAside(path) => self.set_aside(path),
            Remedy::WriteEpochs(epochs) => {
                self.steps.push(Step::Write { path: dir.join(EPOCHS), bytes: epochs.encode().into_bytes() });
            }
            Remedy::BeginAt(offset) => {
                let path = dir.join(file_name(*offset, "log"));
                self.steps.push(Step::Write { path, bytes: Vec::new() });
            }
            Remedy::WriteAborted { base, aborted } => {
                let path = dir.join(file_name(*base, "txnindex"));
                self.set_aside(&path);
                if !aborted.is_empty() {
                    self.steps.push(Step::Write { path, bytes: txn_index::encode(aborted) });
                }
            }
            Remedy::ForgetStart => self.steps.push(Step::ForgetStart {
                checkpoint: points.root.join(START_OFFSETS),
                partition: dir.to_path_buf(),
            }),
            Remedy::None(finding) => self.unmended.push(finding.clone()),
        }
    }

    fn refill(&mut self, log: PathBuf, base: Offset, damages: &[Damage]) {
        let taken_out = damages.iter().map(|damage| Step::TakeOut {
            aside: beside(&log, &format!("removed-{}", damage.from)),
            log: log.clone(),
            damage: damage.clone(),
        });
        self.steps.extend(taken_out);
        self.steps.push(Step::Refill { log: log.clone(), damages: damages.to_vec() });
        self.steps.push(Step::Reindex { log, base });
    }

    fn set_aside(&mut self, path: &Path) {
        self.steps.push(Step::SetAside { path: path.to_path_buf(), aside: beside(path, "removed") });
    }

    /// Does it. What was taken out is durable before anything is replaced; each file is old or new.
    ///
    /// # Errors
    /// When a file cannot be read or written. Done again, it goes on.
    pub async fn carry_out(&self) -> Result<(), LogError> {
        for step in &self.steps {
            step.carry_out().await?;
        }
        Ok(())
    }
}

impl Step {
    fn line(&self) -> Option<String> {
        Some(match self {
            Step::TakeOut { log, aside, damage } => taken_out(log, aside, damage),
            Step::Refill { .. } => return None,
            Step::Reindex { log, .. } => format!("make the indexes of {} anew", log.display()),
            Step::SetAside { path, aside } => {
                format!("rename {} to {}: it is made anew or done without", path.display(), aside.display())
            }
            Step::Write { path, .. } => format!("write {} anew", path.display()),
            Step::ForgetStart { checkpoint, partition } => {
                format!("take the start offset of {} out of {}", partition.display(), checkpoint.display())
            }
        })
    }

    async fn carry_out(&self) -> Result<(), LogError> {
        match self {
            Step::TakeOut { log, aside, damage } => take_out(log, aside, damage).await,
            Step::Refill { log, damages } => refill(log, damages).await,
            Step::Reindex { log, base } => reindex(log, *base).await,
            Step::SetAside { path, aside } => rename(path, aside).await,
            Step::Write { path, bytes } => write_file(path, bytes).await,
            Step::ForgetStart { checkpoint, partition } => forget_start(checkpoint, partition).await,
        }
    }
}

fn taken_out(log: &Path, aside: &Path, damage: &Damage) -> String {
    let Damage { from, to, first, next, .. } = damage;
    let bytes = match to - from {
        0 => format!("bytes from {from} on are missing in {}", log.display()),
        _ => format!(
            "take bytes {from} to {to} out of {}, and keep them in {}",
            log.display(),
            aside.display()
        ),
    };
    let lost = match next {
        Some(next) if *next == *first => "no offset is lost".to_string(),
        Some(next) if *next == first.next() => format!("offset {first} is lost"),
        Some(next) => format!("offsets {first} to {} are lost", *next + -1),
        None => format!("what was at offset {first} and above is lost"),
    };
    format!("{bytes}: {lost}")
}

/// `<file>.<what>`: a name that no log and no Kafka takes for its own.
fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{what}"));
    path.with_file_name(name)
}

async fn take_out(log: &Path, aside: &Path, damage: &Damage) -> Result<(), LogError> {
    let bytes = read(log).await?;
    let taken = &bytes[(damage.from as usize).min(bytes.len())..(damage.to as usize).min(bytes.len())];
    match taken.is_empty() {
        true => Ok(()),
        false => write_file(&untaken(aside, Some(taken)).await?, taken).await,
    }
}

/// The segment without its damaged parts.
async fn refill(log: &Path, damages: &[Damage]) -> Result<(), LogError> {
    let bytes = read(log).await?;
    let (mut mended, mut at) = (Vec::with_capacity(bytes.len()), 0);
    for damage in damages {
        mended.extend_from_slice(&bytes[at..(damage.from as usize).min(bytes.len())]);
        if let Some(next) = damage.next.filter(|&next| next > damage.first) {
            mended.extend_from_slice(&empty_batch(damage.first, next, damage.leader_epoch));
        }
        at = (damage.to as usize).min(bytes.len());
    }
    mended.extend_from_slice(&bytes[at..]);
    write_file(log, &mended).await
}

/// Offsets without records, as compaction leaves them.
fn empty_batch(first: Offset, next: Offset, leader_epoch: i32) -> [u8; HEADER_BYTES] {
    let last_offset_delta = i32::try_from(next - first - 1).expect("offsets of one segment");
    let mut header = BatchHeader {
        base_offset: first.0,
        batch_length: EMPTY_LENGTH,
        partition_leader_epoch: leader_epoch,
        magic: MAGIC_V2,
        crc: 0,
        attributes: 0,
        last_offset_delta,
        base_timestamp: -1,
        max_timestamp: -1,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        record_count: 0,
    };
    header.crc = crc32c::crc32c(&header.to_bytes()[CRC_FROM..]);
    header.to_bytes()
}

async fn reindex(log: &Path, base: Offset) -> Result<(), LogError> {
    let mut pieces = Pieces::open(log, base).await?;
    let mut indexer = Indexer::new();
    while let Some(piece) = pieces.next().await? {
        if let Piece::Batch { position, info, .. } = piece {
            indexer.noticed(info.indexed(base, position), LogConfig::default().index_interval_bytes);
        }
    }
    indexer.finish();
    write_file(&log.with_file_name(file_name(base, "timeindex")), &indexer.times.encode()).await?;
    write_file(&log.with_file_name(file_name(base, "index")), &indexer.offsets.encode()).await
}

/// This name, or with a number the next that nothing has: what an earlier repair has kept stays. A repair that was cut
/// short had kept the same bytes.
async fn untaken(aside: &Path, taken: Option<&[u8]>) -> Result<PathBuf, LogError> {
    let mut path = aside.to_path_buf();
    for number in 1.. {
        match read_bytes(&path, i32::MAX as u64).await? {
            Some(kept) if taken != Some(&kept) => path = beside(aside, &number.to_string()),
            _ => break,
        }
    }
    Ok(path)
}

async fn rename(path: &Path, aside: &Path) -> Result<(), LogError> {
    let aside = &untaken(aside, None).await?;
    fs::rename(path, aside).await.map_err(|e| LogError::io(path, "renaming", &e))?;
    let dir = path.parent().unwrap_or(path);
    fs::sync_dir(dir).await.map_err(|e| LogError::io(dir, "flushing directory", &e))
}

async fn forget_start(checkpoint: &Path, partition: &Path) -> Result<(), LogError> {
    let decoded = decode_checkpoint(checkpoint).await?;
    let mut offsets = decoded.map_err(|bad| LogError::corrupt(checkpoint, 0, bad))?;
    if let Some(name) = name_of(partition) {
        offsets.remove(&name);
    }
    write_file(checkpoint, checkpoint::encode_offsets(&offsets).as_bytes()).await
}

async fn read(path: &Path) -> Result<Vec<u8>, LogError> {
    fs::read(path).await.map_err(|e| LogError::io(path, "reading", &e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::BatchInfo;

    #[test]
    fn an_empty_batch_holds_the_place_of_lost_offsets() {
        let bytes = empty_batch(Offset(7), Offset(12), 3);
        let info = BatchInfo::parse(&bytes).unwrap();
        assert_eq!((info.base_offset, info.end_offset(), info.leader_epoch.0), (Offset(7), Offset(12), 3));
        assert_eq!((info.bytes as usize, info.header.record_count), (HEADER_BYTES, 0));
        assert_eq!(kring_wire::record::batch_crc(&bytes), Some(info.header.crc));
    }

    #[test]
    fn what_is_kept_has_a_name_that_no_log_takes_for_its_own() {
        let log = Path::new("/d/t-0/00000000000000000007.log");
        assert_eq!(beside(log, "removed-61"), Path::new("/d/t-0/00000000000000000007.log.removed-61"));
    }
}
