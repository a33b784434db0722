//! What a group coordinator is told by the configuration; values only, on any shard.

use crate::config::BrokerConfig;

/// Properties of the group coordinator, in milliseconds and bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// `group.min.session.timeout.ms`
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`
    pub max_session_timeout_ms: i32,
    /// `group.initial.rebalance.delay.ms`
    pub initial_rebalance_delay_ms: i32,
    /// `group.max.size`
    pub max_size: usize,
    /// `offset.metadata.max.bytes`; Kafka counts UTF-16 code units, and so do we.
    pub offset_metadata_max_bytes: usize,
    /// `offsets.retention.minutes`
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`
    pub offsets_retention_check_interval_ms: i64,
    /// How long a JoinGroup of a member without a session may stay parked; fixed in Kafka too.
    pub new_member_join_timeout_ms: i32,
    /// Groups in one partition; Kafka knows no limit.
    pub max_groups: usize,
    /// Member ids given out in one group and not yet used (KIP-394); Kafka knows no limit.
    pub max_pending_members: usize,
}

impl Default for GroupSettings {
    fn default() -> Self {
        GroupSettings {
            min_session_timeout_ms: 6_000,
            max_session_timeout_ms: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            max_size: i32::MAX as usize,
            offset_metadata_max_bytes: 4_096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1_000,
            offsets_retention_check_interval_ms: 600_000,
            new_member_join_timeout_ms: 5 * 60 * 1_000,
            max_groups: 1_000_000,
            max_pending_members: 10_000,
        }
    }
}

impl From<&BrokerConfig> for GroupSettings {
    fn from(config: &BrokerConfig) -> Self {
        let (groups, offsets) = (&config.classic_groups, &config.offsets);
        GroupSettings {
            min_session_timeout_ms: groups.min_session_timeout_ms,
            max_session_timeout_ms: groups.max_session_timeout_ms,
            initial_rebalance_delay_ms: groups.initial_rebalance_delay_ms,
            max_size: groups.max_size as usize,
            offset_metadata_max_bytes: offsets.metadata_max_bytes.unsigned_abs() as usize,
            offsets_retention_ms: offsets.retention_ms,
            offsets_retention_check_interval_ms: offsets.retention_check_ms,
            ..GroupSettings::default()
        }
    }
}
