//! Bytes from a hostile peer: refused, without panics, without work or memory beyond the limits.

#[path = "record_support/hostile.rs"]
mod hostile;
mod record_support;

use bytes::Bytes;
use hostile::{SMALL_LIMIT, read_everything, rules};
use kring_wire::record::{
    BatchBuilder, Codec, Compression, RecordError, RecordFaults, RecordsIter, Rules, Validator, compress,
    split_batches, validate, verify_crcs,
};
use record_support::{CODECS, NOW, Random, with_crc};

fn batch(codec: Codec, count: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Compression::default_of(codec));
    for index in 0..count {
        let value = format!("value {index} value {}", index * 7919);
        builder.append(NOW, Some(b"key"), Some(value.as_bytes())).unwrap();
    }
    builder.build().unwrap().to_bytes().to_vec()
}

#[test]
fn mutated_batches_never_panic_and_what_is_accepted_is_readable() {
    let mut random = Random(0x1234_5678_9abc_def1);
    let mut validator = Validator::default();
    for codec in CODECS {
        let original = batch(codec, 12);
        for _ in 0..600 {
            let mut bytes = original.clone();
            for _ in 0..=random.below(4) {
                // base offset and length stay, so that the walk is reached
                let at = 12 + random.below(bytes.len() - 12);
                bytes[at] = random.next() as u8;
            }
            read_everything(&mut validator, &Bytes::from(bytes));
        }
    }
}

#[test]
fn cut_and_stretched_batches_never_panic() {
    let mut validator = Validator::default();
    for codec in CODECS {
        let original = batch(codec, 5);
        for end in 0..original.len() {
            let mut bytes = original[..end].to_vec();
            read_everything(&mut validator, &Bytes::from(bytes.clone()));
            if end >= 12 {
                bytes[8..12].copy_from_slice(&((end - 12) as i32).to_be_bytes());
                read_everything(&mut validator, &Bytes::from(bytes));
            }
        }
    }
}

#[test]
fn random_bytes_never_panic() {
    let mut random = Random(77);
    let mut validator = Validator::default();
    for codec in CODECS {
        for length in (0..1_500).step_by(7) {
            let mut bytes = batch(codec, 1)[..61].to_vec();
            bytes.extend((0..length).map(|_| random.next() as u8));
            let size = (bytes.len() - 12) as i32;
            bytes[8..12].copy_from_slice(&size.to_be_bytes());
            read_everything(&mut validator, &Bytes::from(bytes));
        }
    }
}

#[test]
fn every_flipped_bit_under_the_crc_is_refused() {
    for codec in CODECS {
        let original = batch(codec, 2);
        for bit in 17 * 8..original.len() * 8 {
            let mut bytes = original.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let bytes = Bytes::from(bytes);
            assert!(!verify_crcs(&[&bytes]).is_good(0));
            assert!(
                matches!(validate(&bytes, &rules(), NOW), Err(RecordError::Crc { .. })),
                "{codec:?} {bit}"
            );
        }
    }
}

#[test]
fn a_bomb_is_refused_with_every_codec() {
    let plain = Bytes::from(vec![0u8; 3 << 19]);
    for codec in &CODECS[1..] {
        let body = compress::compress(Compression::default_of(*codec), &plain).unwrap();
        let bytes = framed(*codec, &body, 1);
        let refused = validate(&bytes, &Rules { max_message_bytes: 8 << 20, ..rules() }, NOW);
        let expected = RecordError::Bomb { max: SMALL_LIMIT };
        // zeros are records of length 0, refused long before the limit
        assert!(refused.is_err());
        assert_eq!(compress::decompress(*codec, &body, SMALL_LIMIT).unwrap_err(), expected);
        let header = split_batches(&bytes).next().unwrap().unwrap().header;
        assert_eq!(RecordsIter::new(&header, body, SMALL_LIMIT).unwrap_err(), expected);
    }
}

#[test]
fn a_bomb_inside_one_value_is_refused_as_too_large() {
    for codec in &CODECS[1..] {
        let mut builder = BatchBuilder::new(Compression::default_of(*codec));
        builder.append(NOW, Some(b"k"), Some(&vec![0; 3 << 19])).unwrap();
        let bytes = builder.build().unwrap().to_bytes();
        let rules = Rules { max_message_bytes: 8 << 20, ..rules() };
        let error = validate(&bytes, &rules, NOW).unwrap_err();
        assert_eq!(error, RecordError::Bomb { max: SMALL_LIMIT });
        assert_eq!(error.code(), 10);
    }
}

#[test]
fn a_snappy_block_cannot_claim_more_than_its_bytes_could_give() {
    // a bare block that claims 1 MiB and holds one literal
    let block: &'static [u8] = &[0x80, 0x80, 0x40, 0x00, b'x'];
    let refused = compress::decompress(Codec::Snappy, &Bytes::from_static(block), u64::MAX);
    assert_eq!(refused, Err(RecordError::Undecodable { codec: "snappy", what: "impossible length" }));
}

#[test]
fn faults_are_counted_but_kept_only_to_a_bound() {
    let mut builder = BatchBuilder::new(Compression::NONE);
    let total = RecordFaults::MAX_KEPT + 500;
    for _ in 0..total {
        builder.append(NOW, None, None).unwrap();
    }
    let rules = Rules { compacted: true, ..rules() };
    let error = validate(&builder.build().unwrap().to_bytes(), &rules, NOW).unwrap_err();
    assert_eq!(error.record_faults().len(), RecordFaults::MAX_KEPT);
    assert!(error.client_message(&"t-0").unwrap().contains(&format!("due to {total} record errors")));
}

#[test]
fn a_claimed_count_does_not_drive_work() {
    for codec in CODECS {
        let mut bytes = batch(codec, 1);
        bytes[23..27].copy_from_slice(&(i32::MAX - 1).to_be_bytes());
        bytes[57..61].copy_from_slice(&i32::MAX.to_be_bytes());
        let refused = validate(&Bytes::from(with_crc(bytes)), &rules(), NOW);
        assert!(matches!(refused, Err(RecordError::Malformed(_))));
    }
}

fn framed(codec: Codec, body: &[u8], count: i32) -> Bytes {
    let mut bytes = batch(Codec::None, 1)[..61].to_vec();
    bytes.extend_from_slice(body);
    let size = (bytes.len() - 12) as i32;
    bytes[8..12].copy_from_slice(&size.to_be_bytes());
    bytes[22] = codec.id();
    bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    bytes[57..61].copy_from_slice(&count.to_be_bytes());
    Bytes::from(with_crc(bytes))
}
