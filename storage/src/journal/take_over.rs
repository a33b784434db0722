//! A log that has just been opened takes over what the journals of an earlier process have kept for it and its segments
//! lack. Shard that owns the log.

use bytes::Bytes;
use kring_runtime::{Queue, spawn};

use super::entry::KeptBatch;
use super::replay::following;
use crate::batch::{BatchInfo, HEADER_BYTES, LogBatch};
use crate::error::LogError;
use crate::log::Log;
use crate::read::ReadRequest;

impl Log {
    /// Appends them, to be seen at once, and makes them durable as all is that a recovery serves. Where the disk has no
    /// room they are written, and what keeps them is let go, once it has.
    pub(crate) async fn take_over_kept(&self) -> Result<(), LogError> {
        let batches = self.0.dir.kept_for(self.name());
        if batches.is_empty() {
            return Ok(());
        }
        let before = self.offsets().end();
        let kept = self.of_this_topic(batches);
        let batches = following(&kept, before, self.last_crc().await?);
        for batch in batches {
            self.append_kept(log_batch(&batch))?;
        }
        let end = self.offsets().end();
        let left = kept.iter().filter(|batch| batch.info.base_offset >= end).count();
        if left > 0 {
            tracing::warn!(log = %self.name(), %end, left, "batches of the journal do not go on where this log ends: they are given up");
        }
        if end > before {
            tracing::info!(log = %self.name(), from = %before, %end, "taken over from the journal");
            self.flush_or_stall().await?;
        }
        let log = self.clone();
        spawn(Queue::Background, async move { log.let_go_of_kept().await }).detach();
        Ok(())
    }

    async fn flush_or_stall(&self) -> Result<(), LogError> {
        match self.flush_unless_stalled().await {
            Err(LogError::Stalled { .. }) => Ok(()),
            flushed => flushed.map(drop),
        }
    }

    /// The journals stay while a log could not be written and flushed: the next start tries again.
    async fn let_go_of_kept(&self) {
        if let Err(error) = self.flush().await {
            tracing::warn!(log = %self.name(), %error, "what the journal kept stays there");
            return;
        }
        self.0.dir.taken_over(self.name()).await;
    }

    fn of_this_topic(&self, mut batches: Vec<KeptBatch>) -> Vec<KeptBatch> {
        let ours = self.0.topic_id;
        batches.retain(|batch| batch.topic_id.is_none() || ours.is_none() || batch.topic_id == ours);
        batches
    }

    /// Checksum of the last batch. Not of one in a sealed segment: a cleaning may have written it anew, and what the
    /// journal has goes by what it was.
    async fn last_crc(&self) -> Result<Option<u32>, LogError> {
        let (start, end) = (self.offsets().start(), self.offsets().end());
        if start == end || self.state().segments.last().is_none_or(|newest| newest.size() == 0) {
            return Ok(None);
        }
        let request = ReadRequest { offset: end + -1, upto: end, max_bytes: 1, min_one_batch: true };
        let bytes = self.read(request).await?.into_bytes().await?;
        Ok(BatchInfo::parse(&bytes).ok().map(|info| info.header.crc))
    }
}

fn log_batch(batch: &KeptBatch) -> LogBatch {
    let header = *batch.bytes.first_chunk::<HEADER_BYTES>().expect("a batch has its header");
    // A slice would keep the whole journal in memory for as long as the batch is.
    LogBatch { header, body: Bytes::copy_from_slice(&batch.bytes[HEADER_BYTES..]) }
}
