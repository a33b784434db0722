//! Why a batch is refused, and what a client is told.
//!
//! The codes and the client-visible texts are those of Apache Kafka 4.3.1. Everything here is the sender's
//! fault; none of it says anything about our own state.

use std::fmt;

use super::compress::CompressError;

/// Kafka error codes that a batch can earn.
pub mod code {
    /// UNKNOWN_SERVER_ERROR: what Kafka answers when a codec fails or is unknown.
    pub const UNKNOWN_SERVER_ERROR: i16 = -1;
    /// CORRUPT_MESSAGE.
    pub const CORRUPT_MESSAGE: i16 = 2;
    /// MESSAGE_TOO_LARGE.
    pub const MESSAGE_TOO_LARGE: i16 = 10;
    /// RECORD_LIST_TOO_LARGE: over the segment size.
    pub const RECORD_LIST_TOO_LARGE: i16 = 18;
    /// INVALID_TIMESTAMP.
    pub const INVALID_TIMESTAMP: i16 = 32;
    /// UNSUPPORTED_FOR_MESSAGE_FORMAT: a stored batch of magic 0 or 1.
    pub const UNSUPPORTED_FOR_MESSAGE_FORMAT: i16 = 43;
    /// UNSUPPORTED_COMPRESSION_TYPE.
    pub const UNSUPPORTED_COMPRESSION_TYPE: i16 = 76;
    /// INVALID_RECORD.
    pub const INVALID_RECORD: i16 = 87;
}

/// What is wrong inside the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The records end inside a record.
    Truncated,
    /// A variable-length integer does not end where it must.
    Varint,
    /// A record's length is not the length of what it holds.
    RecordLength,
    /// A negative or impossible number of headers.
    HeaderCount,
    /// A header without a key.
    HeaderKey,
    /// Bytes after the last record.
    Trailing,
    /// A control record's key or value is not of its form.
    Control,
}

/// A batch or buffer that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// Not one whole batch.
    NoBatch,
    /// More than one batch for one partition.
    MoreThanOneBatch,
    /// A batch length below any format's minimum.
    Length(i32),
    /// A batch too short for its header.
    ShortBatch(u64),
    /// A magic value that no format has.
    Magic(i8),
    /// Magic 0 or 1, in a request.
    OldMagic(i8),
    /// Magic 0 or 1, in stored or fetched bytes.
    StoredOldMagic(i8),
    /// zstd before Produce v7.
    ZstdTooEarly,
    /// A base offset other than 0 in a request.
    BaseOffset(i64),
    /// Batch size over `max.message.bytes`.
    TooLarge {
        /// Size of the batch.
        size: u64,
        /// The limit.
        max: u64,
    },
    /// Batch size over `segment.bytes`.
    OverSegment {
        /// Size of the batch.
        size: u64,
        /// The limit.
        max: u64,
    },
    /// The CRC does not fit.
    Crc {
        /// What the header says.
        stored: u32,
    },
    /// No such codec.
    UnknownCodec(u8),
    /// The offset range is empty or negative.
    OffsetRange {
        /// Last offset minus base offset.
        last_offset_delta: i32,
    },
    /// Zero or fewer records.
    Count(i32),
    /// The record count and the offset range disagree.
    CountMismatch {
        /// Records claimed.
        count: i32,
        /// Last offset minus base offset.
        last_offset_delta: i32,
    },
    /// Control records from a client.
    Control,
    /// A negative sequence from an idempotent producer.
    Sequence {
        /// Who.
        producer_id: i64,
        /// The sequence.
        base_sequence: i32,
    },
    /// The records are not well formed.
    Malformed(Malformed),
    /// The codec could not decode the records.
    Undecodable {
        /// Which codec.
        codec: &'static str,
        /// What it found.
        what: &'static str,
    },
    /// The codec could not encode the records anew.
    Compress(CompressError),
    /// Over the bound on decompressed records.
    Bomb {
        /// The bound, bytes.
        max: u64,
    },
    /// Single records were refused.
    Records(Box<RecordFaults>),
}

/// Records refused one by one. At most [`RecordFaults::MAX_KEPT`] are kept; `total` counts all.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RecordFaults {
    kept: Vec<RecordFault>,
    total: u32,
    any_timestamp: bool,
}

/// One refused record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordFault {
    /// Place of the record in its batch, from 0.
    pub index: i32,
    /// Why.
    pub issue: RecordIssue,
}

/// Why one record is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordIssue {
    /// No key, on a compacted topic.
    NoKey,
    /// A timestamp too far from now.
    TimestampRange {
        /// The record's timestamp, ms.
        timestamp: i64,
        /// The record's offset as sent.
        offset: i64,
        /// Oldest accepted, ms.
        from: i64,
        /// Newest accepted, ms.
        to: i64,
    },
    /// The producer claimed log append time.
    AppendTimeClaimed {
        /// Whether the record was read from a compressed batch (Kafka names it differently).
        compressed: bool,
        /// The record's timestamp, ms.
        timestamp: i64,
        /// The record's offset as sent.
        offset: i64,
        /// Length of the key, negative for none.
        key_bytes: i32,
        /// Length of the value, negative for none.
        value_bytes: i32,
    },
}

impl RecordFaults {
    /// Faults kept and reported; a hostile batch could hold millions.
    pub const MAX_KEPT: usize = 1000;

    pub(crate) fn push(&mut self, index: i32, issue: RecordIssue) {
        self.total = self.total.saturating_add(1);
        self.any_timestamp |= !matches!(issue, RecordIssue::NoKey);
        if self.kept.len() < Self::MAX_KEPT {
            self.kept.push(RecordFault { index, issue });
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The kept faults, by index.
    pub fn faults(&self) -> &[RecordFault] {
        &self.kept
    }

    fn summary(&self, topic_partition: &dyn fmt::Display) -> String {
        if self.any_timestamp {
            return "One or more records have been rejected due to invalid timestamp".to_owned();
        }
        let shown: Vec<String> = self.kept.iter().take(3).map(|fault| fault.shown(topic_partition)).collect();
        format!(
            "One or more records have been rejected due to {} record errors in total, \
             and only showing the first three errors at most: [{}]",
            self.total,
            shown.join(", ")
        )
    }
}

impl RecordFault {
    /// The text of this record's entry in a Produce response.
    pub fn message(&self, topic_partition: &dyn fmt::Display) -> String {
        match self.issue {
            RecordIssue::NoKey => {
                format!(
                    "Compacted topic cannot accept message without key in topic partition {topic_partition}"
                )
            }
            RecordIssue::TimestampRange { timestamp, offset, from, to } => format!(
                "Timestamp {timestamp} of message with offset {offset} is out of range. \
                 The timestamp should be within [{from}, {to}]"
            ),
            RecordIssue::AppendTimeClaimed { compressed, timestamp, offset, key_bytes, value_bytes } => {
                let (class, least) =
                    if compressed { ("PartialDefaultRecord", i32::MIN) } else { ("DefaultRecord", 0) };
                format!(
                    "Invalid timestamp type in message {class}(offset={offset}, timestamp={timestamp}, \
                     key={} bytes, value={} bytes). Producer should not set timestamp type to LogAppendTime.",
                    key_bytes.max(least),
                    value_bytes.max(least)
                )
            }
        }
    }

    fn shown(&self, topic_partition: &dyn fmt::Display) -> String {
        format!("RecordError(batchIndex={}, message='{}')", self.index, self.message(topic_partition))
    }
}

impl RecordError {
    /// The Kafka error code for a client.
    pub fn code(&self) -> i16 {
        match self {
            RecordError::Length(_)
            | RecordError::ShortBatch(_)
            | RecordError::Magic(_)
            | RecordError::Crc { .. } => code::CORRUPT_MESSAGE,
            RecordError::TooLarge { .. } | RecordError::Bomb { .. } => code::MESSAGE_TOO_LARGE,
            RecordError::OverSegment { .. } => code::RECORD_LIST_TOO_LARGE,
            RecordError::ZstdTooEarly => code::UNSUPPORTED_COMPRESSION_TYPE,
            RecordError::StoredOldMagic(_) => code::UNSUPPORTED_FOR_MESSAGE_FORMAT,
            RecordError::UnknownCodec(_) | RecordError::Undecodable { .. } | RecordError::Compress(_) => {
                code::UNKNOWN_SERVER_ERROR
            }
            RecordError::Records(faults) if faults.any_timestamp => code::INVALID_TIMESTAMP,
            RecordError::Records(_)
            | RecordError::NoBatch
            | RecordError::MoreThanOneBatch
            | RecordError::OldMagic(_)
            | RecordError::BaseOffset(_)
            | RecordError::OffsetRange { .. }
            | RecordError::Count(_)
            | RecordError::CountMismatch { .. }
            | RecordError::Control
            | RecordError::Sequence { .. }
            | RecordError::Malformed(_) => code::INVALID_RECORD,
        }
    }

    /// The partition's error message in a Produce response. Kafka sends one only for faults of single records.
    pub fn client_message(&self, topic_partition: &dyn fmt::Display) -> Option<String> {
        match self {
            RecordError::Records(faults) => Some(faults.summary(topic_partition)),
            RecordError::Length(length) => {
                Some(format!("Record size {length} is less than the minimum record overhead (14)"))
            }
            RecordError::Magic(magic) => Some(format!("Invalid magic found in record: {magic}")),
            _ => None,
        }
    }

    /// Whether the batch was well enough for Kafka to have it refused by the partition's log, which tells where the
    /// log starts. What is refused before, and a corrupt or too large batch, is answered without (`ReplicaManager`).
    pub fn is_refused_by_log(&self) -> bool {
        match self {
            RecordError::NoBatch | RecordError::MoreThanOneBatch | RecordError::OldMagic(_) => false,
            _ => matches!(
                self.code(),
                code::INVALID_RECORD | code::INVALID_TIMESTAMP | code::UNKNOWN_SERVER_ERROR
            ),
        }
    }

    /// The refused records, for the response's record errors.
    pub fn record_faults(&self) -> &[RecordFault] {
        match self {
            RecordError::Records(faults) => faults.faults(),
            _ => &[],
        }
    }
}

impl From<Malformed> for RecordError {
    fn from(what: Malformed) -> Self {
        RecordError::Malformed(what)
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::NoBatch => write!(f, "no whole record batch"),
            RecordError::MoreThanOneBatch => write!(f, "more than one record batch for a partition"),
            RecordError::Length(length) => write!(f, "batch length {length} is below any format's minimum"),
            RecordError::ShortBatch(size) => write!(f, "batch of {size} bytes is shorter than its header"),
            RecordError::Magic(magic) => write!(f, "no format has magic {magic}"),
            RecordError::OldMagic(magic) | RecordError::StoredOldMagic(magic) => {
                write!(f, "record format of magic {magic} is not supported")
            }
            RecordError::ZstdTooEarly => write!(f, "zstd needs Produce v7"),
            RecordError::BaseOffset(offset) => {
                write!(f, "base offset of a produced batch is {offset}, not 0")
            }
            RecordError::TooLarge { size, max } => {
                write!(f, "batch of {size} bytes is over the limit of {max}")
            }
            RecordError::OverSegment { size, max } => {
                write!(f, "batch of {size} bytes is over the segment size of {max}")
            }
            RecordError::Crc { stored } => write!(f, "batch does not have its stored CRC {stored:#010x}"),
            RecordError::UnknownCodec(id) => write!(f, "no codec has id {id}"),
            RecordError::OffsetRange { last_offset_delta } => {
                write!(f, "last offset delta {last_offset_delta} makes an empty range")
            }
            RecordError::Count(count) => write!(f, "record count {count}"),
            RecordError::CountMismatch { count, last_offset_delta } => {
                write!(f, "record count {count} does not fit last offset delta {last_offset_delta}")
            }
            RecordError::Control => write!(f, "control records from a client"),
            RecordError::Sequence { producer_id, base_sequence } => {
                write!(f, "sequence {base_sequence} from producer id {producer_id}")
            }
            RecordError::Malformed(what) => write!(f, "malformed records: {what:?}"),
            RecordError::Undecodable { codec, what } => {
                write!(f, "{codec} records cannot be decoded: {what}")
            }
            RecordError::Compress(error) => error.fmt(f),
            RecordError::Bomb { max } => write!(f, "decompressed records exceed {max} bytes"),
            RecordError::Records(faults) => write!(f, "{} records refused", faults.total),
        }
    }
}

impl std::error::Error for RecordError {}
