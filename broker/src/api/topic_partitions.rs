//! DescribeTopicPartitions (KIP-966): topics in the order of their names, as many partitions as fit, and a cursor
//! from which the client goes on. Never touches a partition: the image says it all.

use std::collections::BTreeSet;
use std::rc::Rc;

use kring_wire::messages::describe_topic_partitions_request::DescribeTopicPartitionsRequest;
use kring_wire::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};
use kring_wire::{ErrorCode, Str};

use super::metadata::{offline, why_unknown};
use super::{Client, operations};
use crate::metadata::{Image, NO_LEADER, Partition, Topic, names};

pub fn describe(
    client: &Rc<Client>,
    body: &DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let limit = client.shard.config().requests.describe_partitions;
    respond(body, &client.shard.image(), &client.listener, limit)
}

fn respond(
    body: &DescribeTopicPartitionsRequest,
    image: &Image,
    listener: &str,
    limit: u32,
) -> DescribeTopicPartitionsResponse {
    let cursor = body.cursor.as_ref().map_or(("", 0), |c| (&*c.topic_name, c.partition_index));
    let asked: BTreeSet<&Str> =
        body.topics.iter().map(|topic| &topic.name).filter(|name| ***name >= *cursor.0).collect();
    let is_for_all = body.topics.is_empty();
    let is_off_list = body.cursor.is_some() && !is_for_all && !asked.contains(&Str::from(cursor.0));
    let Ok(start) = usize::try_from(cursor.1) else { return refuse(body) };
    if is_off_list {
        return refuse(body);
    }
    let most = usize::try_from(body.response_partition_limit).unwrap_or(0).min(limit as usize).max(1);
    let mut page = Page {
        image,
        alive: image.alive(listener).map(|(broker, _)| broker.id).collect(),
        cursor: (cursor.0, start),
        left: most,
        response: DescribeTopicPartitionsResponse::default(),
    };
    if is_for_all {
        image.topics_from(cursor.0).any(|topic| page.add(&topic.name, Some(topic)).is_full());
    } else {
        asked.iter().any(|name| page.add(name, image.topic(name).map(|topic| &**topic)).is_full());
    }
    page.response
}

/// A request that makes no sense gets the error for each topic that it names.
fn refuse(body: &DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let topics = body.topics.iter().map(|topic| DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::INVALID_REQUEST.into(),
        name: Some(topic.name.clone()),
        ..DescribeTopicPartitionsResponseTopic::default()
    });
    DescribeTopicPartitionsResponse { topics: topics.collect(), ..DescribeTopicPartitionsResponse::default() }
}

/// A response that fills up.
struct Page<'a> {
    image: &'a Image,
    alive: Vec<i32>,
    /// The topic to go on with, and its first partition that counts.
    cursor: (&'a str, usize),
    /// Partitions that still fit.
    left: usize,
    response: DescribeTopicPartitionsResponse,
}

impl Page<'_> {
    fn is_full(&self) -> bool {
        self.response.next_cursor.is_some()
    }

    fn add(&mut self, name: &Str, topic: Option<&Topic>) -> &Self {
        match topic {
            _ if self.left == 0 => self.stop_at(name, 0),
            None => self.response.topics.push(unknown(name)),
            Some(topic) => self.add_known(topic),
        }
        self
    }

    fn add_known(&mut self, topic: &Topic) {
        let start = if *topic.name == *self.cursor.0 { self.cursor.1 } else { 0 };
        let end = start.saturating_add(self.left).min(topic.partitions.len());
        let numbered = topic.numbered().skip(start).take(end.saturating_sub(start));
        let partitions: Vec<_> =
            numbered.map(|(index, state)| partition(self.image, &self.alive, index, state)).collect();
        self.left -= partitions.len();
        self.response.topics.push(DescribeTopicPartitionsResponseTopic {
            name: Some(topic.name.clone()),
            topic_id: topic.id,
            is_internal: topic.is_internal(),
            partitions,
            topic_authorized_operations: operations::TOPIC,
            ..DescribeTopicPartitionsResponseTopic::default()
        });
        if end < topic.partitions.len() {
            self.stop_at(&topic.name, end);
        }
    }

    fn stop_at(&mut self, name: &Str, partition: usize) {
        let partition_index = i32::try_from(partition).expect("below a partition count");
        self.response.next_cursor = Some(Cursor { topic_name: name.clone(), partition_index });
    }
}

fn unknown(name: &Str) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        error_code: why_unknown(name).into(),
        name: Some(name.clone()),
        is_internal: names::is_internal(name),
        topic_authorized_operations: operations::TOPIC,
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

fn partition(
    image: &Image,
    alive: &[i32],
    partition_index: i32,
    state: &Partition,
) -> DescribeTopicPartitionsResponsePartition {
    DescribeTopicPartitionsResponsePartition {
        partition_index,
        leader_id: if alive.contains(&state.leader) { state.leader } else { NO_LEADER },
        leader_epoch: state.leader_epoch,
        replica_nodes: state.replicas.to_vec(),
        isr_nodes: state.in_sync_replicas.to_vec(),
        eligible_leader_replicas: Some(state.eligible_leader_replicas.to_vec()),
        last_known_elr: Some(state.last_known_eligible_leaders.to_vec()),
        offline_replicas: offline(image, alive, state),
        ..DescribeTopicPartitionsResponsePartition::default()
    }
}

#[cfg(test)]
#[path = "topic_partitions_tests.rs"]
mod tests;
