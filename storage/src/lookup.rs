//! Finding offsets by time, for ListOffsets. Scans at most about one index interval of one segment.
//! Changes nothing. Shard that owns the log.

use std::rc::Rc;

use kring_wire::record::{DEFAULT_MAX_DECOMPRESSED_BYTES, RecordsIter};

use crate::batch::{BatchInfo, HEADER_BYTES};
use crate::error::LogError;
use crate::log::Log;
use crate::read::Source;
use crate::segment::Segment;
use crate::types::{LeaderEpoch, Offset};

/// A record found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampedOffset {
    pub timestamp: i64,
    pub offset: Offset,
    pub leader_epoch: LeaderEpoch,
}

impl Log {
    /// The first record at or after the log's start whose timestamp is `timestamp` or later.
    pub async fn offset_for_timestamp(&self, timestamp: i64) -> Result<Option<TimestampedOffset>, LogError> {
        self.undisturbed(async || self.find_time(timestamp).await).await
    }

    async fn find_time(&self, timestamp: i64) -> Result<Option<TimestampedOffset>, LogError> {
        self.settle().await?;
        let (start, segments) = self.readable_segments();
        for segment in segments {
            match self.find_in_segment(&segment, timestamp, start).await {
                Ok(None) => {}
                // It was old, and is deleted.
                Err(_) if segment.is_deleted() => {}
                found => return found,
            }
        }
        Ok(None)
    }

    /// The first record that has the largest timestamp of the log.
    pub async fn max_timestamp(&self) -> Result<Option<TimestampedOffset>, LogError> {
        self.undisturbed(async || self.find_max_timestamp().await).await
    }

    async fn find_max_timestamp(&self) -> Result<Option<TimestampedOffset>, LogError> {
        self.settle().await?;
        let mut best: Option<(i64, Rc<Segment>, Offset)> = None;
        for segment in self.readable_segments().1 {
            let max = match segment.max_timestamp(&self.0.shard).await {
                Err(_) if segment.is_deleted() => continue,
                max => max?,
            };
            if let Some((timestamp, relative)) =
                max.filter(|(max, _)| best.as_ref().is_none_or(|b| *max > b.0))
            {
                let last_offset = segment.base + i64::from(relative);
                best = Some((timestamp, segment, last_offset));
            }
        }
        let Some((timestamp, segment, last_offset)) = best else { return Ok(None) };
        let source = self.source(&segment).await?;
        let from = segment.lookup(&self.0.shard, last_offset).await?;
        match source.find(from, last_offset).await? {
            Some((at, info)) => first_record(&source, at, &info, timestamp, Offset::ZERO).await,
            None => Ok(None),
        }
    }

    /// The indexes run ahead of what can be read; a lookup waits for it.
    async fn settle(&self) -> Result<(), LogError> {
        self.check_readable()?;
        let end = self.offsets().end();
        self.wait_until(|state| state.offsets.kept() >= state.still_there(end)).await
    }

    fn readable_segments(&self) -> (Offset, Vec<Rc<Segment>>) {
        let state = self.state();
        let start = state.offsets.start();
        let first = state.segments.partition_point(|segment| segment.base <= start).saturating_sub(1);
        (start, state.segments[first..].to_vec())
    }

    async fn find_in_segment(
        &self,
        segment: &Rc<Segment>,
        timestamp: i64,
        start: Offset,
    ) -> Result<Option<TimestampedOffset>, LogError> {
        let max = segment.max_timestamp(&self.0.shard).await?;
        if max.is_none_or(|(max, _)| max < timestamp) {
            return Ok(None);
        }
        let (by_time, by_offset) = (
            segment.lookup_time(&self.0.shard, timestamp).await?,
            segment.lookup(&self.0.shard, start).await?,
        );
        let mut from = by_time.max(by_offset);
        let source = self.source(segment).await?;
        let late = |info: &BatchInfo| info.max_timestamp >= timestamp && info.last_offset() >= start;
        while let Some((at, info)) = source.first_batch(from, late).await? {
            if let Some(found) = first_record(&source, at, &info, timestamp, start).await? {
                return Ok(Some(found));
            }
            from = at + info.bytes;
        }
        Ok(None)
    }
}

/// The first record of a batch that is late enough.
async fn first_record(
    source: &Source,
    at: u32,
    info: &BatchInfo,
    timestamp: i64,
    start: Offset,
) -> Result<Option<TimestampedOffset>, LogError> {
    let whole = source.bytes(at, info.bytes).await?;
    if whole.len() < info.bytes as usize {
        return Err(source.corrupt(at, "the batch ends early".to_string()));
    }
    let unreadable = |error: kring_wire::record::RecordError| source.corrupt(at, error.to_string());
    let mut records =
        RecordsIter::new(&info.header, whole.slice(HEADER_BYTES..), DEFAULT_MAX_DECOMPRESSED_BYTES)
            .map_err(unreadable)?;
    while let Some(record) = records.next_ref() {
        let record = record.map_err(unreadable)?;
        if record.timestamp >= timestamp && record.offset >= start.0 {
            let (timestamp, offset) = (record.timestamp, Offset(record.offset));
            return Ok(Some(TimestampedOffset { timestamp, offset, leader_epoch: info.leader_epoch }));
        }
    }
    Ok(None)
}
