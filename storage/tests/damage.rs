//! Files damaged behind a log's back, on the real disk: what the log does about it, test by test.

mod common;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use common::*;
use kring_runtime::fs;
use kring_storage::{Log, LogConfig, LogDir, LogError, LogName, Offset};

const BATCHES: i64 = 40;
/// Bytes of each batch below: one record of 1000 bytes.
const BATCH: u64 = 61 + 1009;
const LOG: &str = "00000000000000000000.log";

fn config() -> LogConfig {
    LogConfig { index_interval_bytes: 2000, ..LogConfig::default() }
}

/// How the directory was left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Closed,
    /// With a checkpoint that covers all, or none.
    Crashed {
        covered: bool,
    },
}

/// A log of forty batches of a kibibyte, and what they are.
async fn make(path: &Path, left: Left) -> Vec<u8> {
    let dir = open_dir(path).await;
    let log = open(&shard(), &dir, config()).await;
    let mut expected = Vec::new();
    for _ in 0..BATCHES {
        expected.extend(append(&log, 1, 1000));
    }
    assert_eq!(expected.len() as u64, BATCHES as u64 * BATCH);
    log.flush().await.unwrap();
    match left {
        Left::Closed => {
            log.close().await.unwrap();
            assert!(dir.mark_clean(1).await.unwrap());
        }
        Left::Crashed { covered: true } => dir.write_checkpoints().await.unwrap(),
        Left::Crashed { covered: false } => {}
    }
    expected
}

async fn reopen(path: &Path) -> Result<Log, LogError> {
    let dir = LogDir::open(path).await?.dir;
    let name = LogName::new("orders", 0);
    Log::open(&shard_without_cache(), &dir, name, Rc::new(config()), None).await.map(|(log, _)| log)
}

fn file(path: &Path, name: &str) -> PathBuf {
    path.join("orders-0").join(name)
}

/// Flips one bit of a byte.
async fn flip(path: &Path, at: u64) {
    let mut bytes = fs::read(path).await.unwrap();
    bytes[at as usize] ^= 4;
    fs::write_atomic(path, &bytes).await.unwrap();
}

fn corrupt_at(refused: Result<Log, LogError>) -> (PathBuf, u64) {
    match refused.map(|_| ()) {
        Err(LogError::Corrupt { path, position, .. }) => (path, position),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_tail_cut_short_by_a_crash_ends_at_the_last_whole_batch_and_is_written_on() {
    on_shard(|| async {
        let temp = TempDir::new("short");
        let expected = make(temp.path(), Left::Crashed { covered: false }).await;
        fs::set_len(file(temp.path(), LOG), 30 * BATCH + 500).await.unwrap();
        let log = reopen(temp.path()).await.unwrap();
        assert_eq!(log.offsets().end(), Offset(30));
        assert_eq!(read_all(&log, 0).await, expected[..30 * BATCH as usize]);
        append(&log, 1, 1000);
        log.flush().await.unwrap();
        assert_eq!(read_all(&log, 0).await.len() as u64, 31 * BATCH);
    });
}

#[test]
fn a_flipped_bit_above_the_recovery_point_ends_the_log_before_its_batch() {
    on_shard(|| async {
        let temp = TempDir::new("above");
        let expected = make(temp.path(), Left::Crashed { covered: false }).await;
        flip(&file(temp.path(), LOG), 25 * BATCH + 700).await;
        let log = reopen(temp.path()).await.unwrap();
        assert_eq!(log.offsets().end(), Offset(25));
        assert_eq!(read_all(&log, 0).await, expected[..25 * BATCH as usize]);
    });
}

#[test]
fn a_log_that_is_shorter_than_what_was_durable_is_refused_and_left_as_it_is() {
    on_shard(|| async {
        for left in [Left::Closed, Left::Crashed { covered: true }] {
            let temp = TempDir::new("durable");
            make(temp.path(), left).await;
            fs::set_len(file(temp.path(), LOG), 30 * BATCH + 500).await.unwrap();
            let named = corrupt_at(reopen(temp.path()).await);
            assert_eq!(named, (file(temp.path(), LOG), 30 * BATCH));
            assert_eq!(fs::len(file(temp.path(), LOG)).await.unwrap(), 30 * BATCH + 500);
        }
    });
}

#[test]
fn after_an_orderly_end_nothing_is_scanned_and_a_flipped_bit_is_for_the_consumers_checksum() {
    on_shard(|| async {
        let temp = TempDir::new("clean");
        let mut expected = make(temp.path(), Left::Closed).await;
        flip(&file(temp.path(), LOG), 10 * BATCH + 700).await;
        let log = reopen(temp.path()).await.unwrap();
        expected[10 * BATCH as usize + 700] ^= 4;
        assert_eq!(read_all(&log, 0).await, expected, "every byte is served as it is on disk");
    });
}

#[test]
fn a_batch_header_damaged_after_an_orderly_end_is_an_error_that_names_file_and_position() {
    on_shard(|| async {
        let temp = TempDir::new("header");
        make(temp.path(), Left::Closed).await;
        // The magic of a batch in the middle.
        flip(&file(temp.path(), LOG), 10 * BATCH + 16).await;
        let log = reopen(temp.path()).await.unwrap();
        let request = kring_storage::ReadRequest {
            offset: Offset(10),
            upto: Offset(40),
            max_bytes: 1000,
            min_one_batch: true,
        };
        match log.read(request).await {
            Err(LogError::Corrupt { path, position, .. }) => {
                assert_eq!((path, position), (file(temp.path(), LOG), 10 * BATCH));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(read(&log, 39, 1 << 20).await.len() as u64, BATCH, "what lies elsewhere is read");
    });
}

#[test]
fn any_flipped_bit_of_an_index_leaves_every_record_readable_or_is_an_error_never_a_gap() {
    on_shard(|| async {
        let temp = TempDir::new("index");
        let expected = make(temp.path(), Left::Closed).await;
        let index = file(temp.path(), "00000000000000000000.index");
        let good = fs::read(&index).await.unwrap();
        let marker = fs::read(temp.path().join(".kafka_cleanshutdown")).await.unwrap();
        assert!(good.len() >= 10 * 8, "{} bytes", good.len());
        for bit in (0..good.len() * 8).step_by(3) {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            fs::write_atomic(&index, &bad).await.unwrap();
            fs::write_atomic(temp.path().join(".kafka_cleanshutdown"), &marker).await.unwrap();
            let log = reopen(temp.path()).await.unwrap();
            for offset in 0..BATCHES {
                let request = kring_storage::ReadRequest {
                    offset: Offset(offset),
                    upto: Offset(BATCHES),
                    max_bytes: 1,
                    min_one_batch: true,
                };
                let at = offset as usize * BATCH as usize;
                match log.read(request).await {
                    Ok(chunk) => {
                        let bytes = chunk.into_bytes().await.unwrap();
                        assert_eq!(
                            bytes[..],
                            expected[at..at + BATCH as usize],
                            "bit {bit}, offset {offset}"
                        );
                    }
                    Err(error) => assert!(matches!(error, LogError::Corrupt { .. }), "{error}"),
                }
            }
        }
    });
}

#[test]
fn a_damaged_producer_snapshot_is_not_believed() {
    on_shard(|| async {
        let temp = TempDir::new("snapshot");
        make(temp.path(), Left::Closed).await;
        flip(&file(temp.path(), "00000000000000000040.snapshot"), 7).await;
        let log = reopen(temp.path()).await.unwrap();
        assert_eq!(log.producers(|states| states.len()), 0);
        assert_eq!(log.offsets().end(), Offset(BATCHES));
    });
}

#[test]
fn a_damaged_epoch_file_or_partition_metadata_refuses_its_partition() {
    on_shard(|| async {
        for name in ["leader-epoch-checkpoint", "partition.metadata"] {
            let temp = TempDir::new("epochs");
            make(temp.path(), Left::Closed).await;
            fs::write_atomic(file(temp.path(), name), b"x").await.unwrap();
            assert_eq!(corrupt_at(reopen(temp.path()).await).0, file(temp.path(), name));
        }
    });
}
