//! A sweep as JSON, and read back from it to be shown. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::decide::{Bound, Next, Probe, Verdict};
use super::judge::{Limit, Target};
use super::result::{Step, Sweep};
use crate::document::{Document, ms, seconds};
use crate::latencies::Summary;
use crate::rows::Rows;

/// Changes whenever a reader of the previous form would be wrong about this one.
const SCHEMA: &str = "kring-loadgen sweep 1";

#[derive(Serialize, Deserialize)]
struct Stored {
    schema: String,
    version: String,
    label: String,
    target_ms: BTreeMap<String, f64>,
    what: String,
    settings: Rows,
    #[serde(default)]
    interrupted: bool,
    end: String,
    records_per_s: Option<u64>,
    sentence: String,
    steps: Vec<StoredStep>,
    best: Option<Document>,
}

#[derive(Serialize, Deserialize)]
struct StoredStep {
    rate: u64,
    why: String,
    verdict: String,
    reason: String,
    records_per_s: f64,
    latency: StoredLatency,
    missed_share: f64,
    busiest_thread: f64,
}

/// The mean is in no table of a sweep.
#[derive(Serialize, Deserialize)]
struct StoredLatency {
    count: u64,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    p99_9_ms: f64,
    p99_99_ms: f64,
    max_ms: f64,
}

pub fn to_json(sweep: &Sweep) -> String {
    let limits = sweep.target.0.iter().map(|limit| (limit.name.clone(), ms(limit.at_most)));
    let stored = Stored {
        schema: SCHEMA.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        label: sweep.label.clone(),
        target_ms: limits.collect(),
        what: sweep.what.clone(),
        settings: sweep.settings.clone(),
        interrupted: sweep.interrupted,
        end: sweep.end_name().to_owned(),
        records_per_s: sweep.found(),
        sentence: sweep.sentence(),
        steps: sweep.steps.iter().map(StoredStep::of).collect(),
        best: sweep.best.as_ref().map(Document::of),
    };
    let mut text = serde_json::to_string_pretty(&stored).expect("strings, numbers and maps with string keys");
    text.push('\n');
    text
}

/// Whether a text says of itself that it is a sweep.
pub fn is_sweep(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Head {
        schema: String,
    }
    serde_json::from_str::<Head>(text).is_ok_and(|head| head.schema.starts_with("kring-loadgen sweep"))
}

/// Refuses what this program did not write.
pub fn parse(text: &str) -> Result<Sweep, String> {
    let stored: Stored = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if stored.schema != SCHEMA {
        return Err(format!("it is a \"{}\", not a \"{SCHEMA}\"", stored.schema));
    }
    let limits = stored.target_ms.into_iter().map(|(name, at_most)| limit(name, at_most));
    Ok(Sweep {
        label: stored.label,
        what: stored.what,
        target: Target(limits.collect::<Result<_, _>>()?),
        settings: stored.settings,
        steps: stored.steps.into_iter().map(StoredStep::into_step).collect::<Result<_, _>>()?,
        end: end(&stored.end, stored.records_per_s)?,
        interrupted: stored.interrupted,
        best: stored.best.map(Document::into_report).transpose()?,
    })
}

fn limit(name: String, at_most_ms: f64) -> Result<Limit, String> {
    let percent = name.strip_prefix('p').and_then(|percent| percent.parse::<f64>().ok());
    let quantile = percent.ok_or_else(|| format!("{name} is no percentile"))? / 100.0;
    Ok(Limit { name, quantile, at_most: from_ms(at_most_ms)? })
}

fn from_ms(ms: f64) -> Result<Duration, String> {
    seconds(ms / 1e3)
}

fn end(name: &str, found: Option<u64>) -> Result<Next, String> {
    Ok(match (name, found) {
        ("found", Some(rate)) => Next::Found { rate, bound: Bound::Broker },
        ("highest rate asked for", Some(rate)) => Next::Found { rate, bound: Bound::Asked },
        ("load generator", Some(rate)) => Next::Found { rate, bound: Bound::LoadGenerator },
        ("load generator", None) => Next::Never { bound: Bound::LoadGenerator },
        ("never", None) => Next::Never { bound: Bound::Broker },
        ("too few steps", confirmed) => Next::GaveUp { confirmed },
        _ => return Err(format!("a sweep does not end by \"{name}\"")),
    })
}

impl StoredStep {
    fn of(step: &Step) -> StoredStep {
        let Summary { count, p50, p90, p99, p999, p9999, max, .. } = step.latency;
        let [p50_ms, p90_ms, p99_ms, p99_9_ms, p99_99_ms, max_ms] = [p50, p90, p99, p999, p9999, max].map(ms);
        StoredStep {
            rate: step.rate,
            why: step.probe.name().to_owned(),
            verdict: step.verdict_name().to_owned(),
            reason: step.reason.clone(),
            records_per_s: step.achieved,
            latency: StoredLatency { count, p50_ms, p90_ms, p99_ms, p99_9_ms, p99_99_ms, max_ms },
            missed_share: step.missed,
            busiest_thread: step.busiest,
        }
    }

    fn into_step(self) -> Result<Step, String> {
        let verdict = match self.verdict.as_str() {
            "held" => Verdict::Held,
            "missed" => Verdict::Missed,
            "limited" => Verdict::Limited,
            other => return Err(format!("\"{other}\" is no verdict")),
        };
        let probe =
            Probe::from_name(&self.why).ok_or_else(|| format!("no rate is tried \"{}\"", self.why))?;
        Ok(Step {
            rate: self.rate,
            probe,
            verdict,
            reason: self.reason,
            achieved: self.records_per_s,
            latency: self.latency.summary()?,
            missed: self.missed_share,
            busiest: self.busiest_thread,
        })
    }
}

impl StoredLatency {
    fn summary(&self) -> Result<Summary, String> {
        Ok(Summary {
            count: self.count,
            mean: Duration::ZERO,
            p50: from_ms(self.p50_ms)?,
            p90: from_ms(self.p90_ms)?,
            p99: from_ms(self.p99_ms)?,
            p999: from_ms(self.p99_9_ms)?,
            p9999: from_ms(self.p99_99_ms)?,
            max: from_ms(self.max_ms)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;
    use crate::settings::{Settings, Workload};
    use crate::work::Outcome;

    fn sweep(end: Next) -> Sweep {
        let settings = Settings::of(Workload::Produce, "t");
        let limit = |name: &str, quantile, ms| Limit {
            name: name.to_owned(),
            quantile,
            at_most: Duration::from_millis(ms),
        };
        let report = Report::new(&settings, Outcome::default(), Default::default());
        let mut sweep = Sweep::new(Target(vec![limit("p50", 0.5, 2), limit("p99.9", 0.999, 10)]), &settings);
        for (rate, verdict) in [(1000, Verdict::Held), (2000, Verdict::Missed), (1500, Verdict::Limited)] {
            let mut step = Step::new(rate, Probe::Between, (verdict, "so".to_owned()), &report);
            step.latency = Summary { count: 3, p99: Duration::from_micros(rate), ..Summary::default() };
            sweep.add(step, &report);
        }
        Sweep { end, label: "a".to_owned(), best: Some(report), ..sweep }
    }

    #[test]
    fn a_sweep_is_read_back_whole_however_it_ended() {
        let bounds = [Bound::Broker, Bound::LoadGenerator, Bound::Asked];
        let found = bounds.map(|bound| Next::Found { rate: 1000, bound });
        let never = [Bound::Broker, Bound::LoadGenerator].map(|bound| Next::Never { bound });
        let gave_up = [None, Some(1000)].map(|confirmed| Next::GaveUp { confirmed });
        for end in found.into_iter().chain(never).chain(gave_up) {
            let written = sweep(end).to_json();
            assert!(is_sweep(&written));
            let read = parse(&written).unwrap();
            assert!(read.to_json() == written && read.to_page() == sweep(end).to_page(), "{written}");
        }
    }

    #[test]
    fn what_is_no_sweep_is_refused() {
        let written = sweep(Next::GaveUp { confirmed: None }).to_json();
        assert!(parse("{}").is_err() && !is_sweep("{}"));
        assert!(parse(&written.replace("sweep 1", "sweep 2")).is_err());
        assert!(parse(&written.replace("limited", "perhaps")).is_err());
    }
}
