//! Resource limits. The broker raises the soft ones to the hard ones at its start, so the hard ones are judged.

use crate::finding::{Finding, Verdict, Who};
use crate::look::Look;
use crate::text;

/// Below this no executor starts.
const LEAST_MEMLOCK: u64 = 512 << 10;
/// Of each ring of a shard, when there is room for it.
const RING_MEMORY: u64 = 1 << 20;
const RINGS: u64 = 3;
/// What the runtime needs itself, as its own check has it.
const FILES_BASE: u64 = 64;
const FILES_PER_SHARD: u64 = 16;
/// What the broker keeps for itself beside that, of the half that is not for logs.
const OWN_FILES: u64 = 48;
pub(crate) const WANTED_FILES: u64 = 65_536;

pub(super) fn points(look: &Look<'_>) -> Vec<Finding> {
    vec![locked_memory(look), open_files(look)]
}

/// All rings of all shards, twice: the runtime leaves half of the limit to others.
pub(crate) fn wanted_memlock(shards: usize) -> u64 {
    2 * RINGS * RING_MEMORY * shards as u64
}

fn locked_memory(look: &Look<'_>) -> Finding {
    let Some(limit) = hard(look, "Max locked memory") else { return Finding::unknown("locked memory") };
    let wanted = wanted_memlock(look.shards());
    let verdict = judge(limit, LEAST_MEMLOCK, wanted);
    let each = limit / 2 / (RINGS * look.shards() as u64) / 4096 * 4096;
    let found = match verdict {
        Verdict::Tune => format!("{}: {} for each ring instead of 1 MiB", size(limit), text::bytes(each)),
        _ => size(limit),
    };
    Finding::new("locked memory", verdict, found)
        .wanted(format!("{} for {}", text::bytes(wanted), text::count(look.shards(), "shard")))
        .why("each shard registers its buffers with each of its three rings; what does not fit there is pinned anew for each operation, and below 512 KiB no shard starts")
        .cost("that much memory cannot be swapped")
        .by(Who::Service, format!("LimitMEMLOCK= of the unit, or ulimit -H -l {}", wanted / 1024))
}

fn open_files(look: &Look<'_>) -> Finding {
    let Some(limit) = hard(look, "Max open files") else { return Finding::unknown("open files") };
    let shards = look.shards() as u64;
    let verdict = judge(limit, FILES_BASE + FILES_PER_SHARD * shards, WANTED_FILES);
    let half = limit / 2;
    let clients = half.saturating_sub(OWN_FILES + FILES_PER_SHARD * shards);
    let found = match limit {
        u64::MAX => "unlimited".to_string(),
        _ => format!("{limit}: {half} for files of logs, {clients} for connections"),
    };
    Finding::new("open files", verdict, found)
        .wanted(format!("{WANTED_FILES}, or twice the connections"))
        .why("half of the descriptors are for segments, the other for connections; beyond that segments are closed and opened again, and the next connection waits for a place")
        .cost("nothing until they are used")
        .by(Who::Service, format!("LimitNOFILE= of the unit, or ulimit -H -n {WANTED_FILES}"))
}

fn judge(limit: u64, least: u64, wanted: u64) -> Verdict {
    match limit {
        limit if limit < least => Verdict::Stops,
        limit if limit < wanted => Verdict::Tune,
        _ => Verdict::Good,
    }
}

fn size(limit: u64) -> String {
    if limit == u64::MAX { "unlimited".to_string() } else { text::bytes(limit) }
}

/// The hard limit of a row of `limits`; `u64::MAX` for "unlimited".
fn hard(look: &Look<'_>, name: &str) -> Option<u64> {
    let limits = look.of_process("limits")?;
    match text::row(&limits, name)?.split_whitespace().nth(1)? {
        "unlimited" => Some(u64::MAX),
        value => value.parse().ok(),
    }
}
