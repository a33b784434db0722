//! Writes that bring their own flush, beside writes that do not: what the first must not be taken for. Tests only.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join;
use kring_runtime::sim::{Disk, DiskOp, RunEnd, Sim, SimConfig, crash};
use kring_runtime::{Queue, sleep, spawn, timeout};

use crate::checkpoint::LogName;
use crate::config::LogConfig;
use crate::dir::LogDir;
use crate::log::Log;
use crate::mutation::Mutation;
use crate::seeds;
use crate::shard::{ShardConfig, ShardStorage};
use crate::testing::batch_with;
use crate::types::Offset;

const ENOSPC: i32 = 28;
const LOG_FILE: &str = ".log";

async fn one_log() -> (LogDir, Log) {
    let dir = LogDir::open(Path::new("/data")).await.unwrap().dir;
    let shard = ShardStorage::new(ShardConfig::default());
    let opened =
        Log::open(&shard, &dir, LogName::new("orders", 0), Rc::new(LogConfig::default()), None).await;
    (dir, opened.unwrap().0)
}

/// More than a block, so that the next write does not write all of it again.
fn put(log: &Log) -> Offset {
    put_bytes(log, 10_000)
}

fn put_bytes(log: &Log, bytes: usize) -> Offset {
    let base = log.offsets().end().0;
    log.append(batch_with(base, 1, bytes, 1_000 + base, -1, -1, 0)).unwrap();
    log.offsets().end()
}

fn flushes(disk: &Disk, before: u64) -> u64 {
    disk.data_syncs() - before
}

/// One batch is awaited written, and the next one durable while the flush of the first is under way; then the power
/// goes. Both are there.
fn power_goes_after_a_write_that_flushed_itself(seed: u64) {
    let sim = Sim::new(SimConfig::new(seed, 1));
    let first = sim.run(|_| async {
        let (_dir, log) = one_log().await;
        log.wait_kept(put(&log)).await.unwrap();
        // So much does not wait for the flush of what is before it.
        log.wait_durable(put_bytes(&log, 300_000)).await.unwrap();
        crash().await;
    });
    assert!(matches!(first.unwrap(), RunEnd::Crashed));
    let end = sim.run(|_| async { one_log().await.1.offsets().end() }).unwrap().finished()[0];
    assert_eq!(end, Offset(2));
}

#[test]
fn what_was_written_before_and_not_flushed_is_not_taken_for_flushed() {
    let name = "what_was_written_before_and_not_flushed";
    seeds::hold(50, name, power_goes_after_a_write_that_flushed_itself);
    seeds::catch(Mutation::FlushOnlyTheNewest, 50, power_goes_after_a_write_that_flushed_itself);
}

#[test]
fn growth_counts_all_logs_whatever_they_flush_and_begins_anew_when_it_was_told() {
    let body = |_| async {
        let dir = LogDir::open(Path::new("/data")).await.unwrap().dir;
        let shard = ShardStorage::new(ShardConfig::default());
        let open = async |name: &str, flush_messages: u64| {
            let config = Rc::new(LogConfig { flush_messages, ..LogConfig::default() });
            Log::open(&shard, &dir, LogName::new(name, 0), config, None).await.unwrap().0
        };
        let (flushed, cached) = (open("flushed", 1).await, open("cached", u64::MAX).await);
        let grown = async |bytes: u64| timeout(Duration::ZERO, shard.grown_by(bytes)).await.is_ok();
        assert!(!grown(15_000).await);
        put(&flushed);
        assert!(!grown(15_000).await);
        put(&cached);
        assert!(grown(15_000).await);
        assert!(!grown(15_000).await);
        let waiting = shard.grown_by(15_000);
        let growing = async { (0..2).for_each(|_| assert!(put(&flushed) > Offset::ZERO)) };
        join(waiting, growing).await;
    };
    Sim::new(SimConfig::new(3, 1)).run(body).unwrap().finished();
}

#[test]
fn a_durable_append_is_one_write_and_no_flush_beside_it() {
    let sim = Sim::new(SimConfig::new(1, 1));
    let disk = sim.disk();
    let body = move |_| {
        let disk = disk.clone();
        async move {
            let (_dir, log) = one_log().await;
            log.wait_durable(put(&log)).await.unwrap();
            let before = disk.data_syncs();
            log.wait_durable(put(&log)).await.unwrap();
            assert_eq!(flushes(&disk, before), 1, "the one that the write brings");
            log.wait_kept(put(&log)).await.unwrap();
            assert_eq!(flushes(&disk, before), 1, "acks=1 waits for none");
            log.wait_durable(log.offsets().end()).await.unwrap();
            assert_eq!(flushes(&disk, before), 2);
        }
    };
    sim.run(body).unwrap().finished();
}

/// One begins alone, and seven come during its write: the split that two halves which take turns would keep for ever.
#[test]
fn producers_that_were_answered_share_the_next_write_with_those_who_came_meanwhile() {
    const ROUNDS: u64 = 20;
    let sim = Sim::new(SimConfig::new(4, 1));
    let disk = sim.disk();
    let body = move |_| {
        let disk = disk.clone();
        async move {
            let (_dir, log) = one_log().await;
            let before = disk.data_syncs();
            let producer = || {
                let log = log.clone();
                spawn(Queue::Net, async move {
                    for _ in 0..ROUNDS {
                        log.wait_durable(put_bytes(&log, 500)).await.unwrap();
                    }
                })
            };
            let mut all = vec![producer()];
            sleep(Duration::from_micros(1)).await;
            all.extend((0..7).map(|_| producer()));
            for producer in all {
                producer.await;
            }
            let asked = flushes(&disk, before);
            // Two halves would need two for each.
            assert!(asked < ROUNDS * 3 / 2, "{asked} flushes for {ROUNDS} batches of each");
        }
    };
    sim.run(body).unwrap().finished();
}

#[test]
fn a_write_whose_own_flush_found_no_room_is_written_again_and_flushed_apart() {
    let sim = Sim::new(SimConfig::new(2, 1));
    let disk = sim.disk();
    let body = move |_| {
        let disk = disk.clone();
        async move {
            let (dir, log) = one_log().await;
            log.wait_durable(put(&log)).await.unwrap();
            disk.fail(DiskOp::Sync, LOG_FILE, 0, ENOSPC);
            log.wait_durable(put(&log)).await.unwrap();
            assert_eq!((disk.failures(), dir.offline()), (1, None));
            disk.fail(DiskOp::Sync, LOG_FILE, 0, ENOSPC);
            disk.fail(DiskOp::Sync, LOG_FILE, 0, ENOSPC);
            log.wait_durable(put(&log)).await.unwrap_err();
            assert!(dir.offline().is_some(), "what a failed flush left on disk is not known");
            assert_eq!(log.offsets().durable(), Offset(2));
        }
    };
    sim.run(body).unwrap().finished();
}
