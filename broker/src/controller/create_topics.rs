//! CreateTopics: names, partition counts, assignments and settings, judged in Apache Kafka's order and words.
//! Never looks at who asks. Plain functions of the image; they run where the controller does.

use std::collections::BTreeSet;

use kring_wire::messages::config_record::ConfigRecord;
use kring_wire::messages::topic_record::TopicRecord;
use kring_wire::{ErrorCode, MetadataRecord, Str, Uuid};

use super::types::{ControllerReply, CreatedTopic, NewTopic, Outcome, Refused, TopicCreation};
use super::{Controller, placement};
use crate::config::{ConfigMap, new_topic_overrides};
use crate::metadata::{ResourceKind, names};

/// Partitions that one request may create, in all its topics.
const MAX_PARTITIONS: i64 = 10_000;
const USE_DEFAULT: i32 = -1;

/// Where new ids come from.
pub type Ids<'a> = &'a mut dyn FnMut() -> Uuid;

pub fn create(controller: &Controller, topics: Vec<NewTopic>, ids: Ids<'_>) -> Outcome {
    if total_partitions(controller, &topics) > MAX_PARTITIONS {
        return refuse_all(topics);
    }
    let repeated = repeated(&topics);
    let mut records = Vec::new();
    let mut results = Vec::new();
    for topic in topics {
        if repeated.contains(&topic.name) || &*topic.name == names::CLUSTER_METADATA {
            continue;
        }
        let result = decide(controller, &topic, ids).map(|(created, mut more)| {
            records.append(&mut more);
            created
        });
        results.push(TopicCreation { name: topic.name, result });
    }
    results.extend(repeated.into_iter().map(refuse_repeated));
    Outcome { records, reply: ControllerReply::Topics(results) }
}

fn total_partitions(controller: &Controller, topics: &[NewTopic]) -> i64 {
    let default = controller.config().topics.num_partitions;
    let count = |topic: &NewTopic| match topic.partitions {
        _ if !topic.assignments.is_empty() => topic.assignments.len() as i64,
        USE_DEFAULT => i64::from(default),
        count => i64::from(count.max(0)),
    };
    topics.iter().map(count).sum()
}

fn refuse_all(topics: Vec<NewTopic>) -> Outcome {
    let message = "Excessively large number of partitions per request.";
    let refuse = |topic: NewTopic| TopicCreation {
        name: topic.name,
        result: Err(Refused::new(ErrorCode::POLICY_VIOLATION, message)),
    };
    let results = topics.into_iter().map(refuse).collect();
    Outcome { records: Vec::new(), reply: ControllerReply::Topics(results) }
}

/// Names that stand in the request more than once, and the one that is never created.
fn repeated(topics: &[NewTopic]) -> BTreeSet<Str> {
    let mut seen = BTreeSet::new();
    let again = topics.iter().filter(|topic| !seen.insert(&topic.name));
    let mut repeated: BTreeSet<Str> = again.map(|topic| topic.name.clone()).collect();
    if topics.iter().any(|topic| &*topic.name == names::CLUSTER_METADATA) {
        repeated.insert(names::CLUSTER_METADATA.into());
    }
    repeated
}

fn refuse_repeated(name: Str) -> TopicCreation {
    let message = match &*name {
        names::CLUSTER_METADATA => "Creation of internal topic __cluster_metadata is prohibited.",
        _ => "Duplicate topic name.",
    };
    TopicCreation { name, result: Err(Refused::new(ErrorCode::INVALID_REQUEST, message)) }
}

type Decision = Result<(CreatedTopic, Vec<MetadataRecord>), Refused>;

fn decide(controller: &Controller, topic: &NewTopic, ids: Ids<'_>) -> Decision {
    check_name(controller, &topic.name)?;
    let own = check_configs(topic)?;
    let replicas = replicas(controller, topic)?;
    let id = ids();
    let mut records = vec![TopicRecord { name: topic.name.clone(), topic_id: id }.into()];
    records.extend(own.iter().map(|(name, value)| config_record(&topic.name, name, value)));
    let created = CreatedTopic {
        id,
        partitions: i32::try_from(replicas.len()).expect("bounded by the limit per request"),
        replication_factor: i16::try_from(replicas[0].len()).unwrap_or(i16::MAX),
        configs: own,
    };
    for (partition, brokers) in (0..).zip(replicas) {
        records.push(placement::partition_record(controller.image(), id, partition, brokers)?);
    }
    Ok((created, records))
}

fn check_name(controller: &Controller, name: &Str) -> Result<(), Refused> {
    if controller.image().topic_id(name).is_some() {
        let message = format!("Topic '{name}' already exists.");
        return Err(Refused::new(ErrorCode::TOPIC_ALREADY_EXISTS, message));
    }
    let invalid = |message| Refused::new(ErrorCode::INVALID_TOPIC_EXCEPTION, message);
    names::check_topic_name(name).map_err(invalid)?;
    match controller.image().lookalike(name) {
        Some(other) => Err(invalid(format!("Topic '{name}' collides with existing topic: {other}"))),
        None => Ok(()),
    }
}

fn check_configs(topic: &NewTopic) -> Result<ConfigMap, Refused> {
    let entries = topic.configs.iter().map(|(name, value)| (&**name, value.as_deref()));
    Ok(new_topic_overrides(entries)?)
}

fn config_record(topic: &Str, name: &str, value: &str) -> MetadataRecord {
    let (resource_type, resource_name) = (ResourceKind::Topic.code(), topic.clone());
    let record = ConfigRecord { resource_type, resource_name, name: name.into(), value: Some(value.into()) };
    record.into()
}

/// The brokers of each partition, from 0 on; at least one partition.
fn replicas(controller: &Controller, topic: &NewTopic) -> Result<Vec<Vec<i32>>, Refused> {
    if !topic.assignments.is_empty() {
        return assigned(controller, topic);
    }
    if topic.replication_factor < -1 || topic.replication_factor == 0 {
        let message = "Replication factor must be larger than 0, or -1 to use the default value.";
        return Err(Refused::new(ErrorCode::INVALID_REPLICATION_FACTOR, message));
    }
    if topic.partitions < -1 || topic.partitions == 0 {
        let message = "Number of partitions was set to an invalid non-positive value.";
        return Err(Refused::new(ErrorCode::INVALID_PARTITIONS, message));
    }
    let defaults = &controller.config().topics;
    let count = if topic.partitions == USE_DEFAULT { defaults.num_partitions } else { topic.partitions };
    let factor = match topic.replication_factor {
        -1 => i16::try_from(defaults.replication_factor).unwrap_or(i16::MAX),
        factor => factor,
    };
    let count = usize::try_from(count).unwrap_or(1).max(1);
    placement::place(controller.image(), 0, count, factor).map_err(|reason| {
        let message = format!("Unable to replicate the partition {factor} time(s): {reason}");
        Refused::new(ErrorCode::INVALID_REPLICATION_FACTOR, message)
    })
}

fn assigned(controller: &Controller, topic: &NewTopic) -> Result<Vec<Vec<i32>>, Refused> {
    let ambiguous = |other: &str| {
        let message = format!("A manual partition assignment was specified, but {other} was not set to -1.");
        Err(Refused::new(ErrorCode::INVALID_REQUEST, message))
    };
    if topic.replication_factor != -1 {
        return ambiguous("replication factor");
    }
    if topic.partitions != USE_DEFAULT {
        return ambiguous("numPartitions");
    }
    let wrong = |message: String| Refused::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message);
    let (mut by_partition, mut factor) = (std::collections::BTreeMap::new(), None);
    for (partition, replicas) in &topic.assignments {
        if by_partition.contains_key(partition) {
            let message = format!("Found multiple manual partition assignments for partition {partition}");
            return Err(wrong(message));
        }
        placement::check_manual(controller.image(), replicas, factor)?;
        factor = Some(replicas.len());
        by_partition.insert(*partition, replicas.clone());
    }
    if !by_partition.keys().copied().eq(0..by_partition.len() as i32) {
        return Err(wrong("partitions should be a consecutive 0-based integer sequence".into()));
    }
    Ok(by_partition.into_values().collect())
}
