//! Kafka's error codes, and what can go wrong between bytes and messages. Decides nothing.

use std::fmt;

include!(concat!(env!("OUT_DIR"), "/error_codes.rs"));

/// An error code of the protocol: 0 is success. A code that this release does not know is kept as it is.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(pub i16);

struct ErrorEntry {
    code: i16,
    name: &'static str,
    retriable: bool,
    message: &'static str,
}

impl ErrorCode {
    /// Every code that this release knows, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        ERRORS.iter().map(|entry| Self(entry.code))
    }

    pub fn is_ok(self) -> bool {
        self == Self::NONE
    }

    pub fn is_err(self) -> bool {
        self != Self::NONE
    }

    /// Kafka's name for it, in capitals; an unknown code counts as `UNKNOWN_SERVER_ERROR`, as in its clients.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// The text a client shows when the answer brings none.
    pub fn message(self) -> &'static str {
        self.entry().message
    }

    /// Whether Kafka's clients try again by themselves.
    pub fn is_retriable(self) -> bool {
        self.entry().retriable
    }

    fn entry(self) -> &'static ErrorEntry {
        // The table starts at -1 and has no holes: a test holds this.
        let index = usize::try_from(i32::from(self.0) + 1).unwrap_or(0);
        ERRORS.get(index).unwrap_or(&ERRORS[0])
    }
}

impl From<ErrorCode> for i16 {
    fn from(code: ErrorCode) -> Self {
        code.0
    }
}

impl From<i16> for ErrorCode {
    fn from(code: i16) -> Self {
        Self(code)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name(), self.0)
    }
}

/// Why bytes are not the message they should be. The peer is to blame, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes end before the value does, or a length claims more than is left.
    Truncated {
        needed: usize,
        remaining: usize,
    },
    /// A string above 32,767 bytes.
    TooLong(usize),
    /// Null in a field, or a version, that has none.
    UnexpectedNull,
    /// An unsigned varint of more than 5 bytes or above 2^32.
    BadVarint,
    /// A tagged field whose value is not as long as it says.
    BadTaggedField {
        tag: u32,
    },
    /// The decoded message would need more memory than the caller allows.
    OverBudget,
    /// Bytes are left when the message is complete.
    TrailingBytes(usize),
    UnknownApiKey(i16),
    UnsupportedVersion {
        message: &'static str,
        version: i16,
    },
    /// A stored record with a key or a frame version that this release does not know.
    UnknownRecord {
        key: u32,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { needed, remaining } => write!(f, "{needed} bytes needed, {remaining} left"),
            Self::TooLong(length) => write!(f, "a string of {length} bytes"),
            Self::UnexpectedNull => f.write_str("null where there must be a value"),
            Self::BadVarint => f.write_str("a varint of more than 32 bits"),
            Self::BadTaggedField { tag } => write!(f, "tagged field {tag} does not have the length it says"),
            Self::OverBudget => f.write_str("more elements than the memory budget allows"),
            Self::TrailingBytes(count) => write!(f, "{count} bytes after the end of the message"),
            Self::UnknownApiKey(key) => write!(f, "unknown API key {key}"),
            Self::UnsupportedVersion { message, version } => write!(f, "{message} has no version {version}"),
            Self::UnknownRecord { key } => write!(f, "unknown record key or frame version {key}"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Why a message cannot be written in a version. We are to blame, except where a value came from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    UnsupportedVersion {
        message: &'static str,
        version: i16,
    },
    /// The field has a value other than its default, and the version has no room for it.
    FieldNotInVersion {
        field: &'static str,
        version: i16,
    },
    UnexpectedNull {
        field: &'static str,
    },
    /// A string above 32,767 bytes, or bytes or an array above 2^31 - 1.
    TooLong(usize),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnsupportedVersion { message, version } => write!(f, "{message} has no version {version}"),
            Self::FieldNotInVersion { field, version } => write!(f, "version {version} has no {field}"),
            Self::UnexpectedNull { field } => write!(f, "{field} must not be null"),
            Self::TooLong(length) => write!(f, "{length} is too long for its length field"),
        }
    }
}

impl std::error::Error for EncodeError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_finds_its_own_entry() {
        for (code, expected) in ErrorCode::all().zip(-1i16..) {
            assert_eq!(code.0, expected);
            assert_eq!(code.entry().code, expected);
        }
        assert_eq!(ErrorCode::all().count(), 135);
    }

    #[test]
    fn unknown_codes_count_as_unknown_server_error() {
        for code in [i16::MIN, -2, 134, i16::MAX] {
            assert_eq!(ErrorCode(code).name(), "UNKNOWN_SERVER_ERROR");
        }
    }

    #[test]
    fn names_are_constants() {
        assert_eq!(ErrorCode::NOT_LEADER_OR_FOLLOWER.0, 6);
        assert_eq!(ErrorCode::NOT_LEADER_OR_FOLLOWER.to_string(), "NOT_LEADER_OR_FOLLOWER");
        assert!(ErrorCode::NOT_LEADER_OR_FOLLOWER.is_retriable());
        assert!(!ErrorCode::MESSAGE_TOO_LARGE.is_retriable());
    }
}
