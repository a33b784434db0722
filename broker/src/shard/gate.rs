//! The one thing that the shards of a single fetch share: how many bytes they have found so far.
//! It opens when the request's minimum is reached or an error must be told at once; never closes again.
//! Crosses cores: an atomic counter and an event.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kring_runtime::channel::Event;

/// Shared by the commands of one fetch request.
pub struct FetchGate {
    wanted_bytes: u64,
    found_bytes: AtomicU64,
    open: AtomicBool,
    event: Event,
}

impl FetchGate {
    /// A gate that opens at `min_bytes`; at 0 it is open from the start.
    pub fn new(min_bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            wanted_bytes: min_bytes,
            found_bytes: AtomicU64::new(0),
            open: AtomicBool::new(min_bytes == 0),
            event: Event::new(),
        })
    }

    /// Whether one shard that has found this many would leave the gate shut.
    pub fn wants_more_than(&self, bytes: u64) -> bool {
        bytes < self.wanted_bytes
    }

    /// Adds bytes that one shard has found and did not report before.
    pub fn found(&self, bytes: u64) {
        // The counter guards nothing but itself, and `open` below publishes the decision.
        let before = self.found_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes >= self.wanted_bytes {
            self.open();
        }
    }

    /// Lets every shard answer now.
    pub fn open(&self) {
        if !self.open.swap(true, Ordering::Release) {
            self.event.notify_all();
        }
    }

    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Resolves once the gate is open.
    pub async fn opened(&self) {
        while !self.is_open() {
            let listener = self.event.listen();
            if self.is_open() {
                return;
            }
            listener.await;
        }
    }
}

/// Opens a gate when the fetch is answered or given up, so that nobody stays parked for a client that has gone.
pub struct OpenOnDrop(pub Arc<FetchGate>);

impl Drop for OpenOnDrop {
    fn drop(&mut self) {
        self.0.open();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_opens_when_the_asker_goes() {
        let gate = FetchGate::new(100);
        drop(OpenOnDrop(gate.clone()));
        assert!(gate.is_open());
    }

    #[test]
    fn the_gate_opens_at_the_sum_of_what_the_shards_found() {
        let gate = FetchGate::new(100);
        gate.found(60);
        assert!(!gate.is_open());
        gate.found(40);
        assert!(gate.is_open());
    }

    #[test]
    fn a_fetch_that_wants_no_bytes_never_waits() {
        assert!(FetchGate::new(0).is_open());
    }
}
