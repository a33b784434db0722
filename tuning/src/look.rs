//! What several points ask: which CPUs, whether this is a container or a virtual machine, where the data lives.
//! Reads only.

use crate::finding::Setting;
use crate::host::Host;
use crate::text;

/// Inode numbers that the kernel gives the namespaces of its first process.
const FIRST_NAMESPACES: [(&str, &str); 2] = [("pid", "pid:[4026531836]"), ("cgroup", "cgroup:[4026531835]")];

/// What a check looks at.
pub struct Look<'a> {
    pub host: &'a dyn Host,
    /// `/proc/self`, or the directory of the process that is looked at.
    pub process: String,
    /// Absolute and without links, so that its mount is found.
    pub data_dir: String,
}

impl Look<'_> {
    pub(crate) fn of_process(&self, file: &str) -> Option<String> {
        self.host.read(&format!("{}/{file}", self.process))
    }

    /// The CPUs that the process may run on: the broker starts a shard on each.
    pub(crate) fn cpus(&self) -> Vec<usize> {
        let status = self.of_process("status");
        let allowed = status.as_deref().and_then(|status| text::row(status, "Cpus_allowed_list:"));
        allowed.map(text::list).unwrap_or_default()
    }

    /// How many shards the broker starts if nobody says otherwise.
    pub(crate) fn shards(&self) -> usize {
        self.cpus().len().max(1)
    }

    /// Whether this process lives in namespaces of its own, as in a container; `None` where that cannot be seen.
    pub(crate) fn is_container(&self) -> Option<bool> {
        let own = |(name, first): &(&str, &str)| Some(self.link(&format!("ns/{name}"))? != *first);
        let known: Vec<bool> = FIRST_NAMESPACES.iter().filter_map(own).collect();
        if known.is_empty() { None } else { Some(known.contains(&true)) }
    }

    fn link(&self, file: &str) -> Option<String> {
        self.host.link(&format!("{}/{file}", self.process))
    }

    pub(crate) fn is_virtual(&self) -> bool {
        let cpuinfo = self.host.read("/proc/cpuinfo").unwrap_or_default();
        let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
        flags.split_whitespace().any(|flag| flag == "hypervisor")
    }

    /// The first two numbers of the kernel's release.
    pub(crate) fn kernel(&self) -> Option<(u32, u32)> {
        let release = self.host.read("/proc/sys/kernel/osrelease")?;
        let mut numbers = release.trim().split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
            _ => None,
        }
    }

    /// What is to be written to a file, if it is there and holds something else.
    pub(crate) fn setting(&self, path: &str, wanted: &str) -> Option<Setting> {
        let found = text::normal(&self.host.read(path)?);
        let wanted = wanted.to_string();
        (found != wanted).then(|| Setting { path: path.to_string(), found, wanted })
    }

    pub(crate) fn settings(&self, path: &str, wanted: &str) -> Vec<Setting> {
        self.setting(path, wanted).into_iter().collect()
    }

    /// A line in which the report says what it looked at.
    pub(crate) fn summary(&self) -> String {
        let release = text::word(self.host, "/proc/sys/kernel/osrelease");
        let kernel = release.map_or_else(|| "unknown kernel".to_string(), |name| format!("Linux {name}"));
        let cpus = match self.cpus().len() {
            0 => "unknown CPUs".to_string(),
            number => text::count(number, "CPU"),
        };
        let kind = match (self.is_container(), self.is_virtual()) {
            (Some(true), _) => ", container",
            (_, true) => ", virtual machine",
            _ => "",
        };
        format!("{kernel}, {cpus}{kind}, data in {}", self.data_dir)
    }
}
