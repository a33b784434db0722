//! What one core asks of another: a closed enum, one command per owning shard and request.
//! Never holds what belongs to a core; everything in here is sent as a value.

use std::sync::Arc;

use bytes::Bytes;
use kring_runtime::Monotonic;
use kring_runtime::channel::oneshot;
use kring_runtime::disk::FileRange;
use kring_wire::record::ValidatedBatch;
use kring_wire::{ErrorCode, Str, Uuid};

use super::gate::FetchGate;

/// Where a reply goes: back to the core that asked.
pub type ReplyTo<T> = oneshot::Sender<T>;

/// A refusal for one partition, as the client will see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: ErrorCode,
    pub message: Option<Str>,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None }
    }
}

/// A partition as the shards name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId {
    pub topic: Uuid,
    pub index: i32,
}

/// Validated batches for partitions of one shard.
pub struct Produce {
    pub acks: Acks,
    pub entries: Vec<(PartitionId, ValidatedBatch)>,
}

/// When a produce request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// At once, and without a response.
    None,
    /// When the leader has written.
    Leader,
    /// When the bytes are safe: on disk under the durable default.
    All,
}

/// Where an accepted batch stands in its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Produced {
    pub base_offset: i64,
    /// The broker's time under `LogAppendTime`, else -1.
    pub log_append_time_ms: i64,
    pub log_start_offset: i64,
}

/// In the order of the entries.
pub type ProduceReply = Vec<Result<Produced, Refusal>>;

/// One partition of a fetch.
#[derive(Debug, Clone)]
pub struct FetchEntry {
    pub id: PartitionId,
    pub fetch_offset: i64,
    pub max_bytes: u32,
    pub current_leader_epoch: i32,
    pub last_fetched_epoch: i32,
}

/// A fetch from partitions of one shard, parked there until `gate` opens or `deadline` passes.
pub struct Fetch {
    pub entries: Vec<FetchEntry>,
    pub max_bytes: u32,
    pub read_committed: bool,
    pub deadline: Monotonic,
    pub gate: Arc<FetchGate>,
}

/// What one partition answers to a fetch.
#[derive(Debug, Default)]
pub struct Fetched {
    pub error: ErrorCode,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    pub diverging: Option<(i32, i64)>,
    pub parts: Vec<FetchedPart>,
}

impl Fetched {
    /// Bytes of records in this answer.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(FetchedPart::len).sum()
    }
}

/// Bytes that a response carries: from memory, or by sendfile.
#[derive(Debug, Clone)]
pub enum FetchedPart {
    Memory(Bytes),
    File(FileRange),
}

impl FetchedPart {
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(range) => range.len,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// In the order of the entries.
pub type FetchReply = Vec<Fetched>;
