//! Reads a coordinator's partition from its start into its machine. Never appends. Runs on the partition's shard.

use std::cell::RefCell;

use kring_runtime::yield_if_needed;
use kring_storage::{Log, LogError};
use kring_wire::record::control::EndTxnMarker;
use kring_wire::record::{Batch, DEFAULT_MAX_DECOMPRESSED_BYTES, Record, RecordError};

use super::{Coordinator, CoordinatorRecord, Position, ReplayError};
use crate::partition::Replay;

/// Why a partition could not be loaded.
#[derive(Debug)]
pub enum LoadError {
    Log(LogError),
    Batch { base_offset: i64, error: RecordError },
    Record { offset: i64, error: ReplayError },
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Log(error) => error.fmt(f),
            Self::Batch { base_offset, error } => {
                write!(f, "the batch at offset {base_offset} is bad: {error}")
            }
            Self::Record { offset, error } => write!(f, "the record at offset {offset} is bad: {error}"),
        }
    }
}

/// Replays the whole log, or as much as is read while `is_wanted`.
pub async fn load<M: Coordinator>(
    log: &Log,
    machine: &RefCell<M>,
    is_wanted: impl Fn() -> bool,
) -> Result<(), LoadError> {
    let mut replay = Replay::new(log);
    loop {
        let batches = replay.next_batches().await.map_err(LoadError::Log)?;
        if batches.is_empty() {
            return Ok(());
        }
        for batch in batches {
            if !is_wanted() {
                return Ok(());
            }
            replay_batch(&mut *machine.borrow_mut(), &batch)?;
            yield_if_needed().await;
        }
    }
}

fn replay_batch<M: Coordinator>(machine: &mut M, batch: &Batch) -> Result<(), LoadError> {
    let header = &batch.header;
    let bad = |error| LoadError::Batch { base_offset: header.base_offset, error };
    for record in batch.records(DEFAULT_MAX_DECOMPRESSED_BYTES).map_err(bad)? {
        let record = record.map_err(bad)?;
        if header.is_control() {
            replay_control(machine, header.producer_id, &record).map_err(bad)?;
            continue;
        }
        let Record { offset, key, value, .. } = record;
        let Some(key) = key else {
            tracing::warn!(offset, "a record without a key is passed over");
            continue;
        };
        let at = Position { offset, transaction: header.is_transactional().then_some(header.producer_id) };
        let replayed = machine.replay(at, CoordinatorRecord { key, value });
        replayed.map_err(|error| LoadError::Record { offset, error })?;
    }
    Ok(())
}

fn replay_control<M: Coordinator>(
    machine: &mut M,
    producer_id: i64,
    record: &Record,
) -> Result<(), RecordError> {
    let (key, value) =
        (record.key.as_deref().unwrap_or_default(), record.value.as_deref().unwrap_or_default());
    if let Some(marker) = EndTxnMarker::parse(key, value)? {
        machine.replay_transaction_end(producer_id, marker.committed);
    }
    Ok(())
}
