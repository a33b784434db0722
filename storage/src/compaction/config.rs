//! The settings of compaction, of one log and of the cleaner, with Kafka's names, units and defaults.
//! Reads no file and knows no topic. Values only: any core.

/// What a log says about its compaction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CompactionConfig {
    /// `cleanup.policy` contains `compact`.
    pub compacts: bool,
    /// `min.cleanable.dirty.ratio`: a log is cleaned once more than this part of its bytes is dirty.
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`: no record is cleaned away while its segment has one that is younger.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: a log with an older dirty record is cleaned whatever its ratio.
    pub max_compaction_lag_ms: i64,
    /// `delete.retention.ms`: how long a tombstone stays after the cleaning that met it first.
    pub delete_retention_ms: i64,
}

impl Default for CompactionConfig {
    fn default() -> CompactionConfig {
        CompactionConfig {
            compacts: false,
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            delete_retention_ms: 24 * 3600 * 1000,
        }
    }
}

/// What one cleaner may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CleanerConfig {
    /// Its part of `log.cleaner.dedupe.buffer.size`. Taken while a log is cleaned, and touched by use.
    pub key_map_bytes: u64,
    /// `log.cleaner.io.buffer.load.factor`: the part of the key map that may be filled.
    pub key_map_load_factor: f64,
    /// Its part of `log.cleaner.io.buffer.size`, half for reading and half for writing. A larger batch is read whole.
    pub io_buffer_bytes: u32,
    /// Its part of `log.cleaner.io.max.bytes.per.second`, read and written together.
    pub io_bytes_per_second: f64,
}

impl Default for CleanerConfig {
    fn default() -> CleanerConfig {
        CleanerConfig {
            key_map_bytes: 128 << 20,
            key_map_load_factor: 0.9,
            io_buffer_bytes: 512 << 10,
            io_bytes_per_second: f64::MAX,
        }
    }
}
