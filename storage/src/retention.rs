//! Which of a log's oldest segments are to go, by the rules of Kafka's `UnifiedLog.deleteOldSegments`.
//! Decides only: no I/O, no clock. Shard that owns the log.

use crate::types::Offset;

/// What of a log decides about its segments, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogFacts {
    /// Base offset and bytes of each segment, the oldest first; the last one is written to.
    pub segments: Vec<(Offset, u64)>,
    pub start: Offset,
    pub high_watermark: Offset,
    pub end: Offset,
}

impl LogFacts {
    /// How many of the oldest segments lie wholly below the log's start. Never the newest.
    pub fn below_start(&self) -> usize {
        let is_below = |at: &usize| {
            self.may_go(*at) && self.segments.get(at + 1).is_some_and(|next| next.0 <= self.start)
        };
        (0..self.segments.len()).take_while(is_below).count()
    }

    /// How many go in addition to the first `gone`, until what remains is hardly above `limit` bytes: none whose
    /// going would leave less than that.
    pub fn above_size(&self, gone: usize, limit: u64) -> usize {
        let remaining: u64 = self.segments[gone..].iter().map(|(_, bytes)| bytes).sum();
        let mut excess = remaining.saturating_sub(limit);
        let mut more = 0;
        if remaining < limit {
            return 0;
        }
        while let Some(&(_, bytes)) = self.segments.get(gone + more).filter(|_| self.may_go(gone + more)) {
            let Some(rest) = excess.checked_sub(bytes) else { break };
            (excess, more) = (rest, more + 1);
        }
        more
    }

    /// Whether this segment may be deleted at all: it has records, and all of them are committed, so that the log's
    /// start never passes the high watermark.
    pub fn may_go(&self, at: usize) -> bool {
        let Some(&(_, bytes)) = self.segments.get(at) else { return false };
        let next = self.segments.get(at + 1).map(|next| next.0);
        let holds_something = next.is_some() || bytes > 0;
        holds_something && self.high_watermark >= next.unwrap_or(self.end)
    }
}

/// Whether a segment whose largest timestamp is this is older than `retention_ms`. One of the future is not.
pub(crate) fn is_expired(largest_timestamp: i64, now_ms: i64, retention_ms: i64) -> bool {
    now_ms.saturating_sub(largest_timestamp) > retention_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments of `bytes` each with one record, all of it committed.
    fn facts(sizes: &[u64]) -> LogFacts {
        let segments: Vec<_> =
            sizes.iter().enumerate().map(|(at, &bytes)| (Offset(at as i64), bytes)).collect();
        let end = Offset(sizes.iter().filter(|&&bytes| bytes > 0).count() as i64);
        LogFacts { segments, start: Offset::ZERO, high_watermark: end, end }
    }

    #[test]
    fn size_takes_segments_until_one_more_would_leave_too_little() {
        // UnifiedLogTest.shouldDeleteSizeBasedSegments: 15 batches, five a segment, room for ten.
        assert_eq!(facts(&[5, 5, 5]).above_size(0, 10), 1);
        assert_eq!(facts(&[5, 5, 5]).above_size(0, 15), 0);
        assert_eq!(facts(&[5, 5, 5]).above_size(0, 11), 0, "ten would be left, and eleven are to be kept");
        assert_eq!(facts(&[5, 5, 5]).above_size(0, 4), 2);
        assert_eq!(facts(&[5, 5, 5]).above_size(1, 5), 1, "what goes anyway does not count");
    }

    #[test]
    fn a_limit_of_zero_bytes_takes_the_newest_segment_too_unless_it_is_empty() {
        assert_eq!(facts(&[5, 5, 5]).above_size(0, 0), 3);
        assert_eq!(facts(&[5, 5, 0]).above_size(0, 0), 2);
        assert_eq!(facts(&[0]).above_size(0, 0), 0);
        assert_eq!(facts(&[]).above_size(0, 0), 0);
    }

    #[test]
    fn nothing_goes_that_is_not_committed() {
        let mut log = facts(&[5, 5, 5]);
        log.high_watermark = Offset(2);
        assert_eq!(log.above_size(0, 0), 2);
        log.high_watermark = Offset(1);
        assert_eq!(log.above_size(0, 0), 1);
        log.high_watermark = Offset(0);
        assert_eq!(log.above_size(0, 0), 0);
        assert!(!log.may_go(0));
    }

    #[test]
    fn a_segment_is_below_the_start_when_its_successor_begins_there() {
        let mut log = facts(&[5, 5, 5]);
        let below = |log: &LogFacts, start| LogFacts { start: Offset(start), ..log.clone() }.below_start();
        assert_eq!([0, 1, 2, 3].map(|start| below(&log, start)), [0, 1, 2, 2]);
        log.high_watermark = Offset(1);
        assert_eq!(below(&log, 2), 1);
    }

    #[test]
    fn a_segment_expires_after_its_time_and_not_at_it() {
        assert!(!is_expired(1_000, 1_100, 100));
        assert!(is_expired(1_000, 1_101, 100));
        assert!(is_expired(1_000, 1_001, 0));
        assert!(!is_expired(2_000, 1_000, 0), "a timestamp of the future");
        assert!(!is_expired(i64::MAX, 0, 0));
    }
}
