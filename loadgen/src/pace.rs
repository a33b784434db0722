//! When which record is meant to be sent, and what may be sent now. Pure: `now` is an argument.
//!
//! The intended time of a record depends on its number alone, never on an answer: that is what makes the loop open.

use std::time::Duration;

use kring_runtime::Monotonic;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// The intended times of one of several producers that share a constant rate: producer `index` of `producers`
/// takes every `producers`-th record, so that all of them together send at even distances.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    pub start: Monotonic,
    /// Records per second of all producers together.
    pub rate: u64,
    pub index: u64,
    pub producers: u64,
}

impl Schedule {
    /// When record `n` of this producer is meant to be sent.
    pub fn intended(&self, n: u64) -> Monotonic {
        let overall = u128::from(n) * u128::from(self.producers) + u128::from(self.index);
        let nanos = overall * NANOS_PER_SECOND / u128::from(self.rate);
        self.start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// How many records of this producer are meant to be sent before `time`.
    pub fn before(&self, time: Monotonic) -> u64 {
        let elapsed = u128::from(time.as_nanos().saturating_sub(self.start.as_nanos()));
        // Records of everybody before `time`, and of those every `producers`-th from `index` on.
        let overall = (elapsed * u128::from(self.rate)).div_ceil(NANOS_PER_SECOND);
        let own = overall.saturating_sub(u128::from(self.index)).div_ceil(u128::from(self.producers));
        u64::try_from(own).unwrap_or(u64::MAX)
    }
}

/// What a producer does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send the next `count` records in one batch; it was ready at `ready`.
    Send { count: u64, ready: Monotonic },
    /// Nothing is to be sent before then.
    Wait(Monotonic),
    /// All have been sent.
    Done,
}

/// Cuts a schedule into batches: what is due is sent together, at most `max_batch` at once, and no record waits
/// longer than `linger` for company.
#[derive(Clone, Copy, Debug)]
pub struct Pacer {
    schedule: Schedule,
    max_batch: u64,
    linger: Duration,
    sent: u64,
    total: u64,
}

impl Pacer {
    /// Records meant to be sent before `end` are sent.
    pub fn new(schedule: Schedule, max_batch: u64, linger: Duration, end: Monotonic) -> Pacer {
        assert!(max_batch > 0, "a batch has a record");
        assert!(schedule.rate > 0, "a rate is positive");
        assert!(schedule.index < schedule.producers, "a producer is one of them");
        Pacer { schedule, max_batch, linger, sent: 0, total: schedule.before(end) }
    }

    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Number of the next record.
    pub fn next_record(&self) -> u64 {
        self.sent
    }

    /// Records that were never sent.
    pub fn left(&self) -> u64 {
        self.total - self.sent
    }

    /// What to do at `now`.
    pub fn step(&self, now: Monotonic) -> Step {
        let left = self.left();
        if left == 0 {
            return Step::Done;
        }
        let ready = self.ready(left);
        if now < ready {
            return Step::Wait(ready);
        }
        let due = self.schedule.before(now + Duration::from_nanos(1)).saturating_sub(self.sent);
        Step::Send { count: due.clamp(1, left.min(self.max_batch)), ready }
    }

    /// The next `count` records have been handed to the socket.
    pub fn sent(&mut self, count: u64) {
        assert!(count <= self.left(), "more sent than meant");
        self.sent += count;
    }

    /// When the next batch is full, or its first record has lingered long enough.
    fn ready(&self, left: u64) -> Monotonic {
        let full = self.schedule.intended(self.sent + left.min(self.max_batch) - 1);
        full.min(self.schedule.intended(self.sent) + self.linger)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Monotonic {
        Monotonic::from_nanos(1_000_000_000 + micros * 1000)
    }

    fn schedule(rate: u64, index: u64, producers: u64) -> Schedule {
        Schedule { start: at(0), rate, index, producers }
    }

    #[test]
    fn producers_together_send_at_even_distances() {
        let times: Vec<_> =
            (0..9).map(|n| schedule(1000, n % 3, 3).intended(n / 3).as_nanos() - at(0).as_nanos()).collect();
        assert_eq!(times, (0..9).map(|n| n * 1_000_000).collect::<Vec<_>>());
    }

    #[test]
    fn a_rate_that_does_not_divide_a_second_does_not_drift() {
        let schedule = schedule(333_333, 0, 1);
        assert_eq!(schedule.intended(333_333 * 3600), at(3_600_000_000));
        assert_eq!(schedule.before(at(3_600_000_000)), 333_333 * 3600);
    }

    #[test]
    fn before_and_intended_agree() {
        for (rate, index, producers) in [(7, 2, 3), (1000, 0, 1), (1_000_003, 4, 5)] {
            let schedule = schedule(rate, index, producers);
            for n in 0..200 {
                let time = schedule.intended(n);
                assert_eq!(schedule.before(time), n, "rate {rate}");
                assert_eq!(schedule.before(time + Duration::from_nanos(1)), n + 1, "rate {rate}");
            }
        }
    }

    #[test]
    fn a_record_alone_is_sent_when_it_is_due() {
        let mut pacer = Pacer::new(schedule(1000, 0, 1), 100, Duration::ZERO, at(2500));
        assert_eq!(pacer.step(at(0)), Step::Send { count: 1, ready: at(0) });
        pacer.sent(1);
        assert_eq!(pacer.step(at(10)), Step::Wait(at(1000)));
        pacer.sent(2);
        assert_eq!(pacer.step(at(3000)), Step::Done);
    }

    #[test]
    fn after_a_stall_everything_due_goes_in_full_batches_with_the_old_intended_times() {
        let mut pacer = Pacer::new(schedule(1000, 0, 1), 4, Duration::ZERO, at(100_000));
        assert_eq!(pacer.step(at(5500)), Step::Send { count: 4, ready: at(0) });
        pacer.sent(4);
        assert_eq!(pacer.step(at(5500)), Step::Send { count: 2, ready: at(4000) });
        assert_eq!(pacer.schedule().intended(pacer.next_record()), at(4000));
    }

    #[test]
    fn lingering_ends_with_a_full_batch_or_in_time() {
        let pacer = |max| Pacer::new(schedule(1000, 0, 1), max, Duration::from_micros(2500), at(100_000));
        assert_eq!(pacer(100).step(at(1)), Step::Wait(at(2500)));
        assert_eq!(pacer(100).step(at(2500)), Step::Send { count: 3, ready: at(2500) });
        assert_eq!(pacer(2).step(at(1)), Step::Wait(at(1000)));
        assert_eq!(pacer(2).step(at(1000)), Step::Send { count: 2, ready: at(1000) });
    }

    #[test]
    fn the_last_batch_does_not_wait_for_records_after_the_end() {
        let pacer = Pacer::new(schedule(1000, 0, 1), 100, Duration::from_secs(1), at(3000));
        assert_eq!(pacer.step(at(0)), Step::Wait(at(2000)));
        assert_eq!(pacer.step(at(2000)), Step::Send { count: 3, ready: at(2000) });
    }
}
