//! Kafka's producer snapshot file (`docs/storage.md`): the producer state of a log at one offset.
//! Does no I/O: bytes in, bytes out. Any core.

use std::fmt;

use crate::producer::{BatchMetadata, ProducerEntry, ProducerStates};
use crate::types::{Offset, ProducerId};

const VERSION: i16 = 1;
const CRC_AT: usize = 2;
const ENTRIES_AT: usize = 6;
const ENTRY_BYTES: usize = 46;

/// Why a snapshot was not accepted. An older one, or the log itself, then says what it said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadSnapshot {
    Short,
    Version(i16),
    Crc {
        stored: u32,
        computed: u32,
    },
    Length {
        entries: i32,
        bytes: usize,
    },
    /// Two transactions, of which a log holds one at most.
    TwoBegin {
        offset: Offset,
    },
}

impl fmt::Display for BadSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadSnapshot::Short => write!(f, "shorter than its header"),
            BadSnapshot::Version(version) => write!(f, "unknown version {version}"),
            BadSnapshot::Crc { stored, computed } => {
                write!(f, "checksum {stored:08x} stored, {computed:08x} computed")
            }
            BadSnapshot::Length { entries, bytes } => {
                write!(f, "{entries} entries do not fill {bytes} bytes")
            }
            BadSnapshot::TwoBegin { offset } => write!(f, "two transactions begin at offset {offset}"),
        }
    }
}

/// All producers, each with its newest batch only: that is what Kafka's format holds.
pub fn encode(states: &ProducerStates) -> Vec<u8> {
    let mut out = Vec::with_capacity(ENTRIES_AT + 4 + states.len() * ENTRY_BYTES);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(states.len() as i32).to_be_bytes());
    for (producer_id, entry) in states.iter() {
        encode_entry(&mut out, producer_id, entry);
    }
    let crc = crc32c::crc32c(&out[ENTRIES_AT..]);
    out[CRC_AT..ENTRIES_AT].copy_from_slice(&crc.to_be_bytes());
    out
}

fn encode_entry(out: &mut Vec<u8>, producer_id: ProducerId, entry: &ProducerEntry) {
    let last = entry.last_batch();
    out.extend_from_slice(&producer_id.0.to_be_bytes());
    out.extend_from_slice(&entry.epoch.to_be_bytes());
    out.extend_from_slice(&entry.last_sequence().to_be_bytes());
    out.extend_from_slice(&last.map_or(-1, |batch| batch.last_offset.0).to_be_bytes());
    out.extend_from_slice(&last.map_or(0, |batch| batch.offset_delta).to_be_bytes());
    out.extend_from_slice(&entry.last_timestamp.to_be_bytes());
    out.extend_from_slice(&entry.coordinator_epoch.to_be_bytes());
    out.extend_from_slice(&entry.txn_first_offset.map_or(-1, |offset| offset.0).to_be_bytes());
}

/// Bytes of the file: three million producers of one partition within `producer.id.expiration.ms`.
pub(crate) const LONGEST_SNAPSHOT: u64 = 128 << 20;

/// The producers in a snapshot that was read, or why it is of no use.
pub(crate) fn decode_read(read: Result<Vec<u8>, String>) -> Result<ProducerStates, String> {
    read.and_then(|bytes| decode(&bytes).map_err(|bad| bad.to_string()))
}

pub fn decode(bytes: &[u8]) -> Result<ProducerStates, BadSnapshot> {
    let mut fields = Fields(bytes);
    if bytes.len() < ENTRIES_AT + 4 {
        return Err(BadSnapshot::Short);
    }
    let version = i16::from_be_bytes(fields.take());
    if version != VERSION {
        return Err(BadSnapshot::Version(version));
    }
    let stored = u32::from_be_bytes(fields.take());
    let computed = crc32c::crc32c(&bytes[ENTRIES_AT..]);
    if stored != computed {
        return Err(BadSnapshot::Crc { stored, computed });
    }
    let entries = i32::from_be_bytes(fields.take());
    let fits =
        usize::try_from(entries).is_ok_and(|count| count.checked_mul(ENTRY_BYTES) == Some(fields.0.len()));
    if !fits {
        return Err(BadSnapshot::Length { entries, bytes: bytes.len() });
    }
    let mut states = ProducerStates::default();
    for _ in 0..entries {
        let (producer_id, entry) = decode_entry(&mut fields);
        if let Some(offset) = entry.txn_first_offset.filter(|at| states.is_begun_at(*at, producer_id)) {
            return Err(BadSnapshot::TwoBegin { offset });
        }
        states.restore(producer_id, entry);
    }
    Ok(states)
}

fn decode_entry(fields: &mut Fields<'_>) -> (ProducerId, ProducerEntry) {
    let producer_id = ProducerId(i64::from_be_bytes(fields.take()));
    let epoch = i16::from_be_bytes(fields.take());
    let last_sequence = i32::from_be_bytes(fields.take());
    let last_offset = Offset(i64::from_be_bytes(fields.take()));
    let offset_delta = i32::from_be_bytes(fields.take());
    let timestamp = i64::from_be_bytes(fields.take());
    let coordinator_epoch = i32::from_be_bytes(fields.take());
    let txn_first_offset = Some(Offset(i64::from_be_bytes(fields.take()))).filter(|offset| offset.0 >= 0);
    let last =
        (last_offset.0 >= 0).then_some(BatchMetadata { last_sequence, last_offset, offset_delta, timestamp });
    (producer_id, ProducerEntry::restored(epoch, coordinator_epoch, timestamp, txn_first_offset, last))
}

/// Fixed-width fields of bytes whose length has been checked.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk().expect("the length was checked");
        self.0 = rest;
        *field
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hostile::three_producers;

    #[test]
    fn a_snapshot_brings_back_every_producer() {
        assert_eq!(decode(&encode(&three_producers())).unwrap(), three_producers());
        assert_eq!(decode(&encode(&ProducerStates::default())).unwrap(), ProducerStates::default());
    }

    /// Found by a fuzzer: one of them would have been forgotten, and readers of committed records with it.
    #[test]
    fn two_transactions_that_begin_at_one_offset_are_damage() {
        let begun = || ProducerEntry::restored(0, -1, 0, Some(Offset(7)), None);
        let mut states = ProducerStates::default();
        (1..3).for_each(|id| states.restore(ProducerId(id), begun()));
        assert_eq!(decode(&encode(&states)), Err(BadSnapshot::TwoBegin { offset: Offset(7) }));
        let mut once = ProducerStates::default();
        (0..2).for_each(|_| once.restore(ProducerId(1), begun()));
        assert_eq!((decode(&encode(&once)).as_ref(), once.first_ongoing()), (Ok(&once), Some(Offset(7))));
    }

    #[test]
    fn a_flipped_bit_or_a_lost_byte_is_noticed() {
        let good = encode(&three_producers());
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(decode(&bad).is_err(), "bit flip at {at} went unnoticed");
            assert!(decode(&good[..at]).is_err(), "cut at {at} went unnoticed");
        }
    }
}
