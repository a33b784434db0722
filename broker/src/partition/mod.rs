//! One partition on the core that owns it: checks, gives offsets, appends, reads.
//! Never crosses cores, never knows a connection. All of it runs on the owning core; reads and waits are async,
//! what decides is not.

mod append;
mod offsets;
mod read;
mod replay;
mod types;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kring_storage::{CompactionConfig, Log, LogConfig, LogError};
use kring_wire::{ErrorCode, Str};

pub use append::Appended;
pub use read::News;
pub use replay::Replay;
pub use types::{
    Acks, EpochQuery, FetchEntry, Fetched, FetchedPart, ListedOffset, Offered, OffsetQuery, PartitionId,
    PartitionSize, Produced, Refusal,
};

use crate::config::TopicConfig;

/// What a client says that knows no leader epoch.
pub const NO_EPOCH: i32 = -1;

/// A partition and its log.
pub struct Partition {
    id: PartitionId,
    topic: Str,
    leader_epoch: Cell<i32>,
    config: RefCell<Arc<TopicConfig>>,
    log_dir: usize,
    log: Log,
    /// The last damage that a reader met.
    told_damage: RefCell<Option<LogError>>,
}

/// What a partition is made of.
pub struct PartitionParts {
    pub id: PartitionId,
    pub topic: Str,
    pub leader_epoch: i32,
    pub config: Arc<TopicConfig>,
    /// Place of its directory in `log.dirs`.
    pub log_dir: usize,
    pub log: Log,
}

impl Partition {
    pub fn new(parts: PartitionParts) -> Rc<Self> {
        Rc::new(Self {
            id: parts.id,
            topic: parts.topic,
            leader_epoch: Cell::new(parts.leader_epoch),
            config: RefCell::new(parts.config),
            log_dir: parts.log_dir,
            log: parts.log,
            told_damage: RefCell::default(),
        })
    }

    /// Place of its directory in `log.dirs`.
    pub fn log_dir(&self) -> usize {
        self.log_dir
    }

    pub fn id(&self) -> PartitionId {
        self.id
    }

    /// `topic-index`, as Kafka writes it.
    pub fn name(&self) -> String {
        format!("{}-{}", self.topic, self.id.index)
    }

    pub fn topic(&self) -> &Str {
        &self.topic
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    pub fn leader_epoch(&self) -> i32 {
        self.leader_epoch.get()
    }

    pub fn config(&self) -> Arc<TopicConfig> {
        self.config.borrow().clone()
    }

    /// Takes a new configuration; it holds from the next append on.
    pub fn set_config(&self, config: Arc<TopicConfig>, producer_id_expiration_ms: i64) {
        self.log.set_config(Rc::new(log_config(&config, producer_id_expiration_ms)));
        *self.config.borrow_mut() = config;
    }

    /// Takes a new term of this broker's leadership.
    pub fn set_leader_epoch(&self, epoch: i32) {
        assert!(epoch >= self.leader_epoch.get(), "leader epochs never fall");
        self.leader_epoch.set(epoch);
    }

    /// Compares the epoch that a client believes in (KIP-320). As in Kafka, a negative one is an epoch long gone, but
    /// for the one that stands for none.
    fn check_epoch(&self, believed: i32) -> Result<(), Refusal> {
        match believed {
            NO_EPOCH => Ok(()),
            e if e < self.leader_epoch.get() => Err(ErrorCode::FENCED_LEADER_EPOCH.into()),
            e if e > self.leader_epoch.get() => Err(ErrorCode::UNKNOWN_LEADER_EPOCH.into()),
            _ => Ok(()),
        }
    }
}

/// What of a topic's configuration its logs act on.
pub fn log_config(config: &TopicConfig, producer_id_expiration_ms: i64) -> LogConfig {
    let ms = |ms: i64| Duration::from_millis(ms.unsigned_abs());
    LogConfig {
        segment_bytes: config.segment_bytes,
        segment_ms: max_segment_ms(config),
        segment_jitter_ms: config.segment_jitter_ms,
        segment_index_bytes: config.segment_index_bytes,
        index_interval_bytes: config.index_interval_bytes,
        flush_messages: config.flush_messages.unsigned_abs(),
        flush_ms: (config.flush_ms != i64::MAX).then(|| ms(config.flush_ms)),
        deletes: config.is_deleted,
        retention_ms: config.retention_ms,
        retention_bytes: config.retention_bytes.map(i64::unsigned_abs),
        compaction: CompactionConfig {
            compacts: config.is_compacted,
            min_cleanable_dirty_ratio: config.min_cleanable_dirty_ratio,
            min_compaction_lag_ms: config.min_compaction_lag_ms,
            max_compaction_lag_ms: config.max_compaction_lag_ms,
            delete_retention_ms: config.delete_retention_ms,
        },
        file_delete_delay: ms(config.file_delete_delay_ms),
        producer_id_expiration_ms,
        spends_spare: false,
    }
}

/// A compacted log's newest segment, which is never compacted, must not keep records from it for longer than
/// `max.compaction.lag.ms`: `LogConfig.maxSegmentMs` of Kafka.
fn max_segment_ms(config: &TopicConfig) -> i64 {
    if config.is_compacted { config.segment_ms.min(config.max_compaction_lag_ms) } else { config.segment_ms }
}

/// A passing error says what it is: the operator reads it in the client's log, and all clients try again.
fn told(code: ErrorCode, error: &LogError) -> Refusal {
    Refusal { message: Some(error.to_string().into()), ..Refusal::from(code) }
}

/// Kafka's code for what a log refuses: the one place that maps them.
pub fn refusal_of(error: &LogError) -> Refusal {
    match error {
        LogError::OffsetOutOfRange { .. } => ErrorCode::OFFSET_OUT_OF_RANGE.into(),
        LogError::BatchTooLarge { .. } => ErrorCode::RECORD_LIST_TOO_LARGE.into(),
        LogError::Io { .. } | LogError::Offline { .. } | LogError::Corrupt { .. } => {
            ErrorCode::KAFKA_STORAGE_ERROR.into()
        }
        LogError::Foreign { .. } | LogError::Locked { .. } => ErrorCode::KAFKA_STORAGE_ERROR.into(),
        LogError::Full { .. } | LogError::Exhausted { .. } => told(ErrorCode::KAFKA_STORAGE_ERROR, error),
        // It has its offset and may be written yet. Clients try again, as they do when replicas are late.
        LogError::Stalled { .. } => told(ErrorCode::REQUEST_TIMED_OUT, error),
        LogError::Closed => ErrorCode::NOT_LEADER_OR_FOLLOWER.into(),
    }
}
