//! Metadata: who the brokers are, which topics there are, and who leads their partitions; topics that a client
//! asks for may come into being by it. DescribeTopicPartitions is in `topic_partitions`.
//! Never touches a partition: the image says it all.
//!
//! Version 0 asks for all topics by an empty list, later ones by null. Topic ids count from version 12 on
//! (KIP-516); one id in a request makes it a request by ids, and names in it are passed over, as in Kafka.

use std::collections::HashSet;
use std::rc::Rc;

use kring_wire::messages::metadata_request::MetadataRequest;
use kring_wire::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kring_wire::{ApiKey, ErrorCode, Str, Uuid};

use super::dispatch::with;
use super::{Client, PeerFault, Request, Response, operations, topic_partitions};
use crate::controller::{ControllerReply, ControllerRequest};
use crate::metadata::{Image, NO_LEADER, Partition, Topic, names};

/// From here on topics may be asked for by id, and a topic's name may be missing.
const BY_ID: i16 = 12;
/// From here on a listener that the leader does not have is told as such.
const LISTENER_NOT_FOUND: i16 = 6;
/// From here on the response as a whole can fail.
const TOP_LEVEL_ERROR: i16 = 13;

pub async fn handle(client: &Rc<Client>, request: Request) -> Result<Response, PeerFault> {
    match request.api {
        ApiKey::Metadata => with(client, request, async |c, v, b| metadata(c, v, b).await).await,
        _ => with(client, request, async |c, _, b| topic_partitions::describe(c, &b)).await,
    }
}

async fn metadata(client: &Rc<Client>, version: i16, body: MetadataRequest) -> MetadataResponse {
    let missing = missing_topics(&body, version, &client.shard.image());
    if body.allow_auto_topic_creation && client.shard.config().topics.is_auto_created && !missing.is_empty() {
        create(client, missing).await;
    }
    let (image, config) = (client.shard.image(), client.shard.config());
    let view = View {
        image: &image,
        listener: &client.listener,
        cluster_id: client.shard.cluster_id.clone(),
        controller_id: config.node.id,
    };
    view.respond(&body, version)
}

/// Waits until the topics are there. Kafka answers before that, with an error that its clients take for "ask
/// again"; here the answer has the topics. What could not be created is unknown in it, as with Kafka.
async fn create(client: &Rc<Client>, names: Vec<Str>) {
    match client.shard.ask_controller(ControllerRequest::CreateMissing { names }).await {
        Ok(ControllerReply::Topics(topics)) => {
            for topic in topics {
                if let Err(refused) = topic.result {
                    tracing::debug!(topic = &*topic.name, code = %refused.code, "a topic is not created");
                }
            }
        }
        Ok(other) => unreachable!("a request for topics is answered with {other:?}"),
        Err(refusal) => tracing::debug!(code = %refusal.code, "no topics are created"),
    }
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    All,
    Names(Vec<Str>),
    Ids(Vec<Uuid>),
}

fn asked(body: &MetadataRequest, version: i16) -> Result<Asked, ErrorCode> {
    let topics = match &body.topics {
        None => return Ok(Asked::All),
        Some(topics) if topics.is_empty() && version == 0 => return Ok(Asked::All),
        Some(topics) => topics,
    };
    let ids: Vec<Uuid> = topics.iter().map(|topic| topic.topic_id).filter(|id| !id.is_zero()).collect();
    if !ids.is_empty() {
        return if version < BY_ID { Err(ErrorCode::INVALID_REQUEST) } else { Ok(Asked::Ids(once(ids))) };
    }
    let names: Option<Vec<Str>> = topics.iter().map(|topic| topic.name.clone()).collect();
    names.map(|names| Asked::Names(once(names))).ok_or(ErrorCode::INVALID_REQUEST)
}

/// Each value where it comes first.
fn once<T: Clone + Eq + std::hash::Hash>(values: Vec<T>) -> Vec<T> {
    let mut seen = HashSet::with_capacity(values.len());
    values.into_iter().filter(|value| seen.insert(value.clone())).collect()
}

/// Topics that are named, could be, and are not.
fn missing_topics(body: &MetadataRequest, version: i16, image: &Image) -> Vec<Str> {
    let Ok(Asked::Names(names)) = asked(body, version) else { return Vec::new() };
    let is_missing = |name: &Str| image.topic_id(name).is_none() && names::is_valid_topic_name(name);
    names.into_iter().filter(is_missing).collect()
}

/// The metadata from where one client stands.
struct View<'a> {
    image: &'a Image,
    listener: &'a str,
    cluster_id: Str,
    controller_id: i32,
}

impl View<'_> {
    fn respond(&self, body: &MetadataRequest, version: i16) -> MetadataResponse {
        let topics = match asked(body, version) {
            Ok(asked) => self.topics(asked, body, version),
            Err(error) => return refuse(body, version, error),
        };
        let asks_for_operations = (8..=10).contains(&version) && body.include_cluster_authorized_operations;
        MetadataResponse {
            brokers: self.brokers(),
            cluster_id: Some(self.cluster_id.clone()),
            controller_id: self.controller_id,
            topics,
            cluster_authorized_operations: operations_if(asks_for_operations, operations::CLUSTER),
            ..MetadataResponse::default()
        }
    }

    fn brokers(&self) -> Vec<MetadataResponseBroker> {
        let broker = |(broker, endpoint): (&crate::metadata::Broker, &crate::metadata::Endpoint)| {
            MetadataResponseBroker {
                node_id: broker.id,
                host: endpoint.host.clone(),
                port: endpoint.port.into(),
                rack: broker.rack.clone(),
            }
        };
        self.image.alive(self.listener).map(broker).collect()
    }

    fn topics(&self, asked: Asked, body: &MetadataRequest, version: i16) -> Vec<MetadataResponseTopic> {
        let alive: Vec<i32> = self.image.alive(self.listener).map(|(broker, _)| broker.id).collect();
        let lens = Lens { image: self.image, alive, version };
        let known = |topic: &Topic| MetadataResponseTopic {
            topic_authorized_operations: topic_operations(body),
            ..lens.topic(topic)
        };
        match asked {
            Asked::All => self.image.topics().map(|topic| known(topic)).collect(),
            Asked::Names(names) => {
                let find = |name: Str| match self.image.topic(&name) {
                    Some(topic) => known(topic),
                    None => unknown_name(name, topic_operations(body)),
                };
                names.into_iter().map(find).collect()
            }
            Asked::Ids(ids) => {
                let find =
                    |id| self.image.topic_by_id(id).map_or_else(|| unknown_id(id), |topic| known(topic));
                ids.into_iter().map(find).collect()
            }
        }
    }
}

fn operations_if(is_asked: bool, operations: i32) -> i32 {
    if is_asked { operations } else { operations::NOT_ASKED }
}

fn topic_operations(body: &MetadataRequest) -> i32 {
    operations_if(body.include_topic_authorized_operations, operations::TOPIC)
}

/// Why a name is not there: it cannot be, or it just is not.
pub(super) fn why_unknown(name: &str) -> ErrorCode {
    match names::is_valid_topic_name(name) {
        true => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        false => ErrorCode::INVALID_TOPIC_EXCEPTION,
    }
}

fn unknown_name(name: Str, topic_authorized_operations: i32) -> MetadataResponseTopic {
    MetadataResponseTopic {
        error_code: why_unknown(&name).into(),
        is_internal: names::is_internal(&name),
        name: Some(name),
        topic_authorized_operations,
        ..MetadataResponseTopic::default()
    }
}

fn unknown_id(topic_id: Uuid) -> MetadataResponseTopic {
    let error_code = ErrorCode::UNKNOWN_TOPIC_ID.into();
    MetadataResponseTopic { error_code, name: None, topic_id, ..MetadataResponseTopic::default() }
}

/// The answer to a request that makes no sense: no broker, and the error for each topic.
fn refuse(body: &MetadataRequest, version: i16, error: ErrorCode) -> MetadataResponse {
    let topics = body.topics.iter().flatten().map(|topic| MetadataResponseTopic {
        error_code: error.into(),
        name: Some(topic.name.clone().unwrap_or_default()),
        topic_id: topic.topic_id,
        ..MetadataResponseTopic::default()
    });
    let error_code = if version >= TOP_LEVEL_ERROR { error } else { ErrorCode::NONE };
    MetadataResponse {
        topics: topics.collect(),
        error_code: error_code.into(),
        ..MetadataResponse::default()
    }
}

/// Topics as one version shows them.
struct Lens<'a> {
    image: &'a Image,
    /// Brokers that the client can reach.
    alive: Vec<i32>,
    version: i16,
}

impl Lens<'_> {
    fn topic(&self, topic: &Topic) -> MetadataResponseTopic {
        let partition = |(index, partition)| self.partition(index, partition);
        MetadataResponseTopic {
            name: Some(topic.name.clone()),
            topic_id: topic.id,
            is_internal: topic.is_internal(),
            partitions: topic.numbered().map(partition).collect(),
            ..MetadataResponseTopic::default()
        }
    }

    fn partition(&self, partition_index: i32, partition: &Partition) -> MetadataResponsePartition {
        let has_leader = self.alive.contains(&partition.leader);
        let replica_nodes = self.shown(&partition.replicas);
        let isr_nodes = self.shown(&partition.in_sync_replicas);
        let is_short = replica_nodes.len() < partition.replicas.len()
            || isr_nodes.len() < partition.in_sync_replicas.len();
        let error = match has_leader {
            false => self.why_leaderless(partition.leader),
            true if is_short => ErrorCode::REPLICA_NOT_AVAILABLE,
            true => ErrorCode::NONE,
        };
        MetadataResponsePartition {
            error_code: error.into(),
            partition_index,
            leader_id: if has_leader { partition.leader } else { NO_LEADER },
            leader_epoch: partition.leader_epoch,
            replica_nodes,
            isr_nodes,
            offline_replicas: offline(self.image, &self.alive, partition),
        }
    }

    fn why_leaderless(&self, leader: i32) -> ErrorCode {
        match self.image.broker(leader) {
            Some(_) if self.version >= LISTENER_NOT_FOUND => ErrorCode::LISTENER_NOT_FOUND,
            _ => ErrorCode::LEADER_NOT_AVAILABLE,
        }
    }

    /// Version 0 leaves out brokers that cannot be reached.
    fn shown(&self, ids: &[i32]) -> Vec<i32> {
        ids.iter().copied().filter(|id| self.version > 0 || self.alive.contains(id)).collect()
    }
}

/// Replicas that the client cannot reach, or whose log directory failed.
pub(super) fn offline(image: &Image, alive: &[i32], partition: &Partition) -> Vec<i32> {
    let in_failed_dir = |id: i32| {
        let dir = partition.directory_on(id).unwrap_or_default();
        image.broker(id).is_some_and(|broker| !broker.has_online_dir(dir))
    };
    let replicas = partition.replicas.iter().copied();
    replicas.filter(|id| !alive.contains(id) || in_failed_dir(*id)).collect()
}

#[cfg(test)]
#[path = "metadata_tests.rs"]
mod tests;
