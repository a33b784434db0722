//! Cutting a buffer into batches, by their length fields.
//!
//! Never reads past the buffer and never looks inside the records. A batch that is cut off at the end of the
//! buffer is left over, as in a fetch response: see [`SplitBatches::rest`].

use bytes::Bytes;

use super::error::RecordError;
use super::header::{BatchHeader, HEADER_BYTES, LENGTH_AT, LOG_OVERHEAD_BYTES, MAGIC_AT, MAGIC_V2};
use super::iter::RecordsIter;
use super::{batch_crc, header};

/// The shortest batch length of any format (magic 0 without key and value).
const MIN_BATCH_LENGTH: i32 = 14;

/// A whole batch of magic 2.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Its header.
    pub header: BatchHeader,
    /// All of its bytes, header included.
    pub bytes: Bytes,
}

impl Batch {
    /// The bytes after the header.
    pub fn body(&self) -> Bytes {
        self.bytes.slice(HEADER_BYTES..)
    }

    /// Fails unless the CRC fits.
    pub fn check_crc(&self) -> Result<(), RecordError> {
        match batch_crc(&self.bytes) {
            Some(crc) if crc == self.header.crc => Ok(()),
            _ => Err(RecordError::Crc { stored: self.header.crc }),
        }
    }

    /// The records, decompressed into at most `max_decompressed_bytes`.
    pub fn records(&self, max_decompressed_bytes: u64) -> Result<RecordsIter, RecordError> {
        RecordsIter::new(&self.header, self.body(), max_decompressed_bytes)
    }
}

/// See [`split_batches`].
#[derive(Clone, Debug)]
pub struct SplitBatches {
    rest: Bytes,
    failed: bool,
}

/// The batches of `records`, in order. Ends at the first error, at the end, or before a batch that is cut off.
pub fn split_batches(records: &Bytes) -> SplitBatches {
    SplitBatches { rest: records.clone(), failed: false }
}

impl SplitBatches {
    /// What has not been cut yet; after the last batch, the bytes of one that is not whole.
    pub fn rest(&self) -> &Bytes {
        &self.rest
    }

    fn cut(&mut self) -> Result<Option<Batch>, RecordError> {
        let Some(size) = whole_batch(&self.rest)? else { return Ok(None) };
        let magic = self.rest[MAGIC_AT] as i8;
        if magic != MAGIC_V2 {
            return Err(RecordError::StoredOldMagic(magic));
        }
        let Some(header) = BatchHeader::parse(&self.rest[..size]) else {
            return Err(RecordError::ShortBatch(size as u64));
        };
        Ok(Some(Batch { header, bytes: self.rest.split_to(size) }))
    }
}

impl Iterator for SplitBatches {
    type Item = Result<Batch, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.cut().transpose();
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}

/// Size of the batch at the start of `bytes` if all of it is there. The order of checks is Kafka's.
pub(crate) fn whole_batch(bytes: &[u8]) -> Result<Option<usize>, RecordError> {
    let length = bytes.get(LENGTH_AT..).and_then(|rest| rest.first_chunk::<4>());
    let Some(length) = length.copied().map(i32::from_be_bytes) else { return Ok(None) };
    if length < MIN_BATCH_LENGTH {
        return Err(RecordError::Length(length));
    }
    let Some(&magic) = bytes.get(MAGIC_AT) else { return Ok(None) };
    if !(0..=header::MAGIC_V2).contains(&(magic as i8)) {
        return Err(RecordError::Magic(magic as i8));
    }
    let size = length as usize + LOG_OVERHEAD_BYTES;
    Ok((bytes.len() >= size).then_some(size))
}
