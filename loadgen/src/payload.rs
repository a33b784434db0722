//! Values of records: a stamp, then filler that depends only on the record's number, so that it can be checked.
//! Never allocates per record.

use crate::random::mix;
use crate::settings::Filler;
use crate::sizes::Sizes;
use crate::stamp::{STAMP_BYTES, Stamp};
use crate::verify::Stream;

/// Distances at which filler starts differ for many records in a row.
const STEP: u64 = 61;
const POOL_EXTRA: usize = 4096;

/// Makes and checks the values of records.
pub struct Payload {
    sizes: Sizes,
    seed: u64,
    pool: Vec<u8>,
    value: Vec<u8>,
}

impl Payload {
    pub fn new(sizes: Sizes, filler: Filler, seed: u64) -> Payload {
        assert!(sizes.smallest() >= STAMP_BYTES, "a record holds a stamp");
        let largest = sizes.largest();
        Payload { sizes, seed, pool: pool(largest + POOL_EXTRA, filler), value: vec![0; largest] }
    }

    /// Size of the value of record `number` of the stream.
    pub fn size(&self, stream: Stream, number: u64) -> usize {
        let place = u64::from(stream.producer) << 32 | u64::from(stream.partition.unsigned_abs());
        self.sizes.of(mix(self.seed ^ mix(place) ^ number))
    }

    /// The value with this stamp, in this many bytes; valid until the next call.
    pub fn value(&mut self, stamp: &Stamp, bytes: usize) -> &[u8] {
        let value = &mut self.value[..bytes];
        value[STAMP_BYTES..].copy_from_slice(filler(&self.pool, stamp.number, bytes));
        stamp.write(value);
        value
    }

    /// Whether the value is as large as it was made, and everything after the stamp as it was made.
    pub fn is_unchanged(&self, partition: i32, stamp: &Stamp, value: &[u8]) -> bool {
        let bytes = self.size(Stream { producer: stamp.producer, partition }, stamp.number);
        value.len() == bytes && value[STAMP_BYTES..] == *filler(&self.pool, stamp.number, bytes)
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

    const STREAM: Stream = Stream { producer: 2, partition: 4 };

    fn stamp(number: u64) -> Stamp {
        Stamp { run: 1, producer: 2, number, intended: Monotonic::from_nanos(3) }
    }

    fn payload(sizes: &str, filler: Filler) -> Payload {
        Payload::new(sizes.parse().unwrap(), filler, 9)
    }

    #[test]
    fn a_changed_byte_or_another_records_filler_is_seen() {
        let mut payload = payload("100", Filler::Random);
        let mut value = payload.value(&stamp(5), 100).to_vec();
        assert!(payload.is_unchanged(4, &stamp(5), &value));
        assert!(!payload.is_unchanged(4, &stamp(6), &value));
        assert!(!payload.is_unchanged(4, &stamp(5), &value[..99]));
        value[99] ^= 1;
        assert!(!payload.is_unchanged(4, &stamp(5), &value));
    }

    #[test]
    fn a_record_of_a_distribution_must_come_back_in_its_own_size() {
        let mut payload = payload("100..2000", Filler::Random);
        let mut sizes = std::collections::BTreeSet::new();
        for number in 0..100 {
            let bytes = payload.size(STREAM, number);
            sizes.insert(bytes);
            let value = payload.value(&stamp(number), bytes).to_vec();
            assert!(payload.is_unchanged(4, &stamp(number), &value));
            assert!(!payload.is_unchanged(4, &stamp(number), &value[..bytes - 1]));
        }
        assert!(sizes.len() > 80, "{} sizes", sizes.len());
    }

    #[test]
    fn a_record_that_is_only_a_stamp_is_possible() {
        let mut payload = payload("28", Filler::Text);
        let value = payload.value(&stamp(1), STAMP_BYTES).to_vec();
        assert_eq!(Stamp::read(&value), Some(stamp(1)));
        assert!(payload.is_unchanged(4, &stamp(1), &value));
    }

    #[test]
    fn text_compresses_and_random_bytes_do_not() {
        use kring_wire::record::{BatchBuilder, Codec, Compression};
        let size = |filler| {
            let mut builder = BatchBuilder::new(Compression::default_of(Codec::Lz4));
            builder.append(0, None, Some(payload("1000", filler).value(&stamp(0), 1000))).unwrap();
            builder.build().unwrap().size_bytes()
        };
        assert!(size(Filler::Random) > 1000);
        assert!(size(Filler::Text) < 800);
    }
}
