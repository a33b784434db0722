//! Which backend and which shard the current thread is running. Set by the executors alone.
//! Every type of the crate finds its backend here, so that no caller passes one around.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use crate::real::shard::RealShard;
use crate::sim::SimShard;

/// Index of a shard: one core and what it owns. Counted from zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ShardId(pub u16);

impl ShardId {
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[derive(Clone)]
pub(crate) enum Backend {
    Real(Rc<RealShard>),
    Sim(Rc<SimShard>),
}

thread_local! {
    static CURRENT: RefCell<Option<Backend>> = const { RefCell::new(None) };
}

pub(crate) fn with<R>(f: impl FnOnce(Option<&Backend>) -> R) -> R {
    CURRENT.with(|current| f(current.borrow().as_ref()))
}

/// The backend of the running shard. Panics off the shards: that is a bug of the caller.
pub(crate) fn current() -> Backend {
    with(|backend| backend.cloned()).expect("this is only possible on a shard")
}

pub(crate) fn set(backend: Option<Backend>) -> Option<Backend> {
    CURRENT.with(|current| current.replace(backend))
}

/// Whether the calling thread is running a shard.
pub fn on_shard() -> bool {
    with(|backend| backend.is_some())
}

/// The shard that is running. Panics off the shards.
pub fn shard_id() -> ShardId {
    match current() {
        Backend::Real(shard) => shard.id,
        Backend::Sim(shard) => shard.id,
    }
}

/// How many shards were started with this one. Panics off the shards.
pub fn shard_count() -> usize {
    match current() {
        Backend::Real(shard) => shard.count,
        Backend::Sim(shard) => shard.count,
    }
}
