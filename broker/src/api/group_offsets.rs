//! OffsetCommit (2–10), OffsetFetch (1–10), OffsetDelete (0): how far groups got.
//! Checks topics against the metadata; whether a group takes offsets is for its coordinator to say.
//!
//! OffsetCommit: v2–4 a retention of the client's own, v6 leader epochs (KIP-320), v7 static members, v9 the error
//! `GROUP_ID_NOT_FOUND`, v10 topic ids (KIP-848). OffsetFetch: v2 all topics and an error of the whole, v7 stable
//! offsets only (KIP-447), v8 several groups (KIP-709), v10 topic ids.

use std::rc::Rc;

use futures_util::future::join_all;
use kring_wire::messages::offset_commit_request::{OffsetCommitRequest, OffsetCommitRequestTopic};
use kring_wire::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kring_wire::messages::offset_delete_request::{OffsetDeleteRequest, OffsetDeleteRequestTopic};
use kring_wire::messages::offset_delete_response::{
    OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kring_wire::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kring_wire::messages::offset_fetch_response::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kring_wire::{ApiKey, ErrorCode, Str, Uuid};

use super::ask_group::{ask, owned, owned_option};
use super::dispatch::with;
use super::{Client, PeerFault, Request, Response};
use crate::group::messages::{
    CommitPartition, CommitTopic, FetchTopic, FetchedPartition, FetchedTopic, MemberClaim, OffsetCommit,
    OffsetDelete, OffsetDeleteReply, OffsetFetch, OffsetFetchReply, Reply, Request as GroupRequest,
    TopicErrors,
};
use crate::metadata::{Image, Topic};

/// From this version on, OffsetCommit and OffsetFetch name topics by their ids.
const TOPIC_IDS_SINCE: i16 = 10;

pub async fn handle(client: &Rc<Client>, request: Request) -> Result<Response, PeerFault> {
    match request.api {
        ApiKey::OffsetCommit => {
            with(client, request, async |c, version, body| commit(c, version, body).await).await
        }
        ApiKey::OffsetFetch => {
            with(client, request, async |c, version, body| fetch(c, version, body).await).await
        }
        _ => with(client, request, async |c, _, body| delete(c, body).await).await,
    }
}

async fn commit(client: &Rc<Client>, version: i16, body: OffsetCommitRequest) -> OffsetCommitResponse {
    let group_id = body.group_id.clone();
    let (request, mut answers) = to_commit(&client.shard.image(), body, version);
    if !request.topics.is_empty() {
        match ask(client, &group_id, GroupRequest::OffsetCommit(request)).await {
            Reply::OffsetCommit(committed) => merge(&mut answers, committed),
            other => unreachable!("an OffsetCommit is answered by {other:?}"),
        }
    }
    let topics = answers.into_iter().map(from_commit).collect();
    OffsetCommitResponse { topics, ..OffsetCommitResponse::default() }
}

/// The offsets of partitions that exist, and the errors of those that do not.
fn to_commit(image: &Image, body: OffsetCommitRequest, version: i16) -> (OffsetCommit, Vec<TopicErrors>) {
    let mut topics = Vec::with_capacity(body.topics.len());
    let mut refused = Vec::new();
    for topic in &body.topics {
        let known = find_topic(image, topic, version);
        let (accepted, unknown) = split_topic(topic, known, version);
        topics.extend(accepted);
        merge(&mut refused, unknown);
    }
    let claim = MemberClaim {
        member_id: owned(&body.member_id),
        instance_id: owned_option(body.group_instance_id.as_ref()),
    };
    let request = OffsetCommit {
        group_id: owned(&body.group_id),
        claim,
        generation_id: body.generation_id_or_member_epoch,
        retention_ms: Some(body.retention_time_ms).filter(|retention_ms| *retention_ms != -1),
        knows_group_id_not_found: version >= 9,
        topics,
    };
    (request, refused)
}

fn find_topic<'a>(image: &'a Image, topic: &OffsetCommitRequestTopic, version: i16) -> Option<&'a Topic> {
    let found =
        if version >= TOPIC_IDS_SINCE { image.topic_by_id(topic.topic_id) } else { image.topic(&topic.name) };
    found.map(|topic| &**topic)
}

fn split_topic(
    topic: &OffsetCommitRequestTopic,
    known: Option<&Topic>,
    version: i16,
) -> (Option<CommitTopic>, Option<TopicErrors>) {
    let unknown = if version >= TOPIC_IDS_SINCE && known.is_none() {
        ErrorCode::UNKNOWN_TOPIC_ID
    } else {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
    };
    let count = known.map_or(0, Topic::partition_count);
    let (good, bad): (Vec<_>, Vec<_>) =
        topic.partitions.iter().partition(|partition| (0..count).contains(&partition.partition_index));
    let name = known.map_or_else(|| topic.name.detach(), |known| known.name.clone());
    let topic_id = known.map_or(topic.topic_id, |known| known.id);
    let offset = |partition: &kring_wire::messages::offset_commit_request::OffsetCommitRequestPartition| {
        CommitPartition {
            partition: partition.partition_index,
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata: partition.committed_metadata.as_ref().map(Str::detach),
        }
    };
    let errors = bad.iter().map(|partition| (partition.partition_index, unknown)).collect();
    let accepted =
        CommitTopic { topic_id, name: name.clone(), partitions: good.into_iter().map(offset).collect() };
    let refused = TopicErrors { topic_id, name, partitions: errors };
    let is_empty = accepted.partitions.is_empty();
    ((!is_empty).then_some(accepted), (known.is_none() || !bad.is_empty()).then_some(refused))
}

/// One entry for each topic, whatever its partitions were answered by.
fn merge(answers: &mut Vec<TopicErrors>, more: impl IntoIterator<Item = TopicErrors>) {
    for topic in more {
        match answers.iter_mut().find(|known| known.name == topic.name && known.topic_id == topic.topic_id) {
            Some(known) => known.partitions.extend(topic.partitions),
            None => answers.push(topic),
        }
    }
}

fn from_commit(topic: TopicErrors) -> OffsetCommitResponseTopic {
    let partition = |(partition_index, error): (i32, ErrorCode)| OffsetCommitResponsePartition {
        partition_index,
        error_code: error.into(),
    };
    OffsetCommitResponseTopic {
        name: topic.name,
        topic_id: topic.topic_id,
        partitions: topic.partitions.into_iter().map(partition).collect(),
    }
}

async fn fetch(client: &Rc<Client>, version: i16, body: OffsetFetchRequest) -> OffsetFetchResponse {
    let require_stable = body.require_stable;
    let groups = join_all(
        groups_of(body, version).into_iter().map(|g| fetch_group(client, version, g, require_stable)),
    );
    from_fetch(groups.await, version)
}

/// Older versions ask for one group, by fields of their own.
fn groups_of(body: OffsetFetchRequest, version: i16) -> Vec<OffsetFetchRequestGroup> {
    if version >= 8 {
        return body.groups;
    }
    let topics = body.topics.map(|topics| {
        let topic = |topic: kring_wire::messages::offset_fetch_request::OffsetFetchRequestTopic| {
            OffsetFetchRequestTopics {
                name: topic.name,
                partition_indexes: topic.partition_indexes,
                ..OffsetFetchRequestTopics::default()
            }
        };
        topics.into_iter().map(topic).collect()
    });
    vec![OffsetFetchRequestGroup { group_id: body.group_id, topics, ..OffsetFetchRequestGroup::default() }]
}

async fn fetch_group(
    client: &Rc<Client>,
    version: i16,
    group: OffsetFetchRequestGroup,
    require_stable: bool,
) -> OffsetFetchReply {
    let image = client.shard.image();
    let group_id = group.group_id.clone();
    let wants_all = group.topics.is_none();
    let (topics, unknown) = to_fetch(&image, group.topics, version);
    let knows_group_error = version >= 2;
    let request = OffsetFetch { group_id: owned(&group_id), topics, require_stable, knows_group_error };
    let mut reply = match ask(client, &group_id, GroupRequest::OffsetFetch(request)).await {
        Reply::OffsetFetch(reply) => reply,
        other => unreachable!("an OffsetFetch is answered by {other:?}"),
    };
    if reply.error == ErrorCode::NONE {
        if wants_all && version >= TOPIC_IDS_SINCE {
            name_by_id(&image, &mut reply.topics);
        }
        reply.topics.extend(unknown);
    }
    reply
}

/// The topics to ask for, by name, and the answers for ids that nothing has.
fn to_fetch(
    image: &Image,
    topics: Option<Vec<OffsetFetchRequestTopics>>,
    version: i16,
) -> (Option<Vec<FetchTopic>>, Vec<FetchedTopic>) {
    let Some(topics) = topics else { return (None, Vec::new()) };
    let mut known = Vec::with_capacity(topics.len());
    let mut unknown = Vec::new();
    for topic in topics {
        let OffsetFetchRequestTopics { name, topic_id, partition_indexes: partitions } = topic;
        if version < TOPIC_IDS_SINCE {
            known.push(FetchTopic { topic_id: Uuid::ZERO, name, partitions });
        } else if let Some(found) = image.topic_by_id(topic_id) {
            known.push(FetchTopic { topic_id, name: found.name.clone(), partitions });
        } else {
            let none = |at: i32| FetchedPartition::none(at, ErrorCode::UNKNOWN_TOPIC_ID);
            let partitions = partitions.into_iter().map(none).collect();
            unknown.push(FetchedTopic { topic_id, name: Str::default(), partitions });
        }
    }
    (Some(known), unknown)
}

/// Topics that are no more have no id to be told by.
fn name_by_id(image: &Image, topics: &mut Vec<FetchedTopic>) {
    for topic in topics.iter_mut() {
        topic.topic_id = image.topic_id(&topic.name).unwrap_or(Uuid::ZERO);
    }
    topics.retain(|topic| topic.topic_id != Uuid::ZERO);
}

fn from_fetch(mut replies: Vec<OffsetFetchReply>, version: i16) -> OffsetFetchResponse {
    if version >= 8 {
        let groups = replies.into_iter().map(from_fetched_group).collect();
        return OffsetFetchResponse { groups, ..OffsetFetchResponse::default() };
    }
    let reply = replies.pop().expect("older versions ask for one group");
    OffsetFetchResponse {
        error_code: reply.error.into(),
        topics: reply.topics.into_iter().map(from_fetched_topic).collect(),
        ..OffsetFetchResponse::default()
    }
}

fn from_fetched_group(reply: OffsetFetchReply) -> OffsetFetchResponseGroup {
    let partition = |at: FetchedPartition| OffsetFetchResponsePartitions {
        partition_index: at.partition,
        committed_offset: at.offset,
        committed_leader_epoch: at.leader_epoch,
        metadata: Some(at.metadata),
        error_code: at.error.into(),
    };
    let topic = |topic: FetchedTopic| OffsetFetchResponseTopics {
        name: topic.name,
        topic_id: topic.topic_id,
        partitions: topic.partitions.into_iter().map(partition).collect(),
    };
    OffsetFetchResponseGroup {
        group_id: reply.group_id.0,
        topics: reply.topics.into_iter().map(topic).collect(),
        error_code: reply.error.into(),
    }
}

fn from_fetched_topic(topic: FetchedTopic) -> OffsetFetchResponseTopic {
    let partition = |at: FetchedPartition| OffsetFetchResponsePartition {
        partition_index: at.partition,
        committed_offset: at.offset,
        committed_leader_epoch: at.leader_epoch,
        metadata: Some(at.metadata),
        error_code: at.error.into(),
    };
    OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic.partitions.into_iter().map(partition).collect(),
    }
}

async fn delete(client: &Rc<Client>, body: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let image = client.shard.image();
    let (topics, mut answers) = to_delete(&image, &body.topics);
    let request = OffsetDelete { group_id: owned(&body.group_id), topics };
    match ask(client, &body.group_id, GroupRequest::OffsetDelete(request)).await {
        Reply::OffsetDelete(OffsetDeleteReply { error, .. }) if error.is_err() => {
            OffsetDeleteResponse { error_code: error.into(), ..OffsetDeleteResponse::default() }
        }
        Reply::OffsetDelete(OffsetDeleteReply { topics, .. }) => {
            merge(&mut answers, topics);
            let topics = answers.into_iter().map(from_delete).collect();
            OffsetDeleteResponse { topics, ..OffsetDeleteResponse::default() }
        }
        other => unreachable!("an OffsetDelete is answered by {other:?}"),
    }
}

/// Offsets of partitions that exist, by topic.
type Deletions = Vec<(Str, Vec<i32>)>;

fn to_delete(image: &Image, topics: &[OffsetDeleteRequestTopic]) -> (Deletions, Vec<TopicErrors>) {
    let mut known = Vec::with_capacity(topics.len());
    let mut refused = Vec::new();
    for topic in topics {
        let known_topic = image.topic(&topic.name);
        let count = known_topic.map_or(0, |topic| topic.partition_count());
        let indexes = topic.partitions.iter().map(|partition| partition.partition_index);
        let (good, bad): (Vec<i32>, Vec<i32>) = indexes.partition(|index| (0..count).contains(index));
        if !bad.is_empty() || known_topic.is_none() {
            let partitions =
                bad.into_iter().map(|index| (index, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)).collect();
            merge(&mut refused, [TopicErrors { topic_id: Uuid::ZERO, name: topic.name.clone(), partitions }]);
        }
        if !good.is_empty() {
            known.push((topic.name.detach(), good));
        }
    }
    (known, refused)
}

fn from_delete(topic: TopicErrors) -> OffsetDeleteResponseTopic {
    let partition = |(partition_index, error): (i32, ErrorCode)| OffsetDeleteResponsePartition {
        partition_index,
        error_code: error.into(),
    };
    OffsetDeleteResponseTopic {
        name: topic.name,
        partitions: topic.partitions.into_iter().map(partition).collect(),
    }
}
