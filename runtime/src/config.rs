//! How many shards, where they run, and how they are guarded. Values only.

use std::time::Duration;

/// Where the shards run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardPlacement {
    /// Each shard pinned to one CPU of the process's affinity mask; with more shards than CPUs they take turns.
    AllowedCpus,
    /// Each shard pinned to one of these CPUs, in this order, cycling.
    Cpus(Vec<usize>),
    /// Wherever the kernel puts them.
    Unpinned,
}

/// The guard against stuck shards.
#[derive(Clone, Debug)]
pub struct WatchdogConfig {
    /// A shard that makes no progress for this long is counted and logged; shards are looked at four times as often.
    pub warn_after: Duration,
    /// A shard that makes no progress for this long ends the process; never, when absent.
    pub abort_after: Option<Duration>,
}

/// What [`crate::run`] needs to know.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// How many shards; as many as the process has CPUs when absent.
    pub shards: Option<usize>,
    pub placement: ShardPlacement,
    /// How long an idle shard spins before it sleeps: trades CPU for latency between shards. Pinned shards only.
    pub spin: Duration,
    /// Longest time a task queue runs before the others get their turn.
    pub preempt: Duration,
    /// Entries of each io_uring submission queue.
    pub ring_depth: usize,
    /// Pinned buffer memory per shard, in bytes; less is taken where the locked-memory limit is low.
    pub io_memory: usize,
    pub watchdog: WatchdogConfig,
    /// Whether executors park on top of runnable tasks, as those of glommio 0.9.0 do, for the whole process. Only to
    /// show that the tests notice it.
    pub park_when_preempted: bool,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            shards: None,
            placement: ShardPlacement::AllowedCpus,
            spin: Duration::ZERO,
            preempt: Duration::from_millis(2),
            ring_depth: 1024,
            io_memory: 1 << 20,
            watchdog: WatchdogConfig::default(),
            park_when_preempted: false,
        }
    }
}

impl RuntimeConfig {
    /// The default with this many shards.
    pub fn with_shards(shards: usize) -> Self {
        Self { shards: Some(shards), ..Self::default() }
    }

    /// How many shards will run.
    pub fn shard_count(&self) -> usize {
        self.shards.unwrap_or_else(|| match &self.placement {
            ShardPlacement::Cpus(cpus) => cpus.len(),
            ShardPlacement::AllowedCpus | ShardPlacement::Unpinned => crate::process::cpus().len(),
        })
    }
}
