//! A request as it came off the wire: header decoded, body not yet. Never decodes more than it is asked for.

use bytes::Bytes;
use kring_wire::messages::request_header::RequestHeader;
use kring_wire::{ApiKey, ApiMessage, DecodeError, Reader, Str, decode_request_header};

/// What a peer did that ends its connection, and harms nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerFault {
    BadHeader(DecodeError),
    UnsupportedApi { api: ApiKey, version: i16 },
    Undecodable { api: ApiKey, version: i16, error: DecodeError },
}

impl std::fmt::Display for PeerFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BadHeader(error) => write!(f, "a request header that cannot be read ({error})"),
            Self::UnsupportedApi { api, version } => {
                write!(f, "{api} in version {version}, which is not offered")
            }
            Self::Undecodable { api, version, error } => {
                write!(f, "an unreadable {api} request of version {version} ({error})")
            }
        }
    }
}

/// One request of a connection.
#[derive(Debug)]
pub struct Request {
    pub api: ApiKey,
    pub version: i16,
    pub correlation_id: i32,
    pub client_id: Option<Str>,
    /// Its size on the wire.
    pub bytes: usize,
    body: Reader,
}

impl Request {
    /// Reads the header of a frame.
    pub fn parse(frame: Bytes) -> Result<Self, PeerFault> {
        let bytes = frame.len();
        let mut reader = Reader::with_default_budget(frame);
        let (api, header) = decode_request_header(&mut reader).map_err(PeerFault::BadHeader)?;
        let RequestHeader { request_api_version, correlation_id, client_id, .. } = header;
        Ok(Self { api, version: request_api_version, correlation_id, client_id, bytes, body: reader })
    }

    /// Whether the next request may start before this one is answered.
    pub fn may_pipeline(&self) -> bool {
        self.api == ApiKey::Produce
    }

    /// Decodes the body. Bytes after it are ignored, as Kafka ignores them.
    pub fn body<M: ApiMessage>(&mut self) -> Result<M, PeerFault> {
        debug_assert_eq!(M::API_KEY, self.api);
        M::decode(&mut self.body, self.version).map_err(|error| PeerFault::Undecodable {
            api: self.api,
            version: self.version,
            error,
        })
    }
}
