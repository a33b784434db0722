//! Whether a run held the target. Pure.

use std::time::Duration;

use super::decide::Verdict;
use crate::latencies::Latencies;
use crate::report::Report;
use crate::text::time;

/// A part of all latencies must be within a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// As people write it: p99.
    pub name: String,
    pub quantile: f64,
    pub at_most: Duration,
}

/// All of them must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Target(pub Vec<Limit>);

impl Target {
    fn longest(&self) -> Duration {
        self.0.iter().map(|limit| limit.at_most).max().unwrap_or_default()
    }

    pub fn title(&self) -> String {
        let limits = self.0.iter().map(|limit| format!("{} ≤ {}", limit.name, time(limit.at_most)));
        limits.collect::<Vec<_>>().join(", ")
    }
}

/// What is acknowledged inside the measured time may be so much less than what was due in it.
const BEHIND: f64 = 0.01;
/// A median that is so much higher in the second half of the run than in the first has grown.
const GROWN: f64 = 1.5;

/// What a run at `rate` says of the target, and why.
pub fn judge(report: &Report, rate: u64, target: &Target) -> (Verdict, String) {
    if let Some(reason) = errors(report).or_else(|| unverified(report)) {
        return (Verdict::Missed, reason);
    }
    let reasons = [behind(report, rate, target), exceeded(report, target), grown(report, target)];
    match reasons.into_iter().flatten().next() {
        None => (Verdict::Held, String::new()),
        Some(reason) if report.is_bottleneck() => {
            (Verdict::Limited, format!("{reason}; the load generator was the bottleneck"))
        }
        Some(reason) => (Verdict::Missed, reason),
    }
}

fn unverified(report: &Report) -> Option<String> {
    let judgement = report.judgement.filter(|judgement| !judgement.is_good())?;
    Some(format!("{} records lost, doubled, out of order or changed", judgement.wrong()))
}

fn errors(report: &Report) -> Option<String> {
    let errors = report.stats.error_count();
    (errors > 0).then(|| format!("{errors} records with errors"))
}

/// A rate that is not reached piles up: what the target allows to be under way is not behind.
fn behind(report: &Report, rate: u64, target: &Target) -> Option<String> {
    let due = rate as f64 * report.measured.as_secs_f64();
    let under_way = rate as f64 * target.longest().as_secs_f64();
    let done = report.stats.produced.records as f64;
    let is_behind = report.stats.unsent > 0 || done < due * (1.0 - BEHIND) - under_way;
    is_behind.then(|| format!("{:.0} of {due:.0} records", done))
}

fn exceeded(report: &Report, target: &Target) -> Option<String> {
    let Some((_, latencies)) = report.stats.latencies.main() else {
        return Some("nothing came back".to_owned());
    };
    let over = target.0.iter().find(|limit| latencies.quantile(limit.quantile) > limit.at_most);
    over.map(|limit| format!("{} {}", limit.name, time(latencies.quantile(limit.quantile))))
}

/// The target holds as yet, but the median is on its way past it.
fn grown(report: &Report, target: &Target) -> Option<String> {
    let measured = &report.slots[report.measured_slots()];
    let (first, second) = measured.split_at(measured.len() / 2);
    let (early, late) = (median(report, first)?, median(report, second)?);
    let is_growing = late.as_secs_f64() > GROWN * early.as_secs_f64()
        && late.as_secs_f64() > target.longest().as_secs_f64() / 2.0;
    is_growing.then(|| format!("the median grew from {} to {}", time(early), time(late)))
}

fn median(report: &Report, slots: &[crate::timeline::Slot]) -> Option<Duration> {
    let (main, _) = report.stats.latencies.main()?;
    let mut all = Latencies::default();
    slots.iter().for_each(|slot| all.merge(slot.measures().get(&main)));
    (all.count() > 0).then(|| all.quantile(0.5))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Measure;
    use crate::stats::Amount;
    use crate::timeline::Recorder;
    use crate::verify::Judgement;
    use crate::work::Outcome;
    use crate::{Settings, Workload};
    use kring_runtime::Monotonic;

    const RATE: u64 = 1000;

    /// Four seconds in which each record takes what `latency` says for its number, in µs.
    fn report(records: u64, latency: impl Fn(u64) -> u64) -> Report {
        let start = Monotonic::from_nanos(1);
        let mut recorder = Recorder::new(start, Duration::from_secs(1));
        let mut outcome = Outcome::default();
        for n in 0..records {
            let latency = Duration::from_micros(latency(n));
            recorder.at(start + Duration::from_millis(n)).1.record(&Measure::Acknowledged, latency, 1);
            outcome.stats.latencies.record(&Measure::Acknowledged, latency, 1);
        }
        outcome.stats.produced =
            Amount { records, content_bytes: records, batch_bytes: records, requests: records };
        outcome.slots = recorder.finish();
        let duration = Duration::from_secs(4);
        let settings = Settings { warm_up: Duration::ZERO, duration, ..Settings::of(Workload::Produce, "t") };
        Report::new(&settings, outcome, Default::default())
    }

    fn target() -> Target {
        let limit = |name: &str, quantile, ms| Limit {
            name: name.to_owned(),
            quantile,
            at_most: Duration::from_millis(ms),
        };
        Target(vec![limit("p50", 0.5, 5), limit("p99", 0.99, 10)])
    }

    fn verdict(report: &Report) -> Verdict {
        judge(report, RATE, &target()).0
    }

    #[test]
    fn every_limit_must_hold() {
        assert_eq!(verdict(&report(4000, |_| 4000)), Verdict::Held);
        assert_eq!(verdict(&report(4000, |_| 6000)), Verdict::Missed, "p50");
        assert_eq!(
            verdict(&report(4000, |n| if n % 50 == 0 { 11_000 } else { 1000 })),
            Verdict::Missed,
            "p99"
        );
        assert_eq!(verdict(&report(4000, |n| if n % 200 == 0 { 11_000 } else { 1000 })), Verdict::Held);
    }

    #[test]
    fn a_broker_that_falls_behind_has_missed_even_when_what_it_answers_is_quick() {
        assert_eq!(verdict(&report(3900, |_| 1000)), Verdict::Missed);
        assert_eq!(verdict(&report(3960, |_| 1000)), Verdict::Held, "what is under way at the end");
        let mut unsent = report(4000, |_| 1000);
        unsent.stats.unsent = 1;
        assert_eq!(verdict(&unsent), Verdict::Missed);
    }

    #[test]
    fn a_median_that_grows_towards_the_target_has_missed() {
        assert_eq!(verdict(&report(4000, |n| 1000 + 2 * n)), Verdict::Missed);
        assert_eq!(verdict(&report(4000, |n| 1000 + n / 2)), Verdict::Held, "far from the target");
    }

    #[test]
    fn errors_are_never_held_and_nothing_is_neither() {
        let mut failed = report(4000, |_| 1000);
        failed.stats.failed("NOT_ENOUGH_REPLICAS", 1);
        assert_eq!(verdict(&failed), Verdict::Missed);
        assert_eq!(verdict(&report(0, |_| 0)), Verdict::Missed);
    }

    #[test]
    fn what_was_verified_and_found_wrong_is_never_held() {
        let mut wrong = report(4000, |_| 1000);
        wrong.judgement = Some(Judgement { acknowledged: 4000, doubled: 1, ..Judgement::default() });
        assert_eq!(verdict(&wrong), Verdict::Missed);
        wrong.judgement = Some(Judgement { acknowledged: 4000, ..Judgement::default() });
        assert_eq!(verdict(&wrong), Verdict::Held);
    }

    #[test]
    fn a_load_generator_whose_threads_wake_late_for_answers_says_nothing_of_the_broker() {
        let woken_late = |micros| {
            let mut report = report(4000, |_| 20_000);
            report.stats.latencies.record(&Measure::WokenLate, Duration::from_micros(micros), 100);
            report
        };
        assert_eq!(verdict(&woken_late(6000)), Verdict::Limited);
        assert!(woken_late(6000).warnings()[0].contains("own delay"));
        assert_eq!(verdict(&woken_late(4000)), Verdict::Missed, "by a small part");
        let mut quick = report(4000, |_| 1000);
        quick.stats.latencies.record(&Measure::WokenLate, Duration::from_micros(900), 100);
        assert!(!quick.is_bottleneck(), "a timer is late by a little anywhere");
    }

    #[test]
    fn a_load_generator_that_was_late_says_nothing_of_the_broker_but_may_well_hold() {
        let late = |latency: u64| {
            let mut report = report(4000, move |_| latency);
            report.stats.latencies.record(&Measure::OwnDelay, Duration::from_millis(6), 100);
            report
        };
        assert_eq!(verdict(&late(20_000)), Verdict::Limited);
        assert_eq!(verdict(&late(1000)), Verdict::Held);
    }
}
