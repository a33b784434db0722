//! The real backend: glommio executors, the kernel's files and sockets, one watchdog, one blocking pool.
//! The only part of the project that names glommio, reads a clock, or starts a thread.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

pub(crate) mod allocator;
pub(crate) mod blocking;
pub(crate) mod clock;
pub(crate) mod direct;
pub(crate) mod executor;
pub(crate) mod files;
pub(crate) mod hub;
pub(crate) mod limits;
pub(crate) mod lock;
pub(crate) mod mapped;
pub(crate) mod preflight;
pub(crate) mod random;
pub(crate) mod readable;
pub(crate) mod readers;
pub(crate) mod sendfile;
pub(crate) mod shard;
pub(crate) mod signals;
pub(crate) mod tcp;
pub(crate) mod watchdog;

/// glommio wraps every I/O error in its own type; callers of this crate see the error of the kernel.
pub(crate) fn io_error(error: glommio::GlommioError<()>) -> std::io::Error {
    match error.raw_os_error() {
        Some(code) => std::io::Error::from_raw_os_error(code),
        None => std::io::Error::from(error),
    }
}
