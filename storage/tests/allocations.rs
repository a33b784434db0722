//! What appending costs in allocations: counted by an allocator that counts, so alone in its process.

mod common;

use std::alloc::System;
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::*;
use kring_storage::{Log, LogBatch, LogConfig};
use kring_wire::record::{BatchBuilder, Codec, Compression, Rules, Validator};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const BATCHES: usize = 1000;

/// The counts are of the whole process: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Allocations, moves to larger memory among them, that `work` makes.
fn allocations(work: impl FnOnce()) -> usize {
    let region = Region::new(ALLOCATOR);
    work();
    let change = region.change();
    change.allocations + change.reallocations
}

fn ready(base_offset: i64, records: i32, value_bytes: usize) -> Vec<LogBatch> {
    (0..BATCHES as i64)
        .map(|number| batch(spec(base_offset + number * i64::from(records), records, value_bytes)))
        .collect()
}

/// Allocations of appending a thousand batches, each with so many records.
fn per_thousand(log: &Log, records: i32, value_bytes: usize) -> usize {
    let batches = ready(log.offsets().end().0, records, value_bytes);
    // As they come from a frame: slices of what others hold too.
    let frames: Vec<_> = batches.iter().map(|batch| batch.body.clone()).collect();
    let count = allocations(|| {
        for batch in batches {
            log.append(batch).unwrap();
        }
    });
    drop(frames);
    count
}

#[test]
fn appending_allocates_nothing_per_record_and_less_than_once_in_five_batches() {
    let _alone = alone();
    on_shard(|| async {
        let temp = TempDir::new("allocations");
        let log = open(&shard(), &open_dir(temp.path()).await, LogConfig::default()).await;
        for (records, value_bytes) in [(1, 100), (100, 1), (1, 3000), (1, 20_000), (1000, 20)] {
            // Queue, cache and indexes grow to what they need.
            per_thousand(&log, records, value_bytes);
            log.flush().await.unwrap();
            let count = per_thousand(&log, records, value_bytes);
            assert!(count < BATCHES / 5, "{count} a thousand batches of {records} × {value_bytes} bytes");
            log.flush().await.unwrap();
        }
        log.close().await.unwrap();
    });
}

#[test]
fn writing_allocates_for_a_write_and_not_for_its_batches() {
    let _alone = alone();
    on_shard(|| async {
        let temp = TempDir::new("writes");
        let log = open(&shard(), &open_dir(temp.path()).await, LogConfig::default()).await;
        for round in 0..2 {
            let batches = ready(log.offsets().end().0, 1, 100);
            for batch in batches {
                log.append(batch).unwrap();
            }
            let region = Region::new(ALLOCATOR);
            log.flush().await.unwrap();
            let change = region.change();
            let written = change.allocations + change.reallocations;
            assert!(round == 0 || written < BATCHES / 4, "{written} for a thousand batches");
        }
        log.close().await.unwrap();
    });
}

#[test]
fn checking_a_batch_allocates_nothing_per_record() {
    let _alone = alone();
    for codec in [Codec::None, Codec::Lz4, Codec::Zstd] {
        let count = |records: i64| {
            let mut builder = BatchBuilder::new(Compression::default_of(codec));
            for record in 0..records {
                builder.append(1_790_000_000_000 + record, None, Some(b"a value")).unwrap();
            }
            let bytes = builder.build().unwrap().to_bytes();
            let (mut validator, rules) = (Validator::default(), Rules::default());
            drop(validator.validate(&bytes, &rules, 1_790_000_000_000).unwrap());
            // The thread that reports tests allocates at moments of its own; not each time.
            (0..10)
                .map(|_| allocations(|| drop(validator.validate(&bytes, &rules, 1_790_000_000_000).unwrap())))
                .min()
        };
        let (few, many) = (count(2).unwrap(), count(2000).unwrap());
        assert!(many <= few + 4, "{}: {few} for 2 records, {many} for 2000", codec.name());
    }
}
