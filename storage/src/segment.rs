//! One segment of a log: its size, its indexes, its open files, and how much of it is on disk already.
//! Decides nothing about offsets. Lives on the shard that owns the log.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bytes::Bytes;
use kring_runtime::disk::{DirectFile, ReadHandle};
use kring_runtime::fs;
use kring_runtime::local::Notify;

use crate::aborted::AbortedIndex;
use crate::ahead::Ahead;
use crate::batch::{BatchInfo, HeldBatch};
use crate::config::LogConfig;
use crate::dir::read_bytes;
use crate::error::LogError;
use crate::index::{Indexer, OffsetIndex, TIME_ENTRY_BYTES, TimeIndex, longest_index, position_of_time};
use crate::mutation::{self, Mutation};
use crate::scan;
use crate::shard::{ResidencyBudget, ShardStorage};
use crate::txn_index::AbortedTransaction;
use crate::types::Offset;

/// Unit of every write, and of what may be handed to the network without a copy.
pub(crate) const BLOCK_BYTES: u32 = 4096;

pub(crate) fn block_floor(position: u32) -> u32 {
    position & !(BLOCK_BYTES - 1)
}

/// No more than `i32::MAX` goes in: segments are never longer.
pub(crate) fn block_ceil(position: u32) -> u32 {
    block_floor(position + (BLOCK_BYTES - 1))
}

/// Kafka's name of a segment's file: the base offset in 20 digits.
pub(crate) fn file_name(base: Offset, suffix: &str) -> String {
    format!("{:020}.{suffix}", base.0)
}

/// The base offset of `<20 digits>.<suffix>`.
pub(crate) fn parse_file_name(name: &str, suffix: &str) -> Option<Offset> {
    let digits = name.strip_suffix(suffix)?.strip_suffix('.')?;
    let plain = digits.len() == 20 && digits.bytes().all(|c| c.is_ascii_digit());
    if plain { digits.parse().ok().map(Offset) } else { None }
}

/// One `.log` file and what belongs to it.
pub(crate) struct Segment {
    pub base: Offset,
    dir: Rc<Path>,
    created_ms: i64,
    /// How much sooner than `segment.ms` it ends.
    jitter_ms: i64,
    /// Bytes of all batches appended.
    size: Cell<u32>,
    /// Bytes of all batches the operating system has.
    written: Cell<u32>,
    /// Timestamp of the first batch, from which `segment.ms` counts.
    first_timestamp: Cell<Option<i64>>,
    sealed: Cell<bool>,
    /// Its index files are being written: the indexes in memory stay.
    sealing: Cell<bool>,
    /// The file is there, but its name may not outlive a crash yet.
    is_made: Cell<bool>,
    has_file: Cell<bool>,
    /// Taken out of its log: its files have other names now, or are gone.
    deleted: Cell<bool>,
    /// It is being replaced, or was: what is open stays open until nobody has the segment any more, because its path
    /// leads to another file now.
    held: Cell<bool>,
    replaced: Cell<bool>,
    /// The last, partial block of `written`: what a reader of it gets, and what the next write begins with.
    tail: RefCell<Bytes>,
    /// Batches behind `written` that the journal has, so that readers may see them.
    kept: RefCell<Option<Rc<KeptTail>>>,
    ahead: Cell<Ahead>,
    indexes: RefCell<Indexes>,
    aborted: RefCell<AbortedIndex>,
    /// The last time entry of a sealed segment, once it is known.
    last_time: Cell<Option<LastTime>>,
    /// There while somebody loads the indexes; tells when that has ended.
    loading: RefCell<Option<Notify>>,
    writer: RefCell<Option<Rc<DirectFile>>>,
    reader: RefCell<Option<ReadHandle>>,
    used: Cell<bool>,
}

/// A largest timestamp with the relative last offset of its batch; `None` if no record has a timestamp.
type LastTime = Option<(i64, u32)>;

/// A segment that grows keeps its indexes in memory; a sealed one loads them when a reader needs them.
enum Indexes {
    Growing(Box<Indexer>),
    Loaded(Rc<LoadedIndexes>),
    OnDisk,
}

/// The indexes of a segment at rest.
#[derive(Debug)]
pub(crate) struct LoadedIndexes {
    pub offsets: OffsetIndex,
    pub times: TimeIndex,
}

impl LoadedIndexes {
    fn heap_bytes(&self) -> usize {
        self.offsets.heap_bytes() + self.times.heap_bytes()
    }
}

/// What of a segment may be read, fixed at one moment: bytes below `stable` never change again.
pub(crate) struct SegmentView {
    pub stable: u32,
    tail: Bytes,
    kept: Option<Rc<KeptTail>>,
}

/// Batches that the journal has and the file has not, in order.
#[derive(Clone, Default)]
struct KeptTail {
    batches: VecDeque<HeldBatch>,
    bytes: u32,
}

impl SegmentView {
    pub fn end(&self) -> u32 {
        self.stable + self.tail.len() as u32 + self.kept.as_ref().map_or(0, |kept| kept.bytes)
    }

    /// What lies in memory of the bytes `from..to`, both at or above `stable`.
    pub fn memory(&self, from: u32, to: u32) -> Vec<Bytes> {
        let kept = self.kept.iter().flat_map(|kept| &kept.batches).flat_map(HeldBatch::parts);
        let mut at = self.stable;
        let mut found = Vec::new();
        for part in std::iter::once(&self.tail).chain(kept) {
            let end = at + part.len() as u32;
            let (first, last) = (from.max(at), to.min(end));
            if first < last {
                found.push(part.slice((first - at) as usize..(last - at) as usize));
            }
            at = end;
        }
        found
    }
}

impl Segment {
    /// A segment with no file yet.
    pub fn fresh(dir: Rc<Path>, base: Offset, now_ms: i64, jitter_ms: i64) -> Segment {
        let indexes = Indexes::Growing(Box::new(Indexer::new()));
        Segment { jitter_ms, ..Segment::new(dir, base, now_ms, indexes) }
    }

    /// A segment that takes no more batches, of this exact length.
    pub fn at_rest(dir: Rc<Path>, base: Offset, size: u32, aborted: AbortedIndex) -> Segment {
        let segment = Segment::new(dir, base, 0, Indexes::OnDisk);
        segment.size.set(size);
        segment.written.set(size);
        segment.sealed.set(true);
        segment.has_file.set(true);
        segment.aborted.replace(aborted);
        segment
    }

    /// The newest segment as recovery found it.
    pub fn resumed(dir: Rc<Path>, base: Offset, now_ms: i64, found: Resumed) -> Segment {
        let indexes = Indexes::Growing(Box::new(found.indexer));
        let segment = Segment { jitter_ms: found.jitter_ms, ..Segment::new(dir, base, now_ms, indexes) };
        segment.size.set(found.size);
        segment.written.set(found.size);
        segment.first_timestamp.set(found.first_timestamp);
        segment.has_file.set(true);
        assert_eq!(
            found.tail.len() as u32,
            found.size - block_floor(found.size),
            "the tail is the partial block"
        );
        segment.tail.replace(found.tail);
        segment.aborted.replace(AbortedIndex::Memory(found.aborted));
        segment
    }

    fn new(dir: Rc<Path>, base: Offset, created_ms: i64, indexes: Indexes) -> Segment {
        Segment {
            base,
            dir,
            created_ms,
            jitter_ms: 0,
            size: Cell::new(0),
            written: Cell::new(0),
            first_timestamp: Cell::new(None),
            sealed: Cell::new(false),
            sealing: Cell::new(false),
            is_made: Cell::new(false),
            has_file: Cell::new(false),
            deleted: Cell::new(false),
            held: Cell::new(false),
            replaced: Cell::new(false),
            tail: RefCell::default(),
            kept: RefCell::default(),
            ahead: Cell::default(),
            indexes: RefCell::new(indexes),
            aborted: RefCell::new(AbortedIndex::none()),
            last_time: Cell::new(None),
            loading: RefCell::default(),
            writer: RefCell::default(),
            reader: RefCell::default(),
            used: Cell::new(false),
        }
    }

    pub fn path(&self, suffix: &str) -> PathBuf {
        self.dir.join(file_name(self.base, suffix))
    }

    pub fn size(&self) -> u32 {
        self.size.get()
    }

    pub fn aborted(&self) -> &RefCell<AbortedIndex> {
        &self.aborted
    }

    pub fn written(&self) -> u32 {
        self.written.get()
    }

    /// It takes no more batches, and all it has is durable with its indexes.
    pub fn is_sealed(&self) -> bool {
        self.sealed.get()
    }

    /// Its file is there, and so is the name of it after a crash.
    pub fn has_file(&self) -> bool {
        self.has_file.get()
    }

    /// The log no longer has it. Whoever still reads it has its file open, or fails.
    pub fn is_deleted(&self) -> bool {
        self.deleted.get()
    }

    pub fn mark_deleted(&self) {
        self.deleted.set(true);
    }

    /// Another segment has taken its place. Whoever still reads it reads what it was.
    pub fn is_replaced(&self) -> bool {
        self.replaced.get()
    }

    /// Opens what a reader needs and keeps it, whatever the budget says, so that the files can get other names.
    pub async fn hold(self: &Rc<Self>, shard: &ShardStorage) -> Result<(), LogError> {
        self.held.set(true);
        self.reader(shard).await?;
        self.indexes(shard).await?;
        self.hold_aborted().await
    }

    /// Another segment has taken its place. What it holds is off the budget, and goes with its last reader.
    pub fn retire(&self, budget: &ResidencyBudget) {
        assert!(
            self.held.get() && !self.replaced.replace(true),
            "a segment is held, and then replaced, once"
        );
        let files = [self.writer.borrow().is_some(), self.reader.borrow().is_some()];
        budget.release(files.into_iter().map(usize::from).sum(), self.loaded_bytes());
    }

    fn loaded_bytes(&self) -> usize {
        match &*self.indexes.borrow() {
            Indexes::Loaded(loaded) => loaded.heap_bytes(),
            _ => 0,
        }
    }

    /// Bytes of the offset index and of the time index on disk; none where a file is missing.
    pub async fn index_file_bytes(&self) -> Result<(u64, u64), LogError> {
        Ok((self.file_bytes("index").await?, self.file_bytes("timeindex").await?))
    }

    async fn file_bytes(&self, suffix: &str) -> Result<u64, LogError> {
        let path = self.path(suffix);
        match fs::len(&path).await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            bytes => bytes.map_err(|e| LogError::io(&path, "looking for", &e)),
        }
    }

    /// Whether a batch has to go into a new segment instead. Kafka's rules, in Kafka's order.
    pub fn must_roll(&self, batch: &BatchInfo, config: &LogConfig, now_ms: i64) -> bool {
        let size = self.size.get();
        let full = u64::from(size) + u64::from(batch.bytes) > u64::from(config.segment_bytes);
        let waited_ms = match self.first_timestamp.get() {
            Some(first) => batch.max_timestamp.saturating_sub(first),
            None => now_ms.saturating_sub(self.created_ms),
        };
        let old = waited_ms > config.segment_ms - self.jitter_ms;
        let far = batch.last_offset() - self.base > i64::from(i32::MAX);
        size > 0 && (full || old || far || self.index_is_full(config))
    }

    fn index_is_full(&self, config: &LogConfig) -> bool {
        match &*self.indexes.borrow() {
            Indexes::Growing(indexer) => indexer.is_full(config.segment_index_bytes),
            _ => true,
        }
    }

    /// Whether the indexes are still being added to.
    pub fn is_growing(&self) -> bool {
        matches!(&*self.indexes.borrow(), Indexes::Growing(_))
    }

    /// The content of the index files, as far as the segment has grown; `None` once it grows no more.
    pub fn encode_indexes(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        match &*self.indexes.borrow() {
            Indexes::Growing(indexer) => Some((indexer.offsets.encode(), indexer.times.encode())),
            _ => None,
        }
    }

    /// Takes a batch at the end; returns the byte where it begins.
    pub fn append(&self, batch: &BatchInfo, config: &LogConfig) -> u32 {
        assert!(!self.sealed.get(), "append to a sealed segment");
        let position = self.size.get();
        if position == 0 && batch.max_timestamp >= 0 {
            self.first_timestamp.set(Some(batch.max_timestamp));
        }
        match &mut *self.indexes.borrow_mut() {
            Indexes::Growing(indexer) => {
                indexer.noticed(batch.indexed(self.base, position), config.index_interval_bytes);
            }
            _ => panic!("a growing segment keeps its indexes"),
        }
        self.size.set(position.checked_add(batch.bytes).expect("segments roll below 2 GiB"));
        position
    }

    /// A write ended: `tail` is the partial block at its end.
    pub fn wrote(&self, end: u32, tail: Bytes) {
        assert!(end > self.written.get(), "written position fell");
        assert_eq!(tail.len() as u32, end - block_floor(end), "the tail is the partial block");
        let before = self.written.replace(end);
        self.tail.replace(tail);
        self.forget_kept(before, end);
    }

    /// The journal has this batch, the next after those that are written or kept already.
    pub fn keep(&self, held: HeldBatch) {
        let mut kept = self.kept.borrow_mut();
        // A reader may hold what was there before.
        let kept = Rc::make_mut(kept.get_or_insert_default());
        kept.bytes += held.len() as u32;
        kept.batches.push_back(held);
    }

    fn forget_kept(&self, from: u32, to: u32) {
        let mut kept = self.kept.borrow_mut();
        let Some(left) = kept.as_mut().map(Rc::make_mut) else { return };
        let mut at = from;
        while at < to
            && let Some(batch) = left.batches.pop_front()
        {
            at += batch.len() as u32;
            left.bytes -= batch.len() as u32;
        }
        if left.batches.is_empty() {
            *kept = None;
        }
    }

    /// Has a say in how far the next write goes, or notes how it went.
    pub fn ahead<T>(&self, say: impl FnOnce(&mut Ahead) -> T) -> T {
        let mut ahead = self.ahead.get();
        let said = say(&mut ahead);
        self.ahead.set(ahead);
        said
    }

    /// What the next write begins with.
    pub fn tail_block(&self) -> Bytes {
        self.tail.borrow().clone()
    }

    pub fn view(&self) -> SegmentView {
        let written = self.written.get();
        let tail = self.tail.borrow().clone();
        SegmentView { stable: written - tail.len() as u32, tail, kept: self.kept.borrow().clone() }
    }

    /// The largest timestamp among all batches, with the last offset of its batch.
    pub async fn max_timestamp(self: &Rc<Self>, shard: &ShardStorage) -> Result<LastTime, LogError> {
        if let Indexes::Growing(indexer) = &*self.indexes.borrow() {
            return Ok(indexer.max_timestamp());
        }
        if let Some(known) = self.last_time.get() {
            return Ok(known);
        }
        let found = match self.read_last_time().await? {
            Some(entry) => Some(entry),
            None => self.indexes(shard).await?.times.last(),
        };
        self.last_time.set(Some(found));
        Ok(found)
    }

    /// The last entry of the time index, read alone: a round over all segments of a shard must not load all indexes.
    /// `None` if the file's end does not tell.
    async fn read_last_time(&self) -> Result<LastTime, LogError> {
        let path = self.path("timeindex");
        let failed = |e: std::io::Error| LogError::io(&path, "reading", &e);
        let bytes = match fs::len(&path).await {
            Ok(bytes) if bytes > 0 && bytes.is_multiple_of(TIME_ENTRY_BYTES as u64) => bytes,
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let file = ReadHandle::open(&path).await.map_err(failed)?;
        let entry = file.read_at(bytes - TIME_ENTRY_BYTES as u64, TIME_ENTRY_BYTES).await.map_err(failed)?;
        Ok(entry.first_chunk().and_then(TimeIndex::decode_last))
    }

    /// The largest timestamp, or the time of the last write if no record has one: what `retention.ms` counts from.
    pub async fn largest_timestamp(self: &Rc<Self>, shard: &ShardStorage) -> Result<i64, LogError> {
        if let Some((timestamp, _)) = self.max_timestamp(shard).await? {
            return Ok(timestamp);
        }
        let path = self.path("log");
        fs::modified_ms(&path).await.map_err(|e| LogError::io(&path, "looking for", &e))
    }

    /// Byte to scan from so as to meet the batch that holds `offset`, or the first one if that lies before them all.
    pub async fn lookup(self: &Rc<Self>, shard: &ShardStorage, offset: Offset) -> Result<u32, LogError> {
        let relative = u32::try_from((offset - self.base).max(0)).unwrap_or(u32::MAX);
        if let Indexes::Growing(indexer) = &*self.indexes.borrow() {
            return Ok(indexer.offsets.lookup(relative));
        }
        Ok(self.indexes(shard).await?.offsets.lookup(relative))
    }

    /// Last offset of the first indexed batch that begins at byte `position` or after it.
    pub async fn indexed_from(
        self: &Rc<Self>,
        shard: &ShardStorage,
        position: u32,
    ) -> Result<Option<Offset>, LogError> {
        let relative = match &*self.indexes.borrow() {
            Indexes::Growing(indexer) => Some(indexer.offsets.first_from(position)),
            _ => None,
        };
        let relative = match relative {
            Some(known) => known,
            None => self.indexes(shard).await?.offsets.first_from(position),
        };
        Ok(relative.map(|relative| self.base + i64::from(relative)))
    }

    /// Byte to scan from so as to meet the first batch whose largest timestamp is `timestamp` or later.
    pub async fn lookup_time(self: &Rc<Self>, shard: &ShardStorage, timestamp: i64) -> Result<u32, LogError> {
        if let Indexes::Growing(indexer) = &*self.indexes.borrow() {
            return Ok(position_of_time(&indexer.offsets, &indexer.times, timestamp));
        }
        let indexes = self.indexes(shard).await?;
        Ok(position_of_time(&indexes.offsets, &indexes.times, timestamp))
    }

    async fn indexes(self: &Rc<Self>, shard: &ShardStorage) -> Result<Rc<LoadedIndexes>, LogError> {
        loop {
            self.used.set(true);
            if let Indexes::Loaded(loaded) = &*self.indexes.borrow() {
                return Ok(loaded.clone());
            }
            // One loads, the others wait: a rebuild writes files.
            let loading = self.loading.borrow().as_ref().map(Notify::notified);
            match loading {
                Some(other) => other.await,
                None => {
                    let _turn = LoadTurn::begin(self);
                    let loaded = Rc::new(self.load_indexes(shard).await?);
                    self.keep_loaded(shard.budget(), loaded.clone());
                    // A tight budget may have taken them back already.
                    return Ok(loaded);
                }
            }
        }
    }

    fn keep_loaded(self: &Rc<Self>, budget: &ResidencyBudget, loaded: Rc<LoadedIndexes>) {
        let first = !self.is_resident();
        let bytes = loaded.heap_bytes();
        let before = self.indexes.replace(Indexes::Loaded(loaded));
        assert!(!matches!(before, Indexes::Loaded(_)), "indexes are loaded by one at a time");
        budget.charge(self, 0, bytes, first);
    }

    async fn load_indexes(self: &Rc<Self>, shard: &ShardStorage) -> Result<LoadedIndexes, LogError> {
        match self.read_index_files().await? {
            Ok(loaded) => Ok(loaded),
            Err(reason) => {
                tracing::warn!(segment = %self.path("log").display(), %reason, "rebuilding the indexes");
                self.rebuild_indexes(shard).await
            }
        }
    }

    /// The index files' content, or why they are of no use.
    pub async fn read_index_files(&self) -> Result<Result<LoadedIndexes, String>, LogError> {
        let Some((offsets, times)) = self.read_raw_indexes().await? else {
            return Ok(Err("an index file is missing or too long".to_string()));
        };
        let parsed = OffsetIndex::decode(&offsets, u64::from(self.size.get()))
            .and_then(|offsets| Ok(LoadedIndexes { offsets, times: TimeIndex::decode(&times)? }));
        Ok(parsed.map_err(|bad| bad.to_string()))
    }

    /// The index files as they lie there; `None` unless both are, and of a length that they can have.
    pub async fn read_raw_indexes(&self) -> Result<Option<(Vec<u8>, Vec<u8>)>, LogError> {
        Ok(self.read_file("index").await?.zip(self.read_file("timeindex").await?))
    }

    async fn read_file(&self, suffix: &str) -> Result<Option<Vec<u8>>, LogError> {
        let path = self.path(suffix);
        match read_bytes(&path, longest_index(self.size.get())).await {
            Err(LogError::Corrupt { cause, .. }) => {
                tracing::warn!(path = %path.display(), %cause, "an index is damaged");
                Ok(None)
            }
            read => read,
        }
    }

    async fn rebuild_indexes(self: &Rc<Self>, shard: &ShardStorage) -> Result<LoadedIndexes, LogError> {
        let file = self.reader(shard).await?;
        let mut indexer = Indexer::new();
        let extent =
            scan::Extent { base: self.base, from: 0, end: self.size.get(), care: scan::Care::Headers };
        let path = self.path("log");
        let found = scan::scan(&file, &path, extent, |batch| {
            indexer.noticed(
                batch.info.indexed(self.base, batch.position),
                LogConfig::default().index_interval_bytes,
            );
        })
        .await?;
        if let Some(fault) = found.fault {
            return Err(LogError::corrupt(&path, u64::from(found.end), fault.to_string()));
        }
        indexer.finish();
        let rebuilt = LoadedIndexes { offsets: indexer.offsets, times: indexer.times };
        self.write_indexes(&rebuilt).await?;
        Ok(rebuilt)
    }

    async fn write_indexes(&self, indexes: &LoadedIndexes) -> Result<(), LogError> {
        write_file(&self.path("timeindex"), &indexes.times.encode()).await?;
        write_file(&self.path("index"), &indexes.offsets.encode()).await
    }

    /// Ends the segment: exact length, index files. The data is durable already.
    pub async fn seal(self: &Rc<Self>, shard: &ShardStorage) -> Result<(), LogError> {
        let size = self.size.get();
        assert_eq!(self.written.get(), size, "sealing a segment before its last write");
        self.trim(shard).await?;
        self.sealing.set(true);
        let loaded = self.end_indexes(shard.budget());
        self.write_indexes(&loaded).await?;
        self.sealing.set(false);
        self.sealed.set(true);
        self.tail.replace(Bytes::new());
        self.close_writer(shard.budget());
        Ok(())
    }

    /// Readers go on using the indexes while their files are written. A sealing that found no room is tried again.
    fn end_indexes(self: &Rc<Self>, budget: &ResidencyBudget) -> Rc<LoadedIndexes> {
        if let Indexes::Loaded(loaded) = &*self.indexes.borrow() {
            return loaded.clone();
        }
        let Indexes::Growing(mut indexer) = self.indexes.replace(Indexes::OnDisk) else {
            panic!("a segment is sealed once")
        };
        if !mutation::on(Mutation::DropLastTimeEntry) {
            indexer.finish();
        }
        self.last_time.set(Some(indexer.max_timestamp()));
        let loaded = Rc::new(LoadedIndexes { offsets: indexer.offsets, times: indexer.times });
        self.keep_loaded(budget, loaded.clone());
        loaded
    }

    /// Cuts the padding of the last block off the file, durably.
    async fn trim(self: &Rc<Self>, shard: &ShardStorage) -> Result<(), LogError> {
        let file = self.writer(shard).await?;
        let path = self.path("log");
        file.truncate(u64::from(self.size.get())).await.map_err(|e| LogError::io(&path, "truncating", &e))?;
        if mutation::on(Mutation::SkipFlushAtRoll) {
            return Ok(());
        }
        file.fdatasync().await.map_err(|e| LogError::flush(&path, "flushing", &e))
    }

    /// The file to write to, made if this is the segment's first write.
    pub async fn writer(self: &Rc<Self>, shard: &ShardStorage) -> Result<Rc<DirectFile>, LogError> {
        self.used.set(true);
        if !self.has_file.get() {
            return self.create(shard).await;
        }
        if let Some(file) = &*self.writer.borrow() {
            return Ok(file.clone());
        }
        let path = self.path("log");
        let file = DirectFile::open(&path).await.map_err(|e| LogError::io(&path, "opening", &e))?;
        Ok(self.keep_writer(shard.budget(), file))
    }

    /// Makes the segment's file, its name durable before any record in it is acknowledged.
    async fn create(self: &Rc<Self>, shard: &ShardStorage) -> Result<Rc<DirectFile>, LogError> {
        let path = self.path("log");
        let made = match self.is_made.get() {
            true => DirectFile::open(&path).await,
            false => DirectFile::create(&path).await,
        };
        let file = made.map_err(|e| LogError::io(&path, "creating", &e))?;
        self.is_made.set(true);
        if !mutation::on(Mutation::SkipDirectoryFlush) {
            fs::sync_dir(&*self.dir)
                .await
                .map_err(|e| LogError::flush(&self.dir, "flushing directory", &e))?;
        }
        self.has_file.set(true);
        Ok(self.keep_writer(shard.budget(), file))
    }

    fn keep_writer(self: &Rc<Self>, budget: &ResidencyBudget, file: DirectFile) -> Rc<DirectFile> {
        let first = !self.is_resident();
        let file = Rc::new(file);
        if self.writer.replace(Some(file.clone())).is_none() {
            budget.charge(self, 1, 0, first);
        }
        file
    }

    pub async fn reader(self: &Rc<Self>, shard: &ShardStorage) -> Result<ReadHandle, LogError> {
        self.used.set(true);
        if let Some(file) = &*self.reader.borrow() {
            return Ok(file.clone());
        }
        let path = self.path("log");
        let opened = ReadHandle::open(&path).await;
        if let Some(file) = &*self.reader.borrow() {
            // Somebody else was faster; and if the segment is being replaced, the path may lead elsewhere already.
            return Ok(file.clone());
        }
        let file = opened.map_err(|e| LogError::io(&path, "opening", &e))?;
        let first = !self.is_resident();
        self.reader.replace(Some(file.clone()));
        shard.budget().charge(self, 1, 0, first);
        Ok(file)
    }

    fn is_resident(&self) -> bool {
        let loaded = matches!(&*self.indexes.borrow(), Indexes::Loaded(_));
        loaded || self.writer.borrow().is_some() || self.reader.borrow().is_some()
    }

    fn close_writer(&self, budget: &ResidencyBudget) {
        if self.writer.take().is_some() {
            budget.release(1, 0);
        }
    }

    /// Gives back what can be had again from disk. False if it was used lately or is needed: it keeps its turn.
    pub fn evict(&self, budget: &ResidencyBudget) -> bool {
        let writing = self.size.get() != self.written.get();
        let busy = self.writer.borrow().as_ref().is_some_and(|file| Rc::strong_count(file) > 1);
        if self.used.replace(false) || self.sealing.get() || self.held.get() || writing || busy {
            return false;
        }
        self.release_all(budget);
        true
    }

    /// Closes files and drops loaded indexes. Readers that hold a handle keep it.
    pub fn release_all(&self, budget: &ResidencyBudget) {
        if self.replaced.get() {
            return;
        }
        self.close_writer(budget);
        if self.reader.take().is_some() {
            budget.release(1, 0);
        }
        if let Indexes::Loaded(loaded) = &*self.indexes.borrow() {
            budget.release(0, loaded.heap_bytes());
        } else {
            return;
        }
        self.indexes.replace(Indexes::OnDisk);
    }
}

/// Held by whoever loads the indexes; given up also when the load fails or is abandoned.
struct LoadTurn<'a>(&'a Segment);

impl<'a> LoadTurn<'a> {
    fn begin(segment: &'a Segment) -> LoadTurn<'a> {
        let before = segment.loading.replace(Some(Notify::new()));
        assert!(before.is_none(), "indexes are loaded by one at a time");
        LoadTurn(segment)
    }
}

impl Drop for LoadTurn<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = self.0.loading.take() {
            waiting.notify_all();
        }
    }
}

/// What recovery found out about the newest segment.
pub(crate) struct Resumed {
    pub size: u32,
    pub tail: Bytes,
    pub first_timestamp: Option<i64>,
    pub indexer: Indexer,
    pub aborted: Vec<AbortedTransaction>,
    pub jitter_ms: i64,
}

/// Replaces a small file durably.
pub(crate) async fn write_file(path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    fs::write_atomic(path, bytes).await.map_err(|e| LogError::io(path, "writing", &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_kafkas() {
        assert_eq!(file_name(Offset(42), "log"), "00000000000000000042.log");
        assert_eq!(parse_file_name("00000000000000000042.log", "log"), Some(Offset(42)));
        for other in ["42.log", "00000000000000000042.index", "0000000000000000004x.log", "leader.log"] {
            assert_eq!(parse_file_name(other, "log"), None, "{other}");
        }
    }
}
