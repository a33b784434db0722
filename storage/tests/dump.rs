//! Kring's directories for Apache Kafka's tools, and Apache Kafka's directories for Kring. Run by hand or by interop:
//! `KRING_DUMP_DIR=<dir> cargo test -p kring-storage --test dump for_kafkas_tools -- --ignored`, then `kafka-dump-log`;
//! `KRING_OPEN_DIR=<dir> cargo test -p kring-storage --test dump by_kafka -- --ignored` on a directory Kafka has left.

#![allow(clippy::print_stdout, reason = "a test reports to whoever runs it")]

mod common;

use std::rc::Rc;

use common::*;
use kring_storage::{Log, LogConfig, LogDir, LogName, Offset};
use kring_wire::record::BatchHeader;

#[test]
#[ignore = "writes where KRING_DUMP_DIR says, for tools outside of the tests"]
fn a_cleanly_closed_directory_for_kafkas_tools() {
    let Some(path) = std::env::var_os("KRING_DUMP_DIR") else { return };
    on_shard(move || {
        let path = path.clone();
        async move {
            let dir = open_dir(path.as_ref()).await;
            let config =
                LogConfig { segment_bytes: 100_000, index_interval_bytes: 1000, ..LogConfig::default() };
            let log = open(&shard(), &dir, config).await;
            for i in 0..500 {
                let mut spec = spec(log.offsets().end().0, 1 + (i % 7) as i32, 40 + 13 * (i as usize % 50));
                if i % 2 == 0 {
                    (spec.producer_id, spec.base_sequence) = (1000 + i % 3, 0);
                }
                spec.leader_epoch = (i / 100) as i32;
                log.append(batch(spec)).unwrap();
            }
            log.flush().await.unwrap();
            log.delete_records_before(Offset(100)).await.unwrap();
            log.close().await.unwrap();
            let empty = LogName::new("empty", 3);
            Log::open(&shard(), &dir, empty, Rc::default(), None).await.unwrap().0.close().await.unwrap();
            assert!(dir.mark_clean(42).await.unwrap());
        }
    });
}

#[test]
#[ignore = "reads what KRING_OPEN_DIR says"]
fn a_directory_written_by_kafka_opens_and_every_batch_is_whole() {
    let Some(path) = std::env::var_os("KRING_OPEN_DIR") else { return };
    on_shard(move || {
        let path = path.clone();
        async move {
            let opened = LogDir::open(path.as_ref()).await.unwrap();
            assert!(opened.meta.is_some());
            for name in opened.partitions {
                let (log, report) =
                    Log::open(&shard_without_cache(), &opened.dir, name.clone(), Rc::default(), None)
                        .await
                        .unwrap();
                let bytes = read_all(&log, log.offsets().start().0).await;
                let batches = check_batches(&bytes);
                let producers = log.producers(|states| states.len());
                let newest = log.max_timestamp().await.unwrap();
                println!(
                    "{name}: {:?} {batches} batches, {producers} producers, {newest:?}, {report:?}",
                    log.offsets()
                );
                log.close().await.unwrap();
            }
            opened.dir.mark_clean(-1).await.unwrap();
        }
    });
}

/// Checks every checksum; returns how many there are.
fn check_batches(mut bytes: &[u8]) -> usize {
    let mut batches = 0;
    while let Some(header) = BatchHeader::parse(bytes) {
        let (batch, rest) = bytes.split_at(header.size_bytes() as usize);
        assert_eq!(crc32c::crc32c(&batch[21..]), header.crc, "batch at offset {}", header.base_offset);
        (bytes, batches) = (rest, batches + 1);
    }
    assert!(bytes.is_empty());
    batches
}
