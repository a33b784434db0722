//! Asking again: pauses that grow, up to a bound.

use std::time::Duration;

use kring_runtime::{Monotonic, now, sleep};

use super::error::{ClientError, Result};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How much longer to try.
pub struct Patience {
    total: Duration,
    deadline: Monotonic,
    pause: Duration,
}

impl Patience {
    pub fn new(total: Duration) -> Self {
        Self { total, deadline: now() + total, pause: FIRST_PAUSE }
    }

    /// Waits before the next attempt; gives `error` back when there should be none.
    pub async fn again(&mut self, error: ClientError) -> Result<()> {
        if !error.is_retriable() || now() + self.pause > self.deadline {
            return Err(error);
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }

    /// After progress: all of the time again.
    pub fn renew(&mut self) {
        *self = Self::new(self.total);
    }
}
