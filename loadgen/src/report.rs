//! The result of a run: what was measured, and why it may not be the broker's doing. Decides nothing about the run.

use std::time::Duration;

use crate::host;
use crate::latencies::Summary;
use crate::measure::Measure;
use crate::rows::Rows;
use crate::settings::Settings;
use crate::stats::{Amount, LATE, Stats};
use crate::text::time;
use crate::timeline::{self, Slot, slot_length};
use crate::verify::{Judgement, judge};
use crate::work::Outcome;

/// Part of the batches that may miss their send time before the figures are doubtful.
const LATE_SHARE: f64 = 0.01;
/// Part of its core that a thread may use before it is the bottleneck itself.
const BUSY: f64 = 0.85;
/// Part of a percentile that may be the load generator's own delay.
const OWN_PART: f64 = 0.25;

/// CPU time used during a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cpu {
    pub own: Option<Duration>,
    /// Of the process that was asked for.
    pub other: Option<Duration>,
}

/// What one thread of the load generator used of its core.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Thread {
    pub cpu: Duration,
    /// The measured slots.
    pub elapsed: Duration,
    /// Part of its core in the slot in which it used most.
    pub busiest: f64,
}

impl Thread {
    /// One slot more.
    pub fn and(self, slot: Thread) -> Thread {
        Thread {
            cpu: self.cpu + slot.cpu,
            elapsed: self.elapsed + slot.elapsed,
            busiest: self.busiest.max(slot.share()),
        }
    }

    /// Part of its core.
    pub fn share(&self) -> f64 {
        let elapsed = self.elapsed.as_secs_f64();
        if elapsed > 0.0 { self.cpu.as_secs_f64() / elapsed } else { 0.0 }
    }
}

/// The result of a run, or of several that ran together.
#[derive(Clone, Debug)]
pub struct Report {
    pub label: String,
    /// How many processes it comes from.
    pub instances: u32,
    /// Wall clock at the first intended send time.
    pub started_ms: u64,
    pub settings: Rows,
    pub machine: Rows,
    pub warm_up: Duration,
    /// The time that rates refer to.
    pub measured: Duration,
    /// The operator ended it before its time.
    pub interrupted: bool,
    pub slot: Duration,
    pub stats: Stats,
    pub slots: Vec<Slot>,
    pub threads: Vec<Thread>,
    pub cpu: Cpu,
    pub judgement: Option<Judgement>,
}

impl Report {
    pub fn new(settings: &Settings, outcome: Outcome, cpu: Cpu) -> Report {
        Report {
            label: String::new(),
            instances: 1,
            started_ms: outcome.started_ms,
            settings: Rows::new(settings.rows()),
            machine: host::machine(),
            warm_up: settings.warm_up,
            measured: measured(settings, &outcome),
            interrupted: outcome.interrupted.is_some(),
            slot: slot_length(settings.warm_up + settings.duration),
            judgement: settings.verify.then(|| judge(&outcome.ledger, &outcome.arrivals)),
            stats: outcome.stats,
            slots: outcome.slots,
            threads: outcome.threads,
            cpu,
        }
    }

    /// Nothing failed, and what was to be verified is good.
    pub fn is_good(&self) -> bool {
        self.stats.error_count() == 0 && self.judgement.is_none_or(|judgement| judgement.is_good())
    }

    /// Adds the result of an instance that ran at the same time, value by value.
    pub fn merge(&mut self, other: &Report) -> Result<(), String> {
        if let Some(difference) = self.apart_from(other) {
            return Err(format!("{} and {} do not add up: {difference}", self.label, other.label));
        }
        self.interrupted |= other.interrupted;
        self.instances += other.instances;
        self.settings.merge(&other.settings);
        self.machine.merge(&other.machine);
        self.measured = self.measured.max(other.measured);
        self.stats.merge(&other.stats);
        timeline::merge(&mut self.slots, &other.slots);
        self.threads.extend(&other.threads);
        self.cpu = Cpu { own: sum(self.cpu.own, other.cpu.own), other: self.cpu.other.or(other.cpu.other) };
        self.judgement = match (self.judgement, other.judgement) {
            (Some(one), Some(two)) => Some(one.and(two)),
            (one, two) => one.or(two),
        };
        Ok(())
    }

    /// Why the two are not of one run.
    fn apart_from(&self, other: &Report) -> Option<String> {
        let (one, two) = (self.started_ms, other.started_ms);
        if one.abs_diff(two) > APART_MS {
            let s = one.abs_diff(two) as f64 / 1e3;
            return Some(format!("they started {s:.3} s apart: give them one start time (--start-at)"));
        }
        if self.warm_up != other.warm_up {
            return Some(differ("warm-up", self.warm_up, other.warm_up));
        }
        // What was measured differs by itself where a count ends it.
        let asked = |report: &Report| report.settings.get("duration s").map(str::to_owned);
        if (asked(self), self.slot) != (asked(other), other.slot) {
            let s = |report| asked(report).unwrap_or_default();
            return Some(format!("their duration is {} s and {} s", s(self), s(other)));
        }
        let cut = self.interrupted || other.interrupted;
        if cut && self.measured.abs_diff(other.measured) > INTERRUPTED_APART {
            return Some(differ("time until it was interrupted", self.measured, other.measured));
        }
        None
    }

    pub fn amounts(&self) -> Vec<(&str, Amount)> {
        let both = [("produced", self.stats.produced), ("consumed", self.stats.consumed)];
        let named = self.stats.amounts.iter().map(|(name, amount)| (name.as_str(), *amount));
        both.into_iter().chain(named).filter(|(_, amount)| amount.requests > 0).collect()
    }

    /// The kinds of latency and their figures.
    pub fn latencies(&self) -> Vec<(Measure, Summary)> {
        self.stats.latencies.iter().map(|(measure, latencies)| (measure, latencies.summary())).collect()
    }

    pub fn missed(&self) -> Missed {
        let delays = self.stats.of(&Measure::OwnDelay);
        let (batches, late) = (delays.count(), delays.count_above(LATE));
        Missed { batches, late, worst: delays.summary().max }
    }

    /// The slots that lie inside the measured time.
    pub fn measured_slots(&self) -> std::ops::Range<usize> {
        let slot = self.slot.as_secs_f64();
        let from = (self.warm_up.as_secs_f64() / slot).ceil() as usize;
        let to = ((self.warm_up + self.measured).as_secs_f64() / slot).floor() as usize;
        from.min(self.slots.len())..to.clamp(from.min(self.slots.len()), self.slots.len())
    }

    /// Why the figures may not be the broker's, each with what to do.
    pub fn warnings(&self) -> Vec<String> {
        let all = [
            self.interrupted_warning(),
            self.missed_warning(),
            self.own_part_warning(),
            self.busy_warning(),
            self.unsent_warning(),
        ];
        all.into_iter().flatten().collect()
    }

    fn interrupted_warning(&self) -> Option<String> {
        self.interrupted.then(|| {
            format!("the run was interrupted: this is what was measured in its first {}", time(self.measured))
        })
    }

    /// Whether the latencies may be the load generator's rather than the broker's. A send time that was missed by far
    /// less than the latency says nothing of the kind.
    pub fn is_bottleneck(&self) -> bool {
        self.own_part_warning().or(self.busy_warning()).is_some()
    }

    fn missed_warning(&self) -> Option<String> {
        let missed = self.missed();
        (missed.share() > LATE_SHARE).then(|| {
            format!(
                "the load generator missed the send time of {:.1} % of its batches by more than {} (at worst {}), for \
                 no fault of the broker: give it cores of its own (--cpus), another machine, more --threads or a \
                 lower --rate",
                missed.share() * 100.0,
                time(LATE),
                time(missed.worst)
            )
        })
    }

    fn own_part_warning(&self) -> Option<String> {
        let (_, main) = self.stats.latencies.main()?;
        let own_p99 = |measure| self.stats.of(&measure).quantile(0.99);
        // A timer may be late by a little without anybody's fault.
        let woken_late = own_p99(Measure::WokenLate);
        let woken_late = if woken_late > LATE { woken_late } else { Duration::ZERO };
        let (own, whole) = (own_p99(Measure::OwnDelay).max(woken_late), main.quantile(0.99));
        (own.as_secs_f64() > OWN_PART * whole.as_secs_f64()).then(|| {
            format!(
                "the p99 of {} has a part of up to {} that is the load generator's own delay: take it off, or give \
                 the load generator cores of its own (--cpus)",
                time(whole),
                time(own)
            )
        })
    }

    fn busy_warning(&self) -> Option<String> {
        let shares = self.threads.iter().map(Thread::share).enumerate();
        let (thread, share) = shares.max_by(|(_, one), (_, two)| one.total_cmp(two))?;
        (share > BUSY).then(|| {
            format!(
                "thread {thread} of the load generator used {:.0} % of its core, so that it may be the bottleneck: use \
                 more --threads and clients, larger batches, or several instances (--start-at)",
                share * 100.0
            )
        })
    }

    fn unsent_warning(&self) -> Option<String> {
        let unsent = self.stats.unsent;
        (unsent > 0).then(|| {
            format!(
                "the broker did not keep up: {unsent} records were due and never sent; the percentiles count how long \
                 they had waited at the end, which is less than they would have: choose a lower --rate"
            )
        })
    }
}

/// Instances of one run start within this time of each other: wall clocks of machines differ.
const APART_MS: u64 = 100;

/// Nobody interrupts them all at one time; what this adds to their rates does not show.
const INTERRUPTED_APART: Duration = Duration::from_millis(500);

fn differ(what: &str, one: Duration, two: Duration) -> String {
    format!("their {what} is {} s and {} s", one.as_secs_f64(), two.as_secs_f64())
}

/// Send times that the load generator itself missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    pub batches: u64,
    pub late: u64,
    pub worst: Duration,
}

impl Missed {
    pub fn share(&self) -> f64 {
        if self.batches == 0 { 0.0 } else { self.late as f64 / self.batches as f64 }
    }
}

fn sum(one: Option<Duration>, two: Option<Duration>) -> Option<Duration> {
    match (one, two) {
        (Some(one), Some(two)) => Some(one + two),
        (one, two) => one.or(two),
    }
}

/// The time that rates refer to.
fn measured(settings: &Settings, outcome: &Outcome) -> Duration {
    let whole = match (settings.produces(), settings.count) {
        (true, None) => settings.duration,
        (true, Some(_)) => outcome.stats.lasted,
        (false, _) if settings.consumes() => outcome.stats.reading,
        (false, _) => settings.duration,
    };
    outcome.interrupted.map_or(whole, |interrupted| whole.min(interrupted))
}

/// What there was in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    pub records: f64,
    /// Megabytes of keys and values, before compression; absent where they are not known.
    pub content: Option<f64>,
    /// Megabytes of batches as they go over the network; absent where they are not known.
    pub batches: Option<f64>,
}

pub fn rates(amount: Amount, time: Duration) -> Rates {
    let seconds = time.as_secs_f64();
    let each = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
    let known = |bytes: u64| (bytes > 0).then(|| each(bytes) / 1e6);
    Rates {
        records: each(amount.records),
        content: known(amount.content_bytes),
        batches: known(amount.batch_bytes),
    }
}
