//! Crashes, damage and failures of the simulated disk, one at a time; chance is in `model`. Tests only.

use std::future::Future;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use kring_runtime::sim::{DiskOp, Sim, SimConfig};
use kring_runtime::{Queue, fs, random_below, spawn};

use crate::checkpoint::LogName;
use crate::config::LogConfig;
use crate::dir::LogDir;
use crate::error::LogError;
use crate::log::Log;
use crate::mutation::{self, Mutation};
use crate::producer::ProducerStates;
use crate::read::ReadRequest;
use crate::recovery::RecoveryReport;
use crate::shard::{ShardConfig, ShardStorage};
use crate::testing::batch_with;
use crate::types::{LeaderEpoch, Offset, ProducerId};

async fn read_everything(log: &Log) -> Result<Vec<u8>, LogError> {
    let (mut offset, end) = (log.offsets().start(), log.offsets().end());
    let mut all = Vec::new();
    while offset < end {
        let max_bytes = 1 + random_below(50_000) as usize;
        let request = ReadRequest { offset, upto: end, max_bytes, min_one_batch: true };
        let mut bytes = &log.read(request).await?.into_bytes().await?[..];
        assert!(!bytes.is_empty(), "nothing at {offset} of {end}");
        while let Ok(info) = crate::batch::BatchInfo::parse(bytes)
            && info.bytes as usize <= bytes.len()
        {
            let (whole, rest) = bytes.split_at(info.bytes as usize);
            all.extend_from_slice(whole);
            (bytes, offset) = (rest, info.end_offset());
        }
    }
    Ok(all)
}

/// A crash between a recovery point and its checkpoint: the older checkpoint does not cover the newer snapshot.
fn producer_known_after_a_crash_before_the_checkpoint() -> bool {
    let sim = Sim::new(SimConfig::new(11, 1));
    once(&sim, || async {
        let (dir, log, _) = reopen().await;
        put_by(&log, 50, ProducerId(9)).await;
        put_by(&log, 50, ProducerId(8)).await;
        dir.write_checkpoints().await.unwrap();
        put_by(&log, 10, ProducerId(8)).await;
        log.save_recovery_point().await.unwrap();
    });
    sim.run(|_| async { reopen().await.1.producers(|all| all.get(ProducerId(9)).is_some()) })
        .unwrap()
        .finished()[0]
}

#[test]
fn beginning_after_what_is_known_of_the_producers_is_noticed() {
    assert!(producer_known_after_a_crash_before_the_checkpoint());
    mutation::switch(Some(Mutation::StartAfterProducers));
    let known = producer_known_after_a_crash_before_the_checkpoint();
    mutation::switch(None);
    assert!(!known, "the mutation goes unnoticed");
}

/// Boots once without a crash.
fn once<F: Future<Output = ()> + 'static>(sim: &Sim, body: impl Fn() -> F) {
    sim.run(|_| body()).unwrap_or_else(|error| panic!("{error}")).finished();
}

async fn one_log(config: LogConfig) -> (LogDir, Result<Log, LogError>) {
    let dir = LogDir::open(Path::new("/data")).await.unwrap().dir;
    let shard = ShardStorage::new(ShardConfig { tail_cache_bytes: 0, ..ShardConfig::default() });
    let log = Log::open(&shard, &dir, LogName::new("orders", 0), Rc::new(config), None).await;
    (dir, log.map(|(log, _)| log))
}

fn put(log: &Log, body: usize) -> Offset {
    let base = log.offsets().end().0;
    log.append(batch_with(base, 1, body, 1_000 + base, -1, -1, 0)).unwrap();
    log.offsets().end()
}

const EIO: i32 = 5;

#[test]
fn a_failed_write_is_never_acknowledged_and_takes_the_directory_offline() {
    for op in [DiskOp::Write, DiskOp::Sync] {
        let sim = Sim::new(SimConfig::new(1, 1));
        let disk = sim.disk();
        once(&sim, move || {
            let disk = disk.clone();
            async move {
                let (dir, log) = one_log(LogConfig::default()).await;
                let log = log.unwrap();
                log.wait_durable(put(&log, 100)).await.unwrap();
                disk.fail(op, ".log", 0, EIO);
                let end = put(&log, 100);
                let refused = log.wait_durable(end).await.unwrap_err();
                assert!(matches!(refused, LogError::Io { .. }), "{refused}");
                assert_eq!(log.offsets().durable(), Offset(1));
                assert!(dir.offline().is_some());
                let again = log.append(batch_with(2, 1, 10, 0, -1, -1, 0)).unwrap_err();
                assert!(matches!(again, LogError::Offline { .. }), "{again}");
                assert!(log.flush().await.is_err(), "a failed flush is not tried again");
                let request =
                    ReadRequest { offset: Offset(0), upto: Offset(1), max_bytes: 1000, min_one_batch: true };
                assert!(!log.read(request).await.unwrap().is_empty(), "what is there can still be read");
            }
        });
    }
}

#[test]
fn damage_below_the_recovery_point_is_an_error_that_names_file_and_position() {
    let sim = Sim::new(SimConfig::new(2, 1));
    once(&sim, || async {
        let (dir, log) = one_log(LogConfig::default()).await;
        let log = log.unwrap();
        for _ in 0..10 {
            put(&log, 1000);
        }
        log.flush().await.unwrap();
        dir.write_checkpoints().await.unwrap();
    });
    let (path, third) = ("/data/orders-0/00000000000000000000.log", 3 * 1061);
    sim.disk().poke(path, third + 500, &[0xff; 4]);
    once(&sim, move || async move {
        let (dir, log) = one_log(LogConfig::default()).await;
        match log.map(|_| ()).unwrap_err() {
            LogError::Corrupt { path: named, position, .. } => {
                assert_eq!((named.to_str(), position), (Some(path), third));
            }
            other => panic!("{other}"),
        }
        assert!(!dir.mark_clean(1).await.unwrap(), "a damaged log is not called clean");
    });
    let length = sim.disk().peek(path).unwrap().len();
    assert!(length >= 10 * 1061, "the damaged file is left as it is");
}

#[test]
fn a_torn_batch_above_the_recovery_point_is_cut_off_and_appends_go_on() {
    let sim = Sim::new(SimConfig::new(3, 1));
    once(&sim, || async {
        let (_dir, log) = one_log(LogConfig::default()).await;
        let log = log.unwrap();
        for _ in 0..10 {
            put(&log, 1000);
        }
        log.flush().await.unwrap();
    });
    let path = "/data/orders-0/00000000000000000000.log";
    sim.disk().poke(path, 7 * 1061 + 500, &[0xff; 4]);
    once(&sim, || async {
        let (dir, log) = one_log(LogConfig::default()).await;
        let log = log.unwrap();
        assert_eq!(log.offsets().end(), Offset(7), "the first bad batch is the end");
        put(&log, 300);
        log.close().await.unwrap();
        assert!(dir.mark_clean(1).await.unwrap());
    });
    let bytes = sim.disk().peek(path).unwrap();
    assert_eq!(bytes.len(), 7 * 1061 + 361, "nothing of the old batches is left beyond the end");
}

/// Where a log ends whose torn batch got a successor of its size: batches of exactly a block, so that nothing of the
/// old ones beyond is overwritten.
fn end_after_a_torn_batch_was_replaced() -> Offset {
    let sim = Sim::new(SimConfig::new(12, 1));
    let put_blocks = async |count| {
        let (_dir, log, _) = reopen().await;
        for _ in 0..count {
            put(&log, 4096 - 61);
        }
        log.flush().await.unwrap();
    };
    once(&sim, move || put_blocks(10));
    sim.disk().poke("/data/orders-0/00000000000000000000.log", 7 * 4096 + 500, &[0xff; 4]);
    once(&sim, move || put_blocks(1));
    sim.run(|_| async { reopen().await.1.offsets().end() }).unwrap().finished()[0]
}

#[test]
fn old_batches_beyond_a_torn_one_never_follow_new_ones() {
    assert_eq!(end_after_a_torn_batch_was_replaced(), Offset(8));
}

#[test]
fn leaving_stale_batches_beyond_a_torn_one_is_noticed() {
    mutation::switch(Some(Mutation::KeepStaleBatches));
    let end = end_after_a_torn_batch_was_replaced();
    mutation::switch(None);
    assert_eq!(end, Offset(10), "the mutation goes unnoticed");
}

/// Batches of one producer, in rising epochs.
async fn put_many(log: &Log, batches: i64) {
    put_by(log, batches, ProducerId(9)).await;
}

async fn put_by(log: &Log, batches: i64, id: ProducerId) {
    for _ in 0..batches {
        let base = log.offsets().end().0;
        log.append(batch_with(base, 1, 1000, 1_000 + base, id.0, base as i32, (base / 50) as i32)).unwrap();
    }
    log.flush().await.unwrap();
}

async fn reopen() -> (LogDir, Log, RecoveryReport) {
    let dir = LogDir::open(Path::new("/data")).await.unwrap().dir;
    let shard = ShardStorage::new(ShardConfig { tail_cache_bytes: 0, ..ShardConfig::default() });
    let config = Rc::new(LogConfig { producer_id_expiration_ms: i64::MAX, ..LogConfig::default() });
    let (log, report) = Log::open(&shard, &dir, LogName::new("orders", 0), config, None).await.unwrap();
    (dir, log, report)
}

#[test]
fn a_recovery_looks_at_nothing_below_the_saved_point() {
    let sim = Sim::new(SimConfig::new(7, 1));
    once(&sim, || async {
        let (dir, log, _) = reopen().await;
        put_many(&log, 400).await;
        log.save_recovery_point().await.unwrap();
        assert_eq!(log.unsaved_bytes(), 0);
        dir.write_checkpoints().await.unwrap();
        put_many(&log, 20).await;
        assert_eq!(log.unsaved_bytes(), 20 * 1061);
    });
    for _ in 0..2 {
        once(&sim, || async {
            let (_dir, log, report) = reopen().await;
            assert_eq!(report.log_end_offset, Offset(420));
            // The batches since the last index entry, and those since the checkpoint.
            assert!((20..30).contains(&(report.bytes_scanned / 1061)), "{} bytes", report.bytes_scanned);
            assert_eq!(read_everything(&log).await.unwrap().len(), 420 * 1061);
            assert_eq!(log.producers(|all| all.get(ProducerId(9)).unwrap().last_sequence()), 419);
            let ends: Vec<i64> = (0..9)
                .map(|epoch| log.end_offset_for_epoch(LeaderEpoch(epoch)).unwrap().end_offset.0)
                .collect();
            assert_eq!(ends, [50, 100, 150, 200, 250, 300, 350, 400, 420]);
        });
    }
}

/// What a start after a crash does to a sparse log of so many sealed segments of a gibibyte, and how long it takes.
fn recovery_of(gibibytes: i64) -> (RecoveryReport, std::time::Duration) {
    use kring_runtime::{fs, now};
    let sim = Sim::new(SimConfig::new(10, 1));
    once(&sim, move || async move {
        let dir = Path::new("/data/orders-0");
        fs::create_dir_all(dir).await.unwrap();
        for base in 0..gibibytes {
            let path = dir.join(crate::segment::file_name(Offset(base), "log"));
            fs::write_atomic(&path, b"").await.unwrap();
            fs::set_len(&path, 1 << 30).await.unwrap();
        }
        let newest = batch_with(gibibytes, 1, 1000, 5, -1, -1, 0);
        let path = |suffix| dir.join(crate::segment::file_name(Offset(gibibytes), suffix));
        fs::write_atomic(path("log"), &[&newest.header[..], &newest.body].concat()).await.unwrap();
        fs::write_atomic(path("snapshot"), &crate::snapshot::encode(&ProducerStates::default()))
            .await
            .unwrap();
        let points = format!("0\n1\norders 0 {gibibytes}\n");
        fs::write_atomic("/data/recovery-point-offset-checkpoint", points.as_bytes()).await.unwrap();
    });
    let ended = sim.run(move |_| async move {
        let began = now();
        let (_dir, log, report) = reopen().await;
        assert_eq!(log.size_bytes(), ((gibibytes as u64) << 30) + 1061);
        (report, began.elapsed())
    });
    ended.unwrap_or_else(|error| panic!("{error}")).finished().remove(0)
}

#[test]
fn a_log_of_a_hundred_gibibytes_recovers_by_its_tail_alone() {
    let ((small, small_took), (large, large_took)) = (recovery_of(1), recovery_of(100));
    for (report, gibibytes) in [(small, 1), (large, 100)] {
        assert_eq!((report.segments_scanned, report.bytes_scanned), (1, 1061));
        assert_eq!(report.log_end_offset, Offset(gibibytes + 1));
    }
    // Of each sealed segment the name and the length are looked at.
    assert!(large_took < small_took + 99 * Duration::from_micros(500), "{small_took:?}, {large_took:?}");
}

/// What is left of an index file that the recovery point does not cover.
fn index_after_a_crash_before_the_checkpoint() -> Option<Vec<u8>> {
    let sim = Sim::new(SimConfig::new(8, 1));
    let index = "/data/orders-0/00000000000000000000.index";
    once(&sim, || async {
        let (dir, log, _) = reopen().await;
        put_many(&log, 100).await;
        dir.write_checkpoints().await.unwrap();
        put_many(&log, 100).await;
        log.save_recovery_point().await.unwrap();
    });
    assert!(sim.disk().peek(index).is_some());
    once(&sim, || async {
        let report = reopen().await.2;
        assert_eq!(report.log_end_offset, Offset(200));
    });
    sim.disk().peek(index)
}

#[test]
fn index_entries_that_the_recovery_point_does_not_cover_are_not_kept() {
    assert_eq!(index_after_a_crash_before_the_checkpoint(), None);
}

#[test]
fn trusting_an_index_beyond_the_recovery_point_is_noticed() {
    mutation::switch(Some(Mutation::TrustIndexBeyondPoint));
    let index = index_after_a_crash_before_the_checkpoint();
    mutation::switch(None);
    assert!(index.is_some(), "the mutation goes unnoticed");
}

#[test]
fn a_segment_that_ends_while_its_recovery_point_is_written_keeps_the_files_of_its_end() {
    let sim = Sim::new(SimConfig::new(9, 1));
    once(&sim, || async {
        let dir = LogDir::open(Path::new("/data")).await.unwrap().dir;
        let shard = ShardStorage::new(ShardConfig::default());
        let config = Rc::new(LogConfig { segment_bytes: 50_000, ..LogConfig::default() });
        let name = LogName::new("orders", 0);
        let (log, _) = Log::open(&shard, &dir, name, config, None).await.unwrap();
        for _ in 0..30 {
            put_many(&log, 7).await;
            let saving = log.clone();
            spawn(Queue::Background, async move { saving.save_recovery_point().await.unwrap() }).detach();
            put(&log, 1000);
        }
        log.close().await.unwrap();
        assert!(dir.mark_clean(1).await.unwrap());
    });
    once(&sim, || async {
        let (_dir, log, report) = reopen().await;
        assert!(report.clean && report.segments_scanned == 0, "{report:?}");
        assert_eq!(report.log_end_offset, Offset(240));
        assert_eq!(read_everything(&log).await.unwrap().len(), 240 * 1061);
        let names = kring_runtime::fs::read_dir("/data/orders-0").await.unwrap();
        let count = |suffix: &str| names.iter().filter(|entry| entry.name.ends_with(suffix)).count();
        // One at the end of each segment, the newest one's at the orderly close.
        assert_eq!(count(".snapshot"), count(".log"));
    });
}

#[test]
fn losing_every_segment_of_a_durable_log_is_noticed() {
    let sim = Sim::new(SimConfig::new(4, 1));
    once(&sim, || async {
        let (dir, log) = one_log(LogConfig::default()).await;
        log.as_ref().unwrap().wait_durable(put(log.as_ref().unwrap(), 10)).await.unwrap();
        dir.write_checkpoints().await.unwrap();
        kring_runtime::fs::remove_file("/data/orders-0/00000000000000000000.log").await.unwrap();
        let shard = ShardStorage::new(ShardConfig::default());
        let again = Log::open(&shard, &dir, LogName::new("orders", 0), Rc::new(LogConfig::default()), None);
        assert!(matches!(again.await.map(|_| ()), Err(LogError::Corrupt { .. })));
    });
}

#[test]
fn a_batch_that_waits_for_its_flush_is_not_yet_committed() {
    let sim = Sim::new(SimConfig::new(5, 1));
    once(&sim, || async {
        let (_dir, log) = one_log(LogConfig { flush_messages: 3, ..LogConfig::default() }).await;
        let log = log.unwrap();
        let first = put(&log, 10);
        log.wait_kept(first).await.unwrap();
        assert_eq!(log.high_watermark(), first, "written is committed when flushes are not waited for");
        assert_eq!(log.offsets().durable(), Offset(0));
        put(&log, 10);
        let third = put(&log, 10);
        log.wait_durable(third).await.unwrap();
    });
}

#[test]
fn flush_ms_bounds_how_long_a_record_stays_unflushed() {
    let sim = Sim::new(SimConfig::new(6, 1));
    once(&sim, || async {
        let flush_ms = Some(Duration::from_millis(50));
        let (_dir, log) =
            one_log(LogConfig { flush_messages: u64::MAX, flush_ms, ..LogConfig::default() }).await;
        let log = log.unwrap();
        let before = kring_runtime::now();
        log.wait_durable(put(&log, 10)).await.unwrap();
        let waited = before.elapsed();
        assert!(waited >= Duration::from_millis(50), "{waited:?}");
        assert!(waited < Duration::from_millis(200), "{waited:?}");
    });
}

/// Flips one bit of the last two entries of an index, after an orderly end or a crash behind one, and goes on. Of the
/// first six batches the newest but one is the latest, of the four after them the last.
fn go_on_after_a_flipped_bit(suffix: &'static str, bit: usize, is_orderly: bool) {
    let sim = Sim::new(SimConfig::new(1, 1));
    let config = || LogConfig { index_interval_bytes: 1, ..LogConfig::default() };
    once(&sim, move || async move {
        let (dir, log) = one_log(config()).await;
        let log = log.unwrap();
        for timestamp in [1, 2, 3, 4, 50, 5] {
            put_at(&log, timestamp);
        }
        log.close().await.unwrap();
        dir.write_checkpoints().await.unwrap();
        if is_orderly {
            assert!(dir.mark_clean(1).await.unwrap());
        }
    });
    once(&sim, move || async move {
        let path = Path::new("/data/orders-0").join(crate::segment::file_name(Offset(0), suffix));
        let mut bytes = fs::read(&path).await.unwrap();
        let at = bytes.len() * 8 - 1 - bit;
        bytes[at / 8] ^= 1 << (at % 8);
        fs::write_atomic(&path, &bytes).await.unwrap();
        let (_dir, log) = one_log(config()).await;
        let log = log.unwrap();
        for timestamp in [6, 7, 8, 60] {
            put_at(&log, timestamp);
        }
        log.flush().await.unwrap();
        let segment = log.state().segments[0].clone();
        for (timestamp, offset) in [(4, 3), (5, 4), (7, 4), (50, 4), (51, 9), (60, 9)] {
            let from = segment.lookup_time(&log.0.shard, timestamp).await.unwrap();
            assert!(from <= offset * 361, "bit {bit} of the {suffix}: {timestamp} is sought from {from}");
        }
        assert_eq!(segment.max_timestamp(&log.0.shard).await.unwrap(), Some((60, 9)));
        log.close().await.unwrap();
        assert_eq!(log.offsets().end(), Offset(10));
    });
}

fn put_at(log: &Log, timestamp: i64) {
    log.append(batch_with(log.offsets().end().0, 1, 300, timestamp, -1, -1, 0)).unwrap();
}

#[test]
fn appends_and_lookups_go_on_after_any_end_whatever_the_last_entries_of_an_index_say() {
    for (suffix, entry_bytes) in [("index", 8), ("timeindex", 12)] {
        for bit in 0..2 * entry_bytes * 8 {
            go_on_after_a_flipped_bit(suffix, bit, true);
            go_on_after_a_flipped_bit(suffix, bit, false);
        }
    }
}
