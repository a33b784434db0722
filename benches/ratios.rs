//! The log against the machine's own limit, round by round in turn, so that what else the machine does hits both. Prints
//! the median of each side and of their ratio. No criterion: it cannot pair two measurements.
//!
//! The directory is made under `KRING_BENCH_DIR`, or the system's directory for temporary files; `KRING_BENCH_GIB` is
//! the size of the log that is read cold, 1 by default. Where a shard has clients, it is alone on one CPU and they are on
//! another one, so that what they wait for is the shard and not each other.

#![allow(clippy::print_stdout, reason = "a bench reports to whoever runs it")]

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kring_benches::{TempDir, amount, batch, is_measured, on_shard, on_shard_at, raw};
use kring_runtime::net::Listener;
use kring_runtime::{Queue, ShardPlacement, now, spawn};
use kring_storage::{
    HEADER_BYTES, Log, LogBatch, LogConfig, LogDir, LogName, Offset, ReadPart, ReadRequest, ShardConfig,
    ShardStorage,
};
use kring_wire::record::{BatchHeader, Codec};

const ROUNDS: u64 = 5;
/// Between an answer and the next question of a client that is to be no load. At fixed times instead, one stall of the
/// machine (a second was seen, with the raw sender, too) would be most of the waits.
const PING_EVERY: Duration = Duration::from_millis(1);
const PRODUCERS: u64 = 64;
const SEGMENT_BYTES: u32 = 256 << 20;
const COLD_RECORDS: usize = 1000;
/// Of the shard, and of its clients.
const CPUS: [usize; 2] = [0, 1];
/// Threads that read a file at its fastest.
const RAW_READERS: u64 = 3;

fn parent() -> PathBuf {
    std::env::var_os("KRING_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from)
}

async fn open(path: &Path, tail_cache_bytes: usize) -> (LogDir, Log) {
    open_with(path, tail_cache_bytes, SEGMENT_BYTES).await
}

async fn open_with(path: &Path, tail_cache_bytes: usize, segment_bytes: u32) -> (LogDir, Log) {
    let shard = ShardStorage::new(ShardConfig { tail_cache_bytes, ..ShardConfig::default() });
    let dir = LogDir::open(path).await.expect("the directory is ours").dir;
    let config = Rc::new(LogConfig { segment_bytes, retention_ms: None, ..LogConfig::default() });
    let log = Log::open(&shard, &dir, LogName::new("bench", 0), config, None).await.expect("it opens").0;
    (dir, log)
}

fn append(log: &Log, whole: &Bytes) -> Offset {
    let mut header = BatchHeader::parse(whole).expect("a whole batch");
    header.base_offset = log.offsets().end().0;
    header.partition_leader_epoch = 0;
    let batch = LogBatch { header: header.to_bytes(), body: whole.slice(HEADER_BYTES..) };
    log.append(batch).expect("the log takes it");
    log.offsets().end()
}

/// Time for so many appends by so many producers, each waiting until its own is durable.
fn append_durably(whole: &Bytes, producers: u64, each: u64) -> Duration {
    let (dir, whole) = (TempDir::new(&parent()), whole.clone());
    let path = dir.path().to_owned();
    on_shard(move || {
        let (path, whole) = (path.clone(), whole.clone());
        async move {
            let (_dir, log) = open(&path, 64 << 20).await;
            let began = now();
            let producer = || {
                let (log, whole) = (log.clone(), whole.clone());
                spawn(Queue::Net, async move {
                    for _ in 0..each {
                        let end = append(&log, &whole);
                        log.wait_durable(end).await.expect("the disk works");
                    }
                })
            };
            let running: Vec<_> = (0..producers).map(|_| producer()).collect();
            for producer in running {
                producer.await;
            }
            began.elapsed()
        }
    })
}

fn append_raw(bytes: usize, times: u64) -> Duration {
    let dir = TempDir::new(&parent());
    raw::append_durably(&dir.path().join("raw"), bytes, times)
}

fn cold_batch() -> Bytes {
    batch(Codec::None, COLD_RECORDS, 1024)
}

/// Makes a log on disk; returns its files.
fn write_cold(path: &Path, gib: u64) -> Vec<PathBuf> {
    let path = path.to_owned();
    let dir = path.join("bench-0");
    on_shard(move || {
        let path = path.clone();
        async move {
            let whole = cold_batch();
            let (dir, log) = open(&path, 0).await;
            while log.size_bytes() < amount(gib << 30, 32 << 20) {
                let end = (0..16).map(|_| append(&log, &whole)).last().expect("sixteen");
                log.wait_durable(end).await.expect("the disk works");
            }
            log.close().await.expect("the disk works");
            dir.mark_clean(1).await.expect("the disk works");
        }
    });
    kring_benches::files_of(&dir, "log")
}

#[expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "the peer is no shard")]
fn on_client_cpu<T: Send + 'static>(
    peer: std::net::TcpStream,
    run: fn(std::net::TcpStream) -> T,
) -> std::thread::JoinHandle<T> {
    std::thread::spawn(move || {
        pin_to(CPUS[1]);
        run(peer)
    })
}

/// A test runs wherever it may.
fn pin_to(cpu: usize) {
    if is_measured() {
        raw::pin_to(cpu);
    }
}

/// Receives until the other side ends. Returns how many bytes and how long.
#[expect(clippy::disallowed_types, reason = "the peer is no shard")]
fn receive(mut from: std::net::TcpStream) -> (u64, Duration) {
    let (mut buf, mut bytes, began) = (vec![0; 1 << 20], 0, raw::instant());
    loop {
        match from.read(&mut buf).expect("the sender sends") {
            0 => return (bytes, began.elapsed()),
            count => bytes += count as u64,
        }
    }
}

/// What one client got and another waited meanwhile.
struct Sent {
    bytes: u64,
    took: Duration,
    /// Worst first of a thousand.
    wait: Duration,
}

/// Both clients of whoever listens there: the first receives, the second asks for its bytes back.
#[expect(clippy::disallowed_types, reason = "the peers are no shards")]
fn two_clients(addr: SocketAddr) -> Sent {
    let reader = std::net::TcpStream::connect(addr).expect("it listens");
    let other = std::net::TcpStream::connect(addr).expect("it listens");
    let pinging = on_client_cpu(other, ping);
    let (bytes, took) = on_client_cpu(reader, receive).join().expect("it has received");
    let mut waits = pinging.join().expect("it has pinged");
    waits.sort_unstable();
    Sent { bytes, took, wait: waits.get(waits.len() * 999 / 1000).copied().unwrap_or_default() }
}

/// The raw side: one thread that sends, and one beside it on its CPU that gives bytes back, before all others.
#[expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "the peer is no shard")]
fn send_raw(files: &[PathBuf]) -> Sent {
    files.iter().for_each(|file| raw::forget_pages(file));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let addr = listener.local_addr().expect("it is bound");
    let files = files.to_vec();
    let sender = std::thread::spawn(move || {
        pin_to(CPUS[0]);
        let reader = listener.accept().expect("it comes").0;
        let other = listener.accept().expect("it comes").0;
        let ends = other.try_clone().expect("it is open");
        let echo = std::thread::spawn(move || {
            raw::run_first();
            raw::echo(other);
        });
        raw::send_files(&files, reader);
        ends.shutdown(std::net::Shutdown::Both).expect("it is open");
        echo.join().expect("it has echoed");
    });
    let sent = two_clients(addr);
    sender.join().expect("it has sent");
    sent
}

/// The whole log, read and sent by its shard.
#[expect(clippy::disallowed_methods, reason = "the peers are no shards")]
fn send_log(path: &Path, files: &[PathBuf]) -> Sent {
    files.iter().for_each(|file| raw::forget_pages(file));
    let (addr_out, addr_in) = mpsc::channel::<SocketAddr>();
    let path = path.to_owned();
    let shard = std::thread::spawn(move || {
        let placement =
            if is_measured() { ShardPlacement::Cpus(vec![CPUS[0]]) } else { ShardPlacement::Unpinned };
        on_shard_at(placement, move || serve(path.clone(), addr_out.clone()));
    });
    let sent = two_clients(addr_in.recv().expect("the shard starts"));
    shard.join().expect("it has served");
    sent
}

/// Asks for one byte again and again until the other side ends; returns each wait. It runs before the reader, which is
/// busy on the same CPU: a wait for that would be nobody's stall.
#[expect(clippy::disallowed_types, reason = "the peer is no shard")]
fn ping(mut to: std::net::TcpStream) -> Vec<Duration> {
    if is_measured() && !raw::run_first() {
        println!("this process may not raise a priority: the waits contain those for the reader's CPU");
    }
    to.set_nodelay(true).expect("it is a socket");
    let (mut waits, mut byte) = (Vec::new(), [0]);
    loop {
        raw::sleep(PING_EVERY);
        let began = raw::instant();
        if std::io::Write::write_all(&mut to, &byte).is_err() || to.read_exact(&mut byte).is_err() {
            return waits;
        }
        waits.push(began.elapsed());
    }
}

/// One shard: the first client gets the log, the second one its bytes back until then.
async fn serve(path: PathBuf, addr: mpsc::Sender<SocketAddr>) {
    let (_dir, log) = open(&path, 0).await;
    let listener = Listener::bind("127.0.0.1:0".parse().expect("an address")).expect("loopback is there");
    addr.send(listener.local_addr()).expect("the bench waits for it");
    let reader = listener.accept().await.expect("it comes");
    let (mut pings, mut pongs) = listener.accept().await.expect("it comes").into_split();
    let echo = spawn(Queue::Net, async move {
        let mut buf = BytesMut::with_capacity(64);
        while pings.read(&mut buf).await.is_ok_and(|count| count > 0) {
            if pongs.write_all(vec![buf.split().freeze()]).await.is_err() {
                return;
            }
        }
    });
    let (_, mut to) = reader.into_split();
    let (mut offset, upto) = (log.offsets().start(), log.offsets().end());
    let batch_bytes = cold_batch().len();
    while offset < upto {
        let request = ReadRequest { offset, upto, max_bytes: 8 * batch_bytes, min_one_batch: true };
        let chunk = log.read(request).await.expect("it is there");
        assert!(chunk.bytes > 0 && chunk.bytes.is_multiple_of(batch_bytes), "all batches are of one size");
        offset = offset + (chunk.bytes / batch_bytes * COLD_RECORDS) as i64;
        for part in chunk.parts {
            match part {
                ReadPart::Memory(bytes) => to.write_all(vec![bytes]).await.expect("the peer reads"),
                ReadPart::File(range) => to.send_file(&range).await.expect("the peer reads"),
            }
        }
    }
    to.shutdown();
    drop(echo);
    log.close().await.expect("the disk works");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs both sides in turn, each telling its rate, and prints what comes out.
fn compare(what: &str, unit: &str, mut ours: impl FnMut() -> f64, mut raw: impl FnMut() -> f64) {
    let rounds: Vec<(f64, f64)> = (0..amount(ROUNDS, 1)).map(|_| (ours(), raw())).collect();
    let side = |of: fn(&(f64, f64)) -> f64| median(rounds.iter().map(of).collect());
    let (ours, raw, ratio) = (side(|r| r.0), side(|r| r.1), side(|r| r.0 / r.1));
    println!("{what}: {ours:.0} {unit}, raw {raw:.0} {unit}, ratio {ratio:.2}");
}

fn mib_per_second(bytes: u64, took: Duration) -> f64 {
    bytes as f64 / f64::from(1 << 20) / took.as_secs_f64()
}

fn large_appends() {
    let times = amount(128, 4);
    let whole = batch(Codec::None, 1000, 1024);
    let bytes = whole.len() as u64 * times;
    compare(
        "appending 1 MiB, durably, one at a time",
        "MiB/s",
        || mib_per_second(bytes, append_durably(&whole, 1, times)),
        || mib_per_second(bytes, append_raw(whole.len(), times)),
    );
}

fn group_commits() {
    let each = amount(500, 5);
    let whole = batch(Codec::None, 1, 1024 - 73);
    let rate = |took: Duration| (PRODUCERS * each) as f64 / took.as_secs_f64();
    compare(
        "64 producers of single 1 KiB batches, durably",
        "batches/s",
        || rate(append_durably(&whole, PRODUCERS, each)),
        || rate(append_raw(whole.len() * PRODUCERS as usize, each)),
    );
}

fn cold_reads() {
    let gib = std::env::var("KRING_BENCH_GIB").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let dir = TempDir::new(&parent());
    let files = write_cold(dir.path(), gib);
    let (mut stalls, mut raw_stalls) = (Vec::new(), Vec::new());
    let noted = |sent: Sent, waits: &mut Vec<Duration>| {
        waits.push(sent.wait);
        mib_per_second(sent.bytes, sent.took)
    };
    compare(
        &format!("reading a cold log of {gib} GiB over loopback"),
        "MiB/s",
        || noted(send_log(dir.path(), &files), &mut stalls),
        || noted(send_raw(&files), &mut raw_stalls),
    );
    println!("what another client of the shard waited meanwhile, p99.9 of each round: {stalls:?}");
    println!("and one of a thread that does nothing else, on the CPU of the raw sender: {raw_stalls:?}");
}

fn crashed_bytes() -> u64 {
    amount((1 << 30) - (1 << 20), 8 << 20)
}

/// Leaves a log as a crash would: durable, and no checkpoint says so. Returns its file.
fn write_crashed(path: &Path) -> PathBuf {
    let at = path.to_owned();
    on_shard(move || {
        let at = at.clone();
        async move {
            let whole = batch(Codec::None, 16, 1000);
            let (_dir, log) = open_with(&at, 0, 1 << 30).await;
            while log.size_bytes() < crashed_bytes() {
                let end = (0..64).map(|_| append(&log, &whole)).last().expect("sixty-four");
                log.wait_durable(end).await.expect("the disk works");
            }
        }
    });
    kring_benches::files_of(&path.join("bench-0"), "log").remove(0)
}

/// Opens what was left; returns how long that took.
fn recover(path: &Path) -> Duration {
    let path = path.to_owned();
    on_shard(move || {
        let path = path.clone();
        async move {
            let began = now();
            let (_dir, log) = open_with(&path, 0, 1 << 30).await;
            assert!(log.size_bytes() >= crashed_bytes(), "all of it is found");
            began.elapsed()
        }
    })
}

fn recoveries() {
    let dir = TempDir::new(&parent());
    let file = write_crashed(dir.path());
    let bytes = crashed_bytes();
    let mut times = Vec::new();
    compare(
        "recovering 1 GiB in batches of 16 KiB",
        "MiB/s",
        || {
            raw::forget_pages(&file);
            times.push(recover(dir.path()));
            mib_per_second(bytes, times[times.len() - 1])
        },
        || {
            let began = raw::instant();
            raw::read_file(&file, RAW_READERS);
            mib_per_second(bytes, began.elapsed())
        },
    );
    println!("each recovery took {times:?}");
}

fn main() {
    // Criterion's arguments mean nothing here, but a word of one of the four chooses it.
    let chosen: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let all = [
        ("large", large_appends as fn()),
        ("group", group_commits),
        ("recovery", recoveries),
        ("cold", cold_reads),
    ];
    for (name, run) in all {
        if chosen.is_empty() || chosen.iter().any(|word| word == name) {
            run();
        }
    }
}
