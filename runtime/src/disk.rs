//! Log data: direct writes, and buffered reads that never block the shard.
//!
//! A [`DirectFile`] bypasses the page cache and belongs to one shard. A [`ReadHandle`] goes through the page cache, may
//! be sent to any shard, and is what `send_file` sends from. Sizes and positions are in bytes; direct ones are
//! multiples of [`BLOCK`].

use std::cell::Cell;
use std::fmt;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use glommio::allocate_dma_buffer_global;

use crate::context::{self, Backend};
pub use crate::forward::{Forward, OVERLAP, Piece, ReadAhead};
use crate::real::direct::RealDirect;
use crate::real::readable::RealReadable;
use crate::sim::disk::{SimDirect, SimReadable};

/// The unit of direct I/O. Devices may take less; nothing takes more.
pub const BLOCK: usize = 4096;

/// The largest window that [`crate::net::WriteHalf::send_file`] sends, and prefetches, at once.
pub const SEND_WINDOW: u64 = 256 * 1024;

const fn round_up(len: usize) -> usize {
    len.div_ceil(BLOCK) * BLOCK
}

/// Memory for a direct write: starts on a block boundary.
/// Not to be sent to another shard.
pub struct AlignedBuf {
    memory: Rc<glommio::io::DmaBuffer>,
    len: usize,
}

impl AlignedBuf {
    /// Memory for `capacity` bytes, rounded up to whole blocks, at least one.
    pub fn with_capacity(capacity: usize) -> Self {
        let bytes = round_up(capacity.max(1));
        let memory = context::with(|backend| match backend {
            Some(Backend::Real(_)) => glommio::allocate_dma_buffer(bytes),
            Some(Backend::Sim(_)) | None => allocate_dma_buffer_global(bytes),
        });
        Self { memory: Rc::new(memory), len: 0 }
    }

    pub fn from_slice(bytes: &[u8]) -> Self {
        let mut buf = Self::with_capacity(bytes.len());
        buf.extend_from_slice(bytes);
        buf
    }

    /// `len` zero bytes.
    pub fn zeroed(len: usize) -> Self {
        let mut buf = Self::with_capacity(len);
        buf.grow_to(len);
        buf
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn capacity(&self) -> usize {
        self.memory.len()
    }

    /// Length rounded up to whole blocks: what a write would write.
    pub fn padded_len(&self) -> usize {
        round_up(self.len)
    }

    pub fn as_slice(&self) -> &[u8] {
        &self.memory.as_bytes()[..self.len]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        Rc::get_mut(&mut self.memory).expect("a buffer in flight is not here").as_bytes_mut()
    }

    /// Appends, moving to larger memory when there is no room.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        let end = self.len.checked_add(bytes.len()).expect("a buffer of this size does not exist");
        if end > self.capacity() {
            let mut larger = Self::with_capacity(end.max(self.capacity().saturating_mul(2)));
            larger.bytes_mut()[..self.len].copy_from_slice(self.as_slice());
            self.memory = larger.memory;
        }
        let start = self.len;
        self.bytes_mut()[start..end].copy_from_slice(bytes);
        self.len = end;
    }

    /// Grows the length within the capacity; the new bytes are zero.
    pub fn grow_to(&mut self, len: usize) {
        let old = self.len;
        assert!(old <= len && len <= self.capacity(), "growing stays within the memory that is there");
        self.bytes_mut()[old..len].fill(0);
        self.len = len;
    }

    /// Appends zeros up to this length, moving to larger memory when there is no room.
    pub fn zero_to(&mut self, len: usize) {
        const ZEROS: [u8; BLOCK] = [0; BLOCK];
        while self.len < len {
            self.extend_from_slice(&ZEROS[..BLOCK.min(len - self.len)]);
        }
    }

    /// Cuts to `len`. Does nothing when it is shorter.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// The memory, cut to whole blocks of content, zero behind it: the direct write writes all of it.
    pub(crate) fn into_blocks(mut self) -> (Rc<glommio::io::DmaBuffer>, usize) {
        let (len, padded) = (self.len, self.padded_len());
        self.bytes_mut()[len..padded].fill(0);
        if self.memory.len() != padded {
            Rc::get_mut(&mut self.memory).expect("a buffer in flight is not here").trim_to_size(padded);
        }
        (self.memory, len)
    }

    pub(crate) fn from_blocks(memory: Rc<glommio::io::DmaBuffer>, len: usize) -> Self {
        assert!(len <= memory.len(), "a buffer is at least as long as its content");
        Self { memory, len }
    }
}

impl fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedBuf({} of {} bytes)", self.len, self.capacity())
    }
}

impl std::ops::Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

enum Direct {
    Real(RealDirect),
    Sim(SimDirect),
}

/// A file for direct I/O, owned by one shard.
pub struct DirectFile {
    inner: Direct,
    /// Kept here because glommio asks by path, which is wrong after a rename.
    size: Cell<u64>,
}

impl DirectFile {
    /// Makes a file; `AlreadyExists` when there is one. Its name is durable after `fs::sync_dir`.
    pub async fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::open_as(path.as_ref(), true).await
    }

    /// Opens an existing file for reading and writing.
    pub async fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::open_as(path.as_ref(), false).await
    }

    async fn open_as(path: &Path, create: bool) -> io::Result<Self> {
        let (inner, size) = match context::current() {
            Backend::Real(_) => {
                let (file, size) = RealDirect::open(path, create).await?;
                (Direct::Real(file), size)
            }
            Backend::Sim(shard) => {
                let (file, size) = SimDirect::open(&shard, path, create).await?;
                (Direct::Sim(file), size)
            }
        };
        Ok(Self { inner, size: Cell::new(size) })
    }

    /// Bytes in the file: what it had when it was opened, changed by the writes and truncations since.
    pub fn size(&self) -> u64 {
        self.size.get()
    }

    /// Writes the buffer's blocks at `pos`, zero-padded to whole blocks, and gives the buffer back, its capacity cut
    /// to what was written. The result counts padded bytes and is never short: short writes are resubmitted here.
    /// When the future is dropped the write goes on, and may or may not succeed.
    pub async fn write_at(&self, buf: AlignedBuf, pos: u64) -> (io::Result<usize>, AlignedBuf) {
        check_write(&buf, pos);
        let (result, buf) = match &self.inner {
            Direct::Real(file) => file.write_at(buf, pos).await,
            Direct::Sim(file) => file.write_at(buf, pos).await,
        };
        self.note_written(pos, &result);
        (result, buf)
    }

    /// As [`DirectFile::write_at`], and durable when it ends, the file's size with it: these bytes, and not what was
    /// written before. After a failure nothing about the file can be trusted, as with [`DirectFile::fdatasync`].
    pub async fn write_through(&self, buf: AlignedBuf, pos: u64) -> (io::Result<usize>, AlignedBuf) {
        check_write(&buf, pos);
        let (result, buf) = match &self.inner {
            Direct::Real(file) => file.write_through(buf, pos).await,
            Direct::Sim(file) => file.write_through(buf, pos).await,
        };
        self.note_written(pos, &result);
        (result, buf)
    }

    fn note_written(&self, pos: u64, result: &io::Result<usize>) {
        if let Ok(written) = result {
            self.size.set(self.size.get().max(pos + *written as u64));
        }
    }

    /// Up to `len` bytes from `pos`, fewer only where the file ends. Any position and length; whole blocks are cheaper.
    pub async fn read_at(&self, pos: u64, len: usize) -> io::Result<AlignedBuf> {
        if len == 0 || pos >= self.size.get() {
            return Ok(AlignedBuf::with_capacity(0));
        }
        let within = usize::try_from(self.size.get() - pos).unwrap_or(usize::MAX);
        match &self.inner {
            Direct::Real(file) => file.read_at(pos, len.min(within)).await,
            Direct::Sim(file) => file.read_at(pos, len.min(within)).await,
        }
    }

    /// Makes completed writes durable, and the file's size with them. After a failure nothing about the file can be
    /// trusted: fence the log, and do not try again.
    pub async fn fdatasync(&self) -> io::Result<()> {
        match &self.inner {
            Direct::Real(file) => file.fdatasync().await,
            Direct::Sim(file) => file.fdatasync().await,
        }
    }

    /// Cuts the file, or extends it with a hole. Durable after [`DirectFile::fdatasync`].
    pub async fn truncate(&self, len: u64) -> io::Result<()> {
        match &self.inner {
            Direct::Real(file) => file.truncate(len).await?,
            Direct::Sim(file) => file.truncate(len).await?,
        }
        self.size.set(len);
        Ok(())
    }

    /// Writes zeros from `from` up to `to`, both on block boundaries, so that later writes there overwrite: syncing an
    /// overwrite costs half of syncing an extension.
    pub async fn allocate_zeroed(&self, from: u64, to: u64) -> io::Result<()> {
        let mut pos = from;
        while pos < to {
            let len = usize::try_from((to - pos).min(1 << 20)).expect("at most a mebibyte");
            let (result, _buf) = self.write_at(AlignedBuf::zeroed(len), pos).await;
            pos += result? as u64;
        }
        Ok(())
    }

    /// Closes, and tells how that went. Dropping closes too, later and silently.
    pub async fn close(self) -> io::Result<()> {
        match self.inner {
            Direct::Real(file) => file.close().await,
            Direct::Sim(_) => Ok(()),
        }
    }
}

fn check_write(buf: &AlignedBuf, pos: u64) {
    assert!(pos.is_multiple_of(BLOCK as u64), "direct writes begin on a block");
    assert!(!buf.is_empty(), "there is nothing to write");
}

impl fmt::Debug for DirectFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DirectFile({} bytes)", self.size.get())
    }
}

#[derive(Clone)]
enum Readable {
    Real(Arc<RealReadable>),
    Sim(Arc<SimReadable>),
}

/// A file for reading through the page cache. Clones share the descriptor; any shard may read.
#[derive(Clone)]
pub struct ReadHandle {
    inner: Readable,
    /// Sending from it failed once, in the middle of what a peer was promised.
    has_failed: Arc<AtomicBool>,
}

impl ReadHandle {
    pub async fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let inner = match context::current() {
            Backend::Real(_) => Readable::Real(Arc::new(RealReadable::open(path.as_ref()).await?)),
            Backend::Sim(shard) => Readable::Sim(Arc::new(SimReadable::open(&shard, path.as_ref()).await?)),
        };
        Ok(Self { inner, has_failed: Arc::default() })
    }

    /// Whether [`crate::net::WriteHalf::send_file`] could not read from it. Who asks before the next promise can read
    /// into memory instead, and answer for this file alone.
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    pub(crate) fn mark_failed(&self) {
        self.has_failed.store(true, Ordering::Relaxed);
    }

    /// Up to `len` bytes from `pos`, fewer only where the file ends. Cached bytes are returned without waiting.
    pub async fn read_at(&self, pos: u64, len: usize) -> io::Result<Bytes> {
        match &self.inner {
            Readable::Real(file) => file.read_at(pos, len).await,
            Readable::Sim(file) => file.read_at(pos, len).await,
        }
    }

    /// Brings a range into the page cache.
    pub async fn prefetch(&self, pos: u64, len: u64) -> io::Result<()> {
        match &self.inner {
            Readable::Real(file) => file.prefetch(pos, len).await,
            Readable::Sim(_) => Ok(()),
        }
    }

    /// Whether a range can be read without waiting for the disk.
    pub fn is_resident(&self, pos: u64, len: u64) -> bool {
        match &self.inner {
            Readable::Real(file) => file.is_resident(pos, len),
            Readable::Sim(_) => true,
        }
    }

    pub(crate) fn real(&self) -> Option<&RealReadable> {
        match &self.inner {
            Readable::Real(file) => Some(file),
            Readable::Sim(_) => None,
        }
    }
}

impl fmt::Debug for ReadHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadHandle")
    }
}

/// Bytes of a file that will not change any more, to be sent as they are.
#[derive(Clone, Debug)]
pub struct FileRange {
    pub file: ReadHandle,
    pub offset: u64,
    pub len: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aligned_buffer_grows_keeps_its_bytes_and_pads_with_zeros() {
        let mut buf = AlignedBuf::with_capacity(10);
        assert_eq!(buf.capacity(), BLOCK);
        buf.extend_from_slice(&[7; 5000]);
        assert_eq!((buf.len(), buf.padded_len()), (5000, 2 * BLOCK));
        assert_eq!(buf.as_slice().as_ptr().align_offset(BLOCK), 0);
        buf.truncate(3);
        buf.grow_to(buf.padded_len());
        assert_eq!(&buf[..3], &[7; 3]);
        assert!(buf[3..].iter().all(|byte| *byte == 0));
    }
}
