//! Where partitions begin and end.

use std::collections::BTreeMap;

use kring_wire::Str;
use kring_wire::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use kring_wire::messages::list_offsets_response::ListOffsetsResponse;

use super::error::{ClientError, Result};
use super::metadata::Topic;
use super::patience::Patience;
use super::{Client, RETRY_TIME};

/// Offsets by partition.
pub type Offsets = BTreeMap<i32, i64>;

/// Which offset is asked for; the numbers are the protocol's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum Edge {
    /// Of the oldest record.
    Start = -2,
    /// After the newest record.
    End = -1,
}

/// No further version: nothing of it is needed.
pub const LIST_OFFSETS_NEWEST: i16 = 7;

impl Client {
    /// The edge of each of `partitions`, asked of their leaders.
    pub async fn edges(&mut self, topic: &Str, partitions: &[i32], edge: Edge) -> Result<Offsets> {
        let mut patience = Patience::new(RETRY_TIME);
        loop {
            let known = self.topic(topic, false).await?;
            match self.edges_of(&known, partitions, edge).await {
                Ok(offsets) => return Ok(offsets),
                Err(error) => patience.again(error).await?,
            }
        }
    }

    /// As [`Client::edges`], once, of a topic as it is known.
    pub async fn edges_of(&mut self, topic: &Topic, partitions: &[i32], edge: Edge) -> Result<Offsets> {
        let mut offsets = Offsets::new();
        for (leader, partitions) in by_leader(topic, partitions.iter().copied())? {
            let ask = |_| request(&topic.name, &partitions, edge);
            let answer = self.ask_node(leader, LIST_OFFSETS_NEWEST, ask).await?;
            offsets.extend(found(&answer)?);
        }
        Ok(offsets)
    }
}

/// Partitions by the broker that leads them.
pub fn by_leader(topic: &Topic, partitions: impl Iterator<Item = i32>) -> Result<BTreeMap<i32, Vec<i32>>> {
    let mut leaders: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for index in partitions {
        let leader = topic.leader(index).ok_or_else(|| no_partition(topic, index))?;
        leaders.entry(leader).or_default().push(index);
    }
    Ok(leaders)
}

pub fn no_partition(topic: &Topic, index: i32) -> ClientError {
    let count = topic.partitions.len();
    let most = count.saturating_sub(1);
    ClientError::Plain(format!("topic '{}' has no partition {index}, only 0 to {most}", topic.name))
}

pub fn request(topic: &Str, partitions: &[i32], edge: Edge) -> ListOffsetsRequest {
    let one = |index: &i32| ListOffsetsPartition {
        partition_index: *index,
        timestamp: edge as i64,
        ..ListOffsetsPartition::default()
    };
    let topic = ListOffsetsTopic { name: topic.clone(), partitions: partitions.iter().map(one).collect() };
    ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() }
}

pub fn found(answer: &ListOffsetsResponse) -> Result<Offsets> {
    let mut offsets = Offsets::new();
    for topic in &answer.topics {
        for partition in &topic.partitions {
            let index = partition.partition_index;
            ClientError::check(partition.error_code, None, || {
                format!("the offsets of {}-{index} are not known", topic.name)
            })?;
            offsets.insert(index, partition.offset);
        }
    }
    Ok(offsets)
}
