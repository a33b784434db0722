//! The journal of a shard in one log directory: batches that are acknowledged once the operating system has them, and
//! that wait there for a write worth its cost. The file is mapped, so that a batch outlives this process as soon as it
//! is copied in; the segments get it by direct I/O, many batches at a time. A start after a kill takes over what the
//! segments lack.
//!
//! ```text
//! append ─▶ copied into the journal ─▶ acknowledged, shown ┄▶ written to its segment ─▶ its place is free again
//! ```
//! Never promises what a power cut does not take: that is what [`commit`] is for. Shard that owns the logs.

mod commit;
mod entry;
mod file;
mod layout;
mod replay;
mod take_over;

use std::rc::Rc;

use kring_runtime::mapped::MappedFile;

use crate::batch::{BatchInfo, HeldBatch};
use crate::behind::WriteBehind;
use crate::dir::LogDir;
use crate::error::LogError;
use crate::mutation::{self, Mutation};
pub(crate) use commit::CommitJournal;
#[cfg(test)]
pub(crate) use entry::forged;
pub(crate) use entry::{KeptBatch, Owner};
use file::JournalFile;
pub(crate) use file::Ticket;
use layout::Spot;
pub(crate) use replay::{Kept, file_name, is_journal};

const BLOCK_BYTES: usize = 1 << 20;
/// A longer batch costs less by a write of its own than by a copy and its part of another.
const LARGEST_BATCH_BYTES: u32 = 256 << 10;

/// Clones are the same journal.
#[derive(Clone)]
pub(crate) struct Journal(Rc<JournalFile<MappedFile>>);

impl Journal {
    /// One of about `bytes` bytes; less than two blocks are none.
    pub fn new(dir: &LogDir, bytes: usize) -> Journal {
        Journal(JournalFile::new(dir, bytes))
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
        let Some(file) = self.0.get() else {
            self.0.ask();
            return None;
        };
        let bytes = entry::entry_bytes(&owner.name.topic, held.len());
        let (spot, ticket) = self.0.place(bytes, false)?;
        let header = entry::header(spot.block, owner, previous_crc, info, &held.header);
        if !mutation::on(Mutation::KeepNothing) {
            put(&file, spot, &[&header, owner.name.topic.as_bytes(), &held.header, &held.body]);
        }
        Some(ticket)
    }

    /// More than half of it waits to be written.
    pub fn is_pressed(&self) -> bool {
        self.0.is_pressed()
    }

    /// Nothing that was ever kept in here comes back: see [`JournalFile::retire`].
    pub async fn retire(&self, behind: &WriteBehind) -> Result<(), LogError> {
        self.0.retire(|| behind.hurry(), || false).await
    }
}

fn put(file: &MappedFile, spot: Spot, parts: &[&[u8]]) {
    if spot.begins {
        file.put(spot.at - entry::BLOCK_HEADER_BYTES, &[&entry::block_header(spot.block)]);
    }
    file.put(spot.at, parts);
}
