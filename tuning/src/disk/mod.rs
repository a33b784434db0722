//! Measures the disk of a data directory through the files that the broker writes and reads with, and says how the
//! broker should write to it. Takes a bounded time and a bounded part of the disk, and leaves nothing but the settings.
//! Runs on one shard of its own, never beside a broker that uses the directory.

mod choose;
mod files;
mod samples;
mod steps;
mod text;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::slice;
use std::time::Duration;

use kring_runtime::{fs, now};
use kring_storage::{DISK_SETTINGS, DiskSettings};

pub use choose::{Chosen, choose};
pub use files::remove_leftovers;
pub use samples::Row;
pub use text::text;

use files::Files;

const LOCK: &str = ".lock";
/// Of the free space, at most one part in so many is used.
const SHARE_OF_FREE: u64 = 4;
const LEAST_SPACE: u64 = 64 << 20;
/// Of the time, one part in so many goes into filling the files.
const SHARE_OF_FILLING: u32 = 5;

/// What a measurement may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// About so long; a disk that needs longer for single operations takes longer.
    pub time: Duration,
    /// At most so many bytes of the disk, and at most a quarter of what is free.
    pub space_bytes: u64,
}

/// What was measured. Latencies of writes include their flush.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// By size, one at a time, within a file that is there already. Each write brings its flush, as the broker's do.
    pub durable: Vec<Row>,
    /// Of 16 KiB, by how many files at once.
    pub together: Vec<Row>,
    /// Of 16 KiB, one at a time in turn: within a file, and each making its file longer.
    pub within: Row,
    pub longer: Row,
    /// In order, by size and by how many at once.
    pub sequential: Vec<Row>,
    /// Of 4 KiB, anywhere, by how many at once.
    pub random: Vec<Row>,
}

/// What was measured of one kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Table<'a> {
    /// For programs.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    pub rows: &'a [Row],
}

impl Measured {
    /// All of it, in the order in which it is shown.
    pub fn tables(&self) -> [Table<'_>; 6] {
        let table = |name, title, rows| Table { name, title, rows };
        let (within, longer) = (slice::from_ref(&self.within), slice::from_ref(&self.longer));
        [
            table("durable", "durable writes, one at a time, within a file", &self.durable),
            table("together", "durable writes, into several files at once", &self.together),
            table("within", "durable writes within a file, in turn with the next", within),
            table("longer", "durable writes that make a file longer", longer),
            table("sequential", "sequential reads", &self.sequential),
            table("random", "random reads", &self.random),
        ]
    }
}

/// Why a disk was not measured.
#[derive(Debug)]
pub enum DiskError {
    NoDirectory(PathBuf),
    InUse(PathBuf),
    NoRoom { path: PathBuf, available_bytes: u64 },
    Io { path: PathBuf, error: io::Error },
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDirectory(path) => write!(f, "{} is no directory: make it first", path.display()),
            Self::InUse(path) => {
                write!(f, "a broker, or another measurement, uses {}: stop it first", path.display())
            }
            Self::NoRoom { path, available_bytes } => write!(
                f,
                "{} has {} free: {} are needed",
                path.display(),
                crate::text::bytes(*available_bytes),
                crate::text::bytes(LEAST_SPACE * SHARE_OF_FREE),
            ),
            Self::Io { path, error } => write!(f, "measuring in {} failed: {error}", path.display()),
        }
    }
}

/// Measures the disk below a directory.
///
/// # Errors
/// When there is no such directory, a broker uses it, or an operation fails. Files of the measurement are removed.
pub async fn measure(dir: &Path, wish: Wish) -> Result<Measured, DiskError> {
    let failed = |error: io::Error| DiskError::Io { path: dir.to_path_buf(), error };
    if !fs::metadata(dir).await.is_ok_and(|entry| entry.is_dir) {
        return Err(DiskError::NoDirectory(dir.to_path_buf()));
    }
    let _lock = fs::lock_exclusive(dir.join(LOCK)).await.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => DiskError::InUse(dir.to_path_buf()),
        _ => failed(error),
    })?;
    remove_leftovers(dir).await.map_err(failed)?;
    let available_bytes = fs::disk_free(dir).await.map_err(failed)?.available_bytes;
    if available_bytes / SHARE_OF_FREE < LEAST_SPACE {
        return Err(DiskError::NoRoom { path: dir.to_path_buf(), available_bytes });
    }
    let space = wish.space_bytes.clamp(LEAST_SPACE, available_bytes / SHARE_OF_FREE);
    let measured = measure_within(dir, wish.time, space).await;
    let removed = remove_leftovers(dir).await;
    let measured = measured.map_err(failed)?;
    removed.map_err(failed)?;
    Ok(measured)
}

async fn measure_within(dir: &Path, time: Duration, space: u64) -> io::Result<Measured> {
    let begun = now();
    let files = Files::fill(dir, space, begun + time / SHARE_OF_FILLING).await?;
    let left = time.saturating_sub(begun.elapsed());
    let measured = steps::all(&files, left / steps::COUNT).await;
    files.close().await?;
    measured
}

/// Writes what was chosen into the directory, where the broker reads it at its next start.
///
/// # Errors
/// When the file cannot be written.
pub async fn write_settings(
    dir: &Path,
    settings: &DiskSettings,
    measured: &Measured,
) -> Result<PathBuf, DiskError> {
    let path = dir.join(DISK_SETTINGS);
    let comment = format!(
        "Measured by kring tune disk; read by the broker at its start. Without this file the defaults hold.\n{}",
        text::tables(measured)
    );
    let written = fs::write_atomic(&path, settings.encode(&comment).as_bytes()).await;
    written.map_err(|error| DiskError::Io { path: path.clone(), error })?;
    Ok(path)
}
