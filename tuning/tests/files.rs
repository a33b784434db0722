//! The unit and the sysctl file of this directory are what `check` wants.
#![allow(clippy::disallowed_methods, reason = "a test of files in the source tree")]

mod common;

use std::path::Path;

use common::{FakeHost, bare_metal};
use kring_tuning::{Remedy, Setting, Verdict};

fn text(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("a file of this crate")
}

/// Names and values of lines `name = value` and `name=value`.
fn pairs(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).map(|(a, b)| (a.trim().into(), b.trim().into())).collect()
}

/// Every sysctl is other than it should be.
fn neglected() -> FakeHost {
    bare_metal()
        .with(
            "/proc/swaps Filename\\n/dev/sda3 partition
         /proc/sys/kernel/io_uring_disabled 2
         /proc/sys/kernel/numa_balancing 1
         /proc/sys/vm/zone_reclaim_mode 1
         /proc/sys/net/core/somaxconn 128
         /proc/sys/net/core/busy_read 50
         /proc/sys/net/ipv4/tcp_syncookies 0
         /proc/sys/net/ipv4/tcp_max_syn_backlog 128
         /proc/sys/net/ipv4/tcp_rmem 4096\\t131072\\t65536
         /proc/sys/net/ipv4/tcp_wmem 4096\\t16384\\t65536
         /proc/sys/net/ipv4/ip_local_port_range 1024\\t65535",
        )
        .ring(kring_tuning::Attempt::Untried)
}

fn sysctls_wanted(host: &FakeHost) -> Vec<Setting> {
    let remedies = host.report().findings.into_iter().map(|finding| finding.remedy);
    let settings = remedies.filter_map(|remedy| match remedy {
        Remedy::Settings(settings) => Some(settings),
        _ => None,
    });
    settings.flatten().filter(|setting| setting.path.starts_with("/proc/sys/")).collect()
}

fn path(name: &str) -> String {
    format!("/proc/sys/{}", name.replace('.', "/"))
}

#[test]
fn the_sysctl_file_sets_what_check_wants_and_nothing_else() {
    let conf: Vec<(String, String)> = pairs(&text("90-kring.conf"));
    let wanted = sysctls_wanted(&neglected());
    assert!(wanted.len() >= 9, "{wanted:?}");
    let mut in_conf: Vec<String> = conf.iter().map(|(name, _)| path(name)).collect();
    let mut asked: Vec<String> = wanted.iter().map(|setting| setting.path.clone()).collect();
    in_conf.sort();
    asked.sort();
    assert_eq!(in_conf, asked);
}

#[test]
fn with_the_sysctl_file_check_has_no_sysctl_left_to_want() {
    let lines =
        pairs(&text("90-kring.conf")).iter().map(|(n, v)| format!("{} {v}\n", path(n))).collect::<String>();
    assert_eq!(sysctls_wanted(&neglected().with(&lines)), []);
}

#[test]
fn with_the_limits_of_the_unit_check_is_content_on_hosts_of_any_size() {
    let unit = pairs(&text("kring.service"));
    let of = |name: &str| unit.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let limit = |name: &str| of(name).expect("the unit has it").replace("infinity", "unlimited");
    let limits = format!(
        "/proc/self/limits Max open files  1024 {} files\\nMax locked memory  65536 {} bytes",
        limit("LimitNOFILE"),
        limit("LimitMEMLOCK")
    );
    let host = bare_metal().with(&limits).with("/proc/self/status Cpus_allowed_list:\\t0-511");
    for point in ["open files", "locked memory"] {
        assert_eq!(host.finding(point).verdict, Verdict::Good, "{point}");
    }
}

#[test]
fn the_unit_lets_io_uring_pass_and_stops_in_order() {
    let unit = text("kring.service");
    let filter = unit.lines().find(|line| line.starts_with("SystemCallFilter=")).expect("a filter");
    for call in ["io_uring_setup", "io_uring_enter", "io_uring_register"] {
        assert!(filter.contains(call), "{filter}");
    }
    for line in ["KillSignal=SIGTERM", "Restart=on-failure", "TimeoutStopSec=5min"] {
        assert!(unit.lines().any(|have| have == line), "{line}");
    }
}
