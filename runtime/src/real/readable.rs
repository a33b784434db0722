//! Buffered reads: at once when the pages are cached, through io_uring when they are not.
#![allow(unsafe_code)]

use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use glommio::io::BufferedFile;
use rustix::io::{Errno, ReadWriteFlags};

use crate::real::readers::{self, Reading};
use crate::real::{blocking, io_error};

/// Reads that wait for the disk are cut to this size.
const SLOW_CHUNK: usize = 256 * 1024;
const PAGE: u64 = 4096;
/// Of the kernel since 6.5, on every architecture.
const SYS_CACHESTAT: libc::c_long = 451;

static NO_CACHESTAT: AtomicBool = AtomicBool::new(false);

pub(crate) struct RealReadable {
    fd: OwnedFd,
    /// After the descriptor: it is counted until it is closed.
    _reading: Reading,
}

impl RealReadable {
    pub(crate) async fn open(path: &Path) -> io::Result<Self> {
        let path = path.to_owned();
        let (file, reading) = blocking::run(move || readers::open(&path)).await?;
        Ok(Self { fd: file.into(), _reading: reading })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        rustix::fd::AsFd::as_fd(&self.fd)
    }

    pub(crate) async fn read_at(&self, pos: u64, len: usize) -> io::Result<Bytes> {
        let mut out = vec![0; len];
        let mut done = self.read_now(pos, &mut out)?;
        if done < len {
            done += self.read_slow(pos + done as u64, &mut out[done..]).await?;
        }
        out.truncate(done);
        Ok(out.into())
    }

    /// What the page cache holds from `pos` on, up to the first page that it lacks; zero also at the end of the file.
    pub(crate) fn read_now(&self, pos: u64, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::io::preadv2(&self.fd, &mut [IoSliceMut::new(out)], pos, ReadWriteFlags::NOWAIT) {
                Ok(n) => return Ok(n),
                // EOPNOTSUPP: a file system that cannot promise not to wait.
                Err(Errno::AGAIN | Errno::OPNOTSUPP) => return Ok(0),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn read_slow(&self, pos: u64, out: &mut [u8]) -> io::Result<usize> {
        let file = self.buffered()?;
        let mut done = 0;
        let mut failure = None;
        while done < out.len() {
            let want = (out.len() - done).min(SLOW_CHUNK);
            match file.read_at(pos + done as u64, want).await.map_err(io_error) {
                Ok(chunk) if chunk.is_empty() => break,
                Ok(chunk) => {
                    out[done..done + chunk.len()].copy_from_slice(&chunk);
                    done += chunk.len();
                }
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        file.close().await.map_err(io_error)?;
        failure.map_or(Ok(done), Err)
    }

    /// glommio's file closes its descriptor and belongs to one shard: it gets a descriptor of its own.
    fn buffered(&self) -> io::Result<BufferedFile> {
        let fd = rustix::io::fcntl_dupfd_cloexec(&self.fd, 0)?;
        // SAFETY: the descriptor was just made, is open, and is given away here.
        Ok(unsafe { BufferedFile::from_raw_fd(fd.into_raw_fd()) })
    }

    pub(crate) async fn prefetch(&self, pos: u64, len: u64) -> io::Result<()> {
        let file = self.buffered()?;
        let end = pos.saturating_add(len);
        let mut at = pos;
        let mut result = Ok(());
        while at < end {
            let want = usize::try_from((end - at).min(SLOW_CHUNK as u64)).expect("at most a chunk");
            match file.read_at(at, want).await.map_err(io_error) {
                Ok(chunk) if chunk.is_empty() => break,
                Ok(chunk) => at += chunk.len() as u64,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        file.close().await.map_err(io_error)?;
        result
    }

    /// Every page of the range is cached, and the last is readable now: a page under read is cached, but not readable.
    pub(crate) fn is_resident(&self, pos: u64, len: u64) -> bool {
        if len == 0 {
            return true;
        }
        let pages = (pos + len).div_ceil(PAGE) - pos / PAGE;
        let all_cached = match self.cached_pages(pos, len) {
            Some(cached) => cached >= pages,
            None => self.is_readable_now(pos),
        };
        all_cached && self.is_readable_now(pos + len - 1)
    }

    fn is_readable_now(&self, pos: u64) -> bool {
        matches!(self.read_now(pos, &mut [0]), Ok(1))
    }

    /// By `cachestat(2)`; absent where the kernel lacks it.
    fn cached_pages(&self, pos: u64, len: u64) -> Option<u64> {
        if NO_CACHESTAT.load(Ordering::Relaxed) {
            return None;
        }
        let range = [pos, len];
        let mut stat = [0_u64; 5];
        // SAFETY: the kernel reads two u64 (offset, length) and writes five (cached, dirty, under writeback, evicted,
        // recently evicted); both arrays are that long and alive for the call.
        let code = unsafe {
            libc::syscall(SYS_CACHESTAT, self.fd.as_raw_fd(), range.as_ptr(), stat.as_mut_ptr(), 0_u32)
        };
        if code == 0 {
            return Some(stat[0]);
        }
        NO_CACHESTAT.store(true, Ordering::Relaxed);
        None
    }
}
