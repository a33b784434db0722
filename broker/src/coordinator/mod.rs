//! What every coordinator shares: a synchronous state machine over one partition of an internal topic.
//!
//! A machine takes a request and the time, and gives back records to append and replies. It never reads a
//! clock, never waits and never does I/O; the driver beside it does. Machine and driver live on the shard that
//! owns the partition.

mod driver;
mod load;

use bytes::Bytes;
use kring_wire::ErrorCode;

pub use driver::Driver;

/// Who waits for a reply: opaque to the machine, unique while the reply is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// Names one write of one machine; grows by one from write to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

/// The time, twice: deadlines follow `steady_ms`, so that a clock that is set does not end every session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since 1970, for what is stored.
    pub wall_ms: i64,
    /// Milliseconds since some start, never going back, for deadlines.
    pub steady_ms: i64,
}

/// One record of the partition; no value deletes the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatorRecord {
    pub key: Bytes,
    pub value: Option<Bytes>,
}

/// Records to append as one batch, after all earlier writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub id: WriteId,
    pub records: Vec<CoordinatorRecord>,
}

/// What a machine wants done: send the replies now, append the writes in order and report each.
#[derive(Debug)]
#[must_use]
pub struct Step<R> {
    pub replies: Vec<(Token, R)>,
    pub writes: Vec<Write>,
}

impl<R> Default for Step<R> {
    fn default() -> Self {
        Step { replies: Vec::new(), writes: Vec::new() }
    }
}

/// Where a replayed record stood in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub offset: i64,
    /// The producer id of its batch when the batch was part of a transaction.
    pub transaction: Option<i64>,
}

/// Why a record of the log could not be replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayError(pub String);

impl std::fmt::Display for ReplayError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ReplayError {}

/// A coordinator as its driver sees it.
///
/// The driver's side of the bargain: every write of a step is appended, in order, before the next call of
/// `handle`, `tick` or `durable`, and reported by `appended` or `append_failed`; `durable` names appended writes
/// only. After `unload` the machine is not called again.
pub trait Coordinator {
    type Request;
    type Reply;

    /// Decides on one request. Its reply comes in this step or in a later one.
    fn handle(&mut self, token: Token, request: Self::Request, now: Now) -> Step<Self::Reply>;

    /// Acts on every deadline that has passed.
    fn tick(&mut self, now: Now) -> Step<Self::Reply>;

    /// When `tick` is wanted next, in `steady_ms`.
    fn next_deadline_ms(&self) -> Option<i64>;

    /// The write is in the log, its first record at `base_offset`: what it says now holds.
    fn appended(&mut self, write: WriteId, base_offset: i64);

    /// The write could not be appended: nothing of it holds.
    fn append_failed(&mut self, write: WriteId, error: ErrorCode, now: Now) -> Step<Self::Reply>;

    /// This write and all before it are durable: the replies that waited for them are released.
    fn durable(&mut self, write: WriteId, now: Now) -> Step<Self::Reply>;

    /// Applies one record of the log, at load.
    fn replay(&mut self, at: Position, record: CoordinatorRecord) -> Result<(), ReplayError>;

    /// Applies the end of a transaction, at load.
    fn replay_transaction_end(&mut self, producer_id: i64, committed: bool);

    /// The log has been replayed to its end: timers start.
    fn loaded(&mut self, now: Now) -> Step<Self::Reply>;

    /// This broker gives the partition up: everyone who waits is told to look elsewhere.
    fn unload(&mut self) -> Step<Self::Reply>;

    /// The answer to a request that never reached a machine.
    fn refuse(request: &Self::Request, error: ErrorCode) -> Self::Reply;
}
