//! The journal of a shard in one log directory: batches that are acknowledged once the operating system has them, and
//! that wait there for a write worth its cost. The file is mapped, so that a batch outlives this process as soon as it
//! is copied in; the segments get it by direct I/O, many batches at a time. A start after a kill takes over what the
//! segments lack.
//!
//! ```text
//! append ─▶ copied into the journal ─▶ acknowledged, shown ┄▶ written to its segment ─▶ its place is free again
//! ```
//! Never promises what a power cut does not take: that is what a flush is for. Shard that owns the logs.

mod entry;
mod layout;
mod replay;
mod take_over;

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use kring_runtime::mapped::MappedFile;
use kring_runtime::{Queue, fs, random_u64, sleep, spawn};

use crate::batch::{BatchInfo, HeldBatch};
use crate::behind::WriteBehind;
use crate::dir::LogDir;
use crate::error::LogError;
use crate::mutation::{self, Mutation};
use crate::turn::Turn;
#[cfg(test)]
pub(crate) use entry::forged;
pub(crate) use entry::{KeptBatch, Owner};
use layout::{Layout, Spot};
pub(crate) use replay::{Kept, file_name, is_journal};

const BLOCK_BYTES: usize = 1 << 20;
/// A longer batch costs less by a write of its own than by a copy and its part of another.
const LARGEST_BATCH_BYTES: u32 = 256 << 10;
/// Until a journal that is to go is looked at again.
const RETIRE_PAUSE: Duration = Duration::from_millis(2);
/// After a file could not be made.
const MAKE_PAUSE: Duration = Duration::from_secs(10);

/// Clones are the same journal.
#[derive(Clone)]
pub(crate) struct Journal(Rc<Shared>);

struct Shared {
    dir: LogDir,
    blocks: usize,
    /// Made with the first batch that wants it.
    file: RefCell<Option<Open>>,
    /// It is being made, or cannot be.
    is_asked_for: Cell<bool>,
    layout: RefCell<Layout>,
    /// Entries of logs that have failed: only the next start can write them.
    stranded: Cell<usize>,
    retiring: Turn,
}

struct Open {
    file: MappedFile,
    path: PathBuf,
}

/// A batch's place in the journal, given back when this is dropped.
pub(crate) struct Ticket {
    journal: Journal,
    block: u64,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.journal.0.layout.borrow_mut().release(self.block);
    }
}

impl Ticket {
    /// Its batch stays where it is for as long as this process lives: its log has failed, and the next start takes it over.
    pub fn strand(self) {
        let stranded = &self.journal.0.stranded;
        stranded.set(stranded.get() + 1);
        std::mem::forget(self);
    }
}

impl Journal {
    /// One of about `bytes` bytes; less than two blocks are none.
    pub fn new(dir: &LogDir, bytes: usize) -> Journal {
        let blocks = bytes / BLOCK_BYTES;
        Journal(Rc::new(Shared {
            dir: dir.clone(),
            blocks,
            file: RefCell::new(None),
            is_asked_for: Cell::new(blocks < 2),
            layout: RefCell::new(Layout::new(first_number(), blocks.max(2), BLOCK_BYTES)),
            stranded: Cell::new(0),
            retiring: Turn::default(),
        }))
    }

    /// The batch outlives this process from now on. `None`, and nothing is kept, where there is no journal yet, no room,
    /// or no gain.
    pub fn keep(
        &self,
        owner: Owner<'_>,
        previous_crc: u32,
        info: &BatchInfo,
        held: &HeldBatch,
    ) -> Option<Ticket> {
        if info.bytes > LARGEST_BATCH_BYTES {
            return None;
        }
        let open = self.0.file.borrow();
        let Some(open) = &*open else {
            self.ask_for_file();
            return None;
        };
        let spot = self.0.layout.borrow_mut().place(entry::entry_bytes(&owner.name.topic, held.len()))?;
        let header = entry::header(spot.block, owner, previous_crc, info, &held.header);
        if !mutation::on(Mutation::KeepNothing) {
            put(&open.file, spot, &[&header, owner.name.topic.as_bytes(), &held.header, &held.body]);
        }
        Some(Ticket { journal: self.clone(), block: spot.block })
    }

    /// More than half of it waits to be written.
    pub fn is_pressed(&self) -> bool {
        self.0.layout.borrow().is_pressed()
    }

    /// Nothing that was ever kept in here comes back, whatever happens: all of it is written, and the file goes,
    /// durably. For whoever takes records out of a log. The next batch makes a new file.
    pub async fn retire(&self, behind: &WriteBehind) -> Result<(), LogError> {
        let _turn = self.0.retiring.take().await;
        let Some(open) = self.0.file.take() else { return Ok(()) };
        let gone = self.write_all_and_remove(&open, behind).await;
        // Without the file, or with it as it was: what is in it is in order either way.
        if gone.is_err() {
            self.0.file.replace(Some(open));
        } else {
            self.0.layout.borrow_mut().begin_anew();
            self.0.is_asked_for.set(self.0.blocks < 2);
        }
        gone
    }

    async fn write_all_and_remove(&self, open: &Open, behind: &WriteBehind) -> Result<(), LogError> {
        while self.0.layout.borrow().is_needed() {
            self.0.dir.check_online()?;
            if self.0.stranded.get() > 0 {
                let cause = "records of a log that failed are in the journal: start again".into();
                return Err(LogError::Stalled { cause });
            }
            behind.hurry();
            sleep(RETIRE_PAUSE).await;
        }
        let dir = self.0.dir.path();
        fs::remove_file(&open.path).await.map_err(|e| LogError::io(&open.path, "removing", &e))?;
        self.0.dir.journal_removed(&open.path);
        fs::sync_dir(dir).await.map_err(|e| LogError::flush(dir, "flushing directory", &e))
    }

    fn ask_for_file(&self) {
        if !self.0.is_asked_for.replace(true) {
            let journal = self.clone();
            spawn(Queue::Background, async move { journal.make_file().await }).detach();
        }
    }

    /// Without a file each batch waits for a write of its own: slower, and no less sure.
    async fn make_file(&self) {
        let path = self.0.dir.new_journal();
        match MappedFile::create(&path, self.0.blocks * BLOCK_BYTES).await {
            Ok(file) => {
                self.0.dir.journal_made(path.clone());
                self.0.file.replace(Some(Open { file, path }));
            }
            Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {
                tracing::info!(dir = %self.0.dir.path().display(), %error, "no journal here: each batch is written at once");
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "no journal for now: each batch is written at once");
                sleep(MAKE_PAUSE).await;
                self.0.is_asked_for.set(false);
            }
        }
    }
}

/// Behind the entries of a block that is used again lies what was there before, records of clients among it, and a block's
/// entries name its number: a client must not be able to know it, or it could write entries of other logs.
fn first_number() -> u64 {
    // Halved, so that it can be counted up from.
    if mutation::on(Mutation::NumberFromZero) { 0 } else { random_u64() >> 1 }
}

fn put(file: &MappedFile, spot: Spot, parts: &[&[u8]]) {
    if spot.begins {
        file.put(spot.at - entry::BLOCK_HEADER_BYTES, &[&entry::block_header(spot.block)]);
    }
    file.put(spot.at, parts);
}
