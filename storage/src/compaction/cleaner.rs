//! The cleaner of a shard: it cleans the log that needs it most, one at a time, and says what a failure means for that
//! log. As Kafka's `LogCleaner` and `LogCleanerManager.grabFilthiestCompactedLog`. Task queue `Background`.

use std::rc::Rc;
use std::time::Duration;

use kring_runtime::{fill_random, now, wall_ms, yield_if_needed};

use super::config::CleanerConfig;
use super::key_map::KeyMap;
use super::plan::{Cleanable, DirtyTimes, LogFacts, SegmentFacts};
use super::round::{Round, Stop, Work};
use super::throttle::Throttle;
use crate::checkpoint::LogName;
use crate::error::LogError;
use crate::log::Log;
use crate::mutation::{self, Mutation};
use crate::segment::Segment;
use crate::types::Offset;

/// Cleans the logs of one shard.
pub struct Cleaner {
    config: CleanerConfig,
    throttle: Throttle,
}

/// What a cleaning has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanedLog {
    pub name: LogName,
    /// The dirty part that was taken in; `end` is where it begins now.
    pub first_dirty_offset: Offset,
    pub end_offset: Offset,
    /// Different keys of the dirty part.
    pub keys: usize,
    /// Of the dirty part for its keys, and of all that was written anew.
    pub bytes_read: u64,
    /// Of the segments that were replaced, before and after.
    pub bytes_before: u64,
    pub bytes_after: u64,
    /// Waiting for `log.cleaner.io.max.bytes.per.second` included.
    pub took: Duration,
}

impl Cleaner {
    pub fn new(config: CleanerConfig) -> Cleaner {
        Cleaner { throttle: Throttle::new(config.io_bytes_per_second, now()), config }
    }

    /// Takes effect with the next cleaning.
    pub fn set_config(&mut self, config: CleanerConfig) {
        self.throttle.set_rate(config.io_bytes_per_second);
        self.config = config;
    }

    /// Cleans the log with the largest dirty part, if one of them is due. `None` if nothing was done: then it is time
    /// to wait for `log.cleaner.backoff.ms`. Failures are told to the operator and remembered with the log.
    pub async fn clean_filthiest(&mut self, logs: &[Log]) -> Option<CleanedLog> {
        let log = filthiest(logs, wall_ms()).await?;
        let _turn = log.begin_cleaning()?;
        let (now_ms, began) = (wall_ms(), now());
        // It may have changed while others were looked at.
        let plan = log.cleanable(now_ms).await.ok().filter(|plan| plan.is_due(&log.config().compaction))?;
        let (ended, work) = match announce(&log, &plan).await {
            Ok(()) => self.clean(&log, &plan, now_ms).await,
            Err(error) => (Err(Stop::Unwritable(error)), Work::default()),
        };
        match ended {
            Ok(end_offset) => Some(conclude(&log, &plan, end_offset, work, began.elapsed()).await),
            Err(stop) => {
                log.cleaning_failed(stop);
                None
            }
        }
    }

    async fn clean(&mut self, log: &Log, plan: &Cleanable, now_ms: i64) -> (Result<Offset, Stop>, Work) {
        let mut secret = [0; 16];
        fill_random(&mut secret);
        let (keys, throttle) = (KeyMap::new(&self.config, secret), &mut self.throttle);
        let piece_bytes = self.config.io_buffer_bytes / 2;
        let mut round = Round { log, keys, throttle, piece_bytes, now_ms, work: Work::default() };
        let ended = round.run(plan).await;
        (ended, Work { keys: round.keys.len(), ..round.work })
    }
}

/// The log that is due and has the largest part of its bytes dirty.
async fn filthiest(logs: &[Log], now_ms: i64) -> Option<Log> {
    let mut best: Option<(f64, Log)> = None;
    for log in logs.iter().filter(|log| log.config().compaction.compacts && log.may_clean()) {
        yield_if_needed().await;
        let plan = match log.cleanable(now_ms).await {
            Ok(plan) => plan,
            Err(error) => {
                log.cleaning_failed(Stop::Unreadable(error));
                continue;
            }
        };
        let is_dirtier = best.as_ref().is_none_or(|(ratio, _)| plan.ratio() > *ratio);
        if is_dirtier && plan.is_due(&log.config().compaction) {
            best = Some((plan.ratio(), log.clone()));
        }
    }
    best.map(|(_, log)| log)
}

/// Before its first cleaning a log is written down as one that has gaps: in others a gap is a loss (decision 0024).
async fn announce(log: &Log, plan: &Cleanable) -> Result<(), LogError> {
    if log.0.points.cleaner().is_some() {
        return Ok(());
    }
    log.0.points.set_cleaner(plan.first_dirty);
    log.0.dir.cleaner_points_changed();
    log.0.dir.write_checkpoints().await.inspect_err(|_| log.0.points.forget_cleaner())
}

/// Remembers how far the log is clean, on disk as well.
async fn conclude(log: &Log, plan: &Cleanable, end_offset: Offset, work: Work, took: Duration) -> CleanedLog {
    log.0.points.set_cleaner(end_offset);
    log.0.dir.cleaner_points_changed();
    if let Err(error) = log.0.dir.write_checkpoints().await {
        tracing::warn!(log = %log.name(), %error, "checkpoint not written; the next start cleans more");
    }
    let Work { keys, bytes_read, bytes_before, bytes_after } = work;
    tracing::info!(log = %log.name(), from = %plan.first_dirty, to = %end_offset, keys, bytes_read, bytes_before,
        bytes_after, took_ms = took.as_millis() as u64, "cleaned");
    let (name, first_dirty_offset) = (log.name().clone(), plan.first_dirty);
    CleanedLog { name, first_dirty_offset, end_offset, keys, bytes_read, bytes_before, bytes_after, took }
}

impl Log {
    /// Whether a cleaning may begin, or go on.
    pub(crate) fn may_clean(&self) -> bool {
        !self.0.uncleanable.get() && !self.0.closing.get() && self.check_usable().is_ok()
    }

    /// Whether the one that is under way is still wanted.
    pub(crate) fn may_go_on_cleaning(&self) -> bool {
        self.may_clean() && !self.0.truncating.get()
    }

    /// What a cleaning would do now.
    pub(crate) async fn cleanable(&self, now_ms: i64) -> Result<Cleanable, LogError> {
        let config = self.config().compaction;
        let facts = self.cleaning_facts();
        let dirty: Vec<Rc<Segment>> = self.state().segments[facts.dirty()].to_vec();
        let mut times = DirtyTimes::default();
        if config.min_compaction_lag_ms > 0 {
            times.first_too_young =
                self.first_too_young(&dirty, now_ms - config.min_compaction_lag_ms).await?;
        }
        if config.max_compaction_lag_ms < i64::MAX {
            times.earliest = self.earliest(&dirty).await?;
        }
        Ok(facts.cleanable(&config, &times, now_ms))
    }

    fn cleaning_facts(&self) -> LogFacts {
        let last_stable_offset = self.last_stable_offset();
        let state = self.state();
        // A crash would make a segment that nothing follows on disk the newest one, in which a gap is a torn write.
        let is_followed = |number: usize| {
            let next = state.segments.get(number + 1);
            next.is_some_and(|next| next.has_file() || mutation::on(Mutation::CleanUnfollowed))
        };
        let of = |(number, segment): (usize, &Rc<Segment>)| SegmentFacts {
            base: segment.base,
            bytes: u64::from(segment.size()),
            is_sealed: segment.is_sealed() && is_followed(number),
        };
        LogFacts {
            segments: state.segments.iter().enumerate().map(of).collect(),
            start: state.offsets.start(),
            end: state.offsets.end(),
            last_stable_offset,
            checkpoint: self.0.points.cleaner(),
        }
    }

    async fn first_too_young(
        &self,
        dirty: &[Rc<Segment>],
        latest_old_ms: i64,
    ) -> Result<Option<Offset>, LogError> {
        for segment in dirty {
            if segment.largest_timestamp(&self.0.shard).await? > latest_old_ms {
                return Ok(Some(segment.base));
            }
        }
        Ok(None)
    }

    async fn earliest(&self, dirty: &[Rc<Segment>]) -> Result<Option<i64>, LogError> {
        let mut earliest = None;
        for segment in dirty {
            let first = self.source(segment).await?.first_batch(0, |_| true).await?;
            // As in Kafka, a batch without a time says nothing.
            let Some(timestamp) = first.map(|(_, info)| info.max_timestamp).filter(|&ms| ms > 0) else {
                continue;
            };
            earliest = Some(earliest.map_or(timestamp, |known: i64| known.min(timestamp)));
        }
        Ok(earliest)
    }

    /// What a failure means: a log that cannot be read is left alone until the next start, as Kafka does; on a full
    /// disk it is tried again; when writing fails otherwise the directory is not trusted any more.
    fn cleaning_failed(&self, stop: Stop) {
        match stop {
            Stop::Aborted => {}
            _ if !self.may_clean() => {}
            Stop::Unreadable(error) | Stop::Unwritable(error) if error.is_passing() => {
                tracing::warn!(log = %self.name(), %error, "not compacted now; trying again later");
            }
            Stop::Unreadable(error) | Stop::Unwritable(error @ LogError::Corrupt { .. }) => {
                tracing::error!(log = %self.name(), %error, "not compacted any more until the next start");
                self.0.uncleanable.set(true);
            }
            Stop::Unwritable(error) | Stop::Torn(error) => self.fail(error),
        }
    }
}
