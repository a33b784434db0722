//! Options of a consumer group.

use std::time::Duration;

use clap::Args;

use super::timing::seconds;
use crate::settings::{GroupLoad, Settings};

#[derive(Args, Debug)]
#[command(next_help_heading = "Group")]
pub struct Grouping {
    /// The group; a new one for each run unless told
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Members of the group
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    members: u32,
    /// Seconds between changes: the last member leaves, and comes back at the next change
    #[arg(long, value_name = "S", default_value = "5", value_parser = seconds)]
    change_every: Duration,
    /// Milliseconds between heartbeats, by which members learn that others came or left
    #[arg(long, value_name = "MS", default_value_t = 3000, value_parser = clap::value_parser!(u32).range(10..=600_000))]
    heartbeat_ms: u32,
    /// Milliseconds after which a silent member is out of the group
    #[arg(long, value_name = "MS", default_value_t = 45_000, value_parser = clap::value_parser!(i32).range(1..))]
    session_ms: i32,
    /// Milliseconds between the commits of each member
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    commit_ms: u32,
}

/// What members may take to join again: `max.poll.interval.ms` of Kafka's consumer.
const REBALANCE_MS: i32 = 300_000;

impl Grouping {
    pub fn apply(&self, settings: &mut Settings) -> Result<(), String> {
        if self.change_every < Duration::from_millis(10) {
            return Err("--change-every is at least 0.01".to_owned());
        }
        settings.group = GroupLoad {
            name: self.group.clone().unwrap_or_default(),
            members: self.members,
            change_every: self.change_every,
            heartbeat_every: Duration::from_millis(u64::from(self.heartbeat_ms)),
            commit_every: Duration::from_millis(u64::from(self.commit_ms)),
            session_ms: self.session_ms,
            rebalance_ms: REBALANCE_MS,
        };
        Ok(())
    }
}
