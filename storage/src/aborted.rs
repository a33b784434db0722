//! Finding the aborted transactions of a range, as Kafka's `LocalLog.collectAbortedTransactions`.
//! Changes nothing. Shard that owns the log.

use std::rc::Rc;

use crate::dir::read_bytes;
use crate::error::LogError;
use crate::log::Log;
use crate::segment::Segment;
use crate::txn_index::{self, AbortedTransaction};
use crate::types::Offset;

impl Log {
    /// The aborted transactions that have an offset from `from` on and below `upto`.
    pub(crate) async fn aborted_transactions(
        &self,
        from: Offset,
        upto: Offset,
    ) -> Result<Vec<AbortedTransaction>, LogError> {
        let mut found = Vec::new();
        let mut segment = self.state().segment_at(from);
        while let Some(current) = segment {
            let entries = read_index(&current).await?;
            // A transaction ends in the segment that holds its marker, which may be a later one.
            let is_all = entries.iter().any(|entry| entry.last_stable_offset >= upto);
            found.extend(
                entries.into_iter().filter(|entry| entry.last_offset >= from && entry.first_offset < upto),
            );
            segment = self.state().segment_after(current.base).filter(|_| !is_all);
        }
        Ok(found)
    }
}

async fn read_index(segment: &Rc<Segment>) -> Result<Vec<AbortedTransaction>, LogError> {
    let path = segment.path("txnindex");
    // Most segments have none.
    let bytes = read_bytes(&path).await?.unwrap_or_default();
    txn_index::decode(&bytes).map_err(|bad| LogError::corrupt(&path, 0, bad.to_string()))
}
