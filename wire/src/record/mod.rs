//! Record batches of format v2: layout, splitting, validation, iteration, building, compression.
//!
//! The rules are those of Apache Kafka 4.3.1's produce path. This module never does I/O, never reads a clock
//! (`now_ms` is an argument), never panics on bytes that came from elsewhere, and never allocates by a length
//! that a peer claimed. It runs on whichever core holds the bytes.
//!
//! | file | job |
//! |---|---|
//! | `header` | the 61 bytes before the records, and patching them without rereading the records |
//! | `split` | cutting a buffer into batches |
//! | `crc` | checksums, of one batch or of a whole request |
//! | `varint`, `walk` | the record walk: one pass, no allocation |
//! | `stream` | the same walk over compressed records, through a bounded buffer |
//! | `validate`, `rewrite` | what a broker does to a produced batch before it is appended |
//! | `iter`, `builder`, `control` | reading and making records |
//! | `retain` | what the log cleaner leaves of a batch |
//! | `compress` | gzip, snappy, lz4, zstd |

mod batch;
mod builder;
pub mod compress;
pub mod control;
mod crc;
mod error;
mod header;
mod iter;
mod retain;
mod rewrite;
mod split;
mod stream;
mod validate;
pub mod varint;
mod walk;

pub use batch::ValidatedBatch;
pub use builder::{BatchBuilder, BuildError};
pub use compress::{Codec, CompressError, Compression};
pub use crc::{CrcSet, batch_crc, verify_crcs};
pub use error::{Malformed, RecordError, RecordFault, RecordFaults, RecordIssue, code};
pub use header::{BatchHeader, HEADER_BYTES, LOG_OVERHEAD_BYTES, MAGIC_V2, TimestampType, place_header};
pub use iter::{Header, Headers, Record, RecordRef, RecordsIter};
pub use retain::{DeleteHorizon, Retained, empty_batch, retain_records};
pub use split::{Batch, SplitBatches, split_batches};
pub use validate::{DEFAULT_MAX_DECOMPRESSED_BYTES, Rules, Validator, validate};

/// "No timestamp" in a record or a batch.
pub const NO_TIMESTAMP: i64 = -1;
/// "No producer id" in a batch header.
pub const NO_PRODUCER_ID: i64 = -1;
/// "No producer epoch" in a batch header.
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// "No sequence" in a batch header.
pub const NO_SEQUENCE: i32 = -1;
/// "Leader epoch unknown" in a batch header.
pub const NO_PARTITION_LEADER_EPOCH: i32 = -1;
