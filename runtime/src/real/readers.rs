//! Which files this process has open for reading, whatever their names are by now. Any thread.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Device and inode.
type FileId = (u64, u64);

#[derive(Default)]
struct Readers {
    /// Files that are just being opened: until that has ended, nobody knows which.
    opening: usize,
    open: HashMap<FileId, usize>,
}

static READERS: Mutex<Option<Readers>> = Mutex::new(None);

/// Held for as long as the file is open.
pub(crate) struct Reading(FileId);

/// Opens a file, and notes that it is read.
pub(crate) fn open(path: &Path) -> io::Result<(File, Reading)> {
    with(|readers| readers.opening += 1);
    let opened = File::open(path).and_then(|file| file.metadata().map(|found| (file, id(&found))));
    with(|readers| {
        readers.opening -= 1;
        let (file, id) = opened?;
        *readers.open.entry(id).or_default() += 1;
        Ok((file, Reading(id)))
    })
}

/// Whether this file may be open: true also for a moment in which some file is being opened. Not one that is absent.
pub(crate) fn may_be_open(path: &Path) -> io::Result<bool> {
    let id = match std::fs::metadata(path) {
        Ok(found) => id(&found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    Ok(with(|readers| readers.opening > 0 || readers.open.contains_key(&id)))
}

impl Drop for Reading {
    fn drop(&mut self) {
        with(|readers| {
            let count = readers.open.get_mut(&self.0).expect("an open file was counted");
            *count -= 1;
            if *count == 0 {
                readers.open.remove(&self.0);
            }
        });
    }
}

fn id(found: &Metadata) -> FileId {
    (found.dev(), found.ino())
}

fn with<R>(look: impl FnOnce(&mut Readers) -> R) -> R {
    // A panic elsewhere ends the process; the counts are never left half changed.
    let mut readers: MutexGuard<'_, Option<Readers>> = READERS.lock().unwrap_or_else(PoisonError::into_inner);
    look(readers.get_or_insert_default())
}
