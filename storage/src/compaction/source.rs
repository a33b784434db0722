//! Reads a sealed segment batch by batch for the cleaner, in pieces of a fixed size, each checksum checked: damage
//! must not be copied into a segment whose checksums are then right. Changes nothing. Shard that owns the log.

use std::rc::Rc;

use bytes::Bytes;

use crate::batch::{BadBatch, BatchInfo, CRC_FROM, HEADER_BYTES};
use crate::error::LogError;
use crate::log::Log;
use crate::read::Source;
use crate::segment::Segment;
use crate::types::Offset;

/// The batches of one segment from a position on.
pub(crate) struct Batches {
    source: Source,
    at: u32,
    piece: Bytes,
    piece_at: u32,
    piece_bytes: u32,
}

/// A batch as it stands in the log.
pub(crate) struct Met {
    pub info: BatchInfo,
    pub whole: Bytes,
    /// Bytes that had to be read for it.
    pub read: u32,
}

impl Batches {
    /// From about `from` on: the batch that holds it, or one shortly before.
    pub async fn open(
        log: &Log,
        segment: &Rc<Segment>,
        from: Offset,
        piece_bytes: u32,
    ) -> Result<Batches, LogError> {
        let source = log.source(segment).await?;
        let at = if from <= segment.base { 0 } else { segment.lookup(&log.0.shard, from).await? };
        Ok(Batches { source, at, piece: Bytes::new(), piece_at: at, piece_bytes })
    }

    /// The next batch, whole.
    pub async fn next(&mut self) -> Result<Option<Met>, LogError> {
        if self.at >= self.source.view.end() {
            return Ok(None);
        }
        let mut read = self.have(HEADER_BYTES as u32).await?;
        let header = self.piece.slice((self.at - self.piece_at) as usize..);
        let info = BatchInfo::parse(&header).map_err(|bad| self.damaged(bad))?;
        read += self.have(info.bytes).await?;
        let from = (self.at - self.piece_at) as usize;
        let whole = self.piece.slice(from..from + info.bytes as usize);
        let computed = crc32c::crc32c(&whole[CRC_FROM..]);
        if computed != info.header.crc {
            return Err(self.damaged(BadBatch::Crc { stored: info.header.crc, computed }));
        }
        self.at += info.bytes;
        Ok(Some(Met { info, whole, read }))
    }

    /// Reads on unless the next `bytes` are here. Says how much was read.
    async fn have(&mut self, bytes: u32) -> Result<u32, LogError> {
        let held = (self.piece_at + self.piece.len() as u32).saturating_sub(self.at);
        if held >= bytes {
            return Ok(0);
        }
        self.piece = self.source.bytes(self.at, bytes.max(self.piece_bytes)).await?;
        self.piece_at = self.at;
        if (self.piece.len() as u32) < bytes {
            return Err(self.damaged(BadBatch::Short));
        }
        Ok(self.piece.len() as u32)
    }

    pub fn damaged(&self, why: impl ToString) -> LogError {
        self.source.corrupt(self.at, why.to_string())
    }
}
