//! Everything that reads a batch, on bytes that may be anything: for the property tests and for `fuzz/`.

use bytes::Bytes;
use kring_wire::record::{Codec, Compression, Rules, ValidatedBatch, Validator, split_batches, verify_crcs};

/// A time for records: any will do.
const NOW: i64 = 1_700_000_000_000;
pub const SMALL_LIMIT: u64 = 1 << 20;

pub fn rules() -> Rules {
    Rules { max_decompressed_bytes: SMALL_LIMIT, ..Rules::default() }
}

/// Everything that reads a batch, on bytes that may be anything.
pub fn read_everything(validator: &mut Validator, bytes: &Bytes) {
    for rules in [rules(), Rules { compression: Some(Compression::default_of(Codec::Zstd)), ..rules() }] {
        if let Ok(batch) = validator.validate_with_crc(bytes, true, &rules, NOW) {
            // Kafka accepts a claimed append time on such a topic and then forgets it, timestamps unseen
            let claimed = bytes[22] & 0x08 != 0;
            assert_readable(&batch, !claimed);
        }
    }
    verify_crcs(&[bytes]);
    for batch in split_batches(bytes).flatten() {
        assert!(batch.bytes.len() <= bytes.len());
        let records = batch.records(SMALL_LIMIT).into_iter().flatten().flatten();
        for (record, seen) in records.zip(1..) {
            assert!(seen <= batch.header.record_count);
            assert!(record.headers().count() as u64 <= SMALL_LIMIT);
        }
    }
}

/// A validated batch can be read to its end, and says the truth about itself.
fn assert_readable(batch: &ValidatedBatch, timestamps: bool) {
    let records: Vec<_> = batch.records(SMALL_LIMIT).unwrap().map(Result::unwrap).collect();
    assert_eq!(records.len(), batch.record_count() as usize);
    assert!(records.iter().zip(0i64..).all(|(record, at)| record.offset == at));
    if !timestamps {
        return;
    }
    let greatest = records.iter().map(|record| record.timestamp).fold(-1, i64::max);
    assert_eq!(batch.max_timestamp(), greatest);
    let first = records.iter().find(|record| record.timestamp == greatest);
    assert_eq!(first.map_or(0, |record| record.offset), batch.offset_of_max_timestamp());
}
