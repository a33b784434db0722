//! The `.txnindex` files of a log that is being opened: those that cannot be read, or that do not say what the batches
//! of their segment say, are written anew. One that is missing in a segment that is not read is taken to have been
//! empty, as Kafka takes it. Shard that will own the log.

use std::io::ErrorKind;
use std::path::Path;

use kring_runtime::{fs, wall_ms};

use super::known::Known;
use super::{Files, Recovery, RecoveryReport};
use crate::aborted::AbortedIndex;
use crate::dir::read_undamaged;
use crate::epochs::LeaderEpochs;
use crate::error::LogError;
use crate::producer::ProducerStates;
use crate::scan::{Care, Extent};
use crate::segment::{Segment, file_name, write_file};
use crate::snapshot::{self, LONGEST_SNAPSHOT};
use crate::txn_index::{self, AbortedTransaction};
use crate::types::Offset;

impl Recovery {
    /// Rebuilds the indexes that are damaged, before anything is read from one.
    pub(super) async fn mend_txn_indexes(&self, files: &mut Files) -> Result<(), LogError> {
        for base in files.txn_indexes.clone() {
            if let Err(bad) = self.decode_txn_index(base).await? {
                let path = self.txn_index_path(base);
                tracing::warn!(path = %path.display(), %bad, "rebuilding the index of aborted transactions");
                let aborted = self.aborted_in(files, base).await?;
                self.replace_txn_index(base, &aborted).await?;
                files.txn_indexes.retain(|&other| other != base || !aborted.is_empty());
            }
        }
        Ok(())
    }

    /// What the index of a segment names; nothing if there is none.
    pub(super) async fn read_txn_index(&self, base: Offset) -> Result<Vec<AbortedTransaction>, LogError> {
        let decoded = self.decode_txn_index(base).await?;
        decoded.map_err(|bad| LogError::corrupt(&self.txn_index_path(base), 0, bad))
    }

    /// Makes the index of a segment say what was learnt from its batches.
    pub(super) async fn settle_txn_index(
        &self,
        segment: &Segment,
        aborted: &[AbortedTransaction],
    ) -> Result<(), LogError> {
        if self.read_txn_index(segment.base).await? == aborted {
            return Ok(());
        }
        self.replace_txn_index(segment.base, aborted).await?;
        segment.aborted().replace(match aborted {
            [] => AbortedIndex::none(),
            _ => AbortedIndex::File,
        });
        Ok(())
    }

    pub(super) async fn replace_txn_index(
        &self,
        base: Offset,
        aborted: &[AbortedTransaction],
    ) -> Result<(), LogError> {
        let path = self.txn_index_path(base);
        if !aborted.is_empty() {
            return write_file(&path, &txn_index::encode(aborted)).await;
        }
        match fs::remove_file(&path).await {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(LogError::io(&path, "removing", &error));
            }
            _ => {}
        }
        let dir: &Path = &self.path;
        fs::sync_dir(dir).await.map_err(|e| LogError::io(dir, "flushing directory", &e))
    }

    async fn decode_txn_index(
        &self,
        base: Offset,
    ) -> Result<Result<Vec<AbortedTransaction>, String>, LogError> {
        let read = read_undamaged(&self.txn_index_path(base), txn_index::LONGEST_INDEX).await?;
        let decode = |bytes: Vec<u8>| txn_index::decode_of(base, &bytes).map_err(|bad| bad.to_string());
        Ok(read.and_then(decode))
    }

    /// As the batches of the segment tell, with the producers as they stood where it begins.
    async fn aborted_in(&self, files: &Files, base: Offset) -> Result<Vec<AbortedTransaction>, LogError> {
        let Ok(segment) = files.logs.binary_search_by_key(&base, |&(base, _)| base) else {
            return Ok(Vec::new());
        };
        let (producers, from) = self.producers_before(files, base).await?;
        let first = files.logs.partition_point(|&(base, _)| base < from).min(segment);
        let mut known = Known { producers, from, epochs: LeaderEpochs::default(), aborted: Vec::new() };
        for &(base, bytes) in &files.logs[first..=segment] {
            known.aborted.clear();
            let extent = Extent { base, from: 0, end: self.size(base, bytes)?, care: Care::Headers };
            self.scan(base, extent, &mut RecoveryReport::default(), |met| known.learn(met)).await?;
        }
        Ok(known.aborted)
    }

    /// The producers as they stood where a segment at or before `base` begins.
    async fn producers_before(
        &self,
        files: &Files,
        base: Offset,
    ) -> Result<(ProducerStates, Offset), LogError> {
        let at_segments = files.logs.iter().rev().map(|&(at, _)| at).filter(|at| *at <= base);
        for at in at_segments.filter(|at| files.snapshots.binary_search(at).is_ok()) {
            let path = self.path.join(file_name(at, "snapshot"));
            let read = read_undamaged(&path, LONGEST_SNAPSHOT).await?;
            if let Ok(mut states) = snapshot::decode_read(read) {
                states.remove_expired(wall_ms(), self.config.producer_id_expiration_ms);
                return Ok((states, at));
            }
        }
        Ok((ProducerStates::default(), files.logs[0].0))
    }

    fn txn_index_path(&self, base: Offset) -> std::path::PathBuf {
        self.path.join(file_name(base, "txnindex"))
    }
}
