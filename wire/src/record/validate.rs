//! What a broker checks in a produced batch before it is appended, in Kafka's order, and what it changes.
//!
//! Other than Kafka:
//! - a record's length must fit its content in compressed batches too: Kafka skips that, and its consumers fail;
//! - offset deltas other than 0, 1, 2… are repaired by rewriting. Kafka does so when it recompresses anyway;
//!   else it stores such a batch as it is (uncompressed) or answers with an unknown server error (compressed);
//! - there is a bound on decompressed bytes.
//!
//! Bytes after the one whole batch that do not start another one are dropped, as in Kafka.

use bytes::Bytes;

use super::batch::ValidatedBatch;
use super::compress::{Codec, Compression};
use super::error::{RecordError, RecordFaults, RecordIssue};
use super::header::{BatchHeader, HEADER_BYTES, MAGIC_AT, MAGIC_V2, TimestampType};
use super::rewrite;
use super::split::whole_batch;
use super::stream::{Scratch, StreamSource};
use super::walk::{Shape, SliceSource, Source, walk};
use super::{NO_TIMESTAMP, batch_crc};

/// Bound on the decompressed records of one batch. Kafka has none.
pub const DEFAULT_MAX_DECOMPRESSED_BYTES: u64 = 128 << 20;

/// First Produce version that may carry zstd (KIP-110).
const FIRST_ZSTD_PRODUCE_VERSION: i16 = 7;

/// What a topic and a request demand of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Version of the Produce request.
    pub produce_version: i16,
    /// `cleanup.policy` contains `compact`: every record needs a key.
    pub compacted: bool,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `max.message.bytes`, compared with the size of the whole batch.
    pub max_message_bytes: u64,
    /// `segment.bytes`, likewise.
    pub segment_bytes: u64,
    /// `compression.type` and its level; `None` keeps the producer's.
    pub compression: Option<Compression>,
    /// Bound on the decompressed records.
    pub max_decompressed_bytes: u64,
}

impl Default for Rules {
    /// Kafka 4.3.1's topic defaults, and the newest Produce version.
    fn default() -> Self {
        Rules {
            produce_version: 13,
            compacted: false,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            max_message_bytes: 1_048_588,
            segment_bytes: 1 << 30,
            compression: None,
            max_decompressed_bytes: DEFAULT_MAX_DECOMPRESSED_BYTES,
        }
    }
}

/// Validates the one batch of a partition's produce data. `now_ms` is the wall clock.
pub fn validate(records: &Bytes, rules: &Rules, now_ms: i64) -> Result<ValidatedBatch, RecordError> {
    Validator::default().validate(records, rules, now_ms)
}

/// A validator that keeps its decompression buffers between batches: one per shard.
#[derive(Default)]
pub struct Validator {
    scratch: Scratch,
}

/// What the walk found.
#[derive(Default)]
struct Walked {
    max_timestamp: i64,
    max_timestamp_offset_delta: i32,
    deltas_in_order: bool,
    faults: RecordFaults,
}

/// One record's circumstances: what [`Validator`] checks each record against.
struct Inspector<'a> {
    header: &'a BatchHeader,
    rules: &'a Rules,
    now_ms: i64,
    compressed: bool,
    found: Walked,
}

impl Validator {
    /// See [`validate`].
    pub fn validate(
        &mut self,
        records: &Bytes,
        rules: &Rules,
        now_ms: i64,
    ) -> Result<ValidatedBatch, RecordError> {
        self.run(records, None, rules, now_ms)
    }

    /// As [`Validator::validate`], with the CRC already judged by [`super::verify_crcs`].
    pub fn validate_with_crc(
        &mut self,
        records: &Bytes,
        crc_is_good: bool,
        rules: &Rules,
        now_ms: i64,
    ) -> Result<ValidatedBatch, RecordError> {
        self.run(records, Some(crc_is_good), rules, now_ms)
    }

    fn run(
        &mut self,
        records: &Bytes,
        crc_is_good: Option<bool>,
        rules: &Rules,
        now_ms: i64,
    ) -> Result<ValidatedBatch, RecordError> {
        let batch = only_batch(records, rules.produce_version)?;
        let header = check_envelope(&batch, crc_is_good, rules)?;
        let source = header.codec().map_err(RecordError::UnknownCodec)?;
        check_header(&header)?;
        let target = rules.compression.unwrap_or(Compression::default_of(source));
        let body = batch.slice(HEADER_BYTES..);
        let walked = self.inspect(&header, &body, source, target.codec, rules, now_ms)?;
        if !walked.faults.is_empty() {
            return Err(RecordError::Records(Box::new(walked.faults)));
        }
        let mut validated = if source == target.codec && walked.deltas_in_order {
            ValidatedBatch::in_place(header, body)
        } else {
            self.rewritten(&header, &body, target, walked.deltas_in_order, rules)?
        };
        validated.stamp(
            rules.timestamp_type,
            walked.max_timestamp,
            walked.max_timestamp_offset_delta,
            now_ms,
        );
        check_segment(&validated, rules)?;
        Ok(validated)
    }

    fn inspect(
        &mut self,
        header: &BatchHeader,
        body: &Bytes,
        source: Codec,
        target: Codec,
        rules: &Rules,
        now_ms: i64,
    ) -> Result<Walked, RecordError> {
        let compressed = source != Codec::None && source == target;
        let inspector = Inspector::new(header, rules, now_ms, compressed);
        if source == Codec::None {
            return inspector.run(&mut SliceSource::new(body));
        }
        let mut stream = StreamSource::new(source, body, rules.max_decompressed_bytes, &mut self.scratch)?;
        let walked = inspector.run(&mut stream);
        self.scratch.trim();
        walked
    }

    fn rewritten(
        &mut self,
        header: &BatchHeader,
        body: &Bytes,
        target: Compression,
        deltas_in_order: bool,
        rules: &Rules,
    ) -> Result<ValidatedBatch, RecordError> {
        let batch = if deltas_in_order {
            rewrite::recompress(header, body, target, rules.max_decompressed_bytes)?
        } else {
            rewrite::renumber(header, body, target, rules.max_decompressed_bytes)?
        };
        check_size(batch.size_bytes(), rules)?;
        Ok(batch)
    }
}

/// Kafka's checks of a Produce request before any log sees it.
fn only_batch(records: &Bytes, produce_version: i16) -> Result<Bytes, RecordError> {
    let size = whole_batch(records)?.ok_or(RecordError::NoBatch)?;
    let magic = records[MAGIC_AT] as i8;
    if magic != MAGIC_V2 {
        return Err(RecordError::OldMagic(magic));
    }
    let batch = records.slice(..size);
    let Some(header) = BatchHeader::parse(&batch) else {
        return Err(RecordError::ShortBatch(size as u64));
    };
    if produce_version < FIRST_ZSTD_PRODUCE_VERSION && header.codec() == Ok(Codec::Zstd) {
        return Err(RecordError::ZstdTooEarly);
    }
    match whole_batch(&records[size..])? {
        Some(_) => Err(RecordError::MoreThanOneBatch),
        None => Ok(batch),
    }
}

/// Kafka's checks on the way into the log: base offset, size, CRC.
fn check_envelope(
    batch: &Bytes,
    crc_is_good: Option<bool>,
    rules: &Rules,
) -> Result<BatchHeader, RecordError> {
    let header = BatchHeader::parse(batch).ok_or(RecordError::ShortBatch(batch.len() as u64))?;
    if header.base_offset != 0 {
        return Err(RecordError::BaseOffset(header.base_offset));
    }
    check_size(batch.len() as u64, rules)?;
    if !crc_is_good.unwrap_or_else(|| batch_crc(batch) == Some(header.crc)) {
        return Err(RecordError::Crc { stored: header.crc });
    }
    Ok(header)
}

fn check_size(size: u64, rules: &Rules) -> Result<(), RecordError> {
    let max = rules.max_message_bytes;
    if size > max { Err(RecordError::TooLarge { size, max }) } else { Ok(()) }
}

fn check_segment(batch: &ValidatedBatch, rules: &Rules) -> Result<(), RecordError> {
    let (size, max) = (batch.size_bytes(), rules.segment_bytes);
    if size > max { Err(RecordError::OverSegment { size, max }) } else { Ok(()) }
}

/// Kafka's checks of a batch header from a client.
fn check_header(header: &BatchHeader) -> Result<(), RecordError> {
    let BatchHeader { last_offset_delta, record_count: count, producer_id, base_sequence, .. } = *header;
    if last_offset_delta < 0 {
        return Err(RecordError::OffsetRange { last_offset_delta });
    }
    if count <= 0 {
        return Err(RecordError::Count(count));
    }
    if i64::from(last_offset_delta) + 1 != i64::from(count) {
        return Err(RecordError::CountMismatch { count, last_offset_delta });
    }
    if header.is_control() {
        return Err(RecordError::Control);
    }
    if header.has_producer_id() && base_sequence < 0 {
        return Err(RecordError::Sequence { producer_id, base_sequence });
    }
    Ok(())
}

impl<'a> Inspector<'a> {
    fn new(header: &'a BatchHeader, rules: &'a Rules, now_ms: i64, compressed: bool) -> Self {
        let found = Walked { max_timestamp: NO_TIMESTAMP, deltas_in_order: true, ..Walked::default() };
        Inspector { header, rules, now_ms, compressed, found }
    }

    fn run<S: Source>(mut self, source: &mut S) -> Result<Walked, RecordError> {
        let count = self.header.record_count;
        walk(source, count, |index, shape| self.record(index, shape))?;
        Ok(self.found)
    }

    #[inline(always)]
    fn record(&mut self, index: i32, shape: Shape) {
        let timestamp = self.header.record_timestamp(shape.timestamp_delta);
        self.found.deltas_in_order &= shape.offset_delta == index;
        if timestamp > self.found.max_timestamp {
            self.found.max_timestamp = timestamp;
            self.found.max_timestamp_offset_delta = index;
        }
        if let Some(issue) = self.issue(timestamp, &shape) {
            self.found.faults.push(index, issue);
        }
    }

    #[inline(always)]
    fn issue(&self, timestamp: i64, shape: &Shape) -> Option<RecordIssue> {
        if self.rules.compacted && shape.key_bytes < 0 {
            return Some(RecordIssue::NoKey);
        }
        if self.rules.timestamp_type == TimestampType::CreateTime && timestamp != NO_TIMESTAMP {
            return self.is_far(timestamp).then(|| self.out_of_range(timestamp, shape));
        }
        let claimed = self.header.timestamp_type() == TimestampType::LogAppendTime;
        claimed.then(|| self.append_time_claimed(timestamp, shape))
    }

    /// The arithmetic wraps, as Kafka's does.
    #[inline(always)]
    fn is_far(&self, timestamp: i64) -> bool {
        let age = self.now_ms.wrapping_sub(timestamp);
        age > self.rules.timestamp_before_max_ms || age.wrapping_neg() > self.rules.timestamp_after_max_ms
    }

    #[cold]
    fn out_of_range(&self, timestamp: i64, shape: &Shape) -> RecordIssue {
        RecordIssue::TimestampRange {
            timestamp,
            offset: i64::from(shape.offset_delta),
            from: self.now_ms.wrapping_sub(self.rules.timestamp_before_max_ms),
            to: self.now_ms.wrapping_add(self.rules.timestamp_after_max_ms),
        }
    }

    #[cold]
    fn append_time_claimed(&self, timestamp: i64, shape: &Shape) -> RecordIssue {
        RecordIssue::AppendTimeClaimed {
            compressed: self.compressed,
            timestamp,
            offset: i64::from(shape.offset_delta),
            key_bytes: shape.key_bytes,
            value_bytes: shape.value_bytes,
        }
    }
}
