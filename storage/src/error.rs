//! What can go wrong with a log, sorted by who must act. Carries no Kafka error code: the broker maps these.
//! Values only: any core.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kring_runtime::fs;

use crate::types::Offset;

/// Every way a log refuses. Clonable, because many waiters learn of one failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogError {
    /// The reader asked outside `start..=end`. The reader acts.
    OffsetOutOfRange { offset: Offset, start: Offset, end: Offset },
    /// One batch does not fit into a segment. The producer acts.
    BatchTooLarge { bytes: usize, limit: u32 },
    /// An operation on a file failed. The operator acts; this log takes no more appends.
    Io { path: PathBuf, action: &'static str, kind: io::ErrorKind, cause: Arc<str> },
    /// The disk has no room for this. Nothing is lost; it passes when space returns.
    Full { path: PathBuf, cause: Arc<str> },
    /// No file descriptor, or no memory in the kernel, was left for this. It passes.
    Exhausted { path: PathBuf, action: &'static str, cause: Arc<str> },
    /// A batch has its offset, but writing it waits for room or for a descriptor: it may be written later.
    Stalled { cause: Arc<str> },
    /// The log directory failed earlier, so nothing in it is trusted any more.
    Offline { dir: PathBuf, cause: Arc<str> },
    /// Bytes that had been durable are not what was written. Never mended silently.
    Corrupt { path: PathBuf, position: u64, cause: Arc<str> },
    /// The directory belongs to something else: another cluster, another node, another program.
    Foreign { path: PathBuf, cause: Arc<str> },
    /// Another process holds the directory.
    Locked { path: PathBuf },
    /// The log was closed or deleted while the caller waited.
    Closed,
}

impl LogError {
    /// An operation that may be tried again when it failed for want of something.
    pub(crate) fn io(path: &Path, action: &'static str, error: &io::Error) -> LogError {
        let (path, cause) = (path.to_path_buf(), error.to_string().into());
        if fs::is_out_of_space(error) {
            LogError::Full { path, cause }
        } else if fs::is_out_of_files(error) {
            LogError::Exhausted { path, action, cause }
        } else {
            LogError::Io { path, action, kind: error.kind(), cause }
        }
    }

    /// A flush. Once begun, whatever it failed for, what it should have covered is not known to be there, and a second
    /// one would not tell.
    pub(crate) fn flush(path: &Path, action: &'static str, error: &io::Error) -> LogError {
        let (path, cause) = (path.to_path_buf(), error.to_string().into());
        match fs::is_out_of_files(error) {
            // There was nothing to call it on.
            true => LogError::Exhausted { path, action, cause },
            false => LogError::Io { path, action, kind: error.kind(), cause },
        }
    }

    /// Whether the same operation may succeed later, with nothing lost.
    pub fn is_passing(&self) -> bool {
        matches!(self, LogError::Full { .. } | LogError::Exhausted { .. })
    }

    pub(crate) fn corrupt(path: &Path, position: u64, cause: impl Into<Arc<str>>) -> LogError {
        LogError::Corrupt { path: path.to_path_buf(), position, cause: cause.into() }
    }

    pub(crate) fn foreign(path: &Path, cause: impl Into<Arc<str>>) -> LogError {
        LogError::Foreign { path: path.to_path_buf(), cause: cause.into() }
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogError::OffsetOutOfRange { offset, start, end } => {
                write!(f, "offset {offset} is outside the log, which holds {start} to {end}")
            }
            LogError::BatchTooLarge { bytes, limit } => {
                write!(f, "a batch of {bytes} bytes does not fit a segment of {limit} bytes")
            }
            LogError::Io { path, action, cause, .. } => write!(f, "{action} {}: {cause}", path.display()),
            LogError::Full { path, cause } => write!(f, "no room for {}: {cause}", path.display()),
            LogError::Exhausted { path, action, cause } => write!(f, "{action} {}: {cause}", path.display()),
            LogError::Stalled { cause } => write!(f, "appended, but not written yet: {cause}"),
            LogError::Offline { dir, cause } => {
                write!(f, "log directory {} is offline: {cause}", dir.display())
            }
            LogError::Corrupt { path, position, cause } => {
                write!(f, "{} is damaged at byte {position}: {cause}", path.display())
            }
            LogError::Foreign { path, cause } => write!(f, "refusing {}: {cause}", path.display()),
            LogError::Locked { path } => {
                write!(f, "{} is in use: another process holds its .lock file", path.display())
            }
            LogError::Closed => write!(f, "the log is closed"),
        }
    }
}

impl std::error::Error for LogError {}
