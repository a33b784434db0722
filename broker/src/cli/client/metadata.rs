//! Which partitions a topic has, and who leads them.

use std::time::Duration;

use kring_wire::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use kring_wire::messages::metadata_response::{MetadataResponse, MetadataResponseTopic};
use kring_wire::{ErrorCode, Str, Uuid};

use super::error::{ClientError, Result};
use super::patience::Patience;
use super::server::Address;
use super::{Client, RETRY_TIME};

/// How long a topic that was made a moment ago may be unknown to another broker.
const NEWS_TRAVEL_TIME: Duration = Duration::from_millis(700);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub name: Str,
    pub id: Uuid,
    /// In the order of their numbers.
    pub partitions: Vec<Partition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    pub index: i32,
    /// −1 while there is none.
    pub leader: i32,
    pub replicas: Vec<i32>,
    pub in_sync_replicas: Vec<i32>,
}

impl Topic {
    pub fn indexes(&self) -> impl Iterator<Item = i32> {
        self.partitions.iter().map(|partition| partition.index)
    }

    pub fn leader(&self, index: i32) -> Option<i32> {
        self.partitions.iter().find(|partition| partition.index == index).map(|partition| partition.leader)
    }
}

impl Client {
    /// What the cluster says now of these topics, of all when absent.
    pub async fn metadata(&mut self, names: Option<&[Str]>, create: bool) -> Result<MetadataResponse> {
        let answer = self.ask_any(i16::MAX, |version| request(version, names, create)).await?;
        for broker in &answer.brokers {
            let port = u16::try_from(broker.port).unwrap_or(0);
            self.learn_broker(broker.node_id, Address { host: broker.host.to_string(), port });
        }
        Ok(answer)
    }

    /// A topic whose partitions all have a leader. Makes it when `create` and the broker allows that.
    pub async fn topic(&mut self, name: &Str, create: bool) -> Result<Topic> {
        let mut patience = Patience::new(RETRY_TIME);
        let mut news = Patience::new(NEWS_TRAVEL_TIME);
        loop {
            let error = match self.topic_now(name, create).await {
                Ok(topic) => return Ok(topic),
                Err(error) => error,
            };
            let unknown = error.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
            match unknown && !create {
                true => news.again(error).await.map_err(|_| missing(name))?,
                false => patience.again(error).await?,
            }
        }
    }

    async fn topic_now(&mut self, name: &Str, create: bool) -> Result<Topic> {
        let answer = self.metadata(Some(std::slice::from_ref(name)), create).await?;
        let described = answer.topics.into_iter().next().unwrap_or_default();
        let what = || format!("topic '{name}' cannot be used");
        ClientError::check(described.error_code, None, what)?;
        let leaderless = described.partitions.iter().any(|partition| partition.leader_id < 0);
        let code = if leaderless { ErrorCode::LEADER_NOT_AVAILABLE } else { ErrorCode::NONE };
        ClientError::check(code.0, None, what)?;
        Ok(Topic { name: name.clone(), ..topic(described) })
    }
}

fn missing(name: &Str) -> ClientError {
    ClientError::Plain(format!("topic '{name}' does not exist; `kring topic create {name}` makes it"))
}

fn request(version: i16, names: Option<&[Str]>, create: bool) -> MetadataRequest {
    let wanted = |name: &Str| MetadataRequestTopic { name: Some(name.clone()), ..Default::default() };
    let topics = names.map(|names| names.iter().map(wanted).collect());
    MetadataRequest {
        // Version 0 has no null: an empty list stands for all topics there.
        topics: if version == 0 { Some(topics.unwrap_or_default()) } else { topics },
        allow_auto_topic_creation: create || version < 4,
        ..MetadataRequest::default()
    }
}

/// Partitions without a leader included.
pub fn topic(described: MetadataResponseTopic) -> Topic {
    let mut partitions: Vec<Partition> = described
        .partitions
        .into_iter()
        .map(|partition| Partition {
            index: partition.partition_index,
            leader: partition.leader_id,
            replicas: partition.replica_nodes,
            in_sync_replicas: partition.isr_nodes,
        })
        .collect();
    partitions.sort_by_key(|partition| partition.index);
    Topic { name: described.name.unwrap_or_default(), id: described.topic_id, partitions }
}
