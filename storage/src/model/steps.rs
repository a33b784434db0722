//! The random operations on one log. Each keeps the reference true, and passes on what the disk refused.

use std::rc::Rc;
use std::time::Duration;

use kring_runtime::{Queue, random_below, sleep, spawn, wall_ms, yield_now};

use crate::compaction::{Cleaner, CleanerConfig, CompactionConfig};
use crate::config::LogConfig;
use crate::error::LogError;
use crate::log::Log;
use crate::model::batches::{draw, pick};
use crate::model::reference::{DELETE_RETENTION_MS, PRODUCERS};
use crate::model::{Machine, checks};
use crate::types::Offset;

pub(super) fn draw_config() -> LogConfig {
    LogConfig {
        segment_bytes: pick(&[40_000, 80_000, 1 << 30]),
        index_interval_bytes: pick(&[100, 4096]),
        segment_index_bytes: pick(&[60, 10 << 20]),
        segment_ms: pick(&[5, 60_000, i64::MAX]),
        flush_messages: pick(&[1, 1, 20, u64::MAX]),
        flush_ms: pick(&[None, Some(Duration::from_millis(3))]),
        deletes: random_below(2) == 0,
        retention_ms: pick(&[None, None, Some(30), Some(1000)]),
        retention_bytes: pick(&[None, None, Some(60_000), Some(300_000)]),
        file_delete_delay: pick(&[Duration::ZERO, Duration::from_millis(10), Duration::from_secs(60)]),
        producer_id_expiration_ms: i64::MAX,
        compaction: CompactionConfig {
            compacts: random_below(2) == 0,
            min_cleanable_dirty_ratio: pick(&[0.0, 0.0, 0.5]),
            delete_retention_ms: DELETE_RETENTION_MS,
            ..CompactionConfig::default()
        },
        ..LogConfig::default()
    }
}

/// One operation on one log.
pub(super) async fn step(machine: &Rc<Machine>, number: usize) -> Result<(), LogError> {
    let (log, model) = (machine.log(number), &machine.models[number]);
    match random_below(30) {
        0 | 1 => {
            let end = log.flush().await?;
            model.borrow_mut().acknowledged(end.0);
        }
        2 | 3 => checks::read_somewhere(&log, model).await?,
        4 => read_beside(machine, number),
        5 => checks::by_time_settled(&log, model).await?,
        6 | 7 => sleep(Duration::from_micros(random_below(5000))).await,
        8 => yield_now().await,
        9 => model.borrow_mut().leader_epoch += 1,
        10 => model.borrow_mut().bump_producer(random_below(PRODUCERS as u64) as usize),
        11 => log.set_config(Rc::new(draw_config())),
        12 => delete_records(machine, number).await?,
        13 if random_below(3) == 0 => machine.reopen(number).await?,
        14 => machine.dir.write_checkpoints().await?,
        15 => retain(machine, number).await?,
        16 if random_below(2) == 0 => truncate(machine, number).await?,
        17 => save(machine, number).await?,
        18 => clean(machine, number).await,
        19 => spawn_clean(machine, number),
        _ => {
            for _ in 0..1 + random_below(4) {
                append(machine, number)?;
            }
        }
    }
    checks::ends(&machine.log(number), &mut model.borrow_mut());
    Ok(())
}

/// Appends, and notes the acknowledgement when it comes.
fn append(machine: &Rc<Machine>, number: usize) -> Result<(), LogError> {
    let log = machine.log(number);
    let records = 1 + random_below(4) as i32;
    let producer = random_below(PRODUCERS as u64 + 2) as usize;
    let mut model = machine.models[number].borrow_mut();
    let from = (producer < PRODUCERS).then(|| model.next_of(producer, records));
    let made = draw(log.offsets().end().0, records, model.leader_epoch, from);
    log.append(made.batch.clone())?;
    model.appended(made);
    let cuts = model.cuts;
    drop(model);
    let (end, machine) = (log.offsets().end(), machine.clone());
    spawn(Queue::Net, async move {
        // Without a flush policy nobody is told that a record is durable.
        let is_durable = log.wait_durable(end).await.is_ok();
        let mut model = machine.models[number].borrow_mut();
        if is_durable && model.cuts == cuts {
            model.acknowledged(end.0);
        }
    })
    .detach();
    Ok(())
}

/// Reads while the next operations go on.
fn read_beside(machine: &Rc<Machine>, number: usize) {
    let machine = machine.clone();
    spawn(Queue::Net, async move {
        let log = machine.log(number);
        for _ in 0..4 {
            let read = checks::read_somewhere(&log, &machine.models[number]).await;
            if let Err(error) = read {
                // It was closed, and is open again as another.
                let is_gone = error == LogError::Closed && !Rc::ptr_eq(&log.0, &machine.log(number).0);
                assert!(is_gone || machine.may_refuse(&error), "a reader is refused: {error}");
                return;
            }
        }
    })
    .detach();
}

async fn delete_records(machine: &Rc<Machine>, number: usize) -> Result<(), LogError> {
    let log = machine.log(number);
    let (start, end) = (log.offsets().start().0, log.high_watermark().0);
    let to = start + random_below(1 + (end - start) as u64 / 2) as i64;
    let start = log.delete_records_before(Offset(to)).await?;
    assert!(start.0 >= to, "the start is where it was asked to be");
    Ok(())
}

/// Retention takes nothing that the configuration keeps.
async fn retain(machine: &Rc<Machine>, number: usize) -> Result<(), LogError> {
    let (log, config) = (machine.log(number), machine.log(number).config());
    let before = log.offsets().start().0;
    log.delete_old_segments().await?;
    let (now_ms, after) = (wall_ms(), log.offsets().start().0);
    let model = machine.models[number].borrow();
    let gone = model.batches.iter().filter(|batch| batch.end() > before && batch.end() <= after);
    let newest = gone.flat_map(|b| &b.records).filter(|r| !r.may_go()).map(|r| r.timestamp).max();
    let left: u64 = model.batches.iter().filter(|b| b.end() > after).map(|b| u64::from(b.info.bytes)).sum();
    let too_old = newest.is_none_or(|time| config.retention_ms.is_some_and(|limit| now_ms - time > limit));
    let too_much = config.retention_bytes.is_some_and(|limit| left >= limit);
    assert!(
        after == before || (config.deletes && (too_old || too_much)),
        "from {before} to {after} by {config:?}"
    );
    Ok(())
}

/// Nothing below is lost, readers see the new end, and all that is kept beside the batches ends there as well.
async fn truncate(machine: &Rc<Machine>, number: usize) -> Result<(), LogError> {
    let (log, model) = (machine.log(number), &machine.models[number]);
    let (start, end) = (log.offsets().start().0, log.offsets().end().0);
    let back = random_below(1 + pick(&[3, 20, (end - start) as u64]).min((end - start) as u64)) as i64;
    let least = model.borrow_mut().truncating(end - back);
    let now = log.truncate_to(Offset(end - back)).await?.0;
    assert!(now <= end - back && now >= least, "to {}: {now}, though {least} stays", end - back);
    let start = log.offsets().start().0;
    {
        let mut model = model.borrow_mut();
        assert!(start == model.start || (start == now && start > model.start), "the start moved to {start}");
        model.start = start;
        model.cut(now);
        model.acknowledged(now);
    }
    checks::whole(&log, model).await
}

/// Writes recovery points down, at leisure or beside what follows.
async fn save(machine: &Rc<Machine>, number: usize) -> Result<(), LogError> {
    let (log, machine) = (machine.log(number), machine.clone());
    match random_below(2) {
        0 => save_some(&machine, &log).await,
        _ => {
            let saving = async move {
                if let Err(error) = save_some(&machine, &log).await {
                    assert!(machine.may_refuse(&error), "a recovery point is refused: {error}");
                }
            };
            spawn(Queue::Background, saving).detach();
            Ok(())
        }
    }
}

async fn save_some(machine: &Machine, log: &Log) -> Result<(), LogError> {
    if random_below(3) > 0 {
        log.save_recovery_point().await?;
    }
    if random_below(2) > 0 {
        machine.dir.write_checkpoints().await?;
    }
    Ok(())
}

/// Compacts, if the configuration wants it.
async fn clean(machine: &Rc<Machine>, number: usize) {
    let (log, model) = (machine.log(number), &machine.models[number]);
    let mut cleaner = Cleaner::new(CleanerConfig {
        key_map_bytes: pick(&[24 * 6, 24 * 1000]),
        io_buffer_bytes: pick(&[0, 3000, 100_000]),
        ..CleanerConfig::default()
    });
    model.borrow_mut().cleaning_begins();
    let cleaned = cleaner.clean_filthiest(std::slice::from_ref(&log)).await;
    model.borrow_mut().cleaning_ended(checks::first_unsealed(&log));
    if let Some(cleaned) = cleaned {
        assert!(cleaned.end_offset > cleaned.first_dirty_offset, "{cleaned:?}");
    }
}

/// Compacts while the next operations go on.
fn spawn_clean(machine: &Rc<Machine>, number: usize) {
    let machine = machine.clone();
    spawn(Queue::Background, async move { clean(&machine, number).await }).detach();
}
