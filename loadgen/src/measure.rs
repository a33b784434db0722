//! What kinds of latency there are, and a histogram for each. Pure.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crate::latencies::Latencies;

/// A kind of latency. The first that a run has is the one that its plots and its live line show.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// From the intended send time of a record to its receipt by a consumer.
    Received,
    /// From the intended send time of a record to its acknowledgement.
    Acknowledged,
    /// From a fetch request to its answer.
    Fetched,
    /// Something that only some workloads have.
    Named(Arc<str>),
    /// From the intended send time of a batch's first record to when its request begins to be written.
    Written,
    /// Of that, what neither lingering nor the broker caused: how late the load generator itself was.
    OwnDelay,
    /// How late a thread of the load generator is for a time at which it wants to wake up: so late it may be for answers.
    WokenLate,
}

impl Measure {
    /// Those that have no name of a workload's own.
    const FIXED: [Measure; 6] = [
        Measure::Received,
        Measure::Acknowledged,
        Measure::Fetched,
        Measure::Written,
        Measure::OwnDelay,
        Measure::WokenLate,
    ];

    /// Its name in JSON.
    pub fn key(&self) -> &str {
        match self {
            Measure::Received => "received",
            Measure::Acknowledged => "acknowledged",
            Measure::Fetched => "fetched",
            Measure::Named(name) => name,
            Measure::Written => "written",
            Measure::OwnDelay => "own_delay",
            Measure::WokenLate => "woken_late",
        }
    }

    /// Its name for people.
    pub fn title(&self) -> &str {
        match self {
            Measure::Received => "intended send to receipt",
            Measure::Acknowledged => "intended send to acknowledgement",
            Measure::Fetched => "fetch round trip",
            Measure::Named(name) => name,
            Measure::Written => "intended send to socket, a batch",
            Measure::OwnDelay => "own delay in it, a batch",
            Measure::WokenLate => "a thread wakes late",
        }
    }

    pub fn from_key(key: &str) -> Measure {
        let fixed = Measure::FIXED.into_iter().find(|measure| measure.key() == key);
        fixed.unwrap_or_else(|| Measure::Named(key.into()))
    }

    /// Whether it says something about the load generator rather than about the broker.
    pub fn is_own(&self) -> bool {
        matches!(self, Measure::Written | Measure::OwnDelay | Measure::WokenLate)
    }

    /// Its place among the fixed ones.
    fn place(&self) -> Option<usize> {
        match self {
            Measure::Received => Some(0),
            Measure::Acknowledged => Some(1),
            Measure::Fetched => Some(2),
            Measure::Named(_) => None,
            Measure::Written => Some(3),
            Measure::OwnDelay => Some(4),
            Measure::WokenLate => Some(5),
        }
    }
}

/// A histogram for each kind of latency that occurred.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measures {
    fixed: [Option<Box<Latencies>>; Measure::FIXED.len()],
    named: BTreeMap<Arc<str>, Latencies>,
}

static NONE: LazyLock<Latencies> = LazyLock::new(Latencies::default);

impl Measures {
    pub fn record(&mut self, measure: &Measure, latency: Duration, count: u64) {
        self.of(measure).record(latency, count);
    }

    pub fn add(&mut self, measure: &Measure, latencies: &Latencies) {
        self.of(measure).merge(latencies);
    }

    pub fn merge(&mut self, other: &Measures) {
        other.iter().for_each(|(measure, latencies)| self.add(&measure, latencies));
    }

    /// Empty when there are none.
    pub fn get(&self, measure: &Measure) -> &Latencies {
        let found = match (measure, measure.place()) {
            (_, Some(place)) => self.fixed[place].as_deref(),
            (measure, None) => self.named.get(measure.key()),
        };
        found.unwrap_or(&NONE)
    }

    /// Those that occurred: the fixed ones, the named ones, and last those that are about the load generator.
    pub fn iter(&self) -> impl Iterator<Item = (Measure, &Latencies)> {
        let fixed = |own: bool| {
            let all = Measure::FIXED.into_iter().zip(&self.fixed);
            let some = all.filter_map(|(measure, latencies)| Some((measure, latencies.as_deref()?)));
            some.filter(move |(measure, _)| measure.is_own() == own)
        };
        let named = self.named.iter().map(|(name, latencies)| (Measure::Named(name.clone()), latencies));
        fixed(false).chain(named).chain(fixed(true)).filter(|(_, latencies)| latencies.count() > 0)
    }

    /// The one that plots show.
    pub fn main(&self) -> Option<(Measure, &Latencies)> {
        self.iter().find(|(measure, _)| !measure.is_own())
    }

    /// Empties the histograms; their memory stays for the next values.
    pub fn clear(&mut self) {
        self.fixed.iter_mut().flatten().for_each(|latencies| latencies.clear());
        self.named.values_mut().for_each(Latencies::clear);
    }

    pub fn of(&mut self, measure: &Measure) -> &mut Latencies {
        match (measure, measure.place()) {
            (_, Some(place)) => self.fixed[place].get_or_insert_default(),
            (Measure::Named(name), None) => self.named.entry(name.clone()).or_default(),
            (fixed, None) => unreachable!("{fixed:?} has a place"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn every_measure_has_its_place_and_its_own_key() {
        for (at, measure) in Measure::FIXED.into_iter().enumerate() {
            assert_eq!(measure.place(), Some(at));
            assert_eq!(Measure::from_key(measure.key()), measure);
        }
        assert_eq!(Measure::from_key("rebalance"), Measure::Named("rebalance".into()));
    }

    #[test]
    fn the_main_measure_is_the_brokers_and_the_first() {
        let mut measures = Measures::default();
        measures.record(&Measure::OwnDelay, MS, 1);
        assert_eq!(measures.main().map(|(measure, _)| measure), None);
        for measure in [Measure::from_key("commit"), Measure::Fetched, Measure::Acknowledged] {
            measures.record(&measure, MS, 1);
            assert_eq!(measures.main().map(|(main, _)| main), Some(measure));
        }
        let keys: Vec<_> = measures.iter().map(|(measure, _)| measure.key().to_owned()).collect();
        assert_eq!(keys, ["acknowledged", "fetched", "commit", "own_delay"]);
    }

    #[test]
    fn cleared_measures_are_gone() {
        let mut measures = Measures::default();
        measures.record(&Measure::Fetched, MS, 1);
        measures.record(&Measure::from_key("commit"), MS, 1);
        measures.clear();
        assert_eq!(measures.iter().count(), 0);
        assert_eq!(measures.get(&Measure::Received).count(), 0);
    }
}
