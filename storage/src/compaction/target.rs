//! Writes a cleaned segment beside the log it was made from, under Kafka's name `.cleaned`: direct writes of whole
//! blocks, indexes in memory, everything durable at the end. Never touches a file that the log uses. Owning shard.

use std::path::{Path, PathBuf};

use kring_runtime::disk::{AlignedBuf, DirectFile};
use kring_runtime::fs;

use crate::batch::BatchInfo;
use crate::error::LogError;
use crate::index::Indexer;
use crate::segment::{block_floor, file_name, write_file};
use crate::txn_index::{self, AbortedTransaction};
use crate::types::Offset;

pub(crate) const CLEANED: &str = "cleaned";

/// What a cleaned segment may have, in the order in which its files change their names: the log last, so that it
/// never stands under a name that its indexes do not have yet.
pub(crate) const SUFFIXES: [&str; 4] = ["txnindex", "timeindex", "index", "log"];

/// A segment that is being written.
pub(crate) struct Target {
    dir: PathBuf,
    base: Offset,
    file: DirectFile,
    /// Bytes that are not written yet: what follows the whole blocks that are.
    pending: Vec<u8>,
    written: u32,
    write_bytes: usize,
    indexer: Indexer,
    index_interval_bytes: u32,
}

/// The bounds that a target keeps to.
#[derive(Clone, Copy)]
pub(crate) struct TargetConfig {
    /// Written at once.
    pub write_bytes: u32,
    pub index_interval_bytes: u32,
}

impl Target {
    /// Begins a segment; one that an earlier cleaning left behind goes.
    pub async fn create(dir: &Path, base: Offset, config: TargetConfig) -> Result<Target, LogError> {
        remove_cleaned(dir, base).await?;
        let path = dir.join(cleaned_name(base, "log"));
        let file = DirectFile::create(&path).await.map_err(|e| LogError::io(&path, "creating", &e))?;
        Ok(Target {
            dir: dir.to_path_buf(),
            base,
            file,
            pending: Vec::new(),
            written: 0,
            write_bytes: config.write_bytes.max(crate::segment::BLOCK_BYTES) as usize,
            indexer: Indexer::new(),
            index_interval_bytes: config.index_interval_bytes,
        })
    }

    /// Bytes of all batches.
    pub fn size(&self) -> u32 {
        self.written + self.pending.len() as u32
    }

    /// Takes a batch at the end. Says how much was written now.
    pub async fn append(&mut self, info: &BatchInfo, whole: &[u8]) -> Result<u32, LogError> {
        let position = self.size();
        if position.checked_add(whole.len() as u32).is_none_or(|end| end > i32::MAX as u32) {
            let cause = "the cleaned segment would be longer than 2 GiB";
            return Err(LogError::corrupt(&self.path("log"), u64::from(position), cause));
        }
        self.indexer.noticed(info.indexed(self.base, position), self.index_interval_bytes);
        self.pending.extend_from_slice(whole);
        if self.pending.len() < self.write_bytes {
            return Ok(0);
        }
        let blocks = block_floor(self.pending.len() as u32);
        self.write(blocks).await?;
        Ok(blocks)
    }

    /// Makes the segment complete and durable, its names excepted. Says how long it is.
    pub async fn finish(mut self, aborted: &[AbortedTransaction]) -> Result<u32, LogError> {
        let (size, path) = (self.size(), self.path("log"));
        if !self.pending.is_empty() {
            self.write(self.pending.len() as u32).await?;
        }
        self.file.truncate(u64::from(size)).await.map_err(|e| LogError::io(&path, "truncating", &e))?;
        self.file.fdatasync().await.map_err(|e| LogError::io(&path, "flushing", &e))?;
        self.indexer.finish();
        write_file(&self.path("index"), &self.indexer.offsets.encode()).await?;
        write_file(&self.path("timeindex"), &self.indexer.times.encode()).await?;
        if !aborted.is_empty() {
            write_file(&self.path("txnindex"), &txn_index::encode(aborted)).await?;
        }
        self.file.close().await.map_err(|e| LogError::io(&path, "closing", &e))?;
        Ok(size)
    }

    /// Writes the first `bytes` of what is pending: whole blocks, or all of it.
    async fn write(&mut self, bytes: u32) -> Result<(), LogError> {
        let buffer = AlignedBuf::from_slice(&self.pending[..bytes as usize]);
        let (result, _buffer) = self.file.write_at(buffer, u64::from(self.written)).await;
        result.map_err(|e| LogError::io(&self.path("log"), "writing", &e))?;
        self.pending.drain(..bytes as usize);
        self.written += bytes;
        Ok(())
    }

    fn path(&self, suffix: &str) -> PathBuf {
        self.dir.join(cleaned_name(self.base, suffix))
    }
}

pub(crate) fn cleaned_name(base: Offset, suffix: &str) -> String {
    format!("{}.{CLEANED}", file_name(base, suffix))
}

/// Removes what a cleaning that did not come to its end has written.
pub(crate) async fn remove_cleaned(dir: &Path, base: Offset) -> Result<(), LogError> {
    for suffix in SUFFIXES {
        let path = dir.join(cleaned_name(base, suffix));
        match fs::remove_file(&path).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(LogError::io(&path, "removing", &error));
            }
            _ => {}
        }
    }
    Ok(())
}
