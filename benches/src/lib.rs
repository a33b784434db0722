//! What the benches are fed with: batches, requests, a shard with a log in a directory of its own.
//! Never measures anything itself.

pub mod raw;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use kring_runtime::{RuntimeConfig, ShardPlacement};
use kring_wire::messages::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};
use kring_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kring_wire::record::{BatchBuilder, Codec, Compression};
use kring_wire::{Records, Str, Uuid};

/// A time for records: any will do.
pub const NOW_MS: i64 = 1_790_000_000_000;

/// Bytes that look like records of an application: they compress about three times.
fn value(record: usize, bytes: usize) -> Vec<u8> {
    let mut value = Vec::with_capacity(bytes + 64);
    let mut state = record as u64 + 1;
    while value.len() < bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let field = format!("{{\"order\":{},\"customer\":\"north-{}\"}},", state >> 33, state >> 60);
        value.extend_from_slice(field.as_bytes());
    }
    value.truncate(bytes);
    value
}

/// A batch as a client sends it.
pub fn batch(codec: Codec, records: usize, record_bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::default_of(codec));
    for record in 0..records {
        builder.append(NOW_MS, None, Some(&value(record, record_bytes))).expect("it is small");
    }
    builder.build().expect("it has records").to_bytes()
}

/// A Produce request with the same batch for each of so many partitions.
pub fn produce_request(partitions: i32, batch: &Bytes) -> ProduceRequest {
    let partition = |index| PartitionProduceData { index, records: Some(Records::Bytes(batch.clone())) };
    let topic = TopicProduceData {
        topic_id: Uuid([7; 16]),
        partition_data: (0..partitions).map(partition).collect(),
        ..TopicProduceData::default()
    };
    ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..ProduceRequest::default() }
}

/// A Fetch response with the same batch for each of so many partitions.
pub fn fetch_response(partitions: i32, batch: &Bytes) -> FetchResponse {
    let partition = |partition_index| PartitionData {
        partition_index,
        high_watermark: 1000,
        last_stable_offset: 1000,
        log_start_offset: 0,
        records: Some(Records::Bytes(batch.clone())),
        ..PartitionData::default()
    };
    let topic = FetchableTopicResponse {
        topic_id: Uuid([7; 16]),
        partitions: (0..partitions).map(partition).collect(),
        ..FetchableTopicResponse::default()
    };
    FetchResponse { responses: vec![topic], ..FetchResponse::default() }
}

/// A client id of usual length.
pub fn client_id() -> Option<Str> {
    Some(Str::from_static("producer-1"))
}

/// Whether figures are wanted. Without `--bench`, which `cargo bench` says, benches are tests: each runs once, with less.
pub fn is_measured() -> bool {
    std::env::args().any(|arg| arg == "--bench")
}

/// So much where figures are wanted, else so little.
pub fn amount(measured: u64, tried: u64) -> u64 {
    if is_measured() { measured } else { tried }
}

/// Where benches write: under `KRING_BENCH_DIR`, or where the system keeps temporary files.
pub fn parent() -> PathBuf {
    std::env::var_os("KRING_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from)
}

/// A directory of its own, removed at its end.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// Under `parent`, which decides whose disk is measured.
    pub fn new(parent: &Path) -> TempDir {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("kring-bench-{}-{next}", std::process::id()));
        #[expect(clippy::disallowed_methods, reason = "outside of a shard")]
        std::fs::create_dir_all(&path).expect("the directory for benches is writable");
        TempDir(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        #[expect(clippy::disallowed_methods, reason = "outside of a shard")]
        // What stays behind is in a directory for temporary files.
        let _stays_behind = std::fs::remove_dir_all(&self.0);
    }
}

/// The files of a directory whose names end so, in order.
pub fn files_of(dir: &Path, suffix: &str) -> Vec<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "outside of a shard")]
    let entries = std::fs::read_dir(dir).expect("it was just made");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|found| found == suffix)).collect();
    files.sort();
    files
}

/// Runs on one shard of the real runtime, and waits for it.
pub fn on_shard<F, Fut, T>(body: F) -> T
where
    F: Fn() -> Fut + Clone + Send + 'static,
    Fut: Future<Output = T> + 'static,
    T: Send + 'static,
{
    on_shard_at(ShardPlacement::Unpinned, body)
}

/// As [`on_shard`], at a place of its own.
pub fn on_shard_at<F, Fut, T>(placement: ShardPlacement, body: F) -> T
where
    F: Fn() -> Fut + Clone + Send + 'static,
    Fut: Future<Output = T> + 'static,
    T: Send + 'static,
{
    let mut config = RuntimeConfig::with_shards(1);
    config.placement = placement;
    let results = kring_runtime::run(&config, move |_| body()).expect("a shard runs here");
    results.into_iter().next().expect("one shard gives one result")
}
