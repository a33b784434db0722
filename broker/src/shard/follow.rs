//! Bringing this core's partitions in line with a new image: new ones are opened, removed ones deleted, changed
//! configurations handed on. Images come one at a time. Never decides what the metadata should be.

use std::collections::HashSet;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::ready;
use futures_util::stream::iter;
use kring_runtime::{Queue, sleep, spawn};
use kring_storage::{Log, LogDir, LogError, LogName, RecoveryReport};
use kring_wire::Uuid;

use super::Shard;
use crate::config::{BrokerConfig, TopicConfig};
use crate::controller::PartitionKey;
use crate::group::messages::DeletedTopic;
use crate::metadata::{self, ConfigResource, Image, NO_LEADER, Topic};
use crate::partition::{Partition, PartitionId, PartitionParts, log_config};

/// Until a partition that could not be opened for want of something is tried again.
const OPEN_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Logs that one shard opens at the same time, at start-up above all.
const OPEN_AT_ONCE: usize = 32;

/// A partition that this shard should own and does not yet.
struct Missing {
    id: PartitionId,
    topic: Arc<Topic>,
    config: Arc<TopicConfig>,
    /// It has just come into being, so that no directory can hold it.
    is_new: bool,
    /// The one that it is missing by.
    image: Arc<Image>,
}

impl Shard {
    /// Follows `image`; afterwards this shard answers by it. Returns the partitions that it could not open.
    pub(super) async fn follow(self: Rc<Self>, image: Arc<Image>) -> Vec<PartitionKey> {
        if self.is_closing.get() {
            // The next start follows it: the record is durable.
            return Vec::new();
        }
        let old = self.image();
        self.follow_configs(&old, &image);
        let gone = self.gone(&old, &image);
        let missing = self.missing(&old, &image);
        let opened = iter(missing).map(|missing| self.clone().open(missing)).buffer_unordered(OPEN_AT_ONCE);
        let lost = opened.filter_map(ready).collect().await;
        *self.image.borrow_mut() = image.clone();
        self.groups.topics_deleted(&deleted_topics(&old, &image));
        for partition in gone {
            self.remove(&partition).await;
        }
        let is_gone = |topic: &Uuid| image.topic_by_id(*topic).is_none();
        self.delete_shut_out(is_gone, delete_delay(&self.config())).await;
        lost
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
        if broker_changed {
            return new.topics().for_each(|topic| self.configure(topic, new));
        }
        let is_unknown = |topic: &&Arc<Topic>| !self.topic_configs.borrow().contains_key(&topic.id);
        new.topics_changed_since(old).filter(is_unknown).for_each(|topic| self.configure(topic, new));
        new.topics_reconfigured_since(old).for_each(|topic| self.configure(topic, new));
    }

    fn configure(&self, topic: &Topic, image: &Image) {
        let config = Arc::new(self.config().topic(&image.topic_configs(&topic.name)));
        self.topic_configs.borrow_mut().insert(topic.id, config.clone());
        self.hand_on(topic, &config);
    }

    fn hand_on(&self, topic: &Topic, config: &Arc<TopicConfig>) {
        for (index, _) in topic.numbered() {
            if let Some(partition) = self.known(PartitionId { topic: topic.id, index }) {
                partition.set_config(config.clone(), self.config().producers.id_expiration_ms);
            }
        }
    }

    /// Partitions of this core whose topic is no more.
    fn gone(&self, old: &Image, new: &Image) -> Vec<Rc<Partition>> {
        let removed: HashSet<Uuid> = new.topics_gone_since(old).map(|topic| topic.id).collect();
        if removed.is_empty() {
            return Vec::new();
        }
        self.topic_configs.borrow_mut().retain(|topic, _| !removed.contains(topic));
        self.all_partitions()
            .into_iter()
            .filter(|partition| removed.contains(&partition.id().topic))
            .collect()
    }

    fn missing(&self, old: &Image, new: &Arc<Image>) -> Vec<Missing> {
        // Before the first image nothing is known of what was there.
        let at_start = old.brokers().is_empty();
        let mut missing = Vec::new();
        for topic in new.topics_changed_since(old) {
            for (index, state) in topic.numbered() {
                let id = PartitionId { topic: topic.id, index };
                match self.known(id) {
                    Some(known) => self.follow_leader(&known, state),
                    None if self.mesh.owned_here(id) && !self.is_shut_out(id) => {
                        missing.push(Missing {
                            id,
                            topic: topic.clone(),
                            config: self.topic_config(topic.id),
                            is_new: !at_start && old.partition(topic.id, index).is_none(),
                            image: new.clone(),
                        });
                    }
                    None => {}
                }
            }
        }
        missing
    }

    /// A partition whose directory failed is served by nobody until a start that finds it.
    fn follow_leader(&self, known: &Rc<Partition>, state: &metadata::Partition) {
        known.set_leader_epoch(state.leader_epoch);
        if state.leader == NO_LEADER {
            self.groups.drop_partition(known);
        }
    }

    /// Returns the partition if its log does not open, which is told then.
    async fn open(self: Rc<Self>, missing: Missing) -> Option<PartitionKey> {
        let name = LogName::new(missing.topic.name.as_str(), missing.id.index);
        while let Some(place) = self.directory_for(&name, missing.is_new) {
            let dir = &self.log_dirs[place.index()];
            match self.open_or_replace(dir, name.clone(), &missing).await {
                Ok(log) if self.is_closing.get() => {
                    close_unused(&log).await;
                    return None;
                }
                Ok(log) => {
                    self.adopt(missing, log, place.index());
                    return None;
                }
                Err(error) if error.is_passing() => {
                    tracing::warn!(partition = %name, %error, "this partition is opened later");
                    spawn(Queue::Background, self.open_later(missing)).detach();
                    return None;
                }
                Err(error) if missing.is_new && dir.offline().is_some() => {
                    tracing::warn!(partition = %name, %error, "another directory is tried");
                }
                Err(error) => return Some(self.shut_out(missing.id, name, place.index(), &error)),
            }
        }
        tracing::debug!(partition = %name, "in a log directory that is offline");
        None
    }

    /// There was no room, or no file descriptor, to open it. The topic may be gone by then.
    fn open_later(self: Rc<Self>, missing: Missing) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(async move {
            sleep(OPEN_AGAIN_AFTER).await;
            let is_wanted = self.image().partition(missing.id.topic, missing.id.index).is_some();
            if is_wanted
                && self.known(missing.id).is_none()
                && !self.is_closing.get()
                && let Some(lost) = self.clone().open(missing).await
            {
                self.lose_leader(lost).await;
            }
        })
    }

    /// A crash may have come between the record that deletes a topic and the removal of its directory. A topic of
    /// the same name must neither get that data nor stay offline for it. A directory that claims to be of a topic that is
    /// there, under a name that this topic does not have, was no such topic's: its records may be those of the partition.
    async fn open_or_replace(&self, dir: &LogDir, name: LogName, missing: &Missing) -> Result<Log, LogError> {
        match self.open_log(dir, name.clone(), missing).await {
            Err(error @ LogError::Foreign { .. }) => {
                let is_gone = |topic: &Uuid| missing.image.topic_by_id(*topic).is_none();
                match dir.set_aside_other(&name, missing.id.topic, is_gone).await? {
                    true => self.open_log(dir, name, missing).await,
                    false => Err(error),
                }
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

/// How long the files of a deleted partition stay whose own setting is gone with its topic.
fn delete_delay(config: &BrokerConfig) -> Duration {
    Duration::from_millis(config.topic_defaults.file_delete_delay_ms.unsigned_abs())
}

/// Topics that were there and are no more.
fn deleted_topics(old: &Image, new: &Image) -> Vec<DeletedTopic> {
    let gone = new.topics_gone_since(old);
    gone.map(|topic| DeletedTopic { topic_id: topic.id, name: topic.name.clone() }).collect()
}
