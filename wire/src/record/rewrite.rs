//! New bodies for batches that cannot be appended as sent: another codec, or offset deltas out of order.
//!
//! Never changes a key, a value, a header or a timestamp. Holds the decompressed batch in memory, bounded by
//! the caller's limit.

use bytes::{Bytes, BytesMut};

use super::batch::ValidatedBatch;
use super::builder::encode_again;
use super::compress::{Compression, compress, decompress};
use super::error::{Malformed, RecordError};
use super::header::BatchHeader;
use super::iter::RecordsIter;

/// The same records under another codec.
pub(crate) fn recompress(
    header: &BatchHeader,
    body: &Bytes,
    target: Compression,
    max_decompressed_bytes: u64,
) -> Result<ValidatedBatch, RecordError> {
    let codec = header.codec().map_err(RecordError::UnknownCodec)?;
    let plain = decompress(codec, body, max_decompressed_bytes)?;
    seal(header, &plain, target)
}

/// The same records with offset deltas 0, 1, 2….
pub(crate) fn renumber(
    header: &BatchHeader,
    body: &Bytes,
    target: Compression,
    max_decompressed_bytes: u64,
) -> Result<ValidatedBatch, RecordError> {
    let mut plain = BytesMut::with_capacity(body.len());
    let mut records = RecordsIter::new(header, body.clone(), max_decompressed_bytes)?;
    for offset_delta in 0..header.record_count {
        let record = records.next_ref().ok_or(Malformed::Truncated)??;
        encode_again(&mut plain, &record, record.timestamp_delta, offset_delta);
    }
    seal(header, &plain.freeze(), target)
}

fn seal(header: &BatchHeader, plain: &Bytes, target: Compression) -> Result<ValidatedBatch, RecordError> {
    let mut header = *header;
    header.keep_producer_attributes();
    header.set_codec(target.codec);
    let body = compress(target, plain).map_err(RecordError::Compress)?;
    Ok(ValidatedBatch::sealed(header, body, 0))
}
