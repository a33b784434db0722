//! A histogram of latencies with a known error: HdrHistogram, from 1 µs to 1 hour with three significant digits.
//! Pure. All histograms of all runs have the same bounds, so that they add up exactly.

use std::io::Cursor;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer, V2Serializer};

pub const LOWEST_NS: u64 = 1_000;
pub const HIGHEST_NS: u64 = 3_600_000_000_000;
pub const DIGITS: u8 = 3;

/// Latencies in nanoseconds.
#[derive(Clone, Debug, PartialEq)]
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
        self.0.saturating_record_n(nanos(latency), count);
    }

    /// Exact: the result is the histogram of all values of both.
    pub fn merge(&mut self, other: &Latencies) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// How many are longer than this, as far as the histogram tells them apart.
    pub fn count_above(&self, limit: Duration) -> u64 {
        let limit = nanos(limit).min(HIGHEST_NS);
        self.count() - self.0.count_between(0, limit)
    }

    pub fn clear(&mut self) {
        self.0.reset();
    }

    /// The value that this part of all values does not exceed; zero when there are none.
    pub fn quantile(&self, quantile: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_quantile(quantile))
    }

    pub fn summary(&self) -> Summary {
        Summary {
            count: self.0.len(),
            mean: Duration::from_nanos(self.0.mean() as u64),
            p50: self.quantile(0.5),
            p90: self.quantile(0.9),
            p99: self.quantile(0.99),
            p999: self.quantile(0.999),
            p9999: self.quantile(0.9999),
            max: Duration::from_nanos(self.0.max()),
        }
    }

    /// What the writers of distributions read.
    pub fn histogram(&self) -> &Histogram<u64> {
        &self.0
    }

    /// HdrHistogram's V2 form: a few hundred bytes instead of the histogram's 200 KB.
    pub fn pack(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(&self.0, &mut bytes).expect("a Vec takes everything");
        bytes
    }

    /// What `pack` made.
    pub fn unpack(bytes: &[u8]) -> Latencies {
        Latencies::decode(bytes).expect("packed by this process")
    }

    /// HdrHistogram's V2 compressed form in base64, as every port of the library reads it.
    pub fn to_base64(&self) -> String {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&self.0, &mut bytes).expect("a Vec takes everything");
        BASE64.encode(bytes)
    }

    /// Refuses what is not a histogram, or has other bounds.
    pub fn from_base64(text: &str) -> Result<Latencies, String> {
        let bytes = BASE64.decode(text).map_err(|error| error.to_string())?;
        Latencies::decode(&bytes)
    }

    fn decode(bytes: &[u8]) -> Result<Latencies, String> {
        let found: Histogram<u64> =
            Deserializer::new().deserialize(&mut Cursor::new(bytes)).map_err(|error| error.to_string())?;
        if (found.low(), found.high(), found.sigfig()) != (LOWEST_NS, HIGHEST_NS, DIGITS) {
            return Err(format!("a histogram from {} to {} ns", found.low(), found.high()));
        }
        Ok(Latencies(found))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What a table shows of a histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub count: u64,
    pub mean: Duration,
    pub p50: Duration,
    pub p90: Duration,
    pub p99: Duration,
    pub p999: Duration,
    pub p9999: Duration,
    pub max: Duration,
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
    fn a_percentile_is_the_first_value_that_enough_others_do_not_exceed() {
        for (values, quantile, expected) in [
            (1, 0.5, 1),
            (2, 0.5, 1),
            (3, 0.5, 2),
            (1000, 0.999, 999),
            (1000, 0.9991, 1000),
            (10, 1.0, 10),
            (10, 0.0, 1),
        ] {
            let mut latencies = Latencies::default();
            (1..=values).for_each(|n| latencies.record(MS * n, 1));
            let found = latencies.quantile(quantile);
            assert!(within(found, MS * expected), "{values} values, {quantile}: {found:?}");
        }
        assert_eq!(Latencies::default().summary(), Summary::default());
    }

    #[test]
    fn what_is_longer_than_a_limit_is_counted() {
        let mut latencies = Latencies::default();
        latencies.record(MS, 5);
        latencies.record(2 * MS, 3);
        latencies.record(Duration::MAX, 2);
        assert_eq!(latencies.count_above(MS), 5);
        assert_eq!(latencies.count_above(Duration::ZERO), 10);
        assert_eq!(latencies.count_above(10 * MS), 2);
    }

    #[test]
    fn packed_and_as_base64_a_histogram_is_the_same() {
        let mut latencies = Latencies::default();
        (1..2000u32).for_each(|n| latencies.record(MS / 100 * n * n, u64::from(n)));
        latencies.record(Duration::MAX, 1);
        assert_eq!(Latencies::unpack(&latencies.pack()), latencies);
        let text = latencies.to_base64();
        assert!(text.starts_with("HISTFAAA"), "the magic of V2 compressed: {text}");
        assert_eq!(Latencies::from_base64(&text).unwrap(), latencies);
    }

    #[test]
    fn what_is_no_histogram_or_has_other_bounds_is_refused() {
        assert!(Latencies::from_base64("not base64!").is_err());
        assert!(Latencies::from_base64("aGVsbG8gd29ybGQ=").is_err());
        let other = Latencies(Histogram::new_with_bounds(1, HIGHEST_NS, 2).unwrap());
        assert!(Latencies::from_base64(&other.to_base64()).is_err());
    }
}
