//! What a broker costs that nobody uses: memory, processor time, disk, and the time to start again.
//! The bounds are those of a release build, wider where a build without optimisation needs it.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test process is outside the simulation"
)]

mod kit;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use kit::{Broker, TempDir};

const MIB: u64 = 1 << 20;
const TICKS_A_SECOND: u64 = 100;
/// Long enough for the watchdog, the checkpoints and the sweeps to have their turns.
const WATCHED: Duration = Duration::from_secs(5);
/// Of one core, in thousandths.
const CPU_BOUND: u64 = if cfg!(debug_assertions) { 50 } else { 10 };
const START_BOUND: Duration = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 2 });

/// Processor time of all threads, in hundredths of a second.
fn cpu_ticks(broker: &Broker) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", broker.pid())).expect("a process");
    let after_name = stat.rsplit_once(')').expect("a name").1;
    let field = |n: usize| -> u64 {
        after_name.split_whitespace().nth(n).expect("a field").parse().expect("a number")
    };
    field(11) + field(12)
}

/// Thousandths of one core over the next seconds.
fn cpu_share(broker: &Broker) -> u64 {
    let (begun, before) = (Instant::now(), cpu_ticks(broker));
    std::thread::sleep(WATCHED);
    let ticks = cpu_ticks(broker) - before;
    ticks * 1_000_000 / TICKS_A_SECOND / begun.elapsed().as_millis() as u64
}

/// `KRING_PARTITIONS=10000` is the long form, for a release build.
fn partitions() -> i32 {
    std::env::var("KRING_PARTITIONS").map_or(1000, |count| count.parse().expect("a number of partitions"))
}

/// In topics of a thousand at most: one request makes no ten thousand (Kafka's `MAX_RECORDS_PER_USER_OP`).
fn make_partitions(broker: &Broker) {
    let mut client = broker.connect();
    for (n, from) in (0..partitions()).step_by(1000).enumerate() {
        client.create_topic(&format!("wide-{n}"), (partitions() - from).min(1000));
    }
}

fn open_files(broker: &Broker) -> usize {
    fs::read_dir(format!("/proc/{}/fd", broker.pid())).expect("a process").count()
}

fn disk_bytes(dir: &Path) -> u64 {
    let of = |entry: fs::DirEntry| {
        let meta = entry.metadata().expect("a file that is there");
        meta.blocks() * 512 + if meta.is_dir() { disk_bytes(&entry.path()) } else { 0 }
    };
    fs::read_dir(dir).expect("a directory").flatten().map(of).sum()
}

#[test]
fn an_idle_broker_takes_less_than_40_mib_and_1_percent_of_a_core_or_5_without_optimisation() {
    let dir = TempDir::new("idle");
    let broker = Broker::start(&dir.0, &[]);
    let share = cpu_share(&broker);
    let resident = broker.memory_bytes("VmRSS:");
    assert!(resident < 40 * MIB, "{} KiB resident", resident / 1024);
    assert!(share < CPU_BOUND, "{share} thousandths of a core");
}

/// Ten thousand may take 400 MiB of memory and 200 MiB of disk; what grows with the number is bounded by the piece.
#[test]
fn empty_partitions_take_little_memory_disk_and_time_and_no_descriptors() {
    let dir = TempDir::new("partitions");
    let broker = Broker::start(&dir.0, &[]);
    let (empty, files) = (disk_bytes(&dir.0), open_files(&broker));
    make_partitions(&broker);
    let used = disk_bytes(&dir.0) - empty;
    assert!(used < partitions() as u64 * 20 * 1024, "{} KiB of disk", used / 1024);
    assert!(open_files(&broker) < files + 50, "{} descriptors, {files} before", open_files(&broker));
    let share = cpu_share(&broker);
    assert!(share < CPU_BOUND, "{share} thousandths of a core");
    assert!(broker.stop().success());
    let broker = Broker::start(&dir.0, &[]);
    assert!(broker.started_in < START_BOUND, "{:?} after a clean stop", broker.started_in);
    let resident = broker.memory_bytes("VmRSS:");
    assert!(resident < 40 * MIB + partitions() as u64 * 36 * 1024, "{} KiB resident", resident / 1024);
    broker.kill();
    let broker = Broker::start(&dir.0, &[]);
    assert!(broker.started_in < START_BOUND, "{:?} after a kill", broker.started_in);
}
