//! Batches of the metadata log: records into a batch, and batches back into an image.
//! Never touches a file: whoever owns the log brings the bytes. Lives where the log does, on the first core.

use std::fmt;

use bytes::Bytes;
use kring_wire::messages::leader_change_message::{LeaderChangeMessage, Voter};
use kring_wire::record::control::{ControlType, append_control};
use kring_wire::record::{
    Batch, BatchBuilder, BuildError, Compression, DEFAULT_MAX_DECOMPRESSED_BYTES, RecordError,
    ValidatedBatch, split_batches,
};
use kring_wire::{DecodeError, EncodeError, Message, MetadataRecord, Writer};

use super::image::{Image, ReplayError};

/// Where and when a batch goes to the metadata log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchPlace {
    pub base_offset: i64,
    /// The epoch of the controller, new at every start.
    pub epoch: i32,
    pub now_ms: i64,
}

/// Our own mistake: the decider made a record that its version cannot hold, or too many.
#[derive(Debug)]
pub enum BatchError {
    Encode(EncodeError),
    Build(BuildError),
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encode(error) => write!(f, "a metadata record cannot be written: {error}"),
            Self::Build(error) => write!(f, "a batch of metadata records cannot be made: {error}"),
        }
    }
}

impl std::error::Error for BatchError {}

impl From<EncodeError> for BatchError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

impl From<BuildError> for BatchError {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
}

/// One batch for all records of one operation, so that it happens whole or not at all. Every record takes its
/// highest version: those of metadata version 30.
///
/// # Errors
/// When a record, or all of them together, is too large for Kafka's format.
pub fn record_batch(records: &[MetadataRecord], place: BatchPlace) -> Result<ValidatedBatch, BatchError> {
    let mut batch = builder(place);
    for record in records {
        let value = record.encode(record.max_version())?;
        batch.append(place.now_ms, None, Some(&value))?;
    }
    Ok(batch.build()?)
}

/// What opens every epoch: this node leads a quorum of one.
///
/// # Errors
/// Never, short of a mistake of ours.
pub fn leader_batch(node_id: i32, place: BatchPlace) -> Result<ValidatedBatch, BatchError> {
    let voters = || vec![Voter { voter_id: node_id, ..Voter::default() }];
    let message =
        LeaderChangeMessage { version: 0, leader_id: node_id, voters: voters(), granting_voters: voters() };
    let mut value = Writer::new();
    message.encode(&mut value, 0)?;
    let value = value.into_bytes().unwrap_or_default();
    let mut batch = builder(place).control();
    append_control(&mut batch, place.now_ms, ControlType::LeaderChange, &value)?;
    Ok(batch.build()?)
}

fn builder(place: BatchPlace) -> BatchBuilder {
    BatchBuilder::new(Compression::NONE).base_offset(place.base_offset).leader_epoch(place.epoch)
}

/// Why a metadata log cannot be followed.
#[derive(Debug)]
pub enum LoadError {
    Batch {
        offset: i64,
        error: RecordError,
    },
    /// Written by a newer release, or broken.
    Record {
        offset: i64,
        error: DecodeError,
    },
    Replay {
        offset: i64,
        error: ReplayError,
    },
    Gap {
        expected: i64,
        found: i64,
    },
    /// A snapshot that lacks its beginning or its end.
    PartOfSnapshot,
    /// Bytes that are not a whole batch.
    CutOff {
        offset: i64,
        bytes: usize,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch { offset, error } => {
                write!(f, "the batch at offset {offset} cannot be read: {error}")
            }
            Self::Record { offset, error } => write!(
                f,
                "the record at offset {offset} is not one that this release knows, a newer one may have \
                 written it: {error}"
            ),
            Self::Replay { offset, error } => {
                write!(f, "the record at offset {offset} does not fit: {error}")
            }
            Self::Gap { expected, found } => write!(f, "offset {expected} is missing, {found} follows"),
            Self::PartOfSnapshot => write!(f, "it has not both a header and a footer"),
            Self::CutOff { offset, bytes } => {
                write!(f, "the batch at offset {offset} ends after {bytes} bytes")
            }
        }
    }
}

impl std::error::Error for LoadError {}

/// Follows a metadata log from its first batch to its last.
#[derive(Debug, Default)]
pub struct Replay {
    image: Image,
    /// Records of a transaction that has not ended: an image never shows a part of one.
    open: Option<Vec<(i64, MetadataRecord)>>,
    next_offset: i64,
    last_epoch: i32,
}

/// The end of a metadata log.
#[derive(Debug, Default, PartialEq)]
pub struct Loaded {
    pub image: Image,
    pub next_offset: i64,
    /// 0 for an empty log.
    pub last_epoch: i32,
    /// Records at the end that belong to a transaction which was never finished; they do not count.
    pub unfinished_records: usize,
}

impl Replay {
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the next record must stand in the log.
    pub fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// What came so far stands for the log up to here.
    pub(super) fn go_on_at(&mut self, offset: i64, epoch: i32) {
        (self.next_offset, self.last_epoch) = (offset, epoch);
    }

    /// Follows whole batches, back to back, from the next offset on.
    ///
    /// # Errors
    /// When the bytes are not such batches, or the log contradicts itself.
    pub fn feed(&mut self, batches: Bytes) -> Result<(), LoadError> {
        let mut batches = split_batches(&batches);
        for batch in &mut batches {
            let batch = batch.map_err(|error| LoadError::Batch { offset: self.next_offset, error })?;
            self.batch(&batch)?;
        }
        match batches.rest().len() {
            0 => Ok(()),
            bytes => Err(LoadError::CutOff { offset: self.next_offset, bytes }),
        }
    }

    /// The image at the end of the log.
    pub fn finish(self) -> Loaded {
        Loaded {
            image: self.image,
            next_offset: self.next_offset,
            last_epoch: self.last_epoch,
            unfinished_records: self.open.map_or(0, |records| records.len()),
        }
    }

    fn batch(&mut self, batch: &Batch) -> Result<(), LoadError> {
        let header = batch.header;
        let (expected, found) = (self.next_offset, header.base_offset);
        if found != expected {
            return Err(LoadError::Gap { expected, found });
        }
        self.next_offset = header.end_offset();
        self.last_epoch = self.last_epoch.max(header.partition_leader_epoch);
        if header.is_control() {
            return Ok(());
        }
        records_of(batch)?.into_iter().try_for_each(|(offset, record)| self.record(offset, record))
    }

    fn record(&mut self, offset: i64, record: MetadataRecord) -> Result<(), LoadError> {
        match (&mut self.open, record) {
            (open, MetadataRecord::BeginTransaction(_)) => *open = Some(Vec::new()),
            (open, MetadataRecord::AbortTransaction(_)) => *open = None,
            (open, MetadataRecord::EndTransaction(_)) => {
                for (offset, record) in open.take().unwrap_or_default() {
                    self.apply(offset, &record)?;
                }
            }
            (Some(open), record) => open.push((offset, record)),
            (None, record) => self.apply(offset, &record)?,
        }
        Ok(())
    }

    fn apply(&mut self, offset: i64, record: &MetadataRecord) -> Result<(), LoadError> {
        self.image.apply(record).map_err(|error| LoadError::Replay { offset, error })
    }
}

/// The records of a batch that is none of control records, with their offsets.
pub(super) fn records_of(batch: &Batch) -> Result<Vec<(i64, MetadataRecord)>, LoadError> {
    let broken = |error| LoadError::Batch { offset: batch.header.base_offset, error };
    let decoded = |record: Result<kring_wire::record::Record, RecordError>| {
        let record = record.map_err(broken)?;
        let decoded = MetadataRecord::decode(record.value.unwrap_or_default());
        let decoded = decoded.map_err(|error| LoadError::Record { offset: record.offset, error })?;
        Ok((record.offset, decoded))
    };
    batch.records(DEFAULT_MAX_DECOMPRESSED_BYTES).map_err(broken)?.map(decoded).collect()
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
