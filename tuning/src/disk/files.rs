//! The files of a measurement: one large, several small. Their names end so that the broker takes them for rubbish, and
//! Apache Kafka, which looks at directories, for nothing.

use std::io;
use std::path::Path;

use kring_runtime::disk::{AlignedBuf, DirectFile};
use kring_runtime::{Monotonic, fill_random, fs, now};

const PREFIX: &str = "kring-disk-";
const SUFFIX: &str = ".tmp";
const PIECE: usize = 1 << 20;
/// Filled whatever the disk's speed.
const LEAST: u64 = 16 << 20;
/// Each of them, and how many there are.
pub(super) const SMALL_BYTES: u64 = 1 << 20;
pub(super) const SMALL: usize = 32;

pub(super) struct Files {
    pub large: DirectFile,
    /// What of it holds bytes.
    pub large_bytes: u64,
    pub small: Vec<DirectFile>,
    /// Empty, to be made longer.
    pub growing: DirectFile,
}

impl Files {
    /// Fills files with bytes that no disk can leave out: the small ones, then the large one until the space or the time
    /// is used up.
    pub async fn fill(dir: &Path, space: u64, until: Monotonic) -> io::Result<Files> {
        let noise = noise();
        let mut small = Vec::with_capacity(SMALL);
        for number in 0..SMALL {
            let file = create(dir, &number.to_string()).await?;
            write(&file, &noise, 0).await?;
            small.push(file);
        }
        let (large, growing) = (create(dir, "large").await?, create(dir, "growing").await?);
        let most = (space - SMALL as u64 * SMALL_BYTES) / 2;
        let mut large_bytes = 0;
        while large_bytes < LEAST || (large_bytes < most && now() < until) {
            write(&large, &noise, large_bytes).await?;
            large_bytes += PIECE as u64;
        }
        large.fdatasync().await?;
        for file in &small {
            file.fdatasync().await?;
        }
        Ok(Files { large, large_bytes, small, growing })
    }

    pub async fn close(self) -> io::Result<()> {
        for file in self.small.into_iter().chain([self.large, self.growing]) {
            file.close().await?;
        }
        Ok(())
    }
}

/// A mebibyte of random bytes.
pub(super) fn noise() -> Vec<u8> {
    let mut bytes = vec![0; PIECE];
    fill_random(&mut bytes);
    bytes
}

async fn write(file: &DirectFile, bytes: &[u8], pos: u64) -> io::Result<()> {
    let (written, _buffer) = file.write_at(AlignedBuf::from_slice(bytes), pos).await;
    written.map(drop)
}

async fn create(dir: &Path, name: &str) -> io::Result<DirectFile> {
    DirectFile::create(dir.join(format!("{PREFIX}{name}{SUFFIX}"))).await
}

/// Removes the files of a measurement, also of one that was interrupted.
///
/// # Errors
/// As the file system gives them.
pub async fn remove_leftovers(dir: &Path) -> io::Result<()> {
    let mut is_changed = false;
    for entry in fs::read_dir(dir).await? {
        let is_ours = entry.name.strip_prefix(PREFIX).is_some_and(|rest| rest.ends_with(SUFFIX));
        if is_ours && !entry.is_dir {
            fs::remove_file(dir.join(&entry.name)).await?;
            is_changed = true;
        }
    }
    if is_changed { fs::sync_dir(dir).await } else { Ok(()) }
}
