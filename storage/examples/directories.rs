//! Kring's directories for Apache Kafka's tools, and Apache Kafka's directories for Kring:
//! `cargo run -p kring-storage --example directories -- write <dir>` for `kafka-dump-log`, and
//! `cargo run -p kring-storage --example directories -- open <dir>` on a directory that Kafka has left.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example reports to whoever runs it")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;

use common::*;
use kring_storage::{Log, LogConfig, LogDir, LogName, Offset};
use kring_wire::record::BatchHeader;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["write", path] => write(path.into()),
        ["open", path] => open_all(path.into()),
        _ => {
            eprintln!("usage: directories write|open <dir>");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// A cleanly closed directory.
fn write(path: PathBuf) {
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

/// Opens every partition and reads it whole.
fn open_all(path: PathBuf) {
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
