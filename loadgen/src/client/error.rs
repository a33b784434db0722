//! What can go wrong between the load generator and a broker.

use std::fmt;
use std::io;
use std::time::Duration;

use kring_wire::record::{BuildError, RecordError};
use kring_wire::{DecodeError, EncodeError, ErrorCode};

/// Why something was not answered as it should be.
#[derive(Debug)]
pub enum ClientError {
    Connect {
        to: String,
        error: io::Error,
    },
    Io(io::Error),
    /// The broker closed the connection.
    Closed,
    /// No answer in time.
    Timeout,
    /// An answer that cannot be read.
    Decode(DecodeError),
    Encode(EncodeError),
    /// A frame with this length.
    FrameLength(i32),
    /// The answer to another request than the oldest.
    Correlation {
        expected: i32,
        found: i32,
    },
    /// The broker does not have a version of an API that is needed.
    Version {
        api: &'static str,
    },
    /// The broker refused: what was asked, and its error.
    Refused {
        what: String,
        code: ErrorCode,
        message: Option<String>,
    },
    /// An answer that does not speak of what was asked.
    Missing(String),
    /// Record batches that cannot be read.
    Records(String),
    Build(BuildError),
    /// The topic is not as the options say.
    Topic(String),
    /// The time to start at has passed.
    Late {
        by: Duration,
    },
    /// Another client of this run failed first.
    Aborted,
    /// The operator ended it before the start.
    Interrupted,
}

impl ClientError {
    pub fn refused(what: impl Into<String>, code: ErrorCode) -> ClientError {
        ClientError::Refused { what: what.into(), code, message: None }
    }

    /// Whether it may pass by trying again, perhaps with another broker.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Io(_) | Self::Closed | Self::Timeout => true,
            Self::Refused { code, .. } => code.is_retriable(),
            _ => false,
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { to, error } => write!(f, "cannot connect to {to}: {error}"),
            Self::Io(error) => write!(f, "connection lost: {error}"),
            Self::Closed => f.write_str("the broker closed the connection"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Decode(error) => write!(f, "an answer cannot be read: {error}"),
            Self::Encode(error) => write!(f, "a request cannot be written: {error}"),
            Self::FrameLength(length) => write!(f, "an answer claims to be {length} bytes long"),
            Self::Correlation { expected, found } => {
                write!(f, "an answer to request {found} came where {expected} was due")
            }
            Self::Version { api } => write!(f, "the broker has no version of {api} that is known here"),
            Self::Refused { what, code, message } => match message {
                Some(message) => write!(f, "{what}: {code}: {message}"),
                None => write!(f, "{what}: {code}: {}", code.message()),
            },
            Self::Missing(what) => write!(f, "the answer does not speak of {what}"),
            Self::Records(error) => write!(f, "record batches cannot be read: {error}"),
            Self::Build(error) => write!(f, "a batch cannot be made: {error}"),
            Self::Topic(sentence) => f.write_str(sentence),
            Self::Late { by } => write!(
                f,
                "the time of --start-at passed {} ms before everything was connected: choose a later one",
                by.as_millis()
            ),
            Self::Aborted => f.write_str("another client failed"),
            Self::Interrupted => f.write_str("interrupted before the start: nothing was measured"),
        }
    }
}

impl std::error::Error for ClientError {}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<DecodeError> for ClientError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl From<EncodeError> for ClientError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

impl From<RecordError> for ClientError {
    fn from(error: RecordError) -> Self {
        Self::Records(error.to_string())
    }
}

impl From<BuildError> for ClientError {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
}
