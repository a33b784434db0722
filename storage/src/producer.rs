//! What a log remembers of its idempotent and transactional producers, so that a retry is recognised and a gap
//! or a fenced epoch refused. Decides only: no clock, no I/O. Lives on the shard that owns the log.

use std::collections::BTreeMap;

use crate::types::{Offset, ProducerId};

const NO_EPOCH: i16 = -1;
const NO_SEQUENCE: i32 = -1;
const NO_TIMESTAMP: i64 = -1;
/// A client has at most five batches in flight, so a retry is one of the last five.
const BATCHES_KEPT: usize = 5;

/// The producer's side of a batch header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerBatch {
    pub producer_id: ProducerId,
    pub epoch: i16,
    pub base_sequence: i32,
    pub last_offset_delta: i32,
    pub max_timestamp: i64,
    pub is_transactional: bool,
}

impl ProducerBatch {
    pub fn last_sequence(&self) -> i32 {
        sequence_after(self.base_sequence, self.last_offset_delta)
    }
}

/// A transaction marker as it stands in a control batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTransaction {
    pub producer_id: ProducerId,
    pub epoch: i16,
    pub coordinator_epoch: i32,
    pub timestamp: i64,
    pub is_abort: bool,
}

/// A transaction whose marker stands in the log: Kafka's `CompletedTxn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletedTransaction {
    pub producer_id: ProducerId,
    pub first_offset: Offset,
    /// Of its marker.
    pub marker_offset: Offset,
    pub is_abort: bool,
    /// First offset of the earliest transaction that was open then, or the one after the marker.
    pub last_stable_offset: Offset,
}

/// What to do with a batch that breaks no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProducerVerdict {
    Append,
    /// The batch is in the log already; answer with where it went.
    Duplicate {
        base_offset: Offset,
        last_offset: Offset,
        timestamp: i64,
    },
}

/// Why a batch is refused. The producer acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProducerError {
    InvalidProducerEpoch { producer_id: ProducerId, epoch: i16, current: i16 },
    OutOfOrderSequence { producer_id: ProducerId, sequence: i32, last: i32 },
    InvalidTransactionState { producer_id: ProducerId },
    CoordinatorFenced { producer_id: ProducerId, epoch: i32, current: i32 },
}

/// One remembered batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchMetadata {
    pub last_sequence: i32,
    pub last_offset: Offset,
    pub offset_delta: i32,
    pub timestamp: i64,
}

impl BatchMetadata {
    pub fn first_sequence(&self) -> i32 {
        sequence_before(self.last_sequence, self.offset_delta)
    }

    pub fn first_offset(&self) -> Offset {
        Offset(self.last_offset.0 - i64::from(self.offset_delta))
    }
}

/// One producer as the log knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerEntry {
    pub epoch: i16,
    pub coordinator_epoch: i32,
    pub last_timestamp: i64,
    pub txn_first_offset: Option<Offset>,
    /// Oldest first, at most five.
    batches: Vec<BatchMetadata>,
}

impl ProducerEntry {
    fn unknown() -> ProducerEntry {
        ProducerEntry {
            epoch: NO_EPOCH,
            coordinator_epoch: -1,
            last_timestamp: NO_TIMESTAMP,
            txn_first_offset: None,
            batches: Vec::new(),
        }
    }

    pub(crate) fn restored(
        epoch: i16,
        coordinator_epoch: i32,
        last_timestamp: i64,
        txn_first_offset: Option<Offset>,
        last: Option<BatchMetadata>,
    ) -> ProducerEntry {
        let batches = last.into_iter().collect();
        ProducerEntry { epoch, coordinator_epoch, last_timestamp, txn_first_offset, batches }
    }

    pub fn last_batch(&self) -> Option<&BatchMetadata> {
        self.batches.last()
    }

    pub fn last_sequence(&self) -> i32 {
        self.last_batch().map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    fn duplicate_of(&self, batch: &ProducerBatch) -> Option<&BatchMetadata> {
        if batch.epoch != self.epoch {
            return None;
        }
        let (first, last) = (batch.base_sequence, batch.last_sequence());
        self.batches.iter().find(|kept| kept.first_sequence() == first && kept.last_sequence == last)
    }

    fn move_to_epoch(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.batches.clear();
            self.epoch = epoch;
        }
    }

    fn remember(&mut self, batch: BatchMetadata) {
        if self.batches.len() == BATCHES_KEPT {
            self.batches.remove(0);
        }
        self.batches.push(batch);
    }

    fn is_expired(&self, now_ms: i64, expiration_ms: i64) -> bool {
        self.txn_first_offset.is_none() && now_ms.saturating_sub(self.last_timestamp) >= expiration_ms
    }
}

/// All producers of one log. Rules as in Kafka's `ProducerStateManager` and `ProducerAppendInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerStates {
    entries: BTreeMap<ProducerId, ProducerEntry>,
    /// The open transactions of `entries`, by first offset.
    ongoing: BTreeMap<Offset, ProducerId>,
}

impl ProducerStates {
    /// Judges a batch from a client. Changes nothing; `record` follows once it is appended.
    pub fn check(&self, batch: &ProducerBatch) -> Result<ProducerVerdict, ProducerError> {
        let Some(entry) = self.entries.get(&batch.producer_id) else {
            check_epoch(&ProducerEntry::unknown(), batch.producer_id, batch.epoch)?;
            return Ok(ProducerVerdict::Append);
        };
        if let Some(kept) = entry.duplicate_of(batch) {
            return Ok(ProducerVerdict::Duplicate {
                base_offset: kept.first_offset(),
                last_offset: kept.last_offset,
                timestamp: kept.timestamp,
            });
        }
        check_epoch(entry, batch.producer_id, batch.epoch)?;
        check_sequence(entry, batch)?;
        if entry.txn_first_offset.is_some() && !batch.is_transactional {
            return Err(ProducerError::InvalidTransactionState { producer_id: batch.producer_id });
        }
        Ok(ProducerVerdict::Append)
    }

    /// Judges a transaction marker from a coordinator.
    pub fn check_marker(&self, marker: &EndTransaction) -> Result<(), ProducerError> {
        let Some(entry) = self.entries.get(&marker.producer_id) else {
            return Ok(());
        };
        check_epoch(entry, marker.producer_id, marker.epoch)?;
        if entry.coordinator_epoch > marker.coordinator_epoch {
            return Err(ProducerError::CoordinatorFenced {
                producer_id: marker.producer_id,
                epoch: marker.coordinator_epoch,
                current: entry.coordinator_epoch,
            });
        }
        Ok(())
    }

    /// Takes over a batch that stands in the log, judged or not: at recovery the log is right.
    pub fn record(&mut self, batch: &ProducerBatch, base_offset: Offset) {
        assert!(batch.producer_id.is_some(), "a batch without a producer has no state to record");
        let entry = self.entries.entry(batch.producer_id).or_insert_with(ProducerEntry::unknown);
        entry.move_to_epoch(batch.epoch);
        entry.remember(BatchMetadata {
            last_sequence: batch.last_sequence(),
            last_offset: base_offset + i64::from(batch.last_offset_delta),
            offset_delta: batch.last_offset_delta,
            timestamp: batch.max_timestamp,
        });
        entry.last_timestamp = batch.max_timestamp;
        if batch.is_transactional && entry.txn_first_offset.is_none() {
            entry.txn_first_offset = Some(base_offset);
            self.ongoing.insert(base_offset, batch.producer_id);
        }
    }

    /// Takes over a transaction marker that stands in the log at `offset`. Returns the transaction that it ends, unless
    /// that had no record here.
    pub fn record_marker(&mut self, marker: &EndTransaction, offset: Offset) -> Option<CompletedTransaction> {
        let entry = self.entries.entry(marker.producer_id).or_insert_with(ProducerEntry::unknown);
        entry.move_to_epoch(marker.epoch);
        entry.coordinator_epoch = marker.coordinator_epoch;
        entry.last_timestamp = marker.timestamp;
        let first_offset = entry.txn_first_offset.take()?;
        self.ongoing.remove(&first_offset);
        Some(CompletedTransaction {
            producer_id: marker.producer_id,
            first_offset,
            marker_offset: offset,
            is_abort: marker.is_abort,
            last_stable_offset: self.first_ongoing().unwrap_or(offset.next()),
        })
    }

    /// First offset of the earliest transaction that is open.
    pub fn first_ongoing(&self) -> Option<Offset> {
        self.ongoing.first_key_value().map(|(first_offset, _)| *first_offset)
    }

    /// Forgets producers silent for `expiration_ms`, unless a transaction of theirs is open.
    pub fn remove_expired(&mut self, now_ms: i64, expiration_ms: i64) {
        self.entries.retain(|_, entry| !entry.is_expired(now_ms, expiration_ms));
    }

    pub fn get(&self, producer_id: ProducerId) -> Option<&ProducerEntry> {
        self.entries.get(&producer_id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (ProducerId, &ProducerEntry)> {
        self.entries.iter().map(|(id, entry)| (*id, entry))
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn restore(&mut self, producer_id: ProducerId, entry: ProducerEntry) {
        let first_offset = entry.txn_first_offset;
        if let Some(old) = self.entries.insert(producer_id, entry).and_then(|old| old.txn_first_offset) {
            self.ongoing.remove(&old);
        }
        self.ongoing.extend(first_offset.map(|first_offset| (first_offset, producer_id)));
    }

    /// Whether the transaction of another producer begins there.
    pub(crate) fn is_begun_at(&self, offset: Offset, producer_id: ProducerId) -> bool {
        self.ongoing.get(&offset).is_some_and(|other| *other != producer_id)
    }
}

fn check_epoch(entry: &ProducerEntry, producer_id: ProducerId, epoch: i16) -> Result<(), ProducerError> {
    if epoch < entry.epoch {
        return Err(ProducerError::InvalidProducerEpoch { producer_id, epoch, current: entry.epoch });
    }
    Ok(())
}

fn check_sequence(entry: &ProducerEntry, batch: &ProducerBatch) -> Result<(), ProducerError> {
    let last = if batch.epoch == entry.epoch { entry.last_sequence() } else { NO_SEQUENCE };
    let continues = batch.base_sequence == sequence_after(last, 1);
    if continues || entry.epoch == NO_EPOCH {
        return Ok(());
    }
    Err(ProducerError::OutOfOrderSequence {
        producer_id: batch.producer_id,
        sequence: batch.base_sequence,
        last,
    })
}

/// Sequences wrap from `i32::MAX` to 0.
fn sequence_after(sequence: i32, count: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(count);
    (if sum > i64::from(i32::MAX) { sum - i64::from(i32::MAX) - 1 } else { sum }) as i32
}

fn sequence_before(sequence: i32, count: i32) -> i32 {
    let difference = i64::from(sequence) - i64::from(count);
    (if difference < 0 { difference + i64::from(i32::MAX) + 1 } else { difference }) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(epoch: i16, base_sequence: i32, records: i32) -> ProducerBatch {
        ProducerBatch {
            producer_id: ProducerId(7),
            epoch,
            base_sequence,
            last_offset_delta: records - 1,
            max_timestamp: 1_000,
            is_transactional: false,
        }
    }

    fn end(producer_id: i64, coordinator_epoch: i32) -> EndTransaction {
        let producer_id = ProducerId(producer_id);
        EndTransaction { producer_id, epoch: 0, coordinator_epoch, timestamp: 2_000, is_abort: true }
    }

    fn with(batches: &[(ProducerBatch, i64)]) -> ProducerStates {
        let mut states = ProducerStates::default();
        for (batch, base_offset) in batches {
            states.record(batch, Offset(*base_offset));
        }
        states
    }

    #[test]
    fn an_unknown_producer_may_start_at_any_sequence() {
        let states = ProducerStates::default();
        assert_eq!(states.check(&batch(3, 500, 2)), Ok(ProducerVerdict::Append));
    }

    #[test]
    fn the_next_sequence_is_accepted_and_a_gap_is_not() {
        let states = with(&[(batch(0, 0, 10), 100)]);
        assert_eq!(states.check(&batch(0, 10, 1)), Ok(ProducerVerdict::Append));
        let gap = ProducerError::OutOfOrderSequence { producer_id: ProducerId(7), sequence: 11, last: 9 };
        assert_eq!(states.check(&batch(0, 11, 1)), Err(gap));
    }

    #[test]
    fn a_retry_of_any_of_the_last_five_batches_is_a_duplicate_and_older_is_out_of_order() {
        let all: Vec<_> = (0..6).map(|i| (batch(0, i * 10, 10), i64::from(i) * 10)).collect();
        let states = with(&all);
        for i in 1..6i64 {
            let duplicate = ProducerVerdict::Duplicate {
                base_offset: Offset(i * 10),
                last_offset: Offset(i * 10 + 9),
                timestamp: 1_000,
            };
            assert_eq!(states.check(&batch(0, i as i32 * 10, 10)), Ok(duplicate));
        }
        let refused = states.check(&batch(0, 0, 10));
        assert!(matches!(refused, Err(ProducerError::OutOfOrderSequence { sequence: 0, last: 59, .. })));
    }

    #[test]
    fn a_new_epoch_starts_at_sequence_zero() {
        let states = with(&[(batch(1, 0, 10), 0)]);
        assert_eq!(states.check(&batch(2, 0, 1)), Ok(ProducerVerdict::Append));
        assert!(matches!(states.check(&batch(2, 10, 1)), Err(ProducerError::OutOfOrderSequence { .. })));
    }

    #[test]
    fn a_producer_that_is_not_known_has_an_epoch_all_the_same() {
        let fenced =
            ProducerError::InvalidProducerEpoch { producer_id: ProducerId(7), epoch: -2, current: -1 };
        assert_eq!(with(&[]).check(&batch(-2, 0, 1)), Err(fenced));
    }

    #[test]
    fn an_old_epoch_is_fenced() {
        let states = with(&[(batch(5, 0, 1), 0)]);
        let fenced = ProducerError::InvalidProducerEpoch { producer_id: ProducerId(7), epoch: 4, current: 5 };
        assert_eq!(states.check(&batch(4, 0, 1)), Err(fenced));
    }

    #[test]
    fn sequences_wrap_from_the_largest_to_zero() {
        let states = with(&[(batch(0, i32::MAX - 1, 2), 0)]);
        assert_eq!(states.check(&batch(0, 0, 5)), Ok(ProducerVerdict::Append));
        let across = with(&[(batch(0, i32::MAX - 1, 4), 0)]);
        assert_eq!(across.get(ProducerId(7)).unwrap().last_sequence(), 1);
        assert!(matches!(
            across.check(&batch(0, i32::MAX - 1, 4)),
            Ok(ProducerVerdict::Duplicate { base_offset: Offset(0), last_offset: Offset(3), .. })
        ));
    }

    #[test]
    fn plain_data_inside_an_open_transaction_is_refused() {
        let states = with(&[(ProducerBatch { is_transactional: true, ..batch(0, 0, 1) }, 40)]);
        let refused = states.check(&batch(0, 1, 1));
        assert_eq!(refused, Err(ProducerError::InvalidTransactionState { producer_id: ProducerId(7) }));
    }

    #[test]
    fn a_marker_closes_the_transaction_and_fences_older_coordinators() {
        let mut states = with(&[(ProducerBatch { is_transactional: true, ..batch(0, 0, 1) }, 40)]);
        let marker = end(7, 3);
        assert_eq!(states.record_marker(&marker, Offset(41)).unwrap().first_offset, Offset(40));
        assert_eq!(states.record_marker(&marker, Offset(42)), None, "it has ended already");
        let older = EndTransaction { coordinator_epoch: 2, ..marker };
        assert!(matches!(states.check_marker(&older), Err(ProducerError::CoordinatorFenced { .. })));
    }

    #[test]
    fn the_earliest_open_transaction_bounds_what_is_stable() {
        let of = |id| ProducerBatch { producer_id: ProducerId(id), is_transactional: true, ..batch(0, 0, 1) };
        let mut states = with(&[(of(7), 40), (of(8), 41), (of(7), 42), (of(9), 43)]);
        assert_eq!(states.first_ongoing(), Some(Offset(40)));
        let second = states.record_marker(&end(8, 0), Offset(44)).unwrap();
        assert_eq!((second.first_offset, second.last_stable_offset), (Offset(41), Offset(40)));
        let first = states.record_marker(&end(7, 0), Offset(45)).unwrap();
        assert_eq!((first.first_offset, first.last_stable_offset), (Offset(40), Offset(43)));
        let last = states.record_marker(&end(9, 0), Offset(46)).unwrap();
        assert_eq!((last.last_stable_offset, states.first_ongoing()), (Offset(47), None));
    }

    #[test]
    fn silent_producers_expire_unless_their_transaction_is_open() {
        let mut states = with(&[(batch(0, 0, 1), 0)]);
        let open = ProducerBatch { producer_id: ProducerId(8), is_transactional: true, ..batch(0, 0, 1) };
        states.record(&open, Offset(1));
        states.remove_expired(1_000 + 99, 100);
        assert_eq!(states.len(), 2);
        states.remove_expired(1_000 + 100, 100);
        assert!(states.get(ProducerId(7)).is_none());
        assert!(states.get(ProducerId(8)).is_some());
    }
}
