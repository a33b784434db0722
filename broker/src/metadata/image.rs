//! The cluster's metadata at one point of the metadata log, as every core reads it.
//! Never decides and never checks a request: [`Image::apply`] is the only way to change one, and it believes
//! the log. A copy costs a few reference counts, a change after a copy one chunk of a map.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use kring_wire::messages::broker_registration_change_record::BrokerRegistrationChangeRecord;
use kring_wire::messages::config_record::ConfigRecord;
use kring_wire::messages::feature_level_record::FeatureLevelRecord;
use kring_wire::messages::partition_change_record::PartitionChangeRecord;
use kring_wire::messages::partition_record::PartitionRecord;
use kring_wire::messages::register_broker_record::RegisterBrokerRecord;
use kring_wire::messages::topic_record::TopicRecord;
use kring_wire::{MetadataRecord, Str, Uuid};

use super::broker::{Broker, Endpoint};
use super::features::{METADATA_FEATURE, METADATA_VERSION};
use super::names;
use super::partition::{Partition, Topic};
use super::resource::{ConfigResource, ResourceKind};
use super::shared_map::SharedMap;
use crate::config::{BrokerConfig, ConfigMap};

/// Topics, configurations, features, brokers and producer ids.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image {
    topics: SharedMap<Uuid, Arc<Topic>>,
    ids: SharedMap<Str, Uuid>,
    /// Names with `.` or `_`, by what they look like with `_` alone.
    lookalikes: SharedMap<Str, Vec<Str>>,
    configs: SharedMap<ConfigResource, Arc<ConfigMap>>,
    features: Arc<BTreeMap<Str, i16>>,
    brokers: Arc<BTreeMap<i32, Broker>>,
    next_producer_id: i64,
    /// Records of parts that this release does not have, by name.
    unused: Arc<BTreeMap<&'static str, u64>>,
    /// Records that were followed.
    records: i64,
}

/// The log contradicts itself, or holds what this release cannot follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayError {
    DuplicateTopic { name: Str, id: Uuid },
    UnknownTopic { id: Uuid, record: &'static str },
    UnknownPartition { topic: Str, partition: i32 },
    PartitionGap { topic: Str, partition: i32, expected: i32 },
    UnknownBroker { id: i32, record: &'static str },
    UnknownResource { kind: i8, name: Str },
    Unsupported { record: &'static str },
    MetadataVersion { level: i16 },
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateTopic { name, id } => write!(f, "topic {name} with id {id} is created twice"),
            Self::UnknownTopic { id, record } => {
                write!(f, "a {record} names topic id {id}, which is not there")
            }
            Self::UnknownPartition { topic, partition } => {
                write!(f, "partition {topic}-{partition} is changed before it is created")
            }
            Self::PartitionGap { topic, partition, expected } => {
                write!(f, "partition {topic}-{partition} is created before {topic}-{expected}")
            }
            Self::UnknownBroker { id, record } => {
                write!(f, "a {record} names broker {id}, which is not there")
            }
            Self::UnknownResource { kind, name } => {
                write!(f, "a configuration belongs to {name:?} of unknown kind {kind}")
            }
            Self::Unsupported { record } => write!(f, "a {record} cannot be followed by this release"),
            Self::MetadataVersion { level } => write!(
                f,
                "{METADATA_FEATURE} is {level}, and this release knows what it means up to {METADATA_VERSION}"
            ),
        }
    }
}

impl std::error::Error for ReplayError {}

/// Reading.
impl Image {
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(self.ids.get(name)?)
    }

    pub fn topic_by_id(&self, id: Uuid) -> Option<&Arc<Topic>> {
        self.topics.get(&id)
    }

    pub fn topic_id(&self, name: &str) -> Option<Uuid> {
        self.ids.get(name).copied()
    }

    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// In the order of their names.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.topics_from("")
    }

    /// Topics that are new or not what they were in `before`.
    pub fn topics_changed_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a Arc<Topic>> {
        let is_same =
            |topic: &Arc<Topic>| before.topic_by_id(topic.id).is_some_and(|t| Arc::ptr_eq(t, topic));
        let candidates = self.topics.not_shared_with(&before.topics).map(|(_, topic)| topic);
        candidates.filter(move |topic| !is_same(topic))
    }

    /// Topics of `before` that are no more.
    pub fn topics_gone_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a Arc<Topic>> {
        let candidates = before.topics.not_shared_with(&self.topics).map(|(_, topic)| topic);
        candidates.filter(|topic| !self.topics.contains_key(&topic.id))
    }

    /// Topics whose own settings are not what they were in `before`.
    pub fn topics_reconfigured_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a Arc<Topic>> {
        let now = self.configs.not_shared_with(&before.configs);
        let then = before.configs.not_shared_with(&self.configs);
        let resources: BTreeSet<&ConfigResource> = now.chain(then).map(|(resource, _)| resource).collect();
        let changed = resources.into_iter().filter(|r| self.configs(r) != before.configs(r));
        let topics = changed.filter(|resource| resource.kind == ResourceKind::Topic);
        topics.filter_map(|resource| self.topic(&resource.name))
    }

    /// From a name on, in the order of their names.
    pub fn topics_from(&self, name: &str) -> impl Iterator<Item = &Arc<Topic>> {
        self.ids.iter_from(Bound::Included(name)).filter_map(|(_, id)| self.topics.get(id))
    }

    pub fn partition(&self, topic: Uuid, index: i32) -> Option<&Partition> {
        self.topics.get(&topic)?.partition(index)
    }

    /// A topic whose name differs from this one only in `.` and `_`.
    pub fn lookalike(&self, name: &str) -> Option<&Str> {
        self.lookalikes.get(&*names::collision_key(name)?)?.first()
    }

    /// What was set for the resource itself; defaults are the configuration's business.
    pub fn configs(&self, resource: &ConfigResource) -> Option<&Arc<ConfigMap>> {
        self.configs.get(resource)
    }

    /// The topic's own settings, empty when it has none.
    pub fn topic_configs(&self, name: &str) -> Arc<ConfigMap> {
        self.configs(&ConfigResource::topic(name)).cloned().unwrap_or_default()
    }

    /// The broker's configuration with the dynamic values that hold now.
    pub fn broker_config(&self, started_with: &BrokerConfig) -> BrokerConfig {
        let of = |resource| self.configs(&resource).cloned().unwrap_or_default();
        let (cluster, own) =
            (of(ConfigResource::cluster()), of(ConfigResource::broker(started_with.node.id)));
        started_with.with_dynamic(&cluster, &own)
    }

    /// Resources of a kind that have settings, in the order of their names.
    pub fn configured(&self, kind: ResourceKind) -> impl Iterator<Item = &ConfigResource> {
        self.configs.keys().filter(move |resource| resource.kind == kind)
    }

    /// The finalised level; 0 is "not on".
    pub fn feature(&self, name: &str) -> i16 {
        self.features.get(name).copied().unwrap_or(0)
    }

    /// Finalised features that are on, with their levels.
    pub fn features(&self) -> impl Iterator<Item = (&str, i16)> {
        self.features.iter().map(|(name, level)| (&**name, *level))
    }

    /// Grows with every record: of two images, which is newer.
    pub fn epoch(&self) -> i64 {
        self.records
    }

    pub fn broker(&self, id: i32) -> Option<&Broker> {
        self.brokers.get(&id)
    }

    /// Every registered broker by its id, fenced ones too.
    pub fn brokers(&self) -> &BTreeMap<i32, Broker> {
        &self.brokers
    }

    /// Brokers that clients of a listener can reach.
    pub fn alive<'a>(&'a self, listener: &'a str) -> impl Iterator<Item = (&'a Broker, &'a Endpoint)> {
        let unfenced = self.brokers.values().filter(|broker| !broker.is_fenced);
        unfenced.filter_map(move |broker| Some((broker, broker.endpoint(listener)?)))
    }

    /// The first producer id of the next block.
    pub fn next_producer_id(&self) -> i64 {
        self.next_producer_id
    }

    /// Records that were passed over because this release has nothing that would use them: name and count.
    pub fn unused_records(&self) -> &BTreeMap<&'static str, u64> {
        &self.unused
    }
}

/// Changing.
impl Image {
    /// Follows one record of the log.
    ///
    /// # Errors
    /// When the log contradicts itself; the image is then not to be used.
    pub fn apply(&mut self, record: &MetadataRecord) -> Result<(), ReplayError> {
        use MetadataRecord as R;
        match record {
            R::Topic(record) => self.add_topic(record)?,
            R::Partition(record) => self.add_partition(record)?,
            R::PartitionChange(record) => self.change_partition(record)?,
            R::RemoveTopic(record) => self.remove_topic(record.topic_id)?,
            R::Config(record) => self.set_config(record)?,
            R::FeatureLevel(record) => self.set_feature(record)?,
            R::RegisterBroker(record) => self.add_broker(record),
            R::UnregisterBroker(record) => self.remove_broker(record.broker_id),
            R::FenceBroker(r) => self.broker_mut(r.id, "FenceBrokerRecord")?.is_fenced = true,
            R::UnfenceBroker(r) => self.broker_mut(r.id, "UnfenceBrokerRecord")?.is_fenced = false,
            R::BrokerRegistrationChange(record) => self.change_broker(record)?,
            R::ProducerIds(record) => self.next_producer_id = record.next_producer_id,
            R::ClearElr(record) => self.clear_eligible_leaders(&record.topic_name),
            R::NoOp(_) => {}
            other => self.pass_over(other)?,
        }
        self.records += 1;
        Ok(())
    }

    fn pass_over(&mut self, record: &MetadataRecord) -> Result<(), ReplayError> {
        use MetadataRecord as R;
        match record {
            // Security, quotas and tokens have no part here that could use them; controllers of a quorum are
            // not asked. The log keeps the records, so nothing is lost.
            R::AccessControlEntry(_)
            | R::RemoveAccessControlEntry(_)
            | R::UserScramCredential(_)
            | R::RemoveUserScramCredential(_)
            | R::DelegationToken(_)
            | R::RemoveDelegationToken(_)
            | R::ClientQuota(_)
            | R::RegisterController(_)
            | R::ZkMigrationState(_) => {
                *Arc::make_mut(&mut self.unused).entry(record.name()).or_default() += 1;
                Ok(())
            }
            // Transactions are followed by `Replay`, which sees the whole log.
            _ => Err(ReplayError::Unsupported { record: record.name() }),
        }
    }

    fn add_topic(&mut self, record: &TopicRecord) -> Result<(), ReplayError> {
        let (name, id) = (record.name.detach(), record.topic_id);
        if self.ids.contains_key(&*name) || self.topics.contains_key(&id) {
            return Err(ReplayError::DuplicateTopic { name, id });
        }
        self.ids.insert(name.clone(), id);
        if let Some(key) = names::collision_key(&name) {
            let mut names = self.lookalikes.get(&*key).cloned().unwrap_or_default();
            names.push(name.clone());
            self.lookalikes.insert(key, names);
        }
        self.topics.insert(id, Arc::new(Topic { name, id, partitions: Vec::new() }));
        Ok(())
    }

    fn remove_topic(&mut self, id: Uuid) -> Result<(), ReplayError> {
        let unknown = ReplayError::UnknownTopic { id, record: "RemoveTopicRecord" };
        let topic = self.topics.remove(&id).ok_or(unknown)?;
        self.ids.remove(&*topic.name);
        self.configs.remove(&ConfigResource::topic(topic.name.clone()));
        if let Some(key) = names::collision_key(&topic.name) {
            self.forget_lookalike(&key, &topic.name);
        }
        Ok(())
    }

    fn forget_lookalike(&mut self, key: &Str, name: &Str) {
        if let Some(names) = self.lookalikes.get_mut(&**key) {
            names.retain(|other| other != name);
            if names.is_empty() {
                self.lookalikes.remove(&**key);
            }
        }
    }

    fn topic_mut(&mut self, id: Uuid, record: &'static str) -> Result<&mut Topic, ReplayError> {
        let topic = self.topics.get_mut(&id).ok_or(ReplayError::UnknownTopic { id, record })?;
        Ok(Arc::make_mut(topic))
    }

    fn add_partition(&mut self, record: &PartitionRecord) -> Result<(), ReplayError> {
        let topic = self.topic_mut(record.topic_id, "PartitionRecord")?;
        let (expected, partition) = (topic.partition_count(), record.partition_id);
        match usize::try_from(partition).ok().and_then(|index| topic.partitions.get_mut(index)) {
            Some(existing) => *existing = record.into(),
            None if partition == expected => topic.partitions.push(record.into()),
            None => return Err(ReplayError::PartitionGap { topic: topic.name.clone(), partition, expected }),
        }
        Ok(())
    }

    fn change_partition(&mut self, record: &PartitionChangeRecord) -> Result<(), ReplayError> {
        let topic = self.topic_mut(record.topic_id, "PartitionChangeRecord")?;
        let partition = record.partition_id;
        let Some(slot) = usize::try_from(partition).ok().and_then(|index| topic.partitions.get_mut(index))
        else {
            return Err(ReplayError::UnknownPartition { topic: topic.name.clone(), partition });
        };
        *slot = slot.changed_by(record);
        Ok(())
    }

    /// Without a name, of all topics. A log of Apache Kafka can have these; nothing here adds one.
    fn clear_eligible_leaders(&mut self, name: &str) {
        let clears = |topic: &Topic| {
            let has_any = topic.partitions.iter().any(|p| !p.eligible_leader_replicas.is_empty());
            has_any && (name.is_empty() || &*topic.name == name)
        };
        let cleared: Vec<Uuid> = self.topics.values().filter(|t| clears(t)).map(|t| t.id).collect();
        for id in cleared {
            if let Some(topic) = self.topics.get_mut(&id) {
                Arc::make_mut(topic).partitions.iter_mut().for_each(Partition::clear_eligible_leaders);
            }
        }
    }

    fn set_config(&mut self, record: &ConfigRecord) -> Result<(), ReplayError> {
        let (kind, name) = (record.resource_type, record.resource_name.detach());
        let Some(known) = ResourceKind::from_code(kind) else {
            return Err(ReplayError::UnknownResource { kind, name });
        };
        let resource = ConfigResource { kind: known, name };
        let mut configs = self.configs.remove(&resource).unwrap_or_default();
        let settings = Arc::make_mut(&mut configs);
        match &record.value {
            Some(value) => settings.insert(record.name.to_string(), value.to_string()),
            None => settings.remove(&*record.name),
        };
        if !configs.is_empty() {
            self.configs.insert(resource, configs);
        }
        Ok(())
    }

    /// The other features turn protocols on. Clients are not told of those that are not here.
    fn set_feature(&mut self, record: &FeatureLevelRecord) -> Result<(), ReplayError> {
        let level = record.feature_level;
        if &*record.name == METADATA_FEATURE && level > METADATA_VERSION {
            return Err(ReplayError::MetadataVersion { level });
        }
        let features = Arc::make_mut(&mut self.features);
        match level {
            0 => features.remove(&record.name),
            level => features.insert(record.name.detach(), level),
        };
        Ok(())
    }

    fn add_broker(&mut self, record: &RegisterBrokerRecord) {
        Arc::make_mut(&mut self.brokers).insert(record.broker_id, record.into());
    }

    fn remove_broker(&mut self, id: i32) {
        Arc::make_mut(&mut self.brokers).remove(&id);
    }

    fn broker_mut(&mut self, id: i32, record: &'static str) -> Result<&mut Broker, ReplayError> {
        let brokers = Arc::make_mut(&mut self.brokers);
        brokers.get_mut(&id).ok_or(ReplayError::UnknownBroker { id, record })
    }

    fn change_broker(&mut self, record: &BrokerRegistrationChangeRecord) -> Result<(), ReplayError> {
        let broker = self.broker_mut(record.broker_id, "BrokerRegistrationChangeRecord")?;
        if record.fenced != 0 {
            broker.is_fenced = record.fenced > 0;
        }
        if record.in_controlled_shutdown != 0 {
            broker.is_shutting_down = record.in_controlled_shutdown > 0;
        }
        if !record.log_dirs.is_empty() {
            broker.log_dirs.clone_from(&record.log_dirs);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
