//! Truncation on the simulated disk, case by case; chance is in `model`. Tests only.

use std::future::Future;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use kring_runtime::sim::{Sim, SimConfig};
use kring_runtime::{Queue, fs, sleep, spawn, yield_now};

use crate::checkpoint::LogName;
use crate::config::LogConfig;
use crate::dir::LogDir;
use crate::error::LogError;
use crate::log::Log;
use crate::read::ReadRequest;
use crate::shard::{ShardConfig, ShardStorage};
use crate::testing::batch_with;
use crate::types::{LeaderEpoch, Offset, ProducerId};

fn once<F: Future<Output = ()> + 'static>(sim: &Sim, body: impl Fn() -> F) {
    sim.run(|_| body()).unwrap_or_else(|error| panic!("{error}")).finished();
}

async fn open() -> (LogDir, Log) {
    let dir = LogDir::open(Path::new("/data")).await.unwrap().dir;
    let shard = ShardStorage::new(ShardConfig::default());
    let config = LogConfig {
        segment_bytes: 5000,
        producer_id_expiration_ms: i64::MAX,
        segment_ms: i64::MAX,
        ..LogConfig::default()
    };
    let log = Log::open(&shard, &dir, LogName::new("orders", 0), Rc::new(config), None).await.unwrap().0;
    (dir, log)
}

/// Batches of three records and 1000 bytes, each of its own leader epoch: four fill a segment.
async fn put(log: &Log, batches: i32) {
    for _ in 0..batches {
        let base = log.offsets().end().0;
        log.append(batch_with(base, 3, 939, 1000 + base, 5, base as i32, (base / 3) as i32)).unwrap();
    }
    log.flush().await.unwrap();
}

fn read(offset: i64) -> ReadRequest {
    ReadRequest { offset: Offset(offset), upto: Offset::MAX, max_bytes: 1 << 20, min_one_batch: true }
}

#[test]
fn a_truncation_takes_the_batch_that_holds_the_offset_and_what_is_known_of_it() {
    let sim = Sim::new(SimConfig::new(1, 1));
    once(&sim, || async {
        let (_dir, log) = open().await;
        put(&log, 20).await;
        assert_eq!(log.truncate_to(Offset(100)).await, Ok(Offset(60)), "it ends before");
        assert_eq!(log.truncate_to(Offset(19)).await, Ok(Offset(18)));
        assert_eq!((log.high_watermark(), log.offsets().durable()), (Offset(18), Offset(18)));
        assert_eq!(log.latest_epoch(), Some(LeaderEpoch(5)));
        assert_eq!(log.producers(|all| all.get(ProducerId(5)).unwrap().last_sequence()), 17);
        put(&log, 1).await;
        assert_eq!(log.offsets().end(), Offset(21));
    });
    once(&sim, || async {
        let (_dir, log) = open().await;
        assert_eq!((log.offsets().end(), log.size_bytes()), (Offset(21), 7000));
        sleep(Duration::from_secs(1)).await;
        let names = fs::read_dir("/data/orders-0").await.unwrap();
        let is_cut_off = |name: &str| name.starts_with('0') && name >= "00000000000000000022";
        assert!(!names.iter().any(|entry| is_cut_off(&entry.name)), "{names:?}");
    });
}

#[test]
fn a_log_is_truncated_as_far_as_its_start_and_no_further() {
    once(&Sim::new(SimConfig::new(2, 1)), || async {
        let (_dir, log) = open().await;
        put(&log, 20).await;
        log.delete_records_before(Offset(31)).await.unwrap();
        let refused = log.truncate_to(Offset(30)).await.unwrap_err();
        assert!(matches!(refused, LogError::OffsetOutOfRange { .. }), "{refused}");
        assert_eq!(log.offsets().end(), Offset(60));
        // The batch that goes holds the start: nothing that can be read is left.
        assert_eq!(log.truncate_to(Offset(32)).await, Ok(Offset(32)));
        assert_eq!((log.offsets().start(), log.size_bytes()), (Offset(32), 0));
        put(&log, 2).await;
        assert_eq!(log.read(read(32)).await.unwrap().into_bytes().await.unwrap().len(), 2000);
    });
}

#[test]
fn readers_meet_the_new_end_and_never_a_batch_that_was_cut_off() {
    for seed in 0..100 {
        once(&Sim::new(SimConfig::new(seed, 1)), || async {
            let (_dir, log) = open().await;
            put(&log, 20).await;
            let cutting = log.clone();
            let cut = spawn(Queue::Net, async move { cutting.truncate_to(Offset(30)).await });
            let mut before = 0;
            while !cut.is_finished() {
                match log.read(read(30)).await {
                    Ok(chunk) if chunk.is_empty() => assert_eq!(log.offsets().end(), Offset(30)),
                    Ok(_) => before += 1,
                    Err(error) => panic!("{error}"),
                }
                assert!(!log.read(read(27)).await.unwrap().is_empty());
                yield_now().await;
            }
            assert_eq!(cut.await, Ok(Offset(30)));
            assert!(before > 0, "the truncation takes its time");
            assert!(log.read(read(30)).await.unwrap().is_empty());
        });
    }
}
