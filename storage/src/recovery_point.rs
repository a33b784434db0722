//! Writing down, while a log is in use, what a recovery can begin from: the newest segment's indexes, the producers
//! and the leader epochs as they stood at one offset, after everything below it is durable. Kafka's formats and names.
//! Never writes what a crash could still take back. Shard that owns the log.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use kring_runtime::fs;

use crate::error::LogError;
use crate::log::{Log, State};
use crate::recovery::EPOCHS;
use crate::segment::{Segment, file_name, write_file};
use crate::snapshot;
use crate::types::Offset;

/// What the files of the newest segment hold already.
#[derive(Debug, Default)]
pub(crate) struct SavedPoint {
    /// Base offset of the segment they are of.
    pub segment: Offset,
    /// A recovery looks at the bytes from here on.
    pub position: u32,
    /// Producer snapshots inside this segment, oldest first.
    pub snapshots: Vec<Offset>,
}

/// A recovery point as it goes to disk: all of one moment.
struct Point {
    segment: Rc<Segment>,
    position: u32,
    end: Offset,
    producers: Vec<u8>,
    epochs: String,
    /// Empty where there is to be no file.
    txnindex: Vec<u8>,
    index: Vec<u8>,
    timeindex: Vec<u8>,
}

impl State {
    /// `None` when there is no segment that grows, or nothing in it.
    fn recovery_point(&self) -> Option<Point> {
        let segment = self.segments.last().filter(|segment| segment.size() > 0)?.clone();
        let (index, timeindex) = segment.encode_indexes()?;
        Some(Point {
            position: segment.size(),
            end: self.offsets.end(),
            producers: snapshot::encode(&self.producers),
            epochs: self.epochs.encode(),
            txnindex: segment.encode_aborted(),
            segment,
            index,
            timeindex,
        })
    }
}

impl Log {
    /// Bytes that a recovery would have to look at, if the process ended now.
    pub fn unsaved_bytes(&self) -> u64 {
        let state = self.state();
        let Some(newest) = state.segments.last() else { return 0 };
        let is_saved = state.saved.segment == newest.base;
        u64::from(newest.size() - if is_saved { state.saved.position } else { 0 })
    }

    /// Makes everything appended so far durable and writes down what a recovery needs to begin there. It counts
    /// once the directory's checkpoints have been written, too. An error loses nothing: a recovery looks at more.
    pub async fn save_recovery_point(&self) -> Result<(), LogError> {
        match self.save_point().await {
            // An orderly close has written more than this would. A log that waits for room waits alone.
            Err(LogError::Closed | LogError::Stalled { .. }) => Ok(()),
            saved => saved,
        }
    }

    async fn save_point(&self) -> Result<(), LogError> {
        let Some(point) = self.state().recovery_point() else { return Ok(()) };
        self.flush_unless_stalled().await?;
        let _turn = self.0.files.take().await;
        self.check_usable()?;
        if !point.segment.is_growing() || point.segment.is_deleted() {
            // It ended meanwhile, and its end has written all of this; or it was truncated.
            return Ok(());
        }
        point.write(&self.0.path).await?;
        let outdated = self.state_mut().saved.moves_to(&point);
        remove_snapshots(&self.0.path, outdated).await
    }

    /// The newest segment has ended with a snapshot at `end`: those inside it are of no use any more. One that cannot
    /// be removed is removed by the next start.
    pub(crate) async fn forget_snapshots_before(&self, end: Offset) {
        let mut inside = std::mem::take(&mut self.state_mut().saved.snapshots);
        inside.retain(|&at| at < end);
        if let Err(error) = remove_snapshots(&self.0.path, inside).await {
            tracing::warn!(log = %self.0.name, %error, "an outdated producer snapshot is left");
        }
    }
}

impl Point {
    /// The index comes last: a recovery begins where it leads to, and needs the rest up to there.
    async fn write(&self, dir: &Path) -> Result<(), LogError> {
        write_file(&dir.join(EPOCHS), self.epochs.as_bytes()).await?;
        if !self.txnindex.is_empty() {
            write_file(&self.segment.path("txnindex"), &self.txnindex).await?;
        }
        write_file(&snapshot_path(dir, self.end), &self.producers).await?;
        write_file(&self.segment.path("timeindex"), &self.timeindex).await?;
        write_file(&self.segment.path("index"), &self.index).await
    }
}

impl SavedPoint {
    /// Returns the snapshots that are outdated now. The one before stays: the checkpoint that lets a recovery use the
    /// new one is not written yet.
    fn moves_to(&mut self, point: &Point) -> Vec<Offset> {
        (self.segment, self.position) = (point.segment.base, point.position);
        self.snapshots.retain(|&at| at != point.end);
        self.snapshots.push(point.end);
        let outdated = self.snapshots.len().saturating_sub(2);
        self.snapshots.drain(..outdated).collect()
    }
}

fn snapshot_path(dir: &Path, at: Offset) -> PathBuf {
    dir.join(file_name(at, "snapshot"))
}

async fn remove_snapshots(dir: &Path, outdated: Vec<Offset>) -> Result<(), LogError> {
    for at in outdated {
        let path = snapshot_path(dir, at);
        fs::remove_file(&path).await.map_err(|e| LogError::io(&path, "removing", &e))?;
    }
    Ok(())
}
