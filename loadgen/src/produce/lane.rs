//! One partition of a producer: what may be sent, and what has to be sent again. Pure.
//!
//! A producer that is not idempotent never sends again. One that is keeps the order by waiting, after a failure,
//! until nothing of the partition is in flight any more, and sends what came back again in its order:
//!
//! ```text
//!            failed                  nothing in flight any more
//!  flowing ─────────► held ──────────────────────────────────────► flowing, what came back first
//! ```
//!
//! The numbers begin again under the next epoch when the broker does not know those before them, or when a batch
//! was given up: Kafka's `TransactionManager.bumpIdempotentProducerEpoch`. After the last epoch the lane waits for
//! another producer id.

use kring_wire::ErrorCode;

use super::batch::{Batch, Sequence};
use crate::client::ClientError;

/// Why a batch was not acknowledged.
#[derive(Clone, Debug)]
pub enum Cause {
    /// The broker's answer.
    Code(ErrorCode),
    /// There was none.
    Connection(String),
}

impl Cause {
    pub fn of(error: &ClientError) -> Cause {
        Cause::Connection(error.to_string())
    }

    pub fn name(&self) -> &str {
        match self {
            Cause::Code(code) => code.name(),
            Cause::Connection(sentence) => sentence,
        }
    }

    /// Whether another broker may be the leader now.
    pub fn is_stale(&self) -> bool {
        match self {
            Cause::Code(code) => code.is_retriable(),
            Cause::Connection(_) => true,
        }
    }

    fn is_unknown_sequence(&self) -> bool {
        matches!(self, Cause::Code(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER | ErrorCode::UNKNOWN_PRODUCER_ID))
    }
}

/// What becomes of a batch that failed.
#[derive(Debug)]
pub enum Verdict {
    /// It will be sent again.
    Again,
    /// It will not.
    GivenUp(Batch),
}

/// The state of one partition.
#[derive(Debug, Default)]
pub struct Lane {
    /// Absent where the producer is not idempotent.
    producer_id: Option<i64>,
    epoch: i16,
    next_sequence: i32,
    in_flight: usize,
    /// In the order of their numbers.
    returned: Vec<Batch>,
    held: bool,
    /// What is sent next begins a new epoch.
    renumber: bool,
    /// The epoch is a new one already.
    renewed: bool,
}

impl Lane {
    pub fn new(producer: Option<(i64, i16)>) -> Lane {
        let (producer_id, epoch) = producer.unzip();
        Lane { producer_id, epoch: epoch.unwrap_or(0), ..Lane::default() }
    }

    /// Whether new batches may be sent.
    pub fn is_flowing(&self) -> bool {
        !self.held
    }

    /// Whether everything that was sent was answered.
    pub fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.returned.is_empty()
    }

    /// Numbers for so many new records.
    pub fn number(&mut self, records: u64) -> Option<Sequence> {
        assert!(!self.held, "nothing new passes what has to be sent again");
        self.next(records)
    }

    fn next(&mut self, records: u64) -> Option<Sequence> {
        let producer_id = self.producer_id?;
        let first = self.next_sequence;
        self.next_sequence = sequence_after(first, records);
        Some(Sequence { producer_id, epoch: self.epoch, first })
    }

    pub fn departed(&mut self) {
        self.in_flight += 1;
    }

    pub fn acknowledged(&mut self) {
        self.landed();
    }

    fn landed(&mut self) {
        assert!(self.in_flight > 0, "an answer belongs to a batch in flight");
        self.in_flight -= 1;
    }

    /// A batch in flight failed.
    pub fn failed(&mut self, batch: Batch, cause: &Cause) -> Verdict {
        self.landed();
        if self.producer_id.is_none() {
            return Verdict::GivenUp(batch);
        }
        let first = self.returned.first().is_none_or(|first| batch.first_number < first.first_number);
        // A later batch is out of order because an earlier one failed; the earliest because the broker forgot.
        let follows = self.held && !first;
        self.held = true;
        if cause.is_unknown_sequence() {
            self.renumber |= !follows;
        } else if !cause.is_stale() {
            self.renumber = true;
            return Verdict::GivenUp(batch);
        }
        let place = self.returned.partition_point(|other| other.first_number < batch.first_number);
        self.returned.insert(place, batch);
        Verdict::Again
    }

    /// When nothing is in flight any more: what has to be sent again, in order. The lane flows again.
    pub fn resend(&mut self) -> Vec<Batch> {
        if !self.held || self.in_flight > 0 || self.needs_producer_id() {
            return Vec::new();
        }
        self.held = false;
        let mut batches = std::mem::take(&mut self.returned);
        if std::mem::take(&mut self.renumber) {
            self.begin_epoch(&mut batches);
        }
        batches
    }

    /// Whether there is no epoch left to begin.
    pub fn needs_producer_id(&self) -> bool {
        self.renumber && !self.renewed && self.epoch == i16::MAX
    }

    /// What is sent next is of this producer.
    pub fn renew(&mut self, (producer_id, epoch): (i64, i16)) {
        (self.producer_id, self.epoch) = (Some(producer_id), epoch);
        self.renewed = true;
    }

    fn begin_epoch(&mut self, batches: &mut [Batch]) {
        if !std::mem::take(&mut self.renewed) {
            self.epoch += 1;
        }
        self.next_sequence = 0;
        for batch in batches {
            let sequence = self.next(batch.records()).expect("only an idempotent producer sends again");
            batch.renumber(sequence);
        }
    }

    /// Everything that waits to be sent again, given up.
    pub fn give_up(&mut self) -> Vec<Batch> {
        std::mem::take(&mut self.returned)
    }
}

/// Sequences go on at 0 after 2³¹ − 1: `DefaultRecordBatch.incrementSequence`.
fn sequence_after(sequence: i32, records: u64) -> i32 {
    ((sequence as u64 + records) % (1 << 31)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use kring_runtime::Monotonic;
    use kring_wire::record::{BatchHeader, HEADER_BYTES};

    use crate::verify::Stream;

    const LOST: Cause = Cause::Code(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    const OUT_OF_ORDER: Cause = Cause::Code(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    const TOO_LARGE: Cause = Cause::Code(ErrorCode::MESSAGE_TOO_LARGE);

    fn idempotent() -> Lane {
        Lane::new(Some((7, 0)))
    }

    /// Batch `n` of ten records each, on its way.
    fn depart(lane: &mut Lane, n: u64) -> Batch {
        let sequence = lane.number(10);
        lane.departed();
        let mut batch = Batch {
            stream: Stream { producer: 0, partition: 0 },
            first_number: 10 * n,
            times: vec![Monotonic::ZERO; 10],
            head: [0; HEADER_BYTES],
            body: Bytes::new(),
            content_bytes: 0,
        };
        if let Some(sequence) = sequence {
            batch.renumber(sequence);
        }
        batch
    }

    fn numbers(batches: &[Batch]) -> Vec<(u64, i16, i32)> {
        let number = |batch: &Batch| {
            let header = BatchHeader::parse(&batch.head).unwrap();
            (batch.first_number, header.producer_epoch, header.base_sequence)
        };
        batches.iter().map(number).collect()
    }

    #[test]
    fn without_idempotence_nothing_is_sent_again() {
        let mut lane = Lane::new(None);
        let batch = depart(&mut lane, 0);
        assert!(matches!(lane.failed(batch, &LOST), Verdict::GivenUp(_)));
        assert!(lane.is_flowing() && lane.is_idle() && lane.resend().is_empty());
    }

    #[test]
    fn what_failed_is_sent_again_in_order_and_before_anything_new_when_all_is_answered() {
        let mut lane = idempotent();
        let mut batches: Vec<_> = (0..3).map(|n| depart(&mut lane, n)).collect();
        let third = batches.pop().unwrap();
        assert!(matches!(lane.failed(batches.remove(0), &LOST), Verdict::Again));
        assert!(!lane.is_flowing());
        // Out of order, because the first one failed: nothing is wrong with its number.
        assert!(matches!(lane.failed(batches.remove(0), &OUT_OF_ORDER), Verdict::Again));
        assert!(lane.resend().is_empty(), "the third is still in flight");
        lane.failed(third, &OUT_OF_ORDER);
        assert_eq!(numbers(&lane.resend()), [(0, 0, 0), (10, 0, 10), (20, 0, 20)]);
        assert!(lane.is_flowing());
        assert_eq!(lane.number(5).unwrap().first, 30);
    }

    #[test]
    fn answers_in_any_order_of_connections_give_the_order_of_numbers() {
        let mut lane = idempotent();
        let mut batches: Vec<_> = (0..3).map(|n| depart(&mut lane, n)).collect();
        for at in [2, 0, 0] {
            lane.failed(batches.remove(at), &LOST);
        }
        assert_eq!(numbers(&lane.resend()), [(0, 0, 0), (10, 0, 10), (20, 0, 20)]);
    }

    #[test]
    fn after_a_batch_was_given_up_numbers_begin_again_under_the_next_epoch() {
        let mut lane = idempotent();
        let (first, second) = (depart(&mut lane, 0), depart(&mut lane, 1));
        assert!(matches!(lane.failed(first, &TOO_LARGE), Verdict::GivenUp(_)));
        lane.failed(second, &OUT_OF_ORDER);
        assert_eq!(numbers(&lane.resend()), [(10, 1, 0)]);
        assert_eq!(lane.number(1), Some(Sequence { producer_id: 7, epoch: 1, first: 10 }));
    }

    #[test]
    fn a_broker_that_forgot_the_producer_gets_a_new_epoch() {
        let mut lane = idempotent();
        let (first, second) = (depart(&mut lane, 0), depart(&mut lane, 1));
        lane.failed(first, &OUT_OF_ORDER);
        lane.failed(second, &OUT_OF_ORDER);
        assert_eq!(numbers(&lane.resend()), [(0, 1, 0), (10, 1, 10)]);
    }

    #[test]
    fn after_the_last_epoch_a_lane_waits_for_another_producer_id() {
        let mut lane = Lane::new(Some((7, i16::MAX)));
        let (first, second) = (depart(&mut lane, 0), depart(&mut lane, 1));
        lane.failed(first, &TOO_LARGE);
        lane.failed(second, &OUT_OF_ORDER);
        assert!(lane.needs_producer_id() && lane.resend().is_empty() && !lane.is_flowing());
        lane.renew((8, 0));
        assert_eq!(numbers(&lane.resend()), [(10, 0, 0)]);
        assert_eq!(lane.number(1), Some(Sequence { producer_id: 8, epoch: 0, first: 10 }));
    }

    #[test]
    fn sequences_go_on_at_zero() {
        assert_eq!(sequence_after(i32::MAX, 1), 0);
        assert_eq!(sequence_after(i32::MAX - 4, 10), 5);
    }
}
