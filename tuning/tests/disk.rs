//! Measuring a directory on the disk that the tests are on, for a short time and in little space.
#![allow(clippy::disallowed_methods, reason = "a test process is outside the simulation")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kring_runtime::{RuntimeConfig, ShardPlacement};
use kring_storage::{DISK_SETTINGS, DiskSettings, LogDir};
use kring_tuning::disk::{DiskError, Measured, Wish, choose, measure, write_settings};

const SHORT: Wish = Wish { time: Duration::from_secs(1), space_bytes: 64 << 20 };

/// On a disk: the system's directory may be in memory.
struct TempDir(PathBuf);

impl TempDir {
    fn new(name: &str) -> TempDir {
        let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let path = parent.join(format!("kring-tune-disk-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        TempDir(path)
    }

    fn names(&self) -> Vec<String> {
        let names =
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _gone_already = fs::remove_dir_all(&self.0);
    }
}

fn on_shard<F, Fut, T>(body: F) -> T
where
    F: Fn() -> Fut + Clone + Send + 'static,
    Fut: Future<Output = T> + 'static,
    T: Send + 'static,
{
    let config = RuntimeConfig { placement: ShardPlacement::Unpinned, ..RuntimeConfig::with_shards(1) };
    kring_runtime::run(&config, move |_| body()).unwrap().pop().unwrap()
}

fn rows(measured: &Measured) -> usize {
    let all = [&measured.durable, &measured.together, &measured.sequential, &measured.random];
    for row in all.iter().copied().flatten().chain([&measured.within, &measured.longer]) {
        assert!(row.operations > 0 && row.per_second > 0.0 && row.p50_micros <= row.p99_micros, "{row:?}");
    }
    all.iter().map(|rows| rows.len()).sum::<usize>() + 2
}

#[test]
fn a_measurement_leaves_its_settings_alone_and_a_broker_reads_them() {
    let temp = TempDir::new("whole");
    fs::write(temp.0.join("kring-disk-large.tmp"), "of an interrupted one").unwrap();
    fs::write(temp.0.join("mine"), "untouched").unwrap();
    let (dir, begun) = (temp.0.clone(), Instant::now());
    let (measured, settings) = on_shard(move || {
        let dir = dir.clone();
        async move {
            let measured = measure(&dir, SHORT).await.unwrap();
            let settings = choose(&measured).settings;
            write_settings(&dir, &settings, &measured).await.unwrap();
            (measured, settings)
        }
    });
    assert_eq!(rows(&measured), 25);
    assert!(begun.elapsed() < Duration::from_secs(30), "bounded, on slow disks too");
    assert_eq!(temp.names(), [".lock", DISK_SETTINGS, "mine"]);
    let text = fs::read_to_string(temp.0.join(DISK_SETTINGS)).unwrap();
    assert_eq!(DiskSettings::parse(&text), Ok(settings));
    assert!(text.contains("# durable writes, one at a time"), "{text}");
}

#[test]
fn a_directory_that_a_broker_uses_is_not_measured() {
    let temp = TempDir::new("used");
    let dir = temp.0.clone();
    let refused = on_shard(move || {
        let dir = dir.clone();
        async move {
            let broker = LogDir::open(&dir).await.unwrap();
            let refused = measure(&dir, SHORT).await.unwrap_err();
            drop(broker);
            refused
        }
    });
    assert!(matches!(refused, DiskError::InUse(_)), "{refused}");
    assert_eq!(temp.names(), [".lock"]);
}

#[test]
fn what_is_no_directory_is_not_made_one() {
    let temp = TempDir::new("none");
    let absent = temp.0.join("absent");
    let dir = absent.clone();
    let refused = on_shard(move || {
        let dir = dir.clone();
        async move { measure(&dir, SHORT).await.unwrap_err() }
    });
    assert!(matches!(refused, DiskError::NoDirectory(_)), "{refused}");
    assert!(!absent.exists());
}
