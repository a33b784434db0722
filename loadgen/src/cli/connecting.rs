//! Options of connections that do little.

use std::time::Duration;

use clap::Args;

use super::timing::seconds;
use crate::settings::{ConnectionLoad, Settings};

#[derive(Args, Debug)]
#[command(next_help_heading = "Connections")]
pub struct Connecting {
    /// Connections to open
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Connections to open per second; the duration begins when all should be open
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    connect_rate: u64,
    /// Send a small request on each connection every so many seconds; idle unless told
    #[arg(long, value_name = "S", value_parser = seconds, conflicts_with = "slow_read")]
    every: Option<Duration>,
    /// Fetch --topic from its beginning and read only so many bytes per second on each connection
    #[arg(long, value_name = "B", requires = "topic", value_parser = clap::value_parser!(u32).range(1..))]
    slow_read: Option<u32>,
}

impl Connecting {
    pub fn apply(&self, settings: &mut Settings) -> Result<(), String> {
        if self.every == Some(Duration::ZERO) {
            return Err("--every is more than 0".to_owned());
        }
        let load = ConnectionLoad {
            connections: self.connections,
            per_second: self.connect_rate,
            every: self.every,
            read_bytes_per_s: self.slow_read,
        };
        settings.duration += load.opening();
        settings.connecting = load;
        Ok(())
    }
}
