//! Retention on the simulated disk: what goes and when, what readers and restarts see, and crashes at every point of
//! a deletion. Tests only. A failing seed prints the command that repeats it.

use std::cell::RefCell;
use std::future::Future;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use kring_runtime::sim::{DiskOp, Sim, SimConfig, crash};
use kring_runtime::{Queue, fs, random_below, sleep, spawn, wall_ms};

use crate::batch::BatchInfo;
use crate::checkpoint::LogName;
use crate::config::LogConfig;
use crate::deletion::DeletedSegments;
use crate::dir::LogDir;
use crate::error::LogError;
use crate::log::Log;
use crate::mutation::{self, Mutation};
use crate::read::{ReadPart, ReadRequest};
use crate::seeds;
use crate::shard::{ShardConfig, ShardStorage};
use crate::testing::batch_with;
use crate::types::Offset;

const DAY_MS: i64 = 24 * 3600 * 1000;

fn once<F: Future<Output = ()> + 'static>(body: impl Fn() -> F) {
    run(&Sim::new(SimConfig::new(1, 1)), body);
}

fn run<F: Future<Output = ()> + 'static>(sim: &Sim, body: impl Fn() -> F) {
    sim.run(|_| body()).unwrap_or_else(|error| panic!("{error}")).finished();
}

async fn open(config: LogConfig) -> (LogDir, Log) {
    let dir = LogDir::open(Path::new("/data")).await.unwrap().dir;
    let shard = ShardStorage::new(ShardConfig {
        tail_cache_bytes: 0,
        journal_bytes: [0, 2 << 20][random_below(2) as usize],
        commits_after: 2,
        ..ShardConfig::default()
    });
    let log = Log::open(&shard, &dir, LogName::new("orders", 0), Rc::new(config), None).await.unwrap().0;
    (dir, log)
}

/// One record of 1000 bytes, durable.
async fn put(log: &Log, timestamp: i64) {
    let base = log.offsets().end();
    log.append(batch_with(base.0, 1, 1000 - 61, timestamp, -1, -1, 0)).unwrap();
    log.wait_durable(base.next()).await.unwrap();
}

/// Two records a segment, nothing deleted by itself.
fn two_a_segment() -> LogConfig {
    LogConfig { segment_bytes: 2000, retention_ms: None, segment_ms: i64::MAX, ..LogConfig::default() }
}

async fn with_records(config: LogConfig, timestamps: impl IntoIterator<Item = i64>) -> (LogDir, Log) {
    let (dir, log) = open(config).await;
    for timestamp in timestamps {
        put(&log, timestamp).await;
    }
    (dir, log)
}

async fn names() -> Vec<String> {
    fs::read_dir("/data/orders-0").await.unwrap().into_iter().map(|entry| entry.name).collect()
}

async fn segments_deleted(log: &Log) -> usize {
    log.delete_old_segments().await.unwrap().segments
}

fn start(log: &Log) -> i64 {
    log.offsets().start().0
}

#[test]
fn age_is_counted_from_a_segments_largest_timestamp() {
    once(|| async {
        let now = wall_ms();
        let ages = [40, 5, 30, 31, 1, 2].map(|days| now - days * DAY_MS);
        let (_dir, log) = with_records(two_a_segment(), ages).await;
        log.set_config(Rc::new(LogConfig { retention_ms: Some(7 * DAY_MS), ..two_a_segment() }));
        assert_eq!(segments_deleted(&log).await, 0, "the first holds a record of five days");
        log.set_config(Rc::new(LogConfig { retention_ms: Some(4 * DAY_MS), ..two_a_segment() }));
        assert_eq!((segments_deleted(&log).await, start(&log)), (2, 4));
        assert_eq!(log.delete_old_segments().await, Ok(DeletedSegments::default()));
    });
}

#[test]
fn a_future_timestamp_holds_its_segment_and_all_after_it() {
    once(|| async {
        let now = wall_ms();
        let times = [now - DAY_MS, now + DAY_MS, now - DAY_MS, now - DAY_MS];
        let (_dir, log) = with_records(two_a_segment(), times).await;
        log.set_config(Rc::new(LogConfig { retention_ms: Some(1), ..two_a_segment() }));
        assert_eq!((segments_deleted(&log).await, start(&log)), (0, 0));
    });
}

#[test]
fn a_segment_without_timestamps_goes_by_the_time_of_its_last_write() {
    once(|| async {
        let (_dir, log) = with_records(two_a_segment(), [-1; 3]).await;
        log.set_config(Rc::new(LogConfig { retention_ms: Some(60_000), ..two_a_segment() }));
        assert_eq!(segments_deleted(&log).await, 0);
        sleep(Duration::from_secs(61)).await;
        assert_eq!((segments_deleted(&log).await, start(&log)), (2, 3));
    });
}

#[test]
fn an_expired_newest_segment_ends_and_another_takes_its_place() {
    once(|| async {
        let old = wall_ms() - DAY_MS;
        let (_dir, log) = with_records(two_a_segment(), [old; 5]).await;
        log.set_config(Rc::new(LogConfig { retention_ms: Some(1000), ..two_a_segment() }));
        assert_eq!((segments_deleted(&log).await, start(&log)), (3, 5));
        assert_eq!((log.size_bytes(), log.offsets().end()), (0, Offset(5)));
        assert!(names().await.contains(&"00000000000000000005.log".to_string()));
        assert_eq!(segments_deleted(&log).await, 0, "an empty segment stays");
        put(&log, wall_ms()).await;
        let request =
            ReadRequest { offset: Offset(5), upto: Offset(6), max_bytes: 9999, min_one_batch: true };
        assert_eq!(log.read(request).await.unwrap().bytes, 1000);
        let early = log.read(ReadRequest { offset: Offset(4), ..request }).await.map(|_| ());
        assert!(matches!(early, Err(LogError::OffsetOutOfRange { .. })), "{early:?}");
    });
}

#[test]
fn size_counts_all_segments_and_leaves_at_least_the_limit() {
    once(|| async {
        let (_dir, log) = with_records(two_a_segment(), [1; 7]).await;
        for (limit, deleted, now_starts) in
            [(7000, 0, 0), (5001, 0, 0), (5000, 1, 2), (1500, 1, 4), (0, 2, 7)]
        {
            log.set_config(Rc::new(LogConfig { retention_bytes: Some(limit), ..two_a_segment() }));
            assert_eq!((segments_deleted(&log).await, start(&log)), (deleted, now_starts), "limit {limit}");
        }
    });
}

#[test]
fn without_delete_in_its_policy_a_log_loses_only_what_lies_below_its_start() {
    once(|| async {
        let keeps =
            LogConfig { deletes: false, retention_ms: Some(0), retention_bytes: Some(0), ..two_a_segment() };
        let (_dir, log) = with_records(keeps, [1; 7]).await;
        assert_eq!(segments_deleted(&log).await, 0);
        log.delete_records_before(Offset(3)).await.unwrap();
        assert_eq!((segments_deleted(&log).await, start(&log)), (1, 3));
        log.delete_records_before(Offset(7)).await.unwrap();
        assert_eq!((segments_deleted(&log).await, start(&log)), (2, 7), "the newest stays");
        assert_eq!(log.size_bytes(), 1000);
    });
}

#[test]
fn nothing_goes_that_is_not_committed_yet() {
    once(|| async {
        let config = LogConfig { retention_bytes: Some(0), ..two_a_segment() };
        let (_dir, log) = open(config).await;
        for base in 0..5 {
            log.append(batch_with(base, 1, 900, 1, -1, -1, 0)).unwrap();
        }
        assert_eq!(segments_deleted(&log).await, 0, "nothing is written yet");
        log.wait_durable(Offset(5)).await.unwrap();
        assert_eq!((segments_deleted(&log).await, start(&log)), (3, 5));
    });
}

#[test]
fn deleted_files_wait_for_their_delay_under_kafkas_names() {
    once(|| async {
        let config = LogConfig { file_delete_delay: Duration::from_secs(10), ..two_a_segment() };
        let (_dir, log) = with_records(config.clone(), [1; 5]).await;
        log.set_config(Rc::new(LogConfig { retention_bytes: Some(3000), ..config }));
        assert_eq!(segments_deleted(&log).await, 1);
        let deleted: Vec<String> =
            names().await.into_iter().filter(|name| name.ends_with(".deleted")).collect();
        let expected =
            ["index", "log", "timeindex"].map(|kind| format!("00000000000000000000.{kind}.deleted"));
        assert_eq!(deleted, expected);
        sleep(Duration::from_secs(9)).await;
        assert!(names().await.contains(&expected[1]));
        sleep(Duration::from_secs(2)).await;
        let left = names().await;
        assert!(!left.iter().any(|name| name.starts_with("00000000000000000000.")), "{left:?}");
    });
}

#[test]
fn a_restart_before_the_delay_removes_the_deleted_files() {
    let sim = Sim::new(SimConfig::new(2, 1));
    run(&sim, || async {
        let config = LogConfig { retention_bytes: Some(3000), ..two_a_segment() };
        let (_dir, log) = with_records(config, [1; 5]).await;
        assert_eq!(segments_deleted(&log).await, 1);
        assert!(names().await.iter().any(|name| name.ends_with(".deleted")));
    });
    run(&sim, || async {
        let (_dir, log) = open(two_a_segment()).await;
        sleep(Duration::from_secs(1)).await;
        let left = names().await;
        assert!(!left.iter().any(|name| name.ends_with(".deleted")), "{left:?}");
        assert_eq!((start(&log), log.offsets().end()), (2, Offset(5)));
    });
}

#[test]
fn the_producer_snapshot_of_a_deleted_segment_goes_with_it() {
    once(|| async {
        let config =
            LogConfig { retention_bytes: Some(1000), file_delete_delay: Duration::ZERO, ..two_a_segment() };
        let (_dir, log) = with_records(config, [1; 7]).await;
        assert_eq!(segments_deleted(&log).await, 3);
        sleep(Duration::from_millis(100)).await;
        let left: Vec<String> = names().await.into_iter().filter(|name| name.ends_with("snapshot")).collect();
        assert_eq!(left, ["00000000000000000006.snapshot"]);
    });
}

/// Bytes that a read still gets whose segment was deleted under it; 10,000 are right.
fn read_of_a_deleted_segment() -> usize {
    let sim = Sim::new(SimConfig::new(1, 1));
    let read = sim.run(|_| async {
        let config = LogConfig {
            segment_bytes: 10_000,
            retention_bytes: Some(0),
            file_delete_delay: Duration::ZERO,
            ..two_a_segment()
        };
        let (_dir, log) = with_records(config, [1; 21]).await;
        let request =
            ReadRequest { offset: Offset(0), upto: Offset(21), max_bytes: 99_999, min_one_batch: true };
        let chunk = log.read(request).await.unwrap();
        assert!(chunk.parts.iter().any(|part| matches!(part, ReadPart::File(_))));
        assert_eq!(segments_deleted(&log).await, 3);
        sleep(Duration::from_secs(1)).await;
        let left = names().await;
        assert_eq!(left.iter().filter(|name| name.ends_with(".log")).count(), 1);
        let bytes = chunk.into_bytes().await.map_or(0, |bytes| bytes.len());
        sleep(Duration::from_secs(2)).await;
        let left = names().await;
        assert!(!left.iter().any(|name| name.ends_with(".deleted")), "{left:?}");
        bytes
    });
    read.unwrap_or_else(|error| panic!("{error}")).finished()[0]
}

#[test]
fn a_read_under_way_ends_though_its_segment_is_removed() {
    assert_eq!(read_of_a_deleted_segment(), 10_000);
}

#[test]
fn cutting_a_file_under_its_reader_is_noticed() {
    mutation::switch(Some(Mutation::CutWhatIsRead));
    let bytes = read_of_a_deleted_segment();
    mutation::switch(None);
    assert_ne!(bytes, 10_000, "the mutation goes unnoticed");
}

#[test]
fn a_segment_is_put_aside_though_an_older_one_of_its_name_still_waits() {
    once(|| async {
        let (_dir, log) = with_records(two_a_segment(), [1; 3]).await;
        fs::write_atomic("/data/orders-0/00000000000000000000.log.deleted", b"older").await.unwrap();
        log.delete_records_before(Offset(2)).await.unwrap();
        assert_eq!(segments_deleted(&log).await, 1);
        let newer = fs::read("/data/orders-0/00000000000000000000.log.1.deleted").await.unwrap();
        assert_eq!(newer.len(), 2000);
        let older = fs::read("/data/orders-0/00000000000000000000.log.deleted").await.unwrap();
        assert_eq!(older, b"older");
    });
}

#[test]
fn who_cleans_a_log_keeps_others_from_it() {
    once(|| async {
        let config = LogConfig { retention_bytes: Some(0), ..two_a_segment() };
        let (_dir, log) = with_records(config, [1; 4]).await;
        let turn = log.begin_cleaning().unwrap();
        assert!(log.begin_cleaning().is_none());
        assert_eq!(segments_deleted(&log).await, 0);
        drop(turn);
        assert_eq!(segments_deleted(&log).await, 2);
    });
}

#[test]
fn the_epochs_on_disk_begin_at_the_new_start() {
    once(|| async {
        let config = LogConfig { retention_bytes: Some(1000), ..two_a_segment() };
        let (_dir, log) = open(config).await;
        for (base, epoch) in [(0, 1), (1, 2), (2, 2), (3, 3), (4, 3)] {
            log.append(batch_with(base, 1, 1000 - 61, 1, -1, -1, epoch)).unwrap();
        }
        log.wait_durable(Offset(5)).await.unwrap();
        assert_eq!((segments_deleted(&log).await, start(&log)), (2, 4));
        sleep(Duration::from_millis(100)).await;
        let text = fs::read("/data/orders-0/leader-epoch-checkpoint").await.unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), "0\n1\n3 4\n");
    });
}

#[test]
fn a_checkpoint_is_written_though_whoever_asked_for_it_is_gone() {
    once(|| async {
        let (dir, log) = with_records(two_a_segment(), [1; 3]).await;
        let asking = spawn(Queue::Background, {
            let dir = dir.clone();
            async move { dir.write_checkpoints().await }
        });
        sleep(Duration::from_micros(100)).await;
        assert!(!asking.is_finished());
        drop(asking);
        log.delete_records_before(Offset(2)).await.unwrap();
        dir.write_checkpoints().await.unwrap();
        let text = fs::read("/data/log-start-offset-checkpoint").await.unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), "0\n1\norders 0 2\n");
    });
}

/// What the log must hold.
#[derive(Default)]
struct Model {
    /// Base offset, end offset, bytes of every batch that is not known to be lost.
    batches: Vec<(i64, i64, Bytes)>,
    durable: i64,
    /// The largest start that anybody has been told.
    start: i64,
}

impl Model {
    fn bytes(&self, from: i64) -> Vec<u8> {
        self.batches
            .iter()
            .filter(|(_, end, _)| *end > from)
            .flat_map(|(_, _, bytes)| bytes.to_vec())
            .collect()
    }
}

type SharedModel = Rc<RefCell<Model>>;

fn drawn_config() -> LogConfig {
    LogConfig {
        segment_bytes: [3_000, 20_000][random_below(2) as usize],
        segment_ms: i64::MAX,
        flush_messages: [1, 1, 20, u64::MAX][random_below(4) as usize],
        retention_bytes: [None, Some(0), Some(10_000)][random_below(3) as usize],
        retention_ms: [None, Some(0), Some(20)][random_below(3) as usize],
        deletes: random_below(5) > 0,
        file_delete_delay: Duration::from_millis([0, 10][random_below(2) as usize]),
        producer_id_expiration_ms: i64::MAX,
        ..LogConfig::default()
    }
}

/// A life of a log that deletes all the time, ended by a crash at any point.
async fn live(model: SharedModel) {
    let (dir, log) = open(drawn_config()).await;
    verify(&log, &model).await;
    for _ in 0..random_below(30) {
        match random_below(8) {
            0 => log.delete_old_segments().await.map(|_| ()).unwrap(),
            1 | 2 => delete_meanwhile(&log),
            3 => sleep(Duration::from_micros(random_below(8000))).await,
            4 => {
                let end = log.high_watermark().0;
                let to = start(&log) + random_below((end - start(&log) + 1) as u64) as i64;
                log.delete_records_before(Offset(to)).await.unwrap();
            }
            _ => append(&log, &model),
        }
        let mut model = model.borrow_mut();
        (model.start, model.durable) = (start(&log), log.offsets().durable().0);
        assert_eq!(log.fault(), None);
    }
    if random_below(4) == 0 {
        log.close().await.unwrap();
        model.borrow_mut().durable = log.offsets().end().0;
        assert!(dir.mark_clean(1).await.unwrap());
        no_file_is_left_alone().await;
    }
    crash().await;
}

fn delete_meanwhile(log: &Log) {
    let log = log.clone();
    spawn(Queue::Background, async move {
        let deleted = log.delete_old_segments().await;
        assert!(matches!(deleted, Ok(_) | Err(LogError::Closed)), "{deleted:?}");
    })
    .detach();
}

fn append(log: &Log, model: &SharedModel) {
    for _ in 0..1 + random_below(4) {
        let base = log.offsets().end().0;
        let (records, body) = (1 + random_below(4) as i32, [10, 900, 5000][random_below(3) as usize]);
        // A segment takes no batch longer than itself.
        let body = body.min(log.config().segment_bytes as usize - 61);
        let batch = batch_with(base, records, body, wall_ms(), base % 3, -1, 0);
        let bytes = Bytes::from([&batch.header[..], &batch.body[..]].concat());
        log.append(batch).unwrap();
        model.borrow_mut().batches.push((base, base + i64::from(records), bytes));
    }
}

async fn verify(log: &Log, model: &SharedModel) {
    let (start, end) = (log.offsets().start().0, log.offsets().end().0);
    let expected = {
        let mut model = model.borrow_mut();
        assert!(start >= model.start, "the log began at {}, and begins at {start} now", model.start);
        assert!(end >= model.durable, "records below {} were durable; the log ends at {end}", model.durable);
        model.batches.retain(|(_, batch_end, _)| *batch_end <= end);
        model.bytes(start)
    };
    assert!(read_everything(log).await == expected, "from {start} to {end} other bytes than were appended");
}

async fn read_everything(log: &Log) -> Vec<u8> {
    let (mut offset, end) = (log.offsets().start(), log.offsets().end());
    let mut all = Vec::new();
    while offset < end {
        let request = ReadRequest { offset, upto: end, max_bytes: 1 << 20, min_one_batch: true };
        let mut bytes = &log.read(request).await.unwrap().into_bytes().await.unwrap()[..];
        assert!(!bytes.is_empty(), "nothing at {offset} of {end}");
        while let Ok(info) = BatchInfo::parse(bytes) {
            let (whole, rest) = bytes.split_at(info.bytes as usize);
            all.extend_from_slice(whole);
            (bytes, offset) = (rest, info.end_offset());
        }
    }
    all
}

/// No index without its log.
async fn no_file_is_left_alone() {
    let names = names().await;
    for name in names.iter().filter(|name| name.ends_with("index")) {
        let log = format!("{}.log", name.split('.').next().unwrap());
        assert!(names.contains(&log), "{name} has no log: {names:?}");
    }
}

fn live_through(seed: u64) {
    seeds::crash_through(seed, 5, live);
}

#[test]
fn a_crash_at_any_point_of_a_deletion_neither_lowers_the_start_nor_loses_a_record() {
    seeds::hold(100, "a_crash_at_any_point_of_a_deletion", live_through);
}

/// Whether any file has changed its name when the new start could not be made durable.
fn removes_files_without_a_durable_start() -> bool {
    let sim = Sim::new(SimConfig::new(1, 1));
    let disk = sim.disk();
    let removes = sim.run(move |_| {
        let disk = disk.clone();
        async move {
            let (_dir, log) = with_records(two_a_segment(), [1; 7]).await;
            log.set_config(Rc::new(LogConfig { retention_bytes: Some(1000), ..two_a_segment() }));
            disk.fail_from(DiskOp::Write, "log-start-offset-checkpoint", 0, 5);
            assert!(log.delete_old_segments().await.is_err());
            names().await.iter().any(|name| name.ends_with(".deleted"))
        }
    });
    removes.unwrap_or_else(|error| panic!("{error}")).finished()[0]
}

#[test]
fn removing_files_before_the_start_is_raised_is_noticed() {
    assert!(!removes_files_without_a_durable_start());
    mutation::switch(Some(Mutation::DeleteBeforeStart));
    let removes = removes_files_without_a_durable_start();
    mutation::switch(None);
    assert!(removes, "the mutation goes unnoticed");
}

#[test]
fn telling_a_start_that_is_not_durable_is_noticed() {
    seeds::catch(Mutation::ForgetStart, 300, live_through);
}

#[test]
fn cutting_a_file_that_a_crash_may_give_back_is_noticed() {
    seeds::catch(Mutation::CutBeforeItsNameIsDurable, 1000, live_through);
}

/// A log with records, and the checkpoints that speak of it.
async fn a_log_that_lived() -> (LogDir, Log) {
    let (dir, log) = with_records(two_a_segment(), [wall_ms(); 5]).await;
    log.delete_records_before(Offset(3)).await.unwrap();
    dir.write_checkpoints().await.unwrap();
    (dir, log)
}

/// What was appended to the second log of a name is all there, after a kill at once.
async fn the_second_is_whole() {
    let (_dir, log) = open(two_a_segment()).await;
    assert_eq!((log.offsets().start(), log.offsets().end()), (Offset(0), Offset(4)));
}

async fn fill_the_second() {
    let (_dir, log) = with_records(two_a_segment(), [wall_ms(); 4]).await;
    assert_eq!((log.offsets().start(), log.offsets().durable()), (Offset(0), Offset(4)));
}

fn named_again(seed: u64) {
    let sim = Sim::new(SimConfig::new(seed, 1));
    run(&sim, || async {
        let (dir, log) = a_log_that_lived().await;
        log.delete().await.unwrap();
        let shard = ShardStorage::new(ShardConfig::default());
        let again = Log::open(&shard, &dir, LogName::new("orders", 0), Rc::new(two_a_segment()), None);
        let again = again.await.unwrap().0;
        for _ in 0..4 {
            put(&again, wall_ms()).await;
        }
    });
    run(&sim, the_second_is_whole);
}

#[test]
fn a_log_that_has_the_name_of_a_deleted_one_has_nothing_else_of_it_after_a_kill() {
    named_again(0);
    seeds::catch(Mutation::LeaveTraces, 20, named_again);
}

#[test]
fn a_log_that_gets_the_name_of_one_that_was_deleted_before_a_kill_begins_anew() {
    let sim = Sim::new(SimConfig::new(1, 1));
    run(&sim, || async {
        let (_dir, log) = a_log_that_lived().await;
        log.delete().await.unwrap();
    });
    run(&sim, fill_the_second);
    run(&sim, the_second_is_whole);
}
