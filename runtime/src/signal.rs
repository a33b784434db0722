//! The wish of the operator to end the process.

use crate::context::{self, Backend};
use crate::real;

/// Waits for SIGINT or SIGTERM; also for one that came before the call, once any shard has called this. A second
/// signal ends the process at once. In a simulation it waits for `sim::request_shutdown`.
pub async fn shutdown() {
    match context::current() {
        Backend::Real(_) => real::signals::shutdown().await,
        Backend::Sim(shard) => shard.shutdown_requested().await,
    }
}

/// The signal that let [`shutdown`] return in this process, for its exit code. Not part of any simulation.
pub fn received() -> Option<i32> {
    real::signals::received()
}
