//! A whole sweep: its table, its JSON, its page. Pure.

use super::decide::{Bound, Next, Probe, Verdict};
use super::judge::Target;
use super::stored;
use crate::latencies::Summary;
use crate::page;
use crate::plot::{chart::Chart, charts, curve};
use crate::report::{Report, rates};
use crate::rows::Rows;
use crate::settings::Settings;
use crate::text::time;

/// One run of a sweep.
#[derive(Clone, Debug)]
pub struct Step {
    pub rate: u64,
    pub probe: Probe,
    pub verdict: Verdict,
    /// Why it did not hold.
    pub reason: String,
    /// Records per second that were acknowledged.
    pub achieved: f64,
    pub latency: Summary,
    /// Part of the batches whose send time the load generator missed.
    pub missed: f64,
    /// Part of its core that its busiest thread used.
    pub busiest: f64,
}

impl Step {
    pub fn new(rate: u64, probe: Probe, (verdict, reason): (Verdict, String), report: &Report) -> Step {
        let main = report.stats.latencies.main();
        Step {
            rate,
            probe,
            verdict,
            reason,
            achieved: rates(report.stats.produced, report.measured).records,
            latency: main.map(|(_, latencies)| latencies.summary()).unwrap_or_default(),
            missed: report.missed().share(),
            busiest: report.threads.iter().map(|thread| thread.share()).fold(0.0, f64::max),
        }
    }

    pub fn verdict_name(&self) -> &'static str {
        match self.verdict {
            Verdict::Held => "held",
            Verdict::Missed => "missed",
            Verdict::Limited => "limited",
        }
    }

    fn cells(&self) -> Vec<String> {
        let Summary { p50, p99, p999, max, .. } = self.latency;
        let mut cells =
            vec![self.rate.to_string(), self.probe.name().to_owned(), self.verdict_name().to_owned()];
        cells.push(format!("{:.0}", self.achieved));
        cells.extend([p50, p99, p999, max].map(time));
        cells.push(format!("{:.2} %", 100.0 * self.missed));
        cells.push(format!("{:.0} %", 100.0 * self.busiest));
        cells.push(self.reason.clone());
        cells
    }

    /// A line of the table.
    pub fn to_line(&self) -> String {
        aligned(&self.cells())
    }
}

const HEAD: [&str; 11] =
    ["records/s", "why", "verdict", "reached", "p50", "p99", "p99.9", "max", "missed", "own CPU", "reason"];
const WIDTHS: [usize; 10] = [10, 8, 8, 10, 11, 11, 11, 11, 9, 8];

/// The head of the table.
pub fn head() -> String {
    aligned(&HEAD.map(str::to_owned))
}

fn aligned(cells: &[String]) -> String {
    let padded = cells.iter().zip(WIDTHS).map(|(cell, width)| format!("{cell:>width$}"));
    let rest = cells.last().map_or(String::new(), |cell| format!("  {cell}"));
    format!("{}\n", (padded.collect::<String>() + &rest).trim_end())
}

/// What a sweep found.
#[derive(Clone, Debug)]
pub struct Sweep {
    pub label: String,
    /// The latency that the target is about.
    pub what: String,
    pub target: Target,
    pub settings: Rows,
    pub steps: Vec<Step>,
    pub end: Next,
    /// The operator ended it before its time.
    pub interrupted: bool,
    /// The last run at the rate that was found.
    pub best: Option<Report>,
}

impl Sweep {
    pub fn new(target: Target, settings: &Settings) -> Sweep {
        let rows = settings.rows().into_iter().filter(|(name, _)| *name != "rate");
        Sweep {
            label: String::new(),
            what: String::new(),
            target,
            settings: Rows::new(rows),
            steps: Vec::new(),
            end: Next::GaveUp { confirmed: None },
            interrupted: false,
            best: None,
        }
    }

    pub fn add(&mut self, step: Step, report: &Report) {
        if let Some((measure, _)) = report.stats.latencies.main() {
            self.what = measure.title().to_owned();
        }
        self.steps.push(step);
    }

    /// What the search needs to know.
    pub fn votes(&self) -> Vec<(u64, Verdict)> {
        self.steps.iter().map(|step| (step.rate, step.verdict)).collect()
    }

    pub fn found(&self) -> Option<u64> {
        match self.end {
            Next::Found { rate, .. } => Some(rate),
            Next::GaveUp { confirmed } => confirmed,
            Next::Never { .. } | Next::Try { .. } => None,
        }
    }

    /// The result as a sentence.
    pub fn sentence(&self) -> String {
        let interrupted = if self.interrupted { "interrupted: " } else { "" };
        format!("{interrupted}{}", self.finding())
    }

    fn finding(&self) -> String {
        let target = self.target.title();
        match self.end {
            Next::Found { rate, bound: Bound::Broker } => format!("{target} holds up to {rate} records/s"),
            Next::Found { rate, bound: Bound::Asked } => {
                format!("{target} holds at {rate} records/s, the highest rate that was to be tried")
            }
            Next::Found { rate, bound: Bound::LoadGenerator } => format!(
                "{target} holds at {rate} records/s at least: above it the load generator was the limit. Give it more \
                 cores or threads, or run several instances"
            ),
            Next::Never { bound: Bound::LoadGenerator } => {
                format!("{target} could not be tested: the load generator was the limit at every rate")
            }
            Next::Never { .. } => format!("{target} does not hold at any rate that was tried"),
            Next::GaveUp { confirmed: Some(rate) } => {
                format!("{target} holds at {rate} records/s at least; the steps were too few for more")
            }
            Next::GaveUp { confirmed: None } => format!("{target}: the steps were too few for a result"),
            Next::Try { .. } => unreachable!("a sweep that is over tries nothing"),
        }
    }

    /// Everything for people to read.
    pub fn table(&self) -> String {
        let steps: String = self.steps.iter().map(Step::to_line).collect();
        format!("{}\n{}{steps}{}\n", self.label, head(), self.sentence())
    }

    pub fn to_json(&self) -> String {
        stored::to_json(self)
    }

    pub fn end_name(&self) -> &'static str {
        match self.end {
            Next::Found { bound: Bound::Broker, .. } => "found",
            Next::Found { bound: Bound::Asked, .. } => "highest rate asked for",
            Next::Found { bound: Bound::LoadGenerator, .. } | Next::Never { bound: Bound::LoadGenerator } => {
                "load generator"
            }
            Next::Never { .. } => "never",
            Next::GaveUp { .. } | Next::Try { .. } => "too few steps",
        }
    }

    /// The curve, and below it the charts of the best run.
    pub fn charts(&self) -> Vec<Chart> {
        let best = self.best.as_slice();
        curve::chart(self).into_iter().chain(charts(best)).collect()
    }

    pub fn to_page(&self) -> String {
        let mut table = vec![HEAD.map(str::to_owned).to_vec()];
        table.extend(self.steps.iter().map(Step::cells));
        let curve: Vec<Chart> = curve::chart(self).into_iter().collect();
        let mut body = format!("<p><b>{}</b></p>\n", crate::plot::svg::escape(&self.sentence()));
        body.push_str(&page::figures(&curve));
        body.push_str(&page::section("Steps", &page::table("", &table)));
        if let Some(best) = &self.best {
            body.push_str(&page::section(
                "The run at the rate that was found",
                &page::of_runs_body(std::slice::from_ref(best)),
            ));
        }
        page::page(&self.label, &body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::judge::Limit;
    use serde_json::Value;
    use std::time::Duration;

    fn step(rate: u64, verdict: Verdict, p99_ms: u64) -> Step {
        let p99 = Duration::from_millis(p99_ms);
        Step {
            rate,
            probe: Probe::Double,
            verdict,
            reason: "p99 < \"late\"".to_owned(),
            achieved: rate as f64,
            latency: Summary { count: 10, p50: p99 / 2, p99, p999: p99, max: p99, ..Summary::default() },
            missed: 0.01,
            busiest: 0.5,
        }
    }

    fn sweep() -> Sweep {
        let limit = Limit { name: "p99".to_owned(), quantile: 0.99, at_most: Duration::from_millis(10) };
        Sweep {
            label: "a".to_owned(),
            what: "intended send to receipt".to_owned(),
            target: Target(vec![limit]),
            settings: Rows::default(),
            steps: vec![step(1000, Verdict::Held, 5), step(2000, Verdict::Missed, 50)],
            end: Next::Found { rate: 1000, bound: Bound::Broker },
            interrupted: false,
            best: None,
        }
    }

    #[test]
    fn the_table_has_a_column_for_everything() {
        let line = step(1000, Verdict::Missed, 50).to_line();
        for shown in
            ["1000", "double", "missed", "25.000 ms", "50.000 ms", "1.00 %", "50 %", "p99 < \"late\""]
        {
            assert!(line.contains(shown), "{shown} in {line}");
        }
        assert_eq!(head().find("reached").map(|at| at + 7), line.rfind("      1000").map(|at| at + 10));
    }

    #[test]
    fn the_result_is_a_sentence() {
        let sentence = |end| Sweep { end, ..sweep() }.sentence();
        assert_eq!(sweep().sentence(), "p99 ≤ 10.000 ms holds up to 1000 records/s");
        assert!(sentence(Next::Never { bound: Bound::Broker }).contains("does not hold"));
        assert!(sentence(Next::Found { rate: 5, bound: Bound::LoadGenerator }).contains("at least"));
        let cut = Sweep { interrupted: true, end: Next::GaveUp { confirmed: Some(7) }, ..sweep() };
        assert!(cut.sentence().starts_with("interrupted: p99 ≤ 10.000 ms holds at 7 records/s at least"));
    }

    #[test]
    fn json_and_page_hold_every_step() {
        let value: Value = serde_json::from_str(&sweep().to_json()).unwrap();
        assert_eq!(value["records_per_s"], 1000);
        assert_eq!(value["target_ms"]["p99"], 10.0);
        assert_eq!(value["steps"][1]["verdict"], "missed");
        assert_eq!(value["steps"][1]["latency"]["p99_ms"], 50.0);
        let page = sweep().to_page();
        for shown in
            ["does not hold", "target: p99 within 10.000 ms", "p99 &lt; &quot;late&quot;", "holds up to"]
        {
            assert!(page.contains(shown), "{shown}");
        }
        assert!(!page.contains("NaN"));
    }
}
