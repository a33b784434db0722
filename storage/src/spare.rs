//! A file of zeros beside the logs, given up step by step when a log that may spend it finds no room on the disk: its
//! records may be those that make room. Made again when there is room. Holds nothing; any shard.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::Ordering;

use kring_runtime::disk::DirectFile;
use kring_runtime::fs;

use crate::dir::LogDir;
use crate::error::LogError;

pub(crate) const SPARE: &str = "kring-spare";
/// Room for thousands of deletions and changes of settings, and nothing on any disk that holds a log.
const SPARE_BYTES: u64 = 1 << 20;
/// What is given up at once: more than one write of such a log needs, little enough to last for several should
/// somebody else take some of it.
const STEP_BYTES: u64 = 64 << 10;
/// It is made only where so many times as much is free: where room is short it would be one more that takes it.
const AMPLE: u64 = 8;

impl LogDir {
    /// Makes the spare file, or what is missing of it, if this leaves ample room. Call it at intervals.
    pub async fn keep_spare(&self) -> Result<(), LogError> {
        if self.spare_is_whole().load(Ordering::Relaxed) {
            return Ok(());
        }
        let path = self.path().join(SPARE);
        let free = fs::disk_free(self.path()).await;
        let free = free.map_err(|e| LogError::io(self.path(), "measuring the room of", &e))?;
        if free.available_bytes < AMPLE * SPARE_BYTES || !self.space().is_ample() {
            return Ok(());
        }
        fill(&path).await?;
        fs::sync_dir(self.path())
            .await
            .map_err(|e| LogError::flush(self.path(), "flushing directory", &e))?;
        self.spare_is_whole().store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Gives up one step of it; false if nothing is left.
    pub(crate) async fn spend_spare(&self) -> Result<bool, LogError> {
        self.spare_is_whole().store(false, Ordering::Relaxed);
        let path = self.path().join(SPARE);
        let left = len_of(&path).await?;
        if left == 0 {
            return Ok(false);
        }
        let left = left.saturating_sub(STEP_BYTES);
        fs::set_len(&path, left).await.map_err(|e| LogError::io(&path, "cutting", &e))?;
        tracing::warn!(path = %path.display(), left, "the disk is full: spare room is given up");
        Ok(true)
    }
}

async fn len_of(path: &Path) -> Result<u64, LogError> {
    match fs::len(path).await {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        len => len.map_err(|e| LogError::io(path, "looking for", &e)),
    }
}

/// With written zeros: blocks that were never written may need room of their own when they are.
async fn fill(path: &Path) -> Result<(), LogError> {
    let failed = |e: std::io::Error| LogError::io(path, "writing", &e);
    let file = match DirectFile::create(path).await {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => DirectFile::open(path).await,
        made => made,
    };
    let file = file.map_err(failed)?;
    // From the beginning: what an earlier process had under way may be a hole.
    file.allocate_zeroed(0, SPARE_BYTES).await.map_err(failed)?;
    file.fdatasync().await.map_err(failed)?;
    file.close().await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::time::Duration;

    use kring_runtime::sim::{Disk, Sim, SimConfig, disk};
    use kring_runtime::timeout;

    use super::*;
    use crate::checkpoint::LogName;
    use crate::config::LogConfig;
    use crate::log::Log;
    use crate::shard::{ShardConfig, ShardStorage};
    use crate::testing::batch_of;
    use crate::types::Offset;

    const PATH: &str = "/data/kring-spare";

    fn once<F: Future<Output = ()> + 'static>(seed: u64, body: impl Fn(Disk) -> F + 'static) {
        let run = Sim::new(SimConfig::new(seed, 1)).run(move |_| body(disk()));
        run.unwrap_or_else(|error| panic!("{error}")).finished();
    }

    async fn opened() -> LogDir {
        LogDir::open(Path::new("/data")).await.unwrap().dir
    }

    async fn open_log(dir: &LogDir, spends_spare: bool) -> Log {
        let shard = ShardStorage::new(ShardConfig::default());
        let config = Rc::new(LogConfig { spends_spare, ..LogConfig::default() });
        Log::open(&shard, dir, LogName::new("orders", 0), config, None).await.unwrap().0
    }

    fn spare_bytes() -> u64 {
        disk().peek(PATH).map_or(0, |bytes| bytes.len() as u64)
    }

    async fn append(log: &Log, bytes: usize) -> bool {
        let base = log.offsets().end().0;
        log.append(batch_of(base, 1, bytes)).unwrap();
        timeout(Duration::from_secs(60), log.wait_durable(Offset(base + 1))).await.is_ok()
    }

    #[test]
    fn on_a_full_disk_a_log_that_may_spend_it_goes_on_by_the_spare_and_others_wait() {
        for spends_spare in [true, false] {
            once(1, move |disk| async move {
                let dir = opened().await;
                dir.keep_spare().await.unwrap();
                let log = open_log(&dir, spends_spare).await;
                assert!(append(&log, 1000).await);
                disk.set_capacity(fs_used().await);
                assert_eq!(append(&log, 10_000).await, spends_spare);
                assert_eq!(spare_bytes() < SPARE_BYTES, spends_spare);
            });
        }
    }

    async fn fs_used() -> u64 {
        let free = fs::disk_free("/data").await.unwrap();
        free.total_bytes - free.available_bytes
    }

    #[test]
    fn it_is_made_again_once_there_is_room() {
        once(2, |disk| async move {
            let dir = opened().await;
            dir.keep_spare().await.unwrap();
            while dir.spend_spare().await.unwrap() {}
            assert_eq!(spare_bytes(), 0);
            disk.set_capacity(AMPLE * SPARE_BYTES - 1);
            dir.keep_spare().await.unwrap();
            assert_eq!(spare_bytes(), 0, "not where room is short");
            disk.set_capacity(u64::MAX);
            dir.keep_spare().await.unwrap();
            assert_eq!(spare_bytes(), SPARE_BYTES);
        });
    }
}
