//! A result as a table for people. Pure.

use std::fmt::Write as _;
use std::time::Duration;

use crate::latencies::{DIGITS, Summary};
use crate::report::{Rates, Report, rates};
use crate::rows::Rows;
use crate::stats::Amount;
use crate::verify::Judgement;

/// The settings, for the head of a run.
pub fn head(settings: &Rows, threads: usize) -> String {
    let mut out = String::new();
    for (name, value) in settings.iter() {
        line(&mut out, format_args!("{name:<26}{value}"));
    }
    line(&mut out, format_args!("{:<26}{threads}", "threads"));
    line(&mut out, format_args!("{:<26}1 µs to 1 h, {DIGITS} significant digits", "histograms"));
    out
}

/// The result of a run.
pub fn table(report: &Report) -> String {
    let mut out = String::new();
    write_amounts(&mut out, report);
    write_latencies(&mut out, report);
    write_errors(&mut out, report);
    write_judgement(&mut out, report);
    write_own(&mut out, report);
    for warning in report.warnings() {
        line(&mut out, format_args!("warning: {warning}"));
    }
    out
}

fn write_amounts(out: &mut String, report: &Report) {
    if report.amounts().is_empty() {
        return;
    }
    write_amount(out, "", AMOUNT_COLUMNS.map(str::to_owned));
    for (name, amount) in report.amounts() {
        write_amount(out, name, amount_cells(amount, report.measured));
    }
}

fn write_amount(out: &mut String, name: &str, cells: [String; 5]) {
    let [records_per_s, content, batches, records, requests] = cells;
    line(
        out,
        format_args!("{name:<10}{records_per_s:>14}{content:>14}{batches:>12}{records:>14}{requests:>12}"),
    );
}

/// Keys and values before compression, and batches as they go over the network.
pub const AMOUNT_COLUMNS: [&str; 5] = ["records/s", "content MB/s", "batch MB/s", "records", "requests"];

/// What stands in these columns.
pub fn amount_cells(amount: Amount, measured: Duration) -> [String; 5] {
    let Rates { records, content, batches } = rates(amount, measured);
    let known = |megabytes: Option<f64>| megabytes.map_or("-".to_owned(), figure);
    [figure(records), known(content), known(batches), amount.records.to_string(), amount.requests.to_string()]
}

/// A number with three digits that count, and all that stand before the point: a small rate is not nothing.
fn figure(value: f64) -> String {
    const DIGITS: f64 = 3.0;
    const MOST_DECIMALS: f64 = 9.0;
    let before_point = if value > 0.0 { value.log10().floor() + 1.0 } else { DIGITS };
    format!("{value:.*}", (DIGITS - before_point).clamp(0.0, MOST_DECIMALS) as usize)
}

fn write_latencies(out: &mut String, report: &Report) {
    let names = ["p50", "p90", "p99", "p99.9", "p99.99", "max"];
    let head: String = names.iter().map(|name| format!("{name:>11}")).collect();
    line(out, format_args!("{:<34}{head}", "latency"));
    for (measure, summary) in report.latencies() {
        let Summary { p50, p90, p99, p999, p9999, max, .. } = summary;
        let values: String =
            [p50, p90, p99, p999, p9999, max].map(|value| format!("{:>11}", time(value))).concat();
        line(out, format_args!("{:<34}{values}", measure.title()));
    }
}

fn write_errors(out: &mut String, report: &Report) {
    for (name, times) in &report.stats.counts {
        line(out, format_args!("{name}: {times}"));
    }
    for (cause, records) in &report.stats.retries {
        line(out, format_args!("sent again: {records} × {cause}"));
    }
    line(out, format_args!("errors: {}", report.stats.error_count()));
    for (cause, records) in &report.stats.errors {
        line(out, format_args!("  {records} × {cause}"));
    }
}

fn write_judgement(out: &mut String, report: &Report) {
    let Some(judgement) = report.judgement else { return };
    let verdict = if judgement.is_good() { "good" } else { "NOT GOOD" };
    let Judgement { acknowledged, lost, doubled, reordered, changed } = judgement;
    line(
        out,
        format_args!(
            "verified: {verdict}: {acknowledged} acknowledged, {lost} lost, {doubled} doubled, {reordered} out of \
             order, {changed} changed"
        ),
    );
}

/// What the load generator says of itself.
fn write_own(out: &mut String, report: &Report) {
    let missed = report.missed();
    if missed.batches > 0 {
        let share = 100.0 * missed.share();
        line(
            out,
            format_args!("missed send times: {} of {} batches ({share:.2} %)", missed.late, missed.batches),
        );
    }
    if let Some(own) = report.cpu.own {
        let shares: Vec<String> = report
            .threads
            .iter()
            .map(|thread| {
                format!("{:.0} % (at most {:.0} %)", 100.0 * thread.share(), 100.0 * thread.busiest)
            })
            .collect();
        line(
            out,
            format_args!("own CPU: {:.2} s; of each thread's core {}", own.as_secs_f64(), shares.join(", ")),
        );
    }
    if let Some(other) = report.cpu.other {
        line(
            out,
            format_args!("CPU of the process asked for, warm-up included: {:.2} s", other.as_secs_f64()),
        );
    }
}

/// A time in three digits or so.
pub fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        s if s >= 1.0 => format!("{s:.3} s"),
        s if s >= 0.001 => format!("{:.3} ms", s * 1e3),
        s => format!("{:.0} µs", s * 1e6),
    }
}

pub fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_rate_is_not_nothing_and_a_large_one_has_all_its_digits() {
        for (value, text) in [
            (0.0, "0"),
            (0.000_123_4, "0.000123"),
            (0.25, "0.250"),
            (5.123, "5.12"),
            (41.07, "41.1"),
            (123_456.7, "123457"),
        ] {
            assert_eq!(figure(value), text);
        }
    }

    #[test]
    fn what_is_not_known_of_an_amount_is_no_number() {
        let amount = Amount { records: 50, batch_bytes: 2_000_000, requests: 3, ..Amount::default() };
        assert_eq!(amount_cells(amount, Duration::from_secs(100)), ["0.500", "-", "0.0200", "50", "3"]);
    }

    #[test]
    fn times_are_short() {
        for (nanos, text) in
            [(0, "0 µs"), (999_000, "999 µs"), (1_234_567, "1.235 ms"), (2_500_000_000, "2.500 s")]
        {
            assert_eq!(time(Duration::from_nanos(nanos)), text);
        }
    }
}
