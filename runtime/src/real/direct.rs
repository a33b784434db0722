//! Direct files on glommio's `DmaFile`, with its traps handled: see each function.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::disk::{AlignedBuf, BLOCK};
use crate::real::{blocking, io_error};
use crate::resubmit;
use crate::task::{Queue, spawn_essential};
use glommio::io::{DmaBuffer, DmaFile, OpenOptions, ReadResult};

/// Direct reads are cut to this size.
const READ_CHUNK: usize = 1 << 20;
/// The unit of direct I/O as a file position.
const BLOCK_BYTES: u64 = BLOCK as u64;
thread_local! {
    /// Devices on which glommio has already found out whether polled I/O works.
    static PROBED: RefCell<BTreeSet<u64>> = const { RefCell::new(BTreeSet::new()) };
}

pub(crate) struct RealDirect {
    file: Rc<DmaFile>,
}

impl RealDirect {
    pub(crate) async fn open(path: &Path, create: bool) -> io::Result<(Self, u64)> {
        probe_device(crate::fs::parent(path)).await;
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        if create {
            options.create_new(true);
        }
        let file = options.dma_open(path).await.map_err(io_error)?;
        let size = rustix::fs::fstat(borrow(&file))?.st_size;
        let size = u64::try_from(size).expect("the kernel knows no negative sizes");
        Ok((Self { file: Rc::new(file) }, size))
    }

    /// Runs as a task of its own, so that dropping the caller neither frees memory the kernel reads nor cuts a
    /// resubmission short, and so that the end of the shard waits for it.
    pub(crate) async fn write_at(&self, buf: AlignedBuf, pos: u64) -> (io::Result<usize>, AlignedBuf) {
        self.write_with(buf, pos, 0).await
    }

    /// As [`RealDirect::write_at`], and durable when it ends: one request where a write and a flush are two.
    pub(crate) async fn write_through(&self, buf: AlignedBuf, pos: u64) -> (io::Result<usize>, AlignedBuf) {
        self.write_with(buf, pos, libc::RWF_DSYNC).await
    }

    async fn write_with(&self, buf: AlignedBuf, pos: u64, flags: i32) -> (io::Result<usize>, AlignedBuf) {
        let file = self.file.clone();
        let (memory, len) = buf.into_blocks();
        let kept = memory.clone();
        let once = move |memory, pos| write_once(file.clone(), memory, pos, flags);
        let result =
            spawn_essential(Queue::Append, async move { resubmit::write_whole(memory, pos, once).await })
                .await;
        (result, AlignedBuf::from_blocks(kept, len))
    }

    pub(crate) async fn read_at(&self, pos: u64, len: usize) -> io::Result<AlignedBuf> {
        let mut out = AlignedBuf::with_capacity(len);
        while out.len() < len {
            let at = pos + out.len() as u64;
            let skip = usize::try_from(at % BLOCK_BYTES).expect("less than a block");
            let want = (len - out.len()).min(READ_CHUNK);
            let blocks = (skip + want).next_multiple_of(BLOCK);
            let chunk = self.file.read_at_aligned(at - skip as u64, blocks).await.map_err(io_error)?;
            let Some(bytes) = chunk.get(skip..).filter(|bytes| !bytes.is_empty()) else { break };
            out.extend_from_slice(&bytes[..bytes.len().min(want)]);
        }
        Ok(out)
    }

    pub(crate) async fn fdatasync(&self) -> io::Result<()> {
        self.file.fdatasync().await.map_err(io_error)
    }

    /// On a descriptor of its own: the caller, and with it the file, may be gone before the pool gets to it.
    pub(crate) async fn truncate(&self, len: u64) -> io::Result<()> {
        let fd = rustix::io::fcntl_dupfd_cloexec(borrow(&self.file), 0)?;
        blocking::run(move || Ok(rustix::fs::ftruncate(fd, len)?)).await
    }

    pub(crate) async fn close(self) -> io::Result<()> {
        // With a write still in flight, the last reference closes.
        match Rc::try_unwrap(self.file) {
            Ok(file) => file.close().await.map_err(io_error),
            Err(_in_use) => Ok(()),
        }
    }
}

/// A file that is only read, in long stretches.
pub(crate) struct DirectReader {
    file: DmaFile,
}

impl DirectReader {
    /// `None` where the file system knows no direct I/O. glommio may probe the device with this file: it must hold a
    /// block at least.
    pub(crate) async fn open(path: &Path) -> io::Result<Option<Self>> {
        match DmaFile::open(path).await.map_err(io_error) {
            Ok(file) => Ok(Some(Self { file })),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `pos` is on a block boundary. Fewer bytes than `len` only where the file ends.
    pub(crate) async fn read_at(&self, pos: u64, len: usize) -> io::Result<ReadResult> {
        let read = self.file.read_at_aligned(pos, len.next_multiple_of(BLOCK)).await.map_err(io_error)?;
        Ok(ReadResult::slice(&read, 0, len.min(read.len())).expect("a part of what was read"))
    }
}

fn borrow(file: &DmaFile) -> BorrowedFd<'_> {
    // SAFETY: the descriptor is open for as long as the `DmaFile` is borrowed.
    unsafe { BorrowedFd::borrow_raw(file.as_raw_fd()) }
}

async fn write_once(file: Rc<DmaFile>, memory: Rc<DmaBuffer>, pos: u64, flags: i32) -> io::Result<usize> {
    match file.write_rc_at_with_flags(memory, pos, flags).await.map_err(io_error) {
        Err(e) if matches!(e.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => Ok(0),
        other => other,
    }
}

/// glommio finds out on the first file of a device whether polled I/O works, by reading it. On an empty file that
/// read succeeds without reaching the device, and every later write fails or spins. So the first file it sees of a
/// device is one of ours with a block in it. Where none can be written, the caller's own open tells why.
async fn probe_device(dir: &Path) {
    let Ok(stat) = rustix::fs::stat(dir) else { return };
    let device = stat.st_dev;
    if PROBED.with(|probed| probed.borrow().contains(&device)) {
        return;
    }
    let name = format!(".kring-probe-{}-{}", std::process::id(), crate::random_u64());
    let path = dir.join(name);
    let made = path.clone();
    if blocking::run(move || fs::write(made, [0; BLOCK])).await.is_err() {
        return;
    }
    probe_file(&path).await;
    if let Err(error) = blocking::run(move || fs::remove_file(path)).await {
        tracing::warn!(%error, "a probe file is left in the data directory");
    }
    PROBED.with(|probed| probed.borrow_mut().insert(device));
}

async fn probe_file(path: &PathBuf) {
    let closed = match DmaFile::open(path).await {
        Ok(file) => file.close().await,
        Err(error) => Err(error),
    };
    if let Err(error) = closed {
        tracing::debug!(%error, "the device could not be probed");
    }
}
