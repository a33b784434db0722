//! Bringing this core's partitions in line with a new image: new ones are opened, removed ones deleted, changed
//! configurations handed on. Images come one at a time. Never decides what the metadata should be.

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::iter;
use kring_storage::{Log, LogDir, LogError, LogName, RecoveryReport};
use kring_wire::Uuid;

use super::Shard;
use crate::config::TopicConfig;
use crate::group::messages::DeletedTopic;
use crate::metadata::{ConfigResource, Image, Topic};
use crate::partition::{Partition, PartitionId, PartitionParts, log_config};

/// Logs that one shard opens at the same time, at start-up above all.
const OPEN_AT_ONCE: usize = 32;

/// A partition that this shard should own and does not yet.
struct Missing {
    id: PartitionId,
    topic: Arc<Topic>,
    config: Arc<TopicConfig>,
}

impl Shard {
    /// Follows `image`; afterwards this shard answers by it.
    pub(super) async fn follow(self: Rc<Self>, image: Arc<Image>) {
        if self.is_closing.get() {
            // The next start follows it: the record is durable.
            return;
        }
        let old = self.image();
        self.follow_configs(&old, &image);
        let gone = self.gone(&old, &image);
        let missing = self.missing(&old, &image);
        iter(missing).for_each_concurrent(OPEN_AT_ONCE, |missing| self.clone().open(missing)).await;
        *self.image.borrow_mut() = image.clone();
        self.groups.topics_deleted(&deleted_topics(&old, &image));
        for partition in gone {
            self.remove(&partition).await;
        }
    }

    /// The configuration of a topic as it holds now.
    pub fn topic_config(&self, topic: Uuid) -> Arc<TopicConfig> {
        let known = self.topic_configs.borrow().get(&topic).cloned();
        known.unwrap_or_else(|| Arc::new(self.config().topic_defaults.clone()))
    }

    fn follow_configs(&self, old: &Image, new: &Image) {
        let node = ConfigResource::broker(self.config().node.id);
        let is_changed = |resource| old.configs(resource) != new.configs(resource);
        let broker_changed = is_changed(&node) || is_changed(&ConfigResource::cluster());
        if broker_changed {
            let config = new.broker_config(&self.config());
            *self.config.borrow_mut() = Arc::new(config);
        }
        for topic in new.topics() {
            let own = new.topic_configs(&topic.name);
            let is_known = self.topic_configs.borrow().contains_key(&topic.id);
            if broker_changed || !is_known || own != old.topic_configs(&topic.name) {
                let config = Arc::new(self.config().topic(&own));
                self.topic_configs.borrow_mut().insert(topic.id, config.clone());
                self.hand_on(topic, &config);
            }
        }
    }

    fn hand_on(&self, topic: &Topic, config: &Arc<TopicConfig>) {
        for (index, _) in topic.numbered() {
            if let Ok(partition) = self.partition(PartitionId { topic: topic.id, index }) {
                partition.set_config(config.clone(), self.config().producers.id_expiration_ms);
            }
        }
    }

    /// Partitions of this core whose topic is no more.
    fn gone(&self, old: &Image, new: &Image) -> Vec<Rc<Partition>> {
        let topics = old.topics().filter(|topic| new.topic_by_id(topic.id).is_none());
        let removed: HashSet<Uuid> = topics.map(|topic| topic.id).collect();
        if removed.is_empty() {
            return Vec::new();
        }
        self.topic_configs.borrow_mut().retain(|topic, _| !removed.contains(topic));
        self.all_partitions()
            .into_iter()
            .filter(|partition| removed.contains(&partition.id().topic))
            .collect()
    }

    fn missing(&self, old: &Image, new: &Image) -> Vec<Missing> {
        let is_unchanged =
            |topic: &Arc<Topic>| old.topic_by_id(topic.id).is_some_and(|known| Arc::ptr_eq(known, topic));
        let mut missing = Vec::new();
        for topic in new.topics().filter(|topic| !is_unchanged(topic)) {
            for (index, state) in topic.numbered() {
                let id = PartitionId { topic: topic.id, index };
                match self.partition(id) {
                    Ok(known) => known.set_leader_epoch(state.leader_epoch),
                    Err(_) if self.mesh.owned_here(id) => {
                        missing.push(Missing {
                            id,
                            topic: topic.clone(),
                            config: self.topic_config(topic.id),
                        });
                    }
                    Err(_) => {}
                }
            }
        }
        missing
    }

    async fn open(self: Rc<Self>, missing: Missing) {
        let name = LogName::new(missing.topic.name.as_str(), missing.id.index);
        let dir = self.directory_for(&name);
        match self.open_or_replace(&self.log_dirs[dir], name, &missing).await {
            Ok(log) if self.is_closing.get() => close_unused(&log).await,
            Ok(log) => self.adopt(missing, log, dir),
            Err(error) => {
                let partition = format!("{}-{}", missing.topic.name, missing.id.index);
                tracing::error!(partition, %error, "this partition stays offline");
            }
        }
    }

    /// A crash may have come between the record that deletes a topic and the removal of its directory. A topic of
    /// the same name must neither get that data nor stay offline for it.
    async fn open_or_replace(&self, dir: &LogDir, name: LogName, missing: &Missing) -> Result<Log, LogError> {
        match self.open_log(dir, name.clone(), missing).await {
            Err(LogError::Foreign { .. }) if dir.set_aside_other(&name, missing.id.topic).await? => {
                self.open_log(dir, name, missing).await
            }
            opened => opened,
        }
    }

    async fn open_log(&self, dir: &LogDir, name: LogName, missing: &Missing) -> Result<Log, LogError> {
        let config = Rc::new(log_config(&missing.config, self.config().producers.id_expiration_ms));
        let (log, report) = Log::open(&self.storage, dir, name, config, Some(missing.id.topic)).await?;
        tell(&log, &report);
        Ok(log)
    }

    fn adopt(&self, missing: Missing, log: Log, log_dir: usize) {
        let epoch = missing.topic.partition(missing.id.index).map_or(0, |state| state.leader_epoch);
        let partition = Partition::new(PartitionParts {
            id: missing.id,
            topic: missing.topic.name.clone(),
            leader_epoch: epoch,
            config: missing.config,
            log_dir,
            log,
        });
        self.partitions.borrow_mut().insert(missing.id, partition.clone());
        self.groups.adopt(&missing.topic.name, partition);
    }

    /// Where a partition lives, or for a new one the working directory with the fewest partitions of this core.
    fn directory_for(&self, name: &LogName) -> usize {
        if let Some(place) = self.located.get(name) {
            return *place;
        }
        let online = self.log_dirs.iter().enumerate().filter(|(_, dir)| dir.offline().is_none());
        let mut counts: BTreeMap<usize, usize> = online.map(|(place, _)| (place, 0)).collect();
        for partition in self.all_partitions() {
            if let Some(count) = counts.get_mut(&partition.log_dir()) {
                *count += 1;
            }
        }
        counts.into_iter().min_by_key(|(place, count)| (*count, *place)).map_or(0, |(place, _)| place)
    }

    async fn remove(&self, partition: &Rc<Partition>) {
        self.partitions.borrow_mut().remove(&partition.id());
        self.groups.drop_partition(partition);
        if let Err(error) = partition.log().delete().await {
            tracing::error!(partition = partition.name(), %error, "the files of a deleted partition remain");
        }
    }
}

/// A log that was opened while its core closed down.
async fn close_unused(log: &Log) {
    if let Err(error) = log.close().await {
        tracing::error!(partition = %log.name(), %error, "the log was not closed cleanly");
    }
}

/// A recovery that found something is worth a line; one that was merely asked for is not.
fn tell(log: &Log, report: &RecoveryReport) {
    if report.torn_bytes > 0 {
        tracing::warn!(
            partition = %log.name(),
            torn_bytes = report.torn_bytes,
            log_end_offset = report.log_end_offset.0,
            "an unfinished write was cut off"
        );
    }
}

/// Topics that were there and are no more.
fn deleted_topics(old: &Image, new: &Image) -> Vec<DeletedTopic> {
    let gone = old.topics().filter(|topic| new.topic_by_id(topic.id).is_none());
    gone.map(|topic| DeletedTopic { topic_id: topic.id, name: topic.name.clone() }).collect()
}
