//! KIP-951: an answer that refuses a partition for its leadership says who leads, and where to find it.

use kring_wire::{ErrorCode, Str, Uuid};

use super::Client;

/// Who leads a partition, as this broker knows it.
pub(super) struct Leader {
    pub id: i32,
    pub epoch: i32,
}

/// A broker's address on the listener that the client came by.
pub(super) struct Node {
    pub id: i32,
    pub host: Str,
    pub port: i32,
    pub rack: Option<Str>,
}

/// Whether an error tells the client to look for the leader.
pub(super) fn is_about_leadership(error: ErrorCode) -> bool {
    matches!(error, ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::FENCED_LEADER_EPOCH)
}

pub(super) fn leader(client: &Client, topic: Uuid, partition: i32) -> Option<Leader> {
    let image = client.shard.image();
    let state = image.partition(topic, partition)?;
    Some(Leader { id: state.leader, epoch: state.leader_epoch })
}

pub(super) fn node(client: &Client, id: i32) -> Option<Node> {
    let image = client.shard.image();
    let broker = image.broker(id)?;
    let endpoint = broker.endpoint(&client.listener)?;
    Some(Node { id, host: endpoint.host.clone(), port: i32::from(endpoint.port), rack: broker.rack.clone() })
}
