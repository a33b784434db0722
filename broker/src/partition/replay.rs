//! Reading a log from its start, for those who keep their state in it: the controller and the coordinators. They must
//! not take a changed byte for state, so every checksum is compared, also where a recovery had no reason to.
//! Runs on the core that owns the log; reads about a megabyte at a time.

use bytes::Bytes;
use kring_storage::{Log, LogError, Offset, ReadRequest};
use kring_wire::record::{Batch, RecordError, split_batches};

/// Bytes asked of the log at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// A walk over the batches of a log, up to where it ended when the walk began.
pub struct Replay {
    log: Log,
    next: Offset,
    end: Offset,
}

impl Replay {
    pub fn new(log: &Log) -> Self {
        Self::from(log, log.offsets().start())
    }

    /// From the batch that begins at this offset.
    pub fn from(log: &Log, next: Offset) -> Self {
        Self { log: log.clone(), next, end: log.high_watermark() }
    }

    /// The next whole batches; none at the end.
    pub async fn next_batches(&mut self) -> Result<Vec<Batch>, LogError> {
        if self.next >= self.end {
            return Ok(Vec::new());
        }
        let request =
            ReadRequest { offset: self.next, upto: self.end, max_bytes: CHUNK_BYTES, min_one_batch: true };
        let chunk = self.log.read(request).await?;
        let bytes = chunk.into_bytes().await?;
        let batches = match whole(&bytes) {
            Ok(batches) => batches,
            Err(error) => return Err(self.log.damaged_at(self.next, error.to_string()).await),
        };
        match batches.last() {
            Some(last) => self.next = Offset(last.header.end_offset()),
            None => self.next = self.end,
        }
        Ok(batches)
    }
}

/// A read may end inside a batch; that one comes with the next read.
fn whole(bytes: &Bytes) -> Result<Vec<Batch>, RecordError> {
    let mut batches = Vec::new();
    for batch in split_batches(bytes) {
        match batch.and_then(|batch| batch.check_crc().map(|()| batch)) {
            Ok(batch) => batches.push(batch),
            Err(_) if !batches.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(batches)
}
