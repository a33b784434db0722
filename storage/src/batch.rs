//! A record batch as a log sees it: 61 header bytes and a body it never looks into.
//! Does no I/O and does not validate records: `wire::record` has done that. Any core.

use bytes::Bytes;
use kring_wire::record::control::EndTxnMarker;
use kring_wire::record::{BatchHeader, MAGIC_V2, RecordsIter};

pub use kring_wire::record::HEADER_BYTES;

use crate::arena::Arena;
use crate::index::IndexedBatch;
use crate::producer::{EndTransaction, ProducerBatch};
use crate::types::{LeaderEpoch, Offset, ProducerId};

/// The length field counts what follows it.
const LENGTH_EXCLUDES: usize = 12;
pub(crate) const CRC_FROM: usize = 21;
/// Smaller batches are copied out of the frame they came in, so that a cached one does not pin it.
const COPY_BELOW_BYTES: usize = 8 << 10;

/// A batch to append, its base offset and leader epoch already in the header.
#[derive(Clone, Debug)]
pub struct LogBatch {
    pub header: [u8; HEADER_BYTES],
    pub body: Bytes,
}

/// A header whose fields can be true together, in the words of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchInfo {
    pub base_offset: Offset,
    /// Of header and body.
    pub bytes: u32,
    pub leader_epoch: LeaderEpoch,
    pub max_timestamp: i64,
    pub producer_id: ProducerId,
    /// All fields as they stand.
    pub header: BatchHeader,
}

/// Why bytes are not the header of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadBatch {
    /// Fewer bytes than the batch claims, or than a header has.
    Short,
    Length(i32),
    Magic(i8),
    Offsets,
    Crc {
        stored: u32,
        computed: u32,
    },
}

impl BatchInfo {
    /// Reads a header from the front of `bytes` and checks that its fields can be true together.
    pub fn parse(bytes: &[u8]) -> Result<BatchInfo, BadBatch> {
        let header = BatchHeader::parse(bytes).ok_or(BadBatch::Short)?;
        if header.magic != MAGIC_V2 {
            return Err(BadBatch::Magic(header.magic));
        }
        let bytes = total_bytes(header.batch_length).ok_or(BadBatch::Length(header.batch_length))?;
        let end_offset = header.base_offset.checked_add(i64::from(header.last_offset_delta) + 1);
        let is_negative = header.base_offset < 0 || header.last_offset_delta < 0 || header.record_count < 0;
        if is_negative || end_offset.is_none() {
            return Err(BadBatch::Offsets);
        }
        Ok(BatchInfo {
            base_offset: Offset(header.base_offset),
            bytes,
            leader_epoch: LeaderEpoch(header.partition_leader_epoch),
            max_timestamp: header.max_timestamp,
            producer_id: ProducerId(header.producer_id),
            header,
        })
    }

    pub fn last_offset(&self) -> Offset {
        self.base_offset + i64::from(self.header.last_offset_delta)
    }

    /// The offset of the record after this batch.
    pub fn end_offset(&self) -> Offset {
        self.last_offset().next()
    }

    /// The producer's side of a data batch, when it has an idempotent producer.
    pub fn producer(&self) -> Option<ProducerBatch> {
        (self.producer_id.is_some() && !self.header.is_control()).then(|| ProducerBatch {
            producer_id: self.producer_id,
            epoch: self.header.producer_epoch,
            base_sequence: self.header.base_sequence,
            last_offset_delta: self.header.last_offset_delta,
            max_timestamp: self.max_timestamp,
            is_transactional: self.header.is_transactional(),
        })
    }

    pub(crate) fn indexed(&self, segment_base: Offset, position: u32) -> IndexedBatch {
        let last_relative = u32::try_from(self.last_offset() - segment_base).expect("rolled before overflow");
        IndexedBatch { last_relative, position, bytes: self.bytes, max_timestamp: self.max_timestamp }
    }
}

/// The transaction marker in a control batch, if it is one and can be read.
pub(crate) fn end_transaction(info: &BatchInfo, whole: Bytes) -> Option<EndTransaction> {
    let body = whole.slice(HEADER_BYTES..);
    let record = RecordsIter::new(&info.header, body, u64::from(info.bytes)).ok()?.next()?.ok()?;
    let marker = EndTxnMarker::parse(record.key.as_deref()?, record.value.as_deref()?).ok()??;
    Some(EndTransaction {
        producer_id: info.producer_id,
        epoch: info.header.producer_epoch,
        coordinator_epoch: marker.coordinator_epoch,
        timestamp: record.timestamp,
        is_abort: !marker.committed,
    })
}

impl std::fmt::Display for BadBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BadBatch::Short => write!(f, "the batch ends early"),
            BadBatch::Length(length) => write!(f, "a batch cannot be {length} bytes long"),
            BadBatch::Magic(magic) => write!(f, "batch format {magic} is not known"),
            BadBatch::Offsets => write!(f, "offsets or record count are negative, or beyond all offsets"),
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
    pub fn new(batch: LogBatch, arena: &Arena) -> HeldBatch {
        if HEADER_BYTES + batch.body.len() < COPY_BELOW_BYTES {
            return HeldBatch { header: arena.copy(&[&batch.header, &batch.body]), body: Bytes::new() };
        }
        HeldBatch { header: arena.copy(&[&batch.header]), body: batch.body }
    }

    pub fn len(&self) -> usize {
        self.header.len() + self.body.len()
    }

    /// The transaction marker, if this is the batch of one: those are small, so in one piece.
    pub fn end_transaction(&self, info: &BatchInfo) -> Option<EndTransaction> {
        let marks = info.header.is_control() && info.producer_id.is_some() && self.body.is_empty();
        if marks { end_transaction(info, self.header.clone()) } else { None }
    }

    pub fn parts(&self) -> [&Bytes; 2] {
        [&self.header, &self.body]
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
