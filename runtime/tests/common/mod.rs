//! Runs a test body on both backends: once on real shards, and on several simulated machines.
#![allow(dead_code)]

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use kring_runtime::sim::{self, SimConfig};
use kring_runtime::{RuntimeConfig, ShardId, process, run};

pub const SEEDS: u64 = 25;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A directory of the real disk, removed when it is dropped.
pub struct TempDir(PathBuf);

impl TempDir {
    #[allow(clippy::disallowed_methods)]
    pub fn new() -> Self {
        let unique = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("kring-runtime-{}-{unique}", process::pid()));
        std::fs::create_dir_all(&path).expect("a temporary directory");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    #[allow(clippy::disallowed_methods)]
    fn drop(&mut self) {
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the body on `shards` shards of either backend. The path is a directory that exists.
pub fn on_both<F, Fut>(shards: usize, body: F)
where
    F: Fn(ShardId, PathBuf) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let dir = TempDir::new();
    let (path, real) = (dir.path().to_owned(), body.clone());
    run(&RuntimeConfig::with_shards(shards), move |shard| real(shard, path.clone()))
        .expect("the real shards run");
    for seed in 0..SEEDS {
        let body = body.clone();
        let boot = move |shard| {
            let body = body.clone();
            async move {
                let path = PathBuf::from("/data");
                kring_runtime::fs::create_dir_all(&path).await.expect("a simulated directory");
                body(shard, path).await;
            }
        };
        sim::run(SimConfig::new(seed, shards).with_seed_from_env(), boot).expect("the simulated shards run");
    }
}
