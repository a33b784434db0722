//! The settings of one log that this crate acts on, with Kafka's names, units and defaults.
//! Reads no file and knows no topic. Values only: any core.

use std::time::Duration;

use kring_runtime::random_below;

use crate::compaction::CompactionConfig;
use crate::types::Offset;

/// Settings of one log. Shared by `Rc`, because a shard has thousands of logs and few distinct settings.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment takes no batch that would make it longer.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment takes no batch whose time is later than its first batch by more.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: each segment draws how much less than `segment_ms` it waits, below this bound.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`: bound of each index of a segment.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`: distance between index entries.
    pub index_interval_bytes: u32,
    /// `flush.messages`: records between two flushes. 1 also makes the high watermark wait for the flush.
    pub flush_messages: u64,
    /// `flush.ms`: longest time a written record stays unflushed.
    pub flush_ms: Option<Duration>,
    /// `cleanup.policy` contains `delete`: segments go by age and size. Without it they go only once they lie wholly
    /// below the log's start.
    pub deletes: bool,
    /// `retention.ms`; `None` keeps for ever.
    pub retention_ms: Option<i64>,
    /// `retention.bytes`; `None` is no limit.
    pub retention_bytes: Option<u64>,
    pub compaction: CompactionConfig,
    /// `file.delete.delay.ms`
    pub file_delete_delay: Duration,
    /// `producer.id.expiration.ms`, a setting of the broker.
    pub producer_id_expiration_ms: i64,
    /// Where the disk has no room, what its directory keeps spare is for this log.
    pub spends_spare: bool,
}

impl Default for LogConfig {
    /// Kafka's defaults, except `flush.messages`: one broker must not lose what it acknowledged.
    fn default() -> LogConfig {
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3600 * 1000,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            flush_messages: 1,
            flush_ms: None,
            deletes: true,
            retention_ms: Some(7 * 24 * 3600 * 1000),
            retention_bytes: None,
            compaction: CompactionConfig::default(),
            file_delete_delay: Duration::from_secs(60),
            producer_id_expiration_ms: 24 * 3600 * 1000,
            spends_spare: false,
        }
    }
}

impl LogConfig {
    /// Whether a record counts as committed only once it is flushed.
    pub fn commits_on_flush(&self) -> bool {
        self.flush_messages == 1
    }

    /// `LogConfig.randomSegmentJitter` of Kafka: less than either bound.
    pub(crate) fn draw_jitter_ms(&self) -> i64 {
        match u64::try_from(self.segment_jitter_ms.min(self.segment_ms)) {
            Ok(bound) if bound > 0 => random_below(bound) as i64,
            _ => 0,
        }
    }

    pub(crate) fn flush_is_due(&self, written: Offset, durable: Offset) -> bool {
        u64::try_from(written - durable).is_ok_and(|records| records > 0 && records >= self.flush_messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_is_due_after_so_many_records_and_never_without_any() {
        let every = LogConfig::default();
        assert!(every.flush_is_due(Offset(1), Offset(0)));
        assert!(!every.flush_is_due(Offset(1), Offset(1)));
        let tenth = LogConfig { flush_messages: 10, ..every };
        assert!(!tenth.flush_is_due(Offset(9), Offset(0)));
        assert!(tenth.flush_is_due(Offset(10), Offset(0)));
    }
}
