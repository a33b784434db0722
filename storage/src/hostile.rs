//! Bytes that nobody here wrote, in the place of every file that a log reads: refused or read, never a panic, and
//! never more memory than a small multiple of the bytes. Bodies of the property tests and of `fuzz/`; no part of Kring.
//!
//! | file | what it does |
//! |---|---|
//! | `corpus` | whole files of each kind, for damage to begin with |
//! | `tests` | damage by chance |

mod corpus;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use corpus::three_producers;

use std::path::Path;
use std::rc::Rc;

use kring_runtime::fs;
use kring_runtime::sim::{self, SimConfig};

use crate::batch::{BatchInfo, CRC_FROM};
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
use crate::txn_index;
use crate::types::{LeaderEpoch, Offset};

const CRC_AT: usize = 17;

/// Something that reads a kind of file, and whole files of that kind.
pub struct Target {
    pub name: &'static str,
    pub body: fn(&[u8]),
    pub corpus: Vec<Vec<u8>>,
}

/// All of them.
pub fn targets() -> Vec<Target> {
    let target = |name, body, corpus| Target { name, body, corpus };
    vec![
        target("offset_index", offset_index as fn(&[u8]), corpus::offset_indexes()),
        target("time_index", time_index, corpus::time_indexes()),
        target("txn_index", txn_index, corpus::txn_indexes()),
        target("producer_snapshot", producer_snapshot, corpus::snapshots()),
        target("producer_snapshot_mended", producer_snapshot_mended, corpus::snapshots()),
        target("leader_epochs", leader_epochs, corpus::leader_epochs()),
        target("offset_checkpoint", offset_checkpoint, corpus::offset_checkpoints()),
        target("partition_metadata", partition_metadata, corpus::partition_metadata()),
        target("meta_properties", meta_properties, corpus::meta_properties()),
        target("recovery", recovery, corpus::logs()),
        target("recovery_mended", recovery_mended, corpus::logs()),
        target("clean_start", clean_start, corpus::logs()),
    ]
}

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

/// `.txnindex`, of a segment that begins at 0.
pub fn txn_index(bytes: &[u8]) {
    let Ok(entries) = txn_index::decode_of(Offset::ZERO, bytes) else { return };
    assert_eq!(entries.len() * txn_index::ENTRY_BYTES, bytes.len());
    assert!(entries.is_sorted_by_key(|entry| entry.last_offset), "in the order of their markers");
    assert_eq!(txn_index::encode(&entries), bytes, "what was read is written as it was");
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

/// As [`producer_snapshot`], of bytes whose checksum holds: a fuzzer does not find one.
pub fn producer_snapshot_mended(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    if bytes.len() > 6 {
        let crc = crc32c::crc32c(&bytes[6..]);
        bytes[2..6].copy_from_slice(&crc.to_be_bytes());
    }
    producer_snapshot(&bytes);
}

/// As [`recovery`], of batches whose checksums hold.
pub fn recovery_mended(bytes: &[u8]) {
    let (mut bytes, mut at) = (bytes.to_vec(), 0);
    while let Ok(info) = BatchInfo::parse(&bytes[at..]) {
        let end = at + info.bytes as usize;
        if end > bytes.len() {
            break;
        }
        let crc = crc32c::crc32c(&bytes[at + CRC_FROM..end]);
        bytes[at + CRC_AT..at + CRC_FROM].copy_from_slice(&crc.to_be_bytes());
        at = end;
    }
    recovery(&bytes);
}

/// A `.log` file after a crash: what recovery accepts is read to its end, and accepted again.
pub fn recovery(bytes: &[u8]) {
    opens_twice_alike(bytes, false);
}

/// A `.log` file that was changed after an orderly end.
pub fn clean_start(bytes: &[u8]) {
    opens_twice_alike(bytes, true);
}

fn opens_twice_alike(bytes: &[u8], is_clean: bool) {
    let bytes = Rc::new(bytes.to_vec());
    let run = sim::run(SimConfig::new(1, 1), move |_| {
        let bytes = bytes.clone();
        async move {
            fs::create_dir_all("/data/orders-0").await.expect("a fresh disk");
            fs::write_atomic("/data/orders-0/00000000000000000000.log", &bytes).await.expect("a fresh disk");
            let first = open_and_read(is_clean).await;
            assert_eq!(first, open_and_read(is_clean).await, "recovery finds what recovery has left");
        }
    });
    run.expect("it comes to an end");
}

/// Where the log ends, and how many bytes are in it; nothing if it was refused.
async fn open_and_read(is_clean: bool) -> Option<(Offset, usize)> {
    if is_clean {
        let marker = checkpoint::encode_clean_shutdown(1);
        fs::write_atomic("/data/.kafka_cleanshutdown", marker.as_bytes()).await.expect("a working disk");
    }
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
