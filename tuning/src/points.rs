//! The points themselves: each reads one host file and judges it. Never writes.

use super::{Finding, ReadFile, Verdict};

pub(super) const ALL: [fn(ReadFile<'_>) -> Finding; 5] =
    [io_uring, locked_memory, open_files, swappiness, huge_pages];

const MEMLOCK_BYTES: u64 = 8 << 20;
const OPEN_FILES: u64 = 65_536;

fn io_uring(read: ReadFile<'_>) -> Finding {
    let text = read("/proc/sys/kernel/io_uring_disabled");
    let (found, verdict) = match text.as_deref().map(str::trim) {
        Some("0") => ("allowed", Verdict::Good),
        Some("1") => ("allowed for one group only", Verdict::CouldBeBetter),
        Some(_) => ("disabled", Verdict::Stops),
        None => ("this kernel has no switch for it", Verdict::Unknown),
    };
    Finding {
        point: "io_uring",
        found: found.to_string(),
        wanted: "kernel.io_uring_disabled=0",
        why: "every read, write and flush of the broker goes through it",
        verdict,
    }
}

fn locked_memory(read: ReadFile<'_>) -> Finding {
    let soft = soft_limit(read, "Max locked memory");
    Finding {
        point: "locked memory",
        found: describe(soft, " bytes"),
        wanted: "at least 8388608 bytes (ulimit -l, LimitMEMLOCK)",
        why: "each shard registers its buffers with the kernel",
        verdict: judge(soft, MEMLOCK_BYTES),
    }
}

fn open_files(read: ReadFile<'_>) -> Finding {
    let soft = soft_limit(read, "Max open files");
    Finding {
        point: "open files",
        found: describe(soft, ""),
        wanted: "at least 65536 (ulimit -n, LimitNOFILE)",
        why: "connections and active segments hold one or more each",
        verdict: judge(soft, OPEN_FILES),
    }
}

fn swappiness(read: ReadFile<'_>) -> Finding {
    let value = number(read, "/proc/sys/vm/swappiness");
    Finding {
        point: "swappiness",
        found: value.map_or_else(unreadable, |v| v.to_string()),
        wanted: "vm.swappiness=1",
        why: "a broker whose memory is swapped out misses its latencies",
        verdict: value
            .map_or(Verdict::Unknown, |v| if v <= 10 { Verdict::Good } else { Verdict::CouldBeBetter }),
    }
}

fn huge_pages(read: ReadFile<'_>) -> Finding {
    let mode = read("/sys/kernel/mm/transparent_hugepage/enabled").and_then(|text| chosen(&text));
    let verdict = match mode.as_deref() {
        Some("always") => Verdict::CouldBeBetter,
        Some(_) => Verdict::Good,
        None => Verdict::Unknown,
    };
    Finding {
        point: "transparent huge pages",
        found: mode.unwrap_or_else(unreadable),
        wanted: "madvise",
        why: "with \"always\" small buffers grow to huge pages and resident memory with them",
        verdict,
    }
}

/// The bracketed word of a list such as `always [madvise] never`.
fn chosen(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    rest.split_once(']').map(|(word, _)| word.to_string())
}

fn number(read: ReadFile<'_>, path: &str) -> Option<u64> {
    read(path)?.trim().parse().ok()
}

/// The soft limit of a row of `/proc/self/limits`; `u64::MAX` for "unlimited".
fn soft_limit(read: ReadFile<'_>, name: &str) -> Option<u64> {
    let limits = read("/proc/self/limits")?;
    let row = limits.lines().find(|line| line.starts_with(name))?;
    match row[name.len()..].split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        value => value.parse().ok(),
    }
}

fn describe(limit: Option<u64>, unit: &str) -> String {
    match limit {
        Some(u64::MAX) => "unlimited".to_string(),
        Some(value) => format!("{value}{unit}"),
        None => unreadable(),
    }
}

fn unreadable() -> String {
    "the host does not tell".to_string()
}

fn judge(limit: Option<u64>, wanted: u64) -> Verdict {
    match limit {
        Some(value) if value >= wanted => Verdict::Good,
        Some(_) => Verdict::CouldBeBetter,
        None => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(files: &'static [(&'static str, &'static str)]) -> impl Fn(&str) -> Option<String> {
        move |path| files.iter().find(|(name, _)| *name == path).map(|(_, text)| text.to_string())
    }

    const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units\n\
        Max open files            1024                 1048576              files\n\
        Max locked memory         unlimited            unlimited            bytes\n";

    #[test]
    fn limits_are_read_from_their_rows() {
        let read = host(&[("/proc/self/limits", LIMITS)]);
        assert_eq!(open_files(&read).found, "1024");
        assert_eq!(open_files(&read).verdict, Verdict::CouldBeBetter);
        assert_eq!(locked_memory(&read).found, "unlimited");
        assert_eq!(locked_memory(&read).verdict, Verdict::Good);
    }

    #[test]
    fn disabled_io_uring_stops_the_broker() {
        assert_eq!(io_uring(&host(&[("/proc/sys/kernel/io_uring_disabled", "2\n")])).verdict, Verdict::Stops);
        assert_eq!(io_uring(&host(&[("/proc/sys/kernel/io_uring_disabled", "0\n")])).verdict, Verdict::Good);
    }

    #[test]
    fn the_chosen_page_mode_is_the_bracketed_one() {
        let read = host(&[("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n")]);
        assert_eq!(huge_pages(&read).found, "madvise");
    }

    #[test]
    fn a_host_that_tells_nothing_gives_a_report_of_unknowns() {
        let nothing = |_: &str| None;
        assert!(crate::check(&nothing).iter().all(|f| f.verdict == Verdict::Unknown));
    }
}
