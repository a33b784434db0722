//! `__cluster_metadata-0`: KRaft's records in a log of their own, one batch for each operation.
//! Always durable before anyone is told. Never decides; lives on the first shard.

use std::rc::Rc;

use kring_runtime::{fs, wall_ms};
use kring_storage::{Log, LogBatch, LogConfig, LogDir, LogError, LogName, Offset, ShardStorage};
use kring_wire::MetadataRecord;
use kring_wire::record::ValidatedBatch;

use crate::metadata::features::METADATA_FEATURE;
use crate::metadata::{
    self, BatchError, BatchPlace, Image, Loaded, SnapshotId, bootstrap_records, leader_batch, names,
    record_batch,
};
use crate::partition::Replay;

/// Written by Kafka's `kafka-storage format`.
const BOOTSTRAP: &str = "bootstrap.checkpoint";
/// A few features and what SCRAM credentials `kafka-storage format` was given.
const LONGEST_BOOTSTRAP: u64 = 16 << 20;
/// Of millions of partitions: what is longer would not fit the image either.
const LONGEST_SNAPSHOT: u64 = 512 << 20;

/// The metadata log, open for this broker's term as its leader.
pub struct MetadataLog {
    log: Log,
    epoch: i32,
    /// What the log begins with, if it says nothing yet.
    bootstrap: Vec<MetadataRecord>,
}

impl MetadataLog {
    /// Opens the log, made if missing, and follows it from its newest snapshot on. The error is a sentence.
    pub async fn open(storage: &ShardStorage, dir: &LogDir) -> Result<(Self, Image), String> {
        let name = LogName::new(names::CLUSTER_METADATA, 0);
        let config = Rc::new(LogConfig { flush_messages: 1, spends_spare: true, ..LogConfig::default() });
        let opened = Log::open(storage, dir, name, config, Some(names::CLUSTER_METADATA_ID)).await;
        let (log, _) = opened.map_err(|error| format!("the metadata log cannot be opened: {error}"))?;
        let follower = snapshot(dir).await?;
        let loaded = replay(&log, follower)
            .await
            .map_err(|why| format!("the metadata log cannot be followed: {why}"))?;
        let epoch = loaded.last_epoch.max(log.latest_epoch().map_or(0, |epoch| epoch.0)) + 1;
        let is_new = loaded.image.feature(METADATA_FEATURE) == 0;
        let bootstrap = if is_new { bootstrap(dir).await? } else { Vec::new() };
        Ok((Self { log, epoch, bootstrap }, loaded.image))
    }

    /// What Kafka's format has left for the log to begin with; nothing once that is in it.
    pub fn take_bootstrap(&mut self) -> Vec<MetadataRecord> {
        std::mem::take(&mut self.bootstrap)
    }

    /// Opens this term: KRaft's leader says who leads before it writes anything else. Written with what follows.
    pub fn begin_term(&self, node_id: i32) -> Result<(), String> {
        let batch = leader_batch(node_id, self.place()).map_err(|error| error.to_string())?;
        self.begin_append(batch)
    }

    /// The records of one operation as one batch, to be appended next. Refused are records that have no encoding.
    pub fn batch(&self, records: &[MetadataRecord]) -> Result<ValidatedBatch, BatchError> {
        record_batch(records, self.place())
    }

    /// Appends what `batch` has just made, and waits until it is durable: also for room on the disk.
    pub async fn append(&self, batch: ValidatedBatch) -> Result<(), String> {
        self.begin_append(batch)?;
        self.settle().await
    }

    /// Appends, and waits for nothing.
    pub fn begin_append(&self, batch: ValidatedBatch) -> Result<(), String> {
        let (header, body) = batch.into_parts();
        self.log.append(LogBatch { header, body }).map(drop).map_err(|error| error.to_string())
    }

    /// Waits until all that was appended is durable.
    pub async fn settle(&self) -> Result<(), String> {
        let durable = self.log.wait_durable(self.log.offsets().end()).await;
        durable.map_err(|error| error.to_string())
    }

    /// The same, but false as soon as there is no room for it: it is written once there is.
    pub async fn settle_if_there_is_room(&self) -> Result<bool, String> {
        match self.log.wait_committed_unless_stalled(self.log.offsets().end()).await {
            Err(LogError::Stalled { cause }) => {
                tracing::error!(%cause, "the disk is full: topics and settings stay as they are until space returns");
                Ok(false)
            }
            settled => settled.map(|()| true).map_err(|error| error.to_string()),
        }
    }

    /// For whoever ends an operation that waits for room, with an error, because the broker stops.
    pub fn waiting(&self) -> Waiting {
        Waiting(self.log.clone())
    }

    /// Where the next record goes.
    pub fn next_offset(&self) -> i64 {
        self.log.offsets().end().0
    }

    pub async fn close(&self) -> Result<(), String> {
        self.log.close().await.map_err(|error| error.to_string())
    }

    fn place(&self) -> BatchPlace {
        BatchPlace { base_offset: self.next_offset(), epoch: self.epoch, now_ms: wall_ms() }
    }
}

/// Whoever waits for the log to be written.
pub struct Waiting(Log);

impl Waiting {
    /// What there is no room for will not be written by this process.
    pub fn end(&self) {
        self.0.wait_for_no_room();
    }

    pub fn has_ended(&self) -> bool {
        self.0.waits_for_no_room()
    }
}

/// What the newest snapshot beside the log says; nothing if there is none. As in Kafka, older ones do not matter.
async fn snapshot(dir: &LogDir) -> Result<metadata::Replay, String> {
    let path = dir.path().join(LogName::new(names::CLUSTER_METADATA, 0).to_string());
    let entries =
        fs::read_dir(&path).await.map_err(|e| format!("{} cannot be listed: {e}", path.display()))?;
    let Some(newest) = entries.iter().filter_map(|entry| SnapshotId::of_file(&entry.name)).max() else {
        return Ok(metadata::Replay::new());
    };
    let path = path.join(newest.file_name());
    let failed = |why: String| format!("the metadata snapshot {} cannot be read: {why}", path.display());
    let bytes = fs::read_at_most(&path, LONGEST_SNAPSHOT).await.map_err(|error| failed(error.to_string()))?;
    metadata::Replay::after_snapshot(newest, bytes.into()).map_err(|error| failed(error.to_string()))
}

async fn bootstrap(dir: &LogDir) -> Result<Vec<MetadataRecord>, String> {
    let path = dir.path().join(BOOTSTRAP);
    let failed = |why: String| format!("{} cannot be read: {why}", path.display());
    if !fs::exists(&path).await.map_err(|error| failed(error.to_string()))? {
        return Ok(Vec::new());
    }
    let bytes =
        fs::read_at_most(&path, LONGEST_BOOTSTRAP).await.map_err(|error| failed(error.to_string()))?;
    bootstrap_records(&bytes.into()).map_err(|error| failed(error.to_string()))
}

async fn replay(log: &Log, mut follower: metadata::Replay) -> Result<Loaded, String> {
    let (from, offsets) = (Offset(follower.next_offset()), log.offsets());
    if from < offsets.start() || from > offsets.end() {
        let (start, end) = (offsets.start(), offsets.end());
        return Err(format!("it must go on at offset {from}, and holds what lies from {start} to {end}"));
    }
    let mut replay = Replay::from(log, from);
    loop {
        let batches = replay.next_batches().await.map_err(|error| error.to_string())?;
        if batches.is_empty() {
            break;
        }
        for batch in batches {
            follower.feed(batch.bytes).map_err(|error| error.to_string())?;
        }
    }
    let loaded = follower.finish();
    if loaded.unfinished_records > 0 {
        tracing::warn!(
            records = loaded.unfinished_records,
            "an unfinished metadata transaction is passed over"
        );
    }
    for (record, count) in loaded.image.unused_records() {
        tracing::warn!(
            record,
            count,
            "metadata of a kind that this release does not have is kept and not obeyed"
        );
    }
    Ok(loaded)
}
