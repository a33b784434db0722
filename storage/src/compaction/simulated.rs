//! Compacted logs on the simulated disk, through crash after crash, against every record that was ever appended.
//! Tests only.
//!
//! A failing seed prints the command that repeats it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use kring_runtime::sim::{DiskOp, Sim, SimConfig, crash, disk};
use kring_runtime::{Queue, Task, fs, random_below, sleep, spawn, wall_ms};
use kring_wire::record::{BatchBuilder, Codec, Compression, RecordsIter};

use super::{CleanedLog, Cleaner, CleanerConfig, CompactionConfig};
use crate::batch::{BatchInfo, HEADER_BYTES, LogBatch};
use crate::checkpoint::LogName;
use crate::config::LogConfig;
use crate::dir::LogDir;
use crate::log::Log;
use crate::mutation::Mutation;
use crate::producer::ProducerStates;
use crate::read::ReadRequest;
use crate::seeds;
use crate::segment::file_name;
use crate::shard::{ShardConfig, ShardStorage};
use crate::types::Offset;

const BOOTS: usize = 5;
const STEPS: u64 = 60;
const KEYS: u64 = 12;
const PRODUCERS: usize = 3;
const DELETE_RETENTION_MS: i64 = 200;

type Value = Option<Bytes>;

#[derive(Clone, Debug, PartialEq)]
struct Put {
    key: Bytes,
    value: Value,
    timestamp: i64,
}

/// Every record that was ever appended and may have survived, by offset.
#[derive(Default)]
struct Model {
    records: BTreeMap<i64, Put>,
    /// Records below were acknowledged as durable.
    durable: i64,
    /// The last cleaning that was told as done left the log clean up to here.
    clean: i64,
    next_sequence: [i32; PRODUCERS],
}

impl Model {
    /// The last record of each key below `end`.
    fn last(&self, end: i64) -> BTreeMap<&Bytes, (i64, &Put)> {
        self.records.range(..end).map(|(offset, put)| (&put.key, (*offset, put))).collect()
    }

    /// The log came back ending here.
    fn cut(&mut self, log: &Log) {
        let end = log.offsets().end().0;
        assert!(end >= self.durable, "records below {} were durable; the log ends at {end}", self.durable);
        self.records.split_off(&end);
        self.durable = end;
        for (id, next) in self.next_sequence.iter_mut().enumerate() {
            let id = crate::types::ProducerId(id as i64);
            *next = log.producers(|states| states.get(id).map_or(0, |entry| entry.last_sequence() + 1));
        }
    }
}

type Shared = Rc<RefCell<Model>>;

/// What is read back: headers and records.
#[derive(Default)]
struct Found {
    batches: Vec<BatchInfo>,
    records: BTreeMap<i64, Put>,
}

impl Found {
    fn take(&mut self, batch: Bytes) {
        let info = BatchInfo::parse(&batch).unwrap();
        if let Some(last) = self.batches.last() {
            assert!(info.base_offset > last.last_offset(), "{info:?} after {last:?}");
        }
        for record in RecordsIter::new(&info.header, batch.slice(HEADER_BYTES..), 1 << 20).unwrap() {
            let record = record.unwrap();
            let put = Put { key: record.key.unwrap(), value: record.value, timestamp: record.timestamp };
            self.records.insert(record.offset, put);
        }
        self.batches.push(info);
    }
}

async fn read_all(log: &Log, from: Offset, max_bytes: usize) -> Found {
    let (mut offset, end) = (from, log.high_watermark());
    let mut found = Found::default();
    while offset < end {
        let request = ReadRequest { offset, upto: end, max_bytes, min_one_batch: true };
        let bytes = log.read(request).await.unwrap().into_bytes().await.unwrap();
        assert!(!bytes.is_empty(), "nothing at {offset} of {end}");
        let mut at = 0;
        while let Ok(info) = BatchInfo::parse(&bytes[at..])
            && at + info.bytes as usize <= bytes.len()
        {
            found.take(bytes.slice(at..at + info.bytes as usize));
            at += info.bytes as usize;
            offset = info.end_offset();
        }
    }
    found
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 3000 + 5000 * random_below(3) as u32,
        index_interval_bytes: [1, 500][random_below(2) as usize],
        segment_ms: i64::MAX,
        deletes: false,
        file_delete_delay: Duration::from_millis(random_below(20)),
        producer_id_expiration_ms: i64::MAX,
        compaction: CompactionConfig {
            compacts: true,
            min_cleanable_dirty_ratio: 0.0,
            delete_retention_ms: DELETE_RETENTION_MS,
            ..CompactionConfig::default()
        },
        ..LogConfig::default()
    }
}

fn cleaner() -> Cleaner {
    Cleaner::new(CleanerConfig {
        key_map_bytes: [24 * 6, 24 * 1000][random_below(2) as usize],
        io_buffer_bytes: [0, 3000, 100_000][random_below(3) as usize],
        ..CleanerConfig::default()
    })
}

async fn boot(model: Shared) {
    let shard = ShardStorage::new(ShardConfig {
        tail_cache_bytes: [0, 20_000][random_below(2) as usize],
        open_files: 2,
        index_cache_bytes: 100,
        ..ShardConfig::default()
    });
    let dir = LogDir::open(Path::new("/data")).await.unwrap().dir;
    let name = LogName::new("table", 0);
    let (log, _) = Log::open(&shard, &dir, name, Rc::new(config()), None)
        .await
        .unwrap_or_else(|error| panic!("the log does not open: {error}"));
    model.borrow_mut().cut(&log);
    verify(&log, &model).await;
    let reading = Rc::new(Cell::new(true));
    let reader = spawn(Queue::Net, keep_reading(log.clone(), model.clone(), reading.clone()));
    let mut cleaner = cleaner();
    for _ in 0..random_below(STEPS) {
        step(&log, &model, &mut cleaner).await;
    }
    reading.set(false);
    match random_below(4) {
        0 => {
            reader.await;
            verify(&log, &model).await;
            log.close().await.unwrap();
            assert!(dir.mark_clean(7).await.unwrap());
        }
        1 | 2 => {
            spawn(Queue::Background, async move {
                cleaner.clean_filthiest(&[log]).await;
            })
            .detach();
            sleep(Duration::from_micros(random_below(20_000))).await;
        }
        _ => {}
    }
    crash().await;
}

async fn step(log: &Log, model: &Shared, cleaner: &mut Cleaner) {
    match random_below(12) {
        0..=6 => append(log, model),
        7 => {
            log.flush().await.unwrap();
            let mut model = model.borrow_mut();
            model.durable = log.offsets().durable().0;
        }
        8 => sleep(Duration::from_millis(random_below(100))).await,
        9 | 10 => clean(log, model, cleaner).await,
        _ => verify(log, model).await,
    }
}

fn append(log: &Log, model: &Shared) {
    let mut model = model.borrow_mut();
    let base = log.offsets().end().0;
    let codec = [Codec::None, Codec::None, Codec::Snappy, Codec::Lz4][random_below(4) as usize];
    let mut builder = BatchBuilder::new(Compression::default_of(codec)).base_offset(base).leader_epoch(0);
    let producer = random_below(PRODUCERS as u64 + 1) as usize;
    if let Some(&sequence) = model.next_sequence.get(producer) {
        builder = builder.producer(producer as i64, 0, sequence);
    }
    for i in 0..1 + random_below(5) as i64 {
        let put = draw();
        builder.append(put.timestamp, Some(&put.key), put.value.as_deref()).unwrap();
        model.records.insert(base + i, put);
    }
    let records = builder.record_count();
    if let Some(sequence) = model.next_sequence.get_mut(producer) {
        *sequence += records;
    }
    let (header, body) = builder.build().unwrap().into_parts();
    log.append(LogBatch { header, body }).unwrap();
}

fn draw() -> Put {
    let key = Bytes::from(format!("key-{}", random_below(KEYS)));
    let value = vec![random_below(256) as u8; random_below(400) as usize];
    let value = (random_below(4) > 0).then(|| Bytes::from(value));
    Put { key, value, timestamp: wall_ms() }
}

async fn clean(log: &Log, model: &Shared, cleaner: &mut Cleaner) {
    if let Some(cleaned) = cleaner.clean_filthiest(std::slice::from_ref(log)).await {
        assert!(cleaned.end_offset > cleaned.first_dirty_offset, "{cleaned:?}");
        let mut model = model.borrow_mut();
        model.clean = cleaned.end_offset.0;
        // What is behind the high watermark is not cleaned, so it is durable.
        model.durable = model.durable.max(cleaned.end_offset.0);
    }
    verify(log, model).await;
}

/// A consumer that reads from anywhere to the end, again and again, whatever the cleaner does.
async fn keep_reading(log: Log, model: Shared, reading: Rc<Cell<bool>>) {
    while reading.get() {
        let from = Offset(random_below(1 + log.high_watermark().0.unsigned_abs()) as i64);
        let found = read_all(&log, from, 1 + random_below(3000) as usize).await;
        verify_known(&found, &model.borrow());
        sleep(Duration::from_micros(random_below(10_000))).await;
    }
}

/// Every record is one that was appended, at its offset.
fn verify_known(found: &Found, model: &Model) {
    for (offset, put) in &found.records {
        assert_eq!(model.records.get(offset), Some(put), "at {offset}");
    }
}

async fn verify(log: &Log, model: &Shared) {
    let (start, end) = (log.offsets().start(), log.high_watermark().0);
    assert_eq!(start, Offset::ZERO);
    let found = read_all(log, start, 1 + random_below(20_000) as usize).await;
    if log.high_watermark().0 != end || log.offsets().end().0 != end {
        // Records on their way to disk are known to the model and not readable yet.
        return;
    }
    verify_known(&found, &model.borrow());
    verify_last_values(&found, &model.borrow(), end);
    verify_producers(log, &found);
    verify_clean(&found, model.borrow().clean);
    verify_times(log, &found).await;
}

/// The last value of each key is there; a tombstone at least for its time, and when it has gone, so has all before it.
fn verify_last_values(found: &Found, model: &Model, end: i64) {
    for (key, (offset, last)) in model.last(end) {
        let is_there = found.records.contains_key(&offset);
        let is_live = last.value.is_some() || wall_ms() < last.timestamp + DELETE_RETENTION_MS;
        assert!(is_there || !is_live, "the last record of {key:?}, at {offset}, is gone: {last:?}");
        let earlier = found.records.iter().find(|(_, put)| put.key == *key);
        assert!(
            is_there || earlier.is_none(),
            "the deletion of {key:?} at {offset} is undone by {earlier:?}"
        );
    }
}

/// Who reads the log from its beginning knows the producers as the log does.
fn verify_producers(log: &Log, found: &Found) {
    let mut states = ProducerStates::default();
    for info in &found.batches {
        states.record(&info.producer().unwrap_or_else(none), info.base_offset);
    }
    let of = |states: &ProducerStates| -> Vec<_> {
        states.iter().filter(|(id, _)| id.0 < 100).map(|(id, e)| (id, e.epoch, e.last_sequence())).collect()
    };
    assert_eq!(of(&states), log.producers(of));
}

/// Stands for batches without a producer.
fn none() -> crate::producer::ProducerBatch {
    crate::producer::ProducerBatch {
        producer_id: crate::types::ProducerId(100),
        epoch: 0,
        base_sequence: 0,
        last_offset_delta: 0,
        max_timestamp: 0,
        is_transactional: false,
    }
}

/// Below the point that was told as clean, no key has two records.
fn verify_clean(found: &Found, clean: i64) {
    let mut keys = BTreeMap::new();
    for (offset, put) in found.records.range(..clean) {
        let before = keys.insert(&put.key, offset);
        assert_eq!(before, None, "{:?} is still at two offsets below {clean}, one is {offset}", put.key);
    }
}

async fn verify_times(log: &Log, found: &Found) {
    let Some((_, some)) = found.records.iter().nth(random_below(1 + found.records.len() as u64) as usize)
    else {
        return;
    };
    let expected = found.records.iter().find(|(_, put)| put.timestamp >= some.timestamp);
    let answer = log.offset_for_timestamp(some.timestamp).await.unwrap();
    assert_eq!(answer.map(|at| at.offset.0), expected.map(|(offset, _)| *offset));
}

/// Fills a log, loses power at some moment of cleaning it, and looks at what is left; then cleans it to the end.
fn exchange_through(seed: u64) {
    let sim = Sim::new(SimConfig::new(seed, 1));
    let model = Shared::default();
    for stage in 0..3 {
        let model = model.clone();
        sim.run(move |_| exchange(model.clone(), stage)).unwrap_or_else(|error| panic!("{error}"));
    }
}

async fn exchange(model: Shared, stage: u32) {
    let (shard, dir) = (ShardStorage::new(ShardConfig::default()), Path::new("/data"));
    let dir = LogDir::open(dir).await.unwrap().dir;
    // Small segments at first, so that several become one later.
    let segment_bytes = if stage == 0 { 3000 } else { [3000, 20_000][random_below(2) as usize] };
    let (name, config) = (LogName::new("table", 0), LogConfig { segment_bytes, ..config() });
    let log = Log::open(&shard, &dir, name, Rc::new(config), None).await.unwrap().0;
    model.borrow_mut().cut(&log);
    verify(&log, &model).await;
    let mut cleaner = Cleaner::new(CleanerConfig::default());
    match stage {
        0 => {
            (0..40).for_each(|_| append(&log, &model));
            log.flush().await.unwrap();
            model.borrow_mut().durable = log.offsets().durable().0;
            dir.write_checkpoints().await.unwrap();
        }
        1 => {
            let cleaning = spawn(Queue::Background, async move { cleaner.clean_filthiest(&[log]).await });
            match random_below(4) {
                0 => sleep(Duration::from_micros(random_below(50_000))).await,
                _ => exchange_begins(&cleaning).await,
            }
            cleaning.detach();
        }
        _ => clean(&log, &model, &mut cleaner).await,
    }
    crash().await;
}

/// Until some moment of an exchange of segments, or until the cleaning is done with all of them.
async fn exchange_begins(cleaning: &Task<Option<CleanedLog>>) {
    let mut wanted = 1 + random_below(3);
    while wanted > 0 && !cleaning.is_finished() {
        let entries = fs::read_dir("/data/table-0").await.unwrap();
        wanted -= u64::from(entries.iter().any(|entry| entry.name.ends_with(".swap")));
        sleep(Duration::from_micros(10)).await;
    }
    sleep(Duration::from_micros(random_below(300))).await;
}

fn live_through(seed: u64) {
    seeds::crash_through(seed, BOOTS, boot);
}

#[test]
fn compaction_keeps_the_last_value_of_each_key_through_any_crash() {
    seeds::hold(25, "compaction_keeps", live_through);
}

#[test]
fn a_crash_at_any_moment_of_an_exchange_leaves_the_old_segments_or_the_new_one() {
    seeds::hold(100, "moment_of_an_exchange", exchange_through);
}

#[test]
fn a_log_closes_at_once_however_slowly_it_is_cleaned() {
    let sim = Sim::new(SimConfig::new(1, 1));
    let closes = || async {
        let (shard, dir) = (ShardStorage::new(ShardConfig::default()), Path::new("/data"));
        let dir = LogDir::open(dir).await.unwrap().dir;
        let config = LogConfig { segment_bytes: 3000, ..config() };
        let log = Log::open(&shard, &dir, LogName::new("table", 0), Rc::new(config), None).await.unwrap().0;
        let model = Shared::default();
        (0..40).for_each(|_| append(&log, &model));
        log.flush().await.unwrap();
        let mut cleaner =
            Cleaner::new(CleanerConfig { io_bytes_per_second: 1.0, ..CleanerConfig::default() });
        let cleaned = log.clone();
        let cleaning = spawn(Queue::Background, async move { cleaner.clean_filthiest(&[cleaned]).await });
        sleep(Duration::from_secs(1)).await;
        let before = kring_runtime::now();
        log.close().await.unwrap();
        assert!(before.elapsed() < Duration::from_millis(200), "{:?}", before.elapsed());
        assert_eq!(cleaning.await, None);
        assert!(dir.mark_clean(1).await.unwrap());
    };
    sim.run(move |_| closes()).unwrap_or_else(|error| panic!("{error}")).finished();
}

/// Cleans a log whose newest segment has no file yet, because none can be opened, and loses power.
async fn clean_unfollowed(model: Shared) {
    const ENOSPC: i32 = 28;
    const EMFILE: i32 = 24;
    let (shard, dir) = (ShardStorage::new(ShardConfig::default()), Path::new("/data"));
    let dir = LogDir::open(dir).await.unwrap().dir;
    let config = LogConfig { segment_bytes: 3000, ..config() };
    let log = Log::open(&shard, &dir, LogName::new("table", 0), Rc::new(config), None).await.unwrap().0;
    let mut cleaner = Cleaner::new(CleanerConfig::default());
    (0..40).for_each(|_| append(&log, &model));
    log.flush().await.unwrap();
    clean(&log, &model, &mut cleaner).await;
    dir.write_checkpoints().await.unwrap();
    let newest = || log.state().segments.last().expect("it has segments").clone();
    let ended = newest();
    while newest().base == ended.base {
        append(&log, &model);
    }
    disk().fail_from(DiskOp::Open, &file_name(newest().base, "log"), 0, EMFILE);
    disk().fail_from(DiskOp::Write, "recovery-point", 0, ENOSPC);
    while !ended.is_sealed() {
        sleep(Duration::from_millis(1)).await;
    }
    model.borrow_mut().durable = newest().base.0;
    cleaner.clean_filthiest(std::slice::from_ref(&log)).await;
    crash().await;
}

fn unfollowed_through(seed: u64) {
    let (sim, model) = (Sim::new(SimConfig::new(seed, 1)), Shared::default());
    let cleaned = model.clone();
    sim.run(move |_| clean_unfollowed(cleaned.clone())).unwrap_or_else(|error| panic!("{error}"));
    sim.disk().heal();
    sim.run(move |_| boot(model.clone())).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_segment_that_nothing_follows_on_disk_is_not_cleaned() {
    seeds::hold(50, "nothing_follows_on_disk", unfollowed_through);
}

#[test]
fn cleaning_a_segment_that_nothing_follows_on_disk_is_noticed() {
    caught(Mutation::CleanUnfollowed, unfollowed_through);
}

fn caught(mutation: Mutation, scenario: fn(u64)) {
    seeds::catch(mutation, 200, scenario);
}

#[test]
fn dropping_a_live_tombstone_is_noticed() {
    caught(Mutation::DropLiveTombstone, live_through);
}

#[test]
fn forgetting_the_last_sequence_of_a_producer_is_noticed() {
    caught(Mutation::ForgetLastSequence, live_through);
}

#[test]
fn keeping_replaced_segments_is_noticed() {
    caught(Mutation::KeepReplaced, exchange_through);
}
