//! Reading a log from its start, for those who keep their state in it: the controller and the coordinators.
//! Runs on the core that owns the log; reads about a megabyte at a time.

use bytes::Bytes;
use kring_storage::{Log, LogError, Offset, ReadRequest};
use kring_wire::record::{Batch, RecordError, split_batches};

/// Bytes asked of the log at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// Why a log cannot be replayed.
#[derive(Debug, Clone)]
pub enum ReplayError {
    Log(LogError),
    Batch { offset: i64, error: RecordError },
}

impl std::fmt::Display for ReplayError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Log(error) => error.fmt(f),
            Self::Batch { offset, error } => {
                write!(f, "the batch at offset {offset} cannot be read: {error}")
            }
        }
    }
}

impl From<LogError> for ReplayError {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

/// A walk over the batches of a log, up to where it ended when the walk began.
pub struct Replay {
    log: Log,
    next: Offset,
    end: Offset,
}

impl Replay {
    pub fn new(log: &Log) -> Self {
        let offsets = log.offsets();
        Self { log: log.clone(), next: offsets.start(), end: log.high_watermark() }
    }

    /// The next whole batches; none at the end.
    pub async fn next_batches(&mut self) -> Result<Vec<Batch>, ReplayError> {
        if self.next >= self.end {
            return Ok(Vec::new());
        }
        let request =
            ReadRequest { offset: self.next, upto: self.end, max_bytes: CHUNK_BYTES, min_one_batch: true };
        let chunk = self.log.read(request).await?;
        let bytes = chunk.into_bytes().await?;
        let batches = self.whole(&bytes)?;
        match batches.last() {
            Some(last) => self.next = Offset(last.header.end_offset()),
            None => self.next = self.end,
        }
        Ok(batches)
    }

    /// A read may end inside a batch; that one comes with the next read.
    fn whole(&self, bytes: &Bytes) -> Result<Vec<Batch>, ReplayError> {
        let mut batches = Vec::new();
        for batch in split_batches(bytes) {
            match batch {
                Ok(batch) => batches.push(batch),
                Err(_) if !batches.is_empty() => break,
                Err(error) => return Err(ReplayError::Batch { offset: self.next.0, error }),
            }
        }
        Ok(batches)
    }
}
