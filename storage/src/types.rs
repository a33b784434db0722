//! The words of a log as types: offsets, epochs, producer ids, and the offsets of a log, which must stay in order.
//! Does no I/O and knows no file. Values only: any core.

use std::fmt;
use std::ops::{Add, Sub};

/// Position of a record in a partition, counted in records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub i64);

impl Offset {
    pub const ZERO: Offset = Offset(0);
    /// Later than every real offset: "no upper bound" for a read.
    pub const MAX: Offset = Offset(i64::MAX);

    pub fn next(self) -> Offset {
        Offset(self.0 + 1)
    }
}

impl Add<i64> for Offset {
    type Output = Offset;
    fn add(self, records: i64) -> Offset {
        Offset(self.0 + records)
    }
}

impl Sub for Offset {
    type Output = i64;
    fn sub(self, other: Offset) -> i64 {
        self.0 - other.0
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Term of a partition leader, as written into every batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaderEpoch(pub i32);

impl fmt::Display for LeaderEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Identity of an idempotent or transactional producer. Negative means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(pub i64);

impl ProducerId {
    pub const NONE: ProducerId = ProducerId(-1);

    pub fn is_some(self) -> bool {
        self.0 >= 0
    }
}

/// The offsets of one log. `start ≤ flushed ≤ written ≤ kept ≤ end`, `flushed ≤ durable ≤ kept` and `enlisted ≤ end` hold
/// after every change, or the process stops: an answer given on offsets out of order cannot be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOffsets {
    start: Offset,
    flushed: Offset,
    written: Offset,
    durable: Offset,
    kept: Offset,
    enlisted: Offset,
    end: Offset,
}

impl LogOffsets {
    /// A log as recovery leaves it: everything it holds is durable.
    pub fn recovered(start: Offset, end: Offset) -> LogOffsets {
        let offsets =
            LogOffsets { start, flushed: end, written: end, durable: end, kept: end, enlisted: end, end };
        offsets.assert_ordered();
        offsets
    }

    /// First offset that can be read.
    pub fn start(&self) -> Offset {
        self.start
    }

    /// Records below are on stable storage in their segments.
    pub fn flushed(&self) -> Offset {
        self.flushed
    }

    /// Records below are on stable storage, in their segments or in a journal: they outlive a power cut.
    pub fn durable(&self) -> Offset {
        self.durable
    }

    /// Records below are in their segments.
    pub fn written(&self) -> Offset {
        self.written
    }

    /// Records below have been taken by the operating system, in their segments or in a journal: they outlive this
    /// process.
    pub fn kept(&self) -> Offset {
        self.kept
    }

    /// Records below were given to the journal of commits, or were durable before.
    pub(crate) fn enlisted(&self) -> Offset {
        self.enlisted
    }

    /// Records below are durable, or a journal makes them so with a write that is under way or about to be.
    pub(crate) fn made_durable(&self) -> Offset {
        self.enlisted.max(self.durable)
    }

    /// Records below are in their segments, or readers find them in memory until they are.
    pub(crate) fn readable(&self) -> Offset {
        self.enlisted.max(self.kept)
    }

    /// The offset the next record gets.
    pub fn end(&self) -> Offset {
        self.end
    }

    pub(crate) fn appended_to(&mut self, end: Offset) {
        assert!(end > self.end, "an append must add records: {end} after {}", self.end);
        self.end = end;
    }

    pub(crate) fn written_to(&mut self, written: Offset) {
        assert!(written >= self.written, "written offset fell from {} to {written}", self.written);
        self.written = written;
        self.kept = self.kept.max(written);
        self.assert_ordered();
    }

    pub(crate) fn kept_to(&mut self, kept: Offset) {
        assert!(kept >= self.kept, "kept offset fell from {} to {kept}", self.kept);
        self.kept = kept;
        self.assert_ordered();
    }

    /// Flushes of two segments may end in either order, so an older, lower report is not a fault.
    pub(crate) fn flushed_to(&mut self, flushed: Offset) {
        self.flushed = self.flushed.max(flushed);
        self.durable = self.durable.max(flushed);
        self.assert_ordered();
    }

    /// The journal of commits is given what was appended last.
    pub(crate) fn enlisted_to(&mut self, enlisted: Offset) {
        self.enlisted = enlisted;
        self.assert_ordered();
    }

    /// A journal has them on stable storage. A flush of the segments may have been faster.
    pub(crate) fn durable_to(&mut self, durable: Offset) {
        self.durable = self.durable.max(durable);
        self.kept = self.kept.max(durable);
        self.assert_ordered();
    }

    pub(crate) fn start_at(&mut self, start: Offset) {
        assert!(start >= self.start, "log start offset fell from {} to {start}", self.start);
        self.start = start;
        self.assert_ordered();
    }

    fn assert_ordered(&self) {
        assert!(self.start <= self.flushed, "start {} above flushed {}", self.start, self.flushed);
        assert!(self.flushed <= self.written, "flushed {} above written {}", self.flushed, self.written);
        assert!(self.written <= self.kept, "written {} above kept {}", self.written, self.kept);
        assert!(self.flushed <= self.durable, "flushed {} above durable {}", self.flushed, self.durable);
        assert!(self.durable <= self.kept, "durable {} above kept {}", self.durable, self.kept);
        assert!(self.enlisted <= self.end, "enlisted {} above end {}", self.enlisted, self.end);
        assert!(self.kept <= self.end, "kept {} above end {}", self.kept, self.end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_advance_in_order() {
        let mut offsets = LogOffsets::recovered(Offset(3), Offset(10));
        offsets.appended_to(Offset(12));
        offsets.written_to(Offset(12));
        offsets.flushed_to(Offset(12));
        offsets.start_at(Offset(12));
        assert_eq!(
            (offsets.start(), offsets.flushed(), offsets.durable()),
            (Offset(12), Offset(12), Offset(12))
        );
    }

    #[test]
    fn a_journal_makes_durable_what_is_in_no_segment_yet() {
        let mut offsets = LogOffsets::recovered(Offset(0), Offset(10));
        offsets.appended_to(Offset(12));
        offsets.durable_to(Offset(11));
        assert_eq!((offsets.flushed(), offsets.written()), (Offset(10), Offset(10)));
        assert_eq!((offsets.durable(), offsets.kept()), (Offset(11), Offset(11)));
    }

    #[test]
    #[should_panic(expected = "flushed 11 above written 10")]
    fn flushed_never_passes_written() {
        let mut offsets = LogOffsets::recovered(Offset(0), Offset(10));
        offsets.appended_to(Offset(11));
        offsets.flushed_to(Offset(11));
    }

    #[test]
    fn a_late_report_of_an_older_flush_changes_nothing() {
        let mut offsets = LogOffsets::recovered(Offset(0), Offset(10));
        offsets.flushed_to(Offset(4));
        assert_eq!((offsets.flushed(), offsets.durable()), (Offset(10), Offset(10)));
    }
}
