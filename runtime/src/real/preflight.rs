//! Asks the kernel whether shards can run here, before glommio does and prints or panics about it.
#![allow(unsafe_code)]

use std::fs;
use std::io;

use glommio::{GlommioError, ReactorErrorKind};

use crate::context::ShardId;
use crate::error::RuntimeError;
use crate::real::limits;

/// The oldest kernel whose io_uring is whole enough: native workers (5.12 is better), and epoll_pwait2's age.
const MIN_KERNEL: (u32, u32) = (5, 11);
/// Size of `struct io_uring_params`, which this only needs zeroed.
const PARAMS_BYTES: usize = 120;

/// Checks kernel, io_uring and limits for this many shards.
pub(crate) fn check(shards: usize) -> Result<(), RuntimeError> {
    try_ring()?;
    check_kernel(&fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default())?;
    limits::check(shards)
}

pub(crate) fn try_ring() -> Result<(), RuntimeError> {
    let mut params = [0_u64; PARAMS_BYTES / 8];
    // SAFETY: the kernel reads and writes at most PARAMS_BYTES bytes at the pointer, all of which are ours.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 2_u32, params.as_mut_ptr()) };
    if fd >= 0 {
        // SAFETY: the descriptor was just made and nobody else knows it.
        drop(unsafe { std::os::fd::OwnedFd::from_raw_fd(fd as i32) });
        return Ok(());
    }
    Err(explain_io(io::Error::last_os_error()))
}

use std::os::fd::FromRawFd;

fn explain_io(error: io::Error) -> RuntimeError {
    match error.raw_os_error() {
        Some(libc::ENOSYS) => RuntimeError::IoUringMissing,
        Some(libc::EPERM | libc::EACCES) => RuntimeError::IoUringForbidden,
        _ => RuntimeError::IoUringSetup(error),
    }
}

/// `release` is such as `6.18.44-generic`; one that cannot be read is given the benefit of the doubt.
fn check_kernel(release: &str) -> Result<(), RuntimeError> {
    let mut numbers = release.trim().split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) < MIN_KERNEL => {
            Err(RuntimeError::KernelTooOld { release: release.trim().to_owned() })
        }
        _ => Ok(()),
    }
}

/// Why an executor could not be built, as far as glommio tells.
pub(crate) fn explain(shard: ShardId, error: GlommioError<()>) -> RuntimeError {
    match error {
        GlommioError::ReactorError(ReactorErrorKind::MemLockLimit(limit_bytes, needed_bytes)) => {
            RuntimeError::MemlockTooLow { limit_bytes, needed_bytes }
        }
        GlommioError::IoError(e) if e.raw_os_error() == Some(libc::EMFILE) => {
            RuntimeError::OpenFilesTooLow { limit: limits::raise_open_files().unwrap_or(0), needed: 64 }
        }
        other => RuntimeError::ShardStart { shard: shard.0, reason: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_kernels_are_refused_and_unreadable_releases_are_not() {
        assert!(check_kernel("5.10.0-21-amd64\n").is_err());
        assert!(check_kernel("5.11.0").is_ok());
        assert!(check_kernel("6.18.44-fc-v595").is_ok());
        assert!(check_kernel("").is_ok());
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        let forbidden = explain_io(io::Error::from_raw_os_error(libc::EPERM)).to_string();
        assert!(forbidden.contains("kernel.io_uring_disabled"), "{forbidden}");
        let missing = explain_io(io::Error::from_raw_os_error(libc::ENOSYS)).to_string();
        assert!(missing.contains("5.11"), "{missing}");
    }
}
