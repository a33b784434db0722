//! One partition, file by file: what is wrong, and what is only unfinished.
//! Changes nothing. A file that cannot be read is an error; one whose bytes are wrong is a finding.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use kring_runtime::fs;

use super::Finding;
use super::directory::{Inspection, Points};
use super::indexes::IndexCheck;
use super::pieces::{Damage, Piece, Pieces};
use crate::batch::{BatchInfo, end_transaction};
use crate::checkpoint;
use crate::compaction::is_of_swap;
use crate::dir::{FEW_LINES, START_OFFSETS, read_undamaged};
use crate::epochs::LeaderEpochs;
use crate::error::LogError;
use crate::home::METADATA;
use crate::index::{OffsetIndex, TimeIndex, longest_index};
use crate::producer::ProducerStates;
use crate::recovery::{EPOCHS, decode_epochs};
use crate::segment::{file_name, parse_file_name};
use crate::snapshot::{self, LONGEST_SNAPSHOT};
use crate::txn_index::{self, AbortedTransaction};
use crate::types::Offset;

/// What a partition holds, and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct PartitionReport {
    pub path: PathBuf,
    pub segments: usize,
    pub batches: u64,
    pub records: u64,
    pub bytes: u64,
    /// The first offset and the one after the last.
    pub start: Offset,
    pub end: Offset,
    pub findings: Vec<Finding>,
    /// What the next start completes by itself.
    pub remarks: Vec<Finding>,
    pub(super) remedies: Vec<Remedy>,
}

/// What mends something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The damaged parts of a segment go.
    Refill {
        base: Offset,
        damages: Vec<Damage>,
    },
    /// Both indexes of a segment are made from its batches.
    Reindex {
        base: Offset,
    },
    /// The file goes; what it said is made anew or done without.
    SetAside(PathBuf),
    WriteEpochs(LeaderEpochs),
    /// The index of aborted transactions is made from the batches.
    WriteAborted {
        base: Offset,
        aborted: Vec<AbortedTransaction>,
    },
    /// An empty segment at this offset, in place of all that are gone.
    BeginAt(Offset),
    ForgetStart,
    None(Finding),
}

pub(super) async fn partition(path: &Path, points: &Points) -> Result<PartitionReport, LogError> {
    let mut look = Look {
        points,
        recovery: points.recovery_of(path),
        learnt: LeaderEpochs::default(),
        producers: ProducerStates::default(),
        aborted: BTreeMap::new(),
        report: PartitionReport { path: path.to_path_buf(), ..PartitionReport::default() },
    };
    look.segments().await?;
    look.owner().await?;
    look.epochs().await?;
    look.other_files().await?;
    Ok(look.report)
}

struct Look<'a> {
    points: &'a Points,
    recovery: Offset,
    learnt: LeaderEpochs,
    /// As the batches so far have left them.
    producers: ProducerStates,
    /// By the segment of their markers.
    aborted: BTreeMap<Offset, Vec<AbortedTransaction>>,
    report: PartitionReport,
}

/// One segment among its neighbours.
#[derive(Clone, Copy)]
struct Place {
    base: Offset,
    /// Where the next one begins; `None` for the newest.
    next: Option<Offset>,
}

impl Look<'_> {
    fn file(&self, name: &str) -> PathBuf {
        self.report.path.join(name)
    }

    fn found(&mut self, finding: Finding, remedy: Remedy) {
        self.report.findings.push(finding);
        self.report.remedies.push(remedy);
    }

    async fn segments(&mut self) -> Result<(), LogError> {
        let segments = Inspection::segments(&self.report.path).await?;
        let (start, first) =
            (self.points.start_of(&self.report.path), segments.first().map(|(base, _)| *base));
        (self.report.start, self.report.end) = (start.max(first.unwrap_or(start)), start);
        for (number, (base, path)) in segments.iter().enumerate() {
            let next = segments.get(number + 1).map(|(next, _)| *next);
            self.segment(path, Place { base: *base, next }).await?;
        }
        self.report.segments = segments.len();
        if segments.is_empty() && self.recovery > start {
            self.nothing_left();
        } else if first.is_some_and(|first| start > Offset::ZERO && first > start) {
            self.first_segment_lost(start);
        } else if start > self.report.end {
            self.wrong_start(start);
        }
        Ok(())
    }

    fn nothing_left(&mut self) {
        let cause = format!("no segment is there, and offsets below {} had been durable", self.recovery);
        let finding =
            Finding { offset: Some(self.report.start), ..Finding::at_start(self.report.path.clone(), cause) };
        self.found(finding, Remedy::BeginAt(self.recovery));
    }

    fn first_segment_lost(&mut self, start: Offset) {
        let (path, partition, first) =
            (self.points.root.join(START_OFFSETS), self.report.path.display(), self.report.start);
        let cause =
            format!("it lets {partition} begin at offset {start}, and its first segment begins at {first}");
        self.found(Finding::at_start(path, cause), Remedy::ForgetStart);
    }

    fn wrong_start(&mut self, start: Offset) {
        let (path, end) = (self.points.root.join(START_OFFSETS), self.report.end);
        let cause =
            format!("it lets {} begin at offset {start}, and it ends at {end}", self.report.path.display());
        self.found(Finding::at_start(path, cause), Remedy::ForgetStart);
    }

    async fn segment(&mut self, path: &Path, place: Place) -> Result<(), LogError> {
        let mut pieces = Pieces::open(path, place.base).await?;
        let mut indexes = self.indexes(place.base, pieces.size()).await?;
        let mut damages = Vec::new();
        while let Some(piece) = pieces.next().await? {
            match piece {
                Piece::Batch { position, info, bytes } => {
                    self.note_transaction(place.base, &info, bytes);
                    self.report.batches += 1;
                    self.report.records += u64::from(info.header.record_count.unsigned_abs());
                    self.learnt.assign(info.leader_epoch, info.base_offset);
                    indexes.check.meet(position, &info);
                }
                Piece::Damage(damage) => damages.push(damage),
            }
        }
        self.report.bytes += u64::from(pieces.size());
        self.report.end = pieces.end_offset();
        self.judge_end(path, place, &pieces, indexes.last_named, &mut damages);
        self.judge(path, place, damages, indexes);
        Ok(())
    }

    fn note_transaction(&mut self, segment: Offset, info: &BatchInfo, bytes: Bytes) {
        if let Some(batch) = info.producer() {
            self.producers.record(&batch, info.base_offset);
        } else if info.header.is_control()
            && let Some(marker) = end_transaction(info, bytes)
            && let Some(ended) = self.producers.record_marker(&marker, info.base_offset)
        {
            self.aborted.entry(segment).or_default().extend(AbortedTransaction::of(&ended));
        }
    }

    /// Whether the segment ends where it should, and which offsets the last damage took.
    fn judge_end(
        &mut self,
        path: &Path,
        place: Place,
        pieces: &Pieces,
        last_named: Option<Offset>,
        damages: &mut Vec<Damage>,
    ) {
        let end = pieces.end_offset();
        let goes_on_at = place.next.unwrap_or(self.recovery);
        if let Some(last) = damages.last_mut().filter(|damage| damage.next.is_none()) {
            let is_near = goes_on_at - place.base <= i64::from(i32::MAX);
            last.next = Some(goes_on_at).filter(|&next| next > last.first && is_near);
        } else if place.next.is_some_and(|next| end > next) {
            let cause = format!("it holds offsets up to {end}, and the next segment begins at {goes_on_at}");
            let finding = finding_at(path, u64::from(pieces.size()), goes_on_at, cause);
            self.found(finding.clone(), Remedy::None(finding));
        } else if end < goes_on_at {
            let witness = match place.next {
                Some(next) => self.witness_of_gap(end, next, last_named),
                None => Some(format!(
                    "the file ends before offset {end}, and all below {goes_on_at} had been durable"
                )),
            };
            damages.extend(witness.map(|cause| pieces.missing_end(goes_on_at, cause)));
        }
    }

    fn witness_of_gap(&self, end: Offset, next: Offset, last_named: Option<Offset>) -> Option<String> {
        match last_named.filter(|&named| named >= end && named < next) {
            Some(named) => {
                Some(format!("the file ends before offset {end}, and its index names offset {named}"))
            }
            None if self.points.was_compacted(&self.report.path) => None,
            None => Some(format!(
                "the file ends before offset {end}, the next begins at {next}, and the log was never compacted"
            )),
        }
    }

    fn judge(&mut self, path: &Path, place: Place, mut damages: Vec<Damage>, indexes: Indexes) {
        let is_newest = place.next.is_none();
        if is_newest
            && let Some(tail) =
                damages.pop_if(|damage| damage.next.is_none() && damage.first >= self.recovery)
        {
            let what = if tail.is_padding { "padding of the last write" } else { "an unfinished write" };
            let cause = format!("{what}, {} bytes; the next start cuts it off", tail.to - tail.from);
            self.report.remarks.push(finding_at(path, u64::from(tail.from), tail.first, cause));
        }
        for damage in &damages {
            let finding = finding_at(path, u64::from(damage.from), damage.first, damage.cause.clone());
            self.report.findings.push(finding);
        }
        if damages.is_empty() {
            self.judge_indexes(place.base, indexes, is_newest);
        } else {
            self.report.end =
                self.report.end.max(damages.last().and_then(|last| last.next).unwrap_or(Offset::ZERO));
            self.report.remedies.push(Remedy::Refill { base: place.base, damages });
        }
    }

    /// In the newest segment entries may run ahead of what a crash left.
    fn judge_indexes(&mut self, base: Offset, indexes: Indexes, is_newest: bool) {
        let is_open = is_newest && !self.points.is_clean;
        let (offsets, times) = indexes.check.finish(is_open);
        let wrong = [("index", indexes.bad_offsets.or(offsets)), ("timeindex", indexes.bad_times.or(times))];
        let mut is_wrong = false;
        for (suffix, cause) in wrong {
            let path = self.file(&file_name(base, suffix));
            self.report.findings.extend(cause.map(|cause| {
                is_wrong = true;
                Finding::at_start(path, cause)
            }));
        }
        if is_wrong {
            self.report.remedies.push(Remedy::Reindex { base });
        }
    }

    async fn indexes(&self, base: Offset, size: u32) -> Result<Indexes, LogError> {
        let (offsets, long_offsets) = self.index_bytes(base, "index", size).await?;
        let (times, long_times) = self.index_bytes(base, "timeindex", size).await?;
        let last_offset =
            offsets.last_chunk().and_then(OffsetIndex::decode_last).map(|(relative, _)| relative);
        let last_time = times.last_chunk().and_then(TimeIndex::decode_last).map(|(_, relative)| relative);
        let decoded = OffsetIndex::decode(&offsets, u64::from(size));
        let decoded_times = TimeIndex::decode(&times);
        let check = IndexCheck::new(
            base,
            decoded.as_ref().map_or(Vec::new(), |index| index.entries().to_vec()),
            decoded_times.as_ref().map_or(Vec::new(), |index| index.entries().to_vec()),
        );
        Ok(Indexes {
            check,
            last_named: last_offset.max(last_time).map(|relative| base + i64::from(relative)),
            bad_offsets: long_offsets.or(decoded.err().map(|bad| bad.to_string())),
            bad_times: long_times.or(decoded_times.err().map(|bad| bad.to_string())),
        })
    }

    /// None of them where the file is too long, and why.
    async fn index_bytes(
        &self,
        base: Offset,
        suffix: &str,
        size: u32,
    ) -> Result<(Vec<u8>, Option<String>), LogError> {
        let read = read_undamaged(&self.file(&file_name(base, suffix)), longest_index(size)).await?;
        Ok(match read {
            Ok(bytes) => (bytes, None),
            Err(cause) => (Vec::new(), Some(cause)),
        })
    }

    async fn owner(&mut self) -> Result<(), LogError> {
        let path = self.file(METADATA);
        let read = read_undamaged(&path, FEW_LINES).await?;
        if let Err(bad) = read.and_then(|bytes| names_topic(&bytes)) {
            self.found(Finding::at_start(path.clone(), bad), Remedy::SetAside(path));
        }
        Ok(())
    }

    async fn epochs(&mut self) -> Result<(), LogError> {
        let path = self.file(EPOCHS);
        let Some(decoded) = decode_epochs(&path).await? else { return Ok(()) };
        let cause = match decoded {
            Err(bad) => Some(bad),
            Ok(epochs) => self.epoch_before_first(&epochs).or_else(|| self.wrong_epoch(&epochs)),
        };
        if let Some(cause) = cause {
            let mut epochs = std::mem::take(&mut self.learnt);
            epochs.truncate_start(self.report.start);
            self.found(Finding::at_start(path, cause), Remedy::WriteEpochs(epochs));
        }
        Ok(())
    }

    /// Where nothing was deleted, the log begins where its oldest epoch does.
    fn epoch_before_first(&self, epochs: &LeaderEpochs) -> Option<String> {
        let is_whole = self.points.start_of(&self.report.path) == Offset::ZERO;
        let &(_, began) = epochs.entries().first().filter(|_| is_whole && self.report.segments > 0)?;
        let first = self.report.start;
        (first > began)
            .then(|| format!("the log begins at offset {began} for it, and its first segment at {first}"))
    }

    /// An entry that the batches do not bear out. Those of records that are gone are no such entry.
    fn wrong_epoch(&self, epochs: &LeaderEpochs) -> Option<String> {
        let is_hurt = self.report.remedies.iter().any(|remedy| matches!(remedy, Remedy::Refill { .. }));
        let inside = |start: Offset| start > self.report.start && start < self.report.end;
        // Where batches may have been compacted away, an epoch began before the first of its that is left, or has none.
        let is_compacted = self.points.was_compacted(&self.report.path);
        let learnt = self.learnt.entries();
        let is_denied = |&(epoch, start): &(crate::types::LeaderEpoch, Offset)| match is_compacted {
            true => learnt.iter().any(|(other, first)| *other >= epoch && *first < start),
            false => !learnt.contains(&(epoch, start)),
        };
        let wrong =
            |entry: &&(crate::types::LeaderEpoch, Offset)| inside(entry.1) && is_denied(entry) && !is_hurt;
        let (epoch, start) = epochs.entries().iter().find(wrong)?;
        Some(format!("epoch {epoch} does not begin at offset {start}"))
    }

    async fn other_files(&mut self) -> Result<(), LogError> {
        let dir = self.report.path.clone();
        let entries = fs::read_dir(&dir).await.map_err(|e| LogError::io(&dir, "listing", &e))?;
        for entry in entries {
            let path = dir.join(&entry.name);
            if parse_file_name(&entry.name, "snapshot").is_some() {
                let read = read_undamaged(&path, LONGEST_SNAPSHOT).await?;
                if let Err(bad) = snapshot::decode_read(read) {
                    self.found(Finding::at_start(path.clone(), bad), Remedy::SetAside(path));
                }
            } else if let Some(base) = parse_file_name(&entry.name, "txnindex") {
                let read = read_undamaged(&path, txn_index::LONGEST_INDEX).await?;
                let decode = |bytes: Vec<u8>| txn_index::decode(&bytes).map_err(|bad| bad.to_string());
                if let Err(bad) = read.and_then(decode) {
                    let aborted = self.aborted.remove(&base).unwrap_or_default();
                    let remedy = Remedy::WriteAborted { base, aborted };
                    self.found(Finding::at_start(path, bad), remedy);
                }
            } else if let Some(base) = self.lacks_log(&entry.name).await? {
                let cause = "it is the index of a segment that is missing";
                let finding = Finding { offset: Some(base), ..Finding::at_start(path.clone(), cause) };
                self.found(finding, Remedy::SetAside(path));
            } else if is_of_swap(&entry.name) {
                let cause = "an exchange of segments was cut short; the next start completes or undoes it";
                self.report.remarks.push(Finding::at_start(path, cause));
            }
        }
        Ok(())
    }
}

impl Look<'_> {
    /// The base offset of an index without its log.
    async fn lacks_log(&self, name: &str) -> Result<Option<Offset>, LogError> {
        let base = ["index", "timeindex"].iter().find_map(|suffix| parse_file_name(name, suffix));
        let Some(base) = base.filter(|base| *base >= self.report.start && *base < self.report.end) else {
            return Ok(None);
        };
        let path = self.file(&file_name(base, "log"));
        let is_there = fs::exists(&path).await.map_err(|e| LogError::io(&path, "looking for", &e))?;
        Ok(Some(base).filter(|_| !is_there))
    }
}

/// Nothing, or a topic.
fn names_topic(bytes: &[u8]) -> Result<(), String> {
    if bytes.iter().all(|&byte| byte == 0) {
        return Ok(());
    }
    let decoded = checkpoint::decode_partition_metadata(&String::from_utf8_lossy(bytes));
    decoded.map(drop).map_err(|bad| bad.to_string())
}

/// What the index files of a segment say.
struct Indexes {
    check: IndexCheck,
    /// The last offset that either of them ends with.
    last_named: Option<Offset>,
    bad_offsets: Option<String>,
    bad_times: Option<String>,
}

fn finding_at(path: &Path, position: u64, offset: Offset, cause: String) -> Finding {
    Finding { path: path.to_path_buf(), position, offset: Some(offset), cause }
}
