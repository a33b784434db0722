//! Counting: amounts, errors, and what a shard saw. Pure; each shard has its own, merged at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::latencies::Latencies;
use crate::measure::{Measure, Measures};

/// An amount of records in batches in requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    pub records: u64,
    /// Of keys and values, before compression; 0 where nobody looked into the batches.
    pub content_bytes: u64,
    /// Of batches as they go over the network, compressed where they are; 0 where it is not known.
    pub batch_bytes: u64,
    pub requests: u64,
}

impl Amount {
    pub fn add(&mut self, other: Amount) {
        self.records += other.records;
        self.content_bytes += other.content_bytes;
        self.batch_bytes += other.batch_bytes;
        self.requests += other.requests;
    }
}

/// Bound on the causes of errors that are told apart.
const MAX_CAUSES: usize = 100;
const OTHER_CAUSES: &str = "other causes";

/// A batch that leaves this long after it was ready, for no fault of the broker, has missed its send time.
pub const LATE: Duration = Duration::from_millis(1);

/// What one shard saw, or all together.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Acknowledged inside the measured time.
    pub produced: Amount,
    /// Received inside the measured time.
    pub consumed: Amount,
    /// Of what was begun inside the measured time.
    pub latencies: Measures,
    /// What was sent or received besides `produced` and `consumed`, by name; inside the measured time.
    pub amounts: BTreeMap<String, Amount>,
    /// What happened how often in the whole run, by name.
    pub counts: BTreeMap<String, u64>,
    /// Records by what went wrong with them; causes beyond [`MAX_CAUSES`] share a line.
    pub errors: BTreeMap<String, u64>,
    /// Records that were sent again, by what went wrong before.
    pub retries: BTreeMap<String, u64>,
    /// Records that were due and never sent, because the broker took no more.
    pub unsent: u64,
    /// How long the consumers read.
    pub reading: Duration,
    /// From the end of the warm-up until the last producer was done.
    pub lasted: Duration,
}

impl Stats {
    pub fn failed(&mut self, cause: &str, records: u64) {
        bump(&mut self.errors, cause, records);
    }

    pub fn retried(&mut self, cause: &str, records: u64) {
        bump(&mut self.retries, cause, records);
    }

    /// The latencies of this name.
    pub fn latency(&mut self, name: &str) -> &mut Latencies {
        self.latencies.of(&Measure::from_key(name))
    }

    /// The amount of this name.
    pub fn amount(&mut self, name: &str) -> &mut Amount {
        self.amounts.entry(name.to_owned()).or_default()
    }

    /// Something happened `times` more.
    pub fn count(&mut self, name: &str, times: u64) {
        *self.counts.entry(name.to_owned()).or_default() += times;
    }

    pub fn merge(&mut self, other: &Stats) {
        self.merge_named(other);
        self.produced.add(other.produced);
        self.consumed.add(other.consumed);
        self.latencies.merge(&other.latencies);
        other.errors.iter().for_each(|(cause, records)| self.failed(cause, *records));
        self.unsent += other.unsent;
        self.reading = self.reading.max(other.reading);
        self.lasted = self.lasted.max(other.lasted);
    }

    fn merge_named(&mut self, other: &Stats) {
        other.amounts.iter().for_each(|(name, amount)| self.amount(name).add(*amount));
        other.counts.iter().for_each(|(name, times)| self.count(name, *times));
        other.retries.iter().for_each(|(cause, records)| self.retried(cause, *records));
    }

    pub fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Latencies of one kind, empty when there are none.
    pub fn of(&self, measure: &Measure) -> &Latencies {
        self.latencies.get(measure)
    }
}

fn bump(counts: &mut BTreeMap<String, u64>, cause: &str, records: u64) {
    if records == 0 {
        return;
    }
    let known = counts.contains_key(cause) || counts.len() < MAX_CAUSES;
    let cause = if known { cause } else { OTHER_CAUSES };
    *counts.entry(cause.to_owned()).or_default() += records;
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn stats_of_shards_add_up() {
        let mut whole = Stats::default();
        for worst in [1, 5] {
            let mut one = Stats::default();
            one.produced.add(Amount { records: 10, content_bytes: 100, batch_bytes: 70, requests: 1 });
            one.failed("NOT_LEADER_OR_FOLLOWER", worst);
            one.failed("nothing", 0);
            one.latencies.record(&Measure::OwnDelay, MS * worst as u32, 1);
            one.latency("commit").record(MS, worst);
            one.amount("history").add(Amount { records: worst, ..Amount::default() });
            one.count("rebalances", worst);
            one.retried("NOT_LEADER_OR_FOLLOWER", worst);
            whole.merge(&one);
        }
        assert_eq!(whole.produced, Amount { records: 20, content_bytes: 200, batch_bytes: 140, requests: 2 });
        assert_eq!(whole.errors, BTreeMap::from([("NOT_LEADER_OR_FOLLOWER".to_owned(), 6)]));
        assert_eq!(whole.of(&Measure::OwnDelay).count(), 2);
        assert_eq!(whole.of(&Measure::OwnDelay).count_above(LATE), 1);
        assert_eq!((whole.latency("commit").count(), whole.amount("history").records), (6, 6));
        assert_eq!((whole.counts["rebalances"], whole.retries["NOT_LEADER_OR_FOLLOWER"]), (6, 6));
    }

    #[test]
    fn causes_of_errors_are_bounded_and_none_is_lost() {
        let mut stats = Stats::default();
        (0..1000).for_each(|n| stats.failed(&format!("cause {n}"), 1));
        assert_eq!(stats.error_count(), 1000);
        assert_eq!(stats.errors.len(), MAX_CAUSES + 1);
    }
}
