//! Values of records: a stamp, then filler that depends only on the record's number, so that it can be checked.
//! Never allocates per record.

use kring_wire::record::{BatchBuilder, BuildError, Compression, ValidatedBatch};

use crate::settings::Filler;
use crate::stamp::{STAMP_BYTES, Stamp};

/// Distances at which filler starts differ for many records in a row.
const STEP: u64 = 61;
const POOL_EXTRA: usize = 4096;

/// Makes and checks the values of one record size.
pub struct Payload {
    pool: Vec<u8>,
    value: Vec<u8>,
}

impl Payload {
    pub fn new(record_bytes: usize, filler: Filler) -> Payload {
        assert!(record_bytes >= STAMP_BYTES, "a record holds a stamp");
        Payload { pool: pool(record_bytes + POOL_EXTRA, filler), value: vec![0; record_bytes] }
    }

    pub fn record_bytes(&self) -> usize {
        self.value.len()
    }

    /// The value with this stamp; valid until the next call.
    pub fn value(&mut self, stamp: &Stamp) -> &[u8] {
        let filler = filler(&self.pool, stamp.number, self.value.len());
        self.value[STAMP_BYTES..].copy_from_slice(filler);
        stamp.write(&mut self.value);
        &self.value
    }

    /// Whether everything after the stamp is as it was made.
    pub fn is_unchanged(&self, stamp: &Stamp, value: &[u8]) -> bool {
        value.len() == self.value.len()
            && value[STAMP_BYTES..] == *filler(&self.pool, stamp.number, self.value.len())
    }

    /// A batch of records with these stamps.
    pub fn batch(
        &mut self,
        compression: Compression,
        now_ms: i64,
        stamps: impl Iterator<Item = Stamp>,
    ) -> Result<ValidatedBatch, BuildError> {
        let mut builder = BatchBuilder::new(compression);
        for stamp in stamps {
            builder.append(now_ms, None, Some(self.value(&stamp)))?;
        }
        builder.build()
    }
}

fn filler(pool: &[u8], number: u64, record_bytes: usize) -> &[u8] {
    let from = (number.wrapping_mul(STEP) % POOL_EXTRA as u64) as usize;
    &pool[from..from + record_bytes - STAMP_BYTES]
}

/// The same bytes in every process: an xorshift sequence, or words that compress about four times.
fn pool(len: usize, filler: Filler) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut pool = Vec::with_capacity(len + 8);
    while pool.len() < len {
        match filler {
            Filler::Random => pool.extend_from_slice(&next().to_le_bytes()),
            Filler::Text => pool.extend_from_slice(WORDS[(next() % WORDS.len() as u64) as usize]),
        }
    }
    pool.truncate(len);
    pool
}

const WORDS: [&[u8]; 16] = [
    b"{\"order\":",
    b"\"customer\",",
    b"1024,",
    b"\"amount\":",
    b"true,",
    b"\"currency\":\"EUR\",",
    b"77,",
    b"null,",
    b"\"created\":",
    b"\"shipped\",",
    b"2026,",
    b"\"items\":[",
    b"]},",
    b"\"street\":",
    b"\"north\",",
    b"5,",
];

#[cfg(test)]
mod tests {
    use super::*;
    use kring_runtime::Monotonic;

    fn stamp(number: u64) -> Stamp {
        Stamp { run: 1, producer: 2, number, intended: Monotonic::from_nanos(3) }
    }

    #[test]
    fn a_changed_byte_or_another_records_filler_is_seen() {
        let mut payload = Payload::new(100, Filler::Random);
        let mut value = payload.value(&stamp(5)).to_vec();
        assert!(payload.is_unchanged(&stamp(5), &value));
        assert!(!payload.is_unchanged(&stamp(6), &value));
        assert!(!payload.is_unchanged(&stamp(5), &value[..99]));
        value[99] ^= 1;
        assert!(!payload.is_unchanged(&stamp(5), &value));
    }

    #[test]
    fn a_record_that_is_only_a_stamp_is_possible() {
        let mut payload = Payload::new(STAMP_BYTES, Filler::Text);
        let value = payload.value(&stamp(1)).to_vec();
        assert_eq!(Stamp::read(&value), Some(stamp(1)));
        assert!(payload.is_unchanged(&stamp(1), &value));
    }

    #[test]
    fn text_compresses_and_random_bytes_do_not() {
        use kring_wire::record::Codec;
        let size = |filler| {
            let compression = Compression::default_of(Codec::Lz4);
            let batch = Payload::new(1000, filler).batch(compression, 0, (0..1).map(stamp)).unwrap();
            batch.size_bytes()
        };
        assert!(size(Filler::Random) > 1000);
        assert!(size(Filler::Text) < 800);
    }
}
