//! A log: the append path, the offsets and who waits for them, and what a partition asks of it.
//! Judges no request; offsets and epochs come assigned. Lives on one shard, single-threaded; clones are the same log.

mod available;

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::future::Future;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use kring_runtime::local::Notify;
use kring_runtime::{Queue, spawn, wall_ms};

use crate::TopicId;
use crate::appender::{AppendQueue, PendingBatch, Pushed, Roll};
use crate::batch::{BatchInfo, HeldBatch, LogBatch};
use crate::checkpoint::LogName;
use crate::config::LogConfig;
use crate::dir::{LogDir, LogPoints};
use crate::epochs::{EpochEnd, LeaderEpochs};
use crate::error::LogError;
use crate::journal::{CommitJournal, Journal, Owner, Ticket};
use crate::mutation::{self, Mutation};
use crate::producer::{EndTransaction, ProducerBatch, ProducerError, ProducerStates, ProducerVerdict};
use crate::recovery_point::SavedPoint;
use crate::segment::Segment;
use crate::shard::ShardStorage;
use crate::slots::Slots;
use crate::snapshot;
use crate::space::Claim;
use crate::stable::EndedTransactions;
use crate::tail::{LogTail, Place};
use crate::turn::Turn;
use crate::txn_index::AbortedTransaction;
use crate::types::{LeaderEpoch, LogOffsets, Offset};
use crate::writer;

/// A log of record batches.
#[derive(Clone)]
pub struct Log(pub(crate) Rc<Inner>);

pub(crate) struct Inner {
    pub name: LogName,
    pub topic_id: Option<TopicId>,
    pub path: Rc<Path>,
    pub shard: ShardStorage,
    pub dir: LogDir,
    pub slots: Slots,
    pub journal: Journal,
    pub commits: CommitJournal,
    pub points: Arc<LogPoints>,
    pub tail: Rc<LogTail>,
    pub state: RefCell<State>,
    /// Any offset moved, the writer stopped, or the log failed.
    pub changed: Notify,
    /// In the list of the next flush epoch.
    pub flush_requested: Cell<bool>,
    pub flush_timer: Cell<FlushTimer>,
    /// Among those to be written a little later.
    pub is_behind: Cell<bool>,
    /// Among those to be flushed when the journal of commits fills.
    pub owes_flush: Cell<bool>,
    /// Somebody deletes or rewrites its segments.
    pub cleaning: Cell<bool>,
    /// Cleaning it went wrong in a way that would repeat itself.
    pub uncleanable: Cell<bool>,
    /// It is about to be closed or deleted: no cleaning begins any more, and a running one ends.
    pub closing: Cell<bool>,
    /// The directory has been made durable: once it holds a segment.
    pub home_is_durable: Cell<bool>,
    /// For whoever replaces indexes, snapshots or epochs on disk.
    pub files: Turn,
    /// For whoever raises the start or lowers the end.
    pub ends: Turn,
    /// Somebody is about to lower the end: nothing is appended, and a running cleaning ends.
    pub truncating: Cell<bool>,
    /// How often the end was lowered, twice: odd while it is.
    pub cuts: Cell<u32>,
}

/// Never borrowed across an await.
pub(crate) struct State {
    pub config: Rc<LogConfig>,
    pub offsets: LogOffsets,
    /// The high watermark when the configuration was changed last: it never falls, whatever it is counted by now.
    pub shown: Offset,
    /// By base offset; the last one grows.
    pub segments: Vec<Rc<Segment>>,
    pub epochs: LeaderEpochs,
    pub producers: ProducerStates,
    pub ended: EndedTransactions,
    pub queue: AppendQueue,
    /// What has been written and is needed in a journal until it is flushed, each with where it ends.
    pub unflushed: Vec<(Offset, Vec<Ticket>)>,
    /// Checksum of the newest batch; 0 until one was appended.
    pub last_crc: u32,
    pub saved: SavedPoint,
    /// Somebody waits for the write of what is below, and for no flush.
    pub awaits_written: Offset,
    /// The log takes no more appends: it failed, or it was closed.
    pub fault: Option<LogError>,
    /// Why the writer waits, while it does.
    pub stalled: Option<Arc<str>>,
    /// The writer's step found no room, or no file descriptor, before.
    pub tries_again: bool,
    /// The file of leader epochs says what is not true any more: it is written before the next batch.
    pub owes_epochs: bool,
    /// A writer that waits for room is to give up.
    pub is_closing: bool,
}

/// What a log is made of when recovery is done with it.
pub(crate) struct Loaded {
    pub offsets: LogOffsets,
    pub segments: Vec<Rc<Segment>>,
    pub epochs: LeaderEpochs,
    pub producers: ProducerStates,
    pub saved: SavedPoint,
    /// There was no room to write the epochs down.
    pub owes_epochs: bool,
}

/// The timer that `flush.ms` has set. One that was set by an older configuration wakes up for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FlushTimer {
    pub generation: u32,
    pub is_set: bool,
}

impl FlushTimer {
    fn outdated(self) -> FlushTimer {
        FlushTimer { generation: self.generation.wrapping_add(1), is_set: false }
    }
}

/// What somebody waits for who has a batch appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaits {
    /// That it is committed: on stable storage, where the log flushes each write.
    Commit,
    /// That the operating system has it, and no flush.
    Write,
}

/// What of a batch is known when it is appended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comes {
    New(Awaits),
    /// It was acknowledged once, and outlives this process already.
    Kept,
}

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub base_offset: Offset,
    pub last_offset: Offset,
}

impl Log {
    pub(crate) fn assemble(
        shard: &ShardStorage,
        dir: &LogDir,
        label: (LogName, Option<TopicId>, Rc<Path>),
        config: Rc<LogConfig>,
        loaded: Loaded,
    ) -> Log {
        let (name, topic_id, path) = label;
        let points = dir.points_of(&name);
        points.set_recovery(loaded.offsets.flushed());
        points.set_start(loaded.offsets.start());
        let Loaded { offsets, segments, epochs, producers, saved, owes_epochs } = loaded;
        let (queue, has_segments, shown) =
            (AppendQueue::new(dir.disk().write_bytes), !segments.is_empty(), Offset::ZERO);
        let state = State {
            config,
            offsets,
            shown,
            segments,
            epochs,
            producers,
            ended: EndedTransactions::default(),
            queue,
            unflushed: Vec::new(),
            last_crc: 0,
            saved,
            fault: None,
            awaits_written: Offset::ZERO,
            stalled: None,
            tries_again: false,
            owes_epochs,
            is_closing: false,
        };
        Log(Rc::new(Inner {
            name,
            topic_id,
            path,
            shard: shard.clone(),
            dir: dir.clone(),
            slots: shard.slots(dir),
            journal: shard.journal(dir),
            commits: shard.commits(dir),
            points,
            tail: Rc::default(),
            state: RefCell::new(state),
            changed: Notify::new(),
            flush_requested: Cell::new(false),
            flush_timer: Cell::default(),
            is_behind: Cell::new(false),
            owes_flush: Cell::new(false),
            cleaning: Cell::new(false),
            uncleanable: Cell::new(false),
            closing: Cell::new(false),
            home_is_durable: Cell::new(has_segments),
            files: Turn::default(),
            ends: Turn::default(),
            truncating: Cell::new(false),
            cuts: Cell::new(0),
        }))
    }

    pub fn name(&self) -> &LogName {
        &self.0.name
    }

    /// What `partition.metadata` says.
    pub fn topic_id(&self) -> Option<TopicId> {
        self.0.topic_id
    }

    pub fn config(&self) -> Rc<LogConfig> {
        self.state().config.clone()
    }

    /// Takes effect with the next append or roll; what waits for a flush now waits by the new terms.
    pub fn set_config(&self, config: Rc<LogConfig>) {
        {
            let mut state = self.state_mut();
            state.shown = state.high_watermark();
            state.config = config;
        }
        self.0.flush_timer.set(self.0.flush_timer.get().outdated());
        self.write_out();
        self.flush_if_due();
        self.0.changed.notify_all();
    }

    /// Bytes of all segments.
    pub fn size_bytes(&self) -> u64 {
        self.state().segments.iter().map(|segment| u64::from(segment.size())).sum()
    }

    /// Adds a batch at the end, at once: the offset is taken and readers below the high watermark see nothing of
    /// it yet. Writing starts by itself, and may be over when this returns. The batch's base offset must be the log's
    /// end: whoever assigns offsets has read it in the same turn of the shard.
    pub fn append(&self, batch: LogBatch) -> Result<Appended, LogError> {
        self.append_for(batch, Awaits::Commit)
    }

    /// As [`Log::append`], for somebody who may wait for less.
    pub fn append_for(&self, batch: LogBatch, awaits: Awaits) -> Result<Appended, LogError> {
        self.append_as(batch, Comes::New(awaits))
    }

    /// Adds a batch that was acknowledged once, whatever the settings say today, and that outlives this process already.
    pub(crate) fn append_kept(&self, batch: LogBatch) -> Result<Appended, LogError> {
        self.append_as(batch, Comes::Kept)
    }

    fn append_as(&self, batch: LogBatch, comes: Comes) -> Result<Appended, LogError> {
        let info = BatchInfo::parse(&batch.header).expect("the batch was validated");
        assert_eq!(info.bytes as usize, batch.header.len() + batch.body.len(), "the header tells the length");
        self.0.dir.check_online()?;
        let held = HeldBatch::new(batch, self.0.shard.arena());
        let pushed = self.state_mut().append(self, &info, held, comes)?;
        self.0.dir.space().appended(u64::from(info.bytes));
        self.0.shard.grew(u64::from(info.bytes));
        match pushed {
            Pushed::First => self.start_writer(),
            Pushed::Kept => {}
            Pushed::Enough => self.0.changed.notify_all(),
            Pushed::Behind => {}
        }
        if self.offsets().kept() == info.end_offset() {
            self.note_kept();
        }
        Ok(Appended { base_offset: info.base_offset, last_offset: info.last_offset() })
    }

    /// Whether the disk has room for an append of this kind. The metadata log does not ask: its last records may be
    /// those that make room.
    pub fn check_room(&self, claim: Claim) -> Result<(), LogError> {
        self.check_flowing()?;
        self.0.dir.check_room(claim)
    }

    pub fn offsets(&self) -> LogOffsets {
        self.state().offsets
    }

    /// Records below count as committed: durable ones when every write is flushed before it is acknowledged,
    /// otherwise those that outlive this process.
    pub fn high_watermark(&self) -> Offset {
        self.state().high_watermark()
    }

    /// Until the operating system has everything below `end`.
    pub async fn wait_kept(&self, end: Offset) -> Result<(), LogError> {
        self.await_kept(end);
        self.wait_until(|state| state.offsets.kept() >= end).await
    }

    /// As [`Log::wait_kept`], but an error as soon as the writer waits for room.
    pub async fn wait_kept_unless_stalled(&self, end: Offset) -> Result<(), LogError> {
        self.await_kept(end);
        self.wait_unless_stalled(|state| state.offsets.kept() >= end).await
    }

    /// The write of what is below `end` is not to wait for its flush.
    fn await_kept(&self, end: Offset) {
        let mut state = self.state_mut();
        state.awaits_written = state.awaits_written.max(end);
    }

    /// As [`Log::wait_committed`], but an error as soon as the writer waits for room.
    pub async fn wait_committed_unless_stalled(&self, end: Offset) -> Result<(), LogError> {
        self.wait_unless_stalled(|state| state.high_watermark() >= end).await
    }

    /// Until everything below `end` is on stable storage. It waits for the flush policy and causes no flush.
    pub async fn wait_durable(&self, end: Offset) -> Result<(), LogError> {
        self.wait_until(|state| state.offsets.durable() >= end).await
    }

    /// Until the high watermark is at `end` or above.
    pub async fn wait_committed(&self, end: Offset) -> Result<(), LogError> {
        self.wait_until(|state| state.high_watermark() >= end).await
    }

    /// Ends when any offset has moved, or the log has failed, after this call.
    pub fn changed(&self) -> impl Future<Output = ()> + 'static {
        self.0.changed.notified()
    }

    /// Why the log takes no more appends, if it does not.
    pub fn fault(&self) -> Option<LogError> {
        self.state().fault.clone().or_else(|| self.0.dir.check_online().err())
    }

    /// Makes everything appended so far durable in its segments, whatever the flush settings.
    pub async fn flush(&self) -> Result<Offset, LogError> {
        self.flush_while(|| self.check_usable()).await
    }

    /// As [`Log::flush`], but an error as soon as the writer waits for room.
    pub(crate) async fn flush_unless_stalled(&self) -> Result<Offset, LogError> {
        self.flush_while(|| self.check_usable().and_then(|()| self.check_flowing())).await
    }

    async fn flush_while(&self, check: impl Fn() -> Result<(), LogError>) -> Result<Offset, LogError> {
        let end = self.offsets().end();
        self.write_out();
        self.wait_while(|state| state.offsets.written() >= state.still_there(end), &check).await?;
        if self.offsets().flushed() < end {
            self.request_flush();
        }
        self.wait_while(|state| state.offsets.flushed() >= state.still_there(end), &check).await?;
        Ok(end)
    }

    /// Judges a producer's batch. `append` takes its state over.
    pub fn check_producer(&self, batch: &ProducerBatch) -> Result<ProducerVerdict, ProducerError> {
        self.state().producers.check(batch)
    }

    /// Looks at the producers.
    pub fn producers<T>(&self, look: impl FnOnce(&ProducerStates) -> T) -> T {
        look(&self.state().producers)
    }

    /// Forgets producers that have been silent for too long.
    pub fn expire_producers(&self, now_ms: i64) {
        let mut state = self.state_mut();
        let expiration_ms = state.config.producer_id_expiration_ms;
        state.producers.remove_expired(now_ms, expiration_ms);
    }

    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.state().epochs.latest()
    }

    /// The epoch that the record at `offset` was written in.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.state().epochs.epoch_at(offset)
    }

    /// Where an epoch ended, for OffsetForLeaderEpoch.
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        let state = self.state();
        state.epochs.end_offset_for(epoch, state.offsets.end())
    }

    /// What the journal alone has of this log goes to its segments now.
    pub(crate) fn write_out(&self) {
        let must_start = {
            let mut state = self.state_mut();
            let is_waiting = state.offsets.written() < state.offsets.readable() && state.fault.is_none();
            is_waiting && state.queue.begin()
        };
        if must_start {
            self.start_writer();
        }
    }

    /// The journal has a batch: readers see it, and a write is due later.
    fn note_kept(&self) {
        self.0.changed.notify_all();
        self.flush_if_due();
        if self.state().queue.rests() {
            self.write_later();
        }
    }

    /// The journal of commits has it on stable storage.
    pub(crate) fn committed(&self, end: Offset) {
        self.state_mut().offsets.durable_to(end);
        self.note_kept();
    }

    /// A write that brought no flush has ended: what it wrote may be needed in a journal until there is one.
    pub(crate) fn settle_tickets(&self, end: Offset, mut tickets: Vec<Ticket>) {
        tickets.retain(|ticket| ticket.until_flushed && !mutation::on(Mutation::FreeUnflushed));
        if tickets.is_empty() || self.offsets().flushed() >= end {
            return;
        }
        if self.state().fault.is_some() {
            return self.strand(tickets);
        }
        self.state_mut().unflushed.push((end, tickets));
        self.0.commits.owe(self);
    }

    /// What is queued will not be written by this process. Where the log is not to come back, nor will the next one.
    pub(crate) fn give_up(&self) {
        let (given_up, tickets) = self.state_mut().queue.abandon();
        self.0.dir.space().settled(given_up);
        self.strand(tickets);
    }

    /// The log has failed, and was not closed: what is acknowledged and not written stays in the journal.
    pub(crate) fn strand(&self, tickets: Vec<Ticket>) {
        if self.state().fault != Some(LogError::Closed) {
            tickets.into_iter().for_each(Ticket::strand);
        }
    }

    pub(crate) fn give_up_resting(&self) {
        if self.state().queue.rests() {
            self.give_up();
        }
    }

    /// What is written and not flushed may be needed by the next start.
    pub(crate) fn give_up_unflushed(&self) {
        let unflushed = std::mem::take(&mut self.state_mut().unflushed);
        unflushed.into_iter().for_each(|(_, tickets)| self.strand(tickets));
    }

    /// What rests in the journal is written in a while, or at once when the journal fills.
    pub(crate) fn write_later(&self) {
        let behind = self.0.shard.behind();
        if !self.0.is_behind.replace(true) {
            behind.add(self);
        }
        if self.0.journal.is_pressed() || self.0.commits.is_pressed() {
            behind.hurry();
        }
    }

    pub(crate) fn no_longer_behind(&self) {
        self.0.is_behind.set(false);
        self.write_out();
    }

    pub(crate) fn state(&self) -> Ref<'_, State> {
        self.0.state.borrow()
    }

    pub(crate) fn state_mut(&self) -> RefMut<'_, State> {
        self.0.state.borrow_mut()
    }

    /// For whoever was told by the queue that it has to.
    pub(crate) fn start_writer(&self) {
        spawn(Queue::Append, writer::run(self.clone())).detach();
    }

    pub(crate) fn request_flush(&self) {
        if !self.0.flush_requested.replace(true) {
            self.0.shard.request_flush(self);
        }
    }

    /// The log stops: what was not acknowledged never will be. I/O errors take the directory with them.
    pub(crate) fn fail(&self, error: LogError) {
        if self.state().fault == Some(LogError::Closed) {
            // Its files may be gone already.
            return;
        }
        tracing::error!(log = %self.0.name, %error, "log stops");
        self.0.dir.needs_recovery();
        self.0.dir.fail_on_io(&error);
        self.state_mut().fault.get_or_insert(error);
        self.give_up_resting();
        self.give_up_unflushed();
        self.0.changed.notify_all();
    }

    pub(crate) async fn wait_until(&self, reached: impl Fn(&State) -> bool) -> Result<(), LogError> {
        self.wait_while(reached, || self.check_usable()).await
    }

    pub(crate) async fn wait_unless_stalled(&self, reached: impl Fn(&State) -> bool) -> Result<(), LogError> {
        self.wait_while(reached, || self.check_usable().and_then(|()| self.check_flowing())).await
    }

    async fn wait_while(
        &self,
        reached: impl Fn(&State) -> bool,
        check: impl Fn() -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        loop {
            let changed = self.0.changed.notified();
            if reached(&self.state()) {
                return Ok(());
            }
            check()?;
            changed.await;
        }
    }

    /// Still taking appends, in a directory that is still trusted.
    pub(crate) fn check_usable(&self) -> Result<(), LogError> {
        match &self.state().fault {
            Some(fault) => Err(fault.clone()),
            None => self.0.dir.check_online(),
        }
    }
}

impl State {
    pub fn high_watermark(&self) -> Offset {
        let reached =
            if self.config.commits_on_flush() { self.offsets.durable() } else { self.offsets.kept() };
        reached.max(self.shown)
    }

    /// As much of what ended at `end` as a truncation has left: nobody waits for the rest.
    pub fn still_there(&self, end: Offset) -> Offset {
        end.min(self.offsets.end())
    }

    /// The segment that holds `offset`, or would.
    pub fn segment_at(&self, offset: Offset) -> Option<Rc<Segment>> {
        let after = self.segments.partition_point(|segment| segment.base <= offset);
        after.checked_sub(1).map(|at| self.segments[at].clone())
    }

    /// The segment after the one with this base offset.
    pub fn segment_after(&self, base: Offset) -> Option<Rc<Segment>> {
        let after = self.segments.partition_point(|segment| segment.base <= base);
        self.segments.get(after).cloned()
    }

    /// Puts `new` in the place of neighbouring segments. Returns where they end.
    pub fn replace(&mut self, old: &[Rc<Segment>], new: Rc<Segment>) -> Offset {
        let from = self.segments.partition_point(|segment| segment.base < old[0].base);
        let range = from..from + old.len();
        let same = self.segments[range.clone()].iter().zip(old).all(|(a, b)| Rc::ptr_eq(a, b));
        assert!(same, "whoever has the turn to clean a log is the only one to change its segments");
        self.segments.splice(range, [new]);
        self.segments.get(from + 1).expect("the newest segment is never replaced").base
    }

    fn append(
        &mut self,
        of: &Log,
        info: &BatchInfo,
        held: HeldBatch,
        comes: Comes,
    ) -> Result<Pushed, LogError> {
        let (log, is_kept) = (&*of.0, comes == Comes::Kept);
        assert!(!log.truncating.get(), "whoever truncates a log has stopped appending");
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        if let Some(cause) = &self.stalled {
            return Err(LogError::Full { path: log.path.to_path_buf(), cause: cause.clone() });
        }
        let limit = self.config.segment_bytes;
        if info.bytes > limit && !is_kept {
            return Err(LogError::BatchTooLarge { bytes: info.bytes as usize, limit });
        }
        assert_eq!(info.base_offset, self.offsets.end(), "offsets are assigned without gaps");
        if std::mem::take(&mut self.owes_epochs) {
            self.queue.owe_epochs();
        }
        let segment = self.segment_for(log, info);
        let position = segment.append(info, &self.config);
        self.note(info, &held);
        let place = Place { segment: segment.base, position };
        log.shard.tails().insert(&log.tail, info, place, held.clone());
        let ticket = match comes {
            Comes::Kept => None,
            Comes::New(awaits) => self.enter_journal(of, info, &held, awaits),
        };
        self.offsets.appended_to(info.end_offset());
        if is_kept || ticket.is_some() {
            segment.keep(held.clone());
        }
        match &ticket {
            Some(ticket) if ticket.until_flushed => self.offsets.enlisted_to(info.end_offset()),
            None if !is_kept => {}
            _ => self.offsets.kept_to(info.end_offset()),
        }
        self.last_crc = info.header.crc;
        let (end, end_offset) = (position + info.bytes, info.end_offset());
        Ok(self.queue.push(PendingBatch { segment, held, position, end, end_offset, ticket }))
    }

    /// Into a journal, if the log has a directory to come back to.
    fn enter_journal(&self, log: &Log, info: &BatchInfo, held: &HeldBatch, awaits: Awaits) -> Option<Ticket> {
        if !log.0.home_is_durable.get() {
            return None;
        }
        match self.config.commits_on_flush() {
            true if awaits == Awaits::Commit => self.enlist(log, info, held),
            true => None,
            false => self.keep(&log.0, info, held),
        }
    }

    /// If all before it is kept, and nothing of it by the other journal alone: a start reads one of them after the other.
    fn keep(&self, log: &Inner, info: &BatchInfo, held: &HeldBatch) -> Option<Ticket> {
        let offsets = &self.offsets;
        let is_alone = offsets.enlisted() <= offsets.written() || mutation::on(Mutation::MixJournals);
        if offsets.kept() != info.base_offset || !is_alone {
            return None;
        }
        let owner = Owner { name: &log.name, topic_id: log.topic_id };
        log.journal.keep(owner, self.last_crc, info, held)
    }

    /// If all before it is durable, or will be when this is. Not behind the end of a segment: who is answered finds the
    /// files of the next one.
    fn enlist(&self, log: &Log, info: &BatchInfo, held: &HeldBatch) -> Option<Ticket> {
        let follows = self.offsets.made_durable() == info.base_offset && !self.queue.is_pressing();
        if !follows || self.config.spends_spare {
            return None;
        }
        log.0.commits.enlist(log, self.last_crc, info, held)
    }

    fn segment_for(&mut self, log: &Inner, info: &BatchInfo) -> Rc<Segment> {
        let now_ms = wall_ms();
        match self.segments.last() {
            Some(last) if !last.must_roll(info, &self.config, now_ms) => last.clone(),
            _ => self.roll(log, now_ms, false),
        }
    }

    /// Ends the newest segment, if there is one, and begins the next at the log's end: in memory at once, on disk
    /// when the writer comes to it. `with_file` makes its file then, and not with its first batch.
    pub fn roll(&mut self, log: &Inner, now_ms: i64, with_file: bool) -> Rc<Segment> {
        let at = self.offsets.end();
        let jitter_ms = self.config.draw_jitter_ms();
        let segment = Rc::new(Segment::fresh(log.path.clone(), at, now_ms, jitter_ms));
        if let Some(last) = self.segments.last() {
            let (ended, producers) = (last.clone(), snapshot::encode(&self.producers));
            let next = with_file.then(|| segment.clone());
            self.queue.push_roll(Roll { ended, at, producers, next });
        }
        self.segments.push(segment.clone());
        segment
    }

    /// Takes over what the batch says about epochs and producers.
    fn note(&mut self, info: &BatchInfo, held: &HeldBatch) {
        self.epochs.assign(info.leader_epoch, info.base_offset);
        if let Some(producer) = info.producer() {
            self.producers.record(&producer, info.base_offset);
        } else if let Some(marker) = held.end_transaction(info) {
            self.note_marker(&marker, info.base_offset);
        }
    }

    fn note_marker(&mut self, marker: &EndTransaction, offset: Offset) {
        let Some(completed) = self.producers.record_marker(marker, offset) else { return };
        self.ended.note(&completed, self.high_watermark());
        let newest = self.segments.last().expect("the marker was appended to it");
        AbortedTransaction::of(&completed).into_iter().for_each(|aborted| newest.note_aborted(aborted));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shard.tails().forget(&self.tail);
        for segment in &self.state.get_mut().segments {
            segment.release_all(self.shard.budget());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_log_takes_less_than_a_kibibyte() {
        // Beside this: the name twice, the path, the notifier, and the points, about 300 bytes together.
        let bytes = size_of::<Inner>() + size_of::<LogTail>();
        assert!(bytes <= 700, "{bytes} bytes");
    }
}
