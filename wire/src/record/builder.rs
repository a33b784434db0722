//! Making batches: for coordinators, the metadata log and clients of the command line.
//!
//! Never reads a clock: timestamps are arguments. Asserts what only our own code can get wrong.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::batch::ValidatedBatch;
use super::compress::{CompressError, Compression, compress};
use super::header::{BatchHeader, HEADER_BYTES, MAGIC_V2, TimestampType};
use super::iter::{Header, RecordRef};
use super::varint::{varint_bytes, varlong_bytes, write_varint, write_varlong};
use super::{NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP};

/// Most bytes of records before compression: a batch length is an `i32`.
const MAX_PLAIN_BYTES: usize = i32::MAX as usize / 2;

/// Why no batch came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildError {
    /// No record was appended.
    Empty,
    /// The record would take the batch over 1 GiB.
    TooLarge,
    /// The codec failed.
    Compress(CompressError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::Empty => write!(f, "a batch needs a record"),
            BuildError::TooLarge => write!(f, "records exceed {MAX_PLAIN_BYTES} bytes"),
            BuildError::Compress(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BuildError {}

/// Collects records into one batch.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    header: BatchHeader,
    compression: Compression,
    plain: BytesMut,
    max_timestamp_offset_delta: i32,
}

impl BatchBuilder {
    /// An empty batch of create-time records from no producer, at offset 0, in no epoch.
    pub fn new(compression: Compression) -> BatchBuilder {
        let mut header = BatchHeader {
            base_offset: 0,
            batch_length: 0,
            partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
            magic: MAGIC_V2,
            crc: 0,
            attributes: 0,
            last_offset_delta: -1,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
            record_count: 0,
        };
        header.set_codec(compression.codec);
        BatchBuilder { header, compression, plain: BytesMut::new(), max_timestamp_offset_delta: 0 }
    }

    /// As [`BatchBuilder::new`], with memory for the records that must be empty.
    pub fn with_buffer(compression: Compression, buffer: BytesMut) -> BatchBuilder {
        assert!(buffer.is_empty(), "a batch begins without records");
        BatchBuilder { plain: buffer, ..BatchBuilder::new(compression) }
    }

    /// Offset of the first record.
    pub fn base_offset(mut self, base_offset: i64) -> Self {
        assert!(base_offset >= 0, "offsets start at 0");
        self.header.base_offset = base_offset;
        self
    }

    /// Epoch of the leader that appends the batch.
    pub fn leader_epoch(mut self, leader_epoch: i32) -> Self {
        self.header.partition_leader_epoch = leader_epoch;
        self
    }

    /// The idempotent producer. Control batches take [`NO_SEQUENCE`].
    pub fn producer(mut self, producer_id: i64, producer_epoch: i16, base_sequence: i32) -> Self {
        assert!(producer_id >= 0, "a producer id is not negative");
        assert!(producer_epoch >= 0, "a producer epoch is not negative");
        self.header.producer_id = producer_id;
        self.header.producer_epoch = producer_epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// Marks the batch as part of a transaction.
    pub fn transactional(mut self) -> Self {
        self.header.set_transactional(true);
        self
    }

    /// Marks the records as control records.
    pub fn control(mut self) -> Self {
        self.header.set_control(true);
        self
    }

    /// Appends a record without headers. `timestamp` is in ms, −1 for none.
    pub fn append(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(), BuildError> {
        self.append_with_headers(timestamp, key, value, &[])
    }

    /// Appends a record.
    pub fn append_with_headers(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<(), BuildError> {
        if self.header.record_count == 0 {
            self.header.base_timestamp = timestamp;
        }
        let shape = RecordShape {
            timestamp_delta: timestamp.wrapping_sub(self.header.base_timestamp),
            offset_delta: self.header.record_count,
            key,
            value,
            headers: HeaderSource::Pairs(headers),
        };
        if self.plain.len().saturating_add(shape.body_bytes()) > MAX_PLAIN_BYTES {
            return Err(BuildError::TooLarge);
        }
        shape.write(&mut self.plain);
        self.note(timestamp);
        Ok(())
    }

    fn note(&mut self, timestamp: i64) {
        if timestamp > self.header.max_timestamp {
            self.header.max_timestamp = timestamp;
            self.max_timestamp_offset_delta = self.header.record_count;
        }
        self.header.last_offset_delta = self.header.record_count;
        self.header.record_count += 1;
    }

    /// Records so far.
    pub fn record_count(&self) -> i32 {
        self.header.record_count
    }

    /// Whether there is nothing to build yet.
    pub fn is_empty(&self) -> bool {
        self.header.record_count == 0
    }

    /// Size of the batch so far, before compression.
    pub fn size_bytes(&self) -> usize {
        HEADER_BYTES + self.plain.len()
    }

    /// Bytes that one more record of this form would add, before compression, at most.
    pub fn record_bytes_at_most(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header<'_>]) -> usize {
        let headers = HeaderSource::Pairs(headers);
        let shape = RecordShape { timestamp_delta: i64::MIN, offset_delta: i32::MAX, key, value, headers };
        shape.body_bytes().saturating_add(5)
    }

    /// The finished batch.
    pub fn build(self) -> Result<ValidatedBatch, BuildError> {
        if self.is_empty() {
            return Err(BuildError::Empty);
        }
        let body = compress(self.compression, &self.plain.freeze()).map_err(BuildError::Compress)?;
        Ok(ValidatedBatch::sealed(self.header, body, self.max_timestamp_offset_delta))
    }

    /// The finished batch, with the append time as the timestamp of every record.
    pub fn build_with_append_time(mut self, now_ms: i64) -> Result<ValidatedBatch, BuildError> {
        self.header.set_timestamp_type(TimestampType::LogAppendTime);
        self.header.max_timestamp = now_ms;
        self.max_timestamp_offset_delta = 0;
        self.build()
    }
}

/// Writes `record` again under other deltas.
pub(crate) fn encode_again(
    out: &mut BytesMut,
    record: &RecordRef<'_>,
    timestamp_delta: i64,
    offset_delta: i32,
) {
    let shape = RecordShape {
        timestamp_delta,
        offset_delta,
        key: record.key,
        value: record.value,
        headers: HeaderSource::Encoded(record.header_count, record.headers),
    };
    shape.write(out);
}

enum HeaderSource<'a> {
    Pairs(&'a [Header<'a>]),
    Encoded(i32, &'a [u8]),
}

struct RecordShape<'a> {
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: HeaderSource<'a>,
}

impl RecordShape<'_> {
    /// Bytes after the record's length.
    fn body_bytes(&self) -> usize {
        let fixed = 1 + varlong_bytes(self.timestamp_delta) + varint_bytes(self.offset_delta);
        fixed + nullable_bytes(self.key) + nullable_bytes(self.value) + self.headers.bytes()
    }

    fn write(&self, out: &mut BytesMut) {
        let body_bytes = self.body_bytes();
        assert!(body_bytes <= MAX_PLAIN_BYTES, "the caller bounds records");
        out.reserve(body_bytes + 5);
        write_varint(out, body_bytes as i32);
        out.put_u8(0);
        write_varlong(out, self.timestamp_delta);
        write_varint(out, self.offset_delta);
        put_nullable(out, self.key);
        put_nullable(out, self.value);
        self.headers.write(out);
    }
}

impl HeaderSource<'_> {
    fn bytes(&self) -> usize {
        match self {
            HeaderSource::Encoded(count, encoded) => varint_bytes(*count) + encoded.len(),
            HeaderSource::Pairs(pairs) => {
                let each =
                    pairs.iter().map(|pair| nullable_bytes(Some(pair.key)) + nullable_bytes(pair.value));
                varint_bytes(pairs.len() as i32) + each.sum::<usize>()
            }
        }
    }

    fn write(&self, out: &mut BytesMut) {
        match self {
            HeaderSource::Encoded(count, encoded) => {
                write_varint(out, *count);
                out.put_slice(encoded);
            }
            HeaderSource::Pairs(pairs) => {
                write_varint(out, pairs.len() as i32);
                for pair in *pairs {
                    put_nullable(out, Some(pair.key));
                    put_nullable(out, pair.value);
                }
            }
        }
    }
}

fn nullable_bytes(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint_bytes(bytes.len().min(i32::MAX as usize) as i32) + bytes.len())
}

fn put_nullable(out: &mut BytesMut, bytes: Option<&[u8]>) {
    match bytes {
        None => write_varint(out, -1),
        Some(bytes) => {
            write_varint(out, bytes.len() as i32);
            out.put_slice(bytes);
        }
    }
}

/// The parts of a batch, for storage that keeps header and records apart.
impl From<ValidatedBatch> for ([u8; HEADER_BYTES], Bytes) {
    fn from(batch: ValidatedBatch) -> Self {
        batch.into_parts()
    }
}
