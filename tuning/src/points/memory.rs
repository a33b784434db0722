//! Swapping and huge pages.

use crate::finding::{Finding, Verdict};
use crate::look::Look;
use crate::text;

const SWAPPINESS: &str = "/proc/sys/vm/swappiness";
const MOST_SWAPPINESS: u64 = 10;

pub(super) fn points(look: &Look<'_>) -> Vec<Finding> {
    vec![swappiness(look), huge_pages(look)]
}

fn swappiness(look: &Look<'_>) -> Finding {
    let Some(value) = text::number(look.host, SWAPPINESS) else { return Finding::unknown("swappiness") };
    let swaps = look.host.read("/proc/swaps").map(|text| text.lines().skip(1).count());
    let (verdict, found) = match swaps {
        Some(0) => (Verdict::Irrelevant, format!("{value}, and there is no swap")),
        _ if value <= MOST_SWAPPINESS => (Verdict::Good, value.to_string()),
        Some(number) => (Verdict::Tune, format!("{value}, with {}", text::count(number, "swap area"))),
        None => (Verdict::Tune, value.to_string()),
    };
    Finding::new("swappiness", verdict, found)
        .wanted("vm.swappiness=1")
        .why("memory of a shard that was swapped out is read back while all of its clients wait; cached log data can be dropped instead")
        .cost("the page cache shrinks first when memory is short, for every process")
        .settings(look.settings(SWAPPINESS, "1"))
}

/// The broker asks for none. With "always", none appeared either while 300 MB were produced to it.
fn huge_pages(look: &Look<'_>) -> Finding {
    let mode = look.host.read("/sys/kernel/mm/transparent_hugepage/enabled");
    let Some(mode) = mode.as_deref().and_then(text::chosen) else { return Finding::unknown("huge pages") };
    Finding::new("huge pages", Verdict::Irrelevant, format!("{mode}; Kring asks for none"))
}
