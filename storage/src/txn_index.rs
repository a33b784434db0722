//! Kafka's `.txnindex`: the aborted transactions whose markers lie in a segment, in the order of the markers.
//! Does no I/O: bytes in, bytes out. Any core.
//!
//! | bytes of an entry | field |
//! |---|---|
//! | 0..2 | version, 0 |
//! | 2..10 | producer id |
//! | 10..18 | first offset of the transaction |
//! | 18..26 | offset of its marker |
//! | 26..34 | last stable offset when the marker was written |

use std::fmt;

use crate::producer::CompletedTransaction;
use crate::types::{Offset, ProducerId};

const VERSION: i16 = 0;
pub(crate) const ENTRY_BYTES: usize = 34;
/// Bytes of the file: two million transactions that one segment saw aborted, of 78 bytes each for the marker alone.
pub(crate) const LONGEST_INDEX: u64 = 64 << 20;

/// A transaction that was aborted. All offsets are inclusive but the last stable one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    pub producer_id: ProducerId,
    pub first_offset: Offset,
    /// Of its marker.
    pub last_offset: Offset,
    pub last_stable_offset: Offset,
}

impl AbortedTransaction {
    /// `None` if the transaction was committed.
    pub(crate) fn of(completed: &CompletedTransaction) -> Option<AbortedTransaction> {
        let CompletedTransaction { producer_id, first_offset, last_stable_offset, .. } = *completed;
        let last_offset = completed.marker_offset;
        let aborted = AbortedTransaction { producer_id, first_offset, last_offset, last_stable_offset };
        completed.is_abort.then_some(aborted)
    }
}

/// Why bytes are not a transaction index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadTxnIndex {
    PartialEntry { bytes: usize },
    Version { entry: usize, version: i16 },
    OutOfPlace { entry: usize },
}

impl fmt::Display for BadTxnIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadTxnIndex::PartialEntry { bytes } => write!(f, "{bytes} bytes are no whole number of entries"),
            BadTxnIndex::Version { entry, version } => {
                write!(f, "entry {entry} has unknown version {version}")
            }
            BadTxnIndex::OutOfPlace { entry } => {
                write!(f, "entry {entry} is of no marker of this segment, or not of one after the last")
            }
        }
    }
}

pub(crate) fn encode(aborted: &[AbortedTransaction]) -> Vec<u8> {
    let mut out = Vec::with_capacity(aborted.len() * ENTRY_BYTES);
    for entry in aborted {
        out.extend_from_slice(&VERSION.to_be_bytes());
        for field in
            [entry.producer_id.0, entry.first_offset.0, entry.last_offset.0, entry.last_stable_offset.0]
        {
            out.extend_from_slice(&field.to_be_bytes());
        }
    }
    out
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<AbortedTransaction>, BadTxnIndex> {
    if !bytes.len().is_multiple_of(ENTRY_BYTES) {
        return Err(BadTxnIndex::PartialEntry { bytes: bytes.len() });
    }
    bytes.chunks_exact(ENTRY_BYTES).enumerate().map(|(number, entry)| decode_entry(number, entry)).collect()
}

/// The entries of the segment that begins at `base`, whose markers must lie in it, in order.
pub(crate) fn decode_of(base: Offset, bytes: &[u8]) -> Result<Vec<AbortedTransaction>, BadTxnIndex> {
    let entries = decode(bytes)?;
    let mut last = None;
    for (number, entry) in entries.iter().enumerate() {
        let follows = last.map_or(entry.last_offset >= base, |last| entry.last_offset > last);
        if !follows || entry.first_offset > entry.last_offset {
            return Err(BadTxnIndex::OutOfPlace { entry: number });
        }
        last = Some(entry.last_offset);
    }
    Ok(entries)
}

fn decode_entry(number: usize, entry: &[u8]) -> Result<AbortedTransaction, BadTxnIndex> {
    let version = i16::from_be_bytes([entry[0], entry[1]]);
    if version != VERSION {
        return Err(BadTxnIndex::Version { entry: number, version });
    }
    let field = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&entry[at..at + 8]);
        i64::from_be_bytes(word)
    };
    Ok(AbortedTransaction {
        producer_id: ProducerId(field(2)),
        first_offset: Offset(field(10)),
        last_offset: Offset(field(18)),
        last_stable_offset: Offset(field(26)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_survives_its_file_format() {
        let entry = AbortedTransaction {
            producer_id: ProducerId(1),
            first_offset: Offset(2),
            last_offset: Offset(3),
            last_stable_offset: Offset(4),
        };
        let bytes = encode(&[entry, AbortedTransaction { last_offset: Offset(i64::MAX), ..entry }]);
        assert_eq!(bytes.len(), 68);
        assert_eq!(bytes[..10], [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(decode(&bytes).unwrap()[0], entry);
        assert_eq!(decode(&bytes).unwrap().len(), 2);
        assert_eq!(decode(&bytes[..40]), Err(BadTxnIndex::PartialEntry { bytes: 40 }));
        let one = &bytes[..34];
        assert_eq!(decode_of(Offset(3), one), Ok(vec![entry]));
        assert_eq!(decode_of(Offset(4), one), Err(BadTxnIndex::OutOfPlace { entry: 0 }));
        assert_eq!(decode_of(Offset(3), &one.repeat(2)), Err(BadTxnIndex::OutOfPlace { entry: 1 }));
        let at_the_end = AbortedTransaction { last_offset: Offset(i64::MAX), ..entry };
        let twice = encode(&[at_the_end, at_the_end]);
        assert_eq!(
            decode_of(Offset(3), &twice),
            Err(BadTxnIndex::OutOfPlace { entry: 1 }),
            "no offset follows"
        );
        let newer = [&[0, 1], &bytes[2..34]].concat();
        assert_eq!(decode(&newer), Err(BadTxnIndex::Version { entry: 0, version: 1 }));
    }
}
