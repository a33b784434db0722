//! Bounds what a crash would cost: at intervals, and sooner where much is written, the logs of this core whose newest
//! segments have grown most since they were last written down are written down, until what is left is little. Never
//! makes a request wait.

use std::cmp::Reverse;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::select;
use futures_util::stream::iter;
use kring_runtime::Interval;
use kring_storage::Log;

use super::Shard;

/// What a recovery may have to look at on this core, and as much again that comes in between two rounds: a small part of
/// a second of reading. Less would mean more small files at each round.
const UNSAVED_BYTES: u64 = 128 << 20;
/// Logs that are written down at the same time.
const SAVE_AT_ONCE: usize = 4;

impl Shard {
    /// Keeps recoveries short until this core closes: every `log.flush.offset.checkpoint.interval.ms`, and whenever there
    /// is much. In logs that flush no write that is a flush which nobody asked for; what it covers is on the disk's way
    /// already, since no write lingers in the page cache.
    pub async fn keep_recovery_points(self: Rc<Self>) {
        let every = self.config().logs.recovery_checkpoint_ms.unsigned_abs().max(1);
        let mut interval = Interval::new(Duration::from_millis(every));
        while !self.is_closing.get() {
            self.save_recovery_points().await;
            select(pin!(self.storage.grown_by(UNSAVED_BYTES)), pin!(interval.tick())).await;
        }
    }

    async fn save_recovery_points(&self) {
        let logs =
            self.all_partitions().into_iter().map(|partition| (partition.log().unsaved_bytes(), partition));
        let due = beyond(UNSAVED_BYTES, logs.collect());
        if due.is_empty() {
            return;
        }
        iter(&due).for_each_concurrent(SAVE_AT_ONCE, |partition| save(partition.log())).await;
        for (place, dir) in self.log_dirs.iter().enumerate() {
            if due.iter().any(|partition| partition.log_dir() == place)
                && let Err(error) = dir.write_checkpoints().await
            {
                tracing::warn!(path = %dir.path().display(), %error, "the recovery points are not checkpointed");
            }
        }
    }
}

/// The largest ones, as many as it takes for the others to stay within `budget` together.
fn beyond<T>(budget: u64, mut logs: Vec<(u64, T)>) -> Vec<T> {
    let mut left: u64 = logs.iter().map(|(bytes, _)| bytes).sum();
    logs.sort_by_key(|(bytes, _)| Reverse(*bytes));
    let over = |(bytes, log)| {
        let is_over = left > budget;
        left -= bytes;
        is_over.then_some(log)
    };
    logs.into_iter().map_while(over).collect()
}

async fn save(log: &Log) {
    if let Err(error) = log.save_recovery_point().await {
        tracing::warn!(log = %log.name(), %error, "no recovery point is written; a recovery would look at more");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_written_down_until_the_others_fit() {
        let logs = || vec![(5, 'a'), (90, 'b'), (0, 'c'), (40, 'd'), (7, 'e')];
        assert_eq!(beyond(142, logs()), []);
        assert_eq!(beyond(141, logs()), ['b']);
        assert_eq!(beyond(51, logs()), ['b', 'd']);
        assert_eq!(beyond(0, logs()), ['b', 'd', 'e', 'a']);
    }
}
