//! Whether all acknowledged records came back once and in order. Pure.
//!
//! Each producer numbers its records per partition in the order in which it sends them. [`Ledger`] keeps what was
//! promised for them, [`Arrivals`] what came back, and [`judge`] compares the two.

use std::collections::BTreeMap;

/// A producer's records in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stream {
    pub producer: u32,
    pub partition: i32,
}

/// Bound on remembered gaps of one stream: beyond it records count as lost at once.
const MAX_GAPS: usize = 10_000;

/// Half-open ranges of numbers, kept apart and in order.
#[derive(Clone, Debug, Default)]
struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    /// Adds a range that begins at or after the end of the last one.
    fn push(&mut self, from: u64, to: u64) {
        if let Some(mut last) = self.0.last_entry()
            && *last.get() == from
        {
            *last.get_mut() = to;
            return;
        }
        self.0.insert(from, to);
    }

    /// Takes one number out; false when it is not inside.
    fn take(&mut self, number: u64) -> bool {
        let Some((&from, &to)) = self.0.range(..=number).next_back() else { return false };
        if number >= to {
            return false;
        }
        self.0.remove(&from);
        if from < number {
            self.0.insert(from, number);
        }
        if number + 1 < to {
            self.0.insert(number + 1, to);
        }
        true
    }

    /// How many numbers are in both.
    fn overlap(&self, from: u64, to: u64) -> u64 {
        let before = self.0.range(..from).next_back();
        let within = self.0.range(from..to);
        let each = |(&a, &b): (&u64, &u64)| b.min(to).saturating_sub(a.max(from));
        before.into_iter().chain(within).map(each).sum()
    }
}

/// What the broker acknowledged.
#[derive(Clone, Debug, Default)]
pub struct Ledger(BTreeMap<Stream, Ranges>);

impl Ledger {
    /// The records `from..to` were acknowledged.
    pub fn acknowledged(&mut self, stream: Stream, from: u64, to: u64) {
        self.0.entry(stream).or_default().push(from, to);
    }

    pub fn merge(&mut self, other: Ledger) {
        for (stream, ranges) in other.0 {
            let own = self.0.entry(stream).or_default();
            own.0.extend(ranges.0);
        }
    }
}

/// What came back of one stream.
#[derive(Clone, Debug, Default)]
struct Arrived {
    next: u64,
    missing: Ranges,
    /// From here on there were too many gaps to remember each: what came is counted, and nothing else is known of it.
    counted_from: Option<u64>,
    counted: u64,
    doubled: u64,
    reordered: u64,
}

impl Arrived {
    /// The records from `next` to before `number` did not come, or not yet.
    fn skipped(&mut self, number: u64) {
        if self.counted_from.is_none() && self.missing.0.len() < MAX_GAPS {
            self.missing.push(self.next, number);
        } else {
            self.counted_from.get_or_insert(self.next);
        }
    }

    /// Acknowledged records that did not come: of this range, and how many of it can be told only by their number.
    fn lost(&self, from: u64, to: u64) -> (u64, u64) {
        let known_to = self.counted_from.map_or(to, |counted_from| to.min(counted_from.max(from)));
        let after = known_to.saturating_sub(from.max(self.next));
        (self.missing.overlap(from, known_to) + after, to - known_to)
    }
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    streams: BTreeMap<Stream, Arrived>,
    changed: u64,
}

impl Arrivals {
    /// Record `number` of the stream arrived.
    pub fn arrived(&mut self, stream: Stream, number: u64) {
        let arrived = self.streams.entry(stream).or_default();
        if number < arrived.next {
            if arrived.missing.take(number) {
                arrived.reordered += 1;
            } else {
                arrived.doubled += 1;
            }
            return;
        }
        if number > arrived.next {
            arrived.skipped(number);
        }
        arrived.counted += u64::from(arrived.counted_from.is_some());
        arrived.next = number + 1;
    }

    /// A record arrived whose value is not what was sent, or was sent to another topic.
    pub fn changed(&mut self) {
        self.changed += 1;
    }

    /// Streams do not overlap: a partition is read by one consumer.
    pub fn merge(&mut self, other: Arrivals) {
        self.changed += other.changed;
        self.streams.extend(other.streams);
    }
}

/// The result of a verification, in records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    pub acknowledged: u64,
    /// Acknowledged and never received.
    pub lost: u64,
    /// Received again.
    pub doubled: u64,
    /// Received after a later one.
    pub reordered: u64,
    /// Received with another value than was sent, or from another topic than it was sent to.
    pub changed: u64,
}

impl Judgement {
    pub fn is_good(&self) -> bool {
        self.wrong() == 0
    }

    /// Records that did not come back once, in order and unchanged.
    pub fn wrong(&self) -> u64 {
        self.lost + self.doubled + self.reordered + self.changed
    }

    /// Of two runs that verified records of their own.
    pub fn and(self, other: Judgement) -> Judgement {
        Judgement {
            acknowledged: self.acknowledged + other.acknowledged,
            lost: self.lost + other.lost,
            doubled: self.doubled + other.doubled,
            reordered: self.reordered + other.reordered,
            changed: self.changed + other.changed,
        }
    }
}

/// Compares what was promised with what came back.
pub fn judge(ledger: &Ledger, arrivals: &Arrivals) -> Judgement {
    let mut judgement = Judgement { changed: arrivals.changed, ..Judgement::default() };
    for arrived in arrivals.streams.values() {
        judgement.doubled += arrived.doubled;
        judgement.reordered += arrived.reordered;
    }
    let nothing = Arrived::default();
    for (stream, ranges) in &ledger.0 {
        let arrived = arrivals.streams.get(stream).unwrap_or(&nothing);
        let mut to_count = 0;
        for (&from, &to) in &ranges.0 {
            let (lost, counted) = arrived.lost(from, to);
            judgement.acknowledged += to - from;
            judgement.lost += lost;
            to_count += counted;
        }
        // Those that came and were not acknowledged are among them: there are so many lost at least.
        judgement.lost += to_count.saturating_sub(arrived.counted);
    }
    judgement
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: Stream = Stream { producer: 1, partition: 2 };

    fn judged(acknowledged: &[(u64, u64)], arrived: &[u64]) -> Judgement {
        let mut ledger = Ledger::default();
        let mut arrivals = Arrivals::default();
        acknowledged.iter().for_each(|&(from, to)| ledger.acknowledged(STREAM, from, to));
        arrived.iter().for_each(|&number| arrivals.arrived(STREAM, number));
        judge(&ledger, &arrivals)
    }

    #[test]
    fn everything_once_and_in_order_is_good() {
        let judgement = judged(&[(0, 2), (2, 5)], &[0, 1, 2, 3, 4]);
        assert_eq!(judgement, Judgement { acknowledged: 5, ..Judgement::default() });
        assert!(judgement.is_good());
    }

    #[test]
    fn a_lost_record_is_seen_in_the_middle_and_at_the_end() {
        assert_eq!(judged(&[(0, 5)], &[0, 1, 3, 4]).lost, 1);
        assert_eq!(judged(&[(0, 5)], &[0, 1]).lost, 3);
        assert_eq!(judged(&[(0, 5)], &[]).lost, 5);
    }

    #[test]
    fn a_record_that_was_not_acknowledged_may_be_missing_or_not() {
        assert!(judged(&[(0, 2), (4, 6)], &[0, 1, 4, 5]).is_good());
        assert!(judged(&[(0, 2), (4, 6)], &[0, 1, 2, 3, 4, 5]).is_good());
        assert_eq!(judged(&[(0, 2), (4, 6)], &[0, 1, 5]).lost, 1);
    }

    #[test]
    fn a_doubled_record_is_seen() {
        assert_eq!(judged(&[(0, 3)], &[0, 1, 1, 2]).doubled, 1);
        assert_eq!(judged(&[(0, 3)], &[0, 1, 2, 0, 1, 2]).doubled, 3);
    }

    #[test]
    fn swapped_records_are_reordered_and_not_lost() {
        let judgement = judged(&[(0, 4)], &[0, 2, 1, 3]);
        assert_eq!((judgement.reordered, judgement.lost, judgement.doubled), (1, 0, 0));
        assert_eq!(judged(&[(0, 4)], &[0, 2, 1, 1, 3]).doubled, 1);
    }

    #[test]
    fn records_that_failed_are_not_lost_however_many_there_are() {
        let odd: Vec<u64> = (0..3 * MAX_GAPS as u64).map(|number| 2 * number + 1).collect();
        let ranges: Vec<(u64, u64)> = odd.iter().map(|number| (*number, number + 1)).collect();
        let whole = judged(&ranges, &odd);
        assert_eq!((whole.acknowledged, whole.wrong()), (odd.len() as u64, 0));
        let without: Vec<u64> = odd.iter().copied().filter(|number| number % 1001 != 0).collect();
        let lost = judged(&ranges, &without).lost;
        assert_eq!(lost, (odd.len() - without.len()) as u64);
    }

    #[test]
    fn a_changed_record_is_not_good() {
        let mut arrivals = Arrivals::default();
        arrivals.changed();
        assert!(!judge(&Ledger::default(), &arrivals).is_good());
    }
}
