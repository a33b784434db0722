//! Deleting old segments: the start is raised, durably and then for readers; then the files get Kafka's `.deleted`
//! names, and after `file.delete.delay.ms` they are removed. A crash at any point leaves a log that begins at the
//! start it had told, with at most whole segments below it, which go next time.
//! Never touches a record that may still be read. Shard that owns the log, task queue `Background`.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::rc::Rc;

use kring_runtime::{Queue, fs, sleep, spawn, wall_ms};

use crate::error::LogError;
use crate::log::{Log, State};
use crate::mutation::{self, Mutation};
use crate::retention::{LogFacts, is_expired};
use crate::segment::{Segment, file_name};
use crate::types::Offset;

/// The files of a segment, the log itself last: no index is ever left without its log.
pub(crate) const FILES: [&str; 5] = ["snapshot", "txnindex", "timeindex", "index", "log"];
pub(crate) const DELETED: &str = "deleted";

/// What a round took out of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeletedSegments {
    pub segments: usize,
    pub bytes: u64,
}

/// The right to delete or rewrite segments of a log, for one at a time; given back when dropped.
pub struct CleaningTurn(Log);

impl Drop for CleaningTurn {
    fn drop(&mut self) {
        self.0.0.cleaning.set(false);
        self.0.0.changed.notify_all();
    }
}

/// What is to go: the oldest segments, counted by what they breach.
struct Doomed {
    facts: LogFacts,
    below_start: usize,
    above_size: usize,
    expired: usize,
}

impl Log {
    /// Takes the turn to change segments that are no longer written to. `None` while somebody else has it.
    pub fn begin_cleaning(&self) -> Option<CleaningTurn> {
        if self.0.closing.get() || self.0.cleaning.replace(true) {
            return None;
        }
        Some(CleaningTurn(self.clone()))
    }

    /// Deletes the segments that lie below the log's start, and those that `retention.bytes` and `retention.ms` no
    /// longer keep if the log's `cleanup.policy` deletes. Nothing while another has the turn to clean it.
    pub async fn delete_old_segments(&self) -> Result<DeletedSegments, LogError> {
        let Some(turn) = self.begin_cleaning() else { return Ok(DeletedSegments::default()) };
        let deleted = self.delete_doomed(wall_ms()).await;
        drop(turn);
        deleted
    }

    async fn delete_doomed(&self, now_ms: i64) -> Result<DeletedSegments, LogError> {
        self.check_usable()?;
        let doomed = self.doomed(now_ms).await?;
        if doomed.count() == 0 {
            return Ok(DeletedSegments::default());
        }
        let before = self.end_newest_of(&doomed).await?;
        if mutation::on(Mutation::DeleteBeforeStart) {
            self.put_aside(&self.sealed_below(before), &FILES).await?;
        }
        let Some(before) = self.end_of(&self.sealed_below(before)) else {
            return Ok(DeletedSegments::default());
        };
        self.raise_start(before).await?;
        let segments = self.state_mut().take_below(before);
        let (below_start, above_size, expired) = (doomed.below_start, doomed.above_size, doomed.expired);
        tracing::info!(log = %self.name(), start = %before, below_start, above_size, expired, "old segments deleted");
        let bytes = segments.iter().map(|segment| u64::from(segment.size())).sum();
        let deleted = DeletedSegments { segments: segments.len(), bytes };
        self.remove_later(segments).await.map(|()| deleted)
    }

    /// Kafka's order: each rule sees what the one before has left.
    async fn doomed(&self, now_ms: i64) -> Result<Doomed, LogError> {
        let (facts, config) = (self.facts(), self.config());
        let below_start = facts.below_start();
        let mut doomed = Doomed { facts, below_start, above_size: 0, expired: 0 };
        if !config.deletes {
            return Ok(doomed);
        }
        if let Some(limit) = config.retention_bytes {
            doomed.above_size = doomed.facts.above_size(doomed.count(), limit);
        }
        if let Some(retention_ms) = config.retention_ms {
            doomed.expired = self.expired(&doomed, now_ms, retention_ms).await?;
        }
        Ok(doomed)
    }

    /// How many segments are too old, beyond those that go anyway.
    async fn expired(&self, doomed: &Doomed, now_ms: i64, retention_ms: i64) -> Result<usize, LogError> {
        let (gone, segments) = (doomed.count(), self.state().segments.clone());
        let mut more = 0;
        while doomed.facts.may_go(gone + more)
            && let Some(segment) = segments.get(gone + more)
            && is_expired(segment.largest_timestamp(&self.0.shard).await?, now_ms, retention_ms)
        {
            more += 1;
        }
        Ok(more)
    }

    fn facts(&self) -> LogFacts {
        let state = self.state();
        LogFacts {
            segments: state.segments.iter().map(|s| (s.base, u64::from(s.size()))).collect(),
            start: state.offsets.start(),
            high_watermark: state.high_watermark(),
            end: state.offsets.end(),
        }
    }

    /// Where the doomed segments end. If the newest is one of them, a new one begins first, on disk as well: a
    /// directory whose last file is an old one would look as if records had been lost. If it got more records
    /// meanwhile, it stays.
    async fn end_newest_of(&self, doomed: &Doomed) -> Result<Offset, LogError> {
        let segments = &doomed.facts.segments;
        if let Some(first_kept) = segments.get(doomed.count()) {
            return Ok(first_kept.0);
        }
        let &(base, bytes) = segments.last().expect("a doomed segment was there");
        let Some(next) = self.roll_unchanged(bytes)? else { return Ok(base) };
        match self.wait_unless_stalled(|_| next.has_file()).await {
            Ok(()) => Ok(next.base),
            // There is no room for what ends it: those before it go now, and make some.
            Err(LogError::Stalled { .. }) => Ok(base),
            Err(error) => Err(error),
        }
    }

    /// Rolls, unless the newest segment has other than this many bytes by now.
    fn roll_unchanged(&self, bytes: u64) -> Result<Option<Rc<Segment>>, LogError> {
        let (next, start_writer) = {
            let mut state = self.state_mut();
            if let Some(fault) = &state.fault {
                return Err(fault.clone());
            }
            if state.segments.last().is_none_or(|newest| u64::from(newest.size()) != bytes) {
                return Ok(None);
            }
            (state.roll(&self.0, wall_ms(), true), state.queue.begin())
        };
        if start_writer {
            self.start_writer();
        }
        Ok(Some(next))
    }

    /// The oldest segments below `before` that are done with. One that is still being sealed waits for the next round, and
    /// so does one whose successor has no file yet: a directory without any would have forgotten its producers.
    fn sealed_below(&self, before: Offset) -> Vec<Rc<Segment>> {
        let state = self.state();
        let is_done = |s: &&Rc<Segment>| {
            s.base < before
                && s.is_sealed()
                && state
                    .segment_after(s.base)
                    .is_some_and(|next| next.has_file() || mutation::on(Mutation::DeleteUnfollowed))
        };
        state.segments.iter().take_while(is_done).cloned().collect()
    }

    fn end_of(&self, segments: &[Rc<Segment>]) -> Option<Offset> {
        self.state().segment_after(segments.last()?.base).map(|next| next.base)
    }

    /// Raises the log's start: durable first, then seen, so that what a reader was told stays true after a crash.
    pub(crate) async fn raise_start(&self, offset: Offset) -> Result<Offset, LogError> {
        // All below a start is flushed. What a flush has covered may be cut off, and appended anew, before it is this one's
        // turn.
        let _turn = loop {
            let turn = self.0.ends.take().await;
            if offset <= self.offsets().flushed() || offset > self.high_watermark() {
                break turn;
            }
            drop(turn);
            self.flush_to(offset).await?;
        };
        let (start, end) = (self.offsets().start(), self.high_watermark());
        if offset > end {
            // The log was truncated while this waited.
            return Err(LogError::OffsetOutOfRange { offset, start, end });
        }
        self.raise_start_in_turn(offset).await
    }

    pub(crate) async fn raise_start_in_turn(&self, offset: Offset) -> Result<Offset, LogError> {
        if offset > self.offsets().start() && !mutation::on(Mutation::ForgetStart) {
            self.0.points.set_start(offset.max(self.0.points.start()));
            self.0.dir.write_checkpoints().await?;
        }
        let (raised, start_writer) = {
            let mut state = self.state_mut();
            let raised = offset.max(state.offsets.start());
            state.offsets.start_at(raised);
            let is_news = state.epochs.truncate_start(raised) && state.fault.is_none();
            (raised, is_news && state.queue.push_epochs())
        };
        if start_writer {
            self.start_writer();
        }
        self.0.changed.notify_all();
        Ok(raised)
    }

    async fn remove_later(&self, segments: Vec<Rc<Segment>>) -> Result<(), LogError> {
        self.let_go(&segments);
        let aside = self.put_aside(&segments, &FILES).await;
        let paths = aside.inspect_err(|error| self.fail_unless_passing(error))?;
        self.remove_files_later(paths, segments);
        Ok(())
    }

    /// Removes files that were put aside, after `file.delete.delay.ms`. `deleted` segments let go of what they hold.
    pub(crate) fn remove_files_later(&self, paths: Vec<PathBuf>, deleted: Vec<Rc<Segment>>) {
        let (delay, shard) = (self.config().file_delete_delay, self.0.shard.clone());
        let dir = self.0.dir.clone();
        spawn(Queue::Background, async move {
            sleep(delay).await;
            // A reader that came late may have opened one again.
            deleted.iter().for_each(|segment| segment.release_all(shard.budget()));
            drop(deleted);
            dir.remove(paths).await;
        })
        .detach();
    }

    /// Gives the segments' files of these kinds the names of deleted ones; says which those are.
    pub(crate) async fn put_aside(
        &self,
        segments: &[Rc<Segment>],
        kinds: &[&str],
    ) -> Result<Vec<PathBuf>, LogError> {
        let mut aside = Vec::new();
        for segment in segments {
            for suffix in kinds {
                let from = segment.path(suffix);
                let to = self.deleted_path(segment.base, suffix).await?;
                match fs::rename(&from, &to).await {
                    Ok(()) => aside.push(to),
                    // Few segments have all kinds of files; and the log's directory may just have been deleted.
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(LogError::io(&from, "renaming", &error)),
                }
            }
        }
        Ok(aside)
    }

    /// Kafka's name of a segment's file that is to be removed, with a number in it as long as one of that name still
    /// waits: compaction replaces the same segment again and again.
    async fn deleted_path(&self, base: Offset, suffix: &str) -> Result<PathBuf, LogError> {
        let name = file_name(base, suffix);
        let mut path = self.0.path.join(format!("{name}.{DELETED}"));
        for number in 1.. {
            if !fs::exists(&path).await.map_err(|e| LogError::io(&path, "looking for", &e))? {
                break;
            }
            path = self.0.path.join(format!("{name}.{number}.{DELETED}"));
        }
        Ok(path)
    }
}

impl Doomed {
    fn count(&self) -> usize {
        self.below_start + self.above_size + self.expired
    }
}

impl State {
    fn take_below(&mut self, before: Offset) -> Vec<Rc<Segment>> {
        let count = self.segments.partition_point(|segment| segment.base < before);
        self.segments.drain(..count).collect()
    }
}
