//! Processes that are killed, and machines whose power goes, with batches in the journal alone. Tests only.
//!
//! A batch that was acknowledged outlives its process; what was cut off does not come back; and whatever a crash leaves
//! of a journal, a log never holds what was not appended to it.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use kring_runtime::sim::{DiskOp, Sim, SimConfig, crash, disk};
use kring_runtime::{Queue, fs, random_below, sleep, spawn, timeout};

use crate::batch::LogBatch;
use crate::checkpoint::LogName;
use crate::config::LogConfig;
use crate::dir::LogDir;
use crate::journal::is_journal;
use crate::log::Log;
use crate::mutation::Mutation;
use crate::read::ReadRequest;
use crate::seeds;
use crate::shard::{ShardConfig, ShardStorage};
use crate::testing::batch_with;
use crate::types::Offset;

const BOOTS: usize = 4;
const STEPS: usize = 40;
const NAMES: [&str; 2] = ["orders", "clicks"];

/// One log as its producers and consumers know it: a batch of one record at each offset.
#[derive(Default)]
struct History {
    appended: Vec<Bytes>,
    /// So many outlive the process.
    acknowledged: usize,
    /// So many outlive a power cut.
    durable: usize,
}

impl History {
    /// It is about to be cut: from here on it ends there or where it did.
    fn may_end_at(&mut self, end: usize) {
        (self.acknowledged, self.durable) = (self.acknowledged.min(end), self.durable.min(end));
    }
}

type Histories = Rc<[RefCell<History>; 2]>;

fn cached(segment_bytes: u32) -> LogConfig {
    LogConfig { flush_messages: u64::MAX, segment_bytes, segment_ms: i64::MAX, ..LogConfig::default() }
}

/// Small segments roll often, small caches forget what the journal alone has, a small journal has no room now and then.
fn draw_shard() -> ShardStorage {
    ShardStorage::new(ShardConfig {
        tail_cache_bytes: [0, 20_000, 1 << 20][random_below(3) as usize],
        journal_bytes: [2 << 20, 4 << 20][random_below(2) as usize],
        commits_after: random_below(3) as u32,
        ..ShardConfig::default()
    })
}

async fn open(shard: &ShardStorage, dir: &LogDir, topic: &str, config: LogConfig) -> Log {
    Log::open(shard, dir, LogName::new(topic, 0), Rc::new(config), None).await.unwrap().0
}

fn next_batch(log: &Log, body_bytes: usize) -> LogBatch {
    let base = log.offsets().end().0;
    batch_with(base, 1, body_bytes, 1_000 + base, -1, -1, 0)
}

fn put(log: &Log, history: &RefCell<History>, body_bytes: usize) {
    let mut batch = next_batch(log, body_bytes);
    // No two are alike, also at the same offset.
    let marked = [&random_below(u64::MAX).to_le_bytes(), &batch.body[8.min(batch.body.len())..]].concat();
    batch.body = Bytes::from(marked);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&batch.header[21..]), &batch.body);
    batch.header[17..21].copy_from_slice(&crc.to_be_bytes());
    let bytes = Bytes::from([&batch.header[..], &batch.body[..]].concat());
    log.append(batch).unwrap();
    history.borrow_mut().appended.push(bytes);
}

async fn content(log: &Log) -> Vec<u8> {
    let (mut all, mut offset) = (Vec::new(), log.offsets().start());
    while offset < log.offsets().end() {
        let request = ReadRequest { offset, upto: Offset::MAX, max_bytes: 1, min_one_batch: true };
        all.extend_from_slice(&log.read(request).await.unwrap().into_bytes().await.unwrap());
        offset = offset.next();
    }
    all
}

/// What the log holds is a beginning of what was appended, and no shorter than was promised.
async fn check(log: &Log, history: &RefCell<History>) {
    let end = usize::try_from(log.offsets().end().0).unwrap();
    log.wait_kept(log.offsets().end()).await.unwrap();
    {
        let history = history.borrow();
        assert!(end >= history.acknowledged, "{} were acknowledged, {end} are here", history.acknowledged);
        assert!(end <= history.appended.len(), "{} were appended, {end} are here", history.appended.len());
    }
    let expected = history.borrow().appended[..end].concat();
    assert!(content(log).await == expected, "what is read is what was appended");
    let mut history = history.borrow_mut();
    history.appended.truncate(end);
    history.acknowledged = end;
}

async fn step(log: &Log, history: &RefCell<History>) {
    match random_below(24) {
        0 => {
            let end = log.flush().await.unwrap().0 as usize;
            let mut history = history.borrow_mut();
            history.durable = history.durable.max(end);
        }
        1 => {
            let to = log.offsets().end().0 - random_below(6).min(log.offsets().end().0 as u64) as i64;
            history.borrow_mut().may_end_at(to as usize);
            let end = log.truncate_to(Offset(to)).await.unwrap().0 as usize;
            history.borrow_mut().appended.truncate(end);
        }
        2 => sleep(Duration::from_millis(random_below(1500))).await,
        3 => {
            log.wait_kept(log.offsets().end()).await.unwrap();
            assert!(
                content(log).await == history.borrow().appended.concat(),
                "what is read is what was appended"
            );
        }
        4 => log.set_config(Rc::new(LogConfig {
            flush_messages: [1, 7, u64::MAX][random_below(3) as usize],
            ..cached(300_000)
        })),
        kind => {
            put(log, history, [8, 100, 4_000, 30_000, 270_000][kind as usize % 5]);
            if random_below(2) == 0 {
                log.wait_committed(log.offsets().end()).await.unwrap();
                let end = log.offsets().end().0 as usize;
                let mut history = history.borrow_mut();
                history.acknowledged = end;
                if log.config().commits_on_flush() {
                    history.durable = end;
                }
            }
        }
    }
}

/// One process: it finds what it must, works for a while, and is gone in the midst of it, or the power is.
async fn boot(histories: Histories) {
    let (shard, dir) = (draw_shard(), LogDir::open(Path::new("/data")).await.unwrap().dir);
    let mut logs = Vec::new();
    for (topic, history) in NAMES.iter().zip(histories.iter()) {
        let flush_messages = [1, u64::MAX][random_below(2) as usize];
        let log = open(&shard, &dir, topic, LogConfig { flush_messages, ..cached(300_000) }).await;
        check(&log, history).await;
        logs.push(log);
    }
    let work = async {
        for _ in 0..STEPS {
            let which = random_below(2) as usize;
            step(&logs[which], &histories[which]).await;
        }
    };
    // By chance it is gone before its work is done.
    let _gone = timeout(Duration::from_micros(1 + random_below(3_000_000)), work).await;
    shard.vanish();
    if random_below(3) == 0 {
        for history in histories.iter() {
            let mut history = history.borrow_mut();
            history.acknowledged = history.durable;
        }
        crash().await;
    }
}

fn killed_again_and_again(seed: u64) {
    let (sim, histories) = (Sim::new(SimConfig::new(seed, 1)), Histories::default());
    for _ in 0..BOOTS {
        let _how = sim.run(|_| boot(histories.clone())).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn what_was_acknowledged_outlives_the_process_and_what_was_cut_off_stays_gone() {
    let name = "what_was_acknowledged_outlives_the_process";
    seeds::hold(400, name, killed_again_and_again);
    seeds::catch(Mutation::KeepNothing, 40, killed_again_and_again);
    seeds::catch(Mutation::CommitUnwritten, 400, killed_again_and_again);
    seeds::catch(Mutation::FreeUnflushed, 400, killed_again_and_again);
    seeds::catch(Mutation::TruncationLeavesJournal, 400, killed_again_and_again);
}

pub(crate) type Process = std::pin::Pin<Box<dyn Future<Output = ()>>>;

/// One process after another on the same disk, none of which closes anything.
pub(crate) fn processes<const N: usize>(seed: u64, bodies: [fn() -> Process; N]) {
    let sim = Sim::new(SimConfig::new(seed, 1));
    for body in bodies {
        sim.run(|_| body()).unwrap_or_else(|error| panic!("{error}")).finished();
    }
}

async fn journals() -> usize {
    let entries = fs::read_dir("/data").await.unwrap();
    entries.iter().filter(|entry| is_journal(&entry.name)).count()
}

async fn one_log(flush_messages: u64) -> (LogDir, Log) {
    let dir = LogDir::open(Path::new("/data")).await.unwrap().dir;
    let shard = ShardStorage::new(ShardConfig { tail_cache_bytes: 0, ..ShardConfig::default() });
    let log = open(&shard, &dir, "orders", LogConfig { flush_messages, ..cached(1 << 30) }).await;
    (dir, log)
}

/// The first batches wait for the file and for the journal; those after them rest in it.
async fn fill(log: &Log, batches: usize) {
    for _ in 0..batches {
        log.append(next_batch(log, 1000)).unwrap();
        log.wait_kept(log.offsets().end()).await.unwrap();
        sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn a_batch_is_acknowledged_and_read_before_it_is_written_and_written_soon_after() {
    processes(
        1,
        [|| {
            Box::pin(async {
                let (_dir, log) = one_log(u64::MAX).await;
                fill(&log, 30).await;
                let offsets = log.offsets();
                assert!(offsets.written() < offsets.kept(), "{offsets:?}");
                assert_eq!((offsets.kept(), log.high_watermark()), (Offset(30), Offset(30)));
                assert_eq!(content(&log).await.len(), 30 * 1061);
                sleep(Duration::from_secs(2)).await;
                assert_eq!((log.offsets().written(), log.offsets().durable()), (Offset(30), Offset(0)));
                assert_eq!(content(&log).await.len(), 30 * 1061);
            })
        }],
    );
}

#[test]
fn a_flush_covers_what_the_journal_alone_has() {
    processes(
        2,
        [|| {
            Box::pin(async {
                let (_dir, log) = one_log(u64::MAX).await;
                fill(&log, 30).await;
                assert_eq!(log.flush().await, Ok(Offset(30)));
                assert_eq!(log.offsets().durable(), Offset(30));
                fill(&log, 5).await;
                log.set_config(Rc::new(LogConfig::default()));
                assert_eq!(log.high_watermark(), Offset(35), "what was shown stays shown");
                log.wait_durable(Offset(35)).await.unwrap();
            })
        }],
    );
}

#[test]
fn every_so_many_messages_are_flushed_also_out_of_the_journal() {
    processes(
        3,
        [|| {
            Box::pin(async {
                let (_dir, log) = one_log(10).await;
                fill(&log, 35).await;
                sleep(Duration::from_millis(100)).await;
                assert!(log.offsets().durable() >= Offset(30), "{:?}", log.offsets());
            })
        }],
    );
}

#[test]
fn an_orderly_end_leaves_no_journal_and_a_kill_leaves_one_until_it_is_taken_over() {
    processes(
        4,
        [
            || {
                Box::pin(async {
                    let (_dir, log) = one_log(u64::MAX).await;
                    fill(&log, 30).await;
                    assert_eq!(journals().await, 1);
                })
            },
            || {
                Box::pin(async {
                    assert_eq!(journals().await, 1);
                    let (dir, log) = one_log(1).await;
                    assert_eq!(log.offsets().end(), Offset(30));
                    log.wait_durable(Offset(30)).await.unwrap();
                    while journals().await > 0 {
                        sleep(Duration::from_millis(1)).await;
                    }
                    log.set_config(Rc::new(cached(1 << 30)));
                    fill(&log, 10).await;
                    assert_eq!(journals().await, 1);
                    log.close().await.unwrap();
                    assert!(dir.mark_clean(1).await.unwrap());
                    assert_eq!(journals().await, 0);
                })
            },
        ],
    );
}

#[test]
fn a_log_that_is_not_opened_finds_what_was_kept_for_it_later() {
    processes(
        5,
        [
            || {
                Box::pin(async {
                    let dir = LogDir::open(Path::new("/data")).await.unwrap().dir;
                    let shard = ShardStorage::new(ShardConfig::default());
                    for topic in NAMES {
                        fill(&open(&shard, &dir, topic, cached(1 << 30)).await, 20).await;
                    }
                })
            },
            || {
                Box::pin(async {
                    let (dir, log) = one_log(u64::MAX).await;
                    log.close().await.unwrap();
                    assert!(dir.mark_clean(1).await.unwrap());
                    assert_eq!(journals().await, 1);
                })
            },
            || {
                Box::pin(async {
                    let dir = LogDir::open(Path::new("/data")).await.unwrap().dir;
                    let shard = ShardStorage::new(ShardConfig::default());
                    for topic in NAMES {
                        let log = open(&shard, &dir, topic, cached(1 << 30)).await;
                        assert_eq!(log.offsets().end(), Offset(20), "{topic}");
                        log.flush().await.unwrap();
                    }
                    while dir.has_old_journals() {
                        sleep(Duration::from_millis(1)).await;
                    }
                })
            },
        ],
    );
}

#[test]
fn without_room_for_a_journal_each_batch_waits_for_its_write() {
    processes(
        6,
        [|| {
            Box::pin(async {
                disk().fail_from(DiskOp::Write, ".journal", 0, 28);
                let (_dir, log) = one_log(u64::MAX).await;
                fill(&log, 30).await;
                assert_eq!((log.offsets().written(), journals().await), (Offset(30), 0));
            })
        }],
    );
}

#[test]
fn a_full_disk_takes_nothing_that_the_journal_has_and_it_is_written_when_there_is_room() {
    processes(
        7,
        [
            || {
                Box::pin(async {
                    let (_dir, log) = one_log(u64::MAX).await;
                    fill(&log, 30).await;
                    disk().fail_from(DiskOp::Write, ".log", 0, 28);
                    sleep(Duration::from_secs(3)).await;
                    assert_eq!(log.high_watermark(), Offset(30));
                    assert_eq!(content(&log).await.len(), 30 * 1061);
                })
            },
            || {
                Box::pin(async {
                    disk().heal();
                    let (_dir, log) = one_log(u64::MAX).await;
                    assert_eq!(log.offsets().end(), Offset(30));
                    log.wait_kept(Offset(30)).await.unwrap();
                    assert_eq!(content(&log).await.len(), 30 * 1061);
                })
            },
        ],
    );
}

/// The write was under way when its log failed, and other logs go round the journal afterwards.
#[test]
fn what_a_failed_write_was_to_write_stays_in_the_journal() {
    processes(
        9,
        [
            || {
                Box::pin(async {
                    let dir = LogDir::open(Path::new("/data")).await.unwrap().dir;
                    let shard =
                        ShardStorage::new(ShardConfig { journal_bytes: 2 << 20, ..ShardConfig::default() });
                    let log = open(&shard, &dir, "orders", cached(1 << 30)).await;
                    fill(&log, 3).await;
                    disk().fail_from(DiskOp::Write, "orders-0/", 0, 28);
                    sleep(Duration::from_secs(3)).await;
                    let cause = "a rename found no room".into();
                    log.fail(crate::error::LogError::Full { path: "/data".into(), cause });
                    let other = open(&shard, &dir, "clicks", cached(1 << 30)).await;
                    for _ in 0..60 {
                        let end = other.offsets().end() + 1;
                        other.append(next_batch(&other, 100_000)).unwrap();
                        other.wait_kept(end).await.unwrap();
                    }
                })
            },
            || {
                Box::pin(async {
                    disk().heal();
                    let (_dir, log) = one_log(u64::MAX).await;
                    assert_eq!(log.offsets().end(), Offset(3));
                })
            },
        ],
    );
}

#[test]
fn a_deleted_log_gives_its_place_in_the_journal_back() {
    processes(
        8,
        [|| {
            Box::pin(async {
                let dir = LogDir::open(Path::new("/data")).await.unwrap().dir;
                let shard =
                    ShardStorage::new(ShardConfig { journal_bytes: 2 << 20, ..ShardConfig::default() });
                let other = open(&shard, &dir, "clicks", cached(1 << 30)).await;
                fill(&other, 2).await;
                for number in 0..40 {
                    let log = open(&shard, &dir, "orders", cached(1 << 30)).await;
                    (0..3).for_each(|_| assert!(log.append(next_batch(&log, 100_000)).is_ok(), "{number}"));
                    log.wait_kept(Offset(3)).await.unwrap();
                    log.delete().await.unwrap();
                }
                let before = other.offsets().written();
                fill(&other, 1).await;
                assert_eq!(other.offsets().written(), before, "the journal has room");
            })
        }],
    );
}

#[test]
fn a_reader_goes_on_while_what_it_reads_moves_from_the_journal_to_the_segment() {
    processes(
        9,
        [|| {
            Box::pin(async {
                let (_dir, log) = one_log(u64::MAX).await;
                fill(&log, 10).await;
                let writing = log.clone();
                let task = spawn(Queue::Net, async move { fill(&writing, 600).await });
                let mut seen = Vec::new();
                while log.offsets().end() < Offset(610) {
                    let now = content(&log).await;
                    assert!(now.starts_with(&seen), "what was read is what is read again");
                    seen = now;
                    sleep(Duration::from_millis(7)).await;
                }
                task.await;
            })
        }],
    );
}
