//! How fast a log takes batches until they are durable, and hands recent ones out again, on the real runtime.
//!
//! The directory is made under `KRING_BENCH_DIR`, or the system's directory for temporary files: where that is in
//! memory, direct I/O is not possible or measures nothing. The disk is the machine's; compare only on one machine.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use kring_benches::{TempDir, batch, on_shard};
use kring_runtime::now;
use kring_storage::{
    HEADER_BYTES, Log, LogBatch, LogConfig, LogDir, LogName, Offset, ReadRequest, ShardConfig, ShardStorage,
};
use kring_wire::record::{BatchHeader, Codec};

/// Name, records, bytes of a record, batches that share a flush.
const SHAPES: [(&str, usize, usize, u64); 3] =
    [("1 MiB", 1000, 1024, 1), ("1 KiB", 1, 940, 1), ("1 KiB, 64 at once", 1, 940, 64)];

/// Batches in the log that tail reads are made from: they stay in the tail cache.
const TAIL_BATCHES: i64 = 16;

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    group
}

fn parent() -> PathBuf {
    std::env::var_os("KRING_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from)
}

async fn open(path: PathBuf) -> Log {
    let shard = ShardStorage::new(ShardConfig::default());
    let dir = LogDir::open(&path).await.expect("the directory is fresh").dir;
    // Small segments, so that a long run does not fill the disk with more than it reads back.
    let config = Rc::new(LogConfig { segment_bytes: 256 << 20, ..LogConfig::default() });
    let name = LogName::new("bench", 0);
    Log::open(&shard, &dir, name, config, None).await.expect("an empty log opens").0
}

/// The batch at its place in the log.
fn placed(whole: &Bytes, base_offset: i64) -> LogBatch {
    let mut header = BatchHeader::parse(whole).expect("a whole batch");
    header.base_offset = base_offset;
    header.partition_leader_epoch = 0;
    LogBatch { header: header.to_bytes(), body: whole.slice(HEADER_BYTES..) }
}

/// Appends one batch, and returns the offset after it.
fn append(log: &Log, whole: &Bytes) -> Offset {
    let end = log.offsets().end();
    log.append(placed(whole, end.0)).expect("the log takes it");
    log.offsets().end()
}

/// Time to append so many batches, waiting for the disk after every `together`.
fn append_durably(whole: Bytes, batches: u64, together: u64) -> Duration {
    let dir = TempDir::new(&parent());
    let path = dir.path().to_owned();
    on_shard(move || {
        let (path, whole) = (path.clone(), whole.clone());
        async move {
            let log = open(path).await;
            let began = now();
            let mut left = batches;
            while left > 0 {
                let some = left.min(together);
                let end = (0..some).map(|_| append(&log, &whole)).last().expect("some is not zero");
                log.wait_durable(end).await.expect("the disk works");
                left -= some;
            }
            let took = began.elapsed();
            log.close().await.expect("the disk works");
            took
        }
    })
}

/// Time to read the last megabytes so many times.
fn read_tail(whole: Bytes, reads: u64) -> Duration {
    let dir = TempDir::new(&parent());
    let path = dir.path().to_owned();
    on_shard(move || {
        let (path, whole) = (path.clone(), whole.clone());
        async move {
            let log = open(path).await;
            let end = (0..TAIL_BATCHES).map(|_| append(&log, &whole)).last().expect("there are some");
            log.wait_durable(end).await.expect("the disk works");
            let max_bytes = whole.len() * TAIL_BATCHES as usize;
            let request = ReadRequest { offset: Offset(0), upto: end, max_bytes, min_one_batch: true };
            let began = now();
            for _ in 0..reads {
                let chunk = log.read(request).await.expect("it is there");
                assert_eq!(chunk.bytes, max_bytes, "all of it comes from memory");
            }
            let took = began.elapsed();
            log.close().await.expect("the disk works");
            took
        }
    })
}

fn appends(criterion: &mut Criterion) {
    let mut group = group(criterion, "append durably");
    for (name, records, record_bytes, together) in SHAPES {
        let whole = batch(Codec::None, records, record_bytes);
        group.throughput(Throughput::Bytes(whole.len() as u64));
        group.bench_function(name, |b| {
            b.iter_custom(|batches| append_durably(whole.clone(), batches, together))
        });
    }
    group.finish();
}

fn tail_reads(criterion: &mut Criterion) {
    let mut group = group(criterion, "read the tail");
    for (name, records, record_bytes, _) in &SHAPES[..2] {
        let whole = batch(Codec::None, *records, *record_bytes);
        group.throughput(Throughput::Bytes((whole.len() as i64 * TAIL_BATCHES).unsigned_abs()));
        group.bench_function(format!("16 batches of {name}"), |b| {
            b.iter_custom(|reads| read_tail(whole.clone(), reads));
        });
    }
    group.finish();
}

criterion_group!(benches, appends, tail_reads);
criterion_main!(benches);
