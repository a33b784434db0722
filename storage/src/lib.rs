//! Logs of record batches on disk, in the directory format of Apache Kafka.
//!
//! A log takes batches whose offsets are already assigned, writes them with direct I/O, says how far they are
//! written and how far they are durable, and hands them out again as memory and file ranges. It knows no
//! topics, replicas, requests or ACLs; a name is only a label. A log lives on one shard, single-threaded.
//!
//! The whole of it:
//! ```text
//! ShardStorage::new(ShardConfig { tail_cache_bytes, open_files, index_cache_bytes, journal_bytes, commits_after })    one a shard; clone
//! LogDir::open(&Path).await -> Result<OpenedLogDir { dir, meta, clean_shutdown, partitions, deleted }>
//!     dir: LogDir (clone, any shard): path() offline() write_meta(&MetaProperties).await
//!     measure_space(reserve_bytes).await  went_offline().await -> cause
//!     delete(&LogName, delay).await -> Result<()>     of a log that is not open
//!     write_checkpoints().await  mark_clean(broker_epoch).await -> Result<bool>  remove_after_checkpoint(path, delay)
//! Log::open(&ShardStorage, &LogDir, LogName, Rc<LogConfig>, Option<TopicId>).await
//!     -> Result<(Log, RecoveryReport)>                                           Log: clone
//! log.name() topic_id() config() set_config(Rc<LogConfig>) size_bytes() fault()
//! log.append(LogBatch { header, body }) -> Result<Appended { base_offset, last_offset }>    at once
//! log.append_for(LogBatch, Awaits::{Commit, Write}) -> Result<Appended>
//! log.check_room(Claim) -> Result<()>      whether the disk takes an append of this kind
//! log.offsets() -> LogOffsets { start, flushed, durable, written, kept, end }
//! log.high_watermark() last_stable_offset() -> Offset
//! log.wait_kept(end).await  wait_durable(end).await  wait_committed(end).await -> Result<()>
//! log.wait_kept_unless_stalled(end).await  wait_committed_unless_stalled(end).await
//! log.changed().await                       any of the offsets moved, or the log failed
//! log.damaged_at(Offset, cause).await -> LogError      names file and byte
//! log.flush().await -> Result<Offset>       everything appended so far is durable in its segments
//! log.unsaved_bytes()  save_recovery_point().await -> Result<()>     bounds what a recovery has to look at
//! log.read(ReadRequest { offset, upto, max_bytes, min_one_batch }).await
//!     -> Result<ReadChunk { parts: Vec<ReadPart::{Memory(Bytes), File(FileRange)}>, bytes, .. }>
//! log.read_committed(ReadRequest).await -> Result<(ReadChunk, Vec<AbortedTransaction>)>
//!     chunk.into_bytes().await              for readers inside the broker
//! log.check_producer(&ProducerBatch) -> Result<ProducerVerdict, ProducerError>
//! log.producers(|&ProducerStates| ..)  expire_producers(now_ms)
//! log.latest_epoch() epoch_at(Offset) end_offset_for_epoch(LeaderEpoch) -> Option<EpochEnd>
//! log.offset_for_timestamp(ts).await  max_timestamp().await -> Result<Option<TimestampedOffset>>
//! log.delete_records_before(Offset).await -> Result<Offset>
//! log.truncate_to(Offset).await -> Result<Offset>                 for a replica that has more than its leader
//! log.delete_old_segments().await -> Result<DeletedSegments>      retention
//! log.begin_cleaning() -> Option<CleaningTurn>                    whoever changes sealed segments
//! Cleaner::new(CleanerConfig)  cleaner.clean_filthiest(&[Log]).await -> Option<CleanedLog>       compaction
//! log.stop_cleaning()  close().await  delete().await
//! inspect::Inspection::open(&Path).await -> partitions() verify(&Path).await plan(&report)     no broker has them
//!     inspect::Plan: lines() carry_out().await     inspect::Pieces::open(&Path, Offset).await -> next().await
//! ```
//! Every `Result` is `Result<_, LogError>` unless it says otherwise.

mod aborted;
mod ahead;
mod appender;
mod arena;
mod batch;
mod behind;
mod checkpoint;
#[cfg(test)]
mod commit_tests;
mod compaction;
mod company;
mod config;
mod damage;
mod deletion;
#[cfg(test)]
mod deletion_tests;
mod dir;
mod disk_settings;
#[cfg(test)]
mod disk_settings_tests;
mod epochs;
mod error;
mod home;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod hostile;
mod index;
pub mod inspect;
mod journal;
#[cfg(test)]
mod journal_holes_tests;
#[cfg(test)]
mod journal_tests;
mod lifecycle;
mod log;
mod lookup;
#[cfg(test)]
mod model;
mod mutation;
mod producer;
mod read;
mod recovery;
mod recovery_point;
mod removal;
mod retention;
mod scan;
#[cfg(test)]
mod seeds;
mod segment;
mod shard;
#[cfg(test)]
mod simulated;
#[cfg(test)]
mod simulated_faults;
mod slots;
mod snapshot;
mod space;
mod spare;
mod stable;
mod stall;
mod tail;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod through_tests;
#[cfg(test)]
mod transactions_tests;
mod truncation;
#[cfg(test)]
mod truncation_tests;
mod turn;
mod txn_index;
mod types;
mod writer;

pub use batch::{BadBatch, BatchInfo, HEADER_BYTES, LogBatch};
pub use checkpoint::{LogName, MetaProperties};
pub use compaction::{CleanedLog, Cleaner, CleanerConfig, CompactionConfig};
pub use config::LogConfig;
pub use deletion::{CleaningTurn, DeletedSegments};
pub use dir::{LogDir, OpenedLogDir};
pub use disk_settings::{DISK_SETTING_NAMES, DISK_SETTINGS, DiskSettings};
pub use epochs::{EpochEnd, LeaderEpochs};
pub use error::LogError;
pub use log::{Appended, Awaits, Log};
pub use lookup::TimestampedOffset;
pub use producer::{
    BatchMetadata, CompletedTransaction, EndTransaction, ProducerBatch, ProducerEntry, ProducerError,
    ProducerStates, ProducerVerdict,
};
pub use read::{ReadChunk, ReadPart, ReadRequest};
pub use recovery::RecoveryReport;
pub use shard::{ShardConfig, ShardStorage};
pub use space::Claim;
pub use txn_index::AbortedTransaction;
pub use types::{LeaderEpoch, LogOffsets, Offset, ProducerId};

/// A topic id, as `partition.metadata` holds it.
pub type TopicId = kring_wire::Uuid;
