//! Random operations on logs on the simulated disk, through crash after crash, against a reference kept in memory.
//! Tests only.
//!
//! `KRING_SEED=<n>` repeats one machine, `KRING_SEEDS=<n>` runs so many; a failure prints the command that repeats it.

mod batches;
mod checks;
mod reference;
mod steps;

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use kring_runtime::sim::{DiskFaults, Sim, SimConfig, crash, disk};
use kring_runtime::{random_below, random_u64, sleep};

use crate::checkpoint::LogName;
use crate::dir::LogDir;
use crate::error::LogError;
use crate::log::Log;
use crate::mutation::Mutation;
use crate::seeds;
use crate::shard::{ShardConfig, ShardStorage};
use reference::Reference;

const LOGS: usize = 2;
const BOOTS: usize = 4;
const STEPS: u64 = 40;

type References = Rc<Vec<RefCell<Reference>>>;

/// How a machine's disk behaves once its logs are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disk {
    /// Short writes and slowness, which nobody may notice.
    Sound,
    /// And one kind of error.
    Failing,
}

/// One boot of a machine.
struct Machine {
    shard: ShardStorage,
    dir: LogDir,
    logs: Vec<RefCell<Log>>,
    models: References,
    fails: bool,
    /// Logs are being closed: readers are refused.
    closing: Cell<bool>,
}

impl Machine {
    async fn boot(models: References) -> Result<Rc<Machine>, LogError> {
        let shard = ShardStorage::new(ShardConfig {
            tail_cache_bytes: [0, 20_000, 1 << 20][random_below(3) as usize],
            open_files: 3,
            index_cache_bytes: 1000,
            journal_bytes: [0, 2 << 20][random_below(2) as usize],
            commits_after: random_below(3) as u32,
        });
        let dir = LogDir::open(Path::new("/data")).await?.dir;
        let mut logs = Vec::new();
        for (number, model) in models.iter().enumerate() {
            let log = open(&shard, &dir, number).await?;
            checks::recovered(&log, model).await?;
            model.borrow_mut().nobody_cleans();
            logs.push(RefCell::new(log));
        }
        Ok(Rc::new(Machine { shard, dir, logs, models, fails: false, closing: Cell::new(false) }))
    }

    fn log(&self, number: usize) -> Log {
        self.logs[number].borrow().clone()
    }

    fn may_refuse(&self, error: &LogError) -> bool {
        self.fails || (self.closing.get() && *error == LogError::Closed)
    }

    /// Closes one log in order and opens it again, as when a partition moves between cores.
    async fn reopen(&self, number: usize) -> Result<(), LogError> {
        self.closing.set(true);
        self.log(number).close().await?;
        let log = open(&self.shard, &self.dir, number).await?;
        let (start, end) = (log.offsets().start().0, log.offsets().end().0);
        assert_eq!(end, self.models[number].borrow().end().max(start));
        checks::recovered(&log, &self.models[number]).await?;
        self.logs[number].replace(log);
        self.closing.set(false);
        Ok(())
    }

    async fn close(&self) -> Result<(), LogError> {
        self.closing.set(true);
        for number in 0..self.logs.len() {
            self.log(number).close().await?;
        }
        assert!(self.dir.mark_clean(7).await?, "all logs were closed");
        for (number, model) in self.models.iter().enumerate() {
            model.borrow_mut().acknowledged(self.log(number).offsets().end().0);
        }
        Ok(())
    }

    /// Random operations, and then one of the ways to go.
    async fn live(self: &Rc<Self>) -> Result<(), LogError> {
        for _ in 0..random_below(STEPS) {
            steps::step(self, random_below(self.logs.len() as u64) as usize).await?;
        }
        match random_below(4) {
            0 | 1 => self.close().await?,
            2 => sleep(Duration::from_millis(random_below(30))).await,
            _ => {}
        }
        Ok(())
    }
}

async fn open(shard: &ShardStorage, dir: &LogDir, number: usize) -> Result<Log, LogError> {
    let (name, id) = (LogName::new("orders", number as i32), kring_wire::Uuid([7; 16]));
    Log::open(shard, dir, name, Rc::new(steps::draw_config()), Some(id)).await.map(|(log, _)| log)
}

/// A boot on a sound disk opens every log, whatever the one before has left; only then may the disk fail.
async fn boot(models: References, behaviour: Disk) {
    disk().set_faults(DiskFaults::harmless(random_u64()));
    let machine = Machine::boot(models).await.unwrap_or_else(|error| panic!("it does not open: {error}"));
    let lived = match behaviour {
        Disk::Sound => machine.live().await,
        Disk::Failing => live_with_errors(machine).await,
    };
    if let Err(error) = lived {
        assert_eq!(behaviour, Disk::Failing, "refused by a sound disk: {error}");
    }
    disk().heal();
    if random_below(3) > 0 {
        crash().await;
    }
}

async fn live_with_errors(machine: Rc<Machine>) -> Result<(), LogError> {
    let Ok(machine) = Rc::try_unwrap(machine) else { panic!("nobody else has it yet") };
    let machine = Rc::new(Machine { fails: true, ..machine });
    disk().set_faults(DiskFaults::with_errors(random_u64()));
    machine.live().await
}

/// One machine through several boots, most of which end by a power cut at any moment.
fn live_through(seed: u64, behaviour: Disk) {
    let sim = Sim::new(SimConfig::new(seed, 1));
    let models: References = Rc::new((0..LOGS).map(|_| RefCell::default()).collect());
    for number in 0..BOOTS {
        if seed.is_multiple_of(2) {
            let moment =
                (seed / 2).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(number as u32 * 13) % 80_000;
            sim.crash_at(sim.now() + Duration::from_micros(moment));
        }
        let models = models.clone();
        sim.run(move |_| boot(models.clone(), behaviour)).unwrap_or_else(|error| panic!("{error}"));
    }
}

fn holds_for(count: u64, behaviour: Disk, test: &str) {
    seeds::hold(count, test, |seed| live_through(seed, behaviour));
}

#[test]
fn nothing_durable_is_lost_or_changed_offsets_never_go_back_and_readers_see_again_what_they_saw() {
    holds_for(2000, Disk::Sound, "nothing_durable_is_lost_or_changed_offsets");
}

#[test]
fn nothing_durable_is_lost_or_changed_by_a_disk_that_fails() {
    holds_for(1000, Disk::Failing, "changed_by_a_disk_that_fails");
}

/// Most are caught within a hundred seeds; which of them catches a rare one changes with whatever changes the order of things.
fn caught(mutation: Mutation, behaviour: Disk) {
    seeds::catch(mutation, 4000, |seed| live_through(seed, behaviour));
}

#[test]
fn the_model_notices_an_acknowledgement_before_the_flush() {
    caught(Mutation::AcknowledgeBeforeFlush, Disk::Sound);
}

#[test]
fn the_model_notices_a_directory_that_is_not_flushed() {
    caught(Mutation::SkipDirectoryFlush, Disk::Sound);
}

#[test]
fn the_model_notices_a_new_directory_that_is_left_to_chance() {
    caught(Mutation::LeaveNewDirectoryToChance, Disk::Sound);
}

#[test]
fn the_model_notices_a_write_that_is_taken_for_flushed() {
    caught(Mutation::TakeWriteForFlushed, Disk::Sound);
}

#[test]
fn the_model_notices_a_forgotten_tail_block() {
    caught(Mutation::ForgetTailBlock, Disk::Sound);
}

#[test]
fn the_model_notices_a_tail_block_that_begins_one_byte_late() {
    caught(Mutation::TailBlockOffByOne, Disk::Sound);
}

#[test]
fn the_model_notices_a_batch_that_is_believed_without_its_checksum() {
    caught(Mutation::SkipChecksum, Disk::Sound);
}

#[test]
fn the_model_notices_a_lost_last_index_entry() {
    caught(Mutation::DropLastTimeEntry, Disk::Sound);
}

#[test]
fn the_model_notices_a_segment_that_ends_unflushed() {
    caught(Mutation::SkipFlushAtRoll, Disk::Sound);
}

#[test]
fn the_model_notices_a_start_that_a_crash_forgets() {
    caught(Mutation::ForgetStart, Disk::Sound);
}

#[test]
fn the_model_notices_a_failed_flush_that_is_taken_for_done() {
    // Most writes bring their flush: few disks fail in one that stands alone, and then crash.
    seeds::catch(Mutation::IgnoreFailedFlush, 4000, |seed| live_through(seed, Disk::Failing));
}

#[test]
fn the_model_notices_a_truncation_whose_recovery_point_stays() {
    caught(Mutation::TruncateBelowRecoveryPoint, Disk::Sound);
}

#[test]
fn the_model_notices_a_truncation_that_leaves_epochs() {
    caught(Mutation::TruncationLeavesEpochs, Disk::Sound);
}

#[test]
fn the_model_notices_a_truncation_that_readers_do_not_see() {
    caught(Mutation::TruncationKeepsTail, Disk::Sound);
}

#[test]
fn the_model_notices_a_live_tombstone_that_is_dropped() {
    caught(Mutation::DropLiveTombstone, Disk::Sound);
}

#[test]
fn the_model_notices_a_recovery_that_begins_after_what_is_known_of_the_producers() {
    caught(Mutation::StartAfterProducers, Disk::Sound);
}

#[test]
fn the_model_notices_a_producer_snapshot_beyond_the_recovery_point_that_is_trusted() {
    caught(Mutation::TrustNewerSnapshot, Disk::Sound);
}
