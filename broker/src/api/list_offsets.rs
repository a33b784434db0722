//! ListOffsets and OffsetForLeaderEpoch: where a time, a mark or an epoch stands in a partition.
//! Never reads a log: the owning shards do.

use std::collections::HashSet;
use std::rc::Rc;

use kring_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest};
use kring_wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use kring_wire::messages::offset_for_leader_epoch_request::OffsetForLeaderEpochRequest;
use kring_wire::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};
use kring_wire::{ErrorCode, Str};

use super::Client;
use super::fan_out::{AskedByTopic, ask_by_topic};
use super::fetch::READ_COMMITTED;
use crate::partition::{EpochQuery, ListedOffset, OffsetQuery, PartitionId};
use crate::shard::Command;

/// The replica id of a client that is none.
const CONSUMER: i32 = -1;
/// The version from which on a negative mark is understood.
const MARKS: [(i64, i16); 6] = [(-1, 1), (-2, 1), (-3, 7), (-4, 8), (-5, 9), (-6, 11)];

pub async fn handle(client: &Rc<Client>, version: i16, body: ListOffsetsRequest) -> ListOffsetsResponse {
    let asked = plan(client, version, body);
    let command = |entries, reply_to| Command::ListOffsets { entries, reply_to };
    let answered = ask_by_topic(&client.shard.mesh, asked, command).await;
    let topics = answered.into_iter().map(|(name, partitions)| ListOffsetsTopicResponse {
        name,
        partitions: partitions.into_iter().map(|(index, answer)| listed(version, index, answer)).collect(),
    });
    ListOffsetsResponse { topics: topics.collect(), ..ListOffsetsResponse::default() }
}

fn plan(client: &Client, version: i16, body: ListOffsetsRequest) -> AskedByTopic<OffsetQuery> {
    let doubled = doubled(&body);
    // As Kafka: a replica is told the end of the log.
    let read_committed = body.isolation_level == READ_COMMITTED && body.replica_id == CONSUMER;
    let mut told = HashSet::new();
    let mut is_first = |topic: &Str, p: &ListOffsetsPartition| {
        let key = (topic.clone(), p.partition_index);
        !doubled.contains(&key) || told.insert(key)
    };
    let mut plan_topic = |topic: &Str, mut partitions: Vec<ListOffsetsPartition>| {
        partitions.retain(|asked| is_first(topic, asked));
        let check = |asked: ListOffsetsPartition| {
            let is_doubled = doubled.contains(&(topic.clone(), asked.partition_index));
            let checked = check(client, topic, version, &asked, is_doubled);
            let query = |id| (id, query(&asked, read_committed));
            (asked.partition_index, checked.map(query))
        };
        partitions.into_iter().map(check).collect::<Vec<_>>()
    };
    let planned = body.topics.into_iter().map(|t| (t.name.clone(), plan_topic(&t.name, t.partitions)));
    planned.filter(|(_, partitions)| !partitions.is_empty()).collect()
}

/// A partition that a request names more than once is refused, and told once.
fn doubled(body: &ListOffsetsRequest) -> HashSet<(Str, i32)> {
    let mut seen = HashSet::new();
    let all =
        body.topics.iter().flat_map(|t| t.partitions.iter().map(|p| (t.name.clone(), p.partition_index)));
    all.filter(|key| !seen.insert(key.clone())).collect()
}

fn check(
    client: &Client,
    topic: &Str,
    version: i16,
    asked: &ListOffsetsPartition,
    is_doubled: bool,
) -> Result<PartitionId, ErrorCode> {
    if is_doubled {
        return Err(ErrorCode::INVALID_REQUEST);
    }
    if asked.timestamp < 0 && !MARKS.iter().any(|(mark, since)| *mark == asked.timestamp && version >= *since)
    {
        return Err(ErrorCode::UNSUPPORTED_VERSION);
    }
    client.find(topic, asked.partition_index)
}

fn query(asked: &ListOffsetsPartition, read_committed: bool) -> OffsetQuery {
    let (timestamp, current_leader_epoch) = (asked.timestamp, asked.current_leader_epoch);
    OffsetQuery { timestamp, current_leader_epoch, read_committed }
}

fn listed(
    version: i16,
    partition_index: i32,
    answer: Result<ListedOffset, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    let response =
        ListOffsetsPartitionResponse { partition_index, ..ListOffsetsPartitionResponse::default() };
    match answer {
        Err(error) => ListOffsetsPartitionResponse { error_code: error.into(), ..response },
        Ok(found) => ListOffsetsPartitionResponse {
            timestamp: found.timestamp,
            offset: found.offset,
            leader_epoch: if version >= 4 { found.leader_epoch } else { -1 },
            ..response
        },
    }
}

/// Where leader epochs end (KIP-320).
pub async fn epoch_ends(
    client: &Rc<Client>,
    body: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let mut asked: AskedByTopic<EpochQuery> = Vec::with_capacity(body.topics.len());
    for topic in body.topics {
        let partitions = topic.partitions.into_iter().map(|p| {
            let query =
                EpochQuery { current_leader_epoch: p.current_leader_epoch, leader_epoch: p.leader_epoch };
            (p.partition, client.find(&topic.topic, p.partition).map(|id| (id, query)))
        });
        let partitions = partitions.collect();
        asked.push((topic.topic, partitions));
    }
    let command = |entries, reply_to| Command::EpochEnds { entries, reply_to };
    let answered = ask_by_topic(&client.shard.mesh, asked, command).await;
    let topics = answered.into_iter().map(|(topic, partitions)| OffsetForLeaderTopicResult {
        topic,
        partitions: partitions.into_iter().map(|(index, answer)| epoch_end(index, answer)).collect(),
    });
    OffsetForLeaderEpochResponse { topics: topics.collect(), ..OffsetForLeaderEpochResponse::default() }
}

fn epoch_end(partition: i32, answer: Result<(i32, i64), ErrorCode>) -> EpochEndOffset {
    let response = EpochEndOffset { partition, ..EpochEndOffset::default() };
    match answer {
        Err(error) => EpochEndOffset { error_code: error.into(), ..response },
        Ok((leader_epoch, end_offset)) => EpochEndOffset { leader_epoch, end_offset, ..response },
    }
}
