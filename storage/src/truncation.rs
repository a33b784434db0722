//! Removing the newest records of a log, for a replica whose leader does not have them: Kafka's
//! `UnifiedLog.truncateTo`. Judges no epochs: whoever follows a leader says where to cut. Shard that owns the log.
//!
//! As in Kafka the cut may be below the high watermark: what the leader has is right, and a replica that kept more
//! would differ from it for ever. It is told to the operator. Two things differ. The log ends where its last whole
//! batch ends, which may be below the offset asked for: a hole at the end would look like lost records to a recovery.
//! And on return the cut is durable, where Kafka leaves that to the next flush.
//!
//! ```text
//! recovery point lowered ─▶ newer segments put aside, newest first ─▶ the segment cut ─▶ read anew as after a crash
//! ```
//! A crash at any point leaves the log as it was, or ending somewhere between the cut and its old end.

use std::cell::Cell;
use std::rc::Rc;

use kring_runtime::channel::oneshot;
use kring_runtime::disk::DirectFile;
use kring_runtime::{Queue, fs, spawn};

use crate::deletion::{CleaningTurn, FILES};
use crate::error::LogError;
use crate::log::{Loaded, Log, State};
use crate::mutation::{self, Mutation};

use crate::segment::Segment;
use crate::stable::EndedTransactions;
use crate::types::Offset;

/// Where a log is cut.
struct Cut {
    segment: Rc<Segment>,
    /// Byte at which the first batch to go begins.
    position: u32,
    /// Where the last batch ends that stays.
    end: Offset,
}

/// Held while a truncation waits and works.
struct Truncating(Log);

impl Truncating {
    fn begin(log: &Log) -> Truncating {
        assert!(!log.0.truncating.replace(true), "one truncates a log at a time");
        Truncating(log.clone())
    }
}

impl Drop for Truncating {
    fn drop(&mut self) {
        self.0.0.truncating.set(false);
    }
}

/// Held while the end is being lowered.
struct Cutting<'a>(&'a Log);

impl<'a> Cutting<'a> {
    fn begin(log: &'a Log) -> Cutting<'a> {
        log.0.cuts.set(log.0.cuts.get().wrapping_add(1));
        Cutting(log)
    }
}

impl Drop for Cutting<'_> {
    fn drop(&mut self) {
        self.0.0.cuts.set(self.0.0.cuts.get().wrapping_add(1));
        self.0.0.changed.notify_all();
    }
}

impl Log {
    /// Removes the batch that holds `offset` and all after it, with what is known from them of epochs and producers,
    /// and returns where the log ends now. Nothing if the log ends there or earlier; an error below its start. The
    /// caller has stopped appending. What has begun ends, also when the caller is dropped.
    pub async fn truncate_to(&self, offset: Offset) -> Result<Offset, LogError> {
        let (truncating, (reply, result)) = (Truncating::begin(self), oneshot());
        spawn(Queue::Append, async move {
            let truncated = truncating.0.truncate_when_settled(offset).await;
            drop(truncating);
            if reply.send(truncated).is_err() {
                tracing::trace!("nobody waits for a truncation any more");
            }
        })
        .detach();
        // Without an answer the shard is at its end.
        result.recv().await.unwrap_or(Err(LogError::Closed))
    }

    /// Alone with the log: no cleaning, no writer, no recovery point, no new start.
    async fn truncate_when_settled(&self, offset: Offset) -> Result<Offset, LogError> {
        let _cleaning = self.take_cleaning_turn().await?;
        self.take_writers_place().await?;
        let _ends = self.0.ends.take().await;
        let _files = self.0.files.take().await;
        let truncated = self.truncate(offset).await;
        // Others may have queued something meanwhile.
        self.start_writer();
        truncated
    }

    async fn take_cleaning_turn(&self) -> Result<CleaningTurn, LogError> {
        loop {
            let changed = self.0.changed.notified();
            self.check_usable()?;
            if let Some(turn) = self.begin_cleaning() {
                return Ok(turn);
            }
            if self.0.closing.get() {
                return Err(LogError::Closed);
            }
            changed.await;
        }
    }

    async fn truncate(&self, offset: Offset) -> Result<Offset, LogError> {
        let (start, end) = (self.offsets().start(), self.offsets().end());
        if offset >= end {
            return Ok(end);
        }
        if offset < start {
            return Err(LogError::OffsetOutOfRange { offset, start, end });
        }
        let cut = self.find_cut(offset).await?;
        if cut.end < self.high_watermark() {
            tracing::warn!(log = %self.name(), to = %cut.end, high_watermark = %self.high_watermark(),
                "truncating below the high watermark");
        }
        if cut.end < start { self.begin_anew(offset).await } else { self.cut(cut).await }
    }

    async fn find_cut(&self, offset: Offset) -> Result<Cut, LogError> {
        let segment = self.state().segment_at(offset).expect("the log holds the offset");
        let source = self.source(&segment).await?;
        let from = segment.lookup(&self.0.shard, offset + -1).await?;
        let kept = Cell::new(segment.base);
        let first = source.first_batch(from, |info| {
            let goes = info.last_offset() >= offset;
            kept.set(if goes { kept.get() } else { info.end_offset() });
            goes
        });
        let position = first.await?.map_or(segment.size(), |(position, _)| position);
        Ok(Cut { segment, position, end: kept.get() })
    }

    /// Until the end of the cut nothing is lost by an error; from then on the log is what is found on disk.
    async fn cut(&self, cut: Cut) -> Result<Offset, LogError> {
        self.empty_journals().await?;
        self.lower_points(cut.end).await?;
        let _cutting = Cutting::begin(self);
        let cut_and_read = async {
            let newer = self.segments_where(|segment| segment.base > cut.segment.base);
            self.put_aside_in_order(newer.into_iter().rev()).await?;
            self.cut_file(&cut).await?;
            self.read_anew(cut.segment.base).await
        };
        self.truncated(cut_and_read.await)
    }

    /// The batch to go holds the log's start as well: nothing that can be read is left.
    async fn begin_anew(&self, offset: Offset) -> Result<Offset, LogError> {
        self.raise_start_in_turn(offset).await?;
        self.empty_journals().await?;
        self.lower_points(offset).await?;
        let _cutting = Cutting::begin(self);
        let cut_and_read = async {
            let (below, above): (Vec<_>, Vec<_>) =
                self.segments_where(|_| true).into_iter().partition(|segment| segment.base < offset);
            let holding = below.len() - 1;
            self.put_aside_in_order(below[..holding].iter().cloned()).await?;
            self.put_aside_in_order(above.into_iter().rev().chain([below[holding].clone()])).await?;
            self.read_anew(Offset::ZERO).await
        };
        self.truncated(cut_and_read.await)
    }

    fn segments_where(&self, wanted: impl Fn(&Segment) -> bool) -> Vec<Rc<Segment>> {
        self.state().segments.iter().filter(|segment| wanted(segment)).cloned().collect()
    }

    /// A start after a crash must not find there what is about to go.
    async fn empty_journals(&self) -> Result<(), LogError> {
        if mutation::on(Mutation::TruncationLeavesJournal) {
            return Ok(());
        }
        self.0.journal.retire(self.0.shard.behind()).await?;
        self.0.commits.retire(self.0.shard.behind()).await?;
        self.0.dir.drop_from_old_journals(&self.0.name).await
    }

    /// A crash must not find less than the recovery point promises.
    async fn lower_points(&self, end: Offset) -> Result<(), LogError> {
        if mutation::on(Mutation::TruncateBelowRecoveryPoint) {
            return Ok(());
        }
        let points = &self.0.points;
        points.set_recovery(end);
        if points.cleaner().is_some_and(|clean| clean > end) {
            points.set_cleaner(end);
            self.0.dir.cleaner_points_changed();
        }
        let written = self.0.dir.write_checkpoints().await;
        written.inspect_err(|_| points.set_recovery(self.offsets().flushed()))
    }

    /// Each name is changed before the next: what a crash leaves has no segment missing in its midst.
    async fn put_aside_in_order(
        &self,
        segments: impl IntoIterator<Item = Rc<Segment>>,
    ) -> Result<(), LogError> {
        let segments: Vec<_> = segments.into_iter().collect();
        let paths = self.put_aside(&segments, &FILES).await?;
        fs::sync_dir(&*self.0.path)
            .await
            .map_err(|e| LogError::flush(&self.0.path, "flushing directory", &e))?;
        self.let_go(&segments);
        self.remove_files_later(paths, segments);
        Ok(())
    }

    async fn cut_file(&self, cut: &Cut) -> Result<(), LogError> {
        let path = cut.segment.path("log");
        let file = DirectFile::open(&path).await.map_err(|e| LogError::io(&path, "opening", &e))?;
        file.truncate(u64::from(cut.position)).await.map_err(|e| LogError::io(&path, "truncating", &e))?;
        file.fdatasync().await.map_err(|e| LogError::flush(&path, "flushing", &e))?;
        file.close().await.map_err(|e| LogError::io(&path, "closing", &e))?;
        self.let_go(std::slice::from_ref(&cut.segment));
        self.remove_files_later(Vec::new(), vec![cut.segment.clone()]);
        Ok(())
    }

    pub(crate) fn let_go(&self, segments: &[Rc<Segment>]) {
        for segment in segments {
            segment.mark_deleted();
            segment.release_all(self.0.shard.budget());
        }
    }

    /// Takes over what is on disk now; segments below `from` are as they were.
    async fn read_anew(&self, from: Offset) -> Result<Offset, LogError> {
        let loaded = self.reload().await?;
        if !mutation::on(Mutation::TruncationKeepsTail) {
            self.0.shard.tails().forget(&self.0.tail);
        }
        let end = loaded.offsets.end();
        self.state_mut().replace_end(loaded, from);
        tracing::info!(log = %self.name(), %end, "truncated");
        Ok(end)
    }

    /// A log whose files were left halfway takes no more appends: the next start finds out what they hold.
    fn truncated(&self, end: Result<Offset, LogError>) -> Result<Offset, LogError> {
        end.inspect_err(|error| self.fail(error.clone()))
    }

    /// What is read while the end is lowered is read again.
    pub(crate) async fn undisturbed<T>(
        &self,
        read: impl AsyncFn() -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        loop {
            let cuts = self.wait_uncut().await;
            let found = read().await;
            if self.0.cuts.get() == cuts {
                return found;
            }
        }
    }

    async fn wait_uncut(&self) -> u32 {
        loop {
            let changed = self.0.changed.notified();
            let cuts = self.0.cuts.get();
            if cuts.is_multiple_of(2) {
                return cuts;
            }
            changed.await;
        }
    }
}

impl State {
    /// Puts what was found on disk in the place of the segments from `from` on.
    fn replace_end(&mut self, mut loaded: Loaded, from: Offset) {
        let kept = self.segments.partition_point(|segment| segment.base < from);
        self.segments.truncate(kept);
        self.segments.extend(loaded.segments.drain(kept.min(loaded.segments.len())..));
        self.shown = self.shown.min(loaded.offsets.end());
        self.offsets = loaded.offsets;
        if !mutation::on(Mutation::TruncationLeavesEpochs) {
            self.epochs = loaded.epochs;
        }
        self.owes_epochs |= loaded.owes_epochs;
        self.producers = loaded.producers;
        self.last_crc = 0;
        self.ended = EndedTransactions::default();
        self.saved = loaded.saved;
    }
}
