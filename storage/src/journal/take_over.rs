//! A log that has just been opened takes over what the journals of an earlier process have kept for it and its segments
//! lack. Shard that owns the log.

use kring_runtime::{Queue, spawn};

use super::entry::KeptBatch;
use super::replay::following;
use crate::batch::{BatchInfo, HEADER_BYTES, LogBatch};
use crate::error::LogError;
use crate::log::Log;
use crate::read::ReadRequest;
use crate::types::Offset;

impl Log {
    /// Appends them. They are written, and what kept them is let go, after this has returned.
    pub(crate) async fn take_over_kept(&self) -> Result<(), LogError> {
        let batches = self.0.dir.kept_for(self.name());
        if batches.is_empty() {
            return Ok(());
        }
        let before = self.offsets().end();
        let batches = following(&self.of_this_topic(batches), before, self.last_batch().await?);
        for batch in batches {
            self.append(log_batch(&batch))?;
        }
        let end = self.offsets().end();
        if end > before {
            tracing::info!(log = %self.name(), from = %before, %end, "taken over from the journal");
        }
        let log = self.clone();
        spawn(Queue::Background, async move { log.let_go_of_kept(end).await }).detach();
        Ok(())
    }

    /// The journals stay while a log could not be written: the next start tries again.
    async fn let_go_of_kept(&self, end: Offset) {
        if let Err(error) = self.wait_kept(end).await {
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

    /// Base offset and checksum.
    async fn last_batch(&self) -> Result<Option<(Offset, u32)>, LogError> {
        let (start, end) = (self.offsets().start(), self.offsets().end());
        if start == end {
            return Ok(None);
        }
        let request = ReadRequest { offset: end + -1, upto: end, max_bytes: 1, min_one_batch: true };
        let bytes = self.read(request).await?.into_bytes().await?;
        let info = BatchInfo::parse(&bytes).ok();
        Ok(info.map(|info| (info.base_offset, info.header.crc)))
    }
}

fn log_batch(batch: &KeptBatch) -> LogBatch {
    let header = *batch.bytes.first_chunk::<HEADER_BYTES>().expect("a batch has its header");
    LogBatch { header, body: batch.bytes.slice(HEADER_BYTES..) }
}
