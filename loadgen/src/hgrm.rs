//! A latency distribution as text, in the form that HdrHistogram's plotter reads: what the Java library's
//! `outputPercentileDistribution` prints with five ticks per half distance, in milliseconds. Pure.

use std::fmt;

use crate::latencies::{DIGITS, Latencies};
use crate::text::line;

const TICKS_PER_HALF_DISTANCE: u32 = 5;
const NS_PER_MS: f64 = 1e6;

pub fn distribution(latencies: &Latencies) -> String {
    let mut out = String::new();
    line(
        &mut out,
        format_args!(
            "{:>12} {:>14} {:>10} {:>14}\n",
            "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
        ),
    );
    write_steps(&mut out, latencies);
    write_foot(&mut out, latencies);
    out
}

fn write_steps(out: &mut String, latencies: &Latencies) {
    for Step { value, percentile, total } in steps(latencies) {
        let (value, quantile) = (Ms(value as f64), percentile / 100.0);
        // Java rounds the shortest decimal that names the number, and a five upwards.
        let shown = quantile + f64::EPSILON;
        if percentile < 100.0 {
            line(out, format_args!("{value} {shown:2.12} {total:>10} {:>14.2}", 1.0 / (1.0 - quantile)));
        } else {
            line(out, format_args!("{value} {shown:2.12} {total:>10}"));
        }
    }
}

struct Step {
    value: u64,
    percentile: f64,
    /// Values up to this one.
    total: u64,
}

/// As Java's `PercentileIterator`, whose percentages round differently from the quantiles of hdrhistogram's
/// `iter_quantiles`: that one skips a value now and then.
fn steps(latencies: &Latencies) -> Vec<Step> {
    let histogram = latencies.histogram();
    let (mut steps, mut percentile, mut total) = (Vec::new(), 0.0, 0);
    for recorded in histogram.iter_recorded() {
        total += recorded.count_at_value();
        let value = recorded.value_iterated_to();
        let reached = 100.0 * total as f64 / histogram.len() as f64;
        while reached >= percentile && percentile < 100.0 {
            steps.push(Step { value, percentile, total });
            if total == histogram.len() {
                steps.push(Step { value, percentile: 100.0, total });
                return steps;
            }
            percentile += next_tick(percentile);
        }
    }
    steps
}

/// Ticks become finer each time the distance to 100 % has halved.
fn next_tick(percentile: f64) -> f64 {
    let halvings = ((100.0 / (100.0 - percentile)).ln() / std::f64::consts::LN_2).floor();
    100.0 / (f64::from(TICKS_PER_HALF_DISTANCE) * 2f64.powf(halvings + 1.0))
}

/// Java counts the sub-buckets of the lowest bucket: twice as many as digits need, to the next power of two.
const SUB_BUCKETS: usize = (2 * 10usize.pow(DIGITS as u32)).next_power_of_two();

fn write_foot(out: &mut String, latencies: &Latencies) {
    let histogram = latencies.histogram();
    let (mean, deviation, max) = (Ms(histogram.mean()), Ms(histogram.stdev()), Ms(histogram.max() as f64));
    line(out, format_args!("#[Mean    = {mean}, StdDeviation   = {deviation}]"));
    line(out, format_args!("#[Max     = {max}, Total count    = {:>12}]", histogram.len()));
    line(out, format_args!("#[Buckets = {:>12}, SubBuckets     = {SUB_BUCKETS:>12}]", histogram.buckets()));
}

/// Nanoseconds, shown in milliseconds.
struct Ms(f64);

impl fmt::Display for Ms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>12.digits$}", self.0 / NS_PER_MS, digits = usize::from(DIGITS))
    }
}
