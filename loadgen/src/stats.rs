//! Counting: latency histograms, amounts, errors. Pure; each shard has its own, merged at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Latencies are kept from 1 µs to 1 hour with three significant digits.
pub const LOWEST_NS: u64 = 1_000;
pub const HIGHEST_NS: u64 = 3_600_000_000_000;
pub const DIGITS: u8 = 3;

/// Latencies in nanoseconds.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(LOWEST_NS, HIGHEST_NS, DIGITS);
        Latencies(histogram.expect("the bounds are constants that fit"))
    }
}

impl Latencies {
    /// Longer than the highest value counts as the highest.
    pub fn record(&mut self, latency: Duration, count: u64) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.0.saturating_record_n(nanos, count);
    }

    pub fn merge(&mut self, other: &Latencies) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    pub fn count(&self) -> u64 {
        self.0.len()
    }

    pub fn clear(&mut self) {
        self.0.reset();
    }

    pub fn summary(&self) -> Summary {
        let quantile = |q| Duration::from_nanos(self.0.value_at_quantile(q));
        let max = Duration::from_nanos(self.0.max());
        Summary {
            count: self.0.len(),
            mean: Duration::from_nanos(self.0.mean() as u64),
            p50: quantile(0.5).min(max),
            p99: quantile(0.99).min(max),
            p999: quantile(0.999).min(max),
            p9999: quantile(0.9999).min(max),
            max,
        }
    }
}

/// What a table shows of a histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub count: u64,
    pub mean: Duration,
    pub p50: Duration,
    pub p99: Duration,
    pub p999: Duration,
    pub p9999: Duration,
    pub max: Duration,
}

/// An amount of records in batches in requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    pub records: u64,
    pub bytes: u64,
    pub requests: u64,
}

impl Amount {
    pub fn add(&mut self, other: Amount) {
        self.records += other.records;
        self.bytes += other.bytes;
        self.requests += other.requests;
    }
}

/// How late the load generator itself was: waiting for the broker does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lateness {
    pub batches: u64,
    pub late_batches: u64,
    pub worst: Duration,
}

/// A batch that leaves this long after it was ready, for no fault of the broker, is late.
pub const LATE: Duration = Duration::from_millis(1);

impl Lateness {
    pub fn note(&mut self, late_by: Duration) {
        self.batches += 1;
        self.late_batches += u64::from(late_by > LATE);
        self.worst = self.worst.max(late_by);
    }

    pub fn merge(&mut self, other: Lateness) {
        self.batches += other.batches;
        self.late_batches += other.late_batches;
        self.worst = self.worst.max(other.worst);
    }

    /// Part of the batches that left late.
    pub fn share(&self) -> f64 {
        if self.batches == 0 { 0.0 } else { self.late_batches as f64 / self.batches as f64 }
    }
}

/// What one shard saw, or all together.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Acknowledged inside the measured time.
    pub produced: Amount,
    /// Received inside the measured time.
    pub consumed: Amount,
    /// From the intended send time to the acknowledgement.
    pub acknowledged: Latencies,
    /// From the intended send time to receipt.
    pub received: Latencies,
    /// From a fetch request to its answer.
    pub fetched: Latencies,
    /// Latencies that only some workloads have, by name.
    pub latencies: BTreeMap<&'static str, Latencies>,
    /// What was sent or received besides `produced` and `consumed`, by name; inside the measured time.
    pub amounts: BTreeMap<&'static str, Amount>,
    /// What happened how often in the whole run, by name.
    pub counts: BTreeMap<String, u64>,
    /// Records by what went wrong with them.
    pub errors: BTreeMap<String, u64>,
    /// Records that were sent again, by what went wrong before.
    pub retries: BTreeMap<String, u64>,
    pub lateness: Lateness,
    /// Records that were due and never sent, because the broker took no more.
    pub unsent: u64,
    /// How long the consumers read.
    pub reading: Duration,
}

impl Stats {
    pub fn failed(&mut self, cause: &str, records: u64) {
        if records > 0 {
            *self.errors.entry(cause.to_owned()).or_default() += records;
        }
    }

    pub fn retried(&mut self, cause: &str, records: u64) {
        *self.retries.entry(cause.to_owned()).or_default() += records;
    }

    /// The latencies of this name.
    pub fn latency(&mut self, name: &'static str) -> &mut Latencies {
        self.latencies.entry(name).or_default()
    }

    /// The amount of this name.
    pub fn amount(&mut self, name: &'static str) -> &mut Amount {
        self.amounts.entry(name).or_default()
    }

    /// Something happened `times` more.
    pub fn count(&mut self, name: &str, times: u64) {
        *self.counts.entry(name.to_owned()).or_default() += times;
    }

    pub fn merge(&mut self, other: &Stats) {
        self.merge_named(other);
        self.produced.add(other.produced);
        self.consumed.add(other.consumed);
        self.acknowledged.merge(&other.acknowledged);
        self.received.merge(&other.received);
        self.fetched.merge(&other.fetched);
        other.errors.iter().for_each(|(cause, records)| self.failed(cause, *records));
        self.lateness.merge(other.lateness);
        self.unsent += other.unsent;
        self.reading = self.reading.max(other.reading);
    }

    fn merge_named(&mut self, other: &Stats) {
        other.latencies.iter().for_each(|(name, latencies)| self.latency(name).merge(latencies));
        other.amounts.iter().for_each(|(name, amount)| self.amount(name).add(*amount));
        other.counts.iter().for_each(|(name, times)| self.count(name, *times));
        other.retries.iter().for_each(|(cause, records)| self.retried(cause, *records));
    }

    pub fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn within(found: Duration, expected: Duration) -> bool {
        let error = found.as_secs_f64() / expected.as_secs_f64() - 1.0;
        error.abs() <= 0.001
    }

    #[test]
    fn percentiles_are_those_of_the_values_to_three_digits() {
        let mut latencies = Latencies::default();
        (1..=10_000).for_each(|n| latencies.record(MS / 10 * n, 1));
        let summary = latencies.summary();
        assert!(within(summary.p50, 500 * MS), "{summary:?}");
        assert!(within(summary.p99, 990 * MS), "{summary:?}");
        assert!(within(summary.p999, 999 * MS), "{summary:?}");
        assert!(within(summary.max, 1000 * MS), "{summary:?}");
        assert!(within(summary.mean, MS / 100 * 50_005), "{summary:?}");
    }

    #[test]
    fn merging_is_the_same_as_recording_together() {
        let mut parts = [Latencies::default(), Latencies::default()];
        let mut whole = Latencies::default();
        for n in 1..=1000u32 {
            parts[(n % 2) as usize].record(MS * n, 3);
            whole.record(MS * n, 3);
        }
        let [mut merged, other] = parts;
        merged.merge(&other);
        assert_eq!(merged.summary(), whole.summary());
        assert_eq!(merged.count(), 3000);
    }

    #[test]
    fn out_of_range_values_are_kept_at_the_ends() {
        let mut latencies = Latencies::default();
        latencies.record(Duration::ZERO, 1);
        latencies.record(Duration::MAX, 1);
        assert_eq!(latencies.count(), 2);
        assert!(latencies.summary().max >= Duration::from_nanos(HIGHEST_NS));
    }

    #[test]
    fn stats_of_shards_add_up() {
        let mut whole = Stats::default();
        for worst in [1, 5] {
            let mut one = Stats::default();
            one.produced.add(Amount { records: 10, bytes: 100, requests: 1 });
            one.failed("NOT_LEADER_OR_FOLLOWER", worst);
            one.failed("nothing", 0);
            one.lateness.note(MS * worst as u32);
            one.latency("commit").record(MS, worst);
            one.amount("history").add(Amount { records: worst, ..Amount::default() });
            one.count("rebalances", worst);
            one.retried("NOT_LEADER_OR_FOLLOWER", worst);
            whole.merge(&one);
        }
        assert_eq!(whole.produced, Amount { records: 20, bytes: 200, requests: 2 });
        assert_eq!(whole.errors, BTreeMap::from([("NOT_LEADER_OR_FOLLOWER".to_owned(), 6)]));
        assert_eq!((whole.lateness.late_batches, whole.lateness.worst), (1, 5 * MS));
        assert!((whole.lateness.share() - 0.5).abs() < 1e-9);
        assert_eq!((whole.latency("commit").count(), whole.amount("history").records), (6, 6));
        assert_eq!((whole.counts["rebalances"], whole.retries["NOT_LEADER_OR_FOLLOWER"]), (6, 6));
    }
}
