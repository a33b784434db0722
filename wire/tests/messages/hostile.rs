//! Bytes that no honest peer sends: cut short, flipped, with lengths that lie. Decoding ends with a message
//! or an error, and allocates no more than its budget.

use bytes::Bytes;
use kring_wire::{DecodeError, Message, Reader, messages};

use crate::allocation::allocated_by;
use crate::support::{Gen, Sample, for_each_message};
use crate::{encode, sample, versions};

const MUTATIONS: usize = 3000;
const BUDGET: usize = 20_000;
/// What `Bytes` allocates to share the input, and an error path at most.
const SLACK: usize = 256;

/// Decodes within the budget, or fails; a panic or a greedy allocation ends the test.
fn survive<M: Message>(bytes: &[u8], version: i16) -> Result<M, DecodeError> {
    let mut r = Reader::new(Bytes::copy_from_slice(bytes), BUDGET);
    let (allocated, result) = allocated_by(|| M::decode(&mut r, version));
    assert!(allocated <= BUDGET + SLACK, "{} v{version}: {allocated} bytes for {bytes:?}", M::NAME);
    result
}

/// Encodings to start from: small ones, so that a mutation hits something that matters.
fn seeds<M: Message + Sample>() -> Vec<(i16, Bytes)> {
    let samples = versions::<M>().flat_map(|version| (0..6).map(move |seed| (version, seed)));
    let encoded = samples.map(|(version, seed)| (version, encode(&sample::<M>(version, seed), version)));
    encoded.filter(|(_, bytes)| bytes.len() < 4000).collect()
}

fn mutate(g: &mut Gen, bytes: &mut Vec<u8>) {
    const EVIL: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, 0xfe, 0x81, 0x0f];
    for _ in 0..=g.below(3) {
        let at = g.below(bytes.len().max(1));
        match g.below(5) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at.min(bytes.len()), EVIL[g.below(EVIL.len())]),
            2 => bytes.splice(at.min(bytes.len()).., [0xff; 4]).for_each(drop),
            3 => bytes.iter_mut().skip(at).take(4).for_each(|byte| *byte = EVIL[(g.next() % 8) as usize]),
            _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (g.next() % 8)),
        }
    }
}

fn check<M: Message + Sample>() {
    let seeds = seeds::<M>();
    let mut g = Gen::new(7);
    for round in 0..MUTATIONS {
        let (version, bytes) = &seeds[round % seeds.len()];
        let mut bytes = bytes.to_vec();
        mutate(&mut g, &mut bytes);
        // What decodes must also encode: it may come back in an answer, or be stored.
        if let Ok(message) = survive::<M>(&bytes, *version) {
            let size = message.encoded_size(*version);
            assert!(size.is_ok(), "{} v{version}: {size:?} for {message:?}", M::NAME);
        }
    }
}

macro_rules! check_all {
    ($($message:path,)*) => {{ $(check::<$message>();)* }};
}

#[test]
fn mutated_bytes_end_in_a_message_or_an_error_within_the_budget() {
    for_each_message!(check_all);
}

fn every_prefix_fails<M: Message + Sample>() {
    let version = M::MAX_VERSION;
    let bytes = encode(&sample::<M>(version, 3), version);
    for end in 0..bytes.len().min(2000) {
        assert!(survive::<M>(&bytes[..end], version).is_err(), "{} v{version} cut at {end}", M::NAME);
    }
}

macro_rules! prefixes_of_all {
    ($($message:path,)*) => {{ $(every_prefix_fails::<$message>();)* }};
}

#[test]
fn every_proper_prefix_is_an_error() {
    for_each_message!(prefixes_of_all);
}

#[test]
fn absurd_lengths_allocate_nothing() {
    use messages::metadata_request::MetadataRequest;
    // Version 4 claims 2^31 - 1 topics, version 9 as many as a varint can say.
    for (version, bytes) in
        [(4, &[0x7f, 0xff, 0xff, 0xff, 0][..]), (9, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0][..])]
    {
        let mut r = Reader::new(Bytes::copy_from_slice(bytes), usize::MAX);
        let (allocated, result) = allocated_by(|| MetadataRequest::decode(&mut r, version));
        assert!(matches!(result, Err(DecodeError::Truncated { .. })), "{result:?}");
        assert!(allocated <= SLACK, "{allocated}");
    }
}

#[test]
fn many_small_elements_run_into_the_budget_not_into_memory() {
    use messages::metadata_request::MetadataRequest;
    // A million empty topic names: two bytes each on the wire, dozens in memory.
    let mut bytes = vec![0, 0x0f, 0x42, 0x40];
    bytes.resize(4 + 2 * 1_000_000, 0);
    let (allocated, result) = allocated_by({
        let mut r = Reader::new(Bytes::from(bytes), 1 << 20);
        move || MetadataRequest::decode(&mut r, 0)
    });
    assert_eq!(result, Err(DecodeError::OverBudget));
    assert!(allocated <= SLACK, "{allocated}");
}

#[test]
fn unknown_tagged_fields_are_skipped_wherever_they_stand() {
    use messages::heartbeat_request::HeartbeatRequest;
    let request = HeartbeatRequest { generation_id: 5, ..HeartbeatRequest::default() };
    let mut bytes = encode(&request, 4).to_vec();
    assert_eq!(bytes.pop(), Some(0), "an empty tag section ends the message");
    bytes.extend([2, 40, 3, 1, 2, 3, 0xff, 0x7f, 0]);
    assert_eq!(survive::<HeartbeatRequest>(&bytes, 4), Ok(request));
}
