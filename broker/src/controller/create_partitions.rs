//! CreatePartitions: more partitions for topics that exist. Never fewer.

use std::collections::BTreeSet;

use kring_wire::{ErrorCode, MetadataRecord, Str};

use super::placement;
use super::types::{ControllerReply, Outcome, PartitionIncrease, Refused};
use crate::metadata::{Image, Topic};

/// Partitions that one request may add to a topic. Kafka stops at the same number, with a bare
/// `UNKNOWN_SERVER_ERROR`.
const MAX_PARTITIONS: usize = 10_000;

pub fn create(image: &Image, topics: Vec<PartitionIncrease>) -> Outcome {
    let mut seen = BTreeSet::new();
    let repeated: BTreeSet<Str> =
        topics.iter().filter(|topic| !seen.insert(&topic.name)).map(|topic| topic.name.clone()).collect();
    let (mut records, mut results) = (Vec::new(), Vec::new());
    for name in &repeated {
        let duplicate = Refused::new(ErrorCode::INVALID_REQUEST, "Duplicate topic name.");
        results.push((name.clone(), Err(duplicate)));
    }
    for topic in topics.into_iter().filter(|topic| !repeated.contains(&topic.name)) {
        let result = decide(image, &topic).map(|mut more| records.append(&mut more));
        results.push((topic.name, result));
    }
    Outcome { records, reply: ControllerReply::Partitions(results) }
}

fn decide(image: &Image, wanted: &PartitionIncrease) -> Result<Vec<MetadataRecord>, Refused> {
    let unknown = || Refused::silent(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let topic = image.topic(&wanted.name).ok_or_else(unknown)?;
    let additional = additional(topic, wanted.count)?;
    let replicas = match &wanted.assignments {
        Some(assignments) => assigned(image, topic, assignments, additional)?,
        None => placement::place(image, topic.partitions.len(), additional, topic.replication_factor())
            .map_err(|reason| Refused::new(ErrorCode::INVALID_REPLICATION_FACTOR, reason))?,
    };
    let numbered = (topic.partition_count()..).zip(replicas);
    numbered.map(|(index, brokers)| placement::partition_record(image, topic.id, index, brokers)).collect()
}

fn additional(topic: &Topic, count: i32) -> Result<usize, Refused> {
    let current = topic.partition_count();
    let invalid = |message: String| Err(Refused::new(ErrorCode::INVALID_PARTITIONS, message));
    match usize::try_from(i64::from(count) - i64::from(current)) {
        Ok(0) => invalid(format!("Topic already has {current} partition(s).")),
        Ok(additional) if additional > MAX_PARTITIONS => {
            let message = "Excessively large number of partitions per request.";
            Err(Refused::new(ErrorCode::POLICY_VIOLATION, message))
        }
        Ok(additional) => Ok(additional),
        Err(_) => invalid(format!(
            "The topic {} currently has {current} partition(s); {count} would not be an increase.",
            topic.name
        )),
    }
}

fn assigned(
    image: &Image,
    topic: &Topic,
    assignments: &[Vec<i32>],
    additional: usize,
) -> Result<Vec<Vec<i32>>, Refused> {
    if assignments.len() != additional {
        let message = format!(
            "Attempted to add {additional} additional partition(s), but only {} assignment(s) were specified.",
            assignments.len()
        );
        return Err(Refused::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
    }
    let factor = topic.partitions.first().map(|partition| partition.replicas.len());
    for replicas in assignments {
        placement::check_manual(image, replicas, factor)?;
    }
    Ok(assignments.to_vec())
}
