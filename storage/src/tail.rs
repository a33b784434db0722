//! The memory of recent batches that consumers at the tail are served from, under one byte budget a shard.
//! Never touches a file; what it forgets is on disk. Lives on the shard, single-threaded.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

use bytes::Bytes;

use crate::batch::{BatchInfo, HeldBatch};
use crate::types::Offset;

/// What one cached batch costs beside its bytes.
const ENTRY_OVERHEAD_BYTES: usize = size_of::<TailBatch>() + size_of::<Weak<LogTail>>();

/// The shard's budget. The oldest batch of the shard goes first, whichever log it belongs to.
#[derive(Debug)]
pub(crate) struct TailCache {
    limit_bytes: usize,
    used_bytes: Cell<usize>,
    /// One entry for every cached batch, in order of arrival.
    arrivals: RefCell<VecDeque<Weak<LogTail>>>,
    /// Number of arrivals at which those of forgotten logs are swept out.
    sweep_at: Cell<usize>,
}

const SWEEP_AT_LEAST: usize = 1024;

/// The recent batches of one log, oldest first, without gaps.
#[derive(Debug, Default)]
pub(crate) struct LogTail {
    batches: RefCell<VecDeque<TailBatch>>,
}

#[derive(Clone, Debug)]
struct TailBatch {
    base_offset: Offset,
    last_offset: Offset,
    place: Place,
    held: HeldBatch,
}

/// Where a batch begins: segment and byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub segment: Offset,
    pub position: u32,
}

/// Whole batches from memory.
#[derive(Debug, Default)]
pub(crate) struct TailRead {
    pub parts: Vec<Bytes>,
    pub bytes: usize,
    /// The first batch is longer than the reader takes, and nothing was read.
    pub first_too_large: bool,
    /// After the last of them, in its segment; `None` if nothing below the bound is here.
    pub end: Option<Place>,
}

impl TailCache {
    pub fn new(limit_bytes: usize) -> TailCache {
        TailCache {
            limit_bytes,
            used_bytes: Cell::new(0),
            arrivals: RefCell::default(),
            sweep_at: Cell::new(SWEEP_AT_LEAST),
        }
    }

    pub fn insert(&self, tail: &Rc<LogTail>, info: &BatchInfo, place: Place, held: HeldBatch) {
        let bytes = held.len() + ENTRY_OVERHEAD_BYTES;
        if bytes > self.limit_bytes {
            // A gap would make the batches before it look adjacent to those after it.
            self.forget(tail);
            return;
        }
        let (base_offset, last_offset) = (info.base_offset, info.last_offset());
        tail.batches.borrow_mut().push_back(TailBatch { base_offset, last_offset, place, held });
        self.arrivals.borrow_mut().push_back(Rc::downgrade(tail));
        self.used_bytes.set(self.used_bytes.get() + bytes);
        while self.used_bytes.get() > self.limit_bytes {
            self.evict_oldest();
        }
        self.sweep();
    }

    /// Logs come and go without ever reaching the budget: what they leave here stays bounded.
    fn sweep(&self) {
        let mut arrivals = self.arrivals.borrow_mut();
        if arrivals.len() >= self.sweep_at.get() {
            arrivals.retain(|tail| tail.upgrade().is_some_and(|tail| !tail.batches.borrow().is_empty()));
            self.sweep_at.set(SWEEP_AT_LEAST.max(2 * arrivals.len()));
        }
    }

    /// Drops all of one log: it is closed, deleted, or about to have a gap.
    pub fn forget(&self, tail: &LogTail) {
        let dropped: Vec<TailBatch> = tail.batches.borrow_mut().drain(..).collect();
        let bytes: usize = dropped.iter().map(TailBatch::cost).sum();
        self.used_bytes.set(self.used_bytes.get() - bytes);
    }

    /// Drops what lies in the log's segments that begin below `end`: their bytes have other places now.
    pub fn forget_segments(&self, tail: &LogTail, end: Offset) {
        let mut batches = tail.batches.borrow_mut();
        while let Some(gone) = batches.pop_front_if(|batch| batch.place.segment < end) {
            self.used_bytes.set(self.used_bytes.get() - gone.cost());
        }
    }

    pub fn used_bytes(&self) -> usize {
        self.used_bytes.get()
    }

    fn evict_oldest(&self) {
        let oldest = self.arrivals.borrow_mut().pop_front().expect("bytes in use belong to an arrival");
        // A log that was forgotten leaves its arrivals behind.
        let Some(tail) = oldest.upgrade() else { return };
        let evicted = tail.batches.borrow_mut().pop_front();
        if let Some(batch) = evicted {
            self.used_bytes.set(self.used_bytes.get() - batch.cost());
        }
    }
}

impl LogTail {
    /// Whole batches from the one that holds `offset` on, below `upto`. `None` if that one is not here.
    pub fn read(&self, offset: Offset, upto: Offset, max_bytes: usize, min_one: bool) -> Option<TailRead> {
        let batches = self.batches.borrow();
        let first = self.find(&batches, offset)?;
        let mut read = TailRead::default();
        for batch in batches.range(first..).take_while(|batch| batch.last_offset < upto) {
            let fits = read.bytes + batch.held.len() <= max_bytes;
            let is_first = read.parts.is_empty();
            read.end.get_or_insert(batch.place);
            let taken = fits || (is_first && min_one);
            if !taken {
                read.first_too_large = is_first;
                break;
            }
            batch.held.push_to(&mut read.parts);
            read.bytes += batch.held.len();
            read.end = Some(batch.end());
        }
        Some(read)
    }

    /// Where the batch that begins at `offset` lies, if it is here.
    pub fn place_of(&self, offset: Offset) -> Option<Place> {
        let batches = self.batches.borrow();
        let at = self.find(&batches, offset)?;
        (batches[at].base_offset == offset).then_some(batches[at].place)
    }

    fn find(&self, batches: &VecDeque<TailBatch>, offset: Offset) -> Option<usize> {
        let at = batches.partition_point(|batch| batch.last_offset < offset);
        (batches.get(at)?.base_offset <= offset).then_some(at)
    }
}

impl TailBatch {
    fn end(&self) -> Place {
        Place { position: self.place.position + self.held.len() as u32, ..self.place }
    }

    fn cost(&self) -> usize {
        self.held.len() + ENTRY_OVERHEAD_BYTES
    }
}

impl Drop for LogTail {
    fn drop(&mut self) {
        // The budget would leak: whoever drops a log forgets its tail first.
        debug_assert!(self.batches.get_mut().is_empty() || std::thread::panicking());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Arena;
    use crate::testing::batch_of;

    fn cache_with(limit: usize, counts: &[i32]) -> (TailCache, Rc<LogTail>) {
        let (cache, tail) = (TailCache::new(limit), Rc::new(LogTail::default()));
        let mut offset = 0;
        for &records in counts {
            let batch = batch_of(offset, records, 100);
            let info = BatchInfo::parse(&batch.header).unwrap();
            let place = Place { segment: Offset(0), position: offset as u32 * 1000 };
            cache.insert(&tail, &info, place, HeldBatch::new(batch, &Arena::default()));
            offset += i64::from(records);
        }
        (cache, tail)
    }

    fn one() -> usize {
        HeldBatch::new(batch_of(0, 1, 100), &Arena::default()).len()
    }

    #[test]
    fn an_offset_inside_a_batch_returns_the_whole_batch() {
        let (cache, tail) = cache_with(1 << 20, &[3, 3, 3]);
        let read = tail.read(Offset(4), Offset::MAX, 1 << 20, true).unwrap();
        assert_eq!(read.parts.len(), 2);
        assert_eq!(read.bytes, 2 * one());
        cache.forget(&tail);
    }

    #[test]
    fn nothing_at_or_above_the_bound_is_read() {
        let (cache, tail) = cache_with(1 << 20, &[3, 3, 3]);
        assert_eq!(tail.read(Offset(0), Offset(6), 1 << 20, true).unwrap().parts.len(), 2);
        assert_eq!(tail.read(Offset(0), Offset(5), 1 << 20, true).unwrap().parts.len(), 1);
        cache.forget(&tail);
    }

    #[test]
    fn a_first_batch_over_the_limit_comes_whole_or_not_at_all() {
        let (cache, tail) = cache_with(1 << 20, &[3, 3]);
        assert_eq!(tail.read(Offset(0), Offset::MAX, 10, true).unwrap().bytes, one());
        let refused = tail.read(Offset(0), Offset::MAX, 10, false).unwrap();
        assert!(refused.first_too_large);
        assert!(refused.parts.is_empty());
        cache.forget(&tail);
    }

    #[test]
    fn the_budget_evicts_the_oldest_batch_of_the_shard() {
        let room_for_two = 2 * (one() + ENTRY_OVERHEAD_BYTES);
        let (cache, tail) = cache_with(room_for_two, &[1, 1, 1]);
        assert!(tail.read(Offset(0), Offset::MAX, 1000, true).is_none());
        assert!(tail.read(Offset(1), Offset::MAX, 1000, true).is_some());
        assert_eq!(cache.used_bytes(), room_for_two);
        let other = Rc::new(LogTail::default());
        let batch = batch_of(0, 1, 100);
        let info = BatchInfo::parse(&batch.header).unwrap();
        cache.insert(
            &other,
            &info,
            Place { segment: Offset(0), position: 0 },
            HeldBatch::new(batch, &Arena::default()),
        );
        assert!(tail.read(Offset(1), Offset::MAX, 1000, true).is_none());
        cache.forget(&tail);
        cache.forget(&other);
        assert_eq!(cache.used_bytes(), 0);
    }

    #[test]
    fn logs_that_come_and_go_leave_nothing_behind() {
        let cache = TailCache::new(1 << 30);
        for _ in 0..5000 {
            let tail = Rc::new(LogTail::default());
            let batch = batch_of(0, 1, 10);
            let info = BatchInfo::parse(&batch.header).unwrap();
            cache.insert(
                &tail,
                &info,
                Place { segment: Offset(0), position: 0 },
                HeldBatch::new(batch, &Arena::default()),
            );
            cache.forget(&tail);
        }
        assert_eq!(cache.used_bytes(), 0);
        assert!(cache.arrivals.borrow().len() <= SWEEP_AT_LEAST);
    }

    #[test]
    fn batches_of_replaced_segments_are_forgotten_and_the_others_stay() {
        let (cache, tail) = (TailCache::new(1 << 20), Rc::new(LogTail::default()));
        for (offset, segment) in [(0, 0), (1, 0), (2, 2)] {
            let batch = batch_of(offset, 1, 100);
            let info = BatchInfo::parse(&batch.header).unwrap();
            let place = Place { segment: Offset(segment), position: 0 };
            cache.insert(&tail, &info, place, HeldBatch::new(batch, &Arena::default()));
        }
        let used = cache.used_bytes();
        cache.forget_segments(&tail, Offset(2));
        assert_eq!(cache.used_bytes(), used / 3);
        assert!(tail.read(Offset(1), Offset::MAX, 1000, true).is_none());
        assert!(tail.read(Offset(2), Offset::MAX, 1000, true).is_some());
        cache.forget(&tail);
    }

    #[test]
    fn a_batch_larger_than_the_budget_leaves_no_gap() {
        let (cache, tail) = cache_with(2000, &[1]);
        let big = batch_of(1, 1, 4000);
        let info = BatchInfo::parse(&big.header).unwrap();
        cache.insert(
            &tail,
            &info,
            Place { segment: Offset(0), position: 161 },
            HeldBatch::new(big, &Arena::default()),
        );
        assert!(tail.read(Offset(0), Offset::MAX, 1000, true).is_none());
        assert_eq!(cache.used_bytes(), 0);
    }
}
