//! A shared mapping of a file whose blocks are all there.
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::ptr::{self, NonNull};

use rustix::mm::{MapFlags, ProtFlags};

use crate::real::blocking;

/// Written at once when a file is made.
const ZEROS: usize = 1 << 20;

/// ext2 to ext4, XFS, tmpfs, and overlays, whose files are made on one of them as a rule.
const IN_PLACE: [rustix::fs::FsWord; 4] = [0xef53, 0x5846_5342, 0x0102_1994, 0x794c_7630];

pub(crate) struct RealMapped {
    memory: NonNull<u8>,
    len: usize,
    file: File,
}

impl RealMapped {
    /// The zeros are written, not left as a hole: a store into a page without a block would find out about a full disk
    /// by a signal.
    pub(crate) async fn create(path: &Path, len: usize) -> io::Result<Self> {
        let path = path.to_owned();
        let file = blocking::run(move || {
            let made = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
            let filled = check_in_place(&made).and_then(|()| fill(&made, len));
            if filled.is_err() {
                // What cannot be removed is found by the next start.
                let _left = std::fs::remove_file(&path);
            }
            filled.map(|()| made)
        })
        .await?;
        Self::map(file, len)
    }

    fn map(file: File, len: usize) -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: no address is asked for, so the kernel chooses one that nothing else has, and it is unmapped by the
        // `drop` of the only value that knows it.
        let memory = unsafe { rustix::mm::mmap(ptr::null_mut(), len, access, MapFlags::SHARED, &file, 0)? };
        let memory = NonNull::new(memory.cast::<u8>()).expect("a mapping is not at address zero");
        Ok(Self { memory, len, file })
    }

    pub(crate) fn put(&self, at: usize, parts: &[&[u8]]) {
        let mut at = at;
        for part in parts {
            assert!(part.len() <= self.len - at, "within the mapping");
            // SAFETY: `at + part.len()` is at most `len`, so the target lies within the mapping, which lives as long as
            // `self`. No reference into the mapping exists anywhere: it is only written, here, and this type is neither
            // Send nor Sync, so no two copies overlap in time; `part` cannot lie in it for the same reason.
            unsafe { ptr::copy_nonoverlapping(part.as_ptr(), self.memory.as_ptr().add(at), part.len()) };
            at += part.len();
        }
    }

    pub(crate) async fn sync(&self) -> io::Result<()> {
        let file = self.file.try_clone()?;
        blocking::run(move || file.sync_data()).await
    }
}

impl Drop for RealMapped {
    fn drop(&mut self) {
        // SAFETY: exactly what `map` got, and nobody has an address in it: see `put`.
        let unmapped = unsafe { rustix::mm::munmap(self.memory.as_ptr().cast(), self.len) };
        assert!(unmapped.is_ok(), "what was mapped can be unmapped");
    }
}

/// A file system that writes each page to a new block may find none, and tell so by a signal at any store.
fn check_in_place(file: &File) -> io::Result<()> {
    let kind = rustix::fs::fstatfs(file)?.f_type;
    if IN_PLACE.contains(&kind) {
        return Ok(());
    }
    let cause = format!("a file system of type {kind:#x} is not known to write in place");
    Err(io::Error::new(io::ErrorKind::Unsupported, cause))
}

fn fill(file: &File, len: usize) -> io::Result<()> {
    let (zeros, mut file, mut left) = (vec![0; ZEROS], file, len);
    while left > 0 {
        let some = left.min(ZEROS);
        file.write_all(&zeros[..some])?;
        left -= some;
    }
    // Blocks that the kernel only intends to take are taken now.
    file.sync_all()
}
