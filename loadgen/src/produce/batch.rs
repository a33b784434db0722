//! Batches: being filled, and ready to be sent. Pure.

use bytes::{Bytes, BytesMut};
use kring_runtime::Monotonic;
use kring_wire::record::{BatchBuilder, BuildError, Compression, HEADER_BYTES, batch_crc};

use crate::stats::Amount;
use crate::verify::Stream;

/// Where batch headers keep what a new number of an idempotent producer changes.
const CRC: std::ops::Range<usize> = 17..21;
const PRODUCER_ID: std::ops::Range<usize> = 43..51;
const PRODUCER_EPOCH: std::ops::Range<usize> = 51..53;
const BASE_SEQUENCE: std::ops::Range<usize> = 53..57;

/// The number of a batch of an idempotent producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    pub producer_id: i64,
    pub epoch: i16,
    pub first: i32,
}

/// A batch for one partition.
#[derive(Debug)]
pub struct Batch {
    pub stream: Stream,
    /// Number of its first record in the stream.
    pub first_number: u64,
    /// When each of its records was meant to be sent.
    pub times: Vec<Monotonic>,
    pub head: [u8; HEADER_BYTES],
    pub body: Bytes,
    /// Of keys and values.
    pub content_bytes: u64,
}

impl Batch {
    pub fn records(&self) -> u64 {
        self.times.len() as u64
    }

    /// Without the request that it came in, which others may share.
    pub fn amount(&self) -> Amount {
        let batch_bytes = self.size_bytes() as u64;
        Amount { records: self.records(), content_bytes: self.content_bytes, batch_bytes, requests: 0 }
    }

    /// Bytes of the whole batch.
    pub fn size_bytes(&self) -> usize {
        HEADER_BYTES + self.body.len()
    }

    /// Gives the batch another number.
    pub fn renumber(&mut self, sequence: Sequence) {
        let Sequence { producer_id, epoch, first } = sequence;
        self.head[PRODUCER_ID].copy_from_slice(&producer_id.to_be_bytes());
        self.head[PRODUCER_EPOCH].copy_from_slice(&epoch.to_be_bytes());
        self.head[BASE_SEQUENCE].copy_from_slice(&first.to_be_bytes());
        let whole = [&self.head[..], &self.body].concat();
        let crc = batch_crc(&whole).expect("a batch is as long as its header");
        self.head[CRC].copy_from_slice(&crc.to_be_bytes());
    }
}

/// Memory of batches and requests that are done with, for those to come.
#[derive(Default)]
pub struct Spare {
    times: Vec<Vec<Monotonic>>,
    bodies: Vec<BytesMut>,
    requests: Vec<Vec<Batch>>,
}

impl Spare {
    /// Keeps the memory of a batch. No more is kept than was in use at once.
    pub fn keep(&mut self, batch: Batch) {
        let Batch { mut times, body, .. } = batch;
        times.clear();
        self.times.push(times);
        if let Ok(mut body) = body.try_into_mut() {
            body.clear();
            self.bodies.push(body);
        }
    }

    /// Room for the batches of a request.
    pub fn request(&mut self) -> Vec<Batch> {
        self.requests.pop().unwrap_or_default()
    }

    /// Keeps the memory of a request whose batches have gone elsewhere.
    pub fn keep_request(&mut self, request: Vec<Batch>) {
        debug_assert!(request.is_empty(), "each batch has become something");
        self.requests.push(request);
    }
}

/// A batch that takes records.
pub struct Open {
    builder: BatchBuilder,
    times: Vec<Monotonic>,
    content_bytes: u64,
}

impl Open {
    pub fn new(compression: Compression, spare: &mut Spare) -> Open {
        let body = spare.bodies.pop().unwrap_or_default();
        let builder = BatchBuilder::with_buffer(compression, body);
        Open { builder, times: spare.times.pop().unwrap_or_default(), content_bytes: 0 }
    }

    pub fn records(&self) -> u64 {
        self.times.len() as u64
    }

    /// Bytes so far, before compression.
    pub fn size_bytes(&self) -> usize {
        self.builder.size_bytes()
    }

    /// When its first record was meant to be sent, and its last.
    pub fn first_and_last(&self) -> (Monotonic, Monotonic) {
        let (Some(first), Some(last)) = (self.times.first(), self.times.last()) else {
            unreachable!("a batch is opened for a record")
        };
        (*first, *last)
    }

    pub fn append(
        &mut self,
        intended: Monotonic,
        wall_ms: i64,
        key: Option<&[u8]>,
        value: &[u8],
    ) -> Result<(), BuildError> {
        self.builder.append(wall_ms, key, Some(value))?;
        self.content_bytes += (key.map_or(0, <[u8]>::len) + value.len()) as u64;
        self.times.push(intended);
        Ok(())
    }

    /// Closes it. `first_number` is that of its first record.
    pub fn close(
        self,
        stream: Stream,
        first_number: u64,
        sequence: Option<Sequence>,
    ) -> Result<Batch, BuildError> {
        let Open { mut builder, times, content_bytes } = self;
        if let Some(Sequence { producer_id, epoch, first }) = sequence {
            builder = builder.producer(producer_id, epoch, first);
        }
        let (head, body) = builder.build()?.into_parts();
        Ok(Batch { stream, first_number, times, head, body, content_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kring_wire::record::BatchHeader;

    #[test]
    fn a_batch_with_another_number_is_as_if_made_with_it() {
        let made = |sequence| {
            let mut open = Open::new(Compression::NONE, &mut Spare::default());
            open.append(Monotonic::ZERO, 5, Some(b"k"), b"value").unwrap();
            open.close(Stream { producer: 0, partition: 0 }, 0, Some(sequence)).unwrap()
        };
        let other = Sequence { producer_id: 8, epoch: 2, first: 0 };
        let mut batch = made(Sequence { producer_id: 7, epoch: 1, first: 20 });
        batch.renumber(other);
        assert_eq!(batch.head, made(other).head);
        assert_eq!(BatchHeader::parse(&batch.head).unwrap().base_sequence, 0);
    }

    #[test]
    fn the_memory_of_a_batch_is_used_again() {
        let mut spare = Spare::default();
        for _ in 0..3 {
            let mut open = Open::new(Compression::NONE, &mut spare);
            (0..100).for_each(|_| open.append(Monotonic::ZERO, 5, None, &[7; 100]).unwrap());
            spare.keep(open.close(Stream { producer: 0, partition: 0 }, 0, None).unwrap());
            assert_eq!((spare.times.len(), spare.bodies.len()), (1, 1));
            assert!(spare.bodies[0].capacity() > 10_000);
        }
    }
}
