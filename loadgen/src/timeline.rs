//! What happened in which second of a run. Pure: the time of each event is an argument. Each shard keeps its own time
//! line; they are aligned at the start that all share, so that they add up slot by slot.
//!
//! A closed slot keeps its histograms packed: hundreds of bytes instead of hundreds of kilobytes.

use std::time::Duration;

use kring_runtime::Monotonic;

use crate::latencies::Latencies;
use crate::measure::{Measure, Measures};
use crate::stats::Amount;

/// More than these are of no use in a plot or a file: an hour has slots of 1 s, a day of 22 s.
const MAX_SLOTS: u64 = 4000;

/// How long a slot is in a run of this length: a second, or whole seconds so that there are not too many.
pub fn slot_length(run: Duration) -> Duration {
    Duration::from_secs(run.as_secs().div_ceil(MAX_SLOTS).max(1))
}

/// What happened in one slot; latencies belong to the slot in which they ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slot {
    pub produced: Amount,
    pub consumed: Amount,
    /// Records that failed.
    pub errors: u64,
    /// Requests in flight at the end of the slot.
    pub in_flight: u64,
    /// Part of its core that the busiest thread of the load generator used.
    pub busy: f64,
    pub latencies: Packed,
}

/// Histograms, packed.
pub type Packed = Vec<(Measure, Vec<u8>)>;

impl Slot {
    pub fn merge(&mut self, other: &Slot) {
        self.produced.add(other.produced);
        self.consumed.add(other.consumed);
        self.errors += other.errors;
        self.in_flight += other.in_flight;
        self.busy = self.busy.max(other.busy);
        if !other.latencies.is_empty() {
            let mut both = self.measures();
            both.merge(&other.measures());
            self.latencies = pack(&both);
        }
    }

    pub fn measures(&self) -> Measures {
        let mut measures = Measures::default();
        for (measure, bytes) in &self.latencies {
            measures.add(measure, &Latencies::unpack(bytes));
        }
        measures
    }
}

pub fn pack(measures: &Measures) -> Packed {
    measures.iter().map(|(measure, latencies)| (measure, latencies.pack())).collect()
}

/// The slots of one shard while it runs.
#[derive(Clone, Debug)]
pub struct Recorder {
    start: Monotonic,
    length: Duration,
    closed: Vec<Slot>,
    open: Slot,
    latencies: Measures,
}

impl Recorder {
    pub fn new(start: Monotonic, length: Duration) -> Recorder {
        assert!(length > Duration::ZERO, "a slot has a length");
        Recorder { start, length, closed: Vec::new(), open: Slot::default(), latencies: Measures::default() }
    }

    /// The slot of an event at `time`. What is told late counts in the slot that is open.
    pub fn at(&mut self, time: Monotonic) -> (&mut Slot, &mut Measures) {
        self.close_before(time);
        (&mut self.open, &mut self.latencies)
    }

    /// Closes the slots that end at or before `time`.
    pub fn close_before(&mut self, time: Monotonic) {
        while self.end_of(self.closed.len()) <= time {
            self.close();
        }
    }

    /// Of a slot.
    pub fn length(&self) -> Duration {
        self.length
    }

    /// When slot `index` ends.
    pub fn end_of(&self, index: usize) -> Monotonic {
        let slots = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
        self.start + self.length.saturating_mul(slots)
    }

    /// A closed slot, to add what is only known at its end.
    pub fn closed_mut(&mut self, index: usize) -> Option<&mut Slot> {
        self.closed.get_mut(index)
    }

    /// Everything until now.
    pub fn finish(mut self) -> Vec<Slot> {
        self.close();
        self.closed
    }

    fn close(&mut self) {
        let mut slot = std::mem::take(&mut self.open);
        slot.latencies = pack(&self.latencies);
        self.latencies.clear();
        self.closed.push(slot);
    }
}

/// Adds the slots of another shard, or of another instance that started at the same time.
pub fn merge(slots: &mut Vec<Slot>, others: &[Slot]) {
    if slots.len() < others.len() {
        slots.resize(others.len(), Slot::default());
    }
    slots.iter_mut().zip(others).for_each(|(slot, other)| slot.merge(other));
}

/// Puts the slots of the shards together as they come, for the live line: a slot is whole when every shard has told
/// it, and is not waited for once a later one is there.
#[derive(Debug)]
pub struct Gather {
    shards: usize,
    index: usize,
    told: usize,
    slot: Slot,
}

impl Gather {
    pub fn new(shards: usize) -> Gather {
        Gather { shards, index: 0, told: 0, slot: Slot::default() }
    }

    /// One shard tells its slot `index`; what to show, if anything.
    pub fn add(&mut self, index: usize, slot: &Slot) -> Option<Slot> {
        if index < self.index {
            return None;
        }
        if index > self.index {
            *self = Gather { index, ..Gather::new(self.shards) };
        }
        self.slot.merge(slot);
        self.told += 1;
        (self.told == self.shards).then(|| std::mem::take(&mut self.slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_nanos(7_000_000_000 + ms * 1_000_000)
    }

    fn recorder() -> Recorder {
        Recorder::new(at(0), SECOND)
    }

    fn count(recorder: &mut Recorder, ms: u64, records: u64) {
        let (slot, latencies) = recorder.at(at(ms));
        slot.produced.add(Amount { records, content_bytes: 10 * records, batch_bytes: records, requests: 1 });
        latencies.record(&Measure::Acknowledged, Duration::from_millis(ms), records);
    }

    #[test]
    fn events_are_counted_in_their_second_and_empty_seconds_stay() {
        let mut recorder = recorder();
        for (ms, records) in [(0, 1), (999, 2), (1000, 4), (3500, 8)] {
            count(&mut recorder, ms, records);
        }
        let slots = recorder.finish();
        assert_eq!(slots.iter().map(|slot| slot.produced.records).collect::<Vec<_>>(), [3, 4, 0, 8]);
        let latencies: Vec<u64> =
            slots.iter().map(|slot| slot.measures().get(&Measure::Acknowledged).count()).collect();
        assert_eq!(latencies, [3, 4, 0, 8]);
    }

    #[test]
    fn what_is_told_late_is_not_lost() {
        let mut recorder = recorder();
        recorder.close_before(at(2000));
        count(&mut recorder, 500, 3);
        let slots = recorder.finish();
        assert_eq!(slots.iter().map(|slot| slot.produced.records).collect::<Vec<_>>(), [0, 0, 3]);
    }

    #[test]
    fn shards_add_up_slot_by_slot() {
        let (mut one, mut two, mut whole) = (recorder(), recorder(), recorder());
        for n in 0..3000 {
            count(&mut whole, n, n);
            count(if n % 3 == 0 { &mut one } else { &mut two }, n, n);
        }
        count(&mut two, 4000, 1);
        count(&mut whole, 4000, 1);
        let mut merged = one.finish();
        merge(&mut merged, &two.finish());
        assert_eq!(merged, whole.finish());
    }

    #[test]
    fn a_long_run_has_longer_slots() {
        assert_eq!(slot_length(Duration::from_millis(10)), SECOND);
        assert_eq!(slot_length(4000 * SECOND), SECOND);
        assert_eq!(slot_length(86_400 * SECOND), 22 * SECOND);
    }

    #[test]
    fn a_live_slot_is_shown_when_all_shards_told_it_and_a_late_one_holds_nobody_up() {
        let told = |records| Slot { errors: records, ..Slot::default() };
        let mut gather = Gather::new(2);
        assert_eq!(gather.add(0, &told(1)), None);
        assert_eq!(gather.add(0, &told(2)).map(|slot| slot.errors), Some(3));
        assert_eq!(gather.add(1, &told(4)), None);
        assert_eq!(gather.add(2, &told(8)), None);
        assert_eq!(gather.add(1, &told(16)), None, "too late");
        assert_eq!(gather.add(2, &told(32)).map(|slot| slot.errors), Some(40));
    }
}
