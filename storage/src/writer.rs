//! Writing one log by direct I/O, one write at a time: a task that runs while there is something worth a write.
//! Never retries a failed flush; a write that found no room is tried again, see `stall`. Shard that owns the log, task
//! queue `Append`.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use kring_runtime::disk::{AlignedBuf, DirectFile};
use kring_runtime::{Queue, now, sleep, spawn};

use crate::ahead::{Ahead, Bounds};
use crate::appender::{Roll, Step, Write};
use crate::company::await_return;
use crate::error::LogError;
use crate::log::{FlushTimer, Log};
use crate::mutation::{self, Mutation};
use crate::segment::{Segment, block_floor, file_name, write_file};
use crate::types::Offset;

/// Before a flush that found no descriptor is tried.
const FLUSH_PAUSE: Duration = Duration::from_millis(50);

/// Writes until nothing is queued but what can wait in the journal.
pub(crate) async fn run(log: Log) {
    if let Err(error) = drain(&log).await {
        stop(&log, error);
    }
    if log.state().queue.rests() {
        log.write_later();
    }
    log.0.changed.notify_all();
}

fn stop(log: &Log, error: LogError) {
    log.give_up();
    log.fail(error);
}

async fn drain(log: &Log) -> Result<(), LogError> {
    loop {
        gather(log).await;
        log.check_usable()?;
        let step = log.state_mut().queue.next();
        match step {
            None => return Ok(()),
            Some(Step::Write(write)) => {
                let is_awaited = is_flush_needed(log, &write);
                if let Err(error) = insist_on(log, &write).await {
                    log.strand(write.tickets);
                    return Err(error);
                }
                let answered_bytes = if is_awaited { write.batch_bytes() } else { 0 };
                log.settle_tickets(write.end_offset, write.tickets);
                await_return(answered_bytes, || log.state().queue.bytes() as u64).await;
            }
            Some(Step::Roll(roll)) => log.insist(async || roll_segment(log, &roll).await).await?,
            Some(Step::Epochs) => log.insist(async || write_epochs_in_turn(log).await).await?,
        }
    }
}

/// A flush is under way that will not cover what is queued: the next write waits until it ends, for company. Each write
/// brings a flush of its own, and both cost the same for one batch and for ten.
async fn gather(log: &Log) {
    loop {
        let changed = log.changed();
        if !is_company_worth_a_wait(log) {
            return;
        }
        changed.await;
    }
}

fn is_company_worth_a_wait(log: &Log) -> bool {
    let state = log.state();
    let is_flushing = state.config.flush_is_due(state.offsets.written(), state.offsets.made_durable());
    // A flush waits for what the journal has, so the write of that waits for none.
    let is_flush_of_all = state.offsets.written() == state.offsets.kept();
    is_flushing && is_flush_of_all && state.fault.is_none() && state.queue.is_worth_more()
}

async fn insist_on(log: &Log, write: &Write) -> Result<(), LogError> {
    let written = log.insist(async || write_batches(log, write).await).await;
    if written.is_err() {
        log.0.dir.space().settled(write.batch_bytes());
    }
    written
}

async fn write_epochs_in_turn(log: &Log) -> Result<(), LogError> {
    let _turn = log.0.files.take().await;
    log.write_epochs().await
}

async fn write_batches(log: &Log, write: &Write) -> Result<(), LogError> {
    log.settle_home().await?;
    let file = write.segment.writer(&log.0.shard).await?;
    write_direct(log, &file, write).await
}

async fn write_direct(log: &Log, file: &DirectFile, write: &Write) -> Result<(), LogError> {
    let _slot = log.0.slots.take().await;
    log.check_usable()?;
    let tail_block = tail_block_of(&write.segment);
    let limit = block_floor(log.state().config.segment_bytes);
    let bounds = Bounds { limit, most: log.0.dir.disk().zeros_bytes };
    let to = write.segment.ahead(|ahead| ahead.plan(write.at, write.end, bounds, now()));
    let (blocks, at) = (blocks(write, &tail_block, to), u64::from(write.at));
    let is_flushed = brings_its_flush(log, write);
    let is_through = is_flushed && !mutation::on(Mutation::TakeWriteForFlushed);
    let (result, _buffer) =
        if is_through { file.write_through(blocks, at).await } else { file.write_at(blocks, at).await };
    match result.map_err(|e| write.failed(&e)) {
        Err(LogError::Full { .. }) if mutation::on(Mutation::TakeRefusedWriteForDone) => {}
        Err(error) => {
            write.segment.ahead(Ahead::failed);
            return Err(error);
        }
        Ok(_) => write.segment.ahead(|ahead| ahead.wrote(to)),
    }
    wrote(log, write, &tail_block, is_flushed);
    Ok(())
}

/// Whether the write itself makes its batches durable: one request to the kernel instead of two, and one turn of the
/// shard. Not while something before it is not flushed, which it would not cover, nor where somebody waits for no flush.
/// Nor when it is tried again: what found no room may have been its flush, and a flush by itself is never asked twice.
fn brings_its_flush(log: &Log, write: &Write) -> bool {
    let state = log.state();
    let follows =
        state.offsets.flushed() == state.offsets.written() || mutation::on(Mutation::FlushOnlyTheNewest);
    let is_first_try = !state.tries_again;
    follows && is_first_try && is_flush_needed(log, write) && state.awaits_written <= state.offsets.written()
}

/// Each write is flushed, and no journal has made all of this one durable, or will.
fn is_flush_needed(log: &Log, write: &Write) -> bool {
    let state = log.state();
    state.config.commits_on_flush() && write.end_offset > state.offsets.made_durable()
}

/// As mistakes would have it, where a test switches one on.
fn tail_block_of(segment: &Segment) -> Bytes {
    let mut bytes = segment.tail_block();
    if mutation::on(Mutation::ForgetTailBlock) {
        bytes = Bytes::from(vec![0; bytes.len()]);
    }
    if mutation::on(Mutation::TailBlockOffByOne) && !bytes.is_empty() {
        bytes = Bytes::from([&bytes[1..], &[0]].concat());
    }
    bytes
}

/// The block that the last write ended in, the batches, and zeros up to byte `to` of the file.
fn blocks(write: &Write, tail_block: &Bytes, to: u32) -> AlignedBuf {
    let whole = (to - write.at) as usize;
    let mut buffer = AlignedBuf::with_capacity(whole);
    buffer.extend_from_slice(tail_block);
    write.parts().for_each(|part| buffer.extend_from_slice(part));
    assert_eq!(buffer.len(), write.bytes(), "a write is as long as its batches");
    buffer.grow_to(whole);
    buffer
}

fn wrote(log: &Log, write: &Write, tail_block: &Bytes, is_flushed: bool) {
    assert_eq!(write.segment.written(), write.at + tail_block.len() as u32, "writes lie back to back");
    write.segment.wrote(write.end, write.partial_block(tail_block));
    log.0.dir.space().settled(write.batch_bytes());
    log.state_mut().offsets.written_to(write.end_offset);
    if is_flushed || mutation::on(Mutation::AcknowledgeBeforeFlush) {
        log.flushed_to(write.end_offset);
    }
    log.0.changed.notify_all();
    log.flush_if_due();
}

/// Ends a segment: flushed, cut to its exact length, with its index files and the producer snapshot of its end.
/// The next segment gets its first record only after that, so damage in a sealed segment is never a torn write.
async fn roll_segment(log: &Log, roll: &Roll) -> Result<(), LogError> {
    if !mutation::on(Mutation::SkipFlushAtRoll) {
        flush_segment(log, &roll.ended).await?;
    }
    let turn = log.0.files.take().await;
    // The index comes last: a recovery begins where it leads to, and needs the rest up to there. It also learns no
    // transaction that ended before the snapshot.
    roll.ended.write_aborted().await?;
    write_file(&log.0.path.join(file_name(roll.at, "snapshot")), &roll.producers).await?;
    log.write_epochs().await?;
    roll.ended.seal(&log.0.shard).await?;
    log.forget_snapshots_before(roll.at).await;
    drop(turn);
    if let Some(next) = &roll.next {
        next.writer(&log.0.shard).await?;
    }
    log.0.changed.notify_all();
    tracing::debug!(log = %log.0.name, at = %roll.at, "rolled");
    // Recovery scans from the checkpointed point: tell it early that a whole segment needs no scan.
    let dir = log.0.dir.clone();
    spawn(Queue::Background, async move {
        if let Err(error) = dir.write_checkpoints().await {
            tracing::warn!(dir = %dir.path().display(), %error, "checkpoint not written; recovery will scan more");
        }
    })
    .detach();
    Ok(())
}

async fn flush_segment(log: &Log, segment: &Rc<Segment>) -> Result<(), LogError> {
    let written = log.state().offsets.written();
    let file = segment.writer(&log.0.shard).await?;
    let flushed = file.fdatasync().await;
    if !mutation::on(Mutation::IgnoreFailedFlush) {
        flushed.map_err(|e| LogError::flush(&segment.path("log"), "flushing", &e))?;
    }
    log.flushed(written)
}

impl Log {
    /// This log's part of a flush epoch. Covers what was written when the epoch began.
    pub(crate) async fn flush_epoch(&self) {
        self.0.flush_requested.set(false);
        if self.write_kept().await.is_err() {
            // One that stopped says so itself. One that waits for room has written something nevertheless.
            match self.check_usable() {
                Err(_) => return,
                Ok(()) => self.flush_later(),
            }
        }
        let Some(segment) = self.segment_to_flush() else { return };
        match flush_segment(self, &segment).await {
            // It was flushed when it was sealed, and then deleted.
            Err(_) if segment.is_deleted() => {}
            Err(error) if error.is_passing() => {
                self.0.shard.budget().give_back();
                self.flush_later();
            }
            Err(error) => self.fail(error),
            Ok(()) => {}
        }
    }

    /// A flush covers what was acknowledged when it began, the journal's part included. Other logs share its epoch: it
    /// does not wait for room.
    async fn write_kept(&self) -> Result<(), LogError> {
        let kept = self.offsets().kept();
        self.write_out();
        self.wait_unless_stalled(|state| state.offsets.written() >= state.still_there(kept)).await
    }

    /// No descriptor was left to flush by, or no room for the write before it; the flush itself has not been tried.
    fn flush_later(&self) {
        let log = self.clone();
        spawn(Queue::Background, async move {
            sleep(FLUSH_PAUSE).await;
            log.request_flush();
        })
        .detach();
    }

    /// The segment that holds the newest written record: those before it were flushed when they were sealed.
    fn segment_to_flush(&self) -> Option<Rc<Segment>> {
        let state = self.state();
        let dirty = state.fault.is_none() && state.offsets.flushed() < state.offsets.written();
        if dirty { state.segment_at(state.offsets.written() + -1) } else { None }
    }

    fn flushed(&self, end: Offset) -> Result<(), LogError> {
        self.check_usable()?;
        self.flushed_to(end);
        self.0.changed.notify_all();
        Ok(())
    }

    fn flushed_to(&self, end: Offset) {
        let flushed = {
            let mut state = self.state_mut();
            state.offsets.flushed_to(end);
            let flushed = state.offsets.flushed();
            state.unflushed.retain(|(end, _)| *end > flushed);
            flushed
        };
        let promised =
            if mutation::on(Mutation::PromiseByJournal) { self.offsets().durable() } else { flushed };
        self.0.points.set_recovery(promised);
    }

    /// Sees to it that what is written gets flushed when the configuration says so.
    pub(crate) fn flush_if_due(&self) {
        let (kept, made_durable, config) = {
            let state = self.state();
            (state.offsets.kept(), state.offsets.made_durable(), state.config.clone())
        };
        if config.flush_is_due(kept, made_durable) {
            self.request_flush();
        } else if let Some(after) = config.flush_ms.filter(|_| made_durable < kept) {
            self.flush_after(after);
        }
    }

    fn flush_after(&self, after: Duration) {
        let timer = self.0.flush_timer.get();
        if timer.is_set {
            return;
        }
        let set = FlushTimer { is_set: true, ..timer };
        self.0.flush_timer.set(set);
        let log = self.clone();
        spawn(Queue::Background, async move {
            sleep(after).await;
            if log.0.flush_timer.get() == set {
                log.0.flush_timer.set(timer);
                log.request_flush();
            }
        })
        .detach();
    }

    /// Writes the leader epochs, as far as they are known now.
    pub(crate) async fn write_epochs(&self) -> Result<(), LogError> {
        let text = self.state().epochs.encode();
        write_file(&self.0.path.join(crate::recovery::EPOCHS), text.as_bytes()).await
    }
}
