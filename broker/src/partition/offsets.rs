//! Looking offsets up: by time, by Kafka's negative marks, by leader epoch; and deleting from the front.

use std::rc::Rc;

use kring_storage::{EpochEnd, LeaderEpoch, LogError, Offset, TimestampedOffset};
use kring_wire::ErrorCode;

use super::{EpochQuery, ListedOffset, OffsetQuery, Partition, Refusal, refusal_of};

/// ListOffsets' marks.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// Nobody's epoch.
const UNDEFINED_EPOCH: LeaderEpoch = LeaderEpoch(-1);

impl Partition {
    /// Answers one query of ListOffsets. Without tiered storage the local log is the whole log.
    pub async fn list_offset(self: &Rc<Self>, query: OffsetQuery) -> Result<ListedOffset, Refusal> {
        self.check_epoch(query.current_leader_epoch)?;
        let found = match query.timestamp {
            LATEST => return Ok(self.at(self.end_for(query.read_committed), Some(self.leader_epoch()))),
            EARLIEST | EARLIEST_LOCAL => return Ok(self.earliest()),
            LATEST_TIERED | EARLIEST_PENDING_UPLOAD => return Ok(self.not_tiered()),
            MAX_TIMESTAMP => self.log().max_timestamp().await,
            timestamp if timestamp < 0 => return Err(ErrorCode::UNSUPPORTED_VERSION.into()),
            timestamp => self.log().offset_for_timestamp(timestamp).await,
        };
        let end = self.end_for(query.read_committed);
        found.map(|found| self.listed(found, end)).map_err(|error| refusal_of(&error))
    }

    /// Where an epoch ends: (-1, -1) when this log has none at or below it.
    pub fn epoch_end(&self, query: EpochQuery) -> Result<(i32, i64), Refusal> {
        self.check_epoch(query.current_leader_epoch)?;
        let end = self.end_of_epoch(query.leader_epoch);
        Ok(end.map_or((-1, -1), |end| (end.epoch.0, end.end_offset.0)))
    }

    /// Where an epoch ends; `None` for one that never was. This leader's epoch begins where it found the log to end,
    /// before it has written anything (`Partition.makeLeader` of Kafka).
    pub(super) fn end_of_epoch(&self, epoch: i32) -> Option<EpochEnd> {
        let (epoch, led) = (LeaderEpoch(epoch), LeaderEpoch(self.leader_epoch()));
        let at_end = |epoch| EpochEnd { epoch, end_offset: self.log().offsets().end() };
        match self.log().latest_epoch() {
            _ if epoch == UNDEFINED_EPOCH || epoch > led => None,
            Some(written) if written < epoch && epoch < led => Some(at_end(written)),
            Some(written) if written >= epoch => self.log().end_offset_for_epoch(epoch),
            _ => Some(at_end(epoch)),
        }
    }

    /// Makes `before` the first offset; -1 stands for the high watermark. Answers the new first offset.
    pub async fn delete_records(self: &Rc<Self>, before: i64) -> Result<i64, Refusal> {
        let config = self.config();
        if config.is_compacted && !config.is_deleted {
            return Err(ErrorCode::POLICY_VIOLATION.into());
        }
        let high_watermark = self.log().high_watermark();
        let before = if before == -1 { high_watermark } else { Offset(before) };
        if before < Offset::ZERO || before > high_watermark {
            return Err(ErrorCode::OFFSET_OUT_OF_RANGE.into());
        }
        let start = self.log().delete_records_before(before).await;
        start.map(|offset| offset.0).map_err(|error: LogError| refusal_of(&error))
    }

    fn earliest(&self) -> ListedOffset {
        let start = self.log().offsets().start();
        let epoch = self.log().epoch_at(start).map_or_else(|| self.leader_epoch(), |epoch| epoch.0);
        self.at(start, Some(epoch))
    }

    fn at(&self, offset: Offset, epoch: Option<i32>) -> ListedOffset {
        ListedOffset { timestamp: -1, offset: offset.0, leader_epoch: epoch.unwrap_or(-1) }
    }

    fn not_tiered(&self) -> ListedOffset {
        ListedOffset { timestamp: -1, offset: -1, leader_epoch: -1 }
    }

    /// A record that is not below `end` is not there yet for the reader.
    fn listed(&self, found: Option<TimestampedOffset>, end: Offset) -> ListedOffset {
        match found.filter(|found| found.offset < end) {
            None => self.not_tiered(),
            Some(found) => ListedOffset {
                timestamp: found.timestamp,
                offset: found.offset.0,
                leader_epoch: found.leader_epoch.0,
            },
        }
    }
}
