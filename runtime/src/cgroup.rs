//! The limits that control groups put on a process, of version 1, version 2 or both: those of its own group and of all
//! above it that can be seen. Pure: the caller reads the files. Never cached.

/// The text of a file such as `/proc/self/cgroup`; `None` when it cannot be read.
pub type ReadFile<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Groups above one another; none is deeper.
const DEEPEST: usize = 64;
/// Version 1 says "no limit" by the largest number of whole pages.
const NO_LIMIT_FROM: u64 = 1 << 60;

/// Where a process finds its groups of one controller, the innermost first.
struct Groups {
    dirs: Vec<String>,
    is_v2: bool,
}

/// Bytes of memory that the process may use at most; `None` for no limit, and where nothing is known.
/// `process` is a directory such as `/proc/self`.
pub fn memory_limit(read: ReadFile<'_>, process: &str) -> Option<u64> {
    let groups = groups(read, process, "memory")?;
    let file = if groups.is_v2 { "memory.max" } else { "memory.limit_in_bytes" };
    let limits = groups.dirs.iter().filter_map(|dir| read(&format!("{dir}/{file}"))?.trim().parse().ok());
    limits.filter(|limit| *limit < NO_LIMIT_FROM).min()
}

/// Thousandths of a CPU that the process may use at most, over all CPUs; `None` as for memory.
pub fn cpu_limit_millis(read: ReadFile<'_>, process: &str) -> Option<u64> {
    let groups = groups(read, process, "cpu")?;
    groups.dirs.iter().filter_map(|dir| quota(read, dir, groups.is_v2)).min()
}

fn quota(read: ReadFile<'_>, dir: &str, is_v2: bool) -> Option<u64> {
    let (quota, period) = if is_v2 {
        let text = read(&format!("{dir}/cpu.max"))?;
        let (quota, period) = text.trim().split_once(' ')?;
        (quota.to_owned(), period.to_owned())
    } else {
        (read(&format!("{dir}/cpu.cfs_quota_us"))?, read(&format!("{dir}/cpu.cfs_period_us"))?)
    };
    let (quota, period): (u64, u64) = (quota.trim().parse().ok()?, period.trim().parse().ok()?);
    quota.checked_mul(1000)?.checked_div(period)
}

fn groups(read: ReadFile<'_>, process: &str, controller: &str) -> Option<Groups> {
    let (mounts, own) = (read(&format!("{process}/mountinfo"))?, read(&format!("{process}/cgroup"))?);
    let v1 = in_version_1(&mounts, &own, controller).map(|dirs| Groups { dirs, is_v2: false });
    v1.or_else(|| in_version_2(&mounts, &own).map(|dirs| Groups { dirs, is_v2: true }))
}

fn in_version_1(mounts: &str, own: &str, controller: &str) -> Option<Vec<String>> {
    let has = |list: &str| list.split(',').any(|name| name == controller);
    let path = own.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        has(controllers).then_some(path)
    })?;
    let mount = mounts.lines().filter_map(Mount::parse).find(|m| m.kind == "cgroup" && has(m.options))?;
    Some(mount.upwards_from(path))
}

fn in_version_2(mounts: &str, own: &str) -> Option<Vec<String>> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mount = mounts.lines().filter_map(Mount::parse).find(|mount| mount.kind == "cgroup2")?;
    Some(mount.upwards_from(path))
}

struct Mount<'a> {
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    /// A line of `mountinfo`: see `proc_pid_mountinfo(5)`.
    fn parse(line: &'a str) -> Option<Mount<'a>> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let mut after = after.split(' ');
        let (root, point) = (before.next()?, before.next()?);
        let (kind, _source, options) = (after.next()?, after.next()?, after.next()?);
        Some(Mount { root, point, kind, options })
    }

    /// A container may see its own group as the root of the mount, and its whole path in `cgroup`.
    fn upwards_from(&self, path: &str) -> Vec<String> {
        let below = path.strip_prefix(self.root.trim_end_matches('/')).unwrap_or(path);
        let names: Vec<&str> =
            below.split('/').filter(|n| !n.is_empty() && *n != "..").take(DEEPEST).collect();
        let dir = |depth: usize| [&[self.point], &names[..depth]].concat().join("/");
        (0..=names.len()).rev().map(dir).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(files: &'static [(&'static str, &'static str)]) -> impl Fn(&str) -> Option<String> {
        move |path| files.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned())
    }

    const V2: &str = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
    const V1: &str = "32 31 0:29 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n\
        35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";

    #[test]
    fn the_tightest_group_on_the_way_up_counts() {
        let read = host(&[
            ("/proc/self/mountinfo", V2),
            ("/proc/self/cgroup", "0::/system.slice/kring.service\n"),
            ("/sys/fs/cgroup/system.slice/kring.service/memory.max", "max\n"),
            ("/sys/fs/cgroup/system.slice/memory.max", "1073741824\n"),
            ("/sys/fs/cgroup/system.slice/kring.service/cpu.max", "150000 100000\n"),
            ("/sys/fs/cgroup/system.slice/cpu.max", "max 100000\n"),
        ]);
        assert_eq!(memory_limit(&read, "/proc/self"), Some(1 << 30));
        assert_eq!(cpu_limit_millis(&read, "/proc/self"), Some(1500));
    }

    #[test]
    fn a_container_of_version_1_finds_its_group_at_the_root_of_the_mount() {
        let read = host(&[
            ("/proc/self/mountinfo", V1),
            ("/proc/self/cgroup", "5:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n"),
            ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "200000\n"),
            ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
        ]);
        assert_eq!(memory_limit(&read, "/proc/self"), Some(512 << 20));
        assert_eq!(cpu_limit_millis(&read, "/proc/self"), Some(2000));
    }

    #[test]
    fn no_limit_is_none() {
        let read = host(&[
            ("/proc/self/mountinfo", V1),
            ("/proc/self/cgroup", "5:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
        ]);
        assert_eq!(memory_limit(&read, "/proc/self"), None);
        assert_eq!(cpu_limit_millis(&read, "/proc/self"), None);
        assert_eq!(cpu_limit_millis(&|_| None, "/proc/self"), None);
    }

    #[test]
    fn a_period_of_zero_is_no_limit() {
        let read = host(&[
            ("/proc/self/mountinfo", V2),
            ("/proc/self/cgroup", "0::/\n"),
            ("/sys/fs/cgroup/cpu.max", "100000 0\n"),
        ]);
        assert_eq!(cpu_limit_millis(&read, "/proc/self"), None);
    }
}
