//! Gathers a producer's records into batches, one open for each partition. Pure.
//!
//! A batch is due when it is full, or when its first record has lingered. It takes records until it is sent, so that
//! what waits for room in flight goes in full batches.

use std::collections::VecDeque;
use std::time::Duration;

use kring_runtime::Monotonic;
use kring_wire::record::{BatchBuilder, BuildError, Compression};

use super::batch::{Batch, Open, Sequence, Spare};
use crate::verify::Stream;

/// What bounds a batch.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub records: u64,
    /// Before compression; a larger record has a batch alone.
    pub bytes: usize,
    pub linger: Duration,
    /// The smallest record: where it does not fit any more, a batch is full.
    pub smallest_record: usize,
    pub largest_record: usize,
}

/// A record that is to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    pub intended: Monotonic,
    pub wall_ms: i64,
    pub key: Option<&'a [u8]>,
    pub value: &'a [u8],
}

/// Bytes that a record adds to a batch at most.
pub fn record_bytes(key_bytes: Option<usize>, value_bytes: usize) -> usize {
    // Lengths, attributes and deltas: what an empty record takes, and longer lengths.
    const LENGTHS: usize = 12;
    BatchBuilder::record_bytes_at_most(None, None, &[]) + LENGTHS + key_bytes.unwrap_or(0) + value_bytes
}

/// The open batches of a producer.
pub struct Gather {
    producer: u32,
    bounds: Bounds,
    compression: Compression,
    open: Vec<Option<Open>>,
    /// By partition, the number of the next record.
    numbers: Vec<u64>,
    /// Partitions with an open batch, the oldest first.
    waiting: VecDeque<usize>,
}

impl Gather {
    pub fn new(producer: u32, partitions: usize, bounds: Bounds, compression: Compression) -> Gather {
        assert!(bounds.records > 0, "a batch has a record");
        let open = (0..partitions).map(|_| None).collect();
        let waiting = VecDeque::new();
        Gather { producer, bounds, compression, open, numbers: vec![0; partitions], waiting }
    }

    pub fn stream(&self, partition: usize) -> Stream {
        Stream { producer: self.producer, partition: partition as i32 }
    }

    /// Number of the next record of a partition.
    pub fn next_number(&self, partition: usize) -> u64 {
        self.numbers[partition]
    }

    pub fn is_open(&self, partition: usize) -> bool {
        self.open[partition].is_some()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether the partition's batch takes a record that adds so many bytes.
    pub fn takes(&self, partition: usize, bytes: usize) -> bool {
        let room = |open: &Open| {
            open.records() < self.bounds.records && open.size_bytes() + bytes <= self.bounds.bytes
        };
        self.open[partition].as_ref().is_none_or(room)
    }

    /// Bytes of the partition's batch so far, before compression.
    pub fn size_bytes(&self, partition: usize) -> usize {
        self.open[partition].as_ref().map_or(0, Open::size_bytes)
    }

    pub fn is_full(&self, partition: usize) -> bool {
        !self.takes(partition, self.bounds.smallest_record)
    }

    /// How many records every open batch takes for certain before it is full.
    pub fn certain_room(&self) -> u64 {
        let room = |partition: &usize| {
            let open = self.open[*partition].as_ref()?;
            let bytes = self.bounds.bytes.saturating_sub(open.size_bytes());
            let fitting = (bytes / self.bounds.largest_record) as u64;
            Some(fitting.min(self.bounds.records.saturating_sub(open.records())))
        };
        self.waiting.iter().filter_map(room).min().unwrap_or(0)
    }

    pub fn append(
        &mut self,
        partition: usize,
        record: Record<'_>,
        spare: &mut Spare,
    ) -> Result<(), BuildError> {
        let slot = &mut self.open[partition];
        if slot.is_none() {
            self.waiting.push_back(partition);
        }
        let open = slot.get_or_insert_with(|| Open::new(self.compression, spare));
        self.numbers[partition] += 1;
        open.append(record.intended, record.wall_ms, record.key, record.value)
    }

    /// When the partition's batch is to be sent: when it became full, or its first record has lingered.
    fn due(&self, partition: usize) -> Option<Monotonic> {
        let (first, last) = self.open[partition].as_ref()?.first_and_last();
        let lingered = first + self.bounds.linger;
        Some(if self.is_full(partition) { last.min(lingered) } else { lingered })
    }

    /// When the first of the batches that `wanted` names is to be sent.
    pub fn next_due(&self, wanted: impl Fn(usize) -> bool) -> Option<Monotonic> {
        let named = self.waiting.iter().filter(|partition| wanted(**partition));
        named.filter_map(|partition| self.due(*partition)).min()
    }

    /// The oldest partition whose batch was to be sent by `now` and that `wanted` names.
    pub fn ready(&self, now: Monotonic, wanted: impl Fn(usize) -> bool) -> Option<usize> {
        let ready = |partition: &&usize| wanted(**partition) && self.due(**partition) <= Some(now);
        self.waiting.iter().find(ready).copied()
    }

    /// Closes the partition's batch: the batch, and when it was to be sent.
    pub fn close(
        &mut self,
        partition: usize,
        sequence: impl FnOnce(u64) -> Option<Sequence>,
    ) -> Option<(Result<Batch, BuildError>, Monotonic)> {
        let due = self.due(partition)?;
        let open = self.open[partition].take()?;
        self.waiting.retain(|waiting| *waiting != partition);
        let records = open.records();
        let first_number = self.numbers[partition] - records;
        let batch = open.close(self.stream(partition), first_number, sequence(records));
        Some((batch, due))
    }

    /// When the records were meant to be sent that are in no batch yet that was sent.
    pub fn unsent(&mut self) -> Vec<Monotonic> {
        let mut times = Vec::new();
        while let Some(partition) = self.waiting.front().copied() {
            if let Some((Ok(batch), _)) = self.close(partition, |_| None) {
                times.extend(batch.times);
            }
        }
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Monotonic {
        Monotonic::from_nanos(1_000_000_000 + micros * 1000)
    }

    fn gather(records: u64, bytes: usize, linger_us: u64, record: usize) -> Gather {
        let linger = Duration::from_micros(linger_us);
        let largest_record = record_bytes(None, record);
        let bounds = Bounds { records, bytes, linger, smallest_record: largest_record, largest_record };
        Gather::new(1, 3, bounds, Compression::NONE)
    }

    fn append(gather: &mut Gather, partition: usize, micros: u64, value: &[u8]) {
        let record = Record { intended: at(micros), wall_ms: 0, key: None, value };
        gather.append(partition, record, &mut Spare::default()).unwrap();
    }

    const ALL: fn(usize) -> bool = |_| true;

    #[test]
    fn a_record_alone_is_due_at_once_without_linger() {
        let mut gather = gather(100, 16384, 0, 100);
        assert_eq!((gather.next_due(ALL), gather.is_empty()), (None, true));
        append(&mut gather, 1, 500, &[0; 100]);
        assert_eq!((gather.next_due(ALL), gather.ready(at(500), ALL)), (Some(at(500)), Some(1)));
    }

    #[test]
    fn lingering_ends_with_a_full_batch_or_in_time() {
        let mut gather = gather(3, 16384, 2500, 100);
        append(&mut gather, 0, 0, &[0; 100]);
        append(&mut gather, 2, 1, &[0; 100]);
        append(&mut gather, 0, 1000, &[0; 100]);
        assert_eq!((gather.next_due(ALL), gather.ready(at(2499), ALL)), (Some(at(2500)), None));
        append(&mut gather, 0, 2000, &[0; 100]);
        assert_eq!(gather.ready(at(2000), ALL), Some(0), "it is full");
        let (batch, due) = gather.close(0, |_| None).unwrap();
        assert_eq!((batch.unwrap().times, due), (vec![at(0), at(1000), at(2000)], at(2000)));
        assert_eq!(gather.ready(at(2501), ALL), Some(2));
    }

    #[test]
    fn what_waits_for_room_keeps_its_order_and_its_times_and_takes_more() {
        let mut gather = gather(4, 16384, 0, 100);
        (0..4).for_each(|n| append(&mut gather, 1, n * 10, &[0; 100]));
        assert!(!gather.takes(1, 1), "a full batch takes no more");
        assert_eq!(gather.ready(at(50), |partition| partition != 1), None, "no room there");
        let (batch, _) = gather.close(1, |_| None).unwrap();
        let batch = batch.unwrap();
        assert_eq!((batch.first_number, batch.records(), gather.next_number(1)), (0, 4, 4));
        append(&mut gather, 1, 60, &[0; 100]);
        assert_eq!(gather.unsent(), [at(60)]);
    }

    #[test]
    fn a_batch_stays_within_its_bytes_and_is_nearly_full() {
        for (batch_bytes, value_bytes) in [(1 << 20, 1024), (16384, 100), (1 << 20, 28), (1000, 5000)] {
            let mut gather = gather(u64::MAX, batch_bytes, 0, value_bytes);
            while !gather.is_open(0) || !gather.is_full(0) {
                append(&mut gather, 0, 0, &vec![0; value_bytes]);
            }
            let batch = gather.close(0, |_| None).unwrap().0.unwrap();
            let size = batch.size_bytes();
            assert!(size <= batch_bytes || batch.records() == 1, "{size} of {batch_bytes}");
            assert!(size + value_bytes + 40 > batch_bytes, "{size} of {batch_bytes}");
        }
    }

    #[test]
    fn certain_room_is_that_of_the_fullest_batch() {
        let mut gather = gather(5, 1000, 0, 100);
        assert_eq!(gather.certain_room(), 0, "none is open");
        append(&mut gather, 0, 0, &[0; 100]);
        assert_eq!(gather.certain_room(), 4);
        (0..4).for_each(|n| append(&mut gather, 1, n, &[0; 50]));
        assert_eq!(gather.certain_room(), 1);
    }

    #[test]
    fn sequences_are_asked_for_as_many_records_as_go() {
        let mut gather = gather(10, 16384, 0, 100);
        (0..7).for_each(|n| append(&mut gather, 0, n, &[0; 100]));
        let sequence = |records| Some(Sequence { producer_id: 4, epoch: 0, first: records as i32 });
        let batch = gather.close(0, sequence).unwrap().0.unwrap();
        assert_eq!(batch.head[53..57], 7i32.to_be_bytes());
    }
}
