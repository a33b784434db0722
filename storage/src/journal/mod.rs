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
use std::rc::Rc;
use std::time::Duration;

use kring_runtime::mapped::MappedFile;
use kring_runtime::{Queue, sleep, spawn};

use crate::batch::{BatchInfo, HeldBatch};
use crate::dir::LogDir;
use crate::error::LogError;
use crate::mutation::{self, Mutation};
use crate::types::Offset;
pub(crate) use entry::{KeptBatch, Owner};
use layout::{Layout, Spot};
pub(crate) use replay::{Kept, file_name, is_journal};

const BLOCK_BYTES: usize = 1 << 20;
/// A longer batch costs less by a write of its own than by a copy and its part of another.
const LARGEST_BATCH_BYTES: u32 = 256 << 10;
/// Until a journal that found no room for the end of a log is asked again.
const CUT_PAUSE: Duration = Duration::from_millis(10);

/// Clones are the same journal.
#[derive(Clone)]
pub(crate) struct Journal(Rc<Shared>);

struct Shared {
    dir: LogDir,
    blocks: usize,
    /// Made with the first batch that wants it.
    file: RefCell<Option<Rc<MappedFile>>>,
    /// It is being made, or cannot be.
    is_asked_for: Cell<bool>,
    layout: RefCell<Layout>,
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

impl Journal {
    /// One of about `bytes` bytes; less than two blocks are none.
    pub fn new(dir: &LogDir, bytes: usize) -> Journal {
        let blocks = bytes / BLOCK_BYTES;
        Journal(Rc::new(Shared {
            dir: dir.clone(),
            blocks,
            file: RefCell::new(None),
            is_asked_for: Cell::new(blocks < 2),
            layout: RefCell::new(Layout::new(blocks.max(2), BLOCK_BYTES)),
        }))
    }

    /// The batch outlives this process from now on. `None`, and nothing is kept, where there is no journal yet, no room,
    /// or no gain.
    pub fn keep(&self, owner: Owner<'_>, info: &BatchInfo, held: &HeldBatch) -> Option<Ticket> {
        if info.bytes > LARGEST_BATCH_BYTES {
            return None;
        }
        let file = self.0.file.borrow();
        let Some(file) = &*file else {
            self.ask_for_file();
            return None;
        };
        let spot = self.0.layout.borrow_mut().place(entry::entry_bytes(&owner.name.topic, held.len()))?;
        let header = entry::batch_entry(spot.block, owner, info, &held.header);
        if !mutation::on(Mutation::KeepNothing) {
            put(file, spot, &[&header, owner.name.topic.as_bytes(), &held.header, &held.body]);
        }
        Some(Ticket { journal: self.clone(), block: spot.block })
    }

    /// More than half of it waits to be written.
    pub fn is_pressed(&self) -> bool {
        self.0.layout.borrow().is_pressed()
    }

    /// What this log has in here from `at` on does not count any more, whatever happens: durable on return. Nor what it
    /// has in the journals of the process before.
    pub async fn cut(&self, owner: Owner<'_>, at: Offset) -> Result<(), LogError> {
        if self.0.file.borrow().is_none() && self.0.dir.has_old_journals() {
            self.make_file().await;
        }
        let file = self.0.file.borrow().clone();
        match file {
            Some(file) => self.cut_in(&file, owner, at).await,
            None => Ok(()),
        }
    }

    async fn cut_in(&self, file: &MappedFile, owner: Owner<'_>, at: Offset) -> Result<(), LogError> {
        let spot = loop {
            let place = self.0.layout.borrow_mut().place(entry::entry_bytes(&owner.name.topic, 0));
            match place {
                Some(spot) => break spot,
                // What is in the way gets written meanwhile.
                None => sleep(CUT_PAUSE).await,
            }
            self.0.dir.check_online()?;
        };
        let header = entry::cut_entry(spot.block, owner, at);
        put(file, spot, &[&header, owner.name.topic.as_bytes()]);
        self.0.layout.borrow_mut().release(spot.block);
        file.sync().await.map_err(|e| LogError::flush(self.0.dir.path(), "flushing the journal in", &e))
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
        match MappedFile::create(&path, self.0.blocks.max(2) * BLOCK_BYTES).await {
            Ok(file) => {
                self.0.file.borrow_mut().get_or_insert(Rc::new(file));
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "no journal: each batch is written at once")
            }
        }
    }
}

fn put(file: &MappedFile, spot: Spot, parts: &[&[u8]]) {
    if spot.begins {
        file.put(spot.at - entry::BLOCK_HEADER_BYTES, &[&entry::block_header(spot.block)]);
    }
    file.put(spot.at, parts);
}
