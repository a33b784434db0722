//! Each point on made-up hosts: what it finds, how it judges, and who it says can change it.

mod common;

use common::{FakeHost, bare_metal, container_v1, container_v2, disk, old_kernel, virtual_machine};
use kring_tuning::Verdict::{self, Good, Irrelevant, Stops, Tune, Unknown, Unsafe};
use kring_tuning::{Attempt, Remedy, Setting, Who};

fn settings(remedy: &Remedy) -> Vec<Setting> {
    match remedy {
        Remedy::Settings(settings) => settings.clone(),
        other => panic!("{other:?}"),
    }
}

fn who(remedy: &Remedy) -> Who {
    match remedy {
        Remedy::By(who, _) => *who,
        other => panic!("{other:?}"),
    }
}

fn bad(host: &FakeHost) -> Vec<&'static str> {
    let findings = host.report().findings;
    findings.iter().filter(|finding| finding.verdict.is_bad()).map(|finding| finding.point).collect()
}

#[test]
fn a_host_that_is_set_up_has_nothing_to_be_done() {
    assert_eq!(bad(&bare_metal()), [""; 0]);
    assert_eq!(bare_metal().report().exit_code(), 0);
    assert!(bare_metal().report().findings.iter().all(|finding| finding.verdict != Unknown));
}

#[test]
fn a_host_that_tells_nothing_gives_a_report_of_unknowns() {
    let report = FakeHost::nothing().report();
    for finding in &report.findings {
        assert!(matches!(finding.verdict, Unknown | Irrelevant), "{finding:?}");
    }
    assert_eq!(report.exit_code(), 0);
}

/// One file changed on a host that is set up, the point that sees it, and its verdict.
const CASES: &[(&str, &str, Verdict)] = &[
    ("/proc/sys/kernel/osrelease 5.10.0", "kernel", Stops),
    ("/proc/sys/kernel/osrelease 5.15.0-generic", "kernel", Tune),
    ("/proc/sys/kernel/osrelease 6.5.0", "kernel", Good),
    ("/proc/sys/kernel/osrelease huge", "kernel", Unknown),
    ("/proc/sys/kernel/io_uring_disabled 1", "io_uring", Tune),
    ("/proc/sys/fs/aio-max-nr 0", "aio limits", Irrelevant),
    ("/proc/self/limits Max locked memory         65536      65536      bytes", "locked memory", Stops),
    ("/proc/self/limits Max locked memory         65536      8388608    bytes", "locked memory", Tune),
    ("/proc/self/limits Max locked memory         65536      25165824   bytes", "locked memory", Good),
    ("/proc/self/limits Max open files            64         127        files", "open files", Stops),
    ("/proc/self/limits Max open files            1024       4096       files", "open files", Tune),
    ("/proc/self/limits Max open files            1024       65536      files", "open files", Good),
    ("/sys/fs/cgroup/user.slice/cpu.max 150000 100000", "CPU limit", Tune),
    ("/sys/fs/cgroup/user.slice/cpu.max 400000 100000", "CPU limit", Good),
    ("/sys/fs/cgroup/user.slice/cpu.max max 100000", "CPU limit", Good),
    ("/sys/fs/cgroup/user.slice/memory.max 536870912", "memory limit", Tune),
    ("/sys/fs/cgroup/memory.max 1073741824", "memory limit", Good),
    ("/sys/devices/system/cpu/cpu2/cpufreq/scaling_governor powersave", "CPU governor", Tune),
    ("/sys/devices/system/cpu/cpu2/cpufreq/scaling_max_freq 1200000", "CPU frequency", Tune),
    ("/sys/devices/system/cpu/smt/active 1", "SMT", Good),
    ("/sys/devices/system/clocksource/clocksource0/current_clocksource hpet", "clock source", Tune),
    ("/proc/sys/kernel/numa_balancing 1", "NUMA", Tune),
    ("/proc/sys/vm/zone_reclaim_mode 1", "NUMA", Tune),
    ("/sys/kernel/mm/transparent_hugepage/enabled [always] madvise never", "huge pages", Irrelevant),
    ("/proc/swaps Filename Type\\n/dev/sda3 partition 8388604 0 -2", "swappiness", Tune),
    ("/proc/sys/net/core/somaxconn 128", "accept backlog", Tune),
    ("/proc/sys/net/core/busy_read 50", "busy poll", Tune),
    ("/proc/sys/net/ipv4/tcp_max_syn_backlog 128", "SYN backlog", Irrelevant),
    ("/proc/sys/net/ipv4/tcp_syncookies 0", "SYN backlog", Good),
    ("/proc/sys/net/ipv4/tcp_wmem 4096 16384 65536", "TCP buffers", Tune),
    ("/proc/sys/net/ipv4/tcp_rmem few", "TCP buffers", Unknown),
    ("/proc/sys/net/ipv4/ip_local_port_range 1024 65535", "port range", Tune),
    ("/proc/irq/103/effective_affinity_list 0-3", "interrupts", Good),
    ("/sys/dev/block/queue/logical_block_size 16384", "block size", Stops),
    ("/sys/dev/block/queue/scheduler none mq-deadline kyber [bfq]", "scheduler", Tune),
    ("/sys/dev/block/queue/scheduler none [mq-deadline] kyber bfq", "scheduler", Good),
    ("/sys/dev/block/queue/nr_requests 4", "queue depth", Tune),
    ("/sys/dev/block/queue/write_cache write through", "write cache", Good),
    ("/proc/self/mountinfo 27 1 259:3 / / rw,relatime - tmpfs none rw", "file system", Unsafe),
    ("/proc/self/mountinfo 27 1 259:3 / / rw,relatime - overlay none rw", "file system", Unsafe),
    ("/proc/self/mountinfo 27 1 259:3 / / rw,relatime - btrfs /dev/sda rw", "file system", Tune),
    ("/proc/self/mountinfo 27 1 259:3 / / rw,relatime - nfs4 a:/b rw", "file system", Unknown),
    ("/proc/self/mountinfo 27 1 259:3 / / rw - ext4 /dev/sda rw", "mount options", Tune),
    ("/proc/self/mountinfo 27 1 259:3 / / rw,noatime - ext4 /dev/sda rw,data=journal", "mount options", Tune),
    ("/proc/self/mountinfo 27 1 259:3 / / rw,noatime - ext4 /dev/sda rw,sync", "mount options", Tune),
    ("/proc/self/mountinfo 27 1 259:3 / / rw,noatime - ext4 /dev/sda rw,nobarrier", "mount options", Unsafe),
    ("/proc/self/mountinfo 27 1 259:3 / / ro,noatime - ext4 /dev/sda rw", "mount options", Stops),
];

#[test]
fn each_point_judges_what_its_file_says() {
    for (file, point, verdict) in CASES {
        let finding = bare_metal().with(file).finding(point);
        assert_eq!(finding.verdict, *verdict, "{file}: {finding:?}");
        if finding.verdict.is_bad() {
            assert!(
                !finding.wanted.is_empty() && !finding.why.is_empty() && !finding.cost.is_empty(),
                "{point}"
            );
            assert_ne!(finding.remedy, Remedy::None, "{point} says who can change it");
        } else {
            assert_eq!(finding.remedy, Remedy::None, "{point} is to be left as it is");
        }
    }
}

#[test]
fn every_point_has_a_case() {
    let without = ["RPS", "XPS"];
    let tried: Vec<&str> = CASES.iter().map(|(_, point, _)| *point).chain(without).collect();
    for finding in bare_metal().report().findings {
        assert!(tried.contains(&finding.point), "{}", finding.point);
    }
}

#[test]
fn a_refused_ring_is_explained_by_whoever_refuses_it() {
    let refused = |disabled: &str| bare_metal().ring(Attempt::Forbidden).with(disabled).finding("io_uring");
    let by_sysctl = refused("/proc/sys/kernel/io_uring_disabled 2");
    assert_eq!(by_sysctl.verdict, Stops);
    assert_eq!(settings(&by_sysctl.remedy)[0].wanted, "0");
    let by_seccomp = refused("/proc/sys/kernel/io_uring_disabled 0");
    assert_eq!((by_seccomp.verdict, who(&by_seccomp.remedy)), (Stops, Who::Service));
    let missing = bare_metal().ring(Attempt::Missing).finding("io_uring");
    assert_eq!((missing.verdict, who(&missing.remedy)), (Stops, Who::Boot));
}

#[test]
fn an_old_kernel_stops_the_broker_and_takes_a_boot() {
    let report = old_kernel().report();
    assert_eq!(report.exit_code(), 3);
    assert_eq!(who(&old_kernel().finding("kernel").remedy), Who::Boot);
    assert_eq!(old_kernel().finding("io_uring").verdict, Unknown);
}

#[test]
fn a_virtual_machine_is_not_blamed_for_what_it_cannot_see() {
    let vm = virtual_machine();
    assert_eq!(bad(&vm), [""; 0], "a virtual disk that calls itself rotational has no head");
    assert_eq!(vm.finding("CPU governor").verdict, Unknown);
    assert!(vm.report().summary.contains("virtual machine"));
}

#[test]
fn a_container_leaves_to_its_host_what_only_the_host_can_do() {
    let v2 = container_v2().with(
        "/proc/swaps Filename\\n/dev/zram0 partition
         /proc/sys/net/core/somaxconn 128",
    );
    assert!(v2.report().summary.contains("container"));
    assert_eq!(who(&v2.finding("swappiness").remedy), Who::Host);
    let backlog = v2.finding("accept backlog");
    let Remedy::By(Who::Service, what) = &backlog.remedy else { panic!("{backlog:?}") };
    assert!(what.contains("--sysctl 'net.core.somaxconn=4096'"), "{what}");
    for finding in v2.report().findings {
        assert!(!matches!(finding.remedy, Remedy::Settings(_)), "{finding:?}");
    }
}

#[test]
fn the_limits_of_a_container_are_seen_in_both_versions() {
    let cpu = container_v2().finding("CPU limit");
    assert_eq!((cpu.verdict, cpu.found.as_str()), (Tune, "a quota of 1.5 on 4 allowed CPUs"));
    let Remedy::By(Who::Service, what) = cpu.remedy else { panic!() };
    assert!(what.contains("--shards 1"), "{what}");
    assert_eq!(container_v2().finding("memory limit").found, "512 MiB");
    assert_eq!(container_v1().finding("CPU limit").found, "a quota of 2 on 4 allowed CPUs");
    let memory = container_v1().finding("memory limit");
    assert_eq!((memory.verdict, memory.found.as_str()), (Good, "4 GiB"));
    assert_eq!(container_v1().finding("file system").verdict, Unsafe, "the layer of the container");
}

#[test]
fn one_receive_queue_for_many_cpus_is_steered() {
    let host = common::card(bare_metal().without("/sys/class/net"), 1)
        .with("/proc/self/status Cpus_allowed_list:\\t0-7,33");
    let rps = host.finding("RPS");
    assert_eq!(rps.verdict, Tune);
    assert_eq!(settings(&rps.remedy)[0].wanted, "00000002,000000ff", "in the shape that was found");
    let few = common::card(bare_metal().without("/sys/class/net"), 1).finding("RPS");
    assert_eq!(few.verdict, Good, "four CPUs need it not");
}

#[test]
fn send_queues_without_cpus_get_a_share_of_them_each() {
    let off = |queue| format!("/sys/class/net/eth0/queues/tx-{queue}/xps_cpus 00000000,00000000\n");
    let host = common::card(bare_metal().without("/sys/class/net"), 2).with(&(off(0) + &off(1)));
    let masks: Vec<String> = settings(&host.finding("XPS").remedy).into_iter().map(|s| s.wanted).collect();
    assert_eq!(masks, ["00000000,00000005", "00000000,0000000a"]);
}

#[test]
fn all_interrupts_of_several_queues_on_one_cpu_are_named() {
    let to_first = |irq| format!("/proc/irq/{irq}/effective_affinity_list 0\n");
    let host = bare_metal().with(&(100..104).map(to_first).collect::<String>());
    let finding = host.finding("interrupts");
    assert_eq!((finding.verdict, finding.found.as_str()), (Tune, "eth0: 4 queues on 1 CPU"));
}

#[test]
fn the_disks_below_a_mapped_device_are_the_ones_that_count() {
    let mapped = bare_metal().without("/sys/dev/block").with(
        "/sys/dev/block/259:3/slaves/sda x
         /sys/dev/block/259:3/slaves/sdb x
         /sys/dev/block/259:3/queue/logical_block_size 512",
    );
    let both = disk(disk(mapped, "/sys/class/block/sda", "sda"), "/sys/class/block/sdb", "sdb");
    let host = both.with("/sys/class/block/sdb/queue/scheduler none mq-deadline [bfq]");
    let finding = host.finding("scheduler");
    assert_eq!(finding.found, "none (sda), bfq (sdb)");
    assert_eq!(settings(&finding.remedy)[0].path, "/sys/class/block/sdb/queue/scheduler");
}

#[test]
fn a_disk_with_a_moving_head_wants_its_requests_sorted() {
    let host = disk(bare_metal().without("/sys/dev/block"), "/sys/dev/block/259:3", "sda")
        .with("/sys/dev/block/259:3/queue/rotational 1");
    assert_eq!(settings(&host.finding("scheduler").remedy)[0].wanted, "mq-deadline");
}

#[test]
fn a_reserved_port_stays_reserved() {
    let host = bare_metal().with(
        "/proc/sys/net/ipv4/ip_local_port_range 1024 65535
         /proc/sys/net/ipv4/ip_local_reserved_ports 8000-8100",
    );
    assert_eq!(settings(&host.finding("port range").remedy)[0].wanted, "8000-8100,9092");
    let reserved = host.with("/proc/sys/net/ipv4/ip_local_reserved_ports 9000-9100");
    assert_eq!(reserved.finding("port range").verdict, Good);
}
