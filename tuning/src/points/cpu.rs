//! How fast the CPUs run, what they share, and how the time is read.

use crate::finding::{Finding, Setting, Verdict, Who};
use crate::look::Look;
use crate::text;

const CPUS: &str = "/sys/devices/system/cpu";
const CLOCK: &str = "/sys/devices/system/clocksource/clocksource0";
/// Those that a process reads without a system call.
const FAST_CLOCKS: [&str; 5] =
    ["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page", "timebase"];

pub(super) fn points(look: &Look<'_>) -> Vec<Finding> {
    let mut points = vec![governor(look)];
    points.extend(frequency(look));
    points.extend([smt(look), clock(look), numa(look)]);
    points
}

/// The directories of the frequency drivers of the allowed CPUs.
fn drivers(look: &Look<'_>) -> Vec<String> {
    let allowed = look.cpus();
    let cpus = look.host.list(CPUS).into_iter().filter_map(|name| name.strip_prefix("cpu")?.parse().ok());
    let mut cpus: Vec<usize> = cpus.filter(|cpu| allowed.is_empty() || allowed.contains(cpu)).collect();
    cpus.sort_unstable();
    let dirs = cpus.into_iter().map(|cpu| format!("{CPUS}/cpu{cpu}/cpufreq"));
    dirs.filter(|dir| look.host.read(&format!("{dir}/scaling_governor")).is_some()).collect()
}

fn governor(look: &Look<'_>) -> Finding {
    let drivers = drivers(look);
    let of = |file: &str| -> Vec<String> {
        let mut words: Vec<String> =
            drivers.iter().filter_map(|dir| text::word(look.host, &format!("{dir}/{file}"))).collect();
        words.sort();
        words.dedup();
        words
    };
    let governors = of("scaling_governor");
    if governors.is_empty() {
        let who = if look.is_virtual() { "a virtual machine sees none" } else { "the kernel shows none" };
        return Finding::new("CPU governor", Verdict::Unknown, who);
    }
    let is_fast = governors == ["performance"];
    let found = format!("{} ({})", governors.join(", "), of("scaling_driver").join(", "));
    Finding::new("CPU governor", if is_fast { Verdict::Good } else { Verdict::Tune }, found)
        .wanted("performance")
        .why("a shard sleeps between requests; a CPU that has slowed down meanwhile serves the next one late")
        .cost("more power and heat, at rest too")
        .settings(governor_settings(look, &drivers))
}

fn governor_settings(look: &Look<'_>, drivers: &[String]) -> Vec<Setting> {
    let has_performance = |dir: &&String| {
        let offered = look.host.read(&format!("{dir}/scaling_available_governors"));
        offered.is_some_and(|offered| text::choices(&offered).contains(&"performance".to_string()))
    };
    let able = drivers.iter().filter(has_performance);
    able.filter_map(|dir| look.setting(&format!("{dir}/scaling_governor"), "performance")).collect()
}

/// A cap below what the CPU can do; nothing to say where no frequency is shown.
fn frequency(look: &Look<'_>) -> Option<Finding> {
    let drivers = drivers(look);
    let khz = |dir: &String, file: &str| text::number(look.host, &format!("{dir}/{file}"));
    let pairs: Vec<(u64, u64)> = drivers
        .iter()
        .filter_map(|dir| Some((khz(dir, "scaling_max_freq")?, khz(dir, "cpuinfo_max_freq")?)))
        .collect();
    let (cap, most) = *pairs.iter().find(|(cap, most)| cap < most).or(pairs.first())?;
    let verdict = if cap < most { Verdict::Tune } else { Verdict::Good };
    Some(
        Finding::new("CPU frequency", verdict, format!("up to {} of {} MHz", cap / 1000, most / 1000))
            .wanted("no cap")
            .why("every request takes longer on a slower CPU")
            .cost("more power and heat")
            .by(Who::Operator, "find out who capped it (scaling_max_freq, a power profile, heat)"),
    )
}

fn smt(look: &Look<'_>) -> Finding {
    match text::number(look.host, &format!("{CPUS}/smt/active")) {
        None => Finding::unknown("SMT"),
        Some(0) if look.is_virtual() => {
            Finding::new("SMT", Verdict::Good, "none that this virtual machine sees")
        }
        Some(0) => Finding::new("SMT", Verdict::Good, "off: each shard has a core of its own"),
        Some(_) => Finding::new(
            "SMT",
            Verdict::Good,
            "on: two shards share a core; for latency rather than rate, allow one CPU of each core (taskset)",
        ),
    }
}

fn clock(look: &Look<'_>) -> Finding {
    let path = format!("{CLOCK}/current_clocksource");
    let Some(current) = text::word(look.host, &path) else { return Finding::unknown("clock source") };
    let is_fast = FAST_CLOCKS.contains(&current.as_str());
    let offered = text::word(look.host, &format!("{CLOCK}/available_clocksource")).unwrap_or_default();
    let faster = FAST_CLOCKS.iter().find(|clock| offered.split_whitespace().any(|word| word == **clock));
    let finding = Finding::new("clock source", if is_fast { Verdict::Good } else { Verdict::Tune }, current)
        .wanted("tsc, or another that is read without a system call")
        .why("a shard reads the time in every turn; with this source each reading is a system call")
        .cost("nothing, where the kernel offers it");
    match faster {
        Some(faster) => finding.settings(look.settings(&path, faster)),
        None => finding.by(Who::Boot, "the kernel offers no faster one: see its log for why tsc was refused"),
    }
}

fn numa(look: &Look<'_>) -> Finding {
    let Some(online) = text::word(look.host, "/sys/devices/system/node/online") else {
        return Finding::unknown("NUMA");
    };
    let nodes = text::list(&online).len();
    if nodes <= 1 {
        return Finding::new("NUMA", Verdict::Good, "one node");
    }
    let paths = ["/proc/sys/kernel/numa_balancing", "/proc/sys/vm/zone_reclaim_mode"];
    let settings: Vec<Setting> = paths.iter().filter_map(|path| look.setting(path, "0")).collect();
    let verdict = if settings.is_empty() { Verdict::Good } else { Verdict::Tune };
    let named: Vec<String> =
        settings.iter().map(|s| format!("{}={}", sysctl_name(&s.path), s.found)).collect();
    Finding::new("NUMA", verdict, format!("{nodes} nodes {}", named.join(", ")).trim_end().to_string())
        .wanted("kernel.numa_balancing=0, vm.zone_reclaim_mode=0")
        .why("shards are pinned and get their memory where they run; the first takes pages away to see who uses them, the second drops cached log data although other nodes have room")
        .cost("processes that are not pinned may end up far from their memory")
        .settings(settings)
}

fn sysctl_name(path: &str) -> String {
    path.trim_start_matches("/proc/sys/").replace('/', ".")
}
