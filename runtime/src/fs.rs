//! Files and directories as wholes: what checkpoints, metadata and start-up need. Log data goes through [`crate::disk`].
//! Every function waits on the blocking pool; none blocks its shard. In a simulation they act on the simulated disk.

use std::io;
use std::path::{Path, PathBuf};

use crate::context::{self, Backend};
use crate::real::files;
use crate::real::lock::FileLock;

/// One name in a directory. `len` is in bytes, and of no meaning for directories.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirEntry {
    pub name: String,
    pub is_dir: bool,
    pub len: u64,
}

/// Room on the file system that holds a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DiskSpace {
    /// What an ordinary process may still use.
    pub available_bytes: u64,
    pub total_bytes: u64,
}

/// An exclusive lock; dropping it releases it. A process that ends in any other way holds it for as long as the kernel
/// is still at what its shards had begun: whoever has the lock meets no write of the one before.
#[derive(Debug)]
pub struct LockGuard {
    _held: Held,
}

#[derive(Debug)]
enum Held {
    Real { _lock: FileLock },
    Sim { _lock: crate::sim::disk::SimLock },
}

/// Makes a directory and those above it. Their names are durable only after [`sync_dir`] on each parent.
pub async fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    match context::current() {
        Backend::Real(_) => files::create_dir_all(path).await,
        Backend::Sim(shard) => shard.files().create_dir_all(&path).await,
    }
}

/// Makes a directory with one small file in it; directories above it are made, too. Nothing of it is durable, and after
/// a crash the file may be empty or hold zeros: for what can be made again.
pub async fn create_dir_with(path: impl AsRef<Path>, name: &str, bytes: &[u8]) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    match context::current() {
        Backend::Real(_) => files::create_dir_with(path, name.to_owned(), bytes.to_vec()).await,
        Backend::Sim(shard) => shard.files().create_dir_with(&path, name, bytes).await,
    }
}

/// What a directory holds, sorted by name. Names that are not UTF-8 are skipped with a warning.
pub async fn read_dir(path: impl AsRef<Path>) -> io::Result<Vec<DirEntry>> {
    let path = path.as_ref().to_owned();
    match context::current() {
        Backend::Real(_) => files::read_dir(path).await,
        Backend::Sim(shard) => shard.files().read_dir(&path).await,
    }
}

/// A whole file. For files whose size the caller knows to be small.
pub async fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let path = path.as_ref().to_owned();
    match context::current() {
        Backend::Real(_) => files::read(path).await,
        Backend::Sim(shard) => shard.files().read(&path).await,
    }
}

/// A whole file of no more than `most` bytes; `FileTooLarge` if it is longer, at no cost in memory.
pub async fn read_at_most(path: impl AsRef<Path>, most: u64) -> io::Result<Vec<u8>> {
    let path = path.as_ref().to_owned();
    match context::current() {
        Backend::Real(_) => files::read_at_most(path, most).await,
        Backend::Sim(shard) => shard.files().read_at_most(&path, most).await,
    }
}

/// Replaces a file so that after a crash it holds either all of the old bytes or all of the new. Durable on return.
pub async fn write_atomic(path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    match context::current() {
        Backend::Real(_) => files::write_atomic(path, bytes.to_vec()).await,
        Backend::Sim(shard) => shard.files().write_atomic(&path, bytes).await,
    }
}

/// Writes what an operator asked for where they named it: a regular file, or the one that a link leads to, is replaced as by
/// [`write_atomic`]; a pipe or a device gets the bytes and stays what it is.
pub async fn write_out(path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    match context::current() {
        Backend::Real(_) => files::write_out(path, bytes.to_vec()).await,
        Backend::Sim(shard) => shard.files().write_atomic(&path, bytes).await,
    }
}

/// Removes a file. Durable after [`sync_dir`].
pub async fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    match context::current() {
        Backend::Real(_) => files::remove_file(path).await,
        Backend::Sim(shard) => shard.files().remove_file(&path).await,
    }
}

/// Removes a directory and everything below it. Durable after [`sync_dir`] on its parent.
pub async fn remove_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    match context::current() {
        Backend::Real(_) => files::remove_dir_all(path).await,
        Backend::Sim(shard) => shard.files().remove_dir_all(&path).await,
    }
}

/// Renames a file or directory, replacing a file of the new name. Durable after [`sync_dir`].
pub async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    let (from, to) = (from.as_ref().to_owned(), to.as_ref().to_owned());
    match context::current() {
        Backend::Real(_) => files::rename(from, to).await,
        Backend::Sim(shard) => shard.files().rename(&from, &to).await,
    }
}

/// Makes the names in a directory durable: creations, removals and renames up to now.
pub async fn sync_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    match context::current() {
        Backend::Real(_) => files::sync_dir(path).await,
        Backend::Sim(shard) => shard.files().sync_dir(&path).await,
    }
}

/// Name, kind and length of what is at `path`; `NotFound` when nothing is.
pub async fn metadata(path: impl AsRef<Path>) -> io::Result<DirEntry> {
    let path = path.as_ref().to_owned();
    match context::current() {
        Backend::Real(_) => files::metadata(path).await,
        Backend::Sim(shard) => shard.files().metadata(&path).await,
    }
}

/// Whether anything is at `path`. An error to find out is an error, not an absence.
pub async fn exists(path: impl AsRef<Path>) -> io::Result<bool> {
    match metadata(path).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// When the bytes of a file were last changed, in milliseconds since the Unix epoch.
pub async fn modified_ms(path: impl AsRef<Path>) -> io::Result<i64> {
    let path = path.as_ref().to_owned();
    match context::current() {
        Backend::Real(_) => files::modified_ms(path).await,
        Backend::Sim(shard) => shard.files().modified_ms(&path).await,
    }
}

/// Length of a file in bytes.
pub async fn len(path: impl AsRef<Path>) -> io::Result<u64> {
    metadata(path).await.map(|entry| entry.len)
}

/// Whether a [`crate::disk::ReadHandle`] of this process leads to the file at `path`, opened by this name or by another.
/// True also for a moment in which any is being made; false when there is no such file.
pub async fn may_be_read(path: impl AsRef<Path>) -> io::Result<bool> {
    let path = path.as_ref().to_owned();
    match context::current() {
        Backend::Real(_) => files::may_be_read(path).await,
        Backend::Sim(shard) => shard.files().may_be_read(&path).await,
    }
}

/// Cuts a file, or extends it with zeros. Durable on return.
pub async fn set_len(path: impl AsRef<Path>, len: u64) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    match context::current() {
        Backend::Real(_) => files::set_len(path, len).await,
        Backend::Sim(shard) => shard.files().set_len(&path, len).await,
    }
}

/// Locks a file, making it when absent. `WouldBlock` when another process, or another guard, holds the lock.
pub async fn lock_exclusive(path: impl AsRef<Path>) -> io::Result<LockGuard> {
    let path = path.as_ref().to_owned();
    let held = match context::current() {
        Backend::Real(_) => Held::Real { _lock: FileLock::take(path).await? },
        Backend::Sim(shard) => Held::Sim { _lock: shard.files().lock_exclusive(&path).await? },
    };
    Ok(LockGuard { _held: held })
}

/// Room on the file system that holds `path`, which must exist.
pub async fn disk_free(path: impl AsRef<Path>) -> io::Result<DiskSpace> {
    let path = path.as_ref().to_owned();
    match context::current() {
        Backend::Real(_) => files::disk_space(path).await,
        Backend::Sim(shard) => shard.files().disk_space(),
    }
}

/// Whether an operation failed because the file system, or this user's share of it, is full.
pub fn is_out_of_space(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT))
}

/// Whether an operation failed because this process, or the system, has no file descriptor left.
pub fn is_out_of_files(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// The directory that holds `path`; the current one for a bare name.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Where [`write_atomic`] writes first. Kafka too names such files `<name>.tmp`.
pub(crate) fn temporary_name(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    path.with_file_name(name)
}
