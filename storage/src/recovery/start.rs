//! Where the look at the newest segment begins after a crash: at the last batch that its index names, as far as the
//! recovery point and the producer snapshot reach. What lies before was durable before it was written down.
//! Believes no entry before the batch it leads to has been met. Shard that will own the log.

use std::path::Path;

use kring_runtime::fs;

use super::{Recovery, RecoveryReport};
use crate::aborted::AbortedIndex;
use crate::batch::{BatchInfo, HEADER_BYTES};
use crate::error::LogError;
use crate::index::{Ended, Indexer, OffsetIndex, TimeIndex};
use crate::mutation::{self, Mutation};
use crate::scan::{Care, Extent};
use crate::segment::{Segment, file_name};
use crate::types::Offset;

/// A place to begin at.
pub(super) struct Start {
    /// Of the segment.
    pub base: Offset,
    /// Byte where a batch begins; beyond 0 that batch is in the indexes already.
    pub position: u32,
    /// Base offset of that batch.
    pub offset: Offset,
    pub first_timestamp: Option<i64>,
    /// What the segment's indexes hold up to here.
    pub indexer: Indexer,
    /// The index files still hold it, too.
    pub is_saved: bool,
}

impl Start {
    fn whole(base: Offset) -> Start {
        let indexer = Indexer::new();
        Start { base, position: 0, offset: base, first_timestamp: None, indexer, is_saved: false }
    }
}

/// Whether the last time entry is of the batch that it names, and of the first that is as late as any that is met.
pub(super) struct LatestCheck {
    timestamp: i64,
    offset: Offset,
    is_met: bool,
    is_true: bool,
}

impl LatestCheck {
    /// Without an entry no batch has a time.
    pub fn new(base: Offset, latest: Option<(i64, u32)>) -> LatestCheck {
        match latest {
            Some((timestamp, relative)) => {
                LatestCheck { timestamp, offset: base + i64::from(relative), is_met: false, is_true: true }
            }
            None => LatestCheck { timestamp: -1, offset: Offset(-1), is_met: true, is_true: true },
        }
    }

    /// Its batch was met before.
    pub fn met(self) -> LatestCheck {
        LatestCheck { is_met: true, ..self }
    }

    pub fn meet(&mut self, batch: &BatchInfo) {
        if batch.last_offset() < self.offset {
            self.is_true &= batch.max_timestamp < self.timestamp;
        } else if batch.base_offset <= self.offset {
            self.is_met = true;
            self.is_true &= batch.max_timestamp == self.timestamp;
        } else {
            self.is_true &= batch.max_timestamp <= self.timestamp;
        }
    }

    /// What was met so far does not speak against it.
    pub fn may_hold(&self) -> bool {
        self.is_true
    }

    pub fn holds(&self) -> bool {
        self.is_true && self.is_met
    }
}

impl Recovery {
    /// `producers_from` is the offset from which on producers have to be learnt.
    pub(super) async fn start_in(
        &self,
        base: Offset,
        bytes: u64,
        producers_from: Offset,
    ) -> Result<Start, LogError> {
        let size = self.size(base, bytes)?;
        let segment = Segment::at_rest(self.path.clone(), base, size, AbortedIndex::none());
        let Some((index, timeindex)) = segment.read_raw_indexes().await?.filter(|_| !self.clean) else {
            return Ok(Start::whole(base));
        };
        let below = self.trusted_below(base, producers_from);
        let (offsets, offsets_ended) = OffsetIndex::decode_below(&index, below);
        let (mut times, times_ended) = TimeIndex::decode_below(&timeindex, below);
        times.truncate_after(offsets.last().map_or(0, |(relative, _)| relative));
        let ended = [offsets_ended, times_ended];
        let is_saved = ended == [Ended::WithFile; 2];
        if !is_saved {
            // Entries of batches that may be lost must not be there when others take their place.
            self.remove_indexes(base).await?;
        }
        if ended.contains(&Ended::InDamage) {
            // Of two that belong together one may be gone.
            tracing::warn!(path = %self.log_path(base).display(), "an index is damaged");
            return Ok(Start::whole(base));
        }
        let start = self.start_at(base, size, offsets, times).await?;
        Ok(Start { is_saved: is_saved && start.position > 0, ..start })
    }

    fn trusted_below(&self, base: Offset, producers_from: Offset) -> u32 {
        let forget = mutation::on(Mutation::StartAfterProducers);
        let below = self.points.recovery().min(if forget { Offset::MAX } else { producers_from });
        if mutation::on(Mutation::TrustIndexBeyondPoint) {
            return u32::MAX;
        }
        u32::try_from((below - base).max(0)).unwrap_or(u32::MAX)
    }

    /// At the batch of the last entry, if it is there.
    async fn start_at(
        &self,
        base: Offset,
        size: u32,
        offsets: OffsetIndex,
        times: TimeIndex,
    ) -> Result<Start, LogError> {
        let Some((relative, position)) = offsets.last() else { return Ok(Start::whole(base)) };
        let named = base + i64::from(relative);
        let is_latest = self.is_latest(base, size, &offsets, times.last()).await?;
        match self.batch_at(base, position, size).await? {
            Some(info) if info.last_offset() == named && is_latest => Ok(Start {
                base,
                position,
                offset: info.base_offset,
                first_timestamp: self.first_timestamp(base, size).await?,
                indexer: Indexer::resume(offsets, times),
                is_saved: false,
            }),
            _ => {
                let path = self.log_path(base);
                tracing::warn!(path = %path.display(), position, offset = %named, "an index names no batch");
                Ok(Start::whole(base))
            }
        }
    }

    /// Whether the last time entry, which is of no later batch than the last offset entry, says the latest time up to there.
    /// Reads the batches from the one that it names on, which are those of one index interval where times rise.
    pub(super) async fn is_latest(
        &self,
        base: Offset,
        size: u32,
        offsets: &OffsetIndex,
        latest: Option<(i64, u32)>,
    ) -> Result<bool, LogError> {
        let Some((_, end)) = offsets.last() else { return Ok(latest.is_none()) };
        let before = latest.and_then(|(_, relative)| relative.checked_sub(1));
        let from = before.map_or(0, |before| offsets.lookup(before));
        let Some(last) = self.batch_at(base, end, size).await? else { return Ok(false) };
        let mut check = LatestCheck::new(base, latest);
        let extent = Extent { base, from, end, care: Care::Headers };
        let found =
            self.scan(base, extent, &mut RecoveryReport::default(), |met| check.meet(&met.info)).await?;
        check.meet(&last);
        Ok(found.fault.is_none() && check.holds())
    }

    pub(super) async fn batch_at(
        &self,
        base: Offset,
        position: u32,
        size: u32,
    ) -> Result<Option<BatchInfo>, LogError> {
        if position >= size {
            return Ok(None);
        }
        let path = self.log_path(base);
        let read = self.reader(base).await?.read_at(u64::from(position), HEADER_BYTES).await;
        let header = read.map_err(|e| LogError::io(&path, "reading", &e))?;
        Ok(BatchInfo::parse(&header).ok())
    }

    pub(super) async fn remove_indexes(&self, base: Offset) -> Result<(), LogError> {
        let dir: &Path = &self.path;
        for suffix in ["index", "timeindex"] {
            let path = dir.join(file_name(base, suffix));
            fs::remove_file(&path).await.map_err(|e| LogError::io(&path, "removing", &e))?;
        }
        fs::sync_dir(dir).await.map_err(|e| LogError::io(dir, "flushing directory", &e))
    }
}
