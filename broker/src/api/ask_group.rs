//! Where the coordinator of a group is, and how to ask it. Never decides about a group.

use std::rc::Rc;
use std::time::Duration;

use kring_runtime::timeout;
use kring_wire::{ErrorCode, Str};

use super::Client;
use crate::group::messages::{Reply, Request};
use crate::group::{GroupSettings, partition_for};
use crate::metadata::{Topic, names};
use crate::partition::PartitionId;
use crate::shard::Command;

/// Asks the coordinator of one group. Without one, the client is told to look for it again.
pub(super) async fn ask(client: &Rc<Client>, group_id: &str, request: Request) -> Reply {
    let settings = GroupSettings::from(&*client.shard.config());
    if let Some(refusal) = request.refused_at_the_door(&settings) {
        return refusal;
    }
    let image = client.shard.image();
    let Some(topic) = image.topic(names::CONSUMER_OFFSETS) else {
        return request.error_reply(ErrorCode::NOT_COORDINATOR);
    };
    ask_at(client, topic, coordinator_partition(topic, group_id), request).await
}

/// Asks the coordinator of every partition, in their order; none when there are no groups yet.
pub(super) async fn ask_all(client: &Rc<Client>, request: &Request) -> Vec<Reply> {
    let image = client.shard.image();
    let Some(topic) = image.topic(names::CONSUMER_OFFSETS) else { return Vec::new() };
    let partitions = 0..topic.partition_count();
    let asked = partitions.map(|partition| ask_at(client, topic, partition, request.clone()));
    futures_util::future::join_all(asked).await
}

/// The partition of `__consumer_offsets` in which a group lives.
pub(super) fn coordinator_partition(topic: &Topic, group_id: &str) -> i32 {
    let partition = partition_for(group_id, topic.partition_count().unsigned_abs());
    i32::try_from(partition).expect("below the count, which is an i32")
}

async fn ask_at(client: &Client, topic: &Topic, partition: i32, request: Request) -> Reply {
    let mesh = &client.shard.mesh;
    let owner = mesh.owner(PartitionId { topic: topic.id, index: partition }).index();
    let if_stopped = request.error_reply(ErrorCode::NOT_COORDINATOR);
    let if_late =
        waits_for_the_disk(&request).then(|| request.error_reply(ErrorCode::COORDINATOR_NOT_AVAILABLE));
    let answer = mesh.ask(owner, |reply_to| Command::Group { partition, request, reply_to }).await;
    let answered = async { answer.recv().await.unwrap_or(if_stopped) };
    match if_late {
        None => answered.await,
        Some(late) => timeout(commit_timeout(client), answered).await.unwrap_or(late),
    }
}

/// And for nothing else: other requests wait for other members, with limits of their own.
fn waits_for_the_disk(request: &Request) -> bool {
    matches!(request, Request::OffsetCommit(_) | Request::OffsetDelete(_))
}

/// What is late is not undone: as with Kafka, it may take effect after its client was told to try again.
fn commit_timeout(client: &Client) -> Duration {
    let timeout_ms = client.shard.config().offsets.commit_timeout_ms;
    Duration::from_millis(u64::try_from(timeout_ms).expect("at least one"))
}

/// What a coordinator keeps must not keep the whole request in memory with it.
pub(super) fn owned<T: From<Str>>(text: &Str) -> T {
    T::from(text.detach())
}

pub(super) fn owned_option<T: From<Str>>(text: Option<&Str>) -> Option<T> {
    text.map(owned)
}
