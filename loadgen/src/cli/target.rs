//! Options that say which broker and which topic.

use std::time::Duration;

use clap::Args;

use super::timing::some_time;
use crate::settings::Settings;

#[derive(Args, Debug)]
#[command(next_help_heading = "Broker and topic")]
pub struct Target {
    /// Any broker of the cluster
    #[arg(long, alias = "bootstrap-server", value_name = "HOST:PORT", default_value = "localhost:9092")]
    server: String,
    /// The topic
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub topic: String,
    /// Topics: above 1 they are called NAME-0 to NAME-(N-1), and share the load
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    topics: u32,
    /// Make each topic with this many partitions when it is not there
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    #[command(flatten)]
    patience: Patience,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Broker and topic")]
pub struct Patience {
    /// Seconds until a request without an answer has failed, with all else in flight on its connection
    #[arg(long, value_name = "S", default_value = "30", value_parser = some_time)]
    request_timeout: Duration,
}

impl Target {
    /// A topic that is there.
    pub fn new(server: String, topic: String, patience: Patience) -> Target {
        Target { server, topic, topics: 1, partitions: None, patience }
    }

    pub fn apply(&self, settings: &mut Settings) -> Result<(), String> {
        let (host, port) = self.server.rsplit_once(':').unwrap_or((&self.server, "9092"));
        settings.port = port.parse().map_err(|_| format!("{} is not HOST:PORT", self.server))?;
        settings.host = host.trim_matches(['[', ']']).to_owned();
        settings.topics = self.topics;
        settings.partitions = self.partitions;
        settings.request_timeout = self.patience.request_timeout;
        Ok(())
    }
}
