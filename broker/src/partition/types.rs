//! What a partition is asked and what it answers, as values that may cross cores. Never holds what belongs to a core.

use bytes::Bytes;
use kring_runtime::disk::FileRange;
use kring_storage::AbortedTransaction;
use kring_wire::record::ValidatedBatch;
use kring_wire::{ErrorCode, Str, Uuid};

/// A refusal for one partition, as the client will see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: ErrorCode,
    pub message: Option<Str>,
    /// Where the log starts, for some of what is refused to a producer; -1 for the rest.
    pub log_start_offset: i64,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None, log_start_offset: -1 }
    }
}

/// What a producer hands in for one partition: a batch, or one that is refused already and for which the owner only
/// tells where its log starts.
pub type Offered = Result<ValidatedBatch, ErrorCode>;

/// A partition as the shards name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId {
    pub topic: Uuid,
    pub index: i32,
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
    /// It stands there, but is not known to be safe in the time that the client gave.
    pub is_late: bool,
}

/// One partition of a fetch.
#[derive(Debug, Clone, Copy)]
pub struct FetchEntry {
    pub fetch_offset: i64,
    /// Kafka fails to read by a negative one.
    pub max_bytes: i32,
    pub current_leader_epoch: i32,
    pub last_fetched_epoch: i32,
    /// Up to the last stable offset, instead of the high watermark.
    pub read_committed: bool,
    /// Asked as another broker asks. No partition has a replica on another broker.
    pub is_replica: bool,
}

/// What one partition answers to a fetch.
#[derive(Debug)]
pub struct Fetched {
    pub error: ErrorCode,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    pub leader_epoch: i32,
    /// Largest epoch that the log shares with the reader, and its end offset, when they diverge (KIP-595).
    pub diverging: Option<(i32, i64)>,
    /// What a reader of committed records must leave out of `parts`; `None` for others, and where nothing was read.
    pub aborted: Option<Vec<AbortedTransaction>>,
    pub parts: Vec<FetchedPart>,
    /// The size of the first batch in `parts`, where the answer may have to be cut.
    pub first_batch_bytes: Option<u64>,
}

impl Fetched {
    /// An answer without records.
    pub fn refused(error: ErrorCode) -> Self {
        Self {
            error,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            leader_epoch: -1,
            diverging: None,
            aborted: None,
            parts: Vec::new(),
            first_batch_bytes: None,
        }
    }

    /// Keeps what Kafka would have read within `limit`: as many bytes, but nothing if the first batch is not whole.
    pub fn cut(&mut self, limit: u64) {
        if self.bytes() <= limit {
            return;
        }
        let first_is_whole = self.first_batch_bytes.is_some_and(|first| first <= limit);
        let parts = std::mem::take(&mut self.parts);
        self.parts = if first_is_whole { head(parts, limit) } else { Vec::new() };
    }

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

    fn truncated(self, len: u64) -> Self {
        match self {
            Self::Memory(bytes) => {
                let end = usize::try_from(len).unwrap_or(usize::MAX).min(bytes.len());
                Self::Memory(bytes.slice(..end))
            }
            Self::File(range) => Self::File(FileRange { len: range.len.min(len), ..range }),
        }
    }
}

/// The first `len` bytes of consecutive parts.
pub(super) fn head(parts: Vec<FetchedPart>, len: u64) -> Vec<FetchedPart> {
    let mut left = len;
    let mut kept = Vec::with_capacity(parts.len());
    for part in parts {
        if left == 0 {
            break;
        }
        let part = part.truncated(left);
        left -= part.len();
        kept.push(part);
    }
    kept
}

/// Which offset is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetQuery {
    /// Milliseconds, or one of Kafka's negative marks.
    pub timestamp: i64,
    pub current_leader_epoch: i32,
    /// What is not below the last stable offset is not there yet, instead of what is not below the high watermark.
    pub read_committed: bool,
}

/// -1 in a field stands for "none".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedOffset {
    pub timestamp: i64,
    pub offset: i64,
    pub leader_epoch: i32,
}

/// Where an epoch ends, for a reader that wants to know whether it diverged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochQuery {
    pub current_leader_epoch: i32,
    pub leader_epoch: i32,
}

/// The size of one partition's files, and which log directory holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionSize {
    pub id: PartitionId,
    pub topic: Str,
    pub log_dir: usize,
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetched(first_batch_bytes: Option<u64>) -> Fetched {
        let parts = [&b"0123456789"[..], b"abcdefghij"];
        let parts = parts.iter().map(|bytes| FetchedPart::Memory(Bytes::from_static(bytes))).collect();
        Fetched { parts, first_batch_bytes, ..Fetched::refused(ErrorCode::NONE) }
    }

    #[test]
    fn an_answer_is_cut_to_the_limit_when_its_first_batch_is_within() {
        for (limit, left) in
            [(20, 20), (30, 20), (19, 19), (12, 12), (10, 10), (9, 9), (8, 8), (7, 0), (0, 0)]
        {
            let mut answer = fetched(Some(8));
            answer.cut(limit);
            assert_eq!(answer.bytes(), left, "at {limit}");
        }
    }

    #[test]
    fn an_answer_whose_first_batch_has_no_known_size_is_not_cut_in_the_middle() {
        let mut answer = fetched(None);
        answer.cut(19);
        assert_eq!(answer.bytes(), 0);
    }
}
