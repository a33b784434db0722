//! Bytes that nobody here wrote, in the place of every file that a log reads: refused or read, never a panic, and
//! never more memory than a small multiple of the bytes. Bodies of the property tests and of `fuzz/`; no part of Kring.

use std::path::Path;
use std::rc::Rc;

use kring_runtime::fs;
use kring_runtime::sim::{self, SimConfig};

use crate::checkpoint::{self, LogName};
use crate::config::LogConfig;
use crate::dir::LogDir;
use crate::epochs::LeaderEpochs;
use crate::error::LogError;
use crate::index::{OFFSET_ENTRY_BYTES, OffsetIndex, TIME_ENTRY_BYTES, TimeIndex};
use crate::log::Log;
use crate::read::ReadRequest;
use crate::shard::{ShardConfig, ShardStorage};
use crate::snapshot;
use crate::types::{LeaderEpoch, Offset};

/// `.index` of a log of 2 GiB.
pub fn offset_index(bytes: &[u8]) {
    let Ok(index) = OffsetIndex::decode(bytes, i32::MAX as u64) else { return };
    assert!(index.len() * OFFSET_ENTRY_BYTES <= bytes.len());
    assert!(index.heap_bytes() <= 64 + 4 * bytes.len(), "memory in proportion to the file");
    assert!(bytes.starts_with(&index.encode()), "what was read is written as it was");
    for relative in [0, 1, u32::MAX / 2, u32::MAX] {
        assert!(u64::from(index.lookup(relative)) < i32::MAX as u64);
    }
}

/// `.timeindex`.
pub fn time_index(bytes: &[u8]) {
    let Ok(index) = TimeIndex::decode(bytes) else { return };
    assert!(index.len() * TIME_ENTRY_BYTES <= bytes.len());
    assert!(index.heap_bytes() <= 64 + 4 * bytes.len(), "memory in proportion to the file");
    assert!(bytes.starts_with(&index.encode()), "what was read is written as it was");
}

/// `.snapshot`.
pub fn producer_snapshot(bytes: &[u8]) {
    let Ok(states) = snapshot::decode(bytes) else { return };
    assert!(states.len() <= bytes.len() / 46);
    let again = snapshot::decode(&snapshot::encode(&states));
    assert_eq!(again.as_ref(), Ok(&states), "what was read is written as it was");
}

/// `leader-epoch-checkpoint`.
pub fn leader_epochs(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(mut epochs) = LeaderEpochs::decode(text) else { return };
    assert!(epochs.entries().len() <= bytes.len());
    assert_eq!(
        LeaderEpochs::decode(&epochs.encode()).as_ref(),
        Ok(&epochs),
        "what was read is written as it was"
    );
    for at in [0, 1, i64::MAX] {
        epochs.end_offset_for(LeaderEpoch(at as i32), Offset(at));
        epochs.epoch_at(Offset(at));
        epochs.truncate_start(Offset(at));
    }
}

/// `recovery-point-offset-checkpoint` and `log-start-offset-checkpoint`.
pub fn offset_checkpoint(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(offsets) = checkpoint::decode_offsets(text) else { return };
    assert!(offsets.len() <= bytes.len());
    assert_eq!(checkpoint::decode_offsets(&checkpoint::encode_offsets(&offsets)), Ok(offsets));
}

/// `partition.metadata`.
pub fn partition_metadata(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(id) = checkpoint::decode_partition_metadata(text) else { return };
    assert_eq!(checkpoint::decode_partition_metadata(&checkpoint::encode_partition_metadata(id)), Ok(id));
}

/// `meta.properties`, and `.kafka_cleanshutdown`, of which any content will do.
pub fn meta_properties(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    checkpoint::decode_clean_shutdown(text);
    if let Ok(meta) = checkpoint::MetaProperties::decode(text) {
        assert!(meta.cluster_id.len() <= bytes.len());
    }
}

/// A `.log` file after a crash: what recovery accepts is read to its end, and accepted again.
pub fn recovery(bytes: &[u8]) {
    let bytes = Rc::new(bytes.to_vec());
    let run = sim::run(SimConfig::new(1, 1), move |_| {
        let bytes = bytes.clone();
        async move {
            fs::create_dir_all("/data/orders-0").await.expect("a fresh disk");
            fs::write_atomic("/data/orders-0/00000000000000000000.log", &bytes).await.expect("a fresh disk");
            let first = open_and_read().await;
            assert_eq!(first, open_and_read().await, "recovery finds what recovery has left");
        }
    });
    run.expect("it comes to an end");
}

/// Where the log ends, and how many bytes are in it; nothing if it was refused.
async fn open_and_read() -> Option<(Offset, usize)> {
    let dir = LogDir::open(Path::new("/data")).await.expect("only the log is damaged").dir;
    let shard = ShardStorage::new(ShardConfig { tail_cache_bytes: 0, ..ShardConfig::default() });
    let name = LogName::new("orders", 0);
    let (log, _) = match Log::open(&shard, &dir, name, Rc::new(LogConfig::default()), None).await {
        Ok(opened) => opened,
        Err(LogError::Corrupt { .. }) => return None,
        Err(other) => panic!("{other}"),
    };
    let (offset, upto) = (log.offsets().start(), log.offsets().end());
    let request = ReadRequest { offset, upto, max_bytes: usize::MAX, min_one_batch: true };
    let read = log.read(request).await.expect("what recovery has checked is readable");
    Some((upto, read.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{batch_with, three_producers};

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
    }

    /// Bytes flipped, cut out, put in and doubled, a few at a time.
    fn damaged(random: &mut Random, good: &[u8]) -> Vec<u8> {
        let mut bytes = good.to_vec();
        for _ in 0..1 + random.below(4) {
            let at = random.below(bytes.len());
            match random.below(5) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
                1 => bytes.truncate(at),
                2 => bytes.insert(at, random.next() as u8),
                3 => bytes.extend_from_slice(&good[random.below(good.len())..]),
                _ if !bytes.is_empty() => {
                    bytes.remove(at);
                }
                _ => {}
            }
        }
        bytes
    }

    fn survives(body: fn(&[u8]), good: &[u8], rounds: usize) {
        body(good);
        let mut random = Random(good.len() as u64);
        for _ in 0..rounds {
            body(&damaged(&mut random, good));
            let noise: Vec<u8> = (0..random.below(200)).map(|_| random.next() as u8).collect();
            body(&noise);
        }
    }

    const ROUNDS: usize = 4000;

    #[test]
    fn damaged_indexes_are_refused_or_read_in_memory_like_their_size() {
        let (mut offsets, mut times) = (OffsetIndex::default(), TimeIndex::default());
        for i in 1..40u32 {
            offsets.push(i * 3, i * 4500);
            times.push(1_000 + i64::from(i), i * 3);
        }
        survives(offset_index, &offsets.encode(), ROUNDS);
        survives(time_index, &times.encode(), ROUNDS);
    }

    #[test]
    fn damaged_checkpoints_are_refused_or_read_in_memory_like_their_size() {
        survives(leader_epochs, b"0\n3\n1 0\n3 10\n5 30\n", ROUNDS);
        survives(offset_checkpoint, b"0\n2\na 0 5\nb-2 11 9223372036854775807\n", ROUNDS);
        survives(offset_checkpoint, b"0\n999999999\na 0 5\n", ROUNDS);
        survives(partition_metadata, b"version: 0\ntopic_id: AAECAwQFBgcICQoLDA0ODw", ROUNDS);
        let meta = b"#x\ncluster.id=c\ndirectory.id=AAECAwQFBgcICQoLDA0ODw\nnode.id=1\nversion=1\n";
        survives(meta_properties, meta, ROUNDS);
        survives(meta_properties, br#"{"version":0,"brokerEpoch":42}"#, ROUNDS);
    }

    #[test]
    fn damaged_producer_snapshots_are_refused_also_when_their_checksum_is_made_to_hold() {
        let snapshot = snapshot::encode(&three_producers());
        let with_crc = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            if bytes.len() > 6 {
                let crc = crc32c::crc32c(&bytes[6..]);
                bytes[2..6].copy_from_slice(&crc.to_be_bytes());
            }
            producer_snapshot(&bytes);
        };
        survives(producer_snapshot, &snapshot, ROUNDS);
        let mut random = Random(1);
        for _ in 0..ROUNDS {
            with_crc(&damaged(&mut random, &snapshot));
        }
    }

    #[test]
    fn a_damaged_log_recovers_to_whole_batches_and_recovers_again_to_the_same() {
        let mut good = Vec::new();
        for number in 0..6 {
            let batch =
                batch_with(number * 2, 2, 100 + number as usize, 1_000 + number, 7, number as i32 * 2, 0);
            good.extend_from_slice(&[&batch.header[..], &batch.body[..]].concat());
        }
        good.resize(4096, 0);
        survives(recovery, &good, 150);
    }
}
