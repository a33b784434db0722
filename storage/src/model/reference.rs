//! What a log must hold, kept in memory: every batch that may be in it, and what was promised about them.

use bytes::Bytes;

use crate::batch::BatchInfo;
use crate::epochs::LeaderEpochs;
use crate::model::batches::{Appended, FromProducer, Made};
use crate::producer::ProducerStates;
use crate::types::{Offset, ProducerId};

pub(super) const PRODUCERS: usize = 3;

/// One batch as it was appended.
pub(super) struct Batch {
    pub info: BatchInfo,
    pub bytes: Bytes,
    pub records: Vec<Appended>,
}

impl Batch {
    pub fn base(&self) -> i64 {
        self.info.base_offset.0
    }

    pub fn end(&self) -> i64 {
        self.info.end_offset().0
    }
}

/// What bytes are, beside those that were appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    All,
    Beginning,
    /// They differ from the batch at this offset on.
    Other {
        offset: i64,
    },
}

/// What one log must hold.
#[derive(Default)]
pub(super) struct Reference {
    /// Every batch appended and not known to be lost.
    pub batches: Vec<Batch>,
    /// Records below were acknowledged as durable.
    pub durable: i64,
    /// Records below were served to a reader who was told that they are committed.
    pub seen: i64,
    /// The log was seen to start here.
    pub start: i64,
    pub leader_epoch: i32,
    /// Epoch and next sequence of each producer.
    producers: [(i16, i32); PRODUCERS],
}

impl Reference {
    pub fn end(&self) -> i64 {
        self.batches.last().map_or(0, Batch::end)
    }

    /// How much of `found` is what lies between two offsets, the batches at their ends whole: all of it, if nothing
    /// is wrong, and then also whether that is everything.
    pub fn compare(&self, from: i64, to: i64, found: &[u8]) -> Compared {
        let (first, last) = (self.at(from), self.batches.partition_point(|batch| batch.base() < to));
        let mut left = found;
        for batch in &self.batches[first..last.max(first)] {
            let common = left.len().min(batch.bytes.len());
            if left[..common] != batch.bytes[..common] {
                return Compared::Other { offset: batch.base() };
            }
            left = &left[common..];
            if common < batch.bytes.len() {
                return Compared::Beginning;
            }
        }
        if left.is_empty() { Compared::All } else { Compared::Other { offset: to } }
    }

    /// The first batch that ends behind this offset.
    fn at(&self, offset: i64) -> usize {
        self.batches.partition_point(|batch| batch.end() <= offset)
    }

    pub fn records(&self) -> impl Iterator<Item = &Appended> {
        self.batches.iter().flat_map(|batch| &batch.records).filter(|record| record.offset >= self.start)
    }

    pub fn appended(&mut self, made: Made) {
        let bytes = Bytes::from([&made.batch.header[..], &made.batch.body[..]].concat());
        let info = BatchInfo::parse(&bytes).expect("it was made whole");
        self.batches.push(Batch { info, bytes, records: made.records });
    }

    pub fn acknowledged(&mut self, end: i64) {
        self.durable = self.durable.max(end);
    }

    /// What this producer sends next.
    pub fn next_of(&mut self, producer: usize, records: i32) -> FromProducer {
        let (epoch, sequence) = &mut self.producers[producer];
        let from = FromProducer { id: producer as i64, epoch: *epoch, sequence: *sequence };
        *sequence += records;
        from
    }

    pub fn bump_producer(&mut self, producer: usize) {
        let (epoch, sequence) = &mut self.producers[producer];
        (*epoch, *sequence) = (*epoch + 1, 0);
    }

    /// The log ends here now: whatever had been appended beyond is gone.
    pub fn cut(&mut self, end: i64) {
        self.batches.retain(|batch| batch.end() <= end);
        assert!(
            self.end() == end || (self.batches.is_empty() && end == self.start),
            "the log ends in a batch"
        );
        let states = self.producer_states();
        for (id, next) in self.producers.iter_mut().enumerate() {
            let known = states.get(ProducerId(id as i64));
            *next = known.map_or((next.0, 0), |entry| (entry.epoch, entry.last_sequence() + 1));
        }
    }

    pub fn producer_states(&self) -> ProducerStates {
        let mut states = ProducerStates::default();
        for batch in &self.batches {
            if let Some(producer) = batch.info.producer() {
                states.record(&producer, batch.info.base_offset);
            }
        }
        states
    }

    pub fn epochs(&self) -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        for batch in &self.batches {
            epochs.assign(batch.info.leader_epoch, batch.info.base_offset);
        }
        epochs.truncate_start(Offset(self.start));
        epochs
    }
}
