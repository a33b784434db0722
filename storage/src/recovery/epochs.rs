//! Leader epochs learnt from the batches, where `leader-epoch-checkpoint` is damaged or missing: a partition need not be
//! offline for what its log says as well. Reads one header a segment, and whole segments only where the epoch changes.
//! Changes no batch. Shard that will own the log.

use std::path::Path;

use super::{EPOCHS, Recovery, RecoveryReport};
use crate::dir::read_bytes;
use crate::epochs::{LONGEST_EPOCHS, LeaderEpochs};
use crate::error::LogError;
use crate::scan::{Care, Extent};
use crate::segment::write_file;
use crate::types::{LeaderEpoch, Offset};

/// What such a file says, or what is wrong with it; `None` if it does not exist.
pub(crate) async fn decode_epochs(path: &Path) -> Result<Option<Result<LeaderEpochs, String>>, LogError> {
    match read_bytes(path, LONGEST_EPOCHS).await {
        Ok(None) => Ok(None),
        Ok(Some(bytes)) => {
            let decoded = LeaderEpochs::decode(&String::from_utf8_lossy(&bytes));
            Ok(Some(decoded.map_err(|bad| bad.to_string())))
        }
        Err(LogError::Corrupt { cause, .. }) => Ok(Some(Err(cause.to_string()))),
        Err(error) => Err(error),
    }
}

impl Recovery {
    /// What the file says; `None` if it cannot be read, or is not there where it should be.
    pub(super) async fn read_epochs(&self, logs: &[(Offset, u64)]) -> Result<Option<LeaderEpochs>, LogError> {
        let path = self.path.join(EPOCHS);
        match decode_epochs(&path).await? {
            None => {
                // It is written when a log is closed, and when a segment ends.
                let is_expected = self.clean || logs.len() > 1;
                Ok((!is_expected).then(LeaderEpochs::default))
            }
            Some(Ok(epochs)) => Ok(Some(epochs)),
            Some(Err(bad)) => {
                tracing::warn!(path = %path.display(), %bad, "the epochs are learnt from the batches");
                Ok(None)
            }
        }
    }

    /// False if there was no room for it: what the log holds can be read all the same.
    pub(super) async fn write_epochs(&self, epochs: &LeaderEpochs) -> Result<bool, LogError> {
        match write_file(&self.path.join(EPOCHS), epochs.encode().as_bytes()).await {
            Err(error) if error.is_passing() => {
                tracing::warn!(%error, "the leader epochs are written later");
                Ok(false)
            }
            written => written.map(|()| true),
        }
    }

    pub(super) async fn learn_epochs(&self, logs: &[(Offset, u64)]) -> Result<LeaderEpochs, LogError> {
        let mut epochs = LeaderEpochs::default();
        let mut following = self.first_epoch(logs.first()).await?;
        for (number, &(base, bytes)) in logs.iter().enumerate() {
            let first = std::mem::replace(&mut following, self.first_epoch(logs.get(number + 1)).await?);
            match (first, following) {
                // Nothing can be learnt here, and whether it is damage is for others to judge.
                (None, _) => {}
                (Some((epoch, offset)), Some((next, _))) if epoch == next => _ = epochs.assign(epoch, offset),
                _ => self.learn_segment(base, self.size(base, bytes)?, &mut epochs).await?,
            }
        }
        Ok(epochs)
    }

    /// The epoch of a segment's first batch, with that batch's offset.
    async fn first_epoch(
        &self,
        log: Option<&(Offset, u64)>,
    ) -> Result<Option<(LeaderEpoch, Offset)>, LogError> {
        let Some(&(base, bytes)) = log else { return Ok(None) };
        let first = self.batch_at(base, 0, self.size(base, bytes)?).await?;
        Ok(first.map(|info| (info.leader_epoch, info.base_offset)))
    }

    /// As far as its batches go: whether that is all of them is for others to judge.
    async fn learn_segment(
        &self,
        base: Offset,
        size: u32,
        epochs: &mut LeaderEpochs,
    ) -> Result<(), LogError> {
        let extent = Extent { base, from: 0, end: size, care: Care::Headers };
        let meet = |met: &crate::scan::Met| _ = epochs.assign(met.info.leader_epoch, met.info.base_offset);
        self.scan(base, extent, &mut RecoveryReport::default(), meet).await.map(drop)
    }
}
