//! How fast a log finds an offset and a time: the index, and the block of the segment that holds the batch. And how
//! many producers share a flush (group commit).
//!
//! The directory is made under `KRING_BENCH_DIR`, or the system's directory for temporary files. The disk is the
//! machine's; compare only on one machine.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use kring_benches::{NOW_MS, TempDir, batch, on_shard, parent};
use kring_runtime::{Queue, now, random_below, spawn, yield_if_needed};
use kring_storage::{
    HEADER_BYTES, Log, LogBatch, LogConfig, LogDir, LogName, Offset, ReadRequest, ShardConfig, ShardStorage,
};
use kring_wire::record::{BatchHeader, Codec, batch_crc};

/// Batches of a record of 1 KiB: an index entry for each fourth.
const BATCHES: i64 = 100_000;
const UNFLUSHED: i64 = 1000;

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    group
}

async fn open(path: &Path) -> (LogDir, Log) {
    let shard = ShardStorage::new(ShardConfig::default());
    let dir = LogDir::open(path).await.expect("the directory is there").dir;
    let name = LogName::new("bench", 0);
    let config = Rc::new(LogConfig::default());
    let log = Log::open(&shard, &dir, name, config, None).await.expect("the log opens").0;
    (dir, log)
}

/// In order, so that the next one who opens it need not read it.
async fn close(dir: LogDir, log: &Log) {
    log.close().await.expect("the disk works");
    assert!(dir.mark_clean(-1).await.expect("the disk works"));
}

/// The batch at its place in the log.
fn placed(whole: &Bytes, base_offset: i64) -> LogBatch {
    let mut header = BatchHeader::parse(whole).expect("a whole batch");
    header.base_offset = base_offset;
    header.partition_leader_epoch = 0;
    LogBatch { header: header.to_bytes(), body: whole.slice(HEADER_BYTES..) }
}

/// The batch so many milliseconds later.
fn later(whole: &Bytes, by_ms: i64) -> Bytes {
    let mut header = BatchHeader::parse(whole).expect("a whole batch");
    header.base_timestamp += by_ms;
    header.max_timestamp += by_ms;
    let mut bytes = [&header.to_bytes()[..], &whole[HEADER_BYTES..]].concat();
    header.crc = batch_crc(&bytes).expect("a whole batch");
    bytes[..HEADER_BYTES].copy_from_slice(&header.to_bytes());
    bytes.into()
}

fn append(log: &Log, whole: &Bytes) -> Offset {
    let end = log.offsets().end();
    log.append(placed(whole, end.0)).expect("the log takes it");
    log.offsets().end()
}

/// A log of `BATCHES`, each a millisecond later than the one before.
fn fill(path: PathBuf) {
    let whole = batch(Codec::None, 1, 940);
    on_shard(move || {
        let (path, whole) = (path.clone(), whole.clone());
        async move {
            let (dir, log) = open(&path).await;
            for number in 0..BATCHES {
                let end = append(&log, &later(&whole, number));
                if number % UNFLUSHED == UNFLUSHED - 1 {
                    log.wait_durable(end).await.expect("the disk works");
                }
            }
            close(dir, &log).await;
        }
    });
}

/// Time to read so many single batches at random places.
fn find_offsets(path: PathBuf, lookups: u64) -> Duration {
    on_shard(move || {
        let path = path.clone();
        async move {
            let (dir, log) = open(&path).await;
            let upto = log.offsets().end();
            let began = now();
            for _ in 0..lookups {
                let offset = Offset(random_below(BATCHES as u64) as i64);
                let request = ReadRequest { offset, upto, max_bytes: 1, min_one_batch: true };
                assert!(log.read(request).await.expect("it is there").bytes > 0);
                yield_if_needed().await;
            }
            let took = began.elapsed();
            close(dir, &log).await;
            took
        }
    })
}

/// Time to find the offsets of so many times.
fn find_times(path: PathBuf, lookups: u64) -> Duration {
    on_shard(move || {
        let path = path.clone();
        async move {
            let (dir, log) = open(&path).await;
            let began = now();
            for _ in 0..lookups {
                let wanted = random_below(BATCHES as u64) as i64;
                let found = log.offset_for_timestamp(NOW_MS + wanted).await.expect("the disk works");
                assert_eq!(found.map(|found| found.offset), Some(Offset(wanted)));
                yield_if_needed().await;
            }
            let took = began.elapsed();
            close(dir, &log).await;
            took
        }
    })
}

fn lookups(criterion: &mut Criterion) {
    let dir = TempDir::new(&parent());
    let path = || dir.path().to_owned();
    fill(path());
    let mut group = group(criterion, "find in a log of 100,000 batches");
    group.throughput(Throughput::Elements(1));
    group.bench_function("an offset", |b| b.iter_custom(|lookups| find_offsets(path(), lookups)));
    group.bench_function("a time", |b| b.iter_custom(|lookups| find_times(path(), lookups)));
    group.finish();
}

/// Time for so many durable appends by so many producers, each waiting for its own.
fn commit(whole: Bytes, appends: u64, producers: u64) -> Duration {
    let dir = TempDir::new(&parent());
    let path = dir.path().to_owned();
    on_shard(move || {
        let (path, whole) = (path.clone(), whole.clone());
        async move {
            let (dir, log) = open(&path).await;
            let log = Rc::new(log);
            let began = now();
            let each = appends.div_ceil(producers);
            let tasks = (0..producers).map(|producer| {
                let (log, whole) = (log.clone(), whole.clone());
                let own = each.min(appends.saturating_sub(producer * each));
                spawn(Queue::Net, async move {
                    for _ in 0..own {
                        let end = append(&log, &whole);
                        log.wait_durable(end).await.expect("the disk works");
                    }
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await;
            }
            let took = began.elapsed();
            close(dir, &log).await;
            took
        }
    })
}

fn commits(criterion: &mut Criterion) {
    let mut group = group(criterion, "group commit of 1 KiB");
    group.throughput(Throughput::Elements(1));
    let whole = batch(Codec::None, 1, 940);
    for producers in [1, 16, 256] {
        group.bench_function(format!("{producers} producers"), |b| {
            b.iter_custom(|appends| commit(whole.clone(), appends, producers));
        });
    }
    group.finish();
}

criterion_group!(benches, lookups, commits);
criterion_main!(benches);
