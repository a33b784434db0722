//! Resource limits of the process: raised where that needs no rights, and named where they are too low.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::RuntimeError;

/// What glommio refuses to start below.
const MIN_MEMLOCK: u64 = 512 * 1024;
/// Descriptors of one shard itself: three rings, event descriptors, listeners.
const FILES_PER_SHARD: u64 = 16;
const FILES_BASE: u64 = 64;

/// Raises the soft limit on open files to the hard one. Returns the limit that holds; absent means unlimited.
pub(crate) fn raise_open_files() -> Option<u64> {
    raise(Resource::Nofile)
}

fn raise(resource: Resource) -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(resource);
    if current == maximum {
        return current;
    }
    match setrlimit(resource, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        // Not being allowed to raise it leaves the limit that was there, which the callers judge.
        Err(_) => current,
    }
}

pub(crate) fn check(shards: usize) -> Result<(), RuntimeError> {
    let needed = FILES_BASE + FILES_PER_SHARD * shards as u64;
    match raise_open_files() {
        Some(limit) if limit < needed => return Err(RuntimeError::OpenFilesTooLow { limit, needed }),
        _ => {}
    }
    match raise(Resource::Memlock) {
        Some(limit_bytes) if limit_bytes < MIN_MEMLOCK => {
            Err(RuntimeError::MemlockTooLow { limit_bytes, needed_bytes: MIN_MEMLOCK })
        }
        _ => Ok(()),
    }
}

/// Each executor pins its buffer memory three times, once per ring. Half of the limit is left for everything else.
pub(crate) fn io_memory_per_shard(wanted: usize, shards: usize) -> usize {
    let Some(limit) = getrlimit(Resource::Memlock).current else { return wanted };
    let share = usize::try_from(limit / 2).unwrap_or(usize::MAX) / (3 * shards.max(1));
    (wanted.min(share) & !4095).max(64 * 1024)
}
