//! A response as it leaves: buffers and file ranges in order. Never copies records.

use bytes::Bytes;
use kring_runtime::disk::FileRange;
use kring_wire::{ApiMessage, EncodeError, Frame, FramePart, encode_response};

use super::request::Request;

/// A piece of a response.
#[derive(Debug)]
pub enum Part {
    Memory(Bytes),
    File(FileRange),
}

impl Part {
    pub fn file(&self) -> Option<&FileRange> {
        match self {
            Self::File(range) => Some(range),
            Self::Memory(_) => None,
        }
    }
}

/// The parts of one response, size prefix included.
#[derive(Debug)]
pub struct Outgoing {
    pub parts: Vec<Part>,
}

/// How a request ends.
#[derive(Debug)]
pub enum Response {
    Send(Outgoing),
    /// acks=0 went well: Kafka's protocol has no answer then.
    Nothing,
    /// acks=0 went wrong, or the answer has no encoding: closing is the only way to tell.
    Close,
}

/// Encodes an answer to a request. One that quotes so much of the request that it is too long for the protocol
/// ends the connection, as it does in Kafka.
///
/// # Panics
/// When the answer has a field that its version lacks: our own mistake, which no peer can cause.
pub fn reply<M: ApiMessage>(head: &Head, body: &M) -> Response {
    reply_with_files(head, body, Vec::new())
}

/// Encodes an answer whose file parts stand for `files`, by slot.
pub fn reply_with_files<M: ApiMessage>(head: &Head, body: &M, files: Vec<FileRange>) -> Response {
    match encode_response(head.version, head.correlation_id, body) {
        Ok(frame) => Response::Send(fill(frame, &files)),
        Err(error @ EncodeError::TooLong(_)) => {
            tracing::debug!(answer = M::NAME, %error, "an answer could not be sent");
            Response::Close
        }
        Err(error) => panic!("{} version {} cannot be encoded: {error}", M::NAME, head.version),
    }
}

/// What of a request its answer needs.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    pub version: i16,
    pub correlation_id: i32,
}

impl From<&Request> for Head {
    fn from(request: &Request) -> Self {
        Self { version: request.version, correlation_id: request.correlation_id }
    }
}

fn fill(frame: Frame, files: &[FileRange]) -> Outgoing {
    let parts = frame.parts.into_iter().map(|part| match part {
        FramePart::Bytes(bytes) => Part::Memory(bytes),
        FramePart::File { slot, len } => {
            let range = files[slot as usize].clone();
            assert_eq!(range.len, len, "a response counts the bytes that it sends");
            Part::File(range)
        }
    });
    Outgoing { parts: parts.collect() }
}
