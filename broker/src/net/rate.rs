//! A number of events a second, with a second's worth at once after a pause. Decides, never waits; any core.

use std::time::Duration;

use kring_runtime::Monotonic;

/// What has been used of a rate that the caller knows.
#[derive(Default)]
pub(super) struct Rate {
    /// When the next event is due, were there no pauses to make up for.
    next: Option<Monotonic>,
}

/// What a pause can save up.
const BURST: Duration = Duration::from_secs(1);

impl Rate {
    /// Kafka's default for rates that nobody has set.
    pub const NONE: u32 = i32::MAX as u32;

    /// Counts an event, and says how much too early it is. Less than one a second is taken for one a second.
    pub fn take(&mut self, per_second: u32, now: Monotonic) -> Duration {
        if per_second >= Self::NONE {
            self.next = None;
            return Duration::ZERO;
        }
        let every = BURST / per_second.max(1);
        let earliest = now - (BURST - every);
        let due = self.next.map_or(earliest, |next| next.max(earliest));
        self.next = Some(due + every);
        due.saturating_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn a_seconds_worth_comes_at_once_and_then_one_at_a_time() {
        let mut rate = Rate::default();
        let early: Vec<u128> = (0..7).map(|_| rate.take(5, at(10_000)).as_millis()).collect();
        assert_eq!(early, [0, 0, 0, 0, 0, 200, 400]);
        assert_eq!(rate.take(5, at(10_600)).as_millis(), 0);
        assert_eq!(rate.take(5, at(10_600)).as_millis(), 200);
    }

    #[test]
    fn no_pause_saves_up_more_than_a_second() {
        let mut rate = Rate::default();
        rate.take(5, at(10_000));
        let early = (0..7).map(|_| rate.take(5, at(99_000)).as_millis()).collect::<Vec<_>>();
        assert_eq!(early, [0, 0, 0, 0, 0, 200, 400]);
    }

    #[test]
    fn without_a_rate_nothing_waits_and_nothing_is_remembered() {
        let mut rate = Rate::default();
        for _ in 0..100 {
            assert_eq!(rate.take(Rate::NONE, at(10_000)), Duration::ZERO);
        }
        assert_eq!(rate.take(5, at(10_000)), Duration::ZERO);
    }
}
