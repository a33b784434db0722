//! A result as JSON: the form that other programs read, and that `kring-loadgen report` reads back. Pure.
//!
//! Histograms are in it whole (HdrHistogram V2, compressed, base64), so that results add up exactly. Percentiles,
//! rates and warnings are written for other programs' convenience and made anew when a result is read.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::latencies::{DIGITS, HIGHEST_NS, LOWEST_NS, Latencies, Summary};
use crate::measure::{Measure, Measures};
use crate::report::{Cpu, Rates, Report, Thread, rates};
use crate::rows::Rows;
use crate::stats::{Amount, LATE, Stats};
use crate::timeline::{Slot, pack};
use crate::verify::Judgement;

/// Changes whenever a reader of the previous form would be wrong about this one.
pub const SCHEMA: &str = "kring-loadgen run 1";

#[derive(Debug, Serialize, Deserialize)]
pub struct Document {
    schema: String,
    version: String,
    label: String,
    instances: u32,
    started_unix_ms: u64,
    settings: Rows,
    machine: Rows,
    warm_up_s: f64,
    measured_s: f64,
    /// The operator ended the run before its time.
    #[serde(default)]
    interrupted: bool,
    histogram: Bounds,
    amounts: BTreeMap<String, AmountForm>,
    latencies: BTreeMap<String, LatencyForm>,
    timeline: TimelineForm,
    /// What happened how often.
    counts: BTreeMap<String, u64>,
    /// Records that were sent again, by what went wrong before.
    retries: BTreeMap<String, u64>,
    /// Records by what went wrong with them.
    errors: BTreeMap<String, u64>,
    /// Records that were due and never sent.
    unsent: u64,
    missed_send_times: MissedForm,
    threads: Vec<ThreadForm>,
    own_cpu_s: Option<f64>,
    other_cpu_s: Option<f64>,
    verified: Option<JudgementForm>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Bounds {
    lowest_ns: u64,
    highest_ns: u64,
    digits: u8,
}

#[derive(Debug, Serialize, Deserialize)]
struct AmountForm {
    records: u64,
    requests: u64,
    records_per_s: f64,
    /// Of what was produced its content, of what was consumed its batches.
    bytes: u64,
    megabytes_per_s: f64,
    /// Of keys and values, before compression; null where they are not known.
    #[serde(default)]
    content_bytes: Option<u64>,
    #[serde(default)]
    content_megabytes_per_s: Option<f64>,
    /// As they go over the network, compressed where they are; null where they are not known.
    #[serde(default)]
    batch_bytes: Option<u64>,
    #[serde(default)]
    batch_megabytes_per_s: Option<f64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct LatencyForm {
    what: String,
    count: u64,
    mean_ms: f64,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    p99_9_ms: f64,
    p99_99_ms: f64,
    max_ms: f64,
    histogram: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct TimelineForm {
    slot_s: f64,
    /// The slots before this one are warm-up.
    first_measured: usize,
    /// From this one on nothing is measured any more.
    end_measured: usize,
    slots: Vec<SlotForm>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SlotForm {
    produced: AmountForm,
    consumed: AmountForm,
    errors: u64,
    in_flight: u64,
    busy: f64,
    latencies: BTreeMap<String, LatencyForm>,
}

#[derive(Debug, Serialize, Deserialize)]
struct MissedForm {
    longer_than_ms: f64,
    batches: u64,
    late: u64,
    share: f64,
    worst_ms: f64,
}

#[derive(Debug, Serialize, Deserialize)]
struct ThreadForm {
    cpu_s: f64,
    elapsed_s: f64,
    share: f64,
    busiest: f64,
}

#[derive(Debug, Serialize, Deserialize)]
struct JudgementForm {
    good: bool,
    acknowledged: u64,
    lost: u64,
    doubled: u64,
    reordered: u64,
    changed: u64,
}

impl Document {
    pub fn of(report: &Report) -> Document {
        let stats = &report.stats;
        let amounts = report.amounts().into_iter();
        Document {
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            label: report.label.clone(),
            instances: report.instances,
            started_unix_ms: report.started_ms,
            settings: report.settings.clone(),
            machine: report.machine.clone(),
            warm_up_s: report.warm_up.as_secs_f64(),
            measured_s: report.measured.as_secs_f64(),
            interrupted: report.interrupted,
            histogram: Bounds { lowest_ns: LOWEST_NS, highest_ns: HIGHEST_NS, digits: DIGITS },
            amounts: amounts
                .map(|(name, one)| (name.to_owned(), amount(name, one, report.measured)))
                .collect(),
            latencies: latencies(&stats.latencies),
            timeline: timeline(report),
            counts: stats.counts.clone(),
            retries: stats.retries.clone(),
            errors: stats.errors.clone(),
            unsent: stats.unsent,
            missed_send_times: missed(report),
            threads: report.threads.iter().map(thread).collect(),
            own_cpu_s: report.cpu.own.map(|time| time.as_secs_f64()),
            other_cpu_s: report.cpu.other.map(|time| time.as_secs_f64()),
            verified: report.judgement.map(judgement),
            warnings: report.warnings(),
        }
    }

    pub fn to_json(&self) -> String {
        let mut text =
            serde_json::to_string_pretty(self).expect("strings, numbers and maps with string keys");
        text.push('\n');
        text
    }

    /// Refuses what this program did not write.
    pub fn parse(text: &str) -> Result<Document, String> {
        let document: Document = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if document.schema == SCHEMA {
            Ok(document)
        } else {
            Err(format!("it is a \"{}\", not a \"{SCHEMA}\"", document.schema))
        }
    }

    /// The result that was written.
    pub fn into_report(mut self) -> Result<Report, String> {
        let mut take = |name| self.amounts.remove(name).map(|form| form.amount(name)).unwrap_or_default();
        let stats = Stats {
            produced: take("produced"),
            consumed: take("consumed"),
            latencies: measures(&self.latencies)?,
            amounts: self
                .amounts
                .into_iter()
                .map(|(name, form)| {
                    let amount = form.amount(&name);
                    (name, amount)
                })
                .collect(),
            counts: self.counts,
            retries: self.retries,
            errors: self.errors,
            unsent: self.unsent,
            reading: seconds(self.measured_s)?,
            lasted: Duration::ZERO,
        };
        let slots: Result<Vec<Slot>, String> = self.timeline.slots.iter().map(SlotForm::slot).collect();
        let threads: Result<Vec<Thread>, String> = self.threads.iter().map(ThreadForm::thread).collect();
        Ok(Report {
            label: self.label,
            instances: self.instances,
            started_ms: self.started_unix_ms,
            settings: self.settings,
            machine: self.machine,
            warm_up: seconds(self.warm_up_s)?,
            measured: seconds(self.measured_s)?,
            interrupted: self.interrupted,
            slot: seconds(self.timeline.slot_s)?.max(Duration::from_millis(1)),
            stats,
            slots: slots?,
            threads: threads?,
            cpu: Cpu {
                own: self.own_cpu_s.map(seconds).transpose()?,
                other: self.other_cpu_s.map(seconds).transpose()?,
            },
            judgement: self.verified.map(|form| form.judgement()),
        })
    }
}

pub(crate) fn seconds(seconds: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

pub(crate) fn ms(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e6
}

fn amount(name: &str, amount: Amount, time: Duration) -> AmountForm {
    let Amount { records, content_bytes, batch_bytes, requests } = amount;
    let Rates { records: records_per_s, content, batches } = rates(amount, time);
    let is_content = name == PRODUCED;
    AmountForm {
        records,
        requests,
        records_per_s,
        bytes: if is_content { content_bytes } else { batch_bytes },
        megabytes_per_s: if is_content { content } else { batches }.unwrap_or(0.0),
        content_bytes: content.map(|_| content_bytes),
        content_megabytes_per_s: content,
        batch_bytes: batches.map(|_| batch_bytes),
        batch_megabytes_per_s: batches,
    }
}

/// Whose bytes are those of keys and values.
const PRODUCED: &str = "produced";

impl AmountForm {
    fn amount(&self, name: &str) -> Amount {
        // Before both were written there was one of them.
        let one = |is_content: bool| (is_content == (name == PRODUCED)).then_some(self.bytes);
        Amount {
            records: self.records,
            content_bytes: self.content_bytes.or(one(true)).unwrap_or(0),
            batch_bytes: self.batch_bytes.or(one(false)).unwrap_or(0),
            requests: self.requests,
        }
    }
}

fn latencies(measures: &Measures) -> BTreeMap<String, LatencyForm> {
    measures
        .iter()
        .map(|(measure, latencies)| (measure.key().to_owned(), latency(&measure, latencies)))
        .collect()
}

fn latency(measure: &Measure, latencies: &Latencies) -> LatencyForm {
    let Summary { count, mean, p50, p90, p99, p999, p9999, max } = latencies.summary();
    LatencyForm {
        what: measure.title().to_owned(),
        count,
        mean_ms: ms(mean),
        p50_ms: ms(p50),
        p90_ms: ms(p90),
        p99_ms: ms(p99),
        p99_9_ms: ms(p999),
        p99_99_ms: ms(p9999),
        max_ms: ms(max),
        histogram: latencies.to_base64(),
    }
}

fn measures(forms: &BTreeMap<String, LatencyForm>) -> Result<Measures, String> {
    let mut measures = Measures::default();
    for (key, form) in forms {
        measures.add(&Measure::from_key(key), &Latencies::from_base64(&form.histogram)?);
    }
    Ok(measures)
}

fn timeline(report: &Report) -> TimelineForm {
    let measured = report.measured_slots();
    TimelineForm {
        slot_s: report.slot.as_secs_f64(),
        first_measured: measured.start,
        end_measured: measured.end,
        slots: report.slots.iter().map(|slot| slot_form(slot, report.slot)).collect(),
    }
}

fn slot_form(slot: &Slot, length: Duration) -> SlotForm {
    SlotForm {
        produced: amount(PRODUCED, slot.produced, length),
        consumed: amount("consumed", slot.consumed, length),
        errors: slot.errors,
        in_flight: slot.in_flight,
        busy: slot.busy,
        latencies: latencies(&slot.measures()),
    }
}

impl SlotForm {
    fn slot(&self) -> Result<Slot, String> {
        Ok(Slot {
            produced: self.produced.amount(PRODUCED),
            consumed: self.consumed.amount("consumed"),
            errors: self.errors,
            in_flight: self.in_flight,
            busy: self.busy,
            latencies: pack(&measures(&self.latencies)?),
        })
    }
}

fn missed(report: &Report) -> MissedForm {
    let missed = report.missed();
    MissedForm {
        longer_than_ms: ms(LATE),
        batches: missed.batches,
        late: missed.late,
        share: missed.share(),
        worst_ms: ms(missed.worst),
    }
}

fn thread(thread: &Thread) -> ThreadForm {
    ThreadForm {
        cpu_s: thread.cpu.as_secs_f64(),
        elapsed_s: thread.elapsed.as_secs_f64(),
        share: thread.share(),
        busiest: thread.busiest,
    }
}

impl ThreadForm {
    fn thread(&self) -> Result<Thread, String> {
        let (cpu, elapsed) = (seconds(self.cpu_s)?, seconds(self.elapsed_s)?);
        Ok(Thread { cpu, elapsed, busiest: self.busiest })
    }
}

fn judgement(judgement: Judgement) -> JudgementForm {
    let Judgement { acknowledged, lost, doubled, reordered, changed } = judgement;
    JudgementForm { good: judgement.is_good(), acknowledged, lost, doubled, reordered, changed }
}

impl JudgementForm {
    fn judgement(&self) -> Judgement {
        let JudgementForm { good: _, acknowledged, lost, doubled, reordered, changed } = *self;
        Judgement { acknowledged, lost, doubled, reordered, changed }
    }
}
