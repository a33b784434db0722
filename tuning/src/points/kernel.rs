//! Whether the kernel lets the broker run, and how well it serves it.

use crate::finding::{Finding, Verdict, Who};
use crate::host::Attempt;
use crate::look::Look;
use crate::text;

/// The oldest kernel that the broker starts on, as its runtime checks it.
const OLDEST: (u32, u32) = (5, 11);
/// The first with `cachestat(2)`.
const CACHESTAT: (u32, u32) = (6, 5);
const SWITCH: &str = "/proc/sys/kernel/io_uring_disabled";

pub(super) fn points(look: &Look<'_>) -> Vec<Finding> {
    vec![io_uring(look), version(look), aio(look)]
}

fn io_uring(look: &Look<'_>) -> Finding {
    let switch = text::number(look.host, SWITCH);
    let finding = match (look.host.try_io_uring(), switch) {
        (Attempt::Works, Some(1)) => only_for_a_group(look),
        (Attempt::Works, _) => ring(Verdict::Good, "allowed: one was set up"),
        (Attempt::Missing, _) => ring(Verdict::Stops, "this kernel has none")
            .by(Who::Boot, "use a kernel with io_uring, or a container runtime that does not hide it"),
        (Attempt::Forbidden, Some(1 | 2)) | (Attempt::Untried, Some(2)) => {
            ring(Verdict::Stops, "refused by kernel.io_uring_disabled").settings(look.settings(SWITCH, "0"))
        }
        (Attempt::Forbidden, _) => ring(Verdict::Stops, "refused, though no sysctl forbids it").by(
            Who::Service,
            "start it with a seccomp profile that allows io_uring_setup, io_uring_enter and io_uring_register",
        ),
        (Attempt::Failed(error), _) => ring(Verdict::Stops, error).by(Who::Service, "see the message"),
        (Attempt::Untried, Some(1)) => only_for_a_group(look),
        (Attempt::Untried, Some(_)) => ring(Verdict::Good, "allowed"),
        (Attempt::Untried, None) => ring(Verdict::Unknown, "this kernel has no switch for it"),
    };
    finding
        .wanted("allowed (kernel.io_uring_disabled=0)")
        .why("every read, write, flush and wait of the broker goes through it; it does not start without")
        .cost("the kernel's attack surface is that of io_uring for every process")
}

fn ring(verdict: Verdict, found: impl Into<String>) -> Finding {
    Finding::new("io_uring", verdict, found)
}

fn only_for_a_group(look: &Look<'_>) -> Finding {
    let group = text::word(look.host, "/proc/sys/kernel/io_uring_group").unwrap_or_default();
    ring(Verdict::Tune, format!("allowed for root and for group {group} (kernel.io_uring_group) only"))
        .by(Who::Operator, "run the broker in that group, or set kernel.io_uring_disabled=0")
}

fn version(look: &Look<'_>) -> Finding {
    let Some(kernel) = look.kernel() else { return Finding::unknown("kernel") };
    let verdict = match kernel {
        old if old < OLDEST => Verdict::Stops,
        old if old < CACHESTAT => Verdict::Tune,
        _ => Verdict::Good,
    };
    let release = text::word(look.host, "/proc/sys/kernel/osrelease").unwrap_or_default();
    Finding::new("kernel", verdict, release)
        .wanted("6.5 or newer; 5.11 at least")
        .why("from 6.5 on cachestat(2) tells whether all of a range is cached before sendfile sends it; before, a hole in the middle makes a shard wait for the disk")
        .cost("a new kernel and a boot")
        .by(Who::Boot, "install a newer kernel")
}

fn aio(look: &Look<'_>) -> Finding {
    let limit = text::number(look.host, "/proc/sys/fs/aio-max-nr");
    let found = limit.map_or_else(String::new, |limit| format!("fs.aio-max-nr={limit}; "));
    Finding::new(
        "aio limits",
        Verdict::Irrelevant,
        format!("{found}Kring uses io_uring, which they do not bound"),
    )
}
