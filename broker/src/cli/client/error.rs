//! Why a command failed, as one sentence that says what to try. Decides which failures may pass.

use std::fmt;

use kring_wire::{ApiKey, ErrorCode, Str};

pub type Result<T> = std::result::Result<T, ClientError>;

#[derive(Clone, Debug)]
pub enum ClientError {
    /// `--server` names none.
    NoServer,
    BadAddress {
        text: String,
    },
    /// No broker answers where the user said.
    Unreachable {
        address: String,
        reason: String,
    },
    /// A connection was refused or lost.
    Lost {
        address: String,
        reason: String,
    },
    /// No answer in time.
    Silent {
        address: String,
        api: ApiKey,
    },
    /// The broker has no version of the API that this client speaks.
    Unsupported {
        address: String,
        api: ApiKey,
    },
    /// The answer is not Kafka's protocol.
    Malformed {
        address: String,
        reason: String,
    },
    /// Metadata names a broker that it does not describe.
    UnknownBroker {
        node: i32,
    },
    /// The broker said no.
    Refused {
        what: String,
        code: ErrorCode,
        message: Option<Str>,
    },
    /// Anything that is clear already.
    Plain(String),
}

impl ClientError {
    /// `Ok` for the code of success.
    pub fn check(code: i16, message: Option<&Str>, what: impl FnOnce() -> String) -> Result<()> {
        let code = ErrorCode(code);
        match code.is_ok() {
            true => Ok(()),
            false => Err(Self::Refused { what: what(), code, message: message.cloned() }),
        }
    }

    /// Whether the same request may succeed a little later.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Lost { .. } | Self::Silent { .. } | Self::UnknownBroker { .. } => true,
            Self::Refused { code, .. } => code.is_retriable(),
            _ => false,
        }
    }

    /// The code with which the broker refused.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// The same failure of the very first connection: the address is likely wrong, or nothing runs there.
    pub(super) fn at_start(self) -> Self {
        match self {
            Self::Lost { address, reason } => Self::Unreachable { address, reason },
            other => other,
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoServer => f.write_str("--server names no broker; try --server localhost:9092"),
            Self::BadAddress { text } => {
                write!(f, "'{text}' is no address; try HOST:PORT, as in localhost:9092")
            }
            Self::Unreachable { address, reason } => write!(
                f,
                "no broker answers at {address} ({reason}); start one with `kring start`, or name another with \
                 --server HOST:PORT"
            ),
            Self::Lost { address, reason } => write!(f, "the connection to {address} was lost ({reason})"),
            Self::Silent { address, api } => write!(f, "{address} did not answer {api} in time"),
            Self::Unsupported { address, api } => {
                write!(f, "{address} speaks no version of {api} that this client knows")
            }
            Self::Malformed { address, reason } => write!(
                f,
                "{address} does not answer as a Kafka broker does ({reason}); is it the right port, and plain text?"
            ),
            Self::UnknownBroker { node } => write!(f, "broker {node} is not available"),
            Self::Refused { what, code, message } => refused(f, what, *code, message.as_ref()),
            Self::Plain(sentence) => f.write_str(sentence),
        }
    }
}

fn refused(f: &mut fmt::Formatter<'_>, what: &str, code: ErrorCode, message: Option<&Str>) -> fmt::Result {
    let text = message.map_or("", |message| message.as_str());
    let text = if text.is_empty() { code.message() } else { text };
    write!(f, "{what}: {} ({})", text.trim_end().trim_end_matches('.'), code.name())
}

impl From<ClientError> for String {
    fn from(error: ClientError) -> Self {
        error.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_sentence_with_the_name_of_its_code() {
        let error = ClientError::check(36, None, || "topic 'a' cannot be created".into()).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("topic 'a' cannot be created: "), "{text}");
        assert!(text.ends_with("(TOPIC_ALREADY_EXISTS)"), "{text}");
        assert!(!error.is_retriable());
        assert!(ClientError::check(0, None, String::new).is_ok());
    }

    #[test]
    fn the_first_connection_tells_what_to_try() {
        let lost = ClientError::Lost { address: "h:1".into(), reason: "refused".into() };
        assert!(lost.is_retriable());
        let error = lost.at_start();
        assert!(!error.is_retriable());
        assert!(error.to_string().contains("h:1") && error.to_string().contains("--server"));
    }
}
