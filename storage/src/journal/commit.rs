//! The journal of a shard where every write is flushed before it is acknowledged: the batches that its logs have taken
//! while one write was under way become durable together, by the next one. One write and one flush for all of them,
//! where each log would write and flush for itself; the segments get them later, many at a time, and are flushed before
//! their places here are used again.
//!
//! ```text
//! append ─▶ enlisted ─▶ written and flushed with others ─▶ acknowledged, shown ┄▶ written to its segment
//!                                                                              ┄▶ flushed there ─▶ its place is free
//! ```
//! A block of 4 KiB that holds something acknowledged is never written again while that is needed: each group begins in
//! a new one. Shard that owns the logs.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::time::Duration;

use kring_runtime::disk::{AlignedBuf, DirectFile};
use kring_runtime::local::Notify;
use kring_runtime::{Queue, now, sleep, spawn};

use super::entry::{self, BLOCK_HEADER_BYTES, ENTRY_HEADER_BYTES, Owner};
use super::file::{JournalFile, Ticket};
use super::layout::Spot;
use super::replay::GROUP_ALIGN;
use crate::batch::{BatchInfo, HeldBatch};
use crate::behind::WriteBehind;
use crate::company::{Row, await_return};
use crate::dir::LogDir;
use crate::error::LogError;
use crate::log::{Inner, Log};
use crate::mutation::{self, Mutation};
use crate::slots::Slots;
use crate::types::Offset;

/// A longer batch costs less by a flushed write of its own than by two writes.
const LARGEST_BATCH_BYTES: u32 = 128 << 10;
/// A group takes no more once it has so much.
const GROUP_BYTES: usize = 1 << 20;
/// Zeros between two entries cost less than another write.
const LONGEST_GAP_BYTES: usize = 64 << 10;
/// Before a write that found no room is tried again.
const FULL_PAUSE: Duration = Duration::from_millis(50);

/// Clones are the same journal.
#[derive(Clone)]
pub(crate) struct CommitJournal(Rc<Shared>);

struct Shared {
    file: Rc<JournalFile<DirectFile>>,
    slots: Slots,
    /// The file is made after so many batches in a row: a shard that has little to do needs none.
    made_after: u32,
    batches: Cell<Row>,
    /// Enlisted and not being written yet. The last one still grows.
    groups: RefCell<VecDeque<Group>>,
    is_writing: Cell<bool>,
    /// Groups that have begun, and those that have been written or have failed.
    begun: Cell<u64>,
    ended: Cell<u64>,
    has_ended: Notify,
    /// The disk has none: what comes goes to its segment.
    waits_for_room: Cell<bool>,
    /// Logs that have written what is not flushed there, and so is needed here.
    owing: RefCell<Vec<Weak<Inner>>>,
}

/// What becomes durable by one write.
#[derive(Default)]
struct Group {
    entries: Vec<Entry>,
    bytes: usize,
}

struct Entry {
    log: Log,
    /// Of the log, with this batch.
    end: Offset,
    spot: Spot,
    header: [u8; ENTRY_HEADER_BYTES],
    held: HeldBatch,
}

/// Neighbouring entries, and where they go.
struct Run {
    at: usize,
    buffer: AlignedBuf,
}

impl CommitJournal {
    /// One of about `bytes` bytes; less than two blocks are none.
    pub fn new(dir: &LogDir, bytes: usize, made_after: u32, slots: Slots) -> CommitJournal {
        CommitJournal(Rc::new(Shared {
            file: JournalFile::new(dir, bytes),
            slots,
            made_after,
            batches: Cell::default(),
            groups: RefCell::default(),
            is_writing: Cell::new(false),
            begun: Cell::new(0),
            ended: Cell::new(0),
            has_ended: Notify::new(),
            waits_for_room: Cell::new(false),
            owing: RefCell::default(),
        }))
    }

    /// The batch becomes durable with the next group, which the log is told. `None`, and nothing is begun, where there is
    /// no journal yet, no room, or no gain.
    pub fn enlist(&self, log: &Log, previous_crc: u32, info: &BatchInfo, held: &HeldBatch) -> Option<Ticket> {
        if info.bytes > LARGEST_BATCH_BYTES || self.0.waits_for_room.get() || !self.is_there() {
            return None;
        }
        let owner = Owner { name: &log.0.name, topic_id: log.0.topic_id };
        let mut groups = self.0.groups.borrow_mut();
        let is_open = groups.back().is_some_and(|group| group.bytes < GROUP_BYTES);
        if !is_open {
            self.0.file.align(GROUP_ALIGN);
        }
        let bytes = entry::entry_bytes(&owner.name.topic, held.len());
        let (spot, ticket) = self.0.file.place(bytes, true)?;
        let header = entry::header(spot.block, owner, previous_crc, info, &held.header);
        if !is_open {
            groups.push_back(Group::default());
            self.0.begun.set(self.0.begun.get() + 1);
        }
        let group = groups.back_mut().expect("there is one now");
        group.bytes += bytes;
        group.entries.push(Entry {
            log: log.clone(),
            end: info.end_offset(),
            spot,
            header,
            held: held.clone(),
        });
        drop(groups);
        self.start();
        Some(ticket)
    }

    /// Whether there is a file; asks for it when there is reason to.
    fn is_there(&self) -> bool {
        if self.0.file.get().is_some() {
            return true;
        }
        let mut batches = self.0.batches.get();
        let in_a_row = batches.next(true, now());
        self.0.batches.set(batches);
        if in_a_row >= self.0.made_after {
            self.0.file.ask();
        }
        false
    }

    fn start(&self) {
        if !self.0.is_writing.replace(true) {
            let journal = self.clone();
            spawn(Queue::Append, async move { journal.run().await }).detach();
        }
    }

    async fn run(&self) {
        loop {
            let group = self.0.groups.borrow_mut().pop_front();
            let Some(group) = group else {
                self.0.is_writing.set(false);
                return;
            };
            let committed = match mutation::on(Mutation::CommitUnwritten) {
                true => Ok(()),
                false => self.write(&group).await,
            };
            let bytes = group.bytes as u64;
            settle(group, committed);
            self.0.ended.set(self.0.ended.get() + 1);
            self.0.has_ended.notify_all();
            await_return(bytes, || self.enlisted_bytes()).await;
        }
    }

    async fn write(&self, group: &Group) -> Result<(), LogError> {
        self.0.file.dir.check_online()?;
        let file = self.0.file.get_open().expect("it stays while a group is to be written");
        for run in runs(group) {
            self.write_run(&file, run).await?;
        }
        Ok(())
    }

    async fn write_run(&self, file: &DirectFile, run: Run) -> Result<(), LogError> {
        let (at, failed) = (run.at as u64, |e: std::io::Error| self.0.file.failed("writing", &e));
        let slot = self.0.slots.take().await;
        let (written, buffer) = file.write_through(run.buffer, at).await;
        drop(slot);
        match written.map_err(failed) {
            Err(error) if error.is_passing() => {
                self.0.waits_for_room.set(true);
                self.0.has_ended.notify_all();
                let written = self.write_when_there_is_room(file, buffer, at).await;
                self.0.waits_for_room.set(false);
                written
            }
            written => written.map(drop),
        }
    }

    /// A file system that writes each block anew may find none. It may have been the flush that found no room, and a flush
    /// by itself is never asked twice.
    async fn write_when_there_is_room(
        &self,
        file: &DirectFile,
        mut buffer: AlignedBuf,
        at: u64,
    ) -> Result<(), LogError> {
        loop {
            sleep(FULL_PAUSE).await;
            self.0.file.dir.check_online()?;
            let slot = self.0.slots.take().await;
            let written;
            (written, buffer) = file.write_at(buffer, at).await;
            drop(slot);
            match written.map_err(|e| self.0.file.failed("writing", &e)) {
                Err(error) if error.is_passing() => {}
                Err(error) => return Err(error),
                Ok(_) => return file.fdatasync().await.map_err(|e| self.0.file.failed_flush(&e)),
            }
        }
    }

    /// Until no group that has begun holds a log any more, or none can be written: for one that is about to be closed, and
    /// is not to be held by what it has made durable in its segments meanwhile.
    pub async fn settled(&self) {
        let begun = self.0.begun.get();
        loop {
            let changed = self.0.has_ended.notified();
            if self.0.ended.get() >= begun || self.0.waits_for_room.get() {
                return;
            }
            changed.await;
        }
    }

    #[cfg(test)]
    pub fn owing(&self) -> usize {
        self.0.owing.borrow().len()
    }

    /// Of batches that no write has begun with.
    pub fn enlisted_bytes(&self) -> u64 {
        self.0.groups.borrow().iter().map(|group| group.bytes as u64).sum()
    }

    #[cfg(test)]
    pub fn vanish(&self) {
        self.0.groups.take();
    }

    /// The log has written what it has not flushed, and what is therefore needed here.
    pub fn owe(&self, log: &Log) {
        if !log.0.owes_flush.replace(true) {
            let mut owing = self.0.owing.borrow_mut();
            if owing.len() == owing.capacity() {
                // Logs come and go without the journal ever being half full.
                owing.retain(|log| log.strong_count() > 0);
            }
            owing.push(Rc::downgrade(&log.0));
        }
        if self.is_pressed() {
            self.have_flushed();
        }
    }

    fn have_flushed(&self) {
        let owing = std::mem::take(&mut *self.0.owing.borrow_mut());
        for log in owing.iter().filter_map(Weak::upgrade).map(Log) {
            log.0.owes_flush.set(false);
            log.request_flush();
        }
    }

    /// More than half of it waits to be written and flushed.
    pub fn is_pressed(&self) -> bool {
        self.0.file.is_pressed()
    }

    /// Nothing that was ever in here comes back: see [`JournalFile::retire`].
    pub async fn retire(&self, behind: &WriteBehind) -> Result<(), LogError> {
        let hurry = || {
            behind.hurry();
            self.have_flushed();
        };
        self.0.file.retire(hurry, || self.0.is_writing.get()).await
    }
}

/// Tells the logs, each once where its batches lie side by side.
fn settle(group: Group, committed: Result<(), LogError>) {
    let mut entries = group.entries.into_iter().peekable();
    while let Some(entry) = entries.next() {
        let has_more = entries.peek().is_some_and(|next| Rc::ptr_eq(&next.log.0, &entry.log.0));
        match &committed {
            Ok(()) if has_more => {}
            Ok(()) => entry.log.committed(entry.end),
            Err(error) => entry.log.fail(error.clone()),
        }
    }
}

/// Entries lie one behind another, but for the ends of blocks and of the file.
fn runs(group: &Group) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::with_capacity(1);
    for entry in &group.entries {
        let at = entry.spot.at - if entry.spot.begins { BLOCK_HEADER_BYTES } else { 0 };
        let gap = |run: &Run| at.checked_sub(run.at + run.buffer.len());
        let follows = runs.last().is_some_and(|run| gap(run).is_some_and(|gap| gap <= LONGEST_GAP_BYTES));
        if !follows {
            runs.push(Run { at, buffer: AlignedBuf::with_capacity(group.bytes + BLOCK_HEADER_BYTES) });
        }
        let run = runs.last_mut().expect("there is one now");
        run.put(at, entry);
    }
    runs
}

impl Run {
    fn put(&mut self, at: usize, entry: &Entry) {
        self.buffer.zero_to(at - self.at);
        if entry.spot.begins {
            self.buffer.extend_from_slice(&entry::block_header(entry.spot.block));
        }
        let topic = entry.log.0.name.topic.as_bytes();
        let [header, body] = entry.held.parts();
        [&entry.header[..], topic, header, body].iter().for_each(|part| self.buffer.extend_from_slice(part));
    }
}
