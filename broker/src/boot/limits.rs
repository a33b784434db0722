//! How the broker divides memory and file descriptors between its clients, its logs and itself. Measures once, at the
//! start, before any shard.

use std::sync::Arc;

use crate::config::BrokerConfig;
use crate::net::{Limits, RequestBudget};

/// For requests, and for responses, as a part of the machine's memory. Half is for the page cache and all else.
const PART: u64 = 4;
/// Where the kernel does not say how much memory there is.
const ASSUMED_BYTES: u64 = 1 << 30;

/// What the broker itself has open: rings, listeners, directories, the metadata log.
const OWN_FILES: u64 = 48;
const OWN_FILES_OF_SHARD: u64 = 16;
/// Where the system says nothing.
const ASSUMED_FILES: u64 = 1024;
const FEWEST: usize = 16;

/// Log files that a shard may keep open: together half of all descriptors.
pub(super) fn log_files(shards: usize) -> usize {
    (size(files() / 2) / shards).max(FEWEST)
}

/// What is left beside logs and the broker itself. Without this bound a crowd of connections would take every
/// descriptor that a log has closed.
fn connections(shards: usize) -> usize {
    size((files() / 2).saturating_sub(OWN_FILES + OWN_FILES_OF_SHARD * shards as u64)).max(FEWEST)
}

fn files() -> u64 {
    kring_runtime::process::open_file_limit().unwrap_or(ASSUMED_FILES)
}

pub(super) fn of_clients(config: &BrokerConfig, shards: usize) -> Limits {
    let part = kring_runtime::process::memory_bytes().unwrap_or(ASSUMED_BYTES) / PART;
    let requests = config.requests.queued_max_bytes.unwrap_or(part);
    let responses = config.requests.unsent_max_bytes.unwrap_or(part);
    Limits {
        admission: Arc::default(),
        connections: connections(shards),
        // One of any size always passes.
        requests: RequestBudget::new(size(requests.max(config.sockets.request_max_bytes.into())), shards),
        // Two readers must not end each other by turns.
        unsent_bytes: (size(responses) / shards).max(2 * config.requests.fetch_max_bytes as usize),
    }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
