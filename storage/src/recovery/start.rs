//! Where the look at the newest segment begins after a crash: at the last batch that its index names, as far as the
//! recovery point and the producer snapshot reach. What lies before was durable before it was written down.
//! Believes no entry before the batch it leads to has been met. Shard that will own the log.

use std::path::Path;

use kring_runtime::fs;

use super::Recovery;
use crate::aborted::AbortedIndex;
use crate::batch::{BatchInfo, HEADER_BYTES};
use crate::error::LogError;
use crate::index::{Indexer, OffsetIndex, TimeIndex};
use crate::mutation::{self, Mutation};
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
        let (offsets, all_offsets) = OffsetIndex::decode_below(&index, below);
        let (mut times, all_times) = TimeIndex::decode_below(&timeindex, below);
        times.truncate_after(offsets.last().map_or(0, |(relative, _)| relative));
        let is_saved = all_offsets && all_times;
        if !is_saved {
            // Entries of batches that may be lost must not be there when others take their place.
            self.remove_indexes(base).await?;
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
        match self.batch_at(base, position, size).await? {
            Some(info) if info.last_offset() == named => Ok(Start {
                base,
                position,
                offset: info.base_offset,
                first_timestamp: self.first_timestamp(base, size).await?,
                indexer: Indexer::resume(offsets, times),
                is_saved: false,
            }),
            _ => {
                let path = self.log_path(base);
                tracing::warn!(path = %path.display(), position, offset = %named, "the index names no batch");
                Ok(Start::whole(base))
            }
        }
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
