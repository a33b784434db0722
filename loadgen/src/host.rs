//! CPU time of processes and facts of the machine, from `/proc` and `/sys`. Reading fails quietly into "not known":
//! other systems have no `/proc`.

use std::path::Path;
use std::time::Duration;

use kring_runtime::process::{cpus, read_text};

use crate::rows::Rows;

/// `/proc` counts in hundredths of a second on every Linux (USER_HZ).
const TICK: Duration = Duration::from_millis(10);

/// User and system time of a process so far, all threads together.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    read(&format!("/proc/{pid}/stat")).as_deref().and_then(parse_stat)
}

fn read(path: &str) -> Option<String> {
    read_text(Path::new(path)).ok()
}

/// Fields 14 and 15; the name before them may hold anything, also blanks and brackets.
fn parse_stat(text: &str) -> Option<Duration> {
    let (_, after_name) = text.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let ticks: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * ticks.checked_add(system)?)
}

/// What a reader of the figures should know of this machine.
pub fn machine() -> Rows {
    let mut rows = facts(&read);
    rows.merge(&Rows::new([("CPUs allowed here", cpus().len().to_string())]));
    rows
}

/// `read` gives the text of a file, if there is such a file.
fn facts(read: &dyn Fn(&str) -> Option<String>) -> Rows {
    let trimmed = |path: &str| read(path).map(|text| text.trim().to_owned());
    let cpu_info = read("/proc/cpuinfo").unwrap_or_default();
    let all = [
        ("CPU", field(&cpu_info, "model name")),
        ("CPUs", Some(cpu_info.lines().filter(|line| line.starts_with("processor")).count().to_string())),
        ("governor", trimmed("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        ("memory", field(&read("/proc/meminfo").unwrap_or_default(), "MemTotal")),
        ("kernel", trimmed("/proc/sys/kernel/osrelease")),
        ("clock source", trimmed("/sys/devices/system/clocksource/clocksource0/current_clocksource")),
    ];
    Rows::new(all.into_iter().filter_map(|(name, value)| Some((name, value?))))
}

fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_found_behind_any_name() {
        let text = "42 (a) b (c)) S 1 1 1 0 -1 4194304 100 0 0 0 250 50 7 8 20 0 4 0 1000";
        assert_eq!(parse_stat(text), Some(Duration::from_secs(3)));
        assert_eq!(parse_stat("42 (a S 1"), None);
    }

    #[test]
    fn this_process_has_a_cpu_time() {
        assert!(cpu_time(kring_runtime::process::pid()).is_some());
    }

    #[test]
    fn facts_are_read_where_there_are_any() {
        let files = |path: &str| match path {
            "/proc/cpuinfo" => Some("processor\t: 0\nmodel name\t: Fast One\nprocessor\t: 1\n".to_owned()),
            "/proc/meminfo" => Some("MemTotal:       1024 kB\nMemFree: 1 kB\n".to_owned()),
            "/proc/sys/kernel/osrelease" => Some("6.1.0\n".to_owned()),
            _ => None,
        };
        let found = facts(&files);
        let expected = [("CPU", "Fast One"), ("CPUs", "2"), ("memory", "1024 kB"), ("kernel", "6.1.0")];
        assert_eq!(found.iter().collect::<Vec<_>>(), expected);
    }
}
