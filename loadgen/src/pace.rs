//! When which record is meant to be sent. Pure: `now` is an argument.
//!
//! Intended times come from the schedule alone, never from an answer: that is what makes the loop open.

use std::time::Duration;

use kring_runtime::Monotonic;

use crate::random::Random;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// How records of an open loop follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    /// At even distances.
    Constant,
    /// As independent users come: exponential distances.
    Poisson,
}

/// Where one of several producers stands among those that share a rate.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    pub index: u64,
    pub producers: u64,
}

/// The intended times of one producer's records, one after another.
///
/// At even distances producer `index` of `producers` takes every `producers`-th record, so that all of them together
/// send at even distances. Poisson processes of each producer add up to one by themselves.
#[derive(Clone, Copy, Debug)]
pub struct Arrivals {
    next: Monotonic,
    distance: Distance,
}

#[derive(Clone, Copy, Debug)]
enum Distance {
    /// Nanoseconds and `part / of` more; what is carried over never drifts.
    Even {
        whole: u64,
        part: u64,
        of: u64,
        carried: u64,
    },
    Exponential {
        mean_ns: f64,
        carried: f64,
        random: Random,
    },
}

impl Arrivals {
    /// `rate` is in records per second of all producers together.
    pub fn new(start: Monotonic, rate: u64, share: Share, spacing: Spacing, seed: u64) -> Arrivals {
        assert!(rate > 0, "a rate is positive");
        assert!(share.index < share.producers, "a producer is one of them");
        match spacing {
            Spacing::Constant => Arrivals::even(start + phase(rate, seed), rate, share),
            Spacing::Poisson => {
                let mean_ns = share.producers as f64 * NANOS_PER_SECOND as f64 / rate as f64;
                let random = Random::new(seed, share.index);
                let distance = Distance::Exponential { mean_ns, carried: 0.0, random };
                let mut arrivals = Arrivals { next: start, distance };
                arrivals.advance();
                arrivals
            }
        }
    }

    fn even(start: Monotonic, rate: u64, share: Share) -> Arrivals {
        let first = share.index * NANOS_PER_SECOND;
        let distance = share.producers * NANOS_PER_SECOND;
        Arrivals {
            next: start + Duration::from_nanos(first / rate),
            distance: Distance::Even {
                whole: distance / rate,
                part: distance % rate,
                of: rate,
                carried: first % rate,
            },
        }
    }

    /// When the next record is meant to be sent.
    pub fn next(&self) -> Monotonic {
        self.next
    }

    /// How far records are apart on the average.
    pub fn mean_distance(&self) -> Duration {
        Duration::from_nanos(match self.distance {
            Distance::Even { whole, .. } => whole,
            Distance::Exponential { mean_ns, .. } => mean_ns as u64,
        })
    }

    /// On to the one after it.
    pub fn advance(&mut self) {
        let nanos = match &mut self.distance {
            Distance::Even { whole, part, of, carried } => {
                *carried += *part;
                let more = u64::from(*carried >= *of);
                *carried -= more * *of;
                *whole + more
            }
            Distance::Exponential { mean_ns, carried, random } => {
                // 1 − u is in (0, 1], so that the logarithm is finite.
                let exact = *carried - *mean_ns * (1.0 - random.next_unit()).ln();
                *carried = exact.fract();
                exact as u64
            }
        };
        self.next = self.next + Duration::from_nanos(nanos);
    }
}

/// Where in the distance between two records the first one is, so that instances with seeds of their own do not send
/// together; at its beginning with seed 0.
fn phase(rate: u64, seed: u64) -> Duration {
    let part = if seed == 0 { 0.0 } else { Random::new(seed, u64::MAX).next_unit() };
    Duration::from_nanos((part * NANOS_PER_SECOND as f64 / rate as f64) as u64)
}

/// When a producer has sent all.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// What is meant to be sent before this time.
    Time(Monotonic),
    /// So many more after the warm-up, which ends at `measured`; before `end`, too.
    Count { measured: Monotonic, left: u64, end: Monotonic },
}

/// What a producer has to send.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Absent where the broker sets the pace.
    arrivals: Option<Arrivals>,
    until: Until,
}

impl Source {
    pub fn new(arrivals: Option<Arrivals>, until: Until) -> Source {
        Source { arrivals, until }
    }

    /// When the next record is due; absent when all have been taken. `now` is the answer of a closed loop.
    pub fn next(&self, now: Monotonic) -> Option<Monotonic> {
        let next = self.arrivals.map_or(now, |arrivals| arrivals.next());
        let more = match self.until {
            Until::Time(end) => next < end,
            Until::Count { left, end, .. } => left > 0 && next < end,
        };
        more.then_some(next)
    }

    /// Takes the next record if it is due: when it was meant to be sent.
    pub fn take(&mut self, now: Monotonic) -> Option<Monotonic> {
        let due = self.next(now).filter(|due| *due <= now)?;
        if let Some(arrivals) = &mut self.arrivals {
            arrivals.advance();
        }
        if let Until::Count { measured, left, .. } = &mut self.until {
            *left -= u64::from(due >= *measured);
        }
        Some(due)
    }

    /// What is meant to be sent at this time or later is not sent.
    pub fn end_by(&mut self, time: Monotonic) {
        match &mut self.until {
            Until::Time(end) | Until::Count { end, .. } => *end = time.min(*end),
        }
    }

    /// Nothing more is to be sent.
    pub fn close(&mut self) {
        self.until = Until::Time(Monotonic::ZERO);
    }

    /// How far records are apart on the average; nothing in a closed loop.
    pub fn mean_distance(&self) -> Duration {
        self.arrivals.map_or(Duration::ZERO, |arrivals| arrivals.mean_distance())
    }

    /// Whether records come by a schedule.
    pub fn is_open(&self) -> bool {
        self.arrivals.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Monotonic {
        Monotonic::from_nanos(1_000_000_000 + micros * 1000)
    }

    fn arrivals(rate: u64, index: u64, producers: u64, spacing: Spacing) -> Arrivals {
        let seed = if spacing == Spacing::Poisson { 42 } else { 0 };
        Arrivals::new(at(0), rate, Share { index, producers }, spacing, seed)
    }

    fn times(mut arrivals: Arrivals, count: usize) -> Vec<u64> {
        let mut times = Vec::new();
        for _ in 0..count {
            times.push(arrivals.next().as_nanos() - at(0).as_nanos());
            arrivals.advance();
        }
        times
    }

    #[test]
    fn producers_together_send_at_even_distances() {
        let mut all: Vec<_> =
            (0..3).flat_map(|index| times(arrivals(1000, index, 3, Spacing::Constant), 3)).collect();
        all.sort_unstable();
        assert_eq!(all, (0..9).map(|n| n * 1_000_000).collect::<Vec<_>>());
    }

    #[test]
    fn instances_with_seeds_of_their_own_do_not_send_together() {
        let share = Share { index: 0, producers: 1 };
        let first = |seed| times(Arrivals::new(at(0), 1000, share, Spacing::Constant, seed), 1)[0];
        let mut all: Vec<u64> = (1..20).map(first).collect();
        assert!(all.iter().all(|first| *first < 1_000_000), "{all:?}");
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 19);
    }

    #[test]
    fn the_mean_distance_is_that_of_one_producers_records() {
        for spacing in [Spacing::Constant, Spacing::Poisson] {
            assert_eq!(arrivals(1000, 1, 2, spacing).mean_distance(), Duration::from_millis(2));
        }
    }

    #[test]
    fn a_rate_that_does_not_divide_a_second_does_not_drift() {
        for (rate, index, producers) in [(333_333, 0, 1), (7, 2, 3), (1_000_003, 4, 5)] {
            let exact = |n: u64| (n * producers + index) * NANOS_PER_SECOND / rate;
            let times = times(arrivals(rate, index, producers, Spacing::Constant), 100_000);
            assert!((0..).zip(&times).all(|(n, time)| *time == exact(n)), "rate {rate}");
        }
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_exponential_distances_and_repeat_from_their_seed() {
        let found = times(arrivals(10_000, 1, 2, Spacing::Poisson), 100_001);
        let distances: Vec<_> = found.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
        let mean = distances.iter().sum::<f64>() / distances.len() as f64;
        assert!((mean / 200_000.0 - 1.0).abs() < 0.02, "mean {mean}");
        // Of an exponential distribution 1/e exceed the mean, and the standard deviation is the mean.
        let longer = distances.iter().filter(|distance| **distance > mean).count() as f64;
        assert!((longer / 100_000.0 - (-1.0f64).exp()).abs() < 0.01, "{longer}");
        let variance = distances.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / distances.len() as f64;
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.02, "{variance}");
        assert_eq!(found[..10], times(arrivals(10_000, 1, 2, Spacing::Poisson), 10));
        assert_ne!(found[..10], times(arrivals(10_000, 0, 2, Spacing::Poisson), 10));
    }

    fn source(until: Until) -> Source {
        Source::new(Some(arrivals(1000, 0, 1, Spacing::Constant)), until)
    }

    #[test]
    fn a_record_is_taken_when_it_is_due_and_not_before() {
        let mut source = source(Until::Time(at(2500)));
        assert_eq!(source.take(at(0)), Some(at(0)));
        assert_eq!((source.take(at(999)), source.next(at(999))), (None, Some(at(1000))));
        assert_eq!(source.take(at(5000)), Some(at(1000)), "its time is what was meant, not now");
        assert_eq!(source.take(at(5000)), Some(at(2000)));
        assert_eq!((source.take(at(5000)), source.next(at(5000))), (None, None));
    }

    #[test]
    fn a_count_begins_after_the_warm_up() {
        let mut source = source(Until::Count { measured: at(2500), left: 2, end: at(9000) });
        let taken: Vec<_> = std::iter::from_fn(|| source.take(at(9000))).collect();
        assert_eq!(taken, [at(0), at(1000), at(2000), at(3000), at(4000)]);
    }

    #[test]
    fn an_end_that_comes_early_leaves_what_was_due_before_it_and_a_later_one_changes_nothing() {
        for until in [Until::Time(at(9000)), Until::Count { measured: at(0), left: 100, end: at(9000) }] {
            let mut source = source(until);
            source.end_by(at(2500));
            source.end_by(at(7000));
            let taken: Vec<_> = std::iter::from_fn(|| source.take(at(9000))).collect();
            assert_eq!(taken, [at(0), at(1000), at(2000)]);
        }
    }

    #[test]
    fn a_closed_source_has_nothing_more() {
        let mut source = source(Until::Time(at(2500)));
        source.close();
        assert_eq!((source.next(at(0)), source.take(at(9000))), (None, None));
    }

    #[test]
    fn a_closed_loop_is_always_due_until_its_end() {
        let mut by_time = Source::new(None, Until::Time(at(10)));
        assert_eq!(
            (by_time.take(at(5)), by_time.take(at(9)), by_time.take(at(10))),
            (Some(at(5)), Some(at(9)), None)
        );
        let mut by_count = Source::new(None, Until::Count { measured: at(1), left: 1, end: at(9) });
        assert_eq!(
            (by_count.take(at(0)), by_count.take(at(5)), by_count.take(at(5))),
            (Some(at(0)), Some(at(5)), None)
        );
    }
}
