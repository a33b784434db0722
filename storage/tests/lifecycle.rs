//! Directories, deletion, lookups by time, producers across restarts, and many empty logs. Real backend.

#![allow(clippy::print_stdout, reason = "a test reports to whoever runs it")]

mod common;

use std::rc::Rc;
use std::time::Duration;

use common::*;
use kring_runtime::{fs, now, sleep};
use kring_storage::{
    LeaderEpoch, Log, LogConfig, LogDir, LogError, LogName, MetaProperties, Offset, ProducerBatch,
    ProducerId, ProducerVerdict,
};
use kring_wire::Uuid;

#[test]
fn a_thousand_empty_logs_are_a_directory_each_and_hold_no_file_open() {
    on_shard(|| async {
        let temp = TempDir::new("many");
        let dir = open_dir(temp.path()).await;
        let config = Rc::new(LogConfig::default());
        for round in ["made", "opened"] {
            let (shard, before) = (shard(), now());
            let mut logs = Vec::new();
            for partition in 0..1000 {
                let name = LogName::new("orders", partition);
                let id = Some(Uuid([7; 16]));
                logs.push(Log::open(&shard, &dir, name, config.clone(), id).await.unwrap().0);
            }
            println!("1000 empty logs {round} in {:?}", before.elapsed());
            assert_eq!(shard.open_files(), 0);
        }
        let entries = fs::read_dir(dir.path().join("orders-999")).await.unwrap();
        let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["partition.metadata"], "an empty log is a directory with its metadata");
    });
}

#[test]
fn files_are_held_open_by_use_and_under_the_budget() {
    on_shard(|| async {
        let temp = TempDir::new("budget");
        let dir = open_dir(temp.path()).await;
        let shard = kring_storage::ShardStorage::new(kring_storage::ShardConfig {
            tail_cache_bytes: 0,
            open_files: 10,
            index_cache_bytes: 0,
            ..kring_storage::ShardConfig::default()
        });
        let mut logs = Vec::new();
        for partition in 0..40 {
            let name = LogName::new("orders", partition);
            let log = Log::open(&shard, &dir, name, Rc::new(LogConfig::default()), None).await.unwrap().0;
            append(&log, 3, 100);
            log.flush().await.unwrap();
            logs.push(log);
        }
        for log in &logs {
            assert_eq!(read_all(log, 0).await.len(), read(log, 0, 1 << 20).await.len());
            assert!(shard.open_files() <= 12, "{} files are open", shard.open_files());
        }
    });
}

#[test]
fn a_deleted_log_is_gone_at_once_and_its_files_after_the_delay() {
    on_shard(|| async {
        let temp = TempDir::new("delete");
        let dir = open_dir(temp.path()).await;
        let config = LogConfig { file_delete_delay: Duration::from_millis(50), ..LogConfig::default() };
        let log = open(&shard(), &dir, config.clone()).await;
        append(&log, 1, 100);
        log.delete().await.unwrap();
        assert_eq!(log.wait_durable(Offset(1)).await, Err(LogError::Closed));
        let names: Vec<_> = fs::read_dir(dir.path()).await.unwrap().into_iter().map(|e| e.name).collect();
        assert!(
            names.iter().any(|name| name.starts_with("orders-0.") && name.ends_with("-delete")),
            "{names:?}"
        );
        let again = open(&shard(), &dir, config).await;
        assert_eq!(again.offsets().end(), Offset(0), "the name is free");
        let mut left = true;
        for _ in 0..200 {
            left = fs::read_dir(dir.path()).await.unwrap().iter().any(|e| e.name.ends_with("-delete"));
            if !left {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
        assert!(!left, "the files are removed");
    });
}

#[test]
fn times_are_found_in_every_segment() {
    on_shard(|| async {
        let temp = TempDir::new("times");
        let config = LogConfig { segment_bytes: 8_000, index_interval_bytes: 500, ..LogConfig::default() };
        let log = open(&shard_without_cache(), &open_dir(temp.path()).await, config).await;
        for i in 0..60 {
            let mut spec = spec(i * 3, 3, 150);
            spec.timestamp = 1_000 + i * 100;
            spec.leader_epoch = (i / 20) as i32;
            log.append(batch(spec)).unwrap();
        }
        let found = |timestamp| {
            let log = log.clone();
            async move { log.offset_for_timestamp(timestamp).await.unwrap().map(|f| (f.timestamp, f.offset.0)) }
        };
        assert_eq!(found(0).await, Some((1_000, 0)));
        assert_eq!(found(1_001).await, Some((1_001, 1)));
        assert_eq!(found(1_003).await, Some((1_100, 3)));
        assert_eq!(found(4_702).await, Some((4_702, 113)));
        assert_eq!(found(6_903).await, None);
        let max = log.max_timestamp().await.unwrap().unwrap();
        assert_eq!((max.timestamp, max.offset, max.leader_epoch), (6_902, Offset(179), LeaderEpoch(2)));
        let end = log.end_offset_for_epoch(LeaderEpoch(0)).unwrap();
        assert_eq!((end.epoch, end.end_offset), (LeaderEpoch(0), Offset(60)));
        log.flush().await.unwrap();
        log.delete_records_before(Offset(50)).await.unwrap();
        assert_eq!(found(0).await.map(|(_, offset)| offset), Some(50));
    });
}

#[test]
fn a_retry_is_recognised_after_a_restart_of_either_kind() {
    on_shard(|| async {
        for clean in [true, false] {
            let temp = TempDir::new("producer");
            let retry = ProducerBatch {
                producer_id: ProducerId(5),
                epoch: 0,
                base_sequence: 10,
                last_offset_delta: 9,
                max_timestamp: 0,
                is_transactional: false,
            };
            {
                let dir = open_dir(temp.path()).await;
                let log = open(&shard(), &dir, LogConfig::default()).await;
                for i in 0..2 {
                    let mut spec = spec(i * 10, 10, 20);
                    (spec.producer_id, spec.base_sequence) = (5, i as i32 * 10);
                    spec.timestamp = kring_runtime::wall_ms();
                    log.append(batch(spec)).unwrap();
                }
                log.flush().await.unwrap();
                if clean {
                    log.close().await.unwrap();
                    dir.mark_clean(1).await.unwrap();
                }
            }
            let log = open(&shard(), &open_dir(temp.path()).await, LogConfig::default()).await;
            let verdict = log.check_producer(&retry);
            assert!(
                matches!(verdict, Ok(ProducerVerdict::Duplicate { base_offset: Offset(10), .. })),
                "clean {clean}: {verdict:?}"
            );
        }
    });
}

#[test]
fn deleted_records_stay_deleted_after_a_crash() {
    on_shard(|| async {
        let temp = TempDir::new("start");
        {
            let log = open(&shard(), &open_dir(temp.path()).await, LogConfig::default()).await;
            append(&log, 10, 50);
            log.flush().await.unwrap();
            assert_eq!(log.delete_records_before(Offset(7)).await, Ok(Offset(7)));
            assert_eq!(log.delete_records_before(Offset(3)).await, Ok(Offset(7)));
            assert!(log.delete_records_before(Offset(11)).await.is_err());
        }
        let log = open(&shard(), &reopen_dir(temp.path()).await, LogConfig::default()).await;
        assert_eq!(log.offsets().start(), Offset(7));
    });
}

#[test]
fn a_lost_index_is_rebuilt_when_it_is_needed() {
    on_shard(|| async {
        let temp = TempDir::new("index");
        let config = LogConfig { segment_bytes: 30_000, index_interval_bytes: 1000, ..LogConfig::default() };
        let mut expected = Vec::new();
        let dir = open_dir(temp.path()).await;
        let log = open(&shard(), &dir, config.clone()).await;
        for _ in 0..200 {
            expected.extend(append(&log, 1, 500));
        }
        log.close().await.unwrap();
        dir.mark_clean(1).await.unwrap();
        drop((log, dir));
        let partition = temp.path().join("orders-0");
        let whole = fs::read(partition.join("00000000000000000000.index")).await.unwrap();
        fs::remove_file(partition.join("00000000000000000000.index")).await.unwrap();
        fs::write_atomic(partition.join("00000000000000000000.timeindex"), b"nonsense").await.unwrap();
        let log = open(&shard_without_cache(), &open_dir(temp.path()).await, config).await;
        assert_eq!(read_all(&log, 0).await, expected);
        let rebuilt = fs::read(partition.join("00000000000000000000.index")).await.unwrap();
        assert!(!rebuilt.is_empty() && rebuilt.len() <= whole.len());
    });
}

#[test]
fn a_directory_of_something_else_is_refused_with_a_reason() {
    on_shard(|| async {
        let temp = TempDir::new("foreign");
        fs::write_atomic(temp.path().join("holiday.jpg"), b"x").await.unwrap();
        let refused = LogDir::open(temp.path()).await.map(|_| ()).unwrap_err();
        assert!(refused.to_string().contains("holiday.jpg"), "{refused}");
        fs::remove_file(temp.path().join("holiday.jpg")).await.unwrap();
        let opened = LogDir::open(temp.path()).await.unwrap();
        assert_eq!(opened.meta, None);
        let meta = MetaProperties { cluster_id: "c".into(), node_id: 1, directory_id: Uuid([3; 16]) };
        opened.dir.write_meta(&meta).await.unwrap();
        assert_eq!(
            LogDir::open(temp.path()).await.map(|_| ()),
            Err(LogError::Locked { path: temp.path().into() })
        );
        drop(opened);
        assert_eq!(LogDir::open(temp.path()).await.unwrap().meta, Some(meta));
    });
}

#[test]
fn a_partition_of_another_topic_is_refused() {
    on_shard(|| async {
        let temp = TempDir::new("topic");
        let dir = open_dir(temp.path()).await;
        let log = open(&shard(), &dir, LogConfig::default()).await;
        append(&log, 1, 10);
        log.flush().await.unwrap();
        drop(log);
        let other = Some(Uuid([8; 16]));
        let name = LogName::new("orders", 0);
        let refused = Log::open(&shard(), &dir, name, Rc::new(LogConfig::default()), other).await;
        assert!(matches!(refused.map(|_| ()), Err(LogError::Foreign { .. })));
    });
}
