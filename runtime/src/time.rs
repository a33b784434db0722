//! Time as the shards see it: a monotonic clock, timers, and the wall clock for timestamps.
//! Nothing else in the project reads a clock; in a simulation both clocks are virtual.

use std::fmt;
use std::future::Future;
use std::ops::{Add, Sub};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::context::{self, Backend};
use crate::{real, sim};

/// A point on the process's monotonic clock, in nanoseconds. Arithmetic saturates: a deadline never wraps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Monotonic(u64);

impl Monotonic {
    pub const ZERO: Self = Self(0);
    /// Later than every deadline; sleeping until it never ends.
    pub const MAX: Self = Self(u64::MAX);

    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Time from `earlier` to `self`, zero when `earlier` is later.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Time since `self`, by the clock of now.
    pub fn elapsed(self) -> Duration {
        now().saturating_since(self)
    }
}

impl Add<Duration> for Monotonic {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Monotonic {
    type Output = Self;

    fn sub(self, rhs: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Monotonic {
    type Output = Duration;

    fn sub(self, rhs: Self) -> Duration {
        self.saturating_since(rhs)
    }
}

impl fmt::Debug for Monotonic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}ms", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// The monotonic clock. Works on any thread; off the shards it is the real clock.
pub fn now() -> Monotonic {
    context::with(|backend| match backend {
        Some(Backend::Sim(shard)) => shard.now(),
        Some(Backend::Real(_)) | None => Monotonic(real::clock::monotonic_nanos()),
    })
}

/// Milliseconds since the Unix epoch, for record timestamps and never for measuring.
pub fn wall_ms() -> i64 {
    context::with(|backend| match backend {
        Some(Backend::Sim(shard)) => shard.wall_ms(),
        Some(Backend::Real(_)) | None => real::clock::wall_ms(),
    })
}

/// Waits for `duration`.
pub async fn sleep(duration: Duration) {
    sleep_until(now() + duration).await;
}

/// Waits until `deadline`; returns after one look at the clock when it is past. `Monotonic::MAX` never comes.
pub async fn sleep_until(deadline: Monotonic) {
    if deadline == Monotonic::MAX {
        return std::future::pending().await;
    }
    match context::current() {
        Backend::Real(_) => real::clock::sleep_until(deadline).await,
        Backend::Sim(shard) => sim::sleep_until(shard, deadline).await,
    }
}

/// The time was up before the future was ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out")
    }
}

impl std::error::Error for TimedOut {}

/// Waits for `future`, and drops it when `duration` has passed first. Never put a log write inside: a dropped
/// write may or may not reach the disk. Parked replies, connects and requests to peers are what it is for.
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Result<F::Output, TimedOut> {
    timeout_at(now() + duration, future).await
}

/// As [`timeout`], with a deadline. A future that is ready at the first poll wins over a deadline that is past.
pub async fn timeout_at<F: Future>(deadline: Monotonic, future: F) -> Result<F::Output, TimedOut> {
    let mut future = pin!(future);
    let mut timer = pin!(sleep_until(deadline));
    std::future::poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        timer.as_mut().poll(cx).map(|()| Err(TimedOut))
    })
    .await
}

/// Ticks at a fixed period from the moment it was made; a tick that was missed is skipped, not repeated.
#[derive(Debug)]
pub struct Interval {
    period: Duration,
    next: Monotonic,
}

impl Interval {
    /// Panics when `period` is zero.
    pub fn new(period: Duration) -> Self {
        assert!(!period.is_zero(), "an interval needs a period");
        Self { period, next: now() + period }
    }

    /// Waits for the next tick and returns the time of it.
    pub async fn tick(&mut self) -> Monotonic {
        sleep_until(self.next).await;
        let now = now();
        while self.next <= now {
            let behind = now.saturating_since(self.next).as_nanos() / self.period.as_nanos();
            let steps = u32::try_from(behind).unwrap_or(u32::MAX).saturating_add(1);
            self.next = self.next + self.period.saturating_mul(steps);
        }
        now
    }
}

/// Tries at once, and again after each `pause` until so much time has passed, as long as it fails for what passes.
pub async fn retry<T, E>(
    within: Duration,
    pause: Duration,
    passes: impl Fn(&E) -> bool,
    attempt: impl AsyncFn() -> Result<T, E>,
) -> Result<T, E> {
    let until = now() + within;
    loop {
        match attempt().await {
            Err(error) if passes(&error) && now() < until => sleep(pause).await,
            ended => return ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_arithmetic_saturates_at_both_ends() {
        assert_eq!(Monotonic::MAX + Duration::from_secs(1), Monotonic::MAX);
        assert_eq!(Monotonic::ZERO - Duration::from_secs(1), Monotonic::ZERO);
        assert_eq!(Monotonic::ZERO - Monotonic::MAX, Duration::ZERO);
    }

    #[test]
    fn the_real_clock_never_goes_back() {
        let first = now();
        assert!(now() >= first);
        assert!(wall_ms() > 1_700_000_000_000);
    }
}
