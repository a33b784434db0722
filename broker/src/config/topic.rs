//! The configuration of one topic as typed values: its own overrides on the broker's defaults.
//! Never keeps texts. Plain values: copied to whichever core owns a partition.

use super::typed::Typed;
use super::value::{self, Value};
use super::{ConfigMap, defs};

/// How stored batches are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerCompression {
    /// Each batch stays as its producer sent it.
    Producer,
    Uncompressed,
    Gzip {
        level: i32,
    },
    Snappy,
    Lz4 {
        level: i32,
    },
    Zstd {
        level: i32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    CreateTime,
    LogAppendTime,
}

/// Everything about a topic that steers its logs. `i64::MAX` in a time or a count means never.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicConfig {
    pub segment_bytes: u32,
    pub segment_ms: i64,
    pub segment_jitter_ms: i64,
    pub segment_index_bytes: u32,
    pub index_interval_bytes: u32,
    /// `None` keeps everything.
    pub retention_bytes: Option<i64>,
    /// `None` keeps for ever.
    pub retention_ms: Option<i64>,
    pub file_delete_delay_ms: i64,
    pub flush_messages: i64,
    pub flush_ms: i64,
    pub is_compacted: bool,
    pub is_deleted: bool,
    pub delete_retention_ms: i64,
    pub min_compaction_lag_ms: i64,
    pub max_compaction_lag_ms: i64,
    pub min_cleanable_dirty_ratio: f64,
    pub compression: BrokerCompression,
    pub max_message_bytes: u32,
    pub timestamp_type: TimestampType,
    pub timestamp_before_max_ms: i64,
    pub timestamp_after_max_ms: i64,
    pub min_insync_replicas: i32,
    pub is_unclean_election_allowed: bool,
}

impl TopicConfig {
    /// The values from the topic's own overrides, else from `broker_value`, which answers for
    /// every broker property. An override that does not parse is passed over: it cannot have
    /// been accepted by this version, and a topic must not be lost to it.
    #[must_use]
    pub fn effective(overrides: &ConfigMap, broker_value: &dyn Fn(&str) -> Value) -> Self {
        Self::from_typed(&Typed(&|name| {
            own_value(overrides, name).unwrap_or_else(|| inherited(name, broker_value))
        }))
    }

    fn from_typed(typed: &Typed<'_>) -> Self {
        let cleanup = typed.list("cleanup.policy");
        let has = |policy: &str| cleanup.iter().any(|word| word == policy);
        Self {
            segment_bytes: typed.u32("segment.bytes"),
            segment_ms: typed.i64("segment.ms"),
            segment_jitter_ms: typed.i64("segment.jitter.ms"),
            segment_index_bytes: typed.u32("segment.index.bytes"),
            index_interval_bytes: typed.u32("index.interval.bytes"),
            retention_bytes: typed.limit("retention.bytes"),
            retention_ms: typed.limit("retention.ms"),
            file_delete_delay_ms: typed.i64("file.delete.delay.ms"),
            flush_messages: typed.i64("flush.messages"),
            flush_ms: typed.i64("flush.ms"),
            is_compacted: has("compact"),
            is_deleted: has("delete"),
            delete_retention_ms: typed.i64("delete.retention.ms"),
            min_compaction_lag_ms: typed.i64("min.compaction.lag.ms"),
            max_compaction_lag_ms: typed.i64("max.compaction.lag.ms"),
            min_cleanable_dirty_ratio: typed.f64("min.cleanable.dirty.ratio"),
            compression: compression(typed),
            max_message_bytes: typed.u32("max.message.bytes"),
            timestamp_type: timestamp_type(&typed.text("message.timestamp.type")),
            timestamp_before_max_ms: typed.i64("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: typed.i64("message.timestamp.after.max.ms"),
            min_insync_replicas: typed.i32("min.insync.replicas"),
            is_unclean_election_allowed: typed.bool("unclean.leader.election.enable"),
        }
    }
}

fn own_value(overrides: &ConfigMap, name: &str) -> Option<Value> {
    let property = defs::topic_property(name)?;
    value::parse(property, overrides.get(name)?).ok()
}

/// The value that a topic has without an override: the first of the broker's synonyms that is
/// set, in the topic's unit, else the topic's own default.
#[must_use]
pub(super) fn inherited(name: &str, broker_value: &dyn Fn(&str) -> Value) -> Value {
    defs::topic_synonyms(name)
        .iter()
        .map(|synonym| scaled(broker_value(synonym.name), synonym.factor))
        .find(|value| *value != Value::Null)
        .or_else(|| defs::topic_property(name).map(value::default_of))
        .unwrap_or(Value::Null)
}

/// A negative number of hours or minutes is no limit, as -1 milliseconds is.
fn scaled(value: Value, factor: i64) -> Value {
    match value {
        Value::Integer(number) if factor != 1 && number < 0 => Value::Integer(-1),
        Value::Integer(number) => Value::Integer(number.saturating_mul(factor)),
        other => other,
    }
}

fn compression(typed: &Typed<'_>) -> BrokerCompression {
    match typed.text("compression.type").as_str() {
        "uncompressed" => BrokerCompression::Uncompressed,
        "gzip" => BrokerCompression::Gzip { level: typed.i32("compression.gzip.level") },
        "snappy" => BrokerCompression::Snappy,
        "lz4" => BrokerCompression::Lz4 { level: typed.i32("compression.lz4.level") },
        "zstd" => BrokerCompression::Zstd { level: typed.i32("compression.zstd.level") },
        _ => BrokerCompression::Producer,
    }
}

fn timestamp_type(name: &str) -> TimestampType {
    match name {
        "LogAppendTime" => TimestampType::LogAppendTime,
        _ => TimestampType::CreateTime,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BrokerConfig, Flags};

    fn topic(file: &str, overrides: &[(&str, &str)]) -> TopicConfig {
        let (broker, _) = BrokerConfig::from_sources(Some(("f", file)), &[], &Flags::default()).unwrap();
        let owned = |(name, text): &(&str, &str)| (name.to_string(), text.to_string());
        broker.topic(&overrides.iter().map(owned).collect())
    }

    #[test]
    fn untouched_it_has_kafkas_defaults_but_flushes_every_record() {
        let config = topic("", &[]);
        assert_eq!(config.segment_bytes, 1_073_741_824);
        assert_eq!(config.segment_ms, 604_800_000);
        assert_eq!(config.retention_ms, Some(604_800_000));
        assert_eq!(config.retention_bytes, None);
        assert_eq!(config.flush_messages, 1);
        assert_eq!(config.flush_ms, i64::MAX);
        assert_eq!(config.max_message_bytes, 1_048_588);
        assert_eq!(config.compression, BrokerCompression::Producer);
        assert!(config.is_deleted && !config.is_compacted);
    }

    #[test]
    fn an_override_beats_the_brokers_value() {
        let file = "log.segment.bytes=2097152\nmin.insync.replicas=2";
        let config = topic(file, &[("segment.bytes", "1048576")]);
        assert_eq!(config.segment_bytes, 1_048_576);
        assert_eq!(config.min_insync_replicas, 2);
    }

    #[test]
    fn the_finest_unit_that_is_set_counts() {
        let file = "log.retention.hours=1\nlog.retention.minutes=1";
        assert_eq!(topic(file, &[]).retention_ms, Some(60_000));
        let file = "log.retention.minutes=1\nlog.retention.ms=7";
        assert_eq!(topic(file, &[]).retention_ms, Some(7));
        assert_eq!(topic("log.roll.hours=1", &[]).segment_ms, 3_600_000);
        assert_eq!(topic("log.flush.scheduler.interval.ms=9", &[]).flush_ms, 9);
    }

    #[test]
    fn any_negative_retention_is_for_ever() {
        assert_eq!(topic("log.retention.hours=-5", &[]).retention_ms, None);
        assert_eq!(topic("", &[("retention.ms", "-1")]).retention_ms, None);
        assert_eq!(topic("", &[("retention.bytes", "-7")]).retention_bytes, None);
    }

    #[test]
    fn compression_carries_its_level() {
        let lz4 = topic("", &[("compression.type", "lz4"), ("compression.lz4.level", "3")]);
        assert_eq!(lz4.compression, BrokerCompression::Lz4 { level: 3 });
        let gzip = topic("compression.type=gzip", &[]);
        assert_eq!(gzip.compression, BrokerCompression::Gzip { level: -1 });
    }

    #[test]
    fn cleanup_may_be_both_or_neither() {
        let both = topic("", &[("cleanup.policy", "compact, delete")]);
        assert!(both.is_compacted && both.is_deleted);
        let neither = topic("", &[("cleanup.policy", "")]);
        assert!(!neither.is_compacted && !neither.is_deleted);
    }

    #[test]
    fn an_override_that_does_not_parse_falls_back_to_the_broker() {
        let config = topic("log.segment.bytes=2097152", &[("segment.bytes", "x")]);
        assert_eq!(config.segment_bytes, 2_097_152);
    }
}
