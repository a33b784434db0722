//! What producers notice while many large segments are deleted, on the real disk:
//! `cargo run --release -p kring-storage --example mass_deletion -- <dir> [segments of 1 GiB, 10]`.
//! One record of 1 KiB after another is made durable, first with nothing beside it, then while the files go.

#![allow(clippy::print_stdout, reason = "an example reports to whoever runs it")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use common::*;
use kring_runtime::{fs, now, sleep};
use kring_storage::{Log, LogConfig, LogDir, LogName, ShardStorage};

const SEGMENT_BYTES: u32 = 1 << 30;
const BATCH_BYTES: usize = 1 << 20;
/// How long the disk is watched alone.
const ALONE: Duration = Duration::from_secs(5);

fn main() {
    let mut args = std::env::args().skip(1);
    let path = args.next().expect("the first argument is a directory to be made");
    let segments: u32 = args.next().map_or(10, |count| count.parse().expect("a number of segments"));
    on_shard(move || measure(path.clone(), segments));
}

async fn measure(path: String, segments: u32) {
    let (dir, shard) = (open_dir(path.as_ref()).await, shard());
    let large = open_log(&shard, &dir, "large").await;
    fill(&large, segments).await;
    let small = open_log(&shard, &dir, "small").await;
    let end = now() + ALONE;
    tell("alone", latencies(&small, async || now() >= end).await);

    let begun = now();
    let config = LogConfig { retention_bytes: Some(0), file_delete_delay: Duration::ZERO, ..config() };
    large.set_config(Rc::new(config));
    let deleted = large.delete_old_segments().await.unwrap();
    let large_path = dir.path().join("large-0");
    tell("while files go", latencies(&small, async || !holds_deleted(&large_path).await).await);
    println!("{} segments gone after {} ms", deleted.segments, now().saturating_since(begun).as_millis());
    for log in [large, small] {
        log.close().await.unwrap();
    }
}

fn config() -> LogConfig {
    LogConfig { segment_bytes: SEGMENT_BYTES, retention_ms: None, ..LogConfig::default() }
}

async fn open_log(shard: &ShardStorage, dir: &LogDir, topic: &str) -> Log {
    let name = LogName::new(topic, 0);
    Log::open(shard, dir, name, Rc::new(config()), None).await.unwrap().0
}

async fn fill(log: &Log, segments: u32) {
    let bytes = u64::from(segments) * u64::from(SEGMENT_BYTES);
    let mut batch = batch(spec(0, 1, BATCH_BYTES));
    while log.size_bytes() < bytes {
        let end = log.offsets().end();
        // The checksum does not cover the offset.
        batch.header[..8].copy_from_slice(&end.0.to_be_bytes());
        log.append(batch.clone()).unwrap();
        log.wait_durable(end.next()).await.unwrap();
    }
}

async fn holds_deleted(path: &Path) -> bool {
    fs::read_dir(path).await.unwrap().iter().any(|entry| entry.name.ends_with(".log.deleted"))
}

/// How long each record took to be durable, until `is_over`, which is asked every so often.
async fn latencies(log: &Log, is_over: impl AsyncFn() -> bool) -> Vec<Duration> {
    const ASK_EVERY: usize = 20;
    let mut taken = Vec::new();
    while !taken.len().is_multiple_of(ASK_EVERY) || !is_over().await {
        let begun = now();
        append(log, 1, 1000);
        log.wait_durable(log.offsets().end()).await.unwrap();
        taken.push(now().saturating_since(begun));
        sleep(Duration::from_micros(500)).await;
    }
    taken
}

fn tell(when: &str, mut taken: Vec<Duration>) {
    taken.sort_unstable();
    let at = |share: f64| taken[((taken.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let [p50, p99, p999, worst] = [0.5, 0.99, 0.999, 1.0].map(at);
    println!(
        "{when}: {} records, ms: p50 {p50:.1} p99 {p99:.1} p99.9 {p999:.1} worst {worst:.1}",
        taken.len()
    );
}
