//! A record batch as a log sees it: 61 header bytes and a body it never looks into.
//! Does no I/O and does not validate records: `wire::record` has done that. Any core.

use bytes::{Bytes, BytesMut};

use crate::index::IndexedBatch;
use crate::producer::ProducerBatch;
use crate::types::{LeaderEpoch, Offset, ProducerId};

/// Bytes of a v2 batch header.
pub const HEADER_BYTES: usize = 61;
/// The length field counts what follows it.
const LENGTH_EXCLUDES: usize = 12;
const CRC_FROM: usize = 21;
const MAGIC: u8 = 2;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
/// Smaller batches are copied out of the frame they came in, so that a cached one does not pin it.
const COPY_BELOW_BYTES: usize = 16 << 10;

/// A batch to append, its base offset and leader epoch already in the header.
#[derive(Clone, Debug)]
pub struct LogBatch {
    pub header: [u8; HEADER_BYTES],
    pub body: Bytes,
}

/// The header's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchInfo {
    pub base_offset: Offset,
    /// Of header and body.
    pub bytes: u32,
    pub leader_epoch: LeaderEpoch,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: ProducerId,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub records: i32,
}

/// Why bytes are not the header of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadBatch {
    /// Fewer bytes than the batch claims, or than a header has.
    Short,
    Length(i32),
    Magic(u8),
    Offsets,
    Crc {
        stored: u32,
        computed: u32,
    },
}

impl BatchInfo {
    /// Reads a header from the front of `bytes` and checks that its fields can be true together.
    pub fn parse(bytes: &[u8]) -> Result<BatchInfo, BadBatch> {
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(BadBatch::Short)?;
        let length = be_i32(header, 8);
        let Some(total) = total_bytes(length) else { return Err(BadBatch::Length(length)) };
        if header[16] != MAGIC {
            return Err(BadBatch::Magic(header[16]));
        }
        let info = BatchInfo::of(header, total);
        if info.base_offset.0 < 0 || info.last_offset_delta < 0 || info.records < 0 {
            return Err(BadBatch::Offsets);
        }
        Ok(info)
    }

    fn of(header: &[u8; HEADER_BYTES], bytes: u32) -> BatchInfo {
        BatchInfo {
            base_offset: Offset(be_i64(header, 0)),
            bytes,
            leader_epoch: LeaderEpoch(be_i32(header, 12)),
            crc: be_i32(header, 17) as u32,
            attributes: be_i16(header, 21),
            last_offset_delta: be_i32(header, 23),
            base_timestamp: be_i64(header, 27),
            max_timestamp: be_i64(header, 35),
            producer_id: ProducerId(be_i64(header, 43)),
            producer_epoch: be_i16(header, 51),
            base_sequence: be_i32(header, 53),
            records: be_i32(header, 57),
        }
    }

    pub fn last_offset(&self) -> Offset {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// The offset of the record after this batch.
    pub fn end_offset(&self) -> Offset {
        self.last_offset().next()
    }

    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// The producer's side of a data batch, when it has an idempotent producer.
    pub fn producer(&self) -> Option<ProducerBatch> {
        (self.producer_id.is_some() && !self.is_control()).then(|| ProducerBatch {
            producer_id: self.producer_id,
            epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
            last_offset_delta: self.last_offset_delta,
            max_timestamp: self.max_timestamp,
            is_transactional: self.is_transactional(),
        })
    }

    pub(crate) fn indexed(&self, segment_base: Offset, position: u32) -> IndexedBatch {
        let last_relative = u32::try_from(self.last_offset() - segment_base).expect("rolled before overflow");
        IndexedBatch { last_relative, position, bytes: self.bytes, max_timestamp: self.max_timestamp }
    }
}

/// Whole batch at the front of `bytes`, with a matching checksum.
pub fn check_whole(bytes: &[u8]) -> Result<BatchInfo, BadBatch> {
    let info = BatchInfo::parse(bytes)?;
    let whole = bytes.get(..info.bytes as usize).ok_or(BadBatch::Short)?;
    let computed = crc32c::crc32c(&whole[CRC_FROM..]);
    if computed != info.crc {
        return Err(BadBatch::Crc { stored: info.crc, computed });
    }
    Ok(info)
}

impl std::fmt::Display for BadBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BadBatch::Short => write!(f, "the batch ends early"),
            BadBatch::Length(length) => write!(f, "a batch cannot be {length} bytes long"),
            BadBatch::Magic(magic) => write!(f, "batch format {magic} is not known"),
            BadBatch::Offsets => write!(f, "offsets or record count are negative"),
            BadBatch::Crc { stored, computed } => {
                write!(f, "checksum {stored:08x} stored, {computed:08x} computed")
            }
        }
    }
}

/// A batch on its way to the file and in the tail cache: one piece when small, header and body when large.
#[derive(Clone, Debug)]
pub(crate) struct HeldBatch {
    pub header: Bytes,
    pub body: Bytes,
}

impl HeldBatch {
    pub fn new(batch: LogBatch) -> HeldBatch {
        if HEADER_BYTES + batch.body.len() < COPY_BELOW_BYTES {
            let mut whole = BytesMut::with_capacity(HEADER_BYTES + batch.body.len());
            whole.extend_from_slice(&batch.header);
            whole.extend_from_slice(&batch.body);
            return HeldBatch { header: whole.freeze(), body: Bytes::new() };
        }
        HeldBatch { header: Bytes::copy_from_slice(&batch.header), body: batch.body }
    }

    pub fn len(&self) -> usize {
        self.header.len() + self.body.len()
    }

    pub fn push_to(&self, parts: &mut Vec<Bytes>) {
        parts.push(self.header.clone());
        if !self.body.is_empty() {
            parts.push(self.body.clone());
        }
    }
}

fn total_bytes(length: i32) -> Option<u32> {
    let total = u32::try_from(length).ok()?.checked_add(LENGTH_EXCLUDES as u32)?;
    (total as usize >= HEADER_BYTES && total <= i32::MAX as u32).then_some(total)
}

fn field<const N: usize>(header: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    let mut word = [0; N];
    word.copy_from_slice(&header[at..at + N]);
    word
}

fn be_i64(header: &[u8; HEADER_BYTES], at: usize) -> i64 {
    i64::from_be_bytes(field(header, at))
}

fn be_i32(header: &[u8; HEADER_BYTES], at: usize) -> i32 {
    i32::from_be_bytes(field(header, at))
}

fn be_i16(header: &[u8; HEADER_BYTES], at: usize) -> i16 {
    i16::from_be_bytes(field(header, at))
}
