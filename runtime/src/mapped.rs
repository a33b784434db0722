//! Memory that outlives the process: a file of fixed length, mapped, whose pages belong to the kernel's cache.
//!
//! What is copied in is there for whoever opens the file after this process was killed, without a system call and
//! without a wait. A power cut leaves any mixture of pages, older and newer, as of every file that was not flushed.

use std::fmt;
use std::io;
use std::path::Path;

use crate::context::{self, Backend};
use crate::real::mapped::RealMapped;
use crate::sim::mapped::SimMapped;

enum Mapped {
    Real(RealMapped),
    Sim(SimMapped),
}

/// A mapped file, owned by one shard. To be read by its path, like any other.
pub struct MappedFile {
    inner: Mapped,
    len: usize,
}

impl MappedFile {
    /// Makes a file of `len` zero bytes, its blocks taken on the disk, and maps it. Nobody else may change its length
    /// while it is mapped. `AlreadyExists` when there is one; `Unsupported` where a store could fail because the disk is full. An error
    /// leaves no file, as far as it could be removed.
    pub async fn create(path: impl AsRef<Path>, len: usize) -> io::Result<Self> {
        assert!(len > 0, "there is nothing to map");
        let path = path.as_ref();
        let inner = match context::current() {
            Backend::Real(_) => Mapped::Real(RealMapped::create(path, len).await?),
            Backend::Sim(shard) => Mapped::Sim(SimMapped::create(&shard, path, len).await?),
        };
        Ok(Self { inner, len })
    }

    /// Copies `parts` in, one after another from byte `at` on.
    ///
    /// # Panics
    /// When they do not fit.
    pub fn put(&self, at: usize, parts: &[&[u8]]) {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        assert!(at.checked_add(bytes).is_some_and(|end| end <= self.len), "within the file");
        match &self.inner {
            Mapped::Real(file) => file.put(at, parts),
            Mapped::Sim(file) => file.put(at, parts),
        }
    }

    /// Makes what was copied in durable.
    pub async fn sync(&self) -> io::Result<()> {
        match &self.inner {
            Mapped::Real(file) => file.sync().await,
            Mapped::Sim(file) => file.sync().await,
        }
    }
}

impl fmt::Debug for MappedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MappedFile({} bytes)", self.len)
    }
}
