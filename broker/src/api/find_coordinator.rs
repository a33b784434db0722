//! FindCoordinator (0–6): which broker holds a group. Makes `__consumer_offsets` when it is first needed.
//! Never asks a coordinator.
//!
//! v1 key types, v4 several keys (KIP-699), v6 share groups (KIP-932). Transactions and share groups have no
//! coordinator here yet. Clients are told so with a code that they do not ask again for.

use std::rc::Rc;

use kring_wire::messages::find_coordinator_request::FindCoordinatorRequest;
use kring_wire::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};
use kring_wire::{ErrorCode, Str, Uuid};

use super::ask_group::coordinator_partition;
use super::dispatch::with;
use super::{Client, PeerFault, Request, Response};
use crate::controller::ControllerRequest;
use crate::metadata::names;
use crate::shard::{CONTROLLER_SHARD, Command};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;
const SHARE_SINCE: i16 = 6;

/// Where clients reach a coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    id: i32,
    host: Str,
    port: i32,
}

impl Node {
    /// What Kafka tells where there is no node.
    fn none() -> Node {
        Node { id: -1, host: Str::default(), port: -1 }
    }
}

pub async fn handle(client: &Rc<Client>, request: Request) -> Result<Response, PeerFault> {
    with(client, request, async |c, version, body| find(c, version, body).await).await
}

async fn find(client: &Rc<Client>, version: i16, body: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let keys = if version >= 4 { body.coordinator_keys } else { vec![body.key] };
    if body.key_type == GROUP && !keys.is_empty() {
        make_offsets_topic(client).await;
    }
    let answer = |key: Str| (key.clone(), find_one(client, version, body.key_type, &key));
    let mut response = respond(version, keys.into_iter().map(answer).collect());
    if !(GROUP..=SHARE).contains(&body.key_type) {
        // Kafka fails the request as a whole, and then it says why.
        let message = Str::from_static(ErrorCode::INVALID_REQUEST.message());
        response.coordinators.iter_mut().for_each(|one| one.error_message = Some(message.clone()));
    }
    response
}

fn find_one(client: &Client, version: i16, key_type: i8, key: &str) -> Result<Node, ErrorCode> {
    match key_type {
        GROUP => find_group(client, key).ok_or(ErrorCode::COORDINATOR_NOT_AVAILABLE),
        TRANSACTION => Err(ErrorCode::UNSUPPORTED_VERSION),
        SHARE if version < SHARE_SINCE || !is_share_key(key) => Err(ErrorCode::INVALID_REQUEST),
        SHARE => Err(ErrorCode::UNSUPPORTED_VERSION),
        _ => Err(ErrorCode::INVALID_REQUEST),
    }
}

/// `group:topic id:partition`.
fn is_share_key(key: &str) -> bool {
    let mut parts = key.split(':');
    let (group, topic, partition) = (parts.next(), parts.next(), parts.next());
    parts.next().is_none()
        && group.is_some_and(|group| !group.trim().is_empty())
        && topic.is_some_and(|topic| topic.parse::<Uuid>().is_ok())
        && partition.is_some_and(|partition| partition.parse::<i32>().is_ok())
}

/// The broker that leads the group's partition, at the address of the client's own listener.
fn find_group(client: &Client, group_id: &str) -> Option<Node> {
    let image = client.shard.image();
    let topic = image.topic(names::CONSUMER_OFFSETS)?;
    let leader = topic.partition(coordinator_partition(topic, group_id))?.leader;
    let endpoint = image.broker(leader)?.endpoint(&client.listener)?;
    Some(Node { id: leader, host: endpoint.host.clone(), port: i32::from(endpoint.port) })
}

/// Kafka answers "not available" while it makes the topic; here the first client waits for it.
async fn make_offsets_topic(client: &Client) {
    if client.shard.image().topic(names::CONSUMER_OFFSETS).is_some() {
        return;
    }
    let request = ControllerRequest::CreateMissing { names: vec![Str::from_static(names::CONSUMER_OFFSETS)] };
    let mesh = &client.shard.mesh;
    let made = mesh.ask(CONTROLLER_SHARD, |reply_to| Command::Controller { request, reply_to }).await;
    if made.recv().await.is_err() {
        tracing::warn!("the controller did not make {}", names::CONSUMER_OFFSETS);
    }
}

fn respond(version: i16, answers: Vec<(Str, Result<Node, ErrorCode>)>) -> FindCoordinatorResponse {
    if version >= 4 {
        let coordinators = answers.into_iter().map(coordinator).collect();
        return FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() };
    }
    let mut response = FindCoordinatorResponse::default();
    for (_, answer) in answers {
        let error = answer.as_ref().err().copied().unwrap_or(ErrorCode::NONE);
        let node = answer.unwrap_or_else(|_| Node::none());
        response.error_code = error.into();
        response.error_message = Some(Str::from_static(error.message()));
        (response.node_id, response.host, response.port) = (node.id, node.host, node.port);
    }
    response
}

fn coordinator((key, answer): (Str, Result<Node, ErrorCode>)) -> Coordinator {
    let error = answer.as_ref().err().copied().unwrap_or(ErrorCode::NONE);
    let node = answer.unwrap_or_else(|_| Node::none());
    Coordinator {
        key,
        node_id: node.id,
        host: node.host,
        port: node.port,
        error_code: error.into(),
        ..Coordinator::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_versions_have_one_answer_and_new_ones_one_for_each_key() {
        let node = Node { id: 1, host: "h".into(), port: 9092 };
        let one = respond(3, vec![("g".into(), Ok(node.clone()))]);
        assert_eq!((one.error_code, one.node_id, one.port), (0, 1, 9092));
        assert_eq!(one.error_message.as_deref(), Some("NONE"));
        let unavailable = Err(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        let two = respond(4, vec![("g".into(), Ok(node)), ("h".into(), unavailable)]);
        let told: Vec<_> = two.coordinators.iter().map(|c| (c.node_id, c.port, c.error_code)).collect();
        assert_eq!(told, [(1, 9092, 0), (-1, -1, ErrorCode::COORDINATOR_NOT_AVAILABLE.0)]);
    }

    #[test]
    fn share_keys_name_a_group_a_topic_and_a_partition() {
        let id = Uuid::ONE.to_string();
        assert!(is_share_key(&format!("g:{id}:0")));
        for bad in [
            "",
            "g",
            "g:x:0",
            &format!("g:{id}"),
            &format!("g:{id}:x"),
            &format!(":{id}:0"),
            &format!("g:{id}:0:1"),
        ] {
            assert!(!is_share_key(bad), "{bad}");
        }
    }
}
