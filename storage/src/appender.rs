//! The batches of one log on their way to disk, and how they are cut into writes of whole blocks.
//! Decides only: no I/O. Lives on the shard that owns the log.

use std::collections::VecDeque;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};

use crate::batch::HeldBatch;
use crate::error::LogError;
use crate::journal::Ticket;
use crate::segment::{Segment, block_floor};
use crate::types::Offset;

/// What waits for a flush to end goes out without it from here on: the bytes cost more than the write.
const GATHER_BYTES: usize = 256 << 10;
/// What the journal keeps waits for a write of this much: direct I/O of 64 KiB costs 1.0 CPU seconds a GB, of 256 KiB
/// 0.36, of 1 MiB 0.15.
const BEHIND_BYTES: usize = 1 << 20;

/// A batch whose place is fixed and whose bytes are not written yet.
pub(crate) struct PendingBatch {
    pub segment: Rc<Segment>,
    pub held: HeldBatch,
    /// Byte where it begins.
    pub position: u32,
    /// Byte after its last.
    pub end: u32,
    pub end_offset: Offset,
    /// Its place in the journal, if it has one: nobody waits for its write.
    pub ticket: Option<Ticket>,
}

/// A segment ends here: what is queued after it goes into the next one.
pub(crate) struct Roll {
    pub ended: Rc<Segment>,
    /// Base offset of the next segment.
    pub at: Offset,
    /// The producer snapshot at that offset, encoded when it was true.
    pub producers: Vec<u8>,
    /// The next segment, if its file is to be there before its first batch is.
    pub next: Option<Rc<Segment>>,
}

enum Queued {
    Batch(PendingBatch),
    Roll(Roll),
    Epochs,
}

impl Queued {
    fn is_pressing(&self) -> bool {
        !matches!(self, Queued::Batch(PendingBatch { ticket: Some(_), .. }))
    }
}

/// What the writer does next.
pub(crate) enum Step {
    Write(Write),
    Roll(Roll),
    /// Write the leader epochs down: nobody else may, since two writers of one file undo each other.
    Epochs,
}

/// One write: whole blocks, from the block that the last write ended in.
pub(crate) struct Write {
    pub segment: Rc<Segment>,
    /// Block-aligned.
    pub at: u32,
    /// Byte after the last batch.
    pub end: u32,
    pub end_offset: Offset,
    pub batches: Vec<HeldBatch>,
    /// Their places in the journal, given back with this.
    pub tickets: Vec<Ticket>,
}

impl Write {
    /// Bytes before padding.
    pub fn bytes(&self) -> usize {
        (self.end - self.at) as usize
    }

    /// Bytes of the batches alone.
    pub fn batch_bytes(&self) -> u64 {
        self.batches.iter().map(|batch| batch.len() as u64).sum()
    }

    /// The bytes of the batches in order.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &Bytes> {
        self.batches.iter().flat_map(HeldBatch::parts)
    }

    /// The bytes of the partial block at its end. `tail_block` is the one that it began in.
    pub fn partial_block(&self, tail_block: &Bytes) -> Bytes {
        let mut left = (self.end - block_floor(self.end)) as usize;
        let mut block = BytesMut::zeroed(left);
        for part in std::iter::once(tail_block).chain(self.parts()).rev() {
            let taken = left.min(part.len());
            block[left - taken..left].copy_from_slice(&part[part.len() - taken..]);
            left -= taken;
            if left == 0 {
                break;
            }
        }
        assert_eq!(left, 0, "a block begins with its tail block or in a batch");
        block.freeze()
    }

    pub fn failed(&self, error: &std::io::Error) -> LogError {
        LogError::io(&self.segment.path("log"), "writing", error)
    }
}

/// What a batch means to the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It has to be started.
    First,
    /// It will come to it.
    Behind,
    /// With this one there is enough for a write, should it be waiting for more.
    Enough,
    /// The journal has it: a write is due some time later.
    Kept,
}

/// First in, first out. A writer is running exactly while `busy`; without one, what is queued is in the journal.
pub(crate) struct AppendQueue {
    /// What arrives while a write is in flight goes out together, up to about this much.
    write_bytes: usize,
    queued: VecDeque<Queued>,
    bytes: usize,
    /// Of those queued, how many are more than batches that the journal has.
    pressing: usize,
    busy: bool,
    /// So many of those queued, from the first on, are to be written, the journal or not.
    urgent: usize,
}

impl AppendQueue {
    pub fn new(write_bytes: u32) -> AppendQueue {
        AppendQueue {
            write_bytes: write_bytes as usize,
            queued: VecDeque::new(),
            bytes: 0,
            pressing: 0,
            busy: false,
            urgent: 0,
        }
    }

    pub fn push(&mut self, batch: PendingBatch) -> Pushed {
        let had_enough = self.bytes >= GATHER_BYTES;
        self.bytes += batch.held.len();
        self.pressing += usize::from(batch.ticket.is_none());
        self.queued.push_back(Queued::Batch(batch));
        if !self.busy && self.may_rest() {
            return Pushed::Kept;
        }
        match self.start() {
            true => Pushed::First,
            false if !had_enough && self.bytes >= GATHER_BYTES => Pushed::Enough,
            false => Pushed::Behind,
        }
    }

    /// What is queued is in the journal, and not yet worth a write.
    fn may_rest(&self) -> bool {
        self.urgent == 0 && self.pressing == 0 && self.bytes < BEHIND_BYTES
    }

    fn start(&mut self) -> bool {
        !std::mem::replace(&mut self.busy, true)
    }

    /// Something queued is in no journal.
    pub fn is_pressing(&self) -> bool {
        self.pressing > 0
    }

    /// Batches wait in the journal, and no writer is running.
    pub fn rests(&self) -> bool {
        !self.busy && !self.queued.is_empty()
    }

    /// There are batches, and few.
    pub fn is_worth_more(&self) -> bool {
        (1..GATHER_BYTES).contains(&self.bytes)
    }

    /// As `begin`, with the leader epochs to be written.
    pub fn push_epochs(&mut self) -> bool {
        self.owe_epochs();
        self.begin()
    }

    /// The leader epochs are written before whatever is pushed next, which is to follow at once.
    pub fn owe_epochs(&mut self) {
        self.pressing += 1;
        self.queued.push_back(Queued::Epochs);
    }

    /// All that is queued is to be written now. True if the writer has to be started.
    pub fn begin(&mut self) -> bool {
        self.urgent = self.queued.len();
        self.start()
    }

    /// Goes out before whatever is pushed next.
    pub fn push_roll(&mut self, roll: Roll) {
        self.pressing += 1;
        self.queued.push_back(Queued::Roll(roll));
    }

    /// Bytes accepted and not yet taken by the writer.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// What to do next; `None` ends the writer, though some may rest in the journal.
    pub fn next(&mut self) -> Option<Step> {
        assert!(self.busy, "only the writer takes from the queue");
        if !self.queued.is_empty() && self.may_rest() {
            self.busy = false;
            return None;
        }
        match self.take() {
            None => {
                self.stop();
                None
            }
            Some(Queued::Roll(roll)) => Some(Step::Roll(roll)),
            Some(Queued::Epochs) => Some(Step::Epochs),
            Some(Queued::Batch(first)) => Some(Step::Write(self.gather(first))),
        }
    }

    fn take(&mut self) -> Option<Queued> {
        let taken = self.queued.pop_front()?;
        self.pressing -= usize::from(taken.is_pressing());
        self.urgent = self.urgent.saturating_sub(1);
        Some(taken)
    }

    /// Nothing queued will be written. Returns how many bytes that were, and what the journal has of them.
    pub fn abandon(&mut self) -> (u64, Vec<Ticket>) {
        let tickets = self.queued.drain(..).filter_map(|queued| match queued {
            Queued::Batch(batch) => batch.ticket,
            _ => None,
        });
        let tickets = tickets.collect();
        self.pressing = 0;
        let bytes = std::mem::take(&mut self.bytes);
        self.stop();
        (bytes as u64, tickets)
    }

    fn stop(&mut self) {
        assert_eq!(self.bytes, 0, "an empty queue holds no bytes");
        (self.busy, self.urgent) = (false, 0);
        if self.queued.capacity() > 64 {
            self.queued = VecDeque::new();
        }
    }

    fn gather(&mut self, first: PendingBatch) -> Write {
        let at = block_floor(first.position);
        let mut write = Write {
            segment: first.segment,
            at,
            end: first.end,
            end_offset: first.end_offset,
            batches: vec![first.held],
            tickets: Vec::from_iter(first.ticket),
        };
        self.bytes -= write.batches[0].len();
        while write.bytes() < self.write_bytes {
            let Some(Queued::Batch(next)) =
                self.queued.pop_front_if(|queued| matches!(queued, Queued::Batch(_)))
            else {
                break;
            };
            self.urgent = self.urgent.saturating_sub(1);
            assert_eq!(next.position, write.end, "batches lie back to back");
            self.bytes -= next.held.len();
            self.pressing -= usize::from(next.ticket.is_none());
            write.end = next.end;
            write.end_offset = next.end_offset;
            write.batches.push(next.held);
            write.tickets.extend(next.ticket);
        }
        write
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Arena;
    use crate::segment::BLOCK_BYTES;
    use crate::testing::batch_of;
    use std::path::Path;

    fn segment() -> Rc<Segment> {
        Rc::new(Segment::fresh(Rc::from(Path::new("/nowhere")), Offset(0), 0, 0))
    }

    fn push(queue: &mut AppendQueue, segment: &Rc<Segment>, position: u32, body: usize) -> (Pushed, u32) {
        let held = HeldBatch::new(batch_of(0, 1, body), &Arena::default());
        let end = position + held.len() as u32;
        let batch = PendingBatch {
            segment: segment.clone(),
            held,
            position,
            end,
            end_offset: Offset(1),
            ticket: None,
        };
        (queue.push(batch), end)
    }

    fn write(step: Option<Step>) -> Write {
        match step {
            Some(Step::Write(write)) => write,
            _ => panic!("expected a write"),
        }
    }

    #[test]
    fn what_has_gathered_goes_out_in_one_write_from_the_last_block() {
        let (mut queue, segment) = (AppendQueue::new(1 << 20), segment());
        let (start, next) = push(&mut queue, &segment, 5000, 100);
        let (again, end) = push(&mut queue, &segment, next, 200);
        assert_eq!((start, again), (Pushed::First, Pushed::Behind), "a running writer is not started twice");
        let write = write(queue.next());
        assert_eq!((write.at, write.end, write.batches.len()), (4096, end, 2));
        assert!(queue.next().is_none());
        assert!(!queue.is_busy());
    }

    #[test]
    fn a_write_stops_at_about_a_mebibyte_and_at_a_roll() {
        let (mut queue, segment) = (AppendQueue::new(1 << 20), segment());
        let mut position = 0;
        for _ in 0..5 {
            (_, position) = push(&mut queue, &segment, position, 300 << 10);
        }
        assert_eq!(write(queue.next()).batches.len(), 4);
        queue.push_roll(Roll { ended: segment.clone(), at: Offset(5), producers: Vec::new(), next: None });
        push(&mut queue, &segment, 0, 10);
        assert_eq!(write(queue.next()).batches.len(), 1);
        assert!(matches!(queue.next(), Some(Step::Roll(_))));
        assert_eq!(write(queue.next()).at, 0);
        assert_eq!(queue.bytes(), 0);
    }

    #[test]
    fn a_write_is_about_as_long_as_it_was_told() {
        for (told, batches) in [(64 << 10, 2), (128 << 10, 4)] {
            let (mut queue, segment, mut position) = (AppendQueue::new(told), segment(), 0);
            for _ in 0..8 {
                position = push(&mut queue, &segment, position, 32 << 10).1;
            }
            assert_eq!(write(queue.next()).batches.len(), batches);
        }
    }

    #[test]
    fn few_batches_are_worth_waiting_for_more_and_the_one_that_makes_them_enough_says_so_once() {
        let (mut queue, segment) = (AppendQueue::new(1 << 20), segment());
        assert!(!queue.is_worth_more());
        let (mut pushed, mut position) = (Vec::new(), 0);
        for _ in 0..4 {
            let push = push(&mut queue, &segment, position, 100 << 10);
            (pushed, position) = ([pushed, vec![(push.0, queue.is_worth_more())]].concat(), push.1);
        }
        let enough = (Pushed::Enough, false);
        assert_eq!(pushed, [(Pushed::First, true), (Pushed::Behind, true), enough, (Pushed::Behind, false)]);
    }

    #[test]
    fn the_bytes_of_a_write_are_the_tail_block_and_the_batches() {
        let (mut queue, segment) = (AppendQueue::new(1 << 20), segment());
        push(&mut queue, &segment, 4100, 5000);
        let write = write(queue.next());
        let tail = Bytes::from_static(b"tail");
        let bytes: Vec<u8> = std::iter::once(&tail).chain(write.parts()).flatten().copied().collect();
        assert_eq!(bytes.len(), write.bytes());
        let partial = write.partial_block(&tail);
        assert_eq!(partial.len(), (write.end % BLOCK_BYTES) as usize);
        assert!(bytes.ends_with(&partial));
    }

    #[test]
    fn a_write_within_a_block_leaves_the_tail_block_and_the_batches() {
        let (mut queue, segment) = (AppendQueue::new(1 << 20), segment());
        push(&mut queue, &segment, 4100, 100);
        let write = write(queue.next());
        let partial = write.partial_block(&Bytes::from_static(b"tail"));
        assert_eq!(partial.len(), write.bytes());
        assert!(partial.starts_with(b"tail"));
    }
}
