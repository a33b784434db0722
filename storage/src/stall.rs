//! A writer that finds no room on the disk, or no file descriptor, waits and takes the same step again.
//! Never takes a failed flush again, and gives up when the log is to end. Shard that owns the log.
//!
//! Offsets of queued batches are given out already, and a failed write may have left any of its bytes on disk. So
//! nothing is taken back: the next try writes the same bytes to the same place, over whatever is there. Until one
//! succeeds none of them was acknowledged or shown to a reader, appends are refused, and whoever waits for these
//! batches learns that they stalled. A crash meanwhile finds an unfinished write, as any crash may.

use std::time::Duration;

use kring_runtime::sleep;

use crate::error::LogError;
use crate::log::Log;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Log {
    /// Takes a step until it succeeds, fails for good, or the log ends.
    pub(crate) async fn insist(
        &self,
        attempt: impl AsyncFn() -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let mut pause = FIRST_PAUSE;
        loop {
            match attempt().await {
                Err(error) if error.is_passing() => {
                    self.state_mut().tries_again = true;
                    if self.has_spent(&error).await? {
                        continue;
                    }
                    self.stall(error)?;
                }
                settled => {
                    self.resume();
                    return settled;
                }
            }
            sleep(pause).await;
            pause = LONGEST_PAUSE.min(2 * pause);
            self.check_usable()?;
        }
    }

    /// Room was made for this log alone: the same step is taken again at once.
    async fn has_spent(&self, error: &LogError) -> Result<bool, LogError> {
        let is_for_it = self.config().spends_spare && matches!(error, LogError::Full { .. });
        if is_for_it { self.0.dir.spend_spare().await } else { Ok(false) }
    }

    /// The process is about to end: a writer that finds no room gives up, and the log fails. The next start finds out
    /// what was written.
    pub fn wait_for_no_room(&self) {
        self.state_mut().is_closing = true;
    }

    pub fn waits_for_no_room(&self) -> bool {
        self.state().is_closing
    }

    /// For work beside the writer's: what there was no room for can be left undone.
    pub(crate) fn fail_unless_passing(&self, error: &LogError) {
        if !error.is_passing() {
            self.fail(error.clone());
        }
    }

    fn stall(&self, error: LogError) -> Result<(), LogError> {
        if matches!(error, LogError::Exhausted { .. }) {
            self.0.shard.budget().give_back();
        }
        let mut state = self.state_mut();
        if state.is_closing {
            return Err(error);
        }
        if state.stalled.is_none() {
            tracing::warn!(log = %self.0.name, %error, "writing waits");
            state.stalled = Some(error.to_string().into());
            drop(state);
            self.0.changed.notify_all();
        }
        Ok(())
    }

    fn resume(&self) {
        let stalled = {
            let mut state = self.state_mut();
            state.tries_again = false;
            state.stalled.take()
        };
        if stalled.is_some() {
            tracing::warn!(log = %self.0.name, "writing goes on");
        }
    }

    /// What was appended cannot be written now.
    pub(crate) fn check_flowing(&self) -> Result<(), LogError> {
        match &self.state().stalled {
            None => Ok(()),
            Some(cause) => Err(LogError::Stalled { cause: cause.clone() }),
        }
    }
}
