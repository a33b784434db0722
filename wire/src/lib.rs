//! The bytes of Kafka's protocol: messages in every version, record batches, error codes.
//!
//! Nothing here does I/O, reads a clock, or panics on bytes that a peer sent. It runs on whichever core
//! holds the bytes.

pub mod api;
pub mod codec;
pub mod error;
pub mod json;
pub mod messages;
pub mod record;
pub mod stored;
mod str;
mod uuid;

pub use api::{
    ApiKey, ApiMessage, Request, decode_request_header, decode_response_header, encode_request,
    encode_response,
};
pub use codec::{Frame, FramePart, Message, Reader, RecordMessage, Records, RecordsPart, Writer};
pub use error::{DecodeError, EncodeError, ErrorCode};
pub use stored::{GroupRecord, MetadataRecord, ShareRecord, TransactionRecord};
pub use str::Str;
pub use uuid::{ParseUuidError, Uuid};
