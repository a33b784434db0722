//! Which brokers hold a partition, and its first record. Never moves what is placed.
//! A plain function of the image; runs where the controller does.

use kring_wire::messages::partition_record::PartitionRecord;
use kring_wire::{ErrorCode, MetadataRecord, Uuid};

use super::types::Refused;
use crate::metadata::{Broker, Image};

/// Brokers that can take a partition now.
fn active(image: &Image) -> impl Iterator<Item = &Broker> {
    image.brokers().values().filter(|broker| !broker.is_fenced && !broker.is_shutting_down)
}

pub fn active_count(image: &Image) -> usize {
    active(image).count()
}

/// Replicas for `count` partitions from `first` on, spread over the active brokers.
///
/// # Errors
/// Kafka's words when there are not enough brokers.
pub fn place(image: &Image, first: usize, count: usize, factor: i16) -> Result<Vec<Vec<i32>>, String> {
    let brokers: Vec<i32> = active(image).map(|broker| broker.id).collect();
    if brokers.is_empty() {
        return Err("All brokers are currently fenced.".into());
    }
    let factor = usize::try_from(factor).unwrap_or(0);
    if factor > brokers.len() {
        return Err(format!(
            "The target replication factor of {factor} cannot be reached because only {} broker(s) are \
             registered or some brokers have all their log directories cordoned.",
            brokers.len()
        ));
    }
    let from =
        |partition| brokers.iter().cycle().skip(partition % brokers.len()).take(factor).copied().collect();
    Ok((first..first + count).map(from).collect())
}

/// Checks the brokers that a client chose for one partition; `factor` is that of the partitions before it.
pub fn check_manual(image: &Image, replicas: &[i32], factor: Option<usize>) -> Result<(), Refused> {
    let wrong = |message: String| Err(Refused::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
    if replicas.is_empty() {
        return wrong("The manual partition assignment includes an empty replica list.".into());
    }
    let mut sorted = replicas.to_vec();
    sorted.sort_unstable();
    for (at, id) in sorted.iter().enumerate() {
        if image.broker(*id).is_none() {
            return wrong(format!(
                "The manual partition assignment includes broker {id}, but no such broker is registered."
            ));
        }
        if at > 0 && sorted[at - 1] == *id {
            return wrong(format!(
                "The manual partition assignment includes the broker {id} more than once."
            ));
        }
    }
    match factor {
        Some(factor) if factor != replicas.len() => wrong(format!(
            "The manual partition assignment includes a partition with {} replica(s), but this is not \
             consistent with previous partitions, which have {factor} replica(s).",
            replicas.len()
        )),
        _ => Ok(()),
    }
}

/// The record of a new partition, led by its first replica that is active.
pub fn partition_record(
    image: &Image,
    topic_id: Uuid,
    partition_id: i32,
    replicas: Vec<i32>,
) -> Result<MetadataRecord, Refused> {
    let is_active = |id: &i32| active(image).any(|broker| broker.id == *id);
    let isr: Vec<i32> = replicas.iter().copied().filter(|id| is_active(id)).collect();
    let Some(leader) = isr.first().copied() else {
        let message = format!(
            "All brokers specified in the manual partition assignment for partition {partition_id} are fenced \
             or in controlled shutdown."
        );
        return Err(Refused::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
    };
    let directories = replicas.iter().map(|id| default_directory(image, *id)).collect();
    let (leader_epoch, partition_epoch) = (0, 0);
    let record = PartitionRecord {
        partition_id,
        topic_id,
        replicas,
        isr,
        leader,
        leader_epoch,
        partition_epoch,
        directories,
        ..PartitionRecord::default()
    };
    Ok(record.into())
}

/// A broker's only directory; with several, the broker itself chooses later.
fn default_directory(image: &Image, broker: i32) -> Uuid {
    match image.broker(broker).map(|broker| &broker.log_dirs[..]) {
        Some([only]) => *only,
        _ => Uuid::ZERO,
    }
}
