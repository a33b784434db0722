//! Which rate to try next. Pure: everything follows from the steps so far, so that a sweep has no state but its table.
//!
//! ```text
//! first rate ── holds ──► double until a rate does not hold ─┐
//!     └─ does not hold ─► halve until a rate holds ──────────┴► halve the gap ► confirm ► found
//! ```
//!
//! One run proves nothing: a rate does not hold when most of its `repeat` runs say so, and the rate that is found held
//! in most of them. What held once may be built upon until then.

use std::collections::BTreeMap;

/// What one run says of its rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Held,
    /// The target did not hold, or the broker did not keep up.
    Missed,
    /// The same, but the load generator was the bottleneck: nothing is said of the broker.
    Limited,
}

/// Why a rate is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    First,
    Double,
    Halve,
    Between,
    /// Once more, because the runs so far do not agree.
    Again,
    Confirm,
}

impl Probe {
    const ALL: [Probe; 6] =
        [Probe::First, Probe::Double, Probe::Halve, Probe::Between, Probe::Again, Probe::Confirm];

    pub fn from_name(name: &str) -> Option<Probe> {
        Probe::ALL.into_iter().find(|probe| probe.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Probe::First => "first",
            Probe::Double => "double",
            Probe::Halve => "halve",
            Probe::Between => "between",
            Probe::Again => "again",
            Probe::Confirm => "confirm",
        }
    }
}

/// What ends a search upwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    Broker,
    LoadGenerator,
    /// The highest rate that may be tried.
    Asked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Try {
        rate: u64,
        probe: Probe,
    },
    /// The highest rate that holds, as closely as asked.
    Found {
        rate: u64,
        bound: Bound,
    },
    /// Not even the lowest rate that may be tried holds.
    Never {
        bound: Bound,
    },
    /// As many steps as allowed were made; the highest rate that was confirmed, if any.
    GaveUp {
        confirmed: Option<u64>,
    },
}

/// How a sweep searches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Search {
    /// Records per second of the first step.
    pub first: u64,
    pub lowest: u64,
    pub highest: u64,
    /// How far the next higher rate that does not hold may be away, as a part.
    pub within: f64,
    /// Runs that decide about a rate by majority.
    pub repeat: u32,
    pub max_steps: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Votes {
    held: u32,
    missed: u32,
    limited: u32,
}

impl Votes {
    fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Held => self.held += 1,
            Verdict::Missed => self.missed += 1,
            Verdict::Limited => self.limited += 1,
        }
    }

    fn against(&self) -> u32 {
        self.missed + self.limited
    }

    fn bound(&self) -> Bound {
        if self.limited > self.missed { Bound::LoadGenerator } else { Bound::Broker }
    }
}

impl Search {
    /// What to do after these steps.
    pub fn next(&self, steps: &[(u64, Verdict)]) -> Next {
        let mut votes: BTreeMap<u64, Votes> = BTreeMap::new();
        steps.iter().for_each(|(rate, verdict)| votes.entry(*rate).or_default().add(*verdict));
        let upper = votes.iter().find(|(_, votes)| votes.against() >= self.majority());
        let upper = upper.map(|(rate, votes)| (*rate, votes.bound()));
        let below = votes.range(..upper.map_or(u64::MAX, |(rate, _)| rate));
        let next = self.between(below.clone(), upper);
        match next {
            Next::Try { .. } if steps.len() >= self.max_steps => {
                let confirmed = below.rev().find(|(_, votes)| votes.held >= self.majority());
                Next::GaveUp { confirmed: confirmed.map(|(rate, _)| *rate) }
            }
            next => next,
        }
    }

    fn majority(&self) -> u32 {
        self.repeat / 2 + 1
    }

    /// `below`: the rates that were tried and did not fail; `upper`: the lowest that did.
    fn between<'a>(
        &self,
        below: impl DoubleEndedIterator<Item = (&'a u64, &'a Votes)> + Clone,
        upper: Option<(u64, Bound)>,
    ) -> Next {
        let doubtful = below.clone().rev().find(|(_, votes)| votes.against() >= votes.held);
        if let Some((rate, _)) = doubtful {
            return Next::Try { rate: *rate, probe: Probe::Again };
        }
        let lower = below.last().map(|(rate, votes)| (*rate, votes.held >= self.majority()));
        match (lower, upper) {
            (None, None) => {
                Next::Try { rate: self.first.clamp(self.lowest, self.highest), probe: Probe::First }
            }
            (None, Some((upper, bound))) => self.downwards(upper, bound),
            (Some((lower, _)), None) if lower < self.highest => {
                Next::Try { rate: lower.saturating_mul(2).min(self.highest), probe: Probe::Double }
            }
            (Some((lower, _)), Some((upper, _))) if !self.is_close(lower, upper) => {
                Next::Try { rate: middle(lower, upper), probe: Probe::Between }
            }
            (Some((rate, false)), _) => Next::Try { rate, probe: Probe::Confirm },
            (Some((rate, true)), upper) => {
                Next::Found { rate, bound: upper.map_or(Bound::Asked, |(_, bound)| bound) }
            }
        }
    }

    fn downwards(&self, upper: u64, bound: Bound) -> Next {
        if upper <= self.lowest {
            return Next::Never { bound };
        }
        Next::Try { rate: (upper / 2).max(self.lowest), probe: Probe::Halve }
    }

    fn is_close(&self, lower: u64, upper: u64) -> bool {
        upper - lower <= 1 || upper as f64 <= lower as f64 * (1.0 + self.within)
    }
}

/// As many times above `lower` as below `upper`, and neither of them.
fn middle(lower: u64, upper: u64) -> u64 {
    let middle = (lower as f64 * upper as f64).sqrt().round() as u64;
    middle.clamp(lower + 1, upper - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEARCH: Search =
        Search { first: 1000, lowest: 10, highest: 10_000_000, within: 0.02, repeat: 3, max_steps: 100 };

    /// Runs a sweep against a broker that says whether it holds a rate in its n-th step.
    fn sweep(search: Search, mut broker: impl FnMut(u64) -> Verdict) -> (Next, Vec<(u64, Verdict)>) {
        let mut steps = Vec::new();
        loop {
            match search.next(&steps) {
                Next::Try { rate, .. } => steps.push((rate, broker(rate))),
                end => return (end, steps),
            }
        }
    }

    fn holds(held: bool) -> Verdict {
        if held { Verdict::Held } else { Verdict::Missed }
    }

    /// The 99th percentile of the time in an M/M/1 queue that serves this many a second, in seconds.
    fn queue_p99(rate: u64, service: f64) -> f64 {
        if rate as f64 >= service { f64::INFINITY } else { 100f64.ln() / (service - rate as f64) }
    }

    /// A generator of numbers from 0 to 1 that repeats.
    fn noise() -> impl FnMut() -> f64 {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 53) as f64
        }
    }

    #[test]
    fn the_knee_of_a_queue_is_found_from_below_and_from_above() {
        // p99 of 10 ms at a service rate of 50,000: 50,000 - ln(100) / 0.01 = 49,539.
        for first in [10, 1000, 40_000, 1_000_000, 10_000_000] {
            let search = Search { first, ..SEARCH };
            let (end, steps) = sweep(search, |rate| holds(queue_p99(rate, 50_000.0) <= 0.01));
            let Next::Found { rate, bound: Bound::Broker } = end else { panic!("{end:?}") };
            assert!((48_500..=49_539).contains(&rate), "from {first}: {rate}");
            assert!(steps.len() < 60, "{} steps", steps.len());
        }
    }

    #[test]
    fn what_is_found_was_confirmed_and_the_next_rate_was_refused_as_often() {
        let (end, steps) = sweep(SEARCH, |rate| holds(rate <= 7777));
        let Next::Found { rate, .. } = end else { panic!("{end:?}") };
        let count = |wanted: u64, verdict| steps.iter().filter(|step| **step == (wanted, verdict)).count();
        assert_eq!((count(rate, Verdict::Held), count(rate, Verdict::Missed)), (2, 0));
        let above = steps.iter().map(|(rate, _)| *rate).filter(|tried| *tried > rate).min().unwrap();
        assert_eq!(count(above, Verdict::Missed), 2);
        assert!(above as f64 <= rate as f64 * 1.02);
    }

    #[test]
    fn hiccups_and_lucky_runs_do_not_lead_far_away() {
        let mut noise = noise();
        let mut found = Vec::new();
        for _ in 0..200 {
            // One run in ten says the opposite of what is true.
            let (end, steps) =
                sweep(Search { repeat: 5, ..SEARCH }, |rate| holds((rate <= 20_000) != (noise() < 0.1)));
            let Next::Found { rate, .. } = end else { panic!("{end:?} after {} steps", steps.len()) };
            found.push(rate);
        }
        found.sort_unstable();
        assert!((19_000..=20_500).contains(&found[100]), "median {}", found[100]);
        let near = found.iter().filter(|rate| (17_000..=21_000).contains(*rate)).count();
        assert!(near >= 180, "{near} of 200: {found:?}");
    }

    #[test]
    fn a_broker_near_its_knee_answers_by_chance_and_the_sweep_still_ends() {
        let mut noise = noise();
        for _ in 0..200 {
            // From never at 30,000 to always at 10,000.
            let (end, steps) = sweep(SEARCH, |rate| holds(noise() > (rate as f64 - 10_000.0) / 20_000.0));
            let Next::Found { rate, .. } = end else { panic!("{end:?} after {} steps", steps.len()) };
            assert!((8_000..30_000).contains(&rate), "{rate}");
        }
    }

    #[test]
    fn a_target_that_never_holds_ends_at_the_lowest_rate() {
        let (end, steps) = sweep(SEARCH, |_| Verdict::Missed);
        assert_eq!(end, Next::Never { bound: Bound::Broker });
        assert_eq!(steps.last().map(|(rate, _)| *rate), Some(10));
    }

    #[test]
    fn a_target_that_always_holds_ends_at_the_highest_rate_and_is_confirmed() {
        let (end, steps) = sweep(SEARCH, |_| Verdict::Held);
        assert_eq!(end, Next::Found { rate: 10_000_000, bound: Bound::Asked });
        assert_eq!(steps.iter().filter(|(rate, _)| *rate == 10_000_000).count(), 2);
    }

    #[test]
    fn where_the_load_generator_is_the_limit_it_is_named() {
        let (end, _) = sweep(SEARCH, |rate| if rate <= 5000 { Verdict::Held } else { Verdict::Limited });
        let Next::Found { rate, bound: Bound::LoadGenerator } = end else { panic!("{end:?}") };
        assert!((4900..=5000).contains(&rate), "{rate}");
        let (end, _) = sweep(SEARCH, |_| Verdict::Limited);
        assert_eq!(end, Next::Never { bound: Bound::LoadGenerator });
    }

    #[test]
    fn a_sweep_that_may_make_few_steps_says_what_it_has() {
        let (end, steps) = sweep(Search { max_steps: 6, ..SEARCH }, |rate| holds(rate <= 7777));
        assert_eq!((end, steps.len()), (Next::GaveUp { confirmed: None }, 6));
    }

    #[test]
    fn neighbouring_rates_end_a_search_however_close_it_should_be() {
        let (end, _) = sweep(Search { first: 10, within: 0.0, ..SEARCH }, |rate| holds(rate <= 13));
        assert_eq!(end, Next::Found { rate: 13, bound: Bound::Broker });
    }
}
