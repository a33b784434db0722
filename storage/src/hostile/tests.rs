//! Damage by chance to every kind of file: bits and bytes changed, cut out, put in, doubled, numbers at the ends of
//! their range, and pieces of another file. A failing seed prints the command that repeats it.

use super::*;
use crate::seeds;

/// The offset of its first batch is so far away that no index has room for it, or that no offset follows.
#[test]
fn a_batch_beyond_all_offsets_is_no_batch_after_a_crash_and_after_an_orderly_end() {
    for base in [1i64 << 32, i64::MAX - 1, i64::MAX] {
        for mut log in corpus::logs() {
            log[..8].copy_from_slice(&base.to_be_bytes());
            recovery_mended(&log);
            clean_start(&log);
        }
    }
}

/// Splitmix64: one seed, one sequence.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z ^ (z >> 29)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn one_of<'a>(&mut self, all: &'a [Vec<u8>]) -> &'a [u8] {
        &all[self.below(all.len())]
    }

    fn noise(&mut self) -> Vec<u8> {
        (0..self.below(200)).map(|_| self.next() as u8).collect()
    }

    /// A number as readers fear them, in as many bytes as fields have.
    fn number(&mut self) -> Vec<u8> {
        let value = [0, 1, -1, i64::MAX, i64::MIN, i64::from(i32::MAX), i64::from(i32::MIN), 1 << 32];
        let value = value[self.below(value.len())].to_be_bytes();
        value[8 - [1, 2, 4, 8][self.below(4)]..].to_vec()
    }
}

/// One change of the bytes of a file.
fn damage(random: &mut Random, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    let at = random.below(bytes.len());
    match random.below(8) {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, random.next() as u8),
        2 => splice(random, bytes, corpus),
        3 => _ = bytes.drain(at..(at + random.below(70)).min(bytes.len())),
        4 if !bytes.is_empty() => bytes[at] = random.next() as u8,
        5 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
        _ => {
            let number = random.number();
            let end = (at + number.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&number[..end - at]);
        }
    }
}

/// The end of another file behind the beginning of this one.
fn splice(random: &mut Random, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    let other = random.one_of(corpus);
    bytes.truncate(random.below(bytes.len() + 1));
    bytes.extend_from_slice(&other[random.below(other.len())..]);
}

/// Each seed damages each file of these targets a few times, and shows it noise.
fn survive(count: u64, test: &str, names: &[&str]) {
    let targets: Vec<Target> = targets().into_iter().filter(|it| names.contains(&it.name)).collect();
    assert_eq!(targets.len(), names.len());
    for target in &targets {
        target.corpus.iter().for_each(|whole| (target.body)(whole));
    }
    seeds::hold(count, test, |seed| {
        let mut random = Random(seed);
        for target in &targets {
            let mut bytes = random.one_of(&target.corpus).to_vec();
            for _ in 0..1 + random.below(4) {
                damage(&mut random, &mut bytes, &target.corpus);
                (target.body)(&bytes);
            }
            (target.body)(&random.noise());
        }
    });
}

#[test]
fn damaged_indexes_are_refused_or_read_in_memory_like_their_size() {
    survive(10_000, "damaged_indexes_are_refused", &["offset_index", "time_index", "txn_index"]);
}

#[test]
fn damaged_checkpoints_are_refused_or_read_in_memory_like_their_size() {
    let names = ["leader_epochs", "offset_checkpoint", "partition_metadata", "meta_properties"];
    survive(10_000, "damaged_checkpoints_are_refused", &names);
}

#[test]
fn damaged_producer_snapshots_are_refused_also_when_their_checksum_is_made_to_hold() {
    let names = ["producer_snapshot", "producer_snapshot_mended"];
    survive(10_000, "damaged_producer_snapshots", &names);
}

#[test]
fn a_damaged_log_recovers_to_whole_batches_and_recovers_again_to_the_same() {
    survive(150, "a_damaged_log_recovers", &["recovery"]);
}

#[test]
fn a_damaged_log_whose_checksums_hold_recovers_to_whole_batches_and_recovers_again_to_the_same() {
    survive(400, "a_damaged_log_whose_checksums_hold", &["recovery_mended"]);
}

#[test]
fn a_log_that_was_damaged_after_an_orderly_end_opens_to_whole_batches_and_again_to_the_same() {
    survive(400, "a_log_that_was_damaged_after", &["clean_start"]);
}
