//! What the log cleaner makes of a batch: nothing, the same batch, or one with fewer records.
//!
//! Rules of Kafka's `MemoryRecords.filterTo` and KIP-534. Never changes an offset, a key, a value, a header, or what
//! a batch says of its producer: the last offset stays even when its record goes, and so does the last sequence.

use bytes::{Bytes, BytesMut};

use super::builder::encode_again;
use super::compress::{Codec, Compression, compress};
use super::error::RecordError;
use super::header::{BatchHeader, TimestampType};
use super::iter::{RecordRef, RecordsIter};
use super::{NO_TIMESTAMP, ValidatedBatch};

/// What is left of a batch.
#[derive(Clone, Debug)]
pub enum Retained {
    /// No record.
    Nothing,
    /// Every record, as it stands.
    Unchanged,
    /// Some of the records, or all of them under a new delete horizon.
    Rewritten(ValidatedBatch),
}

/// When tombstones and markers may go, for batches that do not say so yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeleteHorizon {
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// The batch is the marker of a transaction that has no records left.
    pub marker_of_empty_txn: bool,
}

/// Keeps the records that `keep` says. Decompresses at most `max_decompressed_bytes`; the same codec writes again.
pub fn retain_records(
    header: &BatchHeader,
    body: Bytes,
    horizon: DeleteHorizon,
    max_decompressed_bytes: u64,
    keep: impl FnMut(&RecordRef<'_>) -> bool,
) -> Result<Retained, RecordError> {
    let codec = header.codec().map_err(RecordError::UnknownCodec)?;
    let records = RecordsIter::new(header, body, max_decompressed_bytes)?;
    let kept = Kept::of(records.clone(), keep)?;
    let needs_horizon =
        (kept.has_tombstone || horizon.marker_of_empty_txn) && header.delete_horizon_ms().is_none();
    if kept.count == 0 {
        return Ok(Retained::Nothing);
    }
    if kept.count == kept.flags.len() && !needs_horizon {
        return Ok(Retained::Unchanged);
    }
    let mut header = *header;
    header.base_timestamp = match header.delete_horizon_ms() {
        Some(at_ms) => at_ms,
        None if needs_horizon => horizon.at_ms,
        None => kept.first_timestamp,
    };
    header.keep_cleaned_attributes(codec, needs_horizon || header.delete_horizon_ms().is_some());
    kept.write(records, header, Compression::default_of(codec)).map(Retained::Rewritten)
}

/// A batch without records in place of one: it keeps the offsets and the producer's sequence. Kafka's
/// `DefaultRecordBatch.writeEmptyHeader`.
pub fn empty_batch(header: &BatchHeader) -> ValidatedBatch {
    let mut header = *header;
    header.keep_cleaned_attributes(Codec::None, false);
    header.base_timestamp = NO_TIMESTAMP;
    header.record_count = 0;
    ValidatedBatch::sealed(header, Bytes::new(), 0)
}

/// What one pass over the records has decided.
struct Kept {
    flags: Vec<bool>,
    count: usize,
    has_tombstone: bool,
    first_timestamp: i64,
    max_timestamp: i64,
}

impl Kept {
    fn of(
        mut records: RecordsIter,
        mut keep: impl FnMut(&RecordRef<'_>) -> bool,
    ) -> Result<Kept, RecordError> {
        let (first_timestamp, max_timestamp) = (NO_TIMESTAMP, NO_TIMESTAMP);
        let mut kept =
            Kept { flags: Vec::new(), count: 0, has_tombstone: false, first_timestamp, max_timestamp };
        while let Some(record) = records.next_ref() {
            let record = record?;
            let stays = keep(&record);
            kept.flags.push(stays);
            if stays {
                kept.note(&record);
            }
        }
        Ok(kept)
    }

    fn note(&mut self, record: &RecordRef<'_>) {
        if self.count == 0 {
            self.first_timestamp = record.timestamp;
        }
        self.count += 1;
        self.has_tombstone |= record.value.is_none();
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
    }

    fn write(
        &self,
        mut records: RecordsIter,
        mut header: BatchHeader,
        compression: Compression,
    ) -> Result<ValidatedBatch, RecordError> {
        let base_offset = header.base_offset;
        let mut plain = BytesMut::new();
        for &stays in &self.flags {
            let record = records.next_ref().expect("the first pass saw as many records")?;
            if stays {
                let offset_delta = record.offset.wrapping_sub(base_offset) as i32;
                let timestamp_delta = record.timestamp.wrapping_sub(header.base_timestamp);
                encode_again(&mut plain, &record, timestamp_delta, offset_delta);
            }
        }
        if header.timestamp_type() == TimestampType::CreateTime {
            header.max_timestamp = self.max_timestamp;
        }
        header.record_count = self.count as i32;
        let body = compress(compression, &plain.freeze()).map_err(RecordError::Compress)?;
        Ok(ValidatedBatch::sealed(header, body, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, DEFAULT_MAX_DECOMPRESSED_BYTES};

    const LATER: DeleteHorizon = DeleteHorizon { at_ms: 9_000, marker_of_empty_txn: false };

    /// Offsets 10 to 14, timestamps 1000 to 1004, the record at 12 a tombstone.
    fn batch(codec: Codec) -> ValidatedBatch {
        let mut builder = BatchBuilder::new(Compression::default_of(codec))
            .base_offset(10)
            .leader_epoch(3)
            .producer(7, 1, 40)
            .transactional();
        for i in 0..5u8 {
            let value = (i != 2).then_some(&b"value"[..]);
            builder.append(1_000 + i64::from(i), Some(&[i]), value).unwrap();
        }
        builder.build().unwrap()
    }

    fn retain(batch: &ValidatedBatch, horizon: DeleteHorizon, keep: &[i64]) -> Retained {
        let max = DEFAULT_MAX_DECOMPRESSED_BYTES;
        let keep = |record: &RecordRef<'_>| keep.contains(&record.offset);
        retain_records(batch.header(), batch.body().clone(), horizon, max, keep).unwrap()
    }

    fn rewritten(retained: Retained) -> ValidatedBatch {
        match retained {
            Retained::Rewritten(batch) => batch,
            other => panic!("{other:?}"),
        }
    }

    fn stamps(batch: &ValidatedBatch) -> Vec<(i64, i64)> {
        let records = batch.records(DEFAULT_MAX_DECOMPRESSED_BYTES).unwrap();
        records.map(|record| record.unwrap()).map(|record| (record.offset, record.timestamp)).collect()
    }

    #[test]
    fn what_is_left_keeps_offsets_sequences_epochs_and_codec() {
        for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let before = batch(codec);
            let after = rewritten(retain(&before, LATER, &[11, 13]));
            assert_eq!(stamps(&after), [(11, 1_001), (13, 1_003)]);
            let (old, new) = (before.header(), after.header());
            assert_eq!((new.base_offset, new.last_offset()), (10, 14));
            assert_eq!((new.base_sequence, new.last_sequence()), (old.base_sequence, old.last_sequence()));
            assert_eq!((new.producer_id, new.producer_epoch), (7, 1));
            assert_eq!((new.partition_leader_epoch, new.codec()), (3, Ok(codec)));
            assert_eq!((new.base_timestamp, new.max_timestamp), (1_001, 1_003));
            assert!(new.is_transactional());
            let crc = crate::record::batch_crc(&after.to_bytes());
            assert_eq!(crc, Some(new.crc));
        }
    }

    #[test]
    fn a_tombstone_that_stays_gets_its_horizon_once_and_keeps_its_time() {
        let first = rewritten(retain(&batch(Codec::None), LATER, &[10, 11, 12, 13, 14]));
        assert_eq!(first.header().delete_horizon_ms(), Some(9_000));
        assert_eq!(stamps(&first)[2], (12, 1_002));
        assert_eq!(first.header().max_timestamp, 1_004);
        let later = DeleteHorizon { at_ms: 99_000, ..LATER };
        assert!(matches!(retain(&first, later, &[10, 11, 12, 13, 14]), Retained::Unchanged));
        let second = rewritten(retain(&first, later, &[12]));
        assert_eq!(second.header().delete_horizon_ms(), Some(9_000));
        assert_eq!(stamps(&second), [(12, 1_002)]);
    }

    #[test]
    fn a_batch_without_tombstones_is_left_as_it_is() {
        let mut builder = BatchBuilder::new(Compression::NONE);
        builder.append(1, Some(b"k"), Some(b"v")).unwrap();
        let plain = builder.build().unwrap();
        assert!(matches!(retain(&plain, LATER, &[0]), Retained::Unchanged));
        assert!(matches!(retain(&plain, LATER, &[]), Retained::Nothing));
        let marker = DeleteHorizon { marker_of_empty_txn: true, ..LATER };
        let dated = rewritten(retain(&plain, marker, &[0]));
        assert_eq!(dated.header().delete_horizon_ms(), Some(9_000));
    }

    #[test]
    fn append_time_stays_the_time_of_every_record() {
        let mut builder = BatchBuilder::new(Compression::NONE);
        for key in [b"a", b"b"] {
            builder.append(1, Some(key), None).unwrap();
        }
        let appended = builder.build_with_append_time(5_000).unwrap();
        let left = rewritten(retain(&appended, LATER, &[1]));
        assert_eq!(stamps(&left), [(1, 5_000)]);
        assert_eq!(left.header().timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(left.header().max_timestamp, 5_000);
    }

    #[test]
    fn an_empty_batch_keeps_offsets_and_sequences_only() {
        let before = batch(Codec::Zstd);
        let empty = empty_batch(before.header());
        let (old, new) = (before.header(), empty.header());
        assert_eq!((new.base_offset, new.last_offset(), new.record_count), (10, 14, 0));
        assert_eq!((new.last_sequence(), new.codec()), (old.last_sequence(), Ok(Codec::None)));
        assert_eq!((new.base_timestamp, new.max_timestamp), (NO_TIMESTAMP, 1_004));
        assert!(new.is_transactional());
        assert_eq!(empty.to_bytes().len(), crate::record::HEADER_BYTES);
        assert_eq!(crate::record::batch_crc(&empty.to_bytes()), Some(new.crc));
    }

    #[test]
    fn damaged_records_are_an_error() {
        let good = batch(Codec::None);
        let body = good.body().slice(..good.body().len() - 3);
        let keep = |_: &RecordRef<'_>| true;
        assert!(retain_records(good.header(), body, LATER, 1 << 20, keep).is_err());
    }
}
