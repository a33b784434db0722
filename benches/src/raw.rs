//! What the machine itself can do: blocking system calls on a thread of their own, no runtime and no log. The other side
//! of every ratio.

use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

const BLOCK: usize = 4096;
const O_DIRECT: i32 = 0o40000;
/// What is read at once.
const PIECE: usize = 1 << 20;

/// Writes so many times so many bytes behind one another by O_DIRECT, each followed by an fdatasync.
pub fn append_durably(path: &Path, bytes: usize, times: u64) -> Duration {
    #[expect(clippy::disallowed_types, reason = "no runtime is what this measures")]
    let file = std::fs::File::options()
        .write(true)
        .create_new(true)
        .custom_flags(O_DIRECT)
        .open(path)
        .expect("the directory for benches takes direct files");
    let memory = vec![7; bytes.next_multiple_of(BLOCK) + BLOCK];
    let from = memory.as_ptr().align_offset(BLOCK);
    let block = &memory[from..from + bytes.next_multiple_of(BLOCK)];
    let began = instant();
    for number in 0..times {
        file.write_all_at(block, number * block.len() as u64).expect("the disk works");
        file.sync_data().expect("the disk works");
    }
    began.elapsed()
}

/// Sends files whole, window after window, with nothing beside.
#[expect(clippy::disallowed_types, reason = "no runtime is what this measures")]
pub fn send_files(paths: &[std::path::PathBuf], mut to: std::net::TcpStream) {
    for path in paths {
        let file = std::fs::File::open(path).expect("it was just written");
        let (mut at, len) = (0, file.metadata().expect("it is open").len());
        while at < len {
            let window = usize::try_from((len - at).min(1 << 20)).expect("a mebibyte");
            let sent = rustix::fs::sendfile(&to, &file, Some(&mut at), window).expect("the peer reads");
            assert!(sent > 0, "the file is as long as it was");
        }
    }
    to.flush().expect("the peer reads");
}

/// Gives each byte that comes back, until the peer has no more: what a client waits for who shares the CPU with
/// [`send_files`], and no shard.
#[expect(clippy::disallowed_types, reason = "no runtime is what this measures")]
pub fn echo(mut peer: std::net::TcpStream) {
    peer.set_nodelay(true).expect("it is a socket");
    let mut byte = [0];
    while peer.read(&mut byte).is_ok_and(|count| count > 0) && peer.write_all(&byte).is_ok() {}
}

/// Reads a file whole by O_DIRECT, a mebibyte at a time, by so many threads in turn.
pub fn read_file(path: &Path, threads: u64) {
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || read_every(path, thread, threads));
        }
    });
}

#[expect(clippy::disallowed_types, reason = "no runtime is what this measures")]
fn read_every(path: &Path, first: u64, step: u64) {
    let file = std::fs::File::options().read(true).custom_flags(O_DIRECT).open(path).expect("it was written");
    let mut memory = vec![0; PIECE + BLOCK];
    let from = memory.as_ptr().align_offset(BLOCK);
    let piece = &mut memory[from..from + PIECE];
    let mut at = first * PIECE as u64;
    while file.read_at(piece, at).expect("the disk works") == PIECE {
        at += step * PIECE as u64;
    }
}

/// Keeps the calling thread, and those it starts from now on, on one CPU.
pub fn pin_to(cpu: usize) {
    let mut cpus = rustix::thread::CpuSet::new();
    cpus.set(cpu);
    rustix::thread::sched_setaffinity(None, &cpus).expect("the CPU is there");
}

/// Lets the calling thread run before others of its CPU, so that what it waits for is not that CPU. False where this
/// process may not.
pub fn run_first() -> bool {
    // None is the calling thread: on Linux a priority belongs to each thread.
    rustix::process::setpriority_process(None, -20).is_ok()
}

/// Takes a file out of the page cache.
#[expect(clippy::disallowed_types, reason = "no runtime is what this measures")]
pub fn forget_pages(path: &Path) {
    let file = std::fs::File::open(path).expect("it was just written");
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("advice is taken");
}

pub fn sleep(time: Duration) {
    #[expect(clippy::disallowed_methods, reason = "outside of a shard")]
    std::thread::sleep(time);
}

pub fn instant() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "outside of a shard")]
    Instant::now()
}
