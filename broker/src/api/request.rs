//! A request as it came off the wire: its header decoded, its body not yet. Never decodes a body.

use bytes::{Buf, Bytes};
use kring_wire::{ApiKey, DecodeError, Reader, Str};

use crate::net_frame::BadLength;

/// What a peer did that ends its connection, and nothing else.
#[derive(Debug)]
pub enum PeerFault {
    BadLength(BadLength),
    UnknownApi(i16),
    UnsupportedVersion { api: ApiKey, version: i16 },
    Undecodable { api: ApiKey, version: i16, error: DecodeError },
    BadHeader(DecodeError),
}
