//! Batches for this crate's own tests. Compiled into tests only.

use bytes::Bytes;

use crate::batch::{HEADER_BYTES, LogBatch};

/// A batch with a true checksum and a body of `body_bytes`, which no reader of records would accept.
pub(crate) fn batch_of(base_offset: i64, records: i32, body_bytes: usize) -> LogBatch {
    batch_with(base_offset, records, body_bytes, 1_000 + base_offset, -1, -1, 0)
}

pub(crate) fn batch_with(
    base_offset: i64,
    records: i32,
    body_bytes: usize,
    max_timestamp: i64,
    producer_id: i64,
    base_sequence: i32,
    leader_epoch: i32,
) -> LogBatch {
    let body: Vec<u8> = (0..body_bytes).map(|i| (i as u8) ^ (base_offset as u8)).collect();
    let mut header = [0u8; HEADER_BYTES];
    header[0..8].copy_from_slice(&base_offset.to_be_bytes());
    header[8..12].copy_from_slice(&((HEADER_BYTES - 12 + body_bytes) as i32).to_be_bytes());
    header[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
    header[16] = 2;
    header[23..27].copy_from_slice(&(records - 1).to_be_bytes());
    header[27..35].copy_from_slice(&max_timestamp.to_be_bytes());
    header[35..43].copy_from_slice(&max_timestamp.to_be_bytes());
    header[43..51].copy_from_slice(&producer_id.to_be_bytes());
    header[51..53].copy_from_slice(&(if producer_id < 0 { -1i16 } else { 0 }).to_be_bytes());
    header[53..57].copy_from_slice(&base_sequence.to_be_bytes());
    header[57..61].copy_from_slice(&records.to_be_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&header[21..]), &body);
    header[17..21].copy_from_slice(&crc.to_be_bytes());
    LogBatch { header, body: Bytes::from(body) }
}
