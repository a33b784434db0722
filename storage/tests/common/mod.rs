//! Batches and shards for the tests of this crate's public API.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::print_stderr, reason = "a test reports to whoever runs it")]

use std::future::Future;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use kring_runtime::{RuntimeConfig, ShardPlacement};
use kring_storage::{
    Log, LogBatch, LogConfig, LogDir, LogError, LogName, Offset, ReadRequest, ShardConfig, ShardStorage,
};
use kring_wire::record::BatchHeader;

/// A directory of its own for each test, removed at its end.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new(name: &str) -> TempDir {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let unique =
            format!("kring-storage-{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        // Cargo's directory is on a disk; the system's may be in memory, where direct I/O is not possible.
        let parent = option_env!("CARGO_TARGET_TMPDIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let path = parent.join(unique);
        #[expect(clippy::disallowed_methods, reason = "outside of a shard")]
        std::fs::create_dir_all(&path).unwrap();
        TempDir(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        #[expect(clippy::disallowed_methods, reason = "outside of a shard")]
        let removed = std::fs::remove_dir_all(&self.0);
        if let Err(error) = removed {
            eprintln!("{} is left: {error}", self.0.display());
        }
    }
}

/// Runs on one shard of the real backend.
pub fn on_shard<F, Fut>(body: F)
where
    F: Fn() -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let mut config = RuntimeConfig::with_shards(1);
    config.placement = ShardPlacement::Unpinned;
    kring_runtime::run(&config, move |_| body()).unwrap();
}

/// What a batch is made of.
#[derive(Clone, Copy)]
pub struct Spec {
    pub base_offset: i64,
    pub records: i32,
    pub value_bytes: usize,
    pub timestamp: i64,
    pub producer_id: i64,
    pub base_sequence: i32,
    pub leader_epoch: i32,
}

pub fn spec(base_offset: i64, records: i32, value_bytes: usize) -> Spec {
    Spec {
        base_offset,
        records,
        value_bytes,
        timestamp: 1_790_000_000_000 + base_offset,
        producer_id: -1,
        base_sequence: -1,
        leader_epoch: 0,
    }
}

/// A true batch: records that decode, one millisecond apart, and a checksum that holds.
pub fn batch(spec: Spec) -> LogBatch {
    let body = body(&spec);
    let mut header = BatchHeader {
        base_offset: spec.base_offset,
        batch_length: (61 - 12 + body.len()) as i32,
        partition_leader_epoch: spec.leader_epoch,
        magic: 2,
        crc: 0,
        attributes: 0,
        last_offset_delta: spec.records - 1,
        base_timestamp: spec.timestamp,
        max_timestamp: spec.timestamp + i64::from(spec.records) - 1,
        producer_id: spec.producer_id,
        producer_epoch: if spec.producer_id < 0 { -1 } else { 0 },
        base_sequence: spec.base_sequence,
        record_count: spec.records,
    };
    header.crc = crc32c::crc32c_append(crc32c::crc32c(&header.to_bytes()[21..]), &body);
    LogBatch { header: header.to_bytes(), body: Bytes::from(body) }
}

fn body(spec: &Spec) -> Vec<u8> {
    let mut body = Vec::new();
    for i in 0..spec.records {
        let mut record = vec![0];
        varint(&mut record, i64::from(i));
        varint(&mut record, i64::from(i));
        varint(&mut record, -1);
        varint(&mut record, spec.value_bytes as i64);
        record.extend((0..spec.value_bytes).map(|at| (spec.base_offset + i64::from(i) + at as i64) as u8));
        varint(&mut record, 0);
        varint(&mut body, record.len() as i64);
        body.extend(record);
    }
    body
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut left = ((value << 1) ^ (value >> 63)) as u64;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

pub fn whole(batch: &LogBatch) -> Vec<u8> {
    [&batch.header[..], &batch.body[..]].concat()
}

pub fn shard() -> ShardStorage {
    ShardStorage::new(ShardConfig::default())
}

/// A shard that keeps no recent batch in memory, so that every read goes to the file.
pub fn shard_without_cache() -> ShardStorage {
    ShardStorage::new(ShardConfig { tail_cache_bytes: 0, ..ShardConfig::default() })
}

pub async fn open_dir(path: &Path) -> LogDir {
    LogDir::open(path).await.unwrap().dir
}

/// Opens a directory whose logs have been dropped without a close: a write under way holds it until it has ended.
pub async fn reopen_dir(path: &Path) -> LogDir {
    loop {
        match LogDir::open(path).await {
            Err(LogError::Locked { .. }) => kring_runtime::yield_now().await,
            opened => return opened.unwrap().dir,
        }
    }
}

pub async fn open(shard: &ShardStorage, dir: &LogDir, config: LogConfig) -> Log {
    let id = kring_wire::Uuid([7; 16]);
    Log::open(shard, dir, LogName::new("orders", 0), Rc::new(config), Some(id)).await.unwrap().0
}

pub fn append(log: &Log, records: i32, value_bytes: usize) -> Vec<u8> {
    let batch = batch(spec(log.offsets().end().0, records, value_bytes));
    log.append(batch.clone()).unwrap();
    whole(&batch)
}

pub async fn read(log: &Log, offset: i64, max_bytes: usize) -> Vec<u8> {
    let upto = log.high_watermark();
    let request = ReadRequest { offset: Offset(offset), upto, max_bytes, min_one_batch: true };
    log.read(request).await.unwrap().into_bytes().await.unwrap().to_vec()
}

/// Everything from `offset` on, chunk by chunk.
pub async fn read_all(log: &Log, mut offset: i64) -> Vec<u8> {
    let mut all = Vec::new();
    while Offset(offset) < log.high_watermark() {
        let bytes = read(log, offset, 1 << 20).await;
        let (used, next) = whole_batches(&bytes);
        assert!(used > 0, "a read below the high watermark returns a batch");
        all.extend_from_slice(&bytes[..used]);
        offset = next;
    }
    all
}

/// Bytes of the whole batches at the front, and the offset after them.
pub fn whole_batches(bytes: &[u8]) -> (usize, i64) {
    let (mut at, mut next) = (0, -1);
    while let Some(header) = BatchHeader::parse(&bytes[at..]) {
        let end = at + header.size_bytes() as usize;
        if end > bytes.len() {
            break;
        }
        (at, next) = (end, header.end_offset());
    }
    (at, next)
}
