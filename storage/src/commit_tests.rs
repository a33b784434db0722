//! Batches that logs have made durable together, in the journal of commits. Tests only.
//!
//! Power cuts and kills at any moment, with this journal and the other, are in `journal_tests`.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use kring_runtime::sim::{Disk, DiskFaults, DiskOp, Sim, SimConfig, crash};
use kring_runtime::{Queue, fs, sleep, spawn, timeout};

use crate::checkpoint::LogName;
use crate::config::LogConfig;
use crate::dir::LogDir;
use crate::disk_settings::DiskSettings;
use crate::error::LogError;
use crate::journal::is_journal;
use crate::log::{Awaits, Log};
use crate::mutation::Mutation;
use crate::read::ReadRequest;
use crate::seeds;
use crate::shard::{ShardConfig, ShardStorage};
use crate::testing::batch_with;
use crate::types::Offset;

const ENOSPC: i32 = 28;
const EIO: i32 = 5;
const JOURNAL: &str = ".journal";

/// One machine, on which one process runs after another; a process may end by a power cut.
struct Machine(Sim);

impl Machine {
    fn new(seed: u64) -> Machine {
        Machine(Sim::new(SimConfig::new(seed, 1)))
    }

    fn process<F: Future<Output = ()> + 'static>(&self, body: impl Fn(Disk) -> F) {
        let disk = self.0.disk();
        let _how = self.0.run(|_| body(disk.clone())).unwrap_or_else(|error| panic!("{error}"));
    }
}

fn small_shard() -> ShardStorage {
    ShardStorage::new(ShardConfig {
        tail_cache_bytes: 0,
        journal_bytes: 2 << 20,
        commits_after: 1,
        ..ShardConfig::default()
    })
}

async fn directory() -> LogDir {
    LogDir::open(Path::new("/data")).await.unwrap().dir
}

async fn open(shard: &ShardStorage, dir: &LogDir, partition: i32) -> Log {
    open_with(shard, dir, partition, LogConfig::default()).await
}

async fn open_with(shard: &ShardStorage, dir: &LogDir, partition: i32, config: LogConfig) -> Log {
    let name = LogName::new("orders", partition);
    Log::open(shard, dir, name, Rc::new(config), None).await.unwrap().0
}

fn slow(disk: &Disk, paths: &str, by: Duration) {
    disk.set_faults(DiskFaults { paths: paths.into(), slow: 1000, slow_by: by, ..DiskFaults::default() });
}

fn append(log: &Log, bytes: usize) -> Offset {
    let base = log.offsets().end();
    log.append(batch_with(base.0, 1, bytes, 1_000 + base.0, -1, -1, 0)).unwrap();
    log.offsets().end()
}

async fn put(log: &Log, bytes: usize) {
    log.wait_durable(append(log, bytes)).await.unwrap();
}

/// With the journal there: it is made once some batches have followed each other.
async fn warm_log(shard: &ShardStorage, dir: &LogDir, partition: i32) -> Log {
    let log = open(shard, dir, partition).await;
    for _ in 0..3 {
        put(&log, 100).await;
        sleep(Duration::from_millis(20)).await;
    }
    log
}

async fn read_all(log: &Log) -> usize {
    let mut bytes = 0;
    let mut offset = log.offsets().start();
    while offset < log.high_watermark() {
        let request = ReadRequest { offset, upto: log.high_watermark(), max_bytes: 1, min_one_batch: true };
        bytes += log.read(request).await.unwrap().into_bytes().await.unwrap().len();
        offset = offset.next();
    }
    bytes
}

async fn journals() -> usize {
    let entries = fs::read_dir("/data").await.unwrap();
    entries.iter().filter(|entry| is_journal(&entry.name)).count()
}

#[test]
fn a_batch_is_durable_and_read_before_its_segment_has_it_and_outlives_a_power_cut() {
    let machine = Machine::new(1);
    machine.process(|_| async {
        let dir = directory().await;
        let log = warm_log(&small_shard(), &dir, 0).await;
        put(&log, 900).await;
        let offsets = log.offsets();
        assert_eq!((offsets.written(), offsets.durable()), (Offset(3), Offset(4)), "{offsets:?}");
        assert_eq!(read_all(&log).await, 3 * 161 + 961);
        crash().await;
    });
    machine.process(|_| async {
        let dir = directory().await;
        let log = open(&small_shard(), &dir, 0).await;
        assert_eq!((log.offsets().end(), log.offsets().flushed()), (Offset(4), Offset(4)));
        assert_eq!(read_all(&log).await, 3 * 161 + 961);
    });
}

#[test]
fn it_is_written_a_little_later_without_a_flush_and_a_flush_is_one_of_the_segment() {
    let machine = Machine::new(2);
    machine.process(|disk: Disk| async move {
        let dir = directory().await;
        let log = warm_log(&small_shard(), &dir, 0).await;
        put(&log, 900).await;
        let before = disk.data_syncs();
        sleep(Duration::from_secs(2)).await;
        assert_eq!((log.offsets().written(), log.offsets().flushed()), (Offset(4), Offset(3)));
        assert_eq!(disk.data_syncs(), before, "nobody waits for it in its segment");
        assert_eq!(log.flush().await, Ok(Offset(4)));
        assert_eq!(log.offsets().flushed(), Offset(4));
    });
}

#[test]
fn logs_share_a_write_and_its_flush() {
    let machine = Machine::new(3);
    machine.process(|disk: Disk| async move {
        let (dir, shard) = (directory().await, small_shard());
        let mut logs = Vec::new();
        for partition in 0..20 {
            logs.push(warm_log(&shard, &dir, partition).await);
        }
        let before = disk.data_syncs();
        let ends: Vec<Offset> = logs.iter().map(|log| append(log, 900)).collect();
        for (log, end) in logs.iter().zip(ends) {
            log.wait_durable(end).await.unwrap();
        }
        assert_eq!(disk.data_syncs() - before, 1, "of twenty logs");
    });
}

#[test]
fn who_waits_for_no_flush_does_not_share_one() {
    let machine = Machine::new(4);
    machine.process(|disk: Disk| async move {
        let dir = directory().await;
        let log = warm_log(&small_shard(), &dir, 0).await;
        let before = disk.data_syncs();
        let base = log.offsets().end();
        let batch = batch_with(base.0, 1, 900, 1_000, -1, -1, 0);
        log.append_for(batch, Awaits::Write).unwrap();
        log.wait_kept(log.offsets().end()).await.unwrap();
        assert_eq!((log.offsets().written(), disk.data_syncs()), (base.next(), before));
        // What follows it is not durable before it is.
        put(&log, 900).await;
        assert_eq!(log.offsets().durable(), log.offsets().end());
    });
}

#[test]
fn a_large_batch_goes_to_its_segment_at_once_and_small_ones_behind_it_follow() {
    let machine = Machine::new(5);
    machine.process(|_| async {
        let dir = directory().await;
        let log = warm_log(&small_shard(), &dir, 0).await;
        put(&log, 900).await;
        put(&log, 300_000).await;
        assert_eq!(log.offsets().flushed(), Offset(5), "and what was before it");
        put(&log, 900).await;
        assert_eq!((log.offsets().flushed(), log.offsets().durable()), (Offset(5), Offset(6)));
    });
}

/// Twenty times as much as it holds, of a log with much and of one with little.
#[test]
fn a_journal_is_used_over_and_over_and_nothing_waits_for_ever() {
    let machine = Machine::new(6);
    machine.process(|_| async {
        let (dir, shard) = (directory().await, small_shard());
        let (much, little) = (warm_log(&shard, &dir, 0).await, warm_log(&shard, &dir, 1).await);
        let mut enlisted = 0;
        for round in 0..800 {
            put(&much, 50_000).await;
            enlisted += u32::from(much.offsets().enlisted() == much.offsets().end());
            if round % 50 == 0 {
                put(&little, 100).await;
            }
        }
        assert!(enlisted > 400, "{enlisted} of 800 found room");
        assert_eq!(journals().await, 1);
        crash().await;
    });
    machine.process(|_| async {
        let (dir, shard) = (directory().await, small_shard());
        for (partition, end) in [(0, 803), (1, 19)] {
            assert_eq!(open(&shard, &dir, partition).await.offsets().end(), Offset(end));
        }
    });
}

#[test]
fn a_journal_that_cannot_be_written_takes_its_directory_offline_and_acknowledges_nothing() {
    let machine = Machine::new(7);
    machine.process(|disk: Disk| async move {
        let (dir, shard) = (directory().await, small_shard());
        let (one, other) = (warm_log(&shard, &dir, 0).await, warm_log(&shard, &dir, 1).await);
        disk.fail(DiskOp::Sync, JOURNAL, 0, EIO);
        let ends = [&one, &other].map(|log| append(log, 900));
        for (log, end) in [&one, &other].into_iter().zip(ends) {
            assert!(log.wait_durable(end).await.is_err());
            assert_eq!(log.high_watermark(), Offset(3));
        }
        assert!(dir.offline().is_some());
        assert_eq!(read_all(&one).await, 3 * 161, "what is there is read");
    });
}

/// As on a file system that writes each block anew.
#[test]
fn a_journal_that_finds_no_room_waits_for_it() {
    let machine = Machine::new(8);
    machine.process(|disk: Disk| async move {
        let dir = directory().await;
        let log = warm_log(&small_shard(), &dir, 0).await;
        disk.fail_from(DiskOp::Write, JOURNAL, 0, ENOSPC);
        let end = append(&log, 900);
        sleep(Duration::from_millis(300)).await;
        assert_eq!(log.offsets().durable(), Offset(3));
        disk.heal();
        log.wait_durable(end).await.unwrap();
        assert_eq!(dir.offline(), None);
        disk.fail_from(DiskOp::Write, JOURNAL, 0, ENOSPC);
        let end = append(&log, 900);
        sleep(Duration::from_millis(300)).await;
        assert_eq!(log.close().await, Ok(()), "an end does not need the journal");
        assert_eq!(log.offsets().durable(), end);
    });
}

#[test]
fn a_deleted_log_and_a_truncated_one_leave_nothing_in_it() {
    let machine = Machine::new(9);
    machine.process(|_| async {
        let (dir, shard) = (directory().await, small_shard());
        let (cut, gone) = (warm_log(&shard, &dir, 0).await, warm_log(&shard, &dir, 1).await);
        for log in [&cut, &gone] {
            put(log, 900).await;
        }
        let end = append(&gone, 900);
        gone.delete().await.unwrap();
        assert_eq!(gone.wait_durable(end).await, Err(LogError::Closed));
        assert_eq!(cut.truncate_to(Offset(2)).await, Ok(Offset(2)));
        put(&cut, 500).await;
        let again = open(&shard, &dir, 1).await;
        assert_eq!(again.offsets().end(), Offset(0));
        put(&again, 100).await;
        crash().await;
    });
    machine.process(|_| async {
        let (dir, shard) = (directory().await, small_shard());
        let (cut, again) = (open(&shard, &dir, 0).await, open(&shard, &dir, 1).await);
        assert_eq!((cut.offsets().end(), again.offsets().end()), (Offset(3), Offset(1)));
        assert_eq!(read_all(&cut).await, 2 * 161 + 561);
    });
}

#[test]
fn an_orderly_end_leaves_no_journal() {
    let machine = Machine::new(10);
    machine.process(|_| async {
        let dir = directory().await;
        let log = warm_log(&small_shard(), &dir, 0).await;
        put(&log, 900).await;
        assert_eq!(journals().await, 1);
        log.close().await.unwrap();
        assert!(dir.mark_clean(1).await.unwrap());
        assert_eq!(journals().await, 0);
    });
}

#[test]
fn a_log_that_changes_how_it_is_flushed_loses_nothing_to_a_kill() {
    let machine = Machine::new(11);
    machine.process(|_| async {
        let dir = directory().await;
        let log = warm_log(&small_shard(), &dir, 0).await;
        for round in 0..40_u64 {
            let flush_messages = if round % 2 == 0 { u64::MAX } else { 1 };
            log.set_config(Rc::new(LogConfig { flush_messages, ..LogConfig::default() }));
            for _ in 0..5 {
                log.wait_committed(append(&log, 900)).await.unwrap();
            }
        }
    });
    machine.process(|_| async {
        let dir = directory().await;
        assert_eq!(open(&small_shard(), &dir, 0).await.offsets().end(), Offset(203));
    });
}

#[test]
fn a_shard_with_little_to_do_has_no_journal() {
    let machine = Machine::new(12);
    machine.process(|_| async {
        let dir = directory().await;
        let shard = ShardStorage::new(ShardConfig::default());
        let log = open(&shard, &dir, 0).await;
        for _ in 0..40 {
            put(&log, 900).await;
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!((journals().await, log.offsets().flushed()), (0, Offset(40)));
    });
}

/// One begins alone, and seven come during its write: the split that two halves which take turns would keep for ever.
#[test]
fn producers_that_were_answered_share_the_next_group_with_those_who_came_meanwhile() {
    const ROUNDS: u64 = 20;
    let machine = Machine::new(13);
    machine.process(|disk: Disk| async move {
        let (dir, shard) = (directory().await, small_shard());
        let mut logs = Vec::new();
        for partition in 0..8 {
            logs.push(warm_log(&shard, &dir, partition).await);
        }
        let before = disk.data_syncs();
        let producer = |log: &Log| {
            let log = log.clone();
            spawn(Queue::Net, async move {
                for _ in 0..ROUNDS {
                    put(&log, 500).await;
                }
            })
        };
        let mut all = vec![producer(&logs[0])];
        sleep(Duration::from_micros(1)).await;
        all.extend(logs[1..].iter().map(producer));
        for producer in all {
            producer.await;
        }
        let asked = disk.data_syncs() - before;
        assert!(asked < ROUNDS * 3 / 2, "{asked} flushes for {ROUNDS} batches of each");
    });
}

/// Where partition 0 ends for the next process.
fn end_at_next_start(machine: &Machine) -> Offset {
    let end = Rc::new(Cell::new(Offset(0)));
    let found = end.clone();
    machine.process(move |disk: Disk| {
        disk.heal();
        let found = found.clone();
        async move {
            let dir = directory().await;
            found.set(open(&small_shard(), &dir, 0).await.offsets().end());
        }
    });
    end.get()
}

/// Durable in the journal when the power goes; the next start finds a full disk, then room, and the power goes again.
fn full_at_the_start(seed: u64, flush_messages: u64) {
    let machine = Machine::new(seed);
    machine.process(|_| async {
        let dir = directory().await;
        let log = warm_log(&small_shard(), &dir, 0).await;
        for _ in 0..10 {
            put(&log, 5000).await;
        }
        crash().await;
    });
    machine.process(|disk: Disk| async move {
        // The first is the recovery's truncation.
        disk.fail_from(DiskOp::Write, ".log", 1, ENOSPC);
        let dir = directory().await;
        let config = LogConfig { flush_messages, ..LogConfig::default() };
        let log = open_with(&small_shard(), &dir, 0, config).await;
        assert_eq!(log.offsets().end(), Offset(13));
        sleep(Duration::from_millis(200)).await;
        disk.heal();
        slow(&disk, "orders-0/", Duration::from_millis(200));
        while journals().await > 0 {
            sleep(Duration::from_micros(20)).await;
        }
        fs::sync_dir("/data").await.unwrap();
        crash().await;
    });
    assert_eq!(end_at_next_start(&machine), Offset(13), "seed {seed}");
}

#[test]
fn what_is_taken_over_stays_in_its_journal_until_it_is_flushed() {
    for seed in 0..10 {
        full_at_the_start(seed, 1);
        full_at_the_start(seed, u64::MAX);
    }
}

#[test]
fn a_journal_whose_removal_is_not_durable_takes_its_directory_offline() {
    let machine = Machine::new(15);
    machine.process(|disk: Disk| async move {
        let (dir, shard) = (directory().await, small_shard());
        let (cut, other) = (warm_log(&shard, &dir, 0).await, warm_log(&shard, &dir, 1).await);
        put(&cut, 900).await;
        put(&other, 900).await;
        disk.fail(DiskOp::Names, "/data", 1, EIO);
        assert!(cut.truncate_to(Offset(2)).await.is_err());
        assert!(dir.offline().is_some(), "what it is given would go with its name");
    });
}

#[test]
fn while_a_journal_waits_for_room_others_write_and_what_comes_goes_to_its_segment() {
    let machine = Machine::new(16);
    machine.process(|disk: Disk| async move {
        let dir = directory().await;
        dir.use_disk(DiskSettings { writes_at_once: NonZeroUsize::new(1), ..DiskSettings::default() });
        let log = warm_log(&small_shard(), &dir, 0).await;
        disk.fail_from(DiskOp::Write, JOURNAL, 0, ENOSPC);
        for _ in 0..600 {
            append(&log, 50_000);
            sleep(Duration::from_millis(20)).await;
        }
        assert!(log.0.commits.enlisted_bytes() <= 2 << 20, "{} bytes wait", log.0.commits.enlisted_bytes());
        assert_eq!(timeout(Duration::from_secs(600), log.close()).await, Ok(Ok(())));
    });
}

#[test]
fn logs_that_come_and_go_leave_nothing_behind() {
    let machine = Machine::new(17);
    machine.process(|_| async move {
        let (dir, shard) = (directory().await, small_shard());
        let first = warm_log(&shard, &dir, 0).await;
        first.flush().await.unwrap();
        for _ in 0..100 {
            let log = open(&shard, &dir, 1).await;
            put(&log, 100).await;
            put(&log, 100).await;
            sleep(Duration::from_millis(1100)).await;
            log.close().await.unwrap();
        }
        assert!(first.0.commits.owing() < 10, "{}", first.0.commits.owing());
    });
}

#[test]
fn a_start_that_meets_a_truncation_is_raised_when_what_is_below_is_flushed() {
    for seed in 0..10 {
        let machine = Machine::new(seed);
        machine.process(|disk: Disk| async move {
            let (dir, shard) = (directory().await, small_shard());
            let (log, other) = (warm_log(&shard, &dir, 0).await, warm_log(&shard, &dir, 1).await);
            for _ in 0..20 {
                put(&log, 900).await;
            }
            log.flush().await.unwrap();
            slow(&disk, "offset-checkpoint", Duration::from_secs(2));
            let cut = log.clone();
            let cut = spawn(Queue::Net, async move { cut.truncate_to(Offset(10)).await });
            sleep(Duration::from_micros(100)).await;
            let delete = |at| {
                let log = log.clone();
                spawn(Queue::Net, async move { log.delete_records_before(Offset(at)).await })
            };
            let deletes = [delete(5), delete(20)];
            cut.await.unwrap();
            for _ in 0..5 {
                put(&other, 100).await;
                sleep(Duration::from_millis(5)).await;
            }
            for _ in 0..12 {
                put(&log, 900).await;
            }
            for delete in deletes {
                let deleted = delete.await;
                let is_cut_off = matches!(deleted, Err(LogError::OffsetOutOfRange { .. }));
                assert!(deleted.is_ok() || is_cut_off, "{deleted:?}");
            }
            assert!(log.offsets().start() <= log.offsets().flushed());
        });
    }
}

/// A log that fails, or is deleted, while its write is under way.
#[test]
fn a_log_that_ends_beside_its_write_holds_up_no_truncation() {
    for is_deleted in [false, true] {
        let machine = Machine::new(18);
        machine.process(move |disk: Disk| async move {
            let (dir, shard) = (directory().await, small_shard());
            let (log, other) = (warm_log(&shard, &dir, 0).await, warm_log(&shard, &dir, 1).await);
            put(&log, 900).await;
            slow(&disk, ".log", Duration::from_millis(100));
            log.write_out();
            sleep(Duration::from_millis(2)).await;
            assert_eq!(log.offsets().written(), Offset(3));
            match is_deleted {
                true => log.delete().await.unwrap(),
                false => {
                    let cause = "a rename found no room".into();
                    log.fail(LogError::Full { path: "/data".into(), cause });
                }
            }
            disk.heal();
            sleep(Duration::from_secs(1)).await;
            put(&other, 900).await;
            let cut = timeout(Duration::from_secs(60), other.truncate_to(Offset(2))).await;
            assert_eq!(
                cut.expect("it ends").is_ok(),
                is_deleted,
                "a failed log's batches stay for the next start"
            );
        });
    }
}

/// A flush ends while more is durable in the journal; then a checkpoint is written, and the power goes.
fn power_goes_after_a_checkpoint(seed: u64) {
    let machine = Machine::new(seed);
    machine.process(|disk: Disk| async move {
        let dir = directory().await;
        let log = warm_log(&small_shard(), &dir, 0).await;
        put(&log, 9000).await;
        log.write_out();
        sleep(Duration::from_millis(10)).await;
        slow(&disk, ".log", Duration::from_millis(500));
        log.request_flush();
        put(&log, 9000).await;
        log.wait_until(|state| state.offsets.flushed() >= Offset(4)).await.unwrap();
        disk.heal();
        assert_eq!((log.offsets().flushed(), log.offsets().durable()), (Offset(4), Offset(5)));
        dir.write_checkpoints().await.unwrap();
        crash().await;
    });
    assert_eq!(end_at_next_start(&machine), Offset(5));
}

#[test]
fn a_checkpoint_promises_what_is_flushed_and_not_what_the_journal_alone_has() {
    seeds::hold(10, "a_checkpoint_promises_what_is_flushed", power_goes_after_a_checkpoint);
    seeds::catch(Mutation::PromiseByJournal, 10, power_goes_after_a_checkpoint);
}

fn reads_while_a_group_is_written(seed: u64) {
    Machine::new(seed).process(|disk: Disk| async move {
        let dir = directory().await;
        let log = warm_log(&small_shard(), &dir, 0).await;
        slow(&disk, JOURNAL, Duration::from_secs(1));
        append(&log, 900);
        sleep(Duration::from_millis(1)).await;
        assert_eq!((log.offsets().enlisted(), log.high_watermark()), (Offset(4), Offset(3)));
        let upto = log.high_watermark();
        let request = ReadRequest { offset: Offset(0), upto, max_bytes: 1 << 20, min_one_batch: true };
        assert_eq!(log.read(request).await.unwrap().bytes, 3 * 161);
    });
}

#[test]
fn a_reader_sees_nothing_that_is_on_its_way_to_the_journal() {
    seeds::hold(10, "a_reader_sees_nothing_that_is_on_its_way", reads_while_a_group_is_written);
    seeds::catch(Mutation::ShowEnlisted, 10, reads_while_a_group_is_written);
}

/// Flushed once, and then kept only, while the segment cannot be written.
fn changes_its_journal(seed: u64) {
    let machine = Machine::new(seed);
    machine.process(|disk: Disk| async move {
        let (dir, shard) = (directory().await, small_shard());
        let kept = || LogConfig { flush_messages: u64::MAX, ..LogConfig::default() };
        let other = open_with(&shard, &dir, 1, kept()).await;
        for _ in 0..3 {
            other.wait_kept(append(&other, 900)).await.unwrap();
            sleep(Duration::from_millis(20)).await;
        }
        let log = warm_log(&shard, &dir, 0).await;
        put(&log, 900).await;
        slow(&disk, "orders-0/", Duration::from_secs(5));
        log.set_config(Rc::new(kept()));
        let end = append(&log, 900);
        let is_kept = timeout(Duration::from_millis(50), log.wait_committed(end)).await.is_ok();
        KEPT.set(if is_kept { end } else { Offset(4) });
    });
    assert!(end_at_next_start(&machine) >= KEPT.get());
}

thread_local! {
    static KEPT: Cell<Offset> = const { Cell::new(Offset(0)) };
}

#[test]
fn a_log_that_is_kept_after_it_was_flushed_has_its_batches_in_one_journal() {
    seeds::hold(20, "a_log_that_is_kept_after_it_was_flushed", changes_its_journal);
    seeds::catch(Mutation::MixJournals, 20, changes_its_journal);
}

#[test]
fn deleting_records_that_the_journal_alone_has_flushes_them_first() {
    Machine::new(21).process(|_| async {
        let dir = directory().await;
        let log = warm_log(&small_shard(), &dir, 0).await;
        put(&log, 900).await;
        assert_eq!(log.offsets().written(), Offset(3));
        assert_eq!(log.delete_records_before(Offset(4)).await, Ok(Offset(4)));
    });
}
