//! Appending: fence the producer, give the batch its place, hand it to the log. One synchronous step, so that
//! batches of one partition get their offsets in the order in which they were handed in.

use std::rc::Rc;

use kring_storage::{
    Awaits, Claim, LogBatch, Offset, ProducerBatch, ProducerError, ProducerId, ProducerVerdict,
};
use kring_wire::ErrorCode;
use kring_wire::record::{BatchHeader, TimestampType, ValidatedBatch};

use crate::metadata::names;

use super::{Acks, Partition, Produced, Refusal, refusal_of};

/// An accepted batch, on its way to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    pub produced: Produced,
    /// One past its last offset: what a waiter waits for.
    pub end: Offset,
}

impl Partition {
    /// Takes a client's or a coordinator's batch. A repeated batch of an idempotent producer is answered with where it went
    /// the first time.
    pub fn append(&self, batch: ValidatedBatch, acks: Acks) -> Result<Appended, Refusal> {
        match self.check_producer(batch.header()) {
            Ok(ProducerVerdict::Append) => self.append_new(batch, acks),
            // Kafka tells the batch's own time here, whoever gave it (`UnifiedLog.append`).
            Ok(ProducerVerdict::Duplicate { base_offset, last_offset, timestamp }) => {
                Ok(self.appended(base_offset, last_offset.next(), timestamp))
            }
            // Where there is no room, the gap may be what was refused a moment ago: the producer is to send that again, and
            // not to take its numbers for lost.
            Err(refusal) => self.check_room().and(Err(self.refused(refusal.code))),
        }
    }

    /// Resolves when an appended batch may be acknowledged.
    pub async fn acknowledged(self: Rc<Self>, acks: Acks, end: Offset) -> Result<(), Refusal> {
        let waited = match acks {
            // Nobody is told, but the connection must not read on for ever faster than the disk writes.
            Acks::None | Acks::Leader => self.log().wait_kept_unless_stalled(end).await,
            Acks::All => self.log().wait_committed_unless_stalled(end).await,
        };
        waited.map_err(|error| refusal_of(&error))
    }

    /// Resolves when an appended batch is committed, however long a full disk holds it up: for whoever has taken its
    /// records over already.
    pub async fn committed(self: Rc<Self>, end: Offset) -> Result<(), Refusal> {
        self.log().wait_committed(end).await.map_err(|error| refusal_of(&error))
    }

    /// As Kafka refuses what its log has looked at: with where the log starts.
    pub fn refused(&self, code: ErrorCode) -> Refusal {
        Refusal { log_start_offset: self.log().offsets().start().0, ..Refusal::from(code) }
    }

    fn append_new(&self, mut batch: ValidatedBatch, acks: Acks) -> Result<Appended, Refusal> {
        self.check_room()?;
        let base_offset = self.log().offsets().end();
        batch.assign(base_offset.0, self.leader_epoch());
        let log_append_time_ms = match batch.header().timestamp_type() {
            TimestampType::LogAppendTime => batch.max_timestamp(),
            _ => -1,
        };
        let (header, body) = batch.into_parts();
        let awaits = if acks == Acks::All { Awaits::Commit } else { Awaits::Write };
        let appended = self.log().append_for(LogBatch { header, body }, awaits);
        let appended = appended.map_err(|error| refusal_of(&error))?;
        assert_eq!(appended.base_offset, base_offset, "nothing appends between the two lines above");
        Ok(self.appended(base_offset, appended.last_offset.next(), log_append_time_ms))
    }

    fn check_room(&self) -> Result<(), Refusal> {
        self.log().check_room(self.claim()).map_err(|error| refusal_of(&error))
    }

    fn appended(&self, base_offset: Offset, end: Offset, log_append_time_ms: i64) -> Appended {
        let log_start_offset = self.log().offsets().start().0;
        Appended {
            produced: Produced {
                base_offset: base_offset.0,
                log_append_time_ms,
                log_start_offset,
                is_late: false,
            },
            end,
        }
    }

    /// Coordinators go on where clients have to stop.
    fn claim(&self) -> Claim {
        if names::is_internal(self.topic()) { Claim::Coordination } else { Claim::Records }
    }

    fn check_producer(&self, header: &BatchHeader) -> Result<ProducerVerdict, Refusal> {
        if !header.has_producer_id() {
            return Ok(ProducerVerdict::Append);
        }
        let batch = ProducerBatch {
            producer_id: ProducerId(header.producer_id),
            epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
            last_offset_delta: header.last_offset_delta,
            max_timestamp: header.max_timestamp,
            is_transactional: header.is_transactional(),
        };
        self.log().check_producer(&batch).map_err(fenced)
    }
}

fn fenced(error: ProducerError) -> Refusal {
    match error {
        ProducerError::InvalidProducerEpoch { .. } => ErrorCode::INVALID_PRODUCER_EPOCH.into(),
        ProducerError::OutOfOrderSequence { .. } => ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER.into(),
        ProducerError::InvalidTransactionState { .. } => ErrorCode::INVALID_TXN_STATE.into(),
        ProducerError::CoordinatorFenced { .. } => ErrorCode::TRANSACTION_COORDINATOR_FENCED.into(),
    }
}
