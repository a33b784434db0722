//! The runtime of Kring's shards: one executor per core, its clock, files, sockets, channels and randomness.
//!
//! The only crate that names glommio. Every type has two backends behind it, the real one and a deterministic
//! simulation on one thread with a virtual clock ([`sim`]); which of them is used is a property of the executor that runs
//! the caller, so nothing above this crate is generic over it. It knows nothing of Kafka.
//!
//! What runs where: everything here runs on the shard that calls it, unless its documentation says otherwise.

mod config;
mod context;
mod error;
mod forward;
mod real;
mod resubmit;
mod rng;
mod task;
mod time;
mod upcoming;

pub mod cgroup;
pub mod channel;
pub mod disk;
pub mod fs;
pub mod host;
pub mod local;
pub mod mapped;
pub mod net;
pub mod process;
pub mod signal;
pub mod sim;

use std::future::Future;

pub use config::{RuntimeConfig, ShardPlacement, WatchdogConfig};
pub use context::{ShardId, on_shard, shard_count, shard_id};
pub use error::RuntimeError;
pub use real::watchdog::stalls;
pub use rng::{fill_random, random_below, random_u64};
pub use task::{Queue, Task, spawn, yield_if_needed, yield_now};
pub use time::{Interval, Monotonic, TimedOut, now, retry, sleep, sleep_until, timeout, timeout_at, wall_ms};
pub use upcoming::Upcoming;

/// Runs `f` on every shard and waits until all have ended; their results come in the order of the shards.
///
/// When a shard's main has returned, its remaining tasks are cancelled, and disk writes in flight are awaited. When a
/// shard panics, the others are cancelled and the panic is returned as an error.
pub fn run<F, Fut, T>(config: &RuntimeConfig, f: F) -> Result<Vec<T>, RuntimeError>
where
    F: Fn(ShardId) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = T> + 'static,
    T: Send + 'static,
{
    real::executor::run(config, f)
}

/// Whether this many shards can run here: asks the kernel, raises the limits that may be raised.
pub fn preflight(shards: usize) -> Result<(), RuntimeError> {
    real::preflight::check(shards)
}

/// Runs `f` where it may block, and waits for it. A panic inside is raised again here. In a simulation it runs here.
pub async fn blocking<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
    match context::current() {
        context::Backend::Real(_) => real::blocking::run(f).await,
        context::Backend::Sim(_) => {
            yield_now().await;
            f()
        }
    }
}
