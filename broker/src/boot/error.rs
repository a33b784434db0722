//! Why a broker does not start: one clear sentence that says what to do. Never a backtrace.

use std::fmt;

use kring_runtime::RuntimeError;
use kring_storage::LogError;

/// A start that could not be, or a stop that was not clean.
#[derive(Debug)]
pub enum BootError {
    Runtime(RuntimeError),
    LogDir(LogError),
    /// The directory belongs to another cluster or node.
    OtherNode(String),
    /// A directory or a partition is there twice.
    Twice(String),
    Listen {
        address: String,
        error: std::io::Error,
    },
    ReadyFile {
        path: String,
        error: std::io::Error,
    },
    /// The metadata log cannot be read or written.
    Metadata(String),
    /// The broker ran, and lost what it cannot do without.
    Lost(String),
    /// Another shard said what was wrong.
    Elsewhere,
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runtime(error) => error.fmt(f),
            Self::LogDir(error) => log_dir_sentence(f, error),
            Self::OtherNode(sentence)
            | Self::Twice(sentence)
            | Self::Metadata(sentence)
            | Self::Lost(sentence) => f.write_str(sentence),
            Self::Listen { address, error } => listen_sentence(f, address, error),
            Self::ReadyFile { path, error } => write!(f, "the ready file {path} cannot be written: {error}"),
            Self::Elsewhere => f.write_str("another shard did not start"),
        }
    }
}

fn log_dir_sentence(f: &mut fmt::Formatter<'_>, error: &LogError) -> fmt::Result {
    match error {
        LogError::Locked { .. } => {
            write!(f, "{error}: stop that broker, or choose another directory with --data-dir DIR")
        }
        LogError::Io { .. } => {
            write!(f, "{error}: mend that, or choose another directory with --data-dir DIR")
        }
        _ => write!(f, "{error}"),
    }
}

fn listen_sentence(f: &mut fmt::Formatter<'_>, address: &str, error: &std::io::Error) -> fmt::Result {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            write!(
                f,
                "{address} is in use by another program: stop it, or choose another address with --listen HOST:PORT"
            )
        }
        std::io::ErrorKind::PermissionDenied => {
            write!(
                f,
                "{address} may not be used by this user: choose a port from 1024 on with --listen HOST:PORT"
            )
        }
        _ => write!(
            f,
            "cannot listen on {address} ({error}): choose an address of this machine with --listen HOST:PORT"
        ),
    }
}

impl std::error::Error for BootError {}

impl From<RuntimeError> for BootError {
    fn from(error: RuntimeError) -> Self {
        Self::Runtime(error)
    }
}

impl From<LogError> for BootError {
    fn from(error: LogError) -> Self {
        Self::LogDir(error)
    }
}
