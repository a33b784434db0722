//! Which part of a log is dirty, which log is cleaned first, and which segments become one.
//! Rules of Kafka's `LogCleanerManager`, `LogToClean` and `Cleaner.groupSegmentsBySize`. Decides only: no I/O, no
//! clock. Shard that owns the logs.

use std::ops::Range;

use super::config::CompactionConfig;
use crate::types::Offset;

/// What of a log decides whether and where to clean it, at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LogFacts {
    /// The oldest first; the last one is written to.
    pub segments: Vec<SegmentFacts>,
    pub start: Offset,
    pub end: Offset,
    /// Nothing at or above it is cleaned.
    pub last_stable_offset: Offset,
    /// What the last cleaning left behind, if there was one.
    pub checkpoint: Option<Offset>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SegmentFacts {
    pub base: Offset,
    pub bytes: u64,
    /// Its files are complete.
    pub is_sealed: bool,
}

/// The times of the dirty segments, the oldest first, as far as the settings ask for them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct DirtyTimes {
    /// Base of the first dirty segment whose largest timestamp is within `min.compaction.lag.ms` of now.
    pub first_too_young: Option<Offset>,
    /// The smallest timestamp that a dirty segment begins with.
    pub earliest: Option<i64>,
}

/// What a cleaning would do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cleanable {
    pub first_dirty: Offset,
    /// Base of the first segment that stays as it is.
    pub first_uncleanable: Offset,
    pub clean_bytes: u64,
    pub cleanable_bytes: u64,
    /// `max.compaction.lag.ms` has passed.
    pub is_overdue: bool,
}

impl Cleanable {
    /// The dirty part of what could be cleaned. An empty log has none.
    pub fn ratio(&self) -> f64 {
        match self.clean_bytes + self.cleanable_bytes {
            0 => 0.0,
            total => self.cleanable_bytes as f64 / total as f64,
        }
    }

    /// Whether it is worth it.
    pub fn is_due(&self, config: &CompactionConfig) -> bool {
        let overdue = self.is_overdue && self.cleanable_bytes > 0;
        overdue || self.ratio() > config.min_cleanable_dirty_ratio
    }
}

impl LogFacts {
    /// Where the dirty part begins. A checkpoint outside of the log is of no use: then all of it is dirty.
    pub fn first_dirty(&self) -> Offset {
        self.checkpoint.filter(|&offset| offset >= self.start && offset <= self.end).unwrap_or(self.start)
    }

    /// The dirty segments that might be cleaned: sealed, from the one on that holds the first dirty offset.
    pub fn dirty(&self) -> Range<usize> {
        let sealed = self.segments.len().saturating_sub(1).min(self.sealed());
        self.holding(self.first_dirty()).min(sealed)..sealed
    }

    pub fn cleanable(&self, config: &CompactionConfig, times: &DirtyTimes, now_ms: i64) -> Cleanable {
        let first_dirty = self.first_dirty();
        let bound = self.last_stable_offset.min(self.first_unsealed());
        let bound = times.first_too_young.map_or(bound, |young| young.min(bound)).max(first_dirty);
        let last = self.segments.len().saturating_sub(1);
        let first_kept = self.holding(bound).min(last);
        let from = self.holding(first_dirty).min(first_kept);
        let clean = self.segments.partition_point(|segment| segment.base < first_dirty);
        let latest_allowed = now_ms.saturating_sub(config.max_compaction_lag_ms.max(0));
        Cleanable {
            first_dirty,
            first_uncleanable: self.segments.get(first_kept).map_or(self.start, |segment| segment.base),
            clean_bytes: bytes(&self.segments[..clean]),
            cleanable_bytes: bytes(&self.segments[from..first_kept]),
            is_overdue: times.earliest.is_some_and(|earliest| earliest < latest_allowed),
        }
    }

    fn sealed(&self) -> usize {
        self.segments.iter().take_while(|segment| segment.is_sealed).count()
    }

    /// Base of the first segment that is still written to.
    fn first_unsealed(&self) -> Offset {
        let at = self.sealed().min(self.segments.len().saturating_sub(1));
        self.segments.get(at).map_or(self.start, |segment| segment.base)
    }

    /// The segment that holds `offset`, or would.
    fn holding(&self, offset: Offset) -> usize {
        self.segments.partition_point(|segment| segment.base <= offset).saturating_sub(1)
    }
}

fn bytes(segments: &[SegmentFacts]) -> u64 {
    segments.iter().map(|segment| segment.bytes).sum()
}

/// What of a segment decides about its neighbours in a cleaned one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grouped {
    pub base: Offset,
    pub bytes: u64,
    pub index_bytes: u64,
    pub time_index_bytes: u64,
}

/// Bounds of a cleaned segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupLimits {
    pub bytes: u64,
    pub index_bytes: u64,
    pub first_uncleanable: Offset,
}

/// Neighbours that together stay within the limits become one segment.
pub(crate) fn group(segments: &[Grouped], limits: GroupLimits) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let mut from = 0;
    while from < segments.len() {
        let mut to = from + 1;
        while to < segments.len() && fits(segments, from..to, limits) {
            to += 1;
        }
        groups.push(from..to);
        from = to;
    }
    groups
}

/// Whether the segment after the group may join it.
fn fits(segments: &[Grouped], group: Range<usize>, limits: GroupLimits) -> bool {
    let with = &segments[group.start..=group.end];
    let total = |of: fn(&Grouped) -> u64| with.iter().map(of).sum::<u64>();
    let next = segments[group.end];
    let end = segments.get(group.end + 1).map_or(limits.first_uncleanable, |after| after.base);
    let offsets = end + -1 - segments[group.start].base;
    total(|s| s.bytes) <= limits.bytes
        && total(|s| s.index_bytes) <= limits.index_bytes
        && total(|s| s.time_index_bytes) <= limits.index_bytes
        // An empty segment holds no offset that could be too far.
        && (next.bytes == 0 || offsets <= i64::from(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sealed segments of 100 bytes and ten offsets each, and the newest.
    fn facts(sealed: i64) -> LogFacts {
        let segment = |at: i64| SegmentFacts { base: Offset(at * 10), bytes: 100, is_sealed: at < sealed };
        let end = Offset(sealed * 10 + 5);
        LogFacts {
            segments: (0..=sealed).map(segment).collect(),
            start: Offset(0),
            end,
            last_stable_offset: end,
            checkpoint: None,
        }
    }

    fn cleanable(facts: &LogFacts) -> Cleanable {
        facts.cleanable(&CompactionConfig::default(), &DirtyTimes::default(), 1_000_000)
    }

    #[test]
    fn everything_but_the_newest_segment_is_dirty_at_first() {
        let found = cleanable(&facts(4));
        assert_eq!((found.first_dirty, found.first_uncleanable), (Offset(0), Offset(40)));
        assert_eq!((found.clean_bytes, found.cleanable_bytes), (0, 400));
        assert_eq!(found.ratio(), 1.0);
    }

    #[test]
    fn the_ratio_counts_what_has_been_cleaned_before() {
        let found = cleanable(&LogFacts { checkpoint: Some(Offset(30)), ..facts(4) });
        assert_eq!((found.clean_bytes, found.cleanable_bytes), (300, 100));
        let config = CompactionConfig { min_cleanable_dirty_ratio: 0.25, ..CompactionConfig::default() };
        assert!(!found.is_due(&config), "the ratio must be above the threshold, not at it");
        let config = CompactionConfig { min_cleanable_dirty_ratio: 0.24, ..config };
        assert!(found.is_due(&config));
    }

    #[test]
    fn a_checkpoint_outside_of_the_log_is_of_no_use() {
        for bad in [4, 46] {
            let log = LogFacts { start: Offset(5), checkpoint: Some(Offset(bad)), ..facts(4) };
            assert_eq!(log.first_dirty(), Offset(5), "{bad}");
        }
    }

    #[test]
    fn a_segment_with_an_undecided_record_is_not_cleaned() {
        let found = cleanable(&LogFacts { last_stable_offset: Offset(25), ..facts(4) });
        assert_eq!((found.first_uncleanable, found.cleanable_bytes), (Offset(20), 200));
    }

    #[test]
    fn a_segment_that_is_still_being_sealed_is_not_cleaned() {
        let mut log = facts(4);
        log.segments[2].is_sealed = false;
        assert_eq!(cleanable(&log).first_uncleanable, Offset(20));
        assert_eq!(log.dirty(), 0..2);
    }

    #[test]
    fn a_young_segment_holds_up_itself_and_all_after_it() {
        let times = DirtyTimes { first_too_young: Some(Offset(10)), earliest: None };
        let found = facts(4).cleanable(&CompactionConfig::default(), &times, 0);
        assert_eq!((found.first_uncleanable, found.cleanable_bytes), (Offset(10), 100));
    }

    #[test]
    fn an_overdue_record_is_reason_enough() {
        let log = LogFacts { checkpoint: Some(Offset(30)), ..facts(4) };
        let config = CompactionConfig { max_compaction_lag_ms: 100, ..CompactionConfig::default() };
        let times = |earliest| DirtyTimes { first_too_young: None, earliest: Some(earliest) };
        assert!(log.cleanable(&config, &times(899), 1_000).is_due(&config));
        assert!(!log.cleanable(&config, &times(900), 1_000).is_due(&config));
        let nothing = LogFacts { checkpoint: Some(Offset(40)), ..facts(4) };
        assert!(!nothing.cleanable(&config, &times(1), 1_000).is_due(&config));
    }

    #[test]
    fn a_log_without_a_sealed_segment_has_nothing_to_clean() {
        for log in [facts(0), LogFacts { segments: Vec::new(), ..facts(0) }] {
            let found = cleanable(&log);
            assert_eq!(found.cleanable_bytes, 0);
            assert!(
                !found.is_due(&CompactionConfig { min_cleanable_dirty_ratio: 0.0, ..Default::default() })
            );
        }
    }

    const LIMITS: GroupLimits =
        GroupLimits { bytes: 250, index_bytes: 100, first_uncleanable: Offset(1_000) };

    fn grouped(base: i64, bytes: u64, index_bytes: u64) -> Grouped {
        Grouped { base: Offset(base), bytes, index_bytes, time_index_bytes: 0 }
    }

    fn sizes(segments: &[Grouped], limits: GroupLimits) -> Vec<usize> {
        group(segments, limits).into_iter().map(|group| group.len()).collect()
    }

    #[test]
    fn neighbours_join_up_to_the_size_of_a_segment_and_of_its_indexes() {
        let four = [0, 10, 20, 30].map(|base| grouped(base, 100, 10));
        assert_eq!(sizes(&four, LIMITS), [2, 2]);
        let indexed = [0, 10, 20].map(|base| grouped(base, 1, 50));
        assert_eq!(sizes(&indexed, LIMITS), [2, 1]);
        assert_eq!(sizes(&[grouped(0, 900, 900)], LIMITS), [1], "one alone may be over");
    }

    #[test]
    fn a_cleaned_segment_spans_no_more_offsets_than_its_index_can_name() {
        let far = i64::from(i32::MAX);
        let two = [grouped(0, 1, 0), grouped(10, 1, 0)];
        let limits = |end| GroupLimits { first_uncleanable: Offset(end), ..LIMITS };
        assert_eq!(sizes(&two, limits(far + 1)), [2]);
        assert_eq!(sizes(&two, limits(far + 2)), [1, 1]);
        let empty = [grouped(0, 1, 0), grouped(10, 0, 0)];
        assert_eq!(sizes(&empty, limits(far + 2)), [2], "an empty one always joins");
    }
}
