//! What a run shows: a live line, a table, warnings, JSON. Decides nothing about the run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use kring_runtime::now;

use crate::json::Json;
use crate::settings::Settings;
use crate::shared::{Interval, Window};
use crate::stats::{Amount, DIGITS, HIGHEST_NS, LATE, LOWEST_NS, Stats, Summary};
use crate::verify::{Judgement, judge};
use crate::work::Outcome;

/// Part of the batches that may leave late before the figures are doubtful.
const LATE_SHARE: f64 = 0.01;
/// Part of its cores that the load generator may use before it is the bottleneck itself.
const BUSY: f64 = 0.85;

/// CPU time used during a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    pub own: Option<Duration>,
    /// Of the process that was asked for.
    pub other: Option<Duration>,
}

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Report {
    settings: Settings,
    threads: usize,
    stats: Stats,
    judgement: Option<Judgement>,
    cpu: Cpu,
    /// From before the start to after the end.
    elapsed: Duration,
}

impl Report {
    pub fn new(settings: Settings, threads: usize, outcome: Outcome, cpu: Cpu, elapsed: Duration) -> Report {
        let judgement = settings.verify.then(|| judge(&outcome.ledger, &outcome.arrivals));
        Report { settings, threads, stats: outcome.stats, judgement, cpu, elapsed }
    }

    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    pub fn judgement(&self) -> Option<Judgement> {
        self.judgement
    }

    /// Nothing failed, and what was to be verified is good.
    pub fn is_good(&self) -> bool {
        self.stats.error_count() == 0 && self.judgement.is_none_or(|judgement| judgement.is_good())
    }

    /// The time that rates refer to.
    fn measured(&self) -> Duration {
        if self.settings.produces() { self.settings.duration } else { self.stats.reading }
    }

    /// Names and latencies of what was measured.
    fn latencies(&self) -> Vec<(&'static str, Summary)> {
        let stats = &self.stats;
        let all = [
            ("intended send to acknowledgement", &stats.acknowledged),
            ("intended send to receipt", &stats.received),
            ("fetch round trip", &stats.fetched),
        ];
        let named = stats.latencies.iter().map(|(name, latencies)| (*name, latencies));
        let shown = all.into_iter().chain(named).filter(|(_, latencies)| latencies.count() > 0);
        shown.map(|(name, latencies)| (name, latencies.summary())).collect()
    }

    /// Why the figures may not be the broker's.
    pub fn warnings(&self) -> Vec<String> {
        let lateness = self.stats.lateness;
        let mut warnings = Vec::new();
        if lateness.share() > LATE_SHARE {
            warnings.push(format!(
                "the load generator itself sent {:.1} % of its batches more than {} late (at worst {}): its \
                 latencies are in the figures",
                lateness.share() * 100.0,
                time(LATE),
                time(lateness.worst)
            ));
        }
        if let Some(busy) = self.busy().filter(|busy| *busy > BUSY) {
            warnings.push(format!(
                "the load generator used {:.0} % of its {} core(s): it may be the bottleneck",
                busy * 100.0,
                self.threads
            ));
        }
        if self.stats.unsent > 0 {
            warnings.push(format!(
                "the broker did not keep up: {} records were due and never sent; the percentiles count how long \
                 they had waited at the end, which is less than they would have",
                self.stats.unsent
            ));
        }
        warnings
    }

    fn busy(&self) -> Option<f64> {
        let cores = self.threads as f64 * self.elapsed.as_secs_f64();
        self.cpu.own.map(|own| own.as_secs_f64() / cores)
    }

    /// The table for people.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.write_amounts(&mut out);
        self.write_latencies(&mut out);
        self.write_rest(&mut out);
        out
    }

    fn write_amounts(&self, out: &mut String) {
        let seconds = self.measured().as_secs_f64();
        line(
            out,
            format_args!("{:<10}{:>14}{:>12}{:>14}{:>12}", "", "records/s", "MB/s", "records", "requests"),
        );
        for (name, amount) in self.amounts() {
            let (records, megabytes) = rates(amount, seconds);
            line(
                out,
                format_args!(
                    "{name:<10}{records:>14.0}{megabytes:>12.2}{:>14}{:>12}",
                    amount.records, amount.requests
                ),
            );
        }
    }

    fn amounts(&self) -> Vec<(&'static str, Amount)> {
        let both = [("produced", self.stats.produced), ("consumed", self.stats.consumed)];
        let named = self.stats.amounts.iter().map(|(name, amount)| (*name, *amount));
        both.into_iter().chain(named).filter(|(_, amount)| amount.requests > 0).collect()
    }

    fn write_latencies(&self, out: &mut String) {
        let names = ["p50", "p99", "p99.9", "p99.99", "max"];
        let head: String = names.iter().map(|name| format!("{name:>11}")).collect();
        line(out, format_args!("{:<34}{head}", "latency"));
        for (name, summary) in self.latencies() {
            let Summary { p50, p99, p999, p9999, max, .. } = summary;
            let values: String =
                [p50, p99, p999, p9999, max].map(|value| format!("{:>11}", time(value))).concat();
            line(out, format_args!("{name:<34}{values}"));
        }
    }

    fn write_rest(&self, out: &mut String) {
        for (name, times) in &self.stats.counts {
            line(out, format_args!("{name}: {times}"));
        }
        for (cause, records) in &self.stats.retries {
            line(out, format_args!("sent again: {records} × {cause}"));
        }
        line(out, format_args!("errors: {}", self.stats.error_count()));
        for (cause, records) in &self.stats.errors {
            line(out, format_args!("  {records} × {cause}"));
        }
        if let Some(judgement) = self.judgement {
            let verdict = if judgement.is_good() { "good" } else { "NOT GOOD" };
            let Judgement { acknowledged, lost, doubled, reordered, changed } = judgement;
            line(
                out,
                format_args!(
                    "verified: {verdict}: {acknowledged} acknowledged, {lost} lost, {doubled} doubled, {reordered} \
                     out of order, {changed} changed"
                ),
            );
        }
        self.write_cpu(out);
        for warning in self.warnings() {
            line(out, format_args!("warning: {warning}"));
        }
    }

    fn write_cpu(&self, out: &mut String) {
        if let (Some(own), Some(busy)) = (self.cpu.own, self.busy()) {
            let share = busy * 100.0;
            line(
                out,
                format_args!(
                    "own CPU: {:.2} s ({share:.0} % of {} core(s))",
                    own.as_secs_f64(),
                    self.threads
                ),
            );
        }
        if let Some(other) = self.cpu.other {
            let pid = self.settings.pid.unwrap_or(0);
            line(out, format_args!("CPU of process {pid}, warm-up included: {:.2} s", other.as_secs_f64()));
        }
    }

    /// Everything, for programs.
    pub fn to_json(&self) -> Json {
        let settings = self.settings.rows().into_iter();
        let settings = settings.map(|(name, value)| (name.to_owned(), Json::Text(value))).collect();
        let seconds = self.measured().as_secs_f64();
        let amounts =
            self.amounts().into_iter().map(|(name, amount)| (name.to_owned(), amount_json(amount, seconds)));
        let latencies =
            self.latencies().into_iter().map(|(name, summary)| (name.to_owned(), summary_json(&summary)));
        let counted = |counts: &BTreeMap<String, u64>| {
            Json::Object(counts.iter().map(|(name, count)| (name.clone(), Json::Count(*count))).collect())
        };
        let warnings = self.warnings().into_iter().map(Json::Text).collect();
        let mut fields = vec![
            ("settings".to_owned(), Json::Object(settings)),
            ("threads".to_owned(), Json::Count(self.threads as u64)),
            ("histogram".to_owned(), histogram_json()),
            ("measured_s".to_owned(), Json::Number(seconds)),
            ("amounts".to_owned(), Json::Object(amounts.collect())),
            ("latencies".to_owned(), Json::Object(latencies.collect())),
            ("counts".to_owned(), counted(&self.stats.counts)),
            ("retries".to_owned(), counted(&self.stats.retries)),
            ("errors".to_owned(), counted(&self.stats.errors)),
            ("unsent".to_owned(), Json::Count(self.stats.unsent)),
            ("late_share".to_owned(), Json::Number(self.stats.lateness.share())),
            ("warnings".to_owned(), Json::List(warnings)),
        ];
        let cpu = [("own_cpu_s", self.cpu.own), ("other_cpu_s", self.cpu.other)];
        for (name, time) in cpu {
            fields.extend(time.map(|time| (name.to_owned(), Json::Number(time.as_secs_f64()))));
        }
        fields.extend(self.judgement.map(|judgement| ("verified".to_owned(), judgement_json(judgement))));
        Json::Object(fields)
    }
}

fn rates(amount: Amount, seconds: f64) -> (f64, f64) {
    if seconds > 0.0 {
        (amount.records as f64 / seconds, amount.bytes as f64 / seconds / 1e6)
    } else {
        (0.0, 0.0)
    }
}

fn amount_json(amount: Amount, seconds: f64) -> Json {
    let (records_per_s, megabytes_per_s) = rates(amount, seconds);
    Json::object([
        ("records", Json::Count(amount.records)),
        ("bytes", Json::Count(amount.bytes)),
        ("requests", Json::Count(amount.requests)),
        ("records_per_s", Json::Number(records_per_s)),
        ("megabytes_per_s", Json::Number(megabytes_per_s)),
    ])
}

fn summary_json(summary: &Summary) -> Json {
    let ms = |time: Duration| Json::Number(time.as_secs_f64() * 1e3);
    Json::object([
        ("count", Json::Count(summary.count)),
        ("mean_ms", ms(summary.mean)),
        ("p50_ms", ms(summary.p50)),
        ("p99_ms", ms(summary.p99)),
        ("p99_9_ms", ms(summary.p999)),
        ("p99_99_ms", ms(summary.p9999)),
        ("max_ms", ms(summary.max)),
    ])
}

fn histogram_json() -> Json {
    Json::object([
        ("lowest_ns", Json::Count(LOWEST_NS)),
        ("highest_ns", Json::Count(HIGHEST_NS)),
        ("digits", Json::Count(u64::from(DIGITS))),
    ])
}

fn judgement_json(judgement: Judgement) -> Json {
    Json::object([
        ("good", Json::Bool(judgement.is_good())),
        ("acknowledged", Json::Count(judgement.acknowledged)),
        ("lost", Json::Count(judgement.lost)),
        ("doubled", Json::Count(judgement.doubled)),
        ("reordered", Json::Count(judgement.reordered)),
        ("changed", Json::Count(judgement.changed)),
    ])
}

/// The settings, for the head of a run.
pub fn head(settings: &Settings, threads: usize) -> String {
    let mut out = String::new();
    for (name, value) in settings.rows() {
        line(&mut out, format_args!("{name:<26}{value}"));
    }
    line(&mut out, format_args!("{:<26}{threads}", "threads"));
    line(&mut out, format_args!("{:<26}1 µs to 1 h, {DIGITS} significant digits", "histograms"));
    out
}

/// Shows one second of all shards on standard error.
pub fn live_line(intervals: &mut dyn Iterator<Item = Interval>, window: Window) {
    let mut whole = Interval::default();
    for interval in intervals {
        whole.produced.add(interval.produced);
        whole.consumed.add(interval.consumed);
        whole.latencies.merge(&interval.latencies);
        whole.errors += interval.errors;
        whole.in_flight += interval.in_flight;
    }
    let text = live_text(&whole, window.end.saturating_since(now()));
    let mut err = std::io::stderr().lock();
    // Nobody needs the line enough to end the run for it.
    let _nobody_looks = write!(err, "\r\x1b[K{text}").and_then(|()| err.flush());
}

fn live_text(whole: &Interval, left: Duration) -> String {
    let Summary { p50, p99, p999, max, .. } = whole.latencies.summary();
    let megabytes = (whole.produced.bytes + whole.consumed.bytes) as f64 / 1e6;
    format!(
        "{}+{} rec/s {megabytes:.1} MB/s | p50 {} p99 {} p99.9 {} max {} | {} in flight, {} errors, {} s left",
        whole.produced.records,
        whole.consumed.records,
        time(p50),
        time(p99),
        time(p999),
        time(max),
        whole.in_flight,
        whole.errors,
        left.as_secs()
    )
}

/// A time in three digits or so.
fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        s if s >= 1.0 => format!("{s:.3} s"),
        s if s >= 0.001 => format!("{:.3} ms", s * 1e3),
        s => format!("{:.0} µs", s * 1e6),
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a String takes everything");
}
