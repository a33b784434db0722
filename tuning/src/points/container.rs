//! What control groups leave of the machine's CPUs and memory, in containers and for services alike.

use kring_runtime::cgroup;

use crate::finding::{Finding, Verdict, Who};
use crate::look::Look;
use crate::text;

/// Defaults of the broker: the largest request, twice the largest fetch response, and the cache of new records.
const REQUESTS: u64 = 100 << 20;
const RESPONSES_PER_SHARD: u64 = 2 * (55 << 20);
const CACHE: u64 = 128 << 20;
const REST: u64 = 64 << 20;

pub(super) fn points(look: &Look<'_>) -> Vec<Finding> {
    vec![cpu(look), memory(look)]
}

fn cpu(look: &Look<'_>) -> Finding {
    let read = |path: &str| look.host.read(path);
    let (cpus, limit) = (look.cpus().len(), cgroup::cpu_limit_millis(&read, &look.process));
    let Some(limit) = limit else { return no_limit(look, "CPU limit") };
    let verdict = if cpus > 0 && limit < 1000 * cpus as u64 { Verdict::Tune } else { Verdict::Good };
    let found = format!("a quota of {} on {}", limit as f64 / 1000.0, text::count(cpus, "allowed CPU"));
    let shards = (limit / 1000).max(1);
    Finding::new("CPU limit", verdict, found)
        .wanted("as many whole CPUs as shards, or none")
        .why("one shard runs on each allowed CPU; when together they have used the quota of a period, all stand still until the next, up to 100 ms")
        .cost("the CPUs that the quota holds back")
        .by(Who::Service, format!("start with --shards {shards}, or give a cpuset instead of a quota"))
}

fn memory(look: &Look<'_>) -> Finding {
    let read = |path: &str| look.host.read(path);
    let Some(limit) = cgroup::memory_limit(&read, &look.process) else {
        return no_limit(look, "memory limit");
    };
    let wanted = REQUESTS + RESPONSES_PER_SHARD * look.shards() as u64 + CACHE + REST;
    let verdict = if limit < wanted { Verdict::Tune } else { Verdict::Good };
    Finding::new("memory limit", verdict, text::bytes(limit))
        .wanted(format!("{} for {}", text::bytes(wanted), text::count(look.shards(), "shard")))
        .why("the largest request, two of the largest responses of each shard and the cache of new records may be in memory together; a process beyond its limit is killed; cached log data counts too, but is dropped first")
        .cost("that memory")
        .by(Who::Service, "raise it, or lower --shards, kring.cache.bytes, socket.request.max.bytes and fetch.max.bytes")
}

fn no_limit(look: &Look<'_>, point: &'static str) -> Finding {
    match look.of_process("cgroup") {
        Some(_) => Finding::new(point, Verdict::Good, "none"),
        None => Finding::unknown(point),
    }
}
