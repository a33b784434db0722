//! How much memory of the machine the broker lets its clients take. Measures once, at the start, before any shard.

use std::sync::Arc;

use crate::config::BrokerConfig;
use crate::net::{Limits, RequestBudget};

/// For requests, and for responses, as a part of the machine's memory. Half is for the page cache and all else.
const PART: u64 = 4;
/// Where the kernel does not say how much memory there is.
const ASSUMED_BYTES: u64 = 1 << 30;

pub(super) fn limits(config: &BrokerConfig, shards: usize) -> Limits {
    let part = kring_runtime::process::memory_bytes().unwrap_or(ASSUMED_BYTES) / PART;
    let requests = config.requests.queued_max_bytes.unwrap_or(part);
    let responses = config.requests.unsent_max_bytes.unwrap_or(part);
    Limits {
        admission: Arc::default(),
        // One of any size always passes.
        requests: RequestBudget::new(size(requests.max(config.sockets.request_max_bytes.into())), shards),
        // Two readers must not end each other by turns.
        unsent_bytes: (size(responses) / shards).max(2 * config.requests.fetch_max_bytes as usize),
    }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
