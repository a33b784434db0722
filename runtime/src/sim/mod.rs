//! The simulation: the same code on one thread, with a virtual clock, a seeded order of everything, a disk that
//! forgets what was not synced, and a network that is slow in its own way.
//!
//! One seed gives one run, always. Time stands still while tasks run, apart from a little per poll, and jumps to the
//! next timer when none can. When no task can run and no timer is set, the run is a deadlock, and the tasks that wait
//! are named.
//!
//! ```text
//!                       run ends, all mains returned
//!            ┌──────────────────────────────────────────────┐
//!  Sim::new ─┴─► run ─► crash (or crash_at) ─► disk forgets ─┴─► run again, on the disk as it is
//! ```

pub(crate) mod disk;
mod faults;
mod file;
mod image;
pub(crate) mod mapped;
mod names;
pub(crate) mod net;
mod rng;
mod world;

use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use crate::context::{self, Backend, ShardId};
use crate::time::Monotonic;

pub use disk::{Disk, DiskOp};
pub use faults::{DiskFaults, Grain};
pub(crate) use world::{SimShard, sleep_until};
use world::{Stop, World};

/// What a simulation starts from.
#[derive(Clone, Debug)]
pub struct SimConfig {
    pub seed: u64,
    pub shards: usize,
    /// Polls after which a run counts as endless.
    pub max_polls: u64,
    /// Virtual time after which a run counts as endless.
    pub max_time: Duration,
    /// Size of the simulated disk in bytes.
    pub disk_bytes: u64,
    /// What the wall clock says at the start.
    pub wall_start_ms: i64,
}

impl SimConfig {
    pub fn new(seed: u64, shards: usize) -> Self {
        Self {
            seed,
            shards,
            max_polls: 20_000_000,
            max_time: Duration::from_secs(24 * 3600),
            disk_bytes: u64::MAX,
            wall_start_ms: 1_790_000_000_000,
        }
    }

    /// The seed of the environment variable `KRING_SEED` if it is set, otherwise this one.
    pub fn with_seed_from_env(mut self) -> Self {
        if let Some(seed) = std::env::var("KRING_SEED").ok().and_then(|text| text.parse().ok()) {
            self.seed = seed;
        }
        self
    }
}

/// Why a simulated run gave no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SimError {
    /// Nothing can run and no timer is set; the tasks that wait, each with where it was spawned.
    Deadlock { seed: u64, waiting: Vec<String> },
    /// More polls or more virtual time than the configuration allows.
    Endless { seed: u64, polls: u64 },
    /// [`run`] was used for a run that crashed; use [`Sim::run`].
    Crashed { seed: u64 },
}

impl fmt::Display for SimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadlock { seed, waiting } => {
                write!(f, "seed {seed}: nothing can run, and these wait for ever: {}", waiting.join(", "))
            }
            Self::Endless { seed, polls } => write!(f, "seed {seed}: no end after {polls} polls"),
            Self::Crashed { seed } => write!(f, "seed {seed}: the run crashed as it was asked to"),
        }
    }
}

impl std::error::Error for SimError {}

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub enum RunEnd<T> {
    /// Every main returned; their results in the order of the shards.
    Finished(Vec<T>),
    /// All tasks are gone, and the disk holds what a power cut would have left.
    Crashed,
}

impl<T> RunEnd<T> {
    /// The results; panics when the run crashed.
    pub fn finished(self) -> Vec<T> {
        match self {
            Self::Finished(values) => values,
            Self::Crashed => panic!("the run crashed"),
        }
    }
}

/// One simulated machine: its clock, its randomness and its disk live on from run to run.
pub struct Sim {
    world: Rc<World>,
}

impl Sim {
    pub fn new(config: SimConfig) -> Self {
        Self { world: World::new(config) }
    }

    /// Boots: runs `f` on every shard until all have returned, or until a crash.
    pub fn run<F, Fut, T>(&self, f: F) -> Result<RunEnd<T>, SimError>
    where
        F: Fn(ShardId) -> Fut,
        Fut: Future<Output = T> + 'static,
        T: 'static,
    {
        assert!(!context::on_shard(), "a simulation does not run inside a shard");
        let _leave = world::LeaveMachine(self.world.seed());
        world::boot(&self.world, f)
    }

    /// Lets the next run crash at this time, if it is still going.
    pub fn crash_at(&self, time: Monotonic) {
        self.world.stop_at(time);
    }

    pub fn now(&self) -> Monotonic {
        self.world.now()
    }

    /// The disk, for injecting failures and for looking at what is durable.
    pub fn disk(&self) -> Disk {
        self.world.disk()
    }

    pub fn seed(&self) -> u64 {
        self.world.seed()
    }
}

/// Runs `f` once on a fresh simulated machine.
pub fn run<F, Fut, T>(config: SimConfig, f: F) -> Result<Vec<T>, SimError>
where
    F: Fn(ShardId) -> Fut,
    Fut: Future<Output = T> + 'static,
    T: 'static,
{
    let seed = config.seed;
    match Sim::new(config).run(f)? {
        RunEnd::Finished(values) => Ok(values),
        RunEnd::Crashed => Err(SimError::Crashed { seed }),
    }
}

fn current() -> Rc<SimShard> {
    match context::current() {
        Backend::Sim(shard) => shard,
        Backend::Real(_) => panic!("this is only possible in a simulation"),
    }
}

/// Whether the caller runs in a simulation.
pub fn is_simulated() -> bool {
    context::with(|backend| matches!(backend, Some(Backend::Sim(_))))
}

/// Cuts the power of the machine: no task is polled again. Never returns.
pub async fn crash() -> ! {
    current().world().stop(Stop::Crash);
    std::future::pending().await
}

/// Lets [`crate::signal::shutdown`] return on every shard.
pub fn request_shutdown() {
    current().world().request_shutdown();
}

/// The disk of the running simulation.
pub fn disk() -> Disk {
    current().world().disk()
}
