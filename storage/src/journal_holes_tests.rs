//! Ways in which a journal could give a log what is not its own, or withhold what is: each one is taken here, and shown to
//! lead there when what bars it is taken away. Tests only.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use kring_runtime::sim::{DiskOp, disk};
use kring_runtime::sleep;

use crate::batch::LogBatch;
use crate::checkpoint::LogName;
use crate::config::LogConfig;
use crate::dir::LogDir;
use crate::journal::forged;
use crate::journal_tests::processes;
use crate::log::Log;
use crate::mutation::Mutation;
use crate::seeds;
use crate::shard::{ShardConfig, ShardStorage};
use crate::testing::{batch_of, batch_with};
use crate::types::{Offset, ProducerId};

/// "No space left on device".
const NO_SPACE: i32 = 28;

/// Each holds by itself, and not with the bug.
fn bars(mutation: Mutation, scenario: fn(u64)) {
    scenario(0);
    seeds::catch(mutation, 1, scenario);
}

fn unflushed() -> LogConfig {
    LogConfig {
        flush_messages: u64::MAX,
        segment_ms: i64::MAX,
        producer_id_expiration_ms: i64::MAX,
        ..LogConfig::default()
    }
}

fn two_blocks() -> ShardStorage {
    ShardStorage::new(ShardConfig { journal_bytes: 2 << 20, tail_cache_bytes: 0, ..ShardConfig::default() })
}

async fn open(topic: &str, config: LogConfig) -> (LogDir, Log) {
    let dir = LogDir::open(Path::new("/data")).await.unwrap().dir;
    let log = open_in(&dir, &two_blocks(), topic, config).await;
    (dir, log)
}

async fn open_in(dir: &LogDir, shard: &ShardStorage, topic: &str, config: LogConfig) -> Log {
    Log::open(shard, dir, LogName::new(topic, 0), Rc::new(config), None).await.unwrap().0
}

/// The journal is there when this is over.
async fn append(log: &Log, batch: LogBatch) {
    log.append(batch).unwrap();
    log.wait_kept(log.offsets().end()).await.unwrap();
    sleep(Duration::from_millis(5)).await;
}

fn holding(base: Offset, body: Vec<u8>) -> LogBatch {
    let mut batch = batch_of(base.0, 1, 0);
    let length = batch.header.len() - 12 + body.len();
    batch.header[8..12].copy_from_slice(&(length as i32).to_be_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&batch.header[21..]), &body);
    batch.header[17..21].copy_from_slice(&crc.to_be_bytes());
    LogBatch { header: batch.header, body: Bytes::from(body) }
}

/// A client fills the first block with entries for the block that will lie there next, and then begins that one with an
/// entry that ends just where its own begins.
fn forging(seed: u64) {
    processes(
        seed,
        [
            || {
                Box::pin(async {
                    let dir = LogDir::open(Path::new("/data")).await.unwrap().dir;
                    let shard = two_blocks();
                    let _victim = open_in(&dir, &shard, "orders", unflushed()).await;
                    let log = open_in(&dir, &shard, "clicks", unflushed()).await;
                    // The first waits for the log's directory, the second for the journal.
                    append(&log, batch_of(0, 1, 8)).await;
                    append(&log, batch_of(1, 1, 8)).await;
                    // An entry is 56 bytes, the topic's name, 61 bytes and the body, in multiples of eight.
                    let entry = forged(2, &LogName::new("orders", 0), &batch_of(0, 1, 100));
                    append(&log, holding(Offset(2), [vec![0; 5], entry].concat())).await;
                    assert!(log.offsets().written() < log.offsets().kept(), "{:?}", log.offsets());
                    // Ten of them are all that a block has room for; the last of the second block fills it to the end.
                    let lengths = [[100_000; 20].as_slice(), &[47_141]].concat();
                    for length in lengths {
                        append(&log, holding(log.offsets().end(), vec![7; length])).await;
                    }
                    log.flush().await.unwrap();
                    append(&log, holding(log.offsets().end(), vec![7; 5])).await;
                })
            },
            || {
                Box::pin(async {
                    let (_dir, victim) = open("orders", unflushed()).await;
                    assert_eq!(victim.offsets().end(), Offset(0), "nothing was ever appended to it");
                })
            },
        ],
    );
}

#[test]
fn a_client_cannot_write_what_a_start_takes_for_entries_of_other_logs() {
    bars(Mutation::NumberFromZero, forging);
}

/// The newest segment cannot be made when all that is older is too old.
fn deleting(seed: u64) {
    const SILENT: ProducerId = ProducerId(8);
    fn config() -> LogConfig {
        LogConfig { segment_bytes: 3000, retention_ms: None, retention_bytes: None, ..unflushed() }
    }
    processes(
        seed,
        [
            || {
                Box::pin(async {
                    let (_dir, log) = open("orders", config()).await;
                    disk().fail_from(DiskOp::Open, "00000000000000000003.log", 0, NO_SPACE);
                    for sequence in 0..3 {
                        append(&log, batch_with(sequence.into(), 1, 900, 1000, SILENT.0, sequence, 0)).await;
                    }
                    append(&log, batch_with(3, 1, 900, 1000, 7, 0, 0)).await;
                    sleep(Duration::from_secs(3)).await;
                    log.set_config(Rc::new(LogConfig { retention_bytes: Some(1), ..config() }));
                    log.delete_old_segments().await.unwrap();
                    sleep(Duration::from_secs(90)).await;
                })
            },
            || {
                Box::pin(async {
                    disk().heal();
                    let (_dir, log) = open("orders", config()).await;
                    assert_eq!(log.offsets().end(), Offset(4));
                    let sequence = log.producers(|all| all.get(SILENT).map(|known| known.last_sequence()));
                    assert_eq!(sequence, Some(2), "a repeated batch of its would be taken for a new one");
                })
            },
        ],
    );
}

#[test]
fn a_log_keeps_its_oldest_files_until_newer_ones_are_there() {
    bars(Mutation::DeleteUnfollowed, deleting);
}
