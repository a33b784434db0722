//! How long to pause so that reading and writing keep to a rate, as Kafka's `Throttler`.
//! Decides only: the time comes in, a pause goes out.

use std::time::Duration;

use kring_runtime::Monotonic;

/// The rate is looked at about this often.
const INTERVAL: Duration = Duration::from_millis(300);

/// Bytes since the last look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Throttle {
    bytes_per_second: f64,
    since: Monotonic,
    bytes: u64,
}

impl Throttle {
    pub fn new(bytes_per_second: f64, now: Monotonic) -> Throttle {
        Throttle { bytes_per_second, since: now, bytes: 0 }
    }

    pub fn set_rate(&mut self, bytes_per_second: f64) {
        self.bytes_per_second = bytes_per_second;
    }

    /// Takes note of bytes read or written; says how long to wait before the next ones.
    pub fn spent(&mut self, bytes: u64, now: Monotonic) -> Option<Duration> {
        self.bytes += bytes;
        let elapsed = now.saturating_since(self.since);
        let due = self.due();
        if due <= elapsed && elapsed < INTERVAL {
            return None;
        }
        let pause = due.saturating_sub(elapsed);
        (self.since, self.bytes) = (now + pause, 0);
        (!pause.is_zero()).then_some(pause)
    }

    /// How long so many bytes take at this rate.
    fn due(&self) -> Duration {
        let seconds = self.bytes as f64 / self.bytes_per_second.max(1.0);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn over_any_stretch_the_rate_is_kept() {
        let mut throttle = Throttle::new(1_000_000.0, at(0));
        let (mut now_ms, mut bytes) = (0, 0u64);
        while bytes < 50_000_000 {
            bytes += 70_000;
            now_ms += 1;
            if let Some(pause) = throttle.spent(70_000, at(now_ms)) {
                now_ms += pause.as_millis() as u64;
            }
        }
        let expected_ms = bytes / 1_000;
        assert!((expected_ms * 98 / 100..=expected_ms * 102 / 100).contains(&now_ms), "{now_ms}");
    }

    #[test]
    fn without_a_limit_there_is_no_pause() {
        let mut throttle = Throttle::new(f64::MAX, at(0));
        assert!((1..1000).all(|ms| throttle.spent(u64::from(u32::MAX), at(ms)).is_none()));
    }

    #[test]
    fn time_that_was_not_used_is_not_saved_up() {
        let mut throttle = Throttle::new(1_000_000.0, at(0));
        assert_eq!(throttle.spent(1, at(100_000)), None);
        let pause = throttle.spent(1_000_000, at(100_001)).unwrap();
        assert!(pause >= Duration::from_millis(990), "{pause:?}");
    }
}
