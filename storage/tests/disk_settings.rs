//! Whatever lies in the place of the disk settings, a log directory opens and takes records. Real backend.

mod common;

use std::path::Path;

use common::*;
use kring_runtime::fs;
use kring_storage::{DISK_SETTINGS, DiskSettings, LogConfig, LogDir};

async fn opens(dir: &Path) {
    let opened = LogDir::open(dir).await.unwrap();
    opened.dir.use_disk(opened.dir.measured_disk().await);
    let log = open(&shard(), &opened.dir, LogConfig::default()).await;
    append(&log, 3, 100);
    log.flush().await.unwrap();
    log.close().await.unwrap();
}

#[test]
fn a_directory_with_nothing_but_its_disk_settings_is_ours() {
    on_shard(|| async {
        let temp = TempDir::new("measured");
        let text = DiskSettings::default().encode("measured before the first start");
        fs::write_atomic(temp.path().join(DISK_SETTINGS), text.as_bytes()).await.unwrap();
        opens(temp.path()).await;
    });
}

#[test]
fn damaged_disk_settings_stop_no_start() {
    on_shard(|| async {
        let long = vec![b'#'; 1 << 20];
        let contents: [&[u8]; 5] = [b"", b"\0\xff\xfe", b"write.bytes=0", b"write.bytes=1\nwrite", &long];
        for content in contents {
            let temp = TempDir::new("damaged");
            fs::write_atomic(temp.path().join(DISK_SETTINGS), content).await.unwrap();
            opens(temp.path()).await;
        }
    });
}

#[test]
fn what_is_no_file_stops_no_start() {
    on_shard(|| async {
        let temp = TempDir::new("strange");
        fs::create_dir_all(temp.path().join(DISK_SETTINGS)).await.unwrap();
        opens(temp.path()).await;
        for to in ["/dev/zero", "/nowhere/at/all", DISK_SETTINGS] {
            let temp = TempDir::new("link");
            std::os::unix::fs::symlink(to, temp.path().join(DISK_SETTINGS)).unwrap();
            opens(temp.path()).await;
        }
        let temp = TempDir::new("pipe");
        let made =
            std::process::Command::new("mkfifo").arg(temp.path().join(DISK_SETTINGS)).status().unwrap();
        assert!(made.success());
        opens(temp.path()).await;
    });
}
