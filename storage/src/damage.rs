//! Where on disk the batch of an offset lies, for whoever finds that its bytes are not what was written.
//! Changes nothing. Shard that owns the log.

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::LogError;
use crate::log::Log;
use crate::types::Offset;

impl Log {
    /// The error for the batch that holds `offset`: with its file, and the byte where it begins.
    pub async fn damaged_at(&self, offset: Offset, cause: impl Into<Arc<str>>) -> LogError {
        match self.place_of(offset).await {
            Ok((path, position)) => LogError::corrupt(&path, position, cause),
            // What leads there is damaged as well, and says where.
            Err(error) => error,
        }
    }

    async fn place_of(&self, offset: Offset) -> Result<(PathBuf, u64), LogError> {
        let Some(segment) = self.state().segment_at(offset) else {
            return Ok((self.0.path.to_path_buf(), 0));
        };
        let source = self.source(&segment).await?;
        let from = segment.lookup(&self.0.shard, offset).await?;
        let found = source.find(from, offset).await?;
        Ok((segment.path("log"), found.map_or(u64::from(segment.size()), |(at, _)| u64::from(at))))
    }
}
