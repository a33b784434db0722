//! Made-up hosts: files of `/proc` and `/sys` as kernels write them.
#![allow(dead_code, reason = "each test uses a part")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

use kring_tuning::{Attempt, Finding, Host, Look, Report, check};

pub struct FakeHost {
    pub files: RefCell<BTreeMap<String, String>>,
    pub links: BTreeMap<String, String>,
    pub ring: Attempt,
    /// Every write, in order.
    pub writes: RefCell<Vec<String>>,
}

impl FakeHost {
    pub fn nothing() -> FakeHost {
        FakeHost {
            files: RefCell::default(),
            links: BTreeMap::new(),
            ring: Attempt::Untried,
            writes: RefCell::default(),
        }
    }

    /// Adds or replaces files, one a line: the path, a space, the text, in which `\n` and `\t` stand for themselves.
    pub fn with(self, files: &str) -> FakeHost {
        for line in files.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (path, text) = line.split_once(' ').unwrap_or((line, ""));
            let text = text.replace("\\n", "\n").replace("\\t", "\t") + "\n";
            self.files.borrow_mut().insert(path.to_string(), text);
        }
        self
    }

    pub fn without(self, start: &str) -> FakeHost {
        self.files.borrow_mut().retain(|path, _| !path.starts_with(start));
        self
    }

    pub fn ring(self, ring: Attempt) -> FakeHost {
        FakeHost { ring, ..self }
    }

    pub fn linked(mut self, path: &str, to: &str) -> FakeHost {
        self.links.insert(path.to_string(), to.to_string());
        self
    }

    pub fn report(&self) -> Report {
        check(&Look { host: self, process: "/proc/self".to_string(), data_dir: "/srv/kring".to_string() })
    }

    pub fn finding(&self, point: &str) -> Finding {
        let report = self.report();
        let found = report.findings.iter().find(|finding| finding.point == point);
        found.unwrap_or_else(|| panic!("no point {point}")).clone()
    }
}

/// `..` after a directory of its own goes to that of its device, as links in `/sys` do.
fn stepped(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            ".." => parts.truncate(parts.len().saturating_sub(1)),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

impl Host for FakeHost {
    fn read(&self, path: &str) -> Option<String> {
        self.files.borrow().get(&stepped(path)).cloned()
    }

    fn list(&self, dir: &str) -> Vec<String> {
        let dir = stepped(dir) + "/";
        let files = self.files.borrow();
        let names = files.keys().filter_map(|path| path.strip_prefix(&dir)?.split('/').next());
        names.map(str::to_string).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn link(&self, path: &str) -> Option<String> {
        self.links.get(path).cloned()
    }

    fn write(&self, path: &str, text: &str) -> io::Result<()> {
        self.writes.borrow_mut().push(path.to_string());
        let mut files = self.files.borrow_mut();
        let file = files.get_mut(path).ok_or(io::ErrorKind::NotFound)?;
        *file = text.to_string();
        Ok(())
    }

    fn try_io_uring(&self) -> Attempt {
        self.ring.clone()
    }
}

const LIMITS: &str = "/proc/self/limits Limit Soft Hard Units\\nMax open files            1024                 524288               files\\nMax locked memory         8388608              unlimited            bytes\\n";

/// A server of two nodes with four CPUs, set up as wanted.
pub fn bare_metal() -> FakeHost {
    let host = FakeHost::nothing().ring(Attempt::Works).with(LIMITS).with(
        "/proc/self/status Name:\\tkring\\nCpus_allowed_list:\\t0-3\\n
         /proc/self/cgroup 0::/user.slice
         /proc/self/mountinfo 27 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw\\n30 27 259:3 / /srv rw,noatime shared:2 - xfs /dev/nvme0n1p3 rw,attr2\\n31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
         /proc/cpuinfo processor : 0\\nflags\\t\\t: fpu sse2
         /proc/swaps Filename Type Size Used Priority
         /proc/sys/kernel/osrelease 6.12.4-amd64
         /proc/sys/kernel/io_uring_disabled 0
         /proc/sys/kernel/io_uring_group -1
         /proc/sys/kernel/numa_balancing 0
         /proc/sys/kernel/random/boot_id 11111111-2222-3333-4444-555555555555
         /proc/sys/vm/zone_reclaim_mode 0
         /proc/sys/vm/swappiness 60
         /proc/sys/fs/aio-max-nr 65536
         /proc/sys/net/core/somaxconn 4096
         /proc/sys/net/core/busy_read 0
         /proc/sys/net/ipv4/tcp_max_syn_backlog 4096
         /proc/sys/net/ipv4/tcp_syncookies 1
         /proc/sys/net/ipv4/tcp_rmem 4096\\t131072\\t6291456
         /proc/sys/net/ipv4/tcp_wmem 4096\\t16384\\t4194304
         /proc/sys/net/ipv4/ip_local_port_range 32768\\t60999
         /proc/sys/net/ipv4/ip_local_reserved_ports
         /sys/kernel/mm/transparent_hugepage/enabled always [madvise] never
         /sys/devices/system/clocksource/clocksource0/current_clocksource tsc
         /sys/devices/system/clocksource/clocksource0/available_clocksource tsc hpet acpi_pm
         /sys/devices/system/cpu/smt/active 0
         /sys/devices/system/node/online 0-1
         /sys/dev/block/259:3/uevent DEVNAME=nvme0n1p3
         /sys/dev/block/259:3/partition 3",
    );
    disk(cpus(card(host, 4)), "/sys/dev/block", "nvme0n1")
}

fn cpus(mut host: FakeHost) -> FakeHost {
    for cpu in 0..4 {
        let dir = format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq");
        host = host.with(&format!(
            "{dir}/scaling_governor performance
             {dir}/scaling_available_governors performance powersave
             {dir}/scaling_driver intel_pstate
             {dir}/scaling_max_freq 3600000
             {dir}/cpuinfo_max_freq 3600000"
        ));
    }
    host
}

/// A card with so many queues each way, whose interrupts go round.
pub fn card(mut host: FakeHost, queues: usize) -> FakeHost {
    for queue in 0..queues {
        let irq = 100 + queue;
        host = host.with(&format!(
            "/sys/class/net/eth0/queues/rx-{queue}/rps_cpus 00000000,00000000
             /sys/class/net/eth0/queues/tx-{queue}/xps_cpus 00000000,0000000{:x}
             /sys/class/net/eth0/device/msi_irqs/{irq} msix
             /proc/irq/{irq}/effective_affinity_list {queue}",
            1 << (queue % 4)
        ));
    }
    host.with("/sys/class/net/lo/queues/rx-0/rps_cpus 0")
}

/// The queue of a disk, where `..` of a partition finds it.
pub fn disk(host: FakeHost, home: &str, name: &str) -> FakeHost {
    host.with(&format!(
        "{home}/uevent DEVNAME={name}
         {home}/queue/logical_block_size 512
         {home}/queue/rotational 0
         {home}/queue/scheduler [none] mq-deadline kyber bfq
         {home}/queue/nr_requests 1023
         {home}/queue/write_cache write back"
    ))
}

/// One of a cloud: no frequencies, one queue of the card, a virtual disk that says it turns.
pub fn virtual_machine() -> FakeHost {
    let host = bare_metal().without("/sys/devices/system/cpu/cpu").without("/sys/class/net").with(
        "/proc/cpuinfo flags\\t\\t: fpu sse2 hypervisor
         /sys/devices/system/node/online 0
         /sys/dev/block/queue/rotational 1
         /sys/dev/block/uevent DEVNAME=vda
         /sys/dev/block/queue/scheduler none [mq-deadline] kyber bfq",
    );
    card(host, 1)
}

/// A container of control groups version 2, which sees its own group as the root.
pub fn container_v2() -> FakeHost {
    let host = virtual_machine().with(
        "/proc/self/cgroup 0::/
         /sys/fs/cgroup/cpu.max 150000 100000
         /sys/fs/cgroup/memory.max 536870912",
    );
    host.linked("/proc/self/ns/pid", "pid:[4026532501]").linked("/proc/self/ns/cgroup", "cgroup:[4026532502]")
}

/// A container of version 1, which sees the whole path of its group.
pub fn container_v1() -> FakeHost {
    let host = virtual_machine().with(
        "/proc/self/cgroup 5:memory:/docker/ab12\\n3:cpu,cpuacct:/docker/ab12\\n0::/
         /proc/self/mountinfo 27 1 0:50 / / rw,relatime - overlay overlay rw\\n32 31 0:29 /docker/ab12 /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\\n35 31 0:32 /docker/ab12 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory
         /sys/fs/cgroup/memory/memory.limit_in_bytes 4294967296
         /sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us 200000
         /sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us 100000",
    );
    host.linked("/proc/self/ns/pid", "pid:[4026532501]").linked("/proc/self/ns/cgroup", "cgroup:[4026531835]")
}

/// An old distribution: no switch for io_uring, no cachestat.
pub fn old_kernel() -> FakeHost {
    let host = bare_metal().without("/proc/sys/kernel/io_uring").ring(Attempt::Untried);
    host.with("/proc/sys/kernel/osrelease 5.10.0-21-amd64")
}
