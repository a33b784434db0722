//! CPU time of processes, from `/proc`. Reading fails quietly into `None`: other systems have no `/proc`.

use std::path::Path;
use std::time::Duration;

use kring_runtime::process::read_text;

/// `/proc` counts in hundredths of a second on every Linux (USER_HZ).
const TICK: Duration = Duration::from_millis(10);

/// User and system time of a process so far, all threads together.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let path = format!("/proc/{pid}/stat");
    read_text(Path::new(&path)).ok().as_deref().and_then(parse_stat)
}

/// Fields 14 and 15; the name before them may hold anything, also blanks and brackets.
fn parse_stat(text: &str) -> Option<Duration> {
    let (_, after_name) = text.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let ticks: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * ticks.checked_add(system)?)
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
}
