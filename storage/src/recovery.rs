//! Opening a log: what its directory holds, whether it was closed in order, and where the trusted part ends.
//! Cuts only what cannot have been durable; damage below that is an error. Shard that will own the log.

mod aborted;
mod epochs;
mod known;
mod lost;
mod sealed;
mod start;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use kring_runtime::disk::{DirectFile, ReadAhead, ReadHandle};
use kring_runtime::{Queue, fs, spawn, wall_ms};

use crate::TopicId;
use crate::aborted::AbortedIndex;
use crate::checkpoint::LogName;
use crate::compaction::{complete_swaps, is_of_swap};
use crate::config::LogConfig;
use crate::dir::{LogDir, LogPoints, read_undamaged};
use crate::epochs::LeaderEpochs;
use crate::error::LogError;
use crate::home;
use crate::index::Indexer;
use crate::log::{Loaded, Log};
use crate::mutation::{self, Mutation};
use crate::producer::ProducerStates;
use crate::recovery_point::SavedPoint;
use crate::scan::{self, Care, Extent, Fault, Found, Met};
use crate::segment::{Resumed, Segment, block_floor, parse_file_name};
use crate::shard::ShardStorage;
use crate::snapshot::{self, LONGEST_SNAPSHOT};
use crate::types::{LogOffsets, Offset};
use known::Known;
use start::{LatestCheck, Start};

pub(crate) use epochs::decode_epochs;

pub(crate) const EPOCHS: &str = "leader-epoch-checkpoint";
const INDEXES: [&str; 3] = ["index", "timeindex", "txnindex"];
/// Left by a deletion that did not come to its end.
const DELETED: &str = ".deleted";
/// Left by a small file's replacement that did not come to its end.
const TEMPORARY: &str = ".tmp";

/// What opening a log did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// The directory had been closed in order, and nothing was scanned.
    pub clean: bool,
    pub segments_scanned: usize,
    pub bytes_scanned: u64,
    /// Bytes of a write that the crash cut short, removed now.
    pub torn_bytes: u64,
    pub log_end_offset: Offset,
}

impl Log {
    /// Opens a log, or makes an empty one: a directory with `partition.metadata` if there is a topic id, and not a
    /// byte more before the first append.
    pub async fn open(
        shard: &ShardStorage,
        dir: &LogDir,
        name: LogName,
        config: Rc<LogConfig>,
        topic_id: Option<TopicId>,
    ) -> Result<(Log, RecoveryReport), LogError> {
        dir.check_online()?;
        let opened = open(shard, dir, name, config, topic_id).await;
        if opened.is_err() {
            dir.needs_recovery();
        }
        opened
    }

    /// What the directory of an open log holds now, found out as after a crash. Nobody else may change its files.
    pub(crate) async fn reload(&self) -> Result<Loaded, LogError> {
        let files = Files::of(list(&self.0.path).await?.unwrap_or_default());
        let (path, config, points) = (self.0.path.clone(), self.config(), self.0.points.clone());
        let ahead = self.0.dir.disk().read_ahead();
        let recovery = Recovery { path, config, points, clean: false, ahead };
        recovery.load(files).await.map(|(loaded, _)| loaded)
    }
}

async fn open(
    shard: &ShardStorage,
    dir: &LogDir,
    name: LogName,
    config: Rc<LogConfig>,
    topic_id: Option<TopicId>,
) -> Result<(Log, RecoveryReport), LogError> {
    let path: Rc<Path> = Rc::from(dir.path().join(name.to_string()));
    let (mut files, found_id) =
        claim_directory(dir, &name, &path, topic_id).await.inspect_err(|error| dir.fail_on_io(error))?;
    let points = dir.points_of(&name);
    let ahead = dir.disk().read_ahead();
    let recovery =
        Recovery { path: path.clone(), config: config.clone(), points, clean: dir.left_clean(), ahead };
    let deleted = std::mem::take(&mut files.deleted);
    let (loaded, report) = recovery.load(files).await?;
    remove_in_background(dir, deleted);
    if report.segments_scanned > 0 {
        tracing::info!(log = %name, segments = report.segments_scanned, bytes = report.bytes_scanned,
            torn_bytes = report.torn_bytes, end = %report.log_end_offset, "recovered");
    }
    let log = Log::assemble(shard, dir, (name, found_id, path), config, loaded);
    log.take_over_kept().await?;
    let report = RecoveryReport { log_end_offset: log.offsets().end(), ..report };
    Ok((log, report))
}

/// Makes the directory if it is missing, and checks that it belongs to this topic if it holds records.
async fn claim_directory(
    dir: &LogDir,
    name: &LogName,
    path: &Path,
    topic_id: Option<TopicId>,
) -> Result<(Files, Option<TopicId>), LogError> {
    match Files::read(path).await? {
        None => {
            dir.clear_traces(name).await?;
            home::make(path, topic_id).await.map(|()| (Files::default(), topic_id))
        }
        Some(files) if files.logs.is_empty() && topic_id.is_some() => Ok((files, topic_id)),
        Some(files) => Ok((files, home::check(path, topic_id).await?)),
    }
}

/// What lies in a partition directory.
#[derive(Default)]
struct Files {
    /// Base offset and length, rising.
    logs: Vec<(Offset, u64)>,
    snapshots: Vec<Offset>,
    /// Base offsets of the segments with an index of aborted transactions.
    txn_indexes: Vec<Offset>,
    /// Base offsets of all indexes, those above among them.
    indexes: Vec<Offset>,
    /// No longer part of the log.
    deleted: Vec<PathBuf>,
}

impl Files {
    /// `None` if there is no such directory.
    async fn read(path: &Path) -> Result<Option<Files>, LogError> {
        let Some(mut entries) = list(path).await? else { return Ok(None) };
        if entries.iter().any(|entry| is_of_swap(&entry.name)) {
            complete_swaps(path, &entries).await?;
            entries = list(path).await?.unwrap_or_default();
        }
        for leftover in entries.iter().filter(|entry| entry.name.ends_with(TEMPORARY)) {
            remove_leftover(&path.join(&leftover.name)).await?;
        }
        let deleted = entries.iter().filter(|entry| entry.name.ends_with(DELETED));
        let deleted = deleted.map(|entry| path.join(&entry.name)).collect();
        Ok(Some(Files { deleted, ..Files::of(entries) }))
    }

    fn of(entries: Vec<fs::DirEntry>) -> Files {
        let mut files = Files::default();
        for entry in entries {
            if let Some(base) = parse_file_name(&entry.name, "log") {
                files.logs.push((base, entry.len));
            } else if let Some(at) = parse_file_name(&entry.name, "snapshot") {
                files.snapshots.push(at);
            } else if let Some(base) = parse_file_name(&entry.name, "txnindex") {
                files.txn_indexes.push(base);
            }
            files.indexes.extend(INDEXES.iter().find_map(|suffix| parse_file_name(&entry.name, suffix)));
        }
        files.logs.sort_unstable();
        files.snapshots.sort_unstable();
        files.txn_indexes.sort_unstable();
        files
    }
}

/// `None` if there is no such directory.
async fn list(path: &Path) -> Result<Option<Vec<fs::DirEntry>>, LogError> {
    match fs::read_dir(path).await {
        Ok(entries) => Ok(Some(entries)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(LogError::io(path, "listing", &error)),
    }
}

/// The start does not wait for the removal of large files.
fn remove_in_background(dir: &LogDir, deleted: Vec<PathBuf>) {
    if !deleted.is_empty() {
        let dir = dir.clone();
        spawn(Queue::Background, async move { dir.remove(deleted).await }).detach();
    }
}

async fn remove_leftover(path: &Path) -> Result<(), LogError> {
    match fs::remove_file(path).await {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(LogError::io(path, "removing", &error)),
        _ => Ok(()),
    }
}

struct Recovery {
    path: Rc<Path>,
    config: Rc<LogConfig>,
    points: Arc<LogPoints>,
    clean: bool,
    ahead: ReadAhead,
}

/// What the scan of the newest segment collects.
struct Active {
    base: Offset,
    resumed: Resumed,
    end_offset: Offset,
    /// Bytes that the index files cover.
    saved: u32,
}

impl Recovery {
    async fn load(&self, mut files: Files) -> Result<(Loaded, RecoveryReport), LogError> {
        let mut report = RecoveryReport { clean: self.clean, ..RecoveryReport::default() };
        let Some(&(active_base, active_bytes)) = files.logs.last() else {
            self.remove_snapshots(&files.snapshots).await?;
            return self.load_empty(report);
        };
        let read_epochs = self.read_epochs(&files.logs).await?;
        self.check_presence(&files, read_epochs.as_ref())?;
        let epochs = match &read_epochs {
            Some(epochs) => epochs.clone(),
            None => self.learn_epochs(&files.logs).await?,
        };
        self.remove_stray_snapshots(&files, active_base).await?;
        self.mend_txn_indexes(&mut files).await?;
        let sealed = self.sealed_segments(&files)?;
        let (producers, from) = self.producers_at(&files, active_base).await?;
        let start = self.start_in(active_base, active_bytes, from).await?;
        let snapshot = self.inner_snapshot(&files, active_base);
        let mut known = Known { producers, epochs, from, aborted: Vec::new() };
        if !self.clean {
            // When the file was written, later batches may have been under way: what it says of them is learnt anew
            // from those that arrived. Of what was durable it is right, also where compaction has left no batch of it.
            known.epochs.truncate_end(start.offset.max(self.points.recovery()));
        }
        self.replay_sealed(&sealed, active_base, &mut known, &mut report).await?;
        self.check_ends(&sealed, active_base).await?;
        let active = self.load_active(start, active_bytes, &mut known, &mut report).await?;
        let Known { producers, mut epochs, .. } = known;
        let offsets = self.offsets(&files, active.end_offset)?;
        epochs.truncate_end(offsets.end());
        epochs.truncate_start(offsets.start());
        if !self.clean {
            // A segment may be here whose name was never flushed: the flush was cut short, or failed.
            fs::sync_dir(&*self.path)
                .await
                .map_err(|e| LogError::io(&self.path, "flushing directory", &e))?;
        }
        let is_outdated = read_epochs.is_none_or(|written| !self.clean && epochs != written);
        // What was lost must not be taken for true by the next recovery.
        let owes_epochs = is_outdated && !self.write_epochs(&epochs).await?;
        report.log_end_offset = offsets.end();
        let snapshots = snapshot.into_iter().collect();
        let saved = SavedPoint { segment: active_base, position: active.saved, snapshots };
        let mut segments: Vec<Rc<Segment>> = sealed.into_iter().map(Rc::new).collect();
        segments.push(Rc::new(Segment::resumed(self.path.clone(), active_base, wall_ms(), active.resumed)));
        Ok((Loaded { offsets, segments, epochs, producers, saved, owes_epochs }, report))
    }

    /// No segment: nothing was ever appended, or all of it lies before the log's start.
    fn load_empty(&self, mut report: RecoveryReport) -> Result<(Loaded, RecoveryReport), LogError> {
        let (start, durable) = (self.points.start(), self.points.recovery());
        if durable > start {
            let cause = format!("no segment is there, but records below offset {durable} had been durable");
            return Err(LogError::corrupt(&self.path, 0, cause));
        }
        report.log_end_offset = start;
        let offsets = LogOffsets::recovered(start, start);
        let (epochs, producers) = (LeaderEpochs::default(), ProducerStates::default());
        let saved = SavedPoint::default();
        let owes_epochs = false;
        Ok((Loaded { offsets, segments: Vec::new(), epochs, producers, saved, owes_epochs }, report))
    }

    fn offsets(&self, files: &Files, end: Offset) -> Result<LogOffsets, LogError> {
        let start = self.points.start().max(files.logs[0].0);
        if start > end {
            let cause = format!("the log starts at offset {start}, but holds nothing above {end}");
            return Err(LogError::corrupt(&self.path, 0, cause));
        }
        Ok(LogOffsets::recovered(start, end))
    }

    fn sealed_segments(&self, files: &Files) -> Result<Vec<Segment>, LogError> {
        let sealed = &files.logs[..files.logs.len() - 1];
        sealed
            .iter()
            .map(|&(base, bytes)| {
                let has_aborted = files.txn_indexes.binary_search(&base).is_ok();
                let aborted = if has_aborted { AbortedIndex::File } else { AbortedIndex::none() };
                Ok(Segment::at_rest(self.path.clone(), base, self.size(base, bytes)?, aborted))
            })
            .collect()
    }

    fn size(&self, base: Offset, bytes: u64) -> Result<u32, LogError> {
        let too_long = || {
            let path = self.path.join(crate::segment::file_name(base, "log"));
            LogError::corrupt(&path, u64::from(i32::MAX as u32), "a segment is never longer than 2 GiB")
        };
        u32::try_from(bytes).ok().filter(|&size| size <= i32::MAX as u32).ok_or_else(too_long)
    }

    /// The newest usable producer snapshot, and the offset it is true at.
    async fn producers_at(
        &self,
        files: &Files,
        active_base: Offset,
    ) -> Result<(ProducerStates, Offset), LogError> {
        for &at in files.snapshots.iter().rev() {
            if self.is_stray(files, at, active_base) || !self.may_begin_at(files, at) {
                continue;
            }
            let path = self.path.join(crate::segment::file_name(at, "snapshot"));
            match snapshot::decode_read(read_undamaged(&path, LONGEST_SNAPSHOT).await?) {
                Ok(mut states) => {
                    states.remove_expired(wall_ms(), self.config.producer_id_expiration_ms);
                    return Ok((states, at));
                }
                Err(bad) => tracing::warn!(path = %path.display(), %bad, "producer snapshot ignored"),
            }
        }
        // Without a snapshot Kafka, too, takes a log that was closed in order as one without producers.
        let from = if self.clean { Offset::MAX } else { files.logs[0].0.max(self.points.start()) };
        Ok((ProducerStates::default(), from))
    }

    /// A snapshot is kept where a segment begins, and the newest one inside the newest segment. After a crash the log
    /// may end below one that the recovery point does not cover, so that one cannot be trusted.
    fn is_stray(&self, files: &Files, at: Offset, active_base: Offset) -> bool {
        let at_segment = files.logs.binary_search_by_key(&at, |&(base, _)| base).is_ok();
        if at > active_base { self.inner_snapshot(files, active_base) != Some(at) } else { !at_segment }
    }

    fn inner_snapshot(&self, files: &Files, active_base: Offset) -> Option<Offset> {
        let trust = self.clean || mutation::on(Mutation::TrustNewerSnapshot);
        let trusted = if trust { Offset::MAX } else { self.points.recovery() };
        files.snapshots.iter().rev().copied().find(|&at| at <= trusted).filter(|&at| at > active_base)
    }

    /// What is read again anyway is learnt anew, and not taken from a snapshot: so the transactions that were aborted in
    /// it are learnt, too.
    fn may_begin_at(&self, files: &Files, at: Offset) -> bool {
        let recovery = self.points.recovery();
        let ends = files.logs.iter().skip(1).map(|&(base, _)| base).chain([Offset::MAX]);
        let first_read = files.logs.iter().zip(ends).find(|(_, end)| *end > recovery);
        self.clean || at <= recovery || first_read.is_none_or(|(&(base, _), _)| at <= base)
    }

    async fn remove_stray_snapshots(&self, files: &Files, active_base: Offset) -> Result<(), LogError> {
        let stray = |at: &Offset| self.is_stray(files, *at, active_base);
        let stray: Vec<Offset> = files.snapshots.iter().copied().filter(stray).collect();
        self.remove_snapshots(&stray).await
    }

    /// Durably: when the log has grown again, one that came back would be taken for true.
    async fn remove_snapshots(&self, snapshots: &[Offset]) -> Result<(), LogError> {
        for &at in snapshots {
            let path = self.path.join(crate::segment::file_name(at, "snapshot"));
            fs::remove_file(&path).await.map_err(|e| LogError::io(&path, "removing", &e))?;
        }
        if snapshots.is_empty() {
            return Ok(());
        }
        let synced = fs::sync_dir(&*self.path).await;
        synced.map_err(|e| LogError::io(&self.path, "flushing directory", &e))
    }

    /// Sealed segments were flushed before their successor began: a scan finds them whole, or damaged. Those that
    /// the recovery point does not cover are checked; those that the producer snapshot does not cover are replayed.
    async fn replay_sealed(
        &self,
        sealed: &[Segment],
        active_base: Offset,
        known: &mut Known,
        report: &mut RecoveryReport,
    ) -> Result<(), LogError> {
        for (number, segment) in sealed.iter().enumerate() {
            let end = sealed.get(number + 1).map_or(active_base, |next| next.base);
            let unflushed = !self.clean && end > self.points.recovery();
            if !unflushed && end <= known.from {
                continue;
            }
            let care = if unflushed { Care::Checksums } else { Care::Headers };
            let extent = Extent { base: segment.base, from: 0, end: segment.size(), care };
            let found = self.scan(segment.base, extent, report, |met| known.learn(met)).await?;
            if let Some(fault) = found.fault {
                return Err(self.damaged(segment.base, found.end, fault));
            }
            let aborted = std::mem::take(&mut known.aborted);
            if known.from <= segment.base {
                self.settle_txn_index(segment, &aborted).await?;
            }
        }
        Ok(())
    }

    async fn load_active(
        &self,
        start: Start,
        bytes: u64,
        known: &mut Known,
        report: &mut RecoveryReport,
    ) -> Result<Active, LogError> {
        let size = self.size(start.base, bytes)?;
        let named = self.read_txn_index(start.base).await?;
        known.aborted = named.iter().filter(|aborted| aborted.last_offset < known.from).copied().collect();
        if self.clean
            && let Some(mut active) = self.resume_clean(start.base, size).await?
            && active.end_offset <= known.from
            && active.end_offset >= self.points.recovery()
        {
            active.resumed.aborted = named;
            return Ok(active);
        }
        let mut active = self.scan_active(start, size, known, report).await?;
        let aborted = std::mem::take(&mut known.aborted);
        if aborted != named {
            self.replace_txn_index(active.base, &aborted).await?;
        }
        active.resumed.aborted = aborted;
        Ok(active)
    }

    /// After an orderly end the index files lead to the end of the segment. `None` if they do not.
    async fn resume_clean(&self, base: Offset, size: u32) -> Result<Option<Active>, LogError> {
        let at_rest = Segment::at_rest(self.path.clone(), base, size, AbortedIndex::none());
        let Ok(indexes) = at_rest.read_index_files().await? else { return Ok(None) };
        let (last, latest) = (indexes.offsets.last(), indexes.times.last());
        let from = last.map_or(0, |(_, position)| position);
        let indexed = last.map_or(-1, |(relative, _)| i64::from(relative));
        let is_indexed = latest.is_none_or(|(_, relative)| i64::from(relative) <= indexed);
        if from > size || (is_indexed && !self.is_latest(base, size, &indexes.offsets, latest).await?) {
            return Ok(None);
        }
        let mut tail_scan = TailScan::new(self, base, Indexer::resume(indexes.offsets, indexes.times));
        tail_scan.skip_first = from > 0;
        let extent = Extent { base, from, end: size, care: Care::Headers };
        // What is indexed from here on goes on from the last entries, which must be true for that.
        let mut is_named = last.is_none();
        let check = LatestCheck::new(base, latest);
        let mut check = if is_indexed { check.met() } else { check };
        let meet = |met: &Met| {
            let batch = met.info.indexed(base, met.position);
            is_named |= last == Some((batch.last_relative, batch.position));
            check.meet(&met.info);
            if is_named && check.may_hold() {
                tail_scan.meet(met);
            }
        };
        let found = self.scan(base, extent, &mut RecoveryReport::default(), meet).await?;
        let end_offset = found.end_offset.unwrap_or(base);
        if found.fault.is_some() || found.end != size || !is_named || !check.holds() {
            return Ok(None);
        }
        if from > 0 {
            tail_scan.first_timestamp = self.first_timestamp(base, size).await?;
        }
        Ok(Some(Active { base, resumed: tail_scan.finish(size).await?, end_offset, saved: size }))
    }

    async fn first_timestamp(&self, base: Offset, size: u32) -> Result<Option<i64>, LogError> {
        let file = self.reader(base).await?;
        let path = self.log_path(base);
        let header =
            file.read_at(0, size.min(61) as usize).await.map_err(|e| LogError::io(&path, "reading", &e))?;
        let parsed = crate::batch::BatchInfo::parse(&header);
        Ok(parsed.ok().map(|info| info.max_timestamp).filter(|&timestamp| timestamp >= 0))
    }

    async fn scan_active(
        &self,
        start: Start,
        size: u32,
        known: &mut Known,
        report: &mut RecoveryReport,
    ) -> Result<Active, LogError> {
        let base = start.base;
        let care = Care::NoGapsFrom(self.points.recovery());
        let extent = Extent { base, from: start.position, end: size, care };
        let (first_offset, saved) = (start.offset, if start.is_saved { start.position } else { 0 });
        let mut tail_scan = TailScan::from(self, start);
        let found = self
            .scan(base, extent, report, |met| {
                known.learn(met);
                tail_scan.meet(met);
            })
            .await?;
        let end_offset = found.end_offset.unwrap_or(first_offset);
        if end_offset < self.points.recovery() {
            let fault = found.fault.unwrap_or(Fault::Zeros);
            return Err(self.damaged(base, found.end, fault));
        }
        if found.fault.is_some_and(|fault| fault != Fault::Zeros) {
            report.torn_bytes = u64::from(size - found.end);
            let fault = found.fault.map(|fault| fault.to_string());
            tracing::warn!(path = %self.log_path(base).display(), position = found.end, ?fault, "torn write removed");
        }
        if end_offset > self.points.recovery() || found.end != size {
            self.cut(base, found.end).await?;
        }
        Ok(Active { base, resumed: tail_scan.finish(found.end).await?, end_offset, saved })
    }

    /// Removes what lies beyond the last good batch, and makes all before it durable: old batches beyond a hole
    /// must never look like the continuation of new ones, and what is served now must be there after the next crash.
    async fn cut(&self, base: Offset, end: u32) -> Result<(), LogError> {
        let path = self.log_path(base);
        let file = DirectFile::open(&path).await.map_err(|e| LogError::io(&path, "opening", &e))?;
        if file.size() != u64::from(end) && !mutation::on(Mutation::KeepStaleBatches) {
            file.truncate(u64::from(end)).await.map_err(|e| LogError::io(&path, "truncating", &e))?;
        }
        file.fdatasync().await.map_err(|e| LogError::flush(&path, "flushing", &e))?;
        file.close().await.map_err(|e| LogError::io(&path, "closing", &e))?;
        // A process that was killed may have made the file and not its name durable.
        fs::sync_dir(&*self.path).await.map_err(|e| LogError::flush(&self.path, "flushing directory", &e))
    }

    async fn scan(
        &self,
        base: Offset,
        extent: Extent,
        report: &mut RecoveryReport,
        meet: impl FnMut(&Met),
    ) -> Result<Found, LogError> {
        let file = self.reader(base).await?;
        let found = scan::scan_ahead(&file, &self.log_path(base), extent, self.ahead, meet).await?;
        report.segments_scanned += 1;
        report.bytes_scanned += u64::from(found.end - extent.from);
        Ok(found)
    }

    async fn reader(&self, base: Offset) -> Result<ReadHandle, LogError> {
        let path = self.log_path(base);
        ReadHandle::open(&path).await.map_err(|e| LogError::io(&path, "opening", &e))
    }

    fn log_path(&self, base: Offset) -> std::path::PathBuf {
        self.path.join(crate::segment::file_name(base, "log"))
    }

    fn damaged(&self, base: Offset, position: u32, fault: Fault) -> LogError {
        LogError::corrupt(&self.log_path(base), u64::from(position), fault.to_string())
    }
}

/// Rebuilds what is kept in memory of the newest segment while it is scanned.
struct TailScan<'a> {
    recovery: &'a Recovery,
    base: Offset,
    indexer: Indexer,
    first_timestamp: Option<i64>,
    /// The batch that the last index entry points at is in the indexes already.
    skip_first: bool,
}

impl<'a> TailScan<'a> {
    fn new(recovery: &'a Recovery, base: Offset, indexer: Indexer) -> TailScan<'a> {
        TailScan { recovery, base, indexer, first_timestamp: None, skip_first: false }
    }

    fn from(recovery: &'a Recovery, start: Start) -> TailScan<'a> {
        let Start { base, position, first_timestamp, indexer, .. } = start;
        TailScan { recovery, base, indexer, first_timestamp, skip_first: position > 0 }
    }

    fn meet(&mut self, met: &Met) {
        if met.position == 0 {
            self.first_timestamp = Some(met.info.max_timestamp).filter(|&timestamp| timestamp >= 0);
        }
        let batch = met.info.indexed(self.base, met.position);
        if std::mem::take(&mut self.skip_first) {
            self.indexer.resumed_at(batch);
        } else {
            self.indexer.noticed(batch, self.recovery.config.index_interval_bytes);
        }
    }

    async fn finish(self, size: u32) -> Result<Resumed, LogError> {
        let tail = self.read_tail(size).await?;
        let jitter_ms = self.recovery.config.draw_jitter_ms();
        let (first_timestamp, indexer, aborted) = (self.first_timestamp, self.indexer, Vec::new());
        Ok(Resumed { size, tail, first_timestamp, indexer, aborted, jitter_ms })
    }

    async fn read_tail(&self, size: u32) -> Result<Bytes, LogError> {
        let (from, path) = (block_floor(size), self.recovery.log_path(self.base));
        if from == size {
            return Ok(Bytes::new());
        }
        let file = self.recovery.reader(self.base).await?;
        let read = file.read_at(u64::from(from), (size - from) as usize).await;
        let tail = read.map_err(|e| LogError::io(&path, "reading", &e))?;
        if tail.len() as u32 != size - from {
            return Err(LogError::corrupt(&path, u64::from(from) + tail.len() as u64, "the file ends early"));
        }
        Ok(tail)
    }
}
