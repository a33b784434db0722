//! `__cluster_metadata-0`: KRaft's records in a log of their own, one batch for each operation.
//! Always durable before anyone is told. Never decides; lives on the first shard.

use std::rc::Rc;

use kring_storage::{Log, LogBatch, LogConfig, LogDir, LogName, ShardStorage};
use kring_wire::messages::leader_change_message::{LeaderChangeMessage, Voter};
use kring_wire::record::control::{ControlType, append_control};
use kring_wire::record::{Batch, BatchBuilder, Compression, DEFAULT_MAX_DECOMPRESSED_BYTES, ValidatedBatch};
use kring_wire::{Message, MetadataRecord, Writer};

use crate::metadata::{self, Image};
use crate::partition::Replay;

/// The metadata log, open for this broker's term as its leader.
pub struct MetadataLog {
    log: Log,
    epoch: i32,
}

impl MetadataLog {
    /// Opens the log, made if missing, and replays it.
    pub async fn open(storage: &ShardStorage, dir: &LogDir) -> Result<(Self, Image), String> {
        let name = LogName::new(metadata::CLUSTER_METADATA, 0);
        let id = metadata::CLUSTER_METADATA_ID.to_string();
        let config = Rc::new(LogConfig { flush_messages: 1, ..LogConfig::default() });
        let opened = Log::open(storage, dir, name, config, Some(&id)).await;
        let (log, _) = opened.map_err(|error| format!("the metadata log cannot be opened: {error}"))?;
        let image = replay(&log).await.map_err(|error| format!("the metadata log cannot be replayed: {error}"))?;
        let epoch = log.latest_epoch().map_or(1, |epoch| epoch.0 + 1);
        Ok((Self { log, epoch }, image))
    }

    /// Opens this term: KRaft's leader writes who leads before anything else.
    pub async fn begin_term(&self, node_id: i32, now_ms: i64) -> Result<(), String> {
        let voter = Voter { voter_id: node_id, ..Voter::default() };
        let message = LeaderChangeMessage {
            leader_id: node_id,
            voters: vec![voter.clone()],
            granting_voters: vec![voter],
            ..LeaderChangeMessage::default()
        };
        let mut w = Writer::new();
        message.encode(&mut w, 0).map_err(|error| error.to_string())?;
        let value = w.into_bytes().unwrap_or_default();
        let mut builder = BatchBuilder::new(Compression::NONE).control();
        append_control(&mut builder, now_ms, ControlType::LeaderChange, &value).map_err(|error| error.to_string())?;
        self.append_batch(builder.build().map_err(|error| error.to_string())?).await
    }

    /// Appends the records of one operation as one batch, and waits until they are durable.
    pub async fn append(&self, records: &[MetadataRecord], now_ms: i64) -> Result<(), String> {
        let mut builder = BatchBuilder::new(Compression::NONE);
        for record in records {
            let value = metadata::encode_record(record).map_err(|error| error.to_string())?;
            builder.append(now_ms, None, Some(&value)).map_err(|error| error.to_string())?;
        }
        self.append_batch(builder.build().map_err(|error| error.to_string())?).await
    }

    /// Offset of the last durable record.
    pub fn last_offset(&self) -> i64 {
        self.log.offsets().durable().0 - 1
    }

    pub async fn close(&self) -> Result<(), String> {
        self.log.close().await.map_err(|error| error.to_string())
    }

    async fn append_batch(&self, mut batch: ValidatedBatch) -> Result<(), String> {
        batch.assign(self.log.offsets().end().0, self.epoch);
        let (header, body) = batch.into_parts();
        let appended = self.log.append(LogBatch { header, body }).map_err(|error| error.to_string())?;
        self.log.wait_durable(appended.last_offset.next()).await.map_err(|error| error.to_string())
    }
}

async fn replay(log: &Log) -> Result<Image, String> {
    let mut image = Image::default();
    let mut replay = Replay::new(log);
    loop {
        let batches = replay.next_batches().await.map_err(|error| error.to_string())?;
        if batches.is_empty() {
            return Ok(image);
        }
        for batch in batches.iter().filter(|batch| !batch.header.is_control()) {
            apply(&mut image, batch)?;
        }
    }
}

fn apply(image: &mut Image, batch: &Batch) -> Result<(), String> {
    let records = batch.records(DEFAULT_MAX_DECOMPRESSED_BYTES).map_err(|error| error.to_string())?;
    for record in records {
        let record = record.map_err(|error| error.to_string())?;
        let place = |error: &dyn std::fmt::Display| format!("record {}: {error}", record.offset);
        let value = record.value.clone().ok_or_else(|| place(&"it has no value"))?;
        let decoded = MetadataRecord::decode(value).map_err(|error| place(&error))?;
        image.apply(&decoded).map_err(|error| place(&error))?;
    }
    Ok(())
}
