//! Housekeeping of this core's logs, in rounds at the intervals of the configuration: old segments are deleted,
//! compacted logs are cleaned. What goes is the log's decision. A log is cleaned by one round at a time: whoever
//! changes its segments holds its cleaning turn.

use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, join, select};
use futures_util::stream::iter;
use kring_runtime::local::Notify;
use kring_runtime::{shard_count, sleep, yield_if_needed};
use kring_storage::{Cleaner, CleanerConfig, Log, LogError};

use super::Shard;
use crate::partition::Partition;

/// Logs of one core whose segments are deleted at the same time: they share the writing of the start offsets.
const DELETE_AT_ONCE: usize = 32;

/// When the rounds are to end.
#[derive(Default)]
pub(super) struct CleanerStop {
    asked: std::cell::Cell<bool>,
    told: Notify,
}

impl Shard {
    /// Cleans until `stop_cleaning`. A step that has begun comes to its end.
    pub async fn clean_logs(self: Rc<Self>) {
        join(self.retention_rounds(), self.compaction_rounds()).await;
    }

    /// Lets `clean_logs` end soon.
    pub fn stop_cleaning(&self) {
        self.compacted_logs().iter().for_each(Log::stop_cleaning);
        self.cleaner_stop.asked.set(true);
        self.cleaner_stop.told.notify_all();
    }

    /// Whether to begin no further step of cleaning.
    pub(super) fn stops_cleaning(&self) -> bool {
        self.cleaner_stop.asked.get()
    }

    /// Logs that are not compacted, as Kafka's LogManager.cleanupLogs sees to them.
    async fn retention_rounds(&self) {
        let logs = self.config().logs.clone();
        self.pause(logs.initial_delay_ms).await;
        while !self.stops_cleaning() {
            self.delete_old_segments(|partition| !partition.config().is_compacted).await;
            self.pause(logs.retention_check_ms).await;
        }
    }

    /// Logs that are compacted: Kafka's cleaner threads delete from them, too.
    async fn compaction_rounds(&self) {
        let mut cleaner = Cleaner::new(self.cleaner_config());
        while self.config().logs.cleaner.is_enabled && !self.stops_cleaning() {
            cleaner.set_config(self.cleaner_config());
            let cleaned = cleaner.clean_filthiest(&self.compacted_logs()).await;
            self.delete_old_segments(|partition| partition.config().is_compacted).await;
            if cleaned.is_none() {
                self.pause(self.config().logs.cleaner.backoff_ms).await;
            }
        }
    }

    /// This core's part of what all cleaners may use together.
    fn cleaner_config(&self) -> CleanerConfig {
        let (config, shards) = (self.config(), shard_count());
        let cleaner = &config.logs.cleaner;
        CleanerConfig {
            key_map_bytes: cleaner.key_map_bytes / shards as u64,
            key_map_load_factor: cleaner.key_map_load_factor,
            io_buffer_bytes: cleaner.io_buffer_bytes / shards as u32,
            io_bytes_per_second: cleaner.io_bytes_per_second / shards as f64,
        }
    }

    fn compacted_logs(&self) -> Vec<Log> {
        let partitions = self.all_partitions().into_iter();
        partitions.filter(|p| p.config().is_compacted).map(|p| p.log().clone()).collect()
    }

    async fn delete_old_segments(&self, is_meant: impl Fn(&Partition) -> bool) {
        let meant = self.all_partitions().into_iter().filter(|partition| is_meant(partition));
        iter(meant).for_each_concurrent(DELETE_AT_ONCE, |partition| self.delete_from(partition)).await;
    }

    async fn delete_from(&self, partition: Rc<Partition>) {
        yield_if_needed().await;
        if self.stops_cleaning() {
            return;
        }
        match partition.log().delete_old_segments().await {
            // The partition was deleted meanwhile, or its directory is offline and that has been told.
            Ok(_) | Err(LogError::Closed | LogError::Offline { .. }) => {}
            Err(error) => {
                tracing::error!(partition = partition.name(), %error, "old segments are not deleted");
            }
        }
    }

    /// Waits so long, or until the cleaning is to stop.
    async fn pause(&self, ms: i64) {
        let told = self.cleaner_stop.told.notified();
        if self.stops_cleaning() {
            return;
        }
        let time = sleep(Duration::from_millis(ms.unsigned_abs().max(1)));
        match select(Box::pin(time), told).await {
            Either::Left(_) | Either::Right(_) => {}
        }
    }
}
