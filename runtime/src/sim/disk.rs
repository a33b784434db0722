//! stub
use std::io;
use std::path::Path;
use bytes::Bytes;
use crate::disk::AlignedBuf;
use crate::fs::{DirEntry, DiskSpace};
use super::SimShard;
fn no<T>() -> io::Result<T> { Err(io::ErrorKind::Unsupported.into()) }
#[derive(Debug)] pub(crate) struct SimLock;
pub(crate) struct SimFiles;
impl SimFiles {
 pub(crate) async fn create_dir_all(&self, _: &Path) -> io::Result<()> { no() }
 pub(crate) async fn read_dir(&self, _: &Path) -> io::Result<Vec<DirEntry>> { no() }
 pub(crate) async fn read(&self, _: &Path) -> io::Result<Vec<u8>> { no() }
 pub(crate) async fn write_atomic(&self, _: &Path, _: &[u8]) -> io::Result<()> { no() }
 pub(crate) async fn remove_file(&self, _: &Path) -> io::Result<()> { no() }
 pub(crate) async fn remove_dir_all(&self, _: &Path) -> io::Result<()> { no() }
 pub(crate) async fn rename(&self, _: &Path, _: &Path) -> io::Result<()> { no() }
 pub(crate) async fn sync_dir(&self, _: &Path) -> io::Result<()> { no() }
 pub(crate) async fn metadata(&self, _: &Path) -> io::Result<DirEntry> { no() }
 pub(crate) async fn set_len(&self, _: &Path, _: u64) -> io::Result<()> { no() }
 pub(crate) async fn lock_exclusive(&self, _: &Path) -> io::Result<SimLock> { no() }
 pub(crate) fn disk_space(&self) -> io::Result<DiskSpace> { no() }
}
pub(crate) struct SimDirect;
impl SimDirect {
 pub(crate) async fn open(_: &SimShard, _: &Path, _: bool) -> io::Result<(Self, u64)> { no() }
 pub(crate) async fn write_at(&self, b: AlignedBuf, _: u64) -> (io::Result<usize>, AlignedBuf) { (no(), b) }
 pub(crate) async fn read_at(&self, _: u64, _: usize) -> io::Result<AlignedBuf> { no() }
 pub(crate) async fn fdatasync(&self) -> io::Result<()> { no() }
 pub(crate) async fn truncate(&self, _: u64) -> io::Result<()> { no() }
}
pub(crate) struct SimReadable;
impl SimReadable {
 pub(crate) async fn open(_: &SimShard, _: &Path) -> io::Result<Self> { no() }
 pub(crate) async fn read_at(&self, _: u64, _: usize) -> io::Result<Bytes> { no() }
}
