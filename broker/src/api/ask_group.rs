//! Where the coordinator of a group is, and how to ask it. Never decides about a group.

use std::rc::Rc;

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
    let answer = mesh.ask(owner, |reply_to| Command::Group { partition, request, reply_to }).await;
    answer.recv().await.unwrap_or(if_stopped)
}

/// What a coordinator keeps must not keep the whole request in memory with it.
pub(super) fn owned<T: From<Str>>(text: &Str) -> T {
    T::from(text.detach())
}

pub(super) fn owned_option<T: From<Str>>(text: Option<&Str>) -> Option<T> {
    text.map(owned)
}
