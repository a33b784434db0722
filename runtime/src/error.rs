//! Why the runtime could not start, in sentences that tell an operator what to do.
//! It never carries a failed file or socket operation: those are `std::io::Error` where they happen.

use std::fmt;
use std::io;

/// A shard could not start, or one of them died. `Display` is one sentence that says what to do.
#[derive(Debug)]
pub enum RuntimeError {
    /// The kernel has no io_uring at all (ENOSYS), or hides it.
    IoUringMissing,
    /// The kernel has io_uring but refuses it to this process (EPERM or EACCES).
    IoUringForbidden,
    /// io_uring exists, but a ring could not be made.
    IoUringSetup(io::Error),
    /// The kernel is older than the oldest that works.
    KernelTooOld { release: String },
    /// The locked-memory limit is below what a shard's rings need.
    MemlockTooLow { limit_bytes: u64, needed_bytes: u64 },
    /// The open-files limit leaves no room for the shards' own descriptors.
    OpenFilesTooLow { limit: u64, needed: u64 },
    /// The process may run on no CPU, or the configuration asks for none.
    NoShards,
    /// The configuration pins a shard to a CPU on which the process may not run.
    CpuNotAllowed { cpu: usize },
    /// A shard's executor could not be built.
    ShardStart { shard: u16, reason: String },
    /// A shard ended by a panic; the panic's message.
    ShardPanicked { shard: u16, message: String },
}

impl fmt::Display for RuntimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IoUringMissing => f.write_str(
                "this kernel offers no io_uring: use Linux 5.11 or newer, and a container runtime that does not hide it",
            ),
            Self::IoUringForbidden => f.write_str(
                "io_uring is forbidden here: set the sysctl kernel.io_uring_disabled to 0, or start the container with a seccomp profile that allows io_uring_setup, io_uring_enter and io_uring_register",
            ),
            Self::IoUringSetup(e) => write!(f, "io_uring could not be set up ({e}): raise the memory limit of this process or container"),
            Self::KernelTooOld { release } => write!(f, "the kernel {release} is too old: use Linux 5.11 or newer"),
            Self::MemlockTooLow { limit_bytes, needed_bytes } => write!(
                f,
                "the limit on locked memory is {limit_bytes} bytes and {needed_bytes} are needed: raise it with `ulimit -l` or LimitMEMLOCK="
            ),
            Self::OpenFilesTooLow { limit, needed } => write!(
                f,
                "the limit on open files is {limit} and at least {needed} are needed: raise it with `ulimit -n` or LimitNOFILE="
            ),
            Self::NoShards => f.write_str("no CPU is available for a shard: allow this process at least one CPU"),
            Self::CpuNotAllowed { cpu } => {
                write!(f, "this process may not run on CPU {cpu}: choose CPUs from its affinity mask (see `taskset -p`)")
            }
            Self::ShardStart { shard, reason } => write!(f, "shard {shard} could not start: {reason}"),
            Self::ShardPanicked { shard, message } => write!(f, "shard {shard} died of a bug: {message}"),
        }
    }
}

impl std::error::Error for RuntimeError {}
