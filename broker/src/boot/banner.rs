//! The few lines that greet a person, and the ready file. Never logs.

use std::io::Write;
use std::path::Path;

use kring_runtime::fs;

use super::listen::Bound;
use super::{BootError, Plan};
use crate::config::BrokerConfig;

/// Says where the broker listens, where its data is, on which cores it runs, and how to try it.
pub(super) fn greet(plan: &Plan, program: &str, bound: &[Bound], shards: usize, started_in_ms: u64) {
    let text = lines(plan, program, bound, shards, started_in_ms);
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        tracing::debug!("standard output is closed");
    }
}

fn lines(plan: &Plan, program: &str, bound: &[Bound], shards: usize, started_in_ms: u64) -> String {
    let config = &plan.config;
    let version = env!("CARGO_PKG_VERSION");
    let first =
        bound.iter().find_map(|b| b.advertised.as_ref()).map_or_else(String::new, ToString::to_string);
    let server = if first == "localhost:9092" { String::new() } else { format!(" --server {first}") };
    format!(
        "Kring {version} is ready ({started_in_ms} ms)\n  \
           listening  {}\n  \
           data       {}\n  \
           shards     {}\n  \
           durability {}\n  \
           try it     echo hello | {program} produce greetings{server}\n             \
                      {program} consume greetings --from-beginning{server}\n",
        listening(bound),
        data(config),
        shard_text(&plan.cpus, shards),
        durability(config),
    )
}

fn listening(bound: &[Bound]) -> String {
    let one = |b: &Bound| {
        let addresses: Vec<String> = b.addresses.iter().map(ToString::to_string).collect();
        format!("{} on {}", b.name, addresses.join(" and "))
    };
    bound.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn data(config: &BrokerConfig) -> String {
    config.dirs.logs.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn shard_text(cpus: &[usize], shards: usize) -> String {
    let names: Vec<String> = (0..shards).map(|shard| cpus[shard % cpus.len().max(1)].to_string()).collect();
    let cores = if shards == 1 { "core" } else { "cores" };
    format!("{shards}, on {cores} {}", names.join(", "))
}

fn durability(config: &BrokerConfig) -> &'static str {
    if config.topic_defaults.flush_messages == 1 {
        "acks=all is answered when the records are on disk"
    } else {
        "acks=all is answered when the records are in the page cache (log.flush.interval.messages)"
    }
}

/// One `NAME host:port` a line.
pub(super) async fn write_ready_file(path: &Path, bound: &[Bound]) -> Result<(), BootError> {
    let pairs =
        bound.iter().flat_map(|b| b.addresses.iter().map(move |address| format!("{} {address}\n", b.name)));
    let text: String = pairs.collect();
    let written = fs::write_atomic(path, text.as_bytes()).await;
    written.map_err(|error| BootError::ReadyFile { path: path.display().to_string(), error })
}
