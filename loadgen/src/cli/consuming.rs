//! Options of consumers.

use clap::Args;

use crate::settings::Settings;

#[derive(Args, Debug)]
#[command(next_help_heading = "Consumers")]
pub struct Consuming {
    /// Consumers, each with its own partitions and connections
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    consumers: u32,
    /// Bytes of a partition in one answer at most
    #[arg(long, value_name = "B", default_value_t = 1 << 20)]
    fetch_bytes: i32,
}

impl Consuming {
    pub fn apply(&self, settings: &mut Settings) {
        settings.consumers = self.consumers;
        settings.fetch_bytes = self.fetch_bytes;
    }
}

/// Of `mixed`, beside what producers and followers have.
#[derive(Args, Debug)]
#[command(next_help_heading = "Consumers")]
pub struct History {
    /// Consumers that read the topics from their beginning, again and again, until the producers are done
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    history_readers: u32,
}

impl History {
    pub fn apply(&self, settings: &mut Settings) {
        settings.history_readers = self.history_readers;
    }
}
