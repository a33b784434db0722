//! How a log ends, and how its beginning moves up: close, delete, DeleteRecords.
//! Removes no segment that still holds a readable record. Shard that owns the log.

use std::path::Path;
use std::time::Duration;

use kring_runtime::{fill_random, fs};

use crate::TopicId;
use crate::checkpoint::LogName;
use crate::dir::{LogDir, deleted_name, stray_name};
use crate::error::LogError;
use crate::home::topic_of;
use crate::log::Log;
use crate::segment::{file_name, write_file};
use crate::snapshot;
use crate::types::Offset;

impl Log {
    /// Ends the log in order: everything durable, the newest segment at its exact length with its indexes, the
    /// producers and epochs written down. The caller has stopped appending. Afterwards every call is refused.
    pub async fn close(&self) -> Result<(), LogError> {
        self.end_cleaning().await;
        let closed = self.close_files().await;
        if let Err(error) = &closed {
            self.fail(error.clone());
        }
        self.0.commits.settled().await;
        self.stop();
        closed
    }

    async fn close_files(&self) -> Result<(), LogError> {
        self.check_usable()?;
        self.state_mut().is_closing = true;
        // A start that is raised from here on must not write the same files.
        self.take_writers_place().await?;
        let written = self.write_last_files().await;
        self.give_up();
        written
    }

    async fn write_last_files(&self) -> Result<(), LogError> {
        let (end, last, producers) = {
            let state = self.state();
            (state.offsets.end(), state.segments.last().cloned(), snapshot::encode(&state.producers))
        };
        let Some(last) = last else { return Ok(()) };
        let _turn = self.0.files.take().await;
        last.write_aborted().await?;
        write_file(&self.0.path.join(file_name(end, "snapshot")), &producers).await?;
        self.write_epochs().await?;
        last.seal(&self.0.shard).await
    }

    /// Writes and flushes what was appended; from then on the writer is not started.
    pub(crate) async fn take_writers_place(&self) -> Result<(), LogError> {
        self.drain().await?;
        self.check_usable()?;
        assert!(self.state_mut().queue.begin(), "a drained log has no writer");
        Ok(())
    }

    /// Until nothing is queued, in flight, or unflushed.
    async fn drain(&self) -> Result<(), LogError> {
        loop {
            let changed = self.0.changed.notified();
            let end = self.flush().await?;
            if self.is_settled_at(end) {
                return Ok(());
            }
            changed.await;
        }
    }

    fn is_settled_at(&self, end: Offset) -> bool {
        let state = self.state();
        state.offsets.end() == end && !state.queue.is_busy()
    }

    /// Begins no deletion and no compaction of segments any more, and ends soon what has begun: the log is about to be
    /// closed.
    pub fn stop_cleaning(&self) {
        self.0.closing.set(true);
    }

    /// Until nobody deletes or rewrites segments.
    async fn end_cleaning(&self) {
        self.stop_cleaning();
        loop {
            let changed = self.0.changed.notified();
            if !self.0.cleaning.get() {
                return;
            }
            changed.await;
        }
    }

    /// Refuses everything from here on and gives memory and files back.
    fn stop(&self) {
        let segments = {
            let mut state = self.state_mut();
            state.fault.get_or_insert(LogError::Closed);
            state.segments.clone()
        };
        self.give_up_resting();
        self.give_up_unflushed();
        if self.0.is_behind.replace(false) {
            self.0.shard.behind().forget(self);
        }
        self.0.shard.tails().forget(&self.0.tail);
        for segment in segments {
            segment.release_all(self.0.shard.budget());
        }
        self.0.changed.notify_all();
    }

    /// Takes the log out of use at once, by a rename that is durable on return, and removes its files after
    /// `file.delete.delay.ms`, so that readers at work can end.
    pub async fn delete(&self) -> Result<(), LogError> {
        self.stop();
        self.end_cleaning().await;
        loop {
            let changed = self.0.changed.notified();
            if !self.state().queue.is_busy() {
                break;
            }
            changed.await;
        }
        let delay = self.config().file_delete_delay;
        self.0.dir.delete(&self.0.name, delay).await
    }

    /// Raises the log's start, for DeleteRecords. On return the new start outlives a crash: it never falls again.
    /// Returns the start, which may be higher already.
    pub async fn delete_records_before(&self, offset: Offset) -> Result<Offset, LogError> {
        self.check_usable()?;
        let (start, end) = (self.offsets().start(), self.high_watermark());
        if offset > end {
            return Err(LogError::OffsetOutOfRange { offset, start, end });
        }
        self.raise_start(offset).await
    }
}

impl Log {
    /// Of what is below the high watermark: what is written needs no room, and what the journal alone has may wait for it.
    pub(crate) async fn flush_to(&self, offset: Offset) -> Result<(), LogError> {
        self.request_flush();
        if offset <= self.offsets().written() {
            return self.wait_until(|state| state.offsets.flushed() >= offset).await;
        }
        self.wait_unless_stalled(|state| state.offsets.flushed() >= offset).await
    }
}

impl LogDir {
    /// Takes the directory of this name out of use, by a rename that is durable on return, and removes it after `delay`.
    /// Its log must not be open.
    pub async fn delete(&self, name: &LogName, delay: Duration) -> Result<(), LogError> {
        let target = self.path().join(deleted_name(name, random_u128()));
        self.rename(name, &target).await.inspect_err(|error| self.fail_on_io(error))?;
        self.forget(name);
        self.remove_after_checkpoint(target, delay);
        Ok(())
    }

    async fn rename(&self, name: &LogName, target: &Path) -> Result<(), LogError> {
        let (path, dir) = (self.path().join(name.to_string()), self.path());
        fs::rename(&path, target).await.map_err(|e| LogError::io(&path, "renaming", &e))?;
        fs::sync_dir(dir).await.map_err(|e| LogError::flush(dir, "flushing directory", &e))
    }

    /// Puts the directory of this name aside if it belongs to another topic than `topic`, which is gone; false if not.
    /// Its bytes are kept, under the name that Kafka gives to strays: only an operator can know that they are
    /// not wanted.
    pub async fn set_aside_other(
        &self,
        name: &LogName,
        topic: TopicId,
        is_gone: impl Fn(&TopicId) -> bool,
    ) -> Result<bool, LogError> {
        let path = self.path().join(name.to_string());
        if topic_of(&path).await?.is_none_or(|found| found == topic || !is_gone(&found)) {
            return Ok(false);
        }
        self.set_aside(name).await?;
        Ok(true)
    }

    /// Puts the directory of this name aside, as a stray. Its log must not be open.
    pub async fn set_aside(&self, name: &LogName) -> Result<(), LogError> {
        let target = self.path().join(stray_name(name, random_u128()));
        self.rename(name, &target).await?;
        self.forget(name);
        tracing::warn!(log = %name, path = %target.display(), "data of a topic that is gone is put aside");
        Ok(())
    }
}

fn random_u128() -> u128 {
    let mut bytes = [0; 16];
    fill_random(&mut bytes);
    u128::from_be_bytes(bytes)
}
