//! From a configuration to running shards, and back down. Serves no request itself.
//! `start` runs on the main thread; everything else on the shards, the common parts on the first.

mod banner;
mod dirs;
mod error;
mod limits;
mod listen;
mod node;
mod stages;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;

use kring_runtime::{RuntimeConfig, ShardId};

pub use error::BootError;

use crate::config::BrokerConfig;
pub use stages::Stages;

/// What a start needs to know.
pub struct Plan {
    pub config: BrokerConfig,
    /// The bound addresses are written here once connections are accepted.
    pub ready_file: Option<PathBuf>,
    /// The CPUs of this process, asked before any shard is pinned to one.
    pub cpus: Vec<usize>,
    /// How this program was called, for the lines that greet a person; `None` prints none.
    pub greet: Option<String>,
}

/// Runs a broker until it is told to stop, and closes it cleanly.
pub fn start(plan: Plan) -> Result<(), BootError> {
    let runtime = RuntimeConfig { shards: plan.config.node.shards, ..RuntimeConfig::default() };
    kring_runtime::preflight(runtime.shard_count())?;
    let stages = Stages::new(plan, runtime.shard_count());
    let results = kring_runtime::run(&runtime, move |shard| run_shard(stages.clone(), shard))?;
    cause(results).map_or(Ok(()), Err)
}

/// The error that says why, rather than one that says that another shard has it.
fn cause(results: Vec<Result<(), BootError>>) -> Option<BootError> {
    let mut errors: Vec<BootError> = results.into_iter().filter_map(Result::err).collect();
    let told = errors.iter().position(|error| !matches!(error, BootError::Elsewhere)).unwrap_or(0);
    (told < errors.len()).then(|| errors.swap_remove(told))
}

/// One shard's life, on the real backend and in a simulation.
pub async fn run_shard(stages: Arc<Stages>, shard: ShardId) -> Result<(), BootError> {
    node::run(stages, shard).await
}

/// What the shards of one broker share, for whoever runs them on the simulated backend.
pub fn stages(plan: Plan, shards: usize) -> Arc<Stages> {
    Stages::new(plan, shards)
}
