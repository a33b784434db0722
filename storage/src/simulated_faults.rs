//! Logs on a simulated disk that fills up and is freed again, and in a process without descriptors. Tests only.
//!
//! A failing seed prints the command that repeats it.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use kring_runtime::net::{Listener, SendFileError, connect};
use kring_runtime::sim::{Disk, DiskOp, RunEnd, Sim, SimConfig, crash};
use kring_runtime::{Queue, random_below, sleep, spawn, timeout};

use crate::checkpoint::LogName;
use crate::config::LogConfig;
use crate::dir::LogDir;
use crate::error::LogError;
use crate::log::Log;
use crate::mutation::Mutation;
use crate::read::{ReadPart, ReadRequest};
use crate::seeds;
use crate::shard::{ShardConfig, ShardStorage};
use crate::space::Claim;
use crate::testing::batch_with;
use crate::types::Offset;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EMFILE: i32 = 24;
const MIB: u64 = 1 << 20;
const LOG_FILE: &str = ".log";
const EPOCHS_FILE: &str = "/data/orders-0/leader-epoch-checkpoint";

fn once<F: Future<Output = ()> + 'static>(sim: &Sim, body: impl Fn(Disk) -> F) {
    let disk = sim.disk();
    sim.run(move |_| body(disk.clone())).unwrap_or_else(|error| panic!("{error}")).finished();
}

async fn one_log(config: LogConfig) -> (LogDir, Log) {
    let dir = LogDir::open(Path::new("/data")).await.unwrap().dir;
    let shard = ShardStorage::new(ShardConfig {
        tail_cache_bytes: 0,
        open_files: 3,
        index_cache_bytes: 1000,
        ..ShardConfig::default()
    });
    let log = Log::open(&shard, &dir, LogName::new("orders", 0), Rc::new(config), None).await.unwrap().0;
    (dir, log)
}

fn put(log: &Log, body: usize) -> Result<Offset, LogError> {
    let base = log.offsets().end().0;
    log.append(batch_with(base, 1, body, 1_000 + base, -1, -1, 0))?;
    Ok(log.offsets().end())
}

async fn read_all(log: &Log) -> Vec<u8> {
    read_up_to(log, log.high_watermark().0).await
}

async fn read_up_to(log: &Log, end: i64) -> Vec<u8> {
    let (mut offset, end) = (log.offsets().start(), Offset(end));
    let mut all = Vec::new();
    while offset < end {
        let request = ReadRequest { offset, upto: end, max_bytes: 1, min_one_batch: true };
        let bytes = log.read(request).await.unwrap().into_bytes().await.unwrap();
        offset = crate::batch::BatchInfo::parse(&bytes).unwrap().end_offset();
        all.extend_from_slice(&bytes);
    }
    all
}

#[test]
fn a_full_disk_holds_writes_up_and_they_go_on_by_themselves() {
    once(&Sim::new(SimConfig::new(1, 1)), async |disk| {
        let (dir, log) = one_log(LogConfig::default()).await;
        log.wait_durable(put(&log, 100).unwrap()).await.unwrap();
        disk.set_capacity(0);
        let end = put(&log, 5000).unwrap();
        let told = log.wait_committed_unless_stalled(end).await.unwrap_err();
        assert!(matches!(told, LogError::Stalled { .. }), "{told}");
        assert!(matches!(put(&log, 100).unwrap_err(), LogError::Full { .. }));
        assert!(timeout(Duration::from_secs(60), log.wait_durable(end)).await.is_err(), "nothing is durable");
        assert_eq!((log.high_watermark(), log.offsets().written()), (Offset(1), Offset(1)));
        assert_eq!(dir.offline(), None);
        disk.set_capacity(u64::MAX);
        log.wait_durable(end).await.unwrap();
        log.wait_committed_unless_stalled(put(&log, 100).unwrap()).await.unwrap();
        assert_eq!(read_all(&log).await.len(), 2 * 161 + 5061);
        log.close().await.unwrap();
        assert!(dir.mark_clean(1).await.unwrap());
    });
}

#[test]
fn a_log_that_a_crash_left_on_a_full_disk_is_read_and_goes_on_once_there_is_room() {
    let sim = Sim::new(SimConfig::new(9, 1));
    let first = sim.run(|_| async {
        let (_dir, log) = one_log(LogConfig::default()).await;
        log.wait_durable(put(&log, 100).unwrap()).await.unwrap();
        crash().await;
    });
    assert!(matches!(first.unwrap_or_else(|error| panic!("{error}")), RunEnd::Crashed));
    once(&sim, async |disk| {
        disk.set_capacity(0);
        let (dir, log) = one_log(LogConfig::default()).await;
        assert_eq!(read_all(&log).await.len(), 161);
        let end = put(&log, 100).unwrap();
        log.wait_committed_unless_stalled(end).await.unwrap_err();
        assert_eq!((dir.offline(), log.fault()), (None, None));
        assert_eq!(disk.peek(EPOCHS_FILE), None);
        disk.set_capacity(u64::MAX);
        log.wait_durable(end).await.unwrap();
        assert_eq!(disk.peek(EPOCHS_FILE).unwrap(), b"0\n1\n0 0\n", "written down before the batch");
    });
}

#[test]
fn records_below_the_high_watermark_can_be_deleted_while_the_disk_is_full() {
    once(&Sim::new(SimConfig::new(2, 1)), async |disk| {
        let (_dir, log) = one_log(LogConfig { flush_messages: u64::MAX, ..LogConfig::default() }).await;
        log.wait_kept(put(&log, 100).unwrap()).await.unwrap();
        disk.fail_from(DiskOp::Write, LOG_FILE, 0, ENOSPC);
        let end = put(&log, 100).unwrap();
        log.wait_kept_unless_stalled(end).await.unwrap_err();
        assert_eq!(log.delete_records_before(Offset(1)).await.unwrap(), Offset(1));
    });
}

/// Batches of two are a segment, and all of them have expired.
fn short_lived() -> LogConfig {
    LogConfig { segment_bytes: 400, retention_ms: Some(1), ..LogConfig::default() }
}

#[test]
fn a_newest_segment_that_finds_no_room_to_end_in_does_not_keep_the_older_ones() {
    once(&Sim::new(SimConfig::new(5, 1)), async |disk| {
        let (_dir, log) = one_log(short_lived()).await;
        for _ in 0..5 {
            log.wait_durable(put(&log, 100).unwrap()).await.unwrap();
        }
        disk.fail_from(DiskOp::Write, "00005.snapshot", 0, ENOSPC);
        let deleting = timeout(Duration::from_secs(60), log.delete_old_segments()).await;
        assert_eq!(deleting.expect("it waits for no room").unwrap().segments, 2);
        assert_eq!(log.offsets().start(), Offset(4));
        disk.heal();
        // It is tried again after a while.
        sleep(Duration::from_secs(60)).await;
        assert_eq!(log.delete_old_segments().await.unwrap().segments, 1);
        assert_eq!(log.offsets().start(), Offset(5));
    });
}

#[test]
fn no_recovery_point_is_waited_for_where_there_is_no_room() {
    once(&Sim::new(SimConfig::new(6, 1)), async |disk| {
        let (_dir, log) = one_log(LogConfig::default()).await;
        log.wait_durable(put(&log, 100).unwrap()).await.unwrap();
        disk.fail_from(DiskOp::Write, LOG_FILE, 0, ENOSPC);
        log.wait_kept_unless_stalled(put(&log, 5000).unwrap()).await.unwrap_err();
        let saving = timeout(Duration::from_secs(60), log.save_recovery_point()).await;
        saving.expect("other logs have their turn").unwrap();
    });
}

#[test]
fn a_log_that_waits_for_room_can_be_deleted_and_closed() {
    for is_deleted in [true, false] {
        once(&Sim::new(SimConfig::new(3, 1)), move |disk| async move {
            let (dir, log) = one_log(LogConfig::default()).await;
            log.wait_durable(put(&log, 100).unwrap()).await.unwrap();
            disk.fail_from(DiskOp::Write, LOG_FILE, 0, ENOSPC);
            log.wait_kept_unless_stalled(put(&log, 100).unwrap()).await.unwrap_err();
            if is_deleted {
                log.delete().await.unwrap();
                assert_eq!(dir.space().under_way(), 0, "what was never written takes no room");
            } else {
                log.close().await.unwrap_err();
                assert!(
                    !dir.mark_clean(1).await.unwrap(),
                    "a log with unwritten batches is not called clean"
                );
            }
            assert_eq!(dir.offline(), None);
        });
    }
}

#[test]
fn a_flush_that_finds_no_room_is_not_tried_again() {
    once(&Sim::new(SimConfig::new(4, 1)), async |disk| {
        let (dir, log) = one_log(LogConfig::default()).await;
        log.wait_durable(put(&log, 100).unwrap()).await.unwrap();
        disk.fail(DiskOp::Sync, LOG_FILE, 0, ENOSPC);
        let end = put(&log, 100).unwrap();
        log.wait_kept(end).await.unwrap();
        log.wait_durable(end).await.unwrap_err();
        assert!(dir.offline().is_some(), "what a failed flush left on disk is not known");
        assert_eq!(log.offsets().durable(), Offset(1));
    });
}

#[test]
fn a_process_without_descriptors_loses_no_log_and_no_directory() {
    for op in [DiskOp::Open, DiskOp::Names] {
        once(&Sim::new(SimConfig::new(5, 1)), move |disk| async move {
            let (dir, log) = one_log(LogConfig { segment_bytes: 400, ..LogConfig::default() }).await;
            for _ in 0..10 {
                disk.fail_from(op, "orders", 0, EMFILE);
                let end = put(&log, 300).unwrap();
                let ended = timeout(Duration::from_secs(5), log.wait_durable(end)).await;
                assert!(ended.is_err() || ended.is_ok_and(|written| written.is_ok()), "it waits or it works");
                disk.heal();
                log.wait_durable(end).await.unwrap();
            }
            assert_eq!(dir.offline(), None);
            assert_eq!(read_all(&log).await.len(), 10 * 361);
        });
    }
}

#[test]
fn a_read_without_a_descriptor_fails_alone() {
    once(&Sim::new(SimConfig::new(6, 1)), async |disk| {
        let (dir, log) = one_log(LogConfig { segment_bytes: 400, ..LogConfig::default() }).await;
        for _ in 0..4 {
            log.wait_durable(put(&log, 300).unwrap()).await.unwrap();
        }
        disk.fail_from(DiskOp::Open, LOG_FILE, 0, EMFILE);
        let request =
            ReadRequest { offset: Offset(0), upto: Offset(1), max_bytes: 1000, min_one_batch: true };
        let refused = log.read(request).await.unwrap_err();
        assert!(matches!(refused, LogError::Exhausted { .. }), "{refused}");
        disk.heal();
        assert!(!log.read(request).await.unwrap().is_empty());
        assert_eq!((dir.offline(), log.fault()), (None, None));
    });
}

#[test]
fn a_file_that_failed_while_it_was_sent_is_read_before_more_of_it_is_promised() {
    once(&Sim::new(SimConfig::new(8, 1)), async |disk| {
        let (dir, log) = one_log(LogConfig::default()).await;
        log.wait_durable(put(&log, 20_000).unwrap()).await.unwrap();
        let request = ReadRequest { offset: Offset(0), upto: Offset(1), max_bytes: 1, min_one_batch: true };
        let chunk = log.read(request).await.unwrap();
        let Some(ReadPart::File(range)) = chunk.parts.first() else {
            panic!("whole blocks come by sendfile")
        };
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let client = spawn(Queue::Net, connect(listener.local_addr()));
        let mut writer = listener.accept().await.unwrap().into_split().1;
        disk.fail_from(DiskOp::Read, LOG_FILE, 0, EIO);
        assert!(matches!(writer.send_file(range).await, Err(SendFileError::File(_))));
        let _client = client.await.unwrap();
        let refused = log.read(request).await.unwrap_err();
        assert!(matches!(refused, LogError::Io { .. }), "{refused}");
        assert_eq!((dir.offline(), log.fault()), (None, None), "a read takes nothing else with it");
        disk.heal();
        let again = log.read(request).await.unwrap();
        assert!(matches!(again.parts[..], [ReadPart::Memory(_)]), "it is read before it is promised");
    });
}

#[test]
fn below_the_reserve_clients_wait_coordinators_go_on_and_freed_space_opens_again() {
    const TOTAL: u64 = 8 * MIB;
    const RESERVE: u64 = 256 << 10;
    once(&Sim::new(SimConfig::new(7, 1)), async |disk| {
        disk.set_capacity(TOTAL);
        let (dir, log) = one_log(LogConfig::default()).await;
        log.wait_durable(put(&log, 10_000).unwrap()).await.unwrap();
        dir.measure_space(RESERVE).await.unwrap();
        log.check_room(Claim::Records).unwrap();
        let free = kring_runtime::fs::disk_free("/data").await.unwrap().available_bytes;
        fill(free - RESERVE + 1).await;
        dir.measure_space(RESERVE).await.unwrap();
        assert!(matches!(log.check_room(Claim::Records), Err(LogError::Full { .. })));
        log.check_room(Claim::Coordination).unwrap();
        assert_eq!(read_all(&log).await.len(), 10_061, "reads go on");
        log.delete_records_before(Offset(1)).await.unwrap();
        kring_runtime::fs::remove_file("/data/filler").await.unwrap();
        assert!(log.check_room(Claim::Records).is_err(), "only a measurement tells");
        dir.measure_space(RESERVE).await.unwrap();
        log.check_room(Claim::Records).unwrap();
    });
}

/// Takes room on the disk.
async fn fill(bytes: u64) {
    let file = kring_runtime::disk::DirectFile::create("/data/filler").await.unwrap();
    let whole = bytes.next_multiple_of(4096);
    file.allocate_zeroed(0, whole).await.unwrap();
}

/// What one log must hold.
#[derive(Default)]
struct Model {
    /// Batches as they were appended: base offset, end offset, bytes.
    batches: RefCell<Vec<(i64, i64, Bytes)>>,
    acknowledged: Cell<i64>,
    seen: Cell<i64>,
}

impl Model {
    fn append(&self, log: &Log, body: usize) -> Result<Offset, LogError> {
        let base = log.offsets().end().0;
        let batch = batch_with(base, 1, body, 1_000 + base, -1, -1, 0);
        let bytes = Bytes::from([&batch.header[..], &batch.body[..]].concat());
        log.append(batch)?;
        self.batches.borrow_mut().push((base, base + 1, bytes));
        Ok(Offset(base + 1))
    }

    /// The log came back: all that was acknowledged or seen is there, unchanged; the rest may be gone.
    async fn check(&self, log: &Log) {
        let end = log.offsets().end().0;
        assert!(
            end >= self.acknowledged.get(),
            "{} were acknowledged, {end} are there",
            self.acknowledged.get()
        );
        assert!(end >= self.seen.get(), "{} were seen, {end} are there", self.seen.get());
        self.batches.borrow_mut().retain(|(_, batch_end, _)| *batch_end <= end);
        assert!(read_all(log).await == self.bytes(end), "other bytes than were appended");
    }

    fn bytes(&self, end: i64) -> Vec<u8> {
        let batches = self.batches.borrow();
        let below = batches.iter().filter(|(_, batch_end, _)| *batch_end <= end);
        below.flat_map(|(_, _, bytes)| bytes.to_vec()).collect()
    }
}

async fn fill_and_free(disk: Disk, model: Rc<Model>) {
    let segment_bytes = [30_000, 100_000, 1 << 30][random_below(3) as usize];
    disk.set_capacity(u64::MAX);
    let (_dir, log) = one_log(LogConfig { segment_bytes, ..LogConfig::default() }).await;
    model.check(&log).await;
    for _ in 0..random_below(60) {
        match random_below(10) {
            0 => disk.set_capacity(random_below(2 * MIB)),
            1 => disk.set_capacity(u64::MAX),
            2 => sleep(Duration::from_millis(random_below(3000))).await,
            3 => {
                let end = log.high_watermark().0;
                assert!(read_up_to(&log, end).await == model.bytes(end), "a reader saw other bytes");
                model.seen.set(end);
            }
            _ => produce(&log, &model),
        }
    }
    match random_below(3) {
        0 => {
            disk.set_capacity(u64::MAX);
            log.flush().await.unwrap();
            model.acknowledged.set(log.offsets().end().0);
        }
        // Closing must end, whether or not there is room.
        1 => drop(log.close().await),
        _ => {}
    }
    crash().await;
}

fn produce(log: &Log, model: &Rc<Model>) {
    let body = [10, 3000, 4096 - 61, 40_000][random_below(4) as usize];
    let Ok(end) = model.append(log, body) else { return };
    let (log, model) = (log.clone(), model.clone());
    spawn(Queue::Net, async move {
        if log.wait_committed_unless_stalled(end).await.is_ok() {
            model.acknowledged.set(model.acknowledged.get().max(end.0));
        }
    })
    .detach();
}

fn live_through(seed: u64) {
    let sim = Sim::new(SimConfig::new(seed, 1));
    let model = Rc::new(Model::default());
    for _ in 0..4 {
        let (disk, model) = (sim.disk(), model.clone());
        let end = sim.run(move |_| fill_and_free(disk.clone(), model.clone()));
        assert!(matches!(end.unwrap_or_else(|error| panic!("{error}")), RunEnd::Crashed));
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_disk_fills_up_and_is_freed() {
    seeds::hold(25, "when_the_disk_fills_up", live_through);
}

#[test]
fn taking_a_write_without_room_for_done_is_noticed() {
    seeds::catch(Mutation::TakeRefusedWriteForDone, 200, live_through);
}
