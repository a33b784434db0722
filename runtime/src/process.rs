//! Facts about this process, for banners and metrics. Synchronous and cheap; not part of any simulation.
#![allow(clippy::disallowed_methods)]

use std::fs;

use crate::cgroup;

/// Of x86-64 and of nearly every aarch64 kernel.
const PAGE_BYTES: u64 = 4096;

/// The CPUs on which this process may run, by its affinity mask: what a container or `taskset` left of the machine.
pub fn cpus() -> Vec<usize> {
    match rustix::thread::sched_getaffinity(None) {
        Ok(set) => (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect(),
        Err(error) => {
            tracing::warn!(%error, "the CPUs of this process are unknown; using one");
            vec![0]
        }
    }
}

pub fn pid() -> u32 {
    std::process::id()
}

/// Whether this process acts as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Resident memory in bytes; zero when the kernel does not say.
pub fn resident_bytes() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    pages * PAGE_BYTES
}

/// Memory that this process may use at most, in bytes: that of the machine or of its control groups, whichever is less.
/// Absent when the kernel does not say.
pub fn memory_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| kib_of(&text, "MemTotal:"));
    let limit = cgroup::memory_limit(&|path| fs::read_to_string(path).ok(), "/proc/self");
    limit.into_iter().chain(machine).min()
}

fn kib_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// How many files this process may have open; absent when unlimited.
pub fn open_file_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// CPU time that the calling thread has used so far.
pub fn thread_cpu() -> std::time::Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    std::time::Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// How many characters fit in a line of the terminal that standard error is; absent when it is none.
pub fn terminal_columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// The text of a file that is read before any shard runs, or of one below `/proc` and `/sys`.
pub fn read_text(path: &std::path::Path) -> std::io::Result<String> {
    fs::read_to_string(path)
}

/// The bytes of such a file.
pub fn read_bytes(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    fs::read(path)
}

/// Whether standard output is a pipe or a terminal whose other end is closed: what is written would not be read.
pub fn stdout_reader_is_gone() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let stdout = std::io::stdout();
    let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
    let polled = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    polled.is_ok() && fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}
