//! What the logs of one shard share: the tail cache, flush epochs, and the budget of open files.
//! Knows logs only as things that can be flushed. Lives on its shard, single-threaded; clones are the same.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::rc::{Rc, Weak};

use kring_runtime::local::Notify;
use kring_runtime::{Queue, spawn};

use crate::arena::Arena;
use crate::behind::WriteBehind;
use crate::dir::LogDir;
use crate::journal::{CommitJournal, Journal};
use crate::log::Log;
use crate::segment::Segment;
use crate::slots::Slots;
use crate::tail::TailCache;

/// Budgets of one shard: its part of what the process may use.
#[derive(Clone, Copy, Debug)]
pub struct ShardConfig {
    /// Memory for recent batches.
    pub tail_cache_bytes: usize,
    /// Log files held open. Files in use beyond it stay open until they are not.
    pub open_files: usize,
    /// Memory for the indexes of sealed segments.
    pub index_cache_bytes: usize,
    /// Length of each of the two journals in each log directory; less than 2 MiB is none.
    pub journal_bytes: usize,
    /// So many flushed batches in a row, less than a second apart, have the journal for them made.
    pub commits_after: u32,
}

impl Default for ShardConfig {
    fn default() -> ShardConfig {
        ShardConfig {
            tail_cache_bytes: 64 << 20,
            open_files: 1024,
            index_cache_bytes: 32 << 20,
            journal_bytes: 16 << 20,
            commits_after: 16,
        }
    }
}

/// Shared context of a shard's logs.
#[derive(Clone)]
pub struct ShardStorage(Rc<Shared>);

struct Shared {
    tails: TailCache,
    arena: Arena,
    budget: ResidencyBudget,
    flushes: FlushEpochs,
    growth: Growth,
    slots: RefCell<BTreeMap<PathBuf, Slots>>,
    journal_bytes: usize,
    commits_after: u32,
    journals: RefCell<BTreeMap<PathBuf, Journal>>,
    commits: RefCell<BTreeMap<PathBuf, CommitJournal>>,
    behind: WriteBehind,
}

/// How much the logs that flush each write have grown since somebody asked: a recovery would look at it.
#[derive(Default)]
struct Growth {
    bytes: Cell<u64>,
    /// That many are waited for.
    awaited: Cell<u64>,
    reached: Notify,
}

impl ShardStorage {
    pub fn new(config: ShardConfig) -> ShardStorage {
        ShardStorage(Rc::new(Shared {
            tails: TailCache::new(config.tail_cache_bytes),
            arena: Arena::default(),
            budget: ResidencyBudget::new(config),
            flushes: FlushEpochs::default(),
            growth: Growth::default(),
            slots: RefCell::default(),
            journal_bytes: config.journal_bytes,
            commits_after: config.commits_after,
            journals: RefCell::default(),
            commits: RefCell::default(),
            behind: WriteBehind::default(),
        }))
    }

    /// Bytes of recent batches in memory.
    pub fn tail_cache_bytes(&self) -> usize {
        self.0.tails.used_bytes()
    }

    /// Log files this shard holds open.
    pub fn open_files(&self) -> usize {
        self.0.budget.files.get()
    }

    /// Until the logs have grown by so many bytes together since this was called last. One waits at a time.
    pub async fn grown_by(&self, bytes: u64) {
        let growth = &self.0.growth;
        growth.awaited.set(bytes);
        let reached = growth.reached.notified();
        if growth.bytes.get() < bytes {
            reached.await;
        }
        growth.bytes.set(0);
    }

    /// A log has grown.
    pub(crate) fn grew(&self, bytes: u64) {
        let growth = &self.0.growth;
        let before = growth.bytes.replace(growth.bytes.get() + bytes);
        if before < growth.awaited.get() && growth.bytes.get() >= growth.awaited.get() {
            growth.reached.notify_all();
        }
    }

    /// A simulated process is about to be gone, with what waits here for logs: the logs have this shard, and would keep its
    /// disk in memory for ever.
    #[cfg(test)]
    pub(crate) fn vanish(&self) {
        self.0.behind.vanish();
        self.0.commits.borrow().values().for_each(CommitJournal::vanish);
        self.0.flushes.due.take();
    }

    /// For the direct writes of all logs of a directory.
    pub(crate) fn slots(&self, dir: &LogDir) -> Slots {
        let mut all = self.0.slots.borrow_mut();
        all.entry(dir.path().to_path_buf()).or_insert_with(|| Slots::new(dir.disk().writes_at_once)).clone()
    }

    /// The journal for all logs of a directory.
    pub(crate) fn journal(&self, dir: &LogDir) -> Journal {
        let mut all = self.0.journals.borrow_mut();
        let new = || Journal::new(dir, self.0.journal_bytes);
        all.entry(dir.path().to_path_buf()).or_insert_with(new).clone()
    }

    /// The journal for all logs of a directory whose writes are flushed.
    pub(crate) fn commits(&self, dir: &LogDir) -> CommitJournal {
        let (bytes, after, slots) = (self.0.journal_bytes, self.0.commits_after, self.slots(dir));
        let mut all = self.0.commits.borrow_mut();
        let new = || CommitJournal::new(dir, bytes, after, slots);
        all.entry(dir.path().to_path_buf()).or_insert_with(new).clone()
    }

    pub(crate) fn behind(&self) -> &WriteBehind {
        &self.0.behind
    }

    pub(crate) fn tails(&self) -> &TailCache {
        &self.0.tails
    }

    pub(crate) fn arena(&self) -> &Arena {
        &self.0.arena
    }

    pub(crate) fn budget(&self) -> &ResidencyBudget {
        &self.0.budget
    }

    /// Puts a log into the next flush epoch.
    pub(crate) fn request_flush(&self, log: &Log) {
        let flushes = &self.0.flushes;
        flushes.due.borrow_mut().push(log.clone());
        if !flushes.running.replace(true) {
            spawn(Queue::Append, run_flush_epochs(self.clone())).detach();
        }
    }
}

/// All due fdatasyncs of the shard are issued together; the next epoch starts as the last one ends, and takes
/// what became due meanwhile: the slower the disk, the more records share a flush.
#[derive(Default)]
struct FlushEpochs {
    due: RefCell<Vec<Log>>,
    running: Cell<bool>,
}

async fn run_flush_epochs(shard: ShardStorage) {
    loop {
        let due = std::mem::take(&mut *shard.0.flushes.due.borrow_mut());
        if due.is_empty() {
            shard.0.flushes.running.set(false);
            return;
        }
        futures_util::future::join_all(due.iter().map(Log::flush_epoch)).await;
    }
}

/// Open files and loaded indexes, by use rather than by count of segments. Beyond the budget the segment that
/// has not been used for longest, by second chance, gives back what it holds.
pub(crate) struct ResidencyBudget {
    limit_files: usize,
    limit_index_bytes: usize,
    files: Cell<usize>,
    index_bytes: Cell<usize>,
    resident: RefCell<VecDeque<Weak<Segment>>>,
    /// Length of `resident` at which segments that are gone are swept out of it.
    sweep_at: Cell<usize>,
}

const SWEEP_AT_LEAST: usize = 256;

impl ResidencyBudget {
    fn new(config: ShardConfig) -> ResidencyBudget {
        ResidencyBudget {
            limit_files: config.open_files,
            limit_index_bytes: config.index_cache_bytes,
            files: Cell::new(0),
            index_bytes: Cell::new(0),
            resident: RefCell::default(),
            sweep_at: Cell::new(SWEEP_AT_LEAST),
        }
    }

    /// A segment opened files or loaded indexes. `first` when it held nothing before.
    pub fn charge(&self, segment: &Rc<Segment>, files: usize, index_bytes: usize, first: bool) {
        self.files.set(self.files.get() + files);
        self.index_bytes.set(self.index_bytes.get() + index_bytes);
        if first {
            self.resident.borrow_mut().push_back(Rc::downgrade(segment));
            self.sweep();
        }
        self.shrink();
    }

    /// Logs come and go without ever reaching the budget: what they leave here stays bounded.
    fn sweep(&self) {
        let mut resident = self.resident.borrow_mut();
        if resident.len() >= self.sweep_at.get() {
            resident.retain(|segment| segment.strong_count() > 0);
            self.sweep_at.set(SWEEP_AT_LEAST.max(2 * resident.len()));
        }
    }

    pub fn release(&self, files: usize, index_bytes: usize) {
        self.files.set(self.files.get() - files);
        self.index_bytes.set(self.index_bytes.get() - index_bytes);
    }

    fn over(&self) -> bool {
        self.files.get() > self.limit_files || self.index_bytes.get() > self.limit_index_bytes
    }

    fn shrink(&self) {
        self.evict_while(ResidencyBudget::over);
    }

    /// The process has no descriptor left, whatever the budget says: closes half of what may be closed.
    pub fn give_back(&self) {
        let goal = self.files.get() / 2;
        self.evict_while(|budget| budget.files.get() > goal);
    }

    fn evict_while(&self, is_wanted: impl Fn(&ResidencyBudget) -> bool) {
        let mut chances = 2 * self.resident.borrow().len();
        while is_wanted(self) && chances > 0 {
            chances -= 1;
            let Some(oldest) = self.resident.borrow_mut().pop_front() else { return };
            let Some(segment) = oldest.upgrade() else { continue };
            if !segment.evict(self) {
                self.resident.borrow_mut().push_back(oldest);
            }
        }
    }
}
