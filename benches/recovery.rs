//! How long a log takes to open after a crash, with a gibibyte that no checkpoint covers and nothing of it in memory.
//!
//! The directory is made under `KRING_BENCH_DIR`, or the system's directory for temporary files; each opening is of
//! bytes written anew, because direct writes leave nothing in the page cache and the first reading does.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kring_benches::{TempDir, amount, batch, on_shard};
use kring_runtime::now;
use kring_storage::{
    HEADER_BYTES, Log, LogBatch, LogConfig, LogDir, LogName, Offset, ShardConfig, ShardStorage,
};
use kring_wire::record::{BatchHeader, Codec};

fn tail_bytes() -> u64 {
    amount((1 << 30) - (1 << 20), 8 << 20)
}

fn parent() -> PathBuf {
    std::env::var_os("KRING_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from)
}

async fn open(path: &Path) -> (Log, LogDir) {
    let shard = ShardStorage::new(ShardConfig { tail_cache_bytes: 0, ..ShardConfig::default() });
    let dir = LogDir::open(path).await.expect("it is a log directory").dir;
    let name = LogName::new("bench", 0);
    let opened = Log::open(&shard, &dir, name, Rc::new(LogConfig::default()), None).await;
    (opened.expect("the log opens").0, dir)
}

fn placed(whole: &Bytes, base_offset: Offset) -> LogBatch {
    let mut header = BatchHeader::parse(whole).expect("a whole batch");
    header.base_offset = base_offset.0;
    header.partition_leader_epoch = 0;
    LogBatch { header: header.to_bytes(), body: whole.slice(HEADER_BYTES..) }
}

/// Fills the log and leaves it as a crash would: durable, not checkpointed, not closed. Returns its end.
async fn fill(path: &Path, whole: &Bytes) -> Offset {
    let (log, _dir) = open(path).await;
    while log.size_bytes() < tail_bytes() {
        for _ in 0..64 {
            log.append(placed(whole, log.offsets().end())).expect("the log takes it");
        }
        log.wait_durable(log.offsets().end()).await.expect("the disk works");
    }
    log.offsets().end()
}

fn recover(whole: &Bytes) -> Duration {
    let dir = TempDir::new(&parent());
    let (path, whole) = (dir.path().to_owned(), whole.clone());
    on_shard(move || {
        let (path, whole) = (path.clone(), whole.clone());
        async move {
            let end = fill(&path, &whole).await;
            let began = now();
            let (log, _dir) = open(&path).await;
            let took = began.elapsed();
            assert_eq!(log.offsets().end(), end, "all of it is found");
            took
        }
    })
}

fn recoveries(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("recover a gibibyte");
    group.sample_size(20).warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_secs(20));
    group.throughput(Throughput::Bytes(tail_bytes()));
    for (name, records) in [("batches of 1 KiB", 1), ("batches of 16 KiB", 16), ("batches of 1 MiB", 1000)] {
        let whole = batch(Codec::None, records, 1000);
        group.bench_function(name, |b| b.iter_custom(|times| (0..times).map(|_| recover(&whole)).sum()));
    }
    group.finish();
}

criterion_group!(benches, recoveries);
criterion_main!(benches);
