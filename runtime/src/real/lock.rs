//! An advisory lock on a file, which outlives its process for as long as the kernel is at work for it: a process that
//! was killed is gone before the writes that its rings had begun, some of which may still reach the disk. Never waits
//! for a lock. Taken once, before anything is written below it, from any shard.
#![allow(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{FlockOperation, flock};

use crate::real::blocking;
use crate::real::files::give_to_owner;

/// Locks that a ring keeps. A process has one for each of its log directories.
const SLOTS: usize = 64;
const EMPTY: RawFd = -1;
/// IORING_REGISTER_FILES and IORING_REGISTER_FILES_UPDATE of `linux/io_uring.h`.
const REGISTER_FILES: libc::c_long = 2;
const REGISTER_FILES_UPDATE: libc::c_long = 6;

/// `struct io_uring_files_update`.
#[repr(C)]
struct FilesUpdate {
    offset: u32,
    reserved: u32,
    fds: u64,
}

/// Held until it is dropped.
#[derive(Debug)]
pub(crate) struct FileLock(File);

impl FileLock {
    /// `WouldBlock` when another has it.
    pub(crate) async fn take(path: PathBuf) -> io::Result<FileLock> {
        blocking::run(move || {
            let is_new = !path.exists();
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
            if is_new {
                give_to_owner(&file, crate::fs::parent(&path))?;
            }
            flock(&file, FlockOperation::NonBlockingLockExclusive)?;
            let lock = FileLock(file);
            hold_in_rings(&lock.0)?;
            Ok(lock)
        })
        .await
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // The rings keep the file open, so that closing it here would not be enough.
        if let Err(error) = flock(&self.0, FlockOperation::NonBlockingUnlock) {
            tracing::warn!(%error, "a lock is held until the process ends");
        }
    }
}

/// Gives the file to every ring of the process. A ring lets go of its files when all that it had begun has ended.
fn hold_in_rings(file: &File) -> io::Result<()> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let slot = NEXT.fetch_add(1, Ordering::Relaxed) % SLOTS;
    for ring in rings()? {
        match register(ring, file.as_raw_fd(), slot) {
            // Closed since it was listed: nothing of it is under way.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EBADF | libc::EOPNOTSUPP)) => {}
            outcome => outcome?,
        }
    }
    Ok(())
}

/// glommio makes three for each shard, and shows none of them.
fn rings() -> io::Result<Vec<RawFd>> {
    let mut rings = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let is_ring = fs::read_link(entry.path()).is_ok_and(|to| to.as_os_str() == "anon_inode:[io_uring]");
        let number = entry.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok());
        rings.extend(number.filter(|_| is_ring));
    }
    Ok(rings)
}

fn register(ring: RawFd, file: RawFd, slot: usize) -> io::Result<()> {
    let mut table = [EMPTY; SLOTS];
    table[slot] = file;
    // SAFETY: the kernel reads SLOTS descriptors at the pointer, during the call.
    let first = unsafe { call(ring, REGISTER_FILES, table.as_ptr().cast(), SLOTS) };
    match first {
        // The ring has a table already.
        Err(error) if error.raw_os_error() == Some(libc::EBUSY) => update(ring, file, slot),
        other => other,
    }
}

fn update(ring: RawFd, file: RawFd, slot: usize) -> io::Result<()> {
    let fds = [file];
    let update = FilesUpdate { offset: slot as u32, reserved: 0, fds: fds.as_ptr() as u64 };
    // SAFETY: the kernel reads one FilesUpdate at the pointer, and the one descriptor that it leads to, during the call.
    unsafe { call(ring, REGISTER_FILES_UPDATE, (&raw const update).cast(), 1) }
}

/// # Safety
/// The pointer leads to what the operation reads: `count` descriptors or, for an update, one `FilesUpdate` for as many.
/// A `ring` that was closed meanwhile, or is another file by now, is an error and no more.
unsafe fn call(
    ring: RawFd,
    operation: libc::c_long,
    argument: *const libc::c_void,
    count: usize,
) -> io::Result<()> {
    // SAFETY: as the caller promises.
    let done = unsafe { libc::syscall(libc::SYS_io_uring_register, ring, operation, argument, count) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
