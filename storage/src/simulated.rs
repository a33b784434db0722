//! Logs on the simulated disk, through crash after crash, against a model kept in memory. Tests only.
//!
//! A failing seed prints the command that repeats it.

use std::cell::RefCell;
use std::future::Future;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use kring_runtime::sim::{DiskOp, RunEnd, Sim, SimConfig, crash};
use kring_runtime::{Queue, random_below, sleep, spawn, yield_now};

use crate::checkpoint::LogName;
use crate::config::LogConfig;
use crate::dir::LogDir;
use crate::error::LogError;
use crate::log::Log;
use crate::mutation::{self, Mutation};
use crate::producer::ProducerStates;
use crate::read::ReadRequest;
use crate::recovery::RecoveryReport;
use crate::seeds;
use crate::shard::{ShardConfig, ShardStorage};
use crate::testing::batch_with;
use crate::types::{LeaderEpoch, Offset, ProducerId};

const LOGS: usize = 2;
const BOOTS: usize = 4;
const STEPS: u64 = 40;

/// What one log must hold.
#[derive(Default)]
struct Model {
    /// Every batch appended and not known to be lost: base offset, end offset, bytes.
    batches: Vec<(i64, i64, Bytes)>,
    /// Records below were acknowledged as durable.
    durable: i64,
    /// Records below were served to a reader.
    seen: i64,
    /// The log's start was acknowledged to be here.
    start: i64,
    leader_epoch: i32,
    next_sequence: [i32; 3],
}

impl Model {
    fn end(&self) -> i64 {
        self.batches.last().map_or(0, |(_, end, _)| *end)
    }

    /// What lies between two batch boundaries.
    fn bytes(&self, from: i64, to: i64) -> Vec<u8> {
        let within = self.batches.iter().filter(|(base, end, _)| *end > from && *base < to);
        within.flat_map(|(_, _, bytes)| bytes.to_vec()).collect()
    }

    /// The log came back ending here: whatever had been appended beyond is gone.
    fn cut(&mut self, end: i64) {
        self.batches.retain(|(_, batch_end, _)| *batch_end <= end);
        assert_eq!(self.end(), end, "the log ends where no batch ended");
        let mut states = ProducerStates::default();
        self.replay(&mut states);
        for (id, next) in self.next_sequence.iter_mut().enumerate() {
            *next = states.get(ProducerId(id as i64)).map_or(0, |entry| entry.last_sequence() + 1);
        }
    }

    fn replay(&self, states: &mut ProducerStates) {
        for (base, _, bytes) in &self.batches {
            let info = crate::batch::BatchInfo::parse(bytes).unwrap();
            if let Some(producer) = info.producer() {
                states.record(&producer, Offset(*base));
            }
        }
    }
}

type Models = Rc<Vec<RefCell<Model>>>;

struct Scenario {
    config: LogConfig,
    cache_bytes: usize,
}

impl Scenario {
    fn draw() -> Scenario {
        let config = LogConfig {
            segment_bytes: [60_000, 200_000, 1 << 30][random_below(3) as usize],
            index_interval_bytes: [100, 4096][random_below(2) as usize],
            segment_ms: i64::MAX,
            flush_messages: [1, 1, 20, u64::MAX][random_below(4) as usize],
            flush_ms: [None, Some(Duration::from_millis(3))][random_below(2) as usize],
            producer_id_expiration_ms: i64::MAX,
            ..LogConfig::default()
        };
        Scenario { config, cache_bytes: [0, 20_000, 1 << 20][random_below(3) as usize] }
    }
}

async fn boot(models: Models) {
    let scenario = Scenario::draw();
    let shard = ShardStorage::new(ShardConfig {
        tail_cache_bytes: scenario.cache_bytes,
        open_files: 3,
        index_cache_bytes: 1000,
    });
    let opened = LogDir::open(Path::new("/data")).await.unwrap();
    let config = Rc::new(scenario.config);
    let mut logs = Vec::new();
    for number in 0..models.len() {
        let name = LogName::new("orders", number as i32);
        let (log, _) = Log::open(&shard, &opened.dir, name, config.clone(), Some(kring_wire::Uuid([7; 16])))
            .await
            .unwrap_or_else(|error| panic!("log {number} does not open: {error}"));
        verify_recovered(&log, &models[number]).await;
        logs.push(log);
    }
    for _ in 0..random_below(STEPS) {
        let number = random_below(logs.len() as u64) as usize;
        step(&logs[number], &opened.dir, number, &models).await;
    }
    match random_below(3) {
        0 => {
            for log in &logs {
                log.close().await.unwrap();
            }
            assert!(opened.dir.mark_clean(7).await.unwrap());
            for (number, log) in logs.iter().enumerate() {
                let mut model = models[number].borrow_mut();
                model.durable = log.offsets().end().0;
            }
        }
        1 => sleep(Duration::from_millis(random_below(30))).await,
        _ => {}
    }
    crash().await;
}

async fn step(log: &Log, dir: &LogDir, number: usize, models: &Models) {
    match random_below(13) {
        0 => {
            let end = log.flush().await.unwrap();
            let mut model = models[number].borrow_mut();
            model.durable = model.durable.max(end.0);
        }
        1 => read_somewhere(log, &models[number]).await,
        2 => sleep(Duration::from_micros(random_below(5000))).await,
        3 => yield_now().await,
        4 => models[number].borrow_mut().leader_epoch += 1,
        5 if random_below(4) == 0 => delete_records(log, &models[number]).await,
        6 => save(log.clone(), dir.clone()).await,
        _ => {
            for _ in 0..1 + random_below(6) {
                append(log, number, models);
            }
        }
    }
}

/// Writes recovery points down, at leisure or beside what follows.
async fn save(log: Log, dir: LogDir) {
    let saving = async move {
        if random_below(3) > 0 {
            log.save_recovery_point().await.unwrap();
        }
        if random_below(3) > 0 {
            dir.write_checkpoints().await.unwrap();
        }
    };
    match random_below(2) {
        0 => saving.await,
        _ => spawn(Queue::Background, saving).detach(),
    }
}

/// Appends, and notes the acknowledgement when it comes.
fn append(log: &Log, number: usize, models: &Models) {
    let body = [10, 500, 3000, 4096 - 61, 9000, 40_000][random_below(6) as usize] + random_below(3) as usize;
    let records = 1 + random_below(4) as i32;
    let producer = random_below(4) as usize;
    let end = {
        let mut model = models[number].borrow_mut();
        let base = log.offsets().end().0;
        let (id, sequence) = match model.next_sequence.get_mut(producer) {
            Some(next) => {
                let sequence = *next;
                *next += records;
                (producer as i64, sequence)
            }
            None => (-1, -1),
        };
        let batch = batch_with(base, records, body, 1_000 + base, id, sequence, model.leader_epoch);
        let bytes = Bytes::from([&batch.header[..], &batch.body[..]].concat());
        log.append(batch).unwrap();
        model.batches.push((base, base + i64::from(records), bytes));
        base + i64::from(records)
    };
    let (log, models) = (log.clone(), models.clone());
    spawn(Queue::Net, async move {
        // Without a flush policy nobody is told that a record is durable.
        if log.wait_durable(Offset(end)).await.is_ok() {
            let mut model = models[number].borrow_mut();
            model.durable = model.durable.max(end);
        }
    })
    .detach();
}

async fn read_somewhere(log: &Log, model: &RefCell<Model>) {
    let (start, end) = (log.offsets().start().0, log.high_watermark().0);
    if start >= end {
        return;
    }
    let from = start + random_below((end - start) as u64) as i64;
    let max_bytes = [1, 1000, 100_000][random_below(3) as usize];
    let request = ReadRequest { offset: Offset(from), upto: Offset(end), max_bytes, min_one_batch: true };
    let read = log.read(request).await.unwrap().into_bytes().await.unwrap();
    let mut model = model.borrow_mut();
    let expected = model.bytes(from, end);
    assert!(!read.is_empty(), "a read below the high watermark returns something");
    assert!(
        expected.starts_with(&read),
        "a read at {from} up to {end} returned other bytes than were appended"
    );
    if log.config().commits_on_flush() {
        model.seen = model.seen.max(end);
    }
}

async fn delete_records(log: &Log, model: &RefCell<Model>) {
    let (start, end) = (log.offsets().start().0, log.high_watermark().0);
    let to = start + random_below((end - start + 1) as u64) as i64;
    let start = log.delete_records_before(Offset(to)).await.unwrap();
    model.borrow_mut().start = start.0;
}

/// Nothing acknowledged as durable is missing or changed; offsets did not go back; what a reader saw is there.
async fn verify_recovered(log: &Log, model: &RefCell<Model>) {
    let offsets = log.offsets();
    let (start, end) = (offsets.start().0, offsets.end().0);
    {
        let mut model = model.borrow_mut();
        assert!(end >= model.durable, "records below {} were durable; the log ends at {end}", model.durable);
        assert!(end >= model.seen, "a reader saw up to {}; the log ends at {end}", model.seen);
        assert!(start >= model.start, "the log started at {}; now at {start}", model.start);
        model.cut(end);
        model.start = start;
    }
    let expected = model.borrow().bytes(start, end);
    assert_eq!(read_everything(log).await.unwrap().len(), expected.len(), "bytes from {start} to {end}");
    assert!(read_everything(log).await.unwrap() == expected, "the bytes are others than were appended");
    verify_producers(log, &model.borrow());
}

fn verify_producers(log: &Log, model: &Model) {
    let mut expected = ProducerStates::default();
    model.replay(&mut expected);
    for (id, entry) in expected.iter() {
        let found = log.producers(|states| states.get(id).map(|found| (found.epoch, found.last_sequence())));
        // A producer whose records were all deleted may be forgotten.
        if found.is_some() || entry.last_batch().unwrap().last_offset.0 >= model.start {
            assert_eq!(found, Some((entry.epoch, entry.last_sequence())), "producer {id:?}");
        }
    }
    let last = model.batches.last().map(|(_, _, bytes)| crate::batch::BatchInfo::parse(bytes).unwrap());
    if let Some(info) = last.filter(|info| info.last_offset().0 >= model.start) {
        assert_eq!(log.latest_epoch(), Some(info.leader_epoch));
    }
}

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

/// One machine through several crashes.
fn live_through(seed: u64) {
    let sim = Sim::new(SimConfig::new(seed, 1));
    let models: Models = Rc::new((0..LOGS).map(|_| RefCell::default()).collect());
    for _ in 0..BOOTS {
        let models = models.clone();
        let end = sim.run(move |_| boot(models.clone())).unwrap_or_else(|error| panic!("{error}"));
        assert!(matches!(end, RunEnd::Crashed), "every boot of this scenario ends in a crash");
    }
}

#[test]
fn nothing_acknowledged_is_lost_or_changed_by_any_crash() {
    seeds::hold(60, "nothing_acknowledged", live_through);
}

fn caught(mutation: Mutation) {
    seeds::catch(mutation, 200, live_through);
}

#[test]
fn acknowledging_before_the_flush_is_noticed() {
    caught(Mutation::AcknowledgeBeforeFlush);
}

#[test]
fn skipping_the_directory_flush_is_noticed() {
    caught(Mutation::SkipDirectoryFlush);
}

#[test]
fn leaving_a_new_directory_to_chance_is_noticed() {
    caught(Mutation::LeaveNewDirectoryToChance);
}

#[test]
fn forgetting_the_tail_block_is_noticed() {
    caught(Mutation::ForgetTailBlock);
}

#[test]
fn believing_a_batch_without_its_checksum_is_noticed() {
    caught(Mutation::SkipChecksum);
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

#[test]
fn a_log_of_a_hundred_gibibytes_recovers_by_its_tail_alone() {
    let (sim, segments, gib) = (Sim::new(SimConfig::new(10, 1)), 100, 1 << 30);
    once(&sim, move || async move {
        use kring_runtime::fs;
        let dir = Path::new("/data/orders-0");
        fs::create_dir_all(dir).await.unwrap();
        for base in 0..segments {
            let path = dir.join(crate::segment::file_name(Offset(base), "log"));
            fs::write_atomic(&path, b"").await.unwrap();
            fs::set_len(&path, gib).await.unwrap();
        }
        let newest = batch_with(segments, 1, 1000, 5, -1, -1, 0);
        let path = |suffix| dir.join(crate::segment::file_name(Offset(segments), suffix));
        fs::write_atomic(path("log"), &[&newest.header[..], &newest.body].concat()).await.unwrap();
        fs::write_atomic(path("snapshot"), &crate::snapshot::encode(&ProducerStates::default()))
            .await
            .unwrap();
        let points = format!("0\n1\norders 0 {segments}\n");
        fs::write_atomic("/data/recovery-point-offset-checkpoint", points.as_bytes()).await.unwrap();
    });
    once(&sim, move || async move {
        let (_dir, log, report) = reopen().await;
        assert_eq!((report.segments_scanned, report.bytes_scanned), (1, 1061));
        assert_eq!((log.size_bytes(), report.log_end_offset), (100 * gib + 1061, Offset(segments + 1)));
    });
}

#[test]
fn index_entries_that_the_recovery_point_does_not_cover_are_not_kept() {
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
        let (_dir, log, report) = reopen().await;
        assert_eq!((report.log_end_offset, log.unsaved_bytes()), (Offset(200), 200 * 1061));
    });
    assert_eq!(sim.disk().peek(index), None);
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
        log.wait_written(first).await.unwrap();
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
