//! Records on their way, as batches in order by partition. Pure.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use kring_wire::record::{BatchBuilder, BuildError, Compression, ValidatedBatch};

/// Below Kafka's default for the largest batch, with room for what a batch adds.
const BATCH_BYTES: usize = 1_000_000;

pub(super) struct NewRecord {
    /// Where it stood in the input, from 1.
    pub(super) line: u64,
    pub(super) timestamp: i64,
    pub(super) key: Option<Bytes>,
    pub(super) value: Bytes,
}

impl NewRecord {
    fn size_bytes(&self) -> usize {
        BatchBuilder::record_bytes_at_most(self.key.as_deref(), Some(&self.value), &[])
    }
}

/// Records that are sent together; kept apart until they are acknowledged, so that a batch can be cut.
#[derive(Default)]
pub(super) struct Batch {
    records: Vec<NewRecord>,
    size_bytes: usize,
}

/// Who sends: an idempotent producer's id and epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProducerIdentity {
    pub(super) id: i64,
    pub(super) epoch: i16,
}

impl Batch {
    pub(super) fn record_count(&self) -> usize {
        self.records.len()
    }

    pub(super) fn encode(
        &self,
        compression: Compression,
        identity: Option<(ProducerIdentity, i32)>,
    ) -> Result<ValidatedBatch, BuildError> {
        let mut builder = BatchBuilder::new(compression);
        if let Some((producer, sequence)) = identity {
            builder = builder.producer(producer.id, producer.epoch, sequence);
        }
        for record in &self.records {
            builder.append(record.timestamp, record.key.as_deref(), Some(&record.value))?;
        }
        builder.build()
    }

    /// The lines of its first and its last record.
    pub(super) fn lines(&self) -> Option<(u64, u64)> {
        Some((self.records.first()?.line, self.records.last()?.line))
    }

    fn add(&mut self, record: NewRecord) {
        self.size_bytes += record.size_bytes();
        self.records.push(record);
    }

    fn has_room_for(&self, record: &NewRecord) -> bool {
        self.records.is_empty() || self.size_bytes + record.size_bytes() <= BATCH_BYTES
    }
}

#[derive(Default)]
pub(super) struct Batches {
    /// No queue is empty.
    waiting: BTreeMap<i32, VecDeque<Batch>>,
    size_bytes: usize,
}

impl Batches {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    pub(super) fn add(&mut self, partition: i32, record: NewRecord) {
        self.size_bytes += record.size_bytes();
        let queue = self.waiting.entry(partition).or_default();
        match queue.back_mut() {
            Some(batch) if batch.has_room_for(&record) => batch.add(record),
            _ => {
                let mut batch = Batch::default();
                batch.add(record);
                queue.push_back(batch);
            }
        }
    }

    /// The next batch of each partition.
    pub(super) fn fronts(&self) -> impl Iterator<Item = (i32, &Batch)> {
        self.waiting.iter().filter_map(|(partition, queue)| Some((*partition, queue.front()?)))
    }

    /// The first batch of `partition`.
    pub(super) fn front(&self, partition: i32) -> Option<&Batch> {
        self.waiting.get(&partition)?.front()
    }

    /// The first batch of `partition` is acknowledged. Says how many records it had.
    pub(super) fn done(&mut self, partition: i32) -> usize {
        let Some(queue) = self.waiting.get_mut(&partition) else { return 0 };
        let batch = queue.pop_front().unwrap_or_default();
        self.size_bytes = self.size_bytes.saturating_sub(batch.size_bytes);
        if queue.is_empty() {
            self.waiting.remove(&partition);
        }
        batch.record_count()
    }

    /// Cuts the first batch of `partition` in two, because the broker takes only smaller ones. Says whether it could.
    pub(super) fn cut(&mut self, partition: i32) -> bool {
        let Some(queue) = self.waiting.get_mut(&partition) else { return false };
        let Some(first) = queue.front_mut().filter(|batch| batch.record_count() > 1) else { return false };
        let mut second = Batch { records: first.records.split_off(first.record_count() / 2), size_bytes: 0 };
        second.size_bytes = second.records.iter().map(NewRecord::size_bytes).sum();
        first.size_bytes -= second.size_bytes;
        queue.insert(1, second);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(value: usize) -> NewRecord {
        NewRecord { line: 1, timestamp: 0, key: None, value: Bytes::from(vec![b'x'; value]) }
    }

    fn sizes(batches: &mut Batches, partition: i32) -> Vec<usize> {
        let mut sizes = Vec::new();
        while batches.fronts().any(|(index, _)| index == partition) {
            sizes.push(batches.done(partition));
        }
        sizes
    }

    #[test]
    fn a_batch_stays_below_the_limit_unless_one_record_is_larger() {
        let mut batches = Batches::new();
        [400_000, 400_000, 400_000, 2_000_000, 1].into_iter().for_each(|size| batches.add(0, record(size)));
        for (_, batch) in batches.fronts() {
            assert!(batch.size_bytes <= BATCH_BYTES);
        }
        assert_eq!(sizes(&mut batches, 0), [2, 1, 1, 1]);
        assert_eq!((batches.is_empty(), batches.size_bytes()), (true, 0));
    }

    #[test]
    fn a_refused_batch_is_cut_in_order_down_to_one_record() {
        let mut batches = Batches::new();
        (0..5).for_each(|n| batches.add(0, record(n)));
        assert!(batches.cut(0));
        assert_eq!(batches.fronts().next().map(|(_, batch)| batch.record_count()), Some(2));
        assert!(batches.cut(0));
        assert!(!batches.cut(0), "one record cannot be cut");
        assert_eq!(sizes(&mut batches, 0), [1, 1, 3]);
        assert_eq!(batches.size_bytes(), 0);
    }
}
