//! The kernel's clocks and glommio's timers.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::time::Monotonic;

static BASE: OnceLock<Instant> = OnceLock::new();

/// The clock starts an hour above zero, so that a deadline minus a timeout stays a time.
const HEAD_START: Duration = Duration::from_secs(3600);

pub(crate) fn monotonic_nanos() -> u64 {
    let since = BASE.get_or_init(Instant::now).elapsed() + HEAD_START;
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

pub(crate) fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

pub(crate) async fn sleep_until(deadline: Monotonic) {
    let wait = deadline.saturating_since(Monotonic::from_nanos(monotonic_nanos()));
    if !wait.is_zero() {
        // glommio keeps a timer as an `Instant`; a century is far enough and cannot overflow one.
        glommio::timer::Timer::new(wait.min(Duration::from_secs(100 * 365 * 86_400))).await;
    }
}
