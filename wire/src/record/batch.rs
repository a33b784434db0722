//! A batch that has been validated (or built here): ready for the log once it has its offset.
//!
//! Never holds a batch whose CRC does not fit its bytes: every change of the header carries the CRC along.

use bytes::{BufMut, Bytes, BytesMut};

use super::crc;
use super::error::RecordError;
use super::header::{BatchHeader, HEADER_BYTES, LOG_OVERHEAD_BYTES, TimestampType};
use super::iter::RecordsIter;

/// A batch whose structure, CRC and policy have been checked.
#[derive(Clone, Debug)]
pub struct ValidatedBatch {
    header: BatchHeader,
    body: Bytes,
    max_timestamp_offset_delta: i32,
    rewritten: bool,
}

impl ValidatedBatch {
    /// The batch as the client sent it.
    pub(crate) fn in_place(header: BatchHeader, body: Bytes) -> Self {
        debug_assert_eq!(header.body_bytes(), body.len());
        ValidatedBatch { header, body, max_timestamp_offset_delta: 0, rewritten: false }
    }

    /// A batch with a new body: sets its length and CRC.
    pub(crate) fn sealed(mut header: BatchHeader, body: Bytes, max_timestamp_offset_delta: i32) -> Self {
        let length = HEADER_BYTES - LOG_OVERHEAD_BYTES + body.len();
        assert!(length <= i32::MAX as usize, "a batch has at most 2 GiB");
        header.batch_length = length as i32;
        header.crc = crc::of_parts(&header.to_bytes(), &body);
        ValidatedBatch { header, body, max_timestamp_offset_delta, rewritten: true }
    }

    /// The parsed header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The header as it goes to the log.
    pub fn header_bytes(&self) -> [u8; HEADER_BYTES] {
        self.header.to_bytes()
    }

    /// The records, compressed or not: everything after the header.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Header and records, for the log.
    pub fn into_parts(self) -> ([u8; HEADER_BYTES], Bytes) {
        (self.header.to_bytes(), self.body)
    }

    /// One buffer; copies the records.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(HEADER_BYTES + self.body.len());
        out.put_slice(&self.header.to_bytes());
        out.put_slice(&self.body);
        out.freeze()
    }

    /// Header and records together.
    pub fn size_bytes(&self) -> u64 {
        (HEADER_BYTES + self.body.len()) as u64
    }

    /// Records in the batch.
    pub fn record_count(&self) -> i32 {
        self.header.record_count
    }

    /// First offset; 0 before [`ValidatedBatch::assign`].
    pub fn base_offset(&self) -> i64 {
        self.header.base_offset
    }

    /// Last offset, inclusive.
    pub fn last_offset(&self) -> i64 {
        self.header.last_offset()
    }

    /// Greatest timestamp, or the append time.
    pub fn max_timestamp(&self) -> i64 {
        self.header.max_timestamp
    }

    /// Offset of the first record that has the greatest timestamp (what ListOffsets answers to −3).
    pub fn offset_of_max_timestamp(&self) -> i64 {
        self.header.base_offset.wrapping_add(i64::from(self.max_timestamp_offset_delta))
    }

    /// Whether the records were compressed anew or renumbered rather than kept as sent.
    pub fn was_rewritten(&self) -> bool {
        self.rewritten
    }

    /// Gives the batch its place. Neither field is under the CRC.
    pub fn assign(&mut self, base_offset: i64, leader_epoch: i32) {
        assert!(base_offset >= 0, "offsets start at 0");
        self.header.base_offset = base_offset;
        self.header.partition_leader_epoch = leader_epoch;
    }

    /// Makes the append time the timestamp of every record.
    pub fn set_log_append_time(&mut self, now_ms: i64) {
        self.header.patch_max_timestamp(TimestampType::LogAppendTime, now_ms);
        self.max_timestamp_offset_delta = 0;
    }

    /// The records, decompressed into at most `max_decompressed_bytes`.
    pub fn records(&self, max_decompressed_bytes: u64) -> Result<RecordsIter, RecordError> {
        RecordsIter::new(&self.header, self.body.clone(), max_decompressed_bytes)
    }

    pub(crate) fn stamp(
        &mut self,
        timestamp_type: TimestampType,
        max_timestamp: i64,
        max_timestamp_offset_delta: i32,
        now_ms: i64,
    ) {
        match timestamp_type {
            TimestampType::LogAppendTime => self.set_log_append_time(now_ms),
            TimestampType::CreateTime => {
                self.header.patch_max_timestamp(timestamp_type, max_timestamp);
                self.max_timestamp_offset_delta = max_timestamp_offset_delta;
            }
        }
    }
}
