//! How long to wait before the next try. Pure.

use std::time::Duration;

use kring_runtime::Monotonic;

const SHORTEST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(1);
/// After so long without trouble the next one is a new one.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(5);

/// Doubles from 20 ms to 1 s while tries follow one another.
#[derive(Debug, Default)]
pub struct Backoff {
    last: Option<(Monotonic, Duration)>,
}

impl Backoff {
    pub fn next(&mut self, now: Monotonic) -> Duration {
        let wait = match self.last {
            Some((at, wait)) if now.saturating_since(at) < FORGOTTEN_AFTER => (wait * 2).min(LONGEST),
            _ => SHORTEST,
        };
        self.last = Some((now, wait));
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_a_second_and_begin_again_after_a_quiet_time() {
        let at = |ms: u64| Monotonic::from_nanos(ms * 1_000_000);
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..8).map(|n| backoff.next(at(n * 1000)).as_millis()).collect();
        assert_eq!(waits, [20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert_eq!(backoff.next(at(12_001)).as_millis(), 20);
    }
}
