//! The 61 bytes before the records of a batch. Everything is big-endian.
//!
//! | bytes | field | under the CRC |
//! |---|---|---|
//! | 0..8 | base offset | no |
//! | 8..12 | batch length: the bytes that follow this field | no |
//! | 12..16 | partition leader epoch | no |
//! | 16..17 | magic, 2 | no |
//! | 17..21 | CRC-32C of bytes 21 to the end of the batch | no |
//! | 21..23 | attributes | yes |
//! | 23..27 | last offset delta | yes |
//! | 27..35 | base timestamp, ms (or the delete horizon) | yes |
//! | 35..43 | max timestamp, ms (or the append time) | yes |
//! | 43..51 | producer id, or −1 | yes |
//! | 51..53 | producer epoch, or −1 | yes |
//! | 53..57 | base sequence, or −1 | yes |
//! | 57..61 | record count | yes |
//!
//! Attributes: bits 0–2 codec, 3 timestamp type (1 = log append time), 4 transactional, 5 control,
//! 6 delete horizon, the rest unused.

use zerocopy::byteorder::big_endian::{I16, I32, I64, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::compress::Codec;
use super::crc;

/// Length of a batch header.
pub const HEADER_BYTES: usize = 61;
/// Bytes before and including the length field, which the length does not count.
pub const LOG_OVERHEAD_BYTES: usize = 12;
/// The one magic value that Kring stores.
pub const MAGIC_V2: i8 = 2;

pub(crate) const LENGTH_AT: usize = 8;
pub(crate) const MAGIC_AT: usize = 16;
pub(crate) const ATTRIBUTES_AT: usize = 21;

const CODEC_MASK: i16 = 0x07;
const LOG_APPEND_TIME_BIT: i16 = 0x08;
const TRANSACTIONAL_BIT: i16 = 0x10;
const CONTROL_BIT: i16 = 0x20;
const DELETE_HORIZON_BIT: i16 = 0x40;
const USED_BITS: i16 = 0x7f;

/// Who set the timestamps of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TimestampType {
    /// The producer, record by record.
    #[default]
    CreateTime,
    /// The broker, once for the batch.
    LogAppendTime,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawHeader {
    base_offset: I64,
    batch_length: I32,
    partition_leader_epoch: I32,
    magic: i8,
    crc: U32,
    attributes: I16,
    last_offset_delta: I32,
    base_timestamp: I64,
    max_timestamp: I64,
    producer_id: I64,
    producer_epoch: I16,
    base_sequence: I32,
    record_count: I32,
}

const _: () = assert!(size_of::<RawHeader>() == HEADER_BYTES);

/// A batch header in native integers. Parsing checks nothing but that 61 bytes are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record (as appended; compaction keeps it).
    pub base_offset: i64,
    /// Bytes after the length field: the whole batch is 12 more.
    pub batch_length: i32,
    /// Epoch of the leader that appended the batch, or −1.
    pub partition_leader_epoch: i32,
    /// Format version.
    pub magic: i8,
    /// CRC-32C of everything after it.
    pub crc: u32,
    /// Codec and flags; see the helpers.
    pub attributes: i16,
    /// Last offset minus base offset.
    pub last_offset_delta: i32,
    /// Timestamp that the records' deltas start from, ms.
    pub base_timestamp: i64,
    /// Greatest timestamp of the batch, or its append time, ms.
    pub max_timestamp: i64,
    /// Idempotent producer, or −1.
    pub producer_id: i64,
    /// Epoch of the producer, or −1.
    pub producer_epoch: i16,
    /// Sequence of the first record, or −1.
    pub base_sequence: i32,
    /// Records in the batch.
    pub record_count: i32,
}

impl BatchHeader {
    /// The header at the start of `bytes`, if 61 bytes are there.
    pub fn parse(bytes: &[u8]) -> Option<BatchHeader> {
        RawHeader::ref_from_prefix(bytes).ok().map(|(raw, _)| BatchHeader::from(raw))
    }

    /// The header of a batch that is known to be whole.
    pub fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> BatchHeader {
        BatchHeader::from(zerocopy::transmute_ref!(bytes))
    }

    /// The 61 bytes, with the CRC as it stands in the struct.
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        zerocopy::transmute!(RawHeader::from(self))
    }

    /// Bytes of the whole batch, header included.
    pub fn size_bytes(&self) -> u64 {
        (i64::from(self.batch_length) + LOG_OVERHEAD_BYTES as i64).max(0) as u64
    }

    /// Offset of the last record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.wrapping_add(i64::from(self.last_offset_delta))
    }

    /// Offset after the last record.
    pub fn end_offset(&self) -> i64 {
        self.last_offset().wrapping_add(1)
    }

    /// Sequence of the last record; sequences wrap to 0 after `i32::MAX`. −1 without a sequence.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return super::NO_SEQUENCE;
        }
        let modulus = i64::from(i32::MAX) + 1;
        ((i64::from(self.base_sequence) + i64::from(self.last_offset_delta)).rem_euclid(modulus)) as i32
    }

    /// The codec of the records, or the unknown id.
    pub fn codec(&self) -> Result<Codec, u8> {
        let id = (self.attributes & CODEC_MASK) as u8;
        Codec::from_id(id).ok_or(id)
    }

    /// Who set the timestamps.
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & LOG_APPEND_TIME_BIT == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Part of a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// Holds control records, which clients never see.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// When tombstones of this batch may go, set by the cleaner in place of the base timestamp.
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON_BIT != 0).then_some(self.base_timestamp)
    }

    /// Written by an idempotent or transactional producer.
    pub fn has_producer_id(&self) -> bool {
        self.producer_id > super::NO_PRODUCER_ID
    }

    /// The timestamp of a record with this delta.
    pub fn record_timestamp(&self, timestamp_delta: i64) -> i64 {
        match self.timestamp_type() {
            TimestampType::CreateTime => self.base_timestamp.wrapping_add(timestamp_delta),
            TimestampType::LogAppendTime => self.max_timestamp,
        }
    }

    pub(crate) fn set_codec(&mut self, codec: Codec) {
        self.attributes = (self.attributes & !CODEC_MASK) | i16::from(codec.id());
    }

    /// Only what a produced batch may have: no delete horizon, no bits without a meaning.
    pub(crate) fn keep_producer_attributes(&mut self) {
        self.attributes &= USED_BITS & !DELETE_HORIZON_BIT;
    }

    /// What the cleaner carries over: who set the timestamps, transactional, control; and says anew: codec, horizon.
    pub(crate) fn keep_cleaned_attributes(&mut self, codec: Codec, has_delete_horizon: bool) {
        self.attributes &= LOG_APPEND_TIME_BIT | TRANSACTIONAL_BIT | CONTROL_BIT;
        self.set_codec(codec);
        self.set_bit(DELETE_HORIZON_BIT, has_delete_horizon);
    }

    pub(crate) fn set_timestamp_type(&mut self, timestamp_type: TimestampType) {
        self.attributes &= !LOG_APPEND_TIME_BIT;
        if timestamp_type == TimestampType::LogAppendTime {
            self.attributes |= LOG_APPEND_TIME_BIT;
        }
    }

    pub(crate) fn set_transactional(&mut self, on: bool) {
        self.set_bit(TRANSACTIONAL_BIT, on);
    }

    pub(crate) fn set_control(&mut self, on: bool) {
        self.set_bit(CONTROL_BIT, on);
    }

    fn set_bit(&mut self, bit: i16, on: bool) {
        self.attributes = if on { self.attributes | bit } else { self.attributes & !bit };
    }

    /// Bytes after the header, as the header claims.
    pub(crate) fn body_bytes(&self) -> usize {
        (self.size_bytes() as usize).saturating_sub(HEADER_BYTES)
    }

    /// Gives `header` these timestamps and fixes its CRC, which must have been right before.
    ///
    /// Attribute bits without a meaning go, as in Kafka. A CRC is linear, so the change of 40 header bytes can be carried over the records without reading them.
    pub(crate) fn patch_max_timestamp(&mut self, timestamp_type: TimestampType, max_timestamp: i64) {
        if self.timestamp_type() == timestamp_type && self.max_timestamp == max_timestamp {
            return;
        }
        let before = crc::of_header_tail(&self.to_bytes());
        self.attributes &= USED_BITS;
        self.set_timestamp_type(timestamp_type);
        self.max_timestamp = max_timestamp;
        let after = crc::of_header_tail(&self.to_bytes());
        self.crc = crc::carry_change(self.crc, before, after, self.body_bytes());
    }
}

/// Gives a raw header its place. Neither field is under the CRC.
pub fn place_header(header: &mut [u8; HEADER_BYTES], base_offset: i64, leader_epoch: i32) {
    header[..LENGTH_AT].copy_from_slice(&base_offset.to_be_bytes());
    header[LOG_OVERHEAD_BYTES..MAGIC_AT].copy_from_slice(&leader_epoch.to_be_bytes());
}

impl From<&RawHeader> for BatchHeader {
    fn from(raw: &RawHeader) -> Self {
        BatchHeader {
            base_offset: raw.base_offset.get(),
            batch_length: raw.batch_length.get(),
            partition_leader_epoch: raw.partition_leader_epoch.get(),
            magic: raw.magic,
            crc: raw.crc.get(),
            attributes: raw.attributes.get(),
            last_offset_delta: raw.last_offset_delta.get(),
            base_timestamp: raw.base_timestamp.get(),
            max_timestamp: raw.max_timestamp.get(),
            producer_id: raw.producer_id.get(),
            producer_epoch: raw.producer_epoch.get(),
            base_sequence: raw.base_sequence.get(),
            record_count: raw.record_count.get(),
        }
    }
}

impl From<&BatchHeader> for RawHeader {
    fn from(header: &BatchHeader) -> Self {
        RawHeader {
            base_offset: header.base_offset.into(),
            batch_length: header.batch_length.into(),
            partition_leader_epoch: header.partition_leader_epoch.into(),
            magic: header.magic,
            crc: header.crc.into(),
            attributes: header.attributes.into(),
            last_offset_delta: header.last_offset_delta.into(),
            base_timestamp: header.base_timestamp.into(),
            max_timestamp: header.max_timestamp.into(),
            producer_id: header.producer_id.into(),
            producer_epoch: header.producer_epoch.into(),
            base_sequence: header.base_sequence.into(),
            record_count: header.record_count.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> BatchHeader {
        BatchHeader {
            base_offset: 7,
            batch_length: 49,
            partition_leader_epoch: 3,
            magic: 2,
            crc: 0xdead_beef,
            attributes: 0x0013,
            last_offset_delta: 4,
            base_timestamp: 1000,
            max_timestamp: 1009,
            producer_id: 12,
            producer_epoch: 1,
            base_sequence: i32::MAX - 1,
            record_count: 5,
        }
    }

    #[test]
    fn a_header_survives_its_bytes() {
        let header = sample();
        assert_eq!(BatchHeader::parse(&header.to_bytes()), Some(header));
        assert_eq!(BatchHeader::from_bytes(&header.to_bytes()), header);
        assert_eq!(BatchHeader::parse(&header.to_bytes()[..60]), None);
    }

    #[test]
    fn fields_stand_where_the_table_says() {
        let bytes = sample().to_bytes();
        assert_eq!(bytes[0..8], 7i64.to_be_bytes());
        assert_eq!(bytes[16], 2);
        assert_eq!(bytes[17..21], 0xdead_beefu32.to_be_bytes());
        assert_eq!(bytes[35..43], 1009i64.to_be_bytes());
        assert_eq!(bytes[57..61], 5i32.to_be_bytes());
    }

    #[test]
    fn placing_changes_two_fields_only() {
        let mut bytes = sample().to_bytes();
        place_header(&mut bytes, 99, 5);
        let placed = BatchHeader { base_offset: 99, partition_leader_epoch: 5, ..sample() };
        assert_eq!(BatchHeader::from_bytes(&bytes), placed);
    }

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(sample().last_sequence(), 2);
    }

    #[test]
    fn attributes_are_read_bit_by_bit() {
        let header = sample();
        assert_eq!(header.codec(), Ok(Codec::Lz4));
        assert!(header.is_transactional());
        assert!(!header.is_control());
        assert_eq!(header.delete_horizon_ms(), None);
        assert_eq!(BatchHeader { attributes: 5, ..header }.codec(), Err(5));
        assert_eq!(BatchHeader { attributes: 0x40, ..header }.delete_horizon_ms(), Some(1000));
    }
}
