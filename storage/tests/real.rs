//! A log on the real backend: what is appended is read, what is acknowledged is on disk, what is closed opens again.

mod common;

use std::rc::Rc;

use common::*;
use kring_storage::{LogConfig, LogError, Offset, ReadRequest};

#[test]
fn what_was_appended_is_read_from_memory_and_from_the_file() {
    on_shard(|| async {
        for shard in [shard(), shard_without_cache()] {
            let temp = TempDir::new("read");
            let dir = open_dir(temp.path()).await;
            let log = open(&shard, &dir, LogConfig::default()).await;
            let mut expected = Vec::new();
            for i in 0..200 {
                expected.extend(append(&log, 1 + i % 5, 37 * (i as usize % 41)));
            }
            let end = log.offsets().end();
            log.wait_committed(end).await.unwrap();
            assert_eq!(log.high_watermark(), end);
            assert_eq!(read_all(&log, 0).await, expected);
            log.close().await.unwrap();
        }
    });
}

#[test]
fn a_log_that_changes_between_the_journal_and_flushed_writes_keeps_every_batch() {
    on_shard(|| async {
        let temp = TempDir::new("both-ways");
        let cached = LogConfig { flush_messages: u64::MAX, ..LogConfig::default() };
        let dir = open_dir(temp.path()).await;
        let log = open(&shard_without_cache(), &dir, LogConfig::default()).await;
        let (mut expected, mut at_once) = (Vec::new(), 0);
        for i in 0..300_usize {
            let config = if i / 10 % 2 == 0 { cached.clone() } else { LogConfig::default() };
            log.set_config(Rc::new(config));
            expected.extend(append(&log, 1 + i as i32 % 5, 97 * (i % 43)));
            at_once += usize::from(log.offsets().kept() == log.offsets().end());
            log.wait_committed(log.offsets().end()).await.unwrap();
            assert_eq!(read_all(&log, 0).await.len(), expected.len(), "after batch {i}");
        }
        assert!(at_once > 0, "no batch was kept when its append returned");
        assert_eq!(read_all(&log, 0).await, expected);
        log.close().await.unwrap();
        drop(log);
        dir.mark_clean(1).await.unwrap();
        drop(dir);
        let again = open(&shard_without_cache(), &open_dir(temp.path()).await, cached).await;
        assert_eq!(read_all(&again, 0).await, expected);
    });
}

#[test]
fn a_closed_log_opens_clean_and_goes_on() {
    on_shard(|| async {
        let temp = TempDir::new("reopen");
        let mut expected = Vec::new();
        for round in 0..4 {
            let opened = kring_storage::LogDir::open(temp.path()).await.unwrap();
            assert_eq!(opened.clean_shutdown, (round > 0).then_some(round - 1));
            let log = open(&shard_without_cache(), &opened.dir, LogConfig::default()).await;
            assert_eq!(read_all(&log, 0).await, expected);
            for i in 0..50 {
                expected.extend(append(&log, 2, 100 + i));
            }
            log.close().await.unwrap();
            assert!(opened.dir.mark_clean(round).await.unwrap());
        }
    });
}

#[test]
fn segments_roll_and_reads_cross_them() {
    on_shard(|| async {
        let temp = TempDir::new("roll");
        let config = LogConfig { segment_bytes: 20_000, index_interval_bytes: 1000, ..LogConfig::default() };
        let dir = open_dir(temp.path()).await;
        let log = open(&shard_without_cache(), &dir, config.clone()).await;
        let mut expected = Vec::new();
        for _ in 0..100 {
            expected.extend(append(&log, 3, 300));
        }
        log.flush().await.unwrap();
        assert_eq!(read_all(&log, 0).await, expected);
        let from_within = read_all(&log, 151).await;
        assert!(expected.ends_with(&from_within));
        log.close().await.unwrap();
        drop(log);
        dir.mark_clean(1).await.unwrap();
        drop(dir);
        let again = open(&shard(), &open_dir(temp.path()).await, config).await;
        assert_eq!(read_all(&again, 0).await, expected);
    });
}

#[test]
fn an_offset_inside_a_batch_returns_the_whole_batch() {
    on_shard(|| async {
        let temp = TempDir::new("inside");
        let log = open(&shard_without_cache(), &open_dir(temp.path()).await, LogConfig::default()).await;
        append(&log, 10, 50);
        let second = append(&log, 10, 50);
        log.flush().await.unwrap();
        for offset in 10..20 {
            assert_eq!(read(&log, offset, 1).await, second, "offset {offset}");
        }
    });
}

#[test]
fn a_read_outside_of_the_log_names_its_ends() {
    on_shard(|| async {
        let temp = TempDir::new("range");
        let log = open(&shard(), &open_dir(temp.path()).await, LogConfig::default()).await;
        append(&log, 10, 50);
        log.flush().await.unwrap();
        log.delete_records_before(Offset(4)).await.unwrap();
        let ask = |offset| ReadRequest {
            offset: Offset(offset),
            upto: Offset::MAX,
            max_bytes: 1000,
            min_one_batch: true,
        };
        for offset in [3, 11] {
            let refused = log.read(ask(offset)).await.unwrap_err();
            let expected =
                LogError::OffsetOutOfRange { offset: Offset(offset), start: Offset(4), end: Offset(10) };
            assert_eq!(refused, expected);
        }
        assert!(log.read(ask(10)).await.unwrap().is_empty());
        assert!(!log.read(ask(4)).await.unwrap().is_empty());
    });
}

#[test]
fn a_batch_over_the_limit_is_returned_only_when_one_is_asked_for() {
    on_shard(|| async {
        for shard in [shard(), shard_without_cache()] {
            let temp = TempDir::new("limit");
            let log = open(&shard, &open_dir(temp.path()).await, LogConfig::default()).await;
            let bytes = append(&log, 1, 5000);
            log.flush().await.unwrap();
            let ask = |min_one_batch| ReadRequest {
                offset: Offset(0),
                upto: Offset::MAX,
                max_bytes: 100,
                min_one_batch,
            };
            assert_eq!(log.read(ask(true)).await.unwrap().into_bytes().await.unwrap(), bytes);
            let refused = log.read(ask(false)).await.unwrap();
            assert!(refused.is_empty());
            assert!(refused.first_batch_too_large);
        }
    });
}
