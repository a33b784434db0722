//! CreateTopics, DeleteTopics, CreatePartitions: requests to the controller and back. Never decides.
//!
//! CreateTopics answers with the topic's configuration from version 5 on (KIP-525) and its id from version 7 on;
//! DeleteTopics takes ids from version 6 on (KIP-516).

use std::rc::Rc;

use kring_wire::messages::create_partitions_request::CreatePartitionsRequest;
use kring_wire::messages::create_partitions_response::{
    CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use kring_wire::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kring_wire::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult, CreateTopicsResponse,
};
use kring_wire::messages::delete_topics_request::DeleteTopicsRequest;
use kring_wire::messages::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};
use kring_wire::{ApiKey, ErrorCode, Str, Uuid};

use super::dispatch::with;
use super::{Client, PeerFault, Request, Response};
use crate::config::{BrokerConfig, describe_topic};
use crate::controller::{
    ControllerReply, ControllerRequest, CreatedTopic, NewTopic, PartitionIncrease, Refused, TopicCreation,
    TopicDeletion, TopicTarget,
};

/// From here on CreateTopics tells the configuration.
const TELLS_CONFIGS: i16 = 5;
/// From here on DeleteTopics has a code for "not allowed here".
const DELETION_DISABLED: i16 = 3;

pub async fn handle(client: &Rc<Client>, request: Request) -> Result<Response, PeerFault> {
    match request.api {
        ApiKey::CreateTopics => with(client, request, async |c, v, b| create(c, v, b).await).await,
        ApiKey::DeleteTopics => with(client, request, async |c, v, b| delete(c, v, b).await).await,
        _ => with(client, request, async |c, _, b| create_partitions(c, b).await).await,
    }
}

async fn create(client: &Rc<Client>, version: i16, body: CreateTopicsRequest) -> CreateTopicsResponse {
    let names: Vec<Str> = body.topics.iter().map(|topic| topic.name.clone()).collect();
    let topics = body.topics.into_iter().map(new_topic).collect();
    let request = ControllerRequest::CreateTopics { topics, validate_only: body.validate_only };
    let created = match client.shard.ask_controller(request).await {
        Ok(ControllerReply::Topics(created)) => created,
        Ok(other) => unreachable!("CreateTopics is answered with {other:?}"),
        Err(_) => names.into_iter().map(|name| TopicCreation { name, result: Err(away()) }).collect(),
    };
    let config = client.shard.config();
    let topics = created.into_iter().map(|topic| creation(topic, version, &config)).collect();
    CreateTopicsResponse { topics, ..CreateTopicsResponse::default() }
}

/// The controller does not answer: clients find it anew and try again.
fn away() -> Refused {
    Refused::plain(ErrorCode::NOT_CONTROLLER)
}

fn new_topic(topic: CreatableTopic) -> NewTopic {
    NewTopic {
        name: topic.name,
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: topic.assignments.into_iter().map(|a| (a.partition_index, a.broker_ids)).collect(),
        configs: topic.configs.into_iter().map(|config| (config.name, config.value)).collect(),
    }
}

fn creation(topic: TopicCreation, version: i16, config: &BrokerConfig) -> CreatableTopicResult {
    let result = CreatableTopicResult { name: topic.name, ..CreatableTopicResult::default() };
    match topic.result {
        Err(refused) => {
            CreatableTopicResult { error_code: refused.code.into(), error_message: refused.message, ..result }
        }
        Ok(created) => CreatableTopicResult {
            topic_id: created.id,
            error_message: None,
            num_partitions: created.partitions,
            replication_factor: created.replication_factor,
            configs: (version >= TELLS_CONFIGS).then(|| configs(&created, config)),
            ..result
        },
    }
}

fn configs(created: &CreatedTopic, config: &BrokerConfig) -> Vec<CreatableTopicConfigs> {
    let entries = describe_topic(config, &created.configs).into_iter();
    let entry = |entry: crate::config::ConfigEntry| CreatableTopicConfigs {
        name: entry.name.into(),
        value: entry.value.map(Str::from),
        read_only: entry.is_read_only,
        config_source: entry.source.code(),
        is_sensitive: entry.is_sensitive,
    };
    entries.map(entry).collect()
}

async fn delete(client: &Rc<Client>, version: i16, body: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let topics = targets(body);
    if !client.shard.config().topics.is_delete_allowed {
        return delete_refused(topics, version);
    }
    let request = ControllerRequest::DeleteTopics { topics: topics.clone() };
    let deleted = match client.shard.ask_controller(request).await {
        Ok(ControllerReply::Deleted(deleted)) => deleted,
        Ok(other) => unreachable!("DeleteTopics is answered with {other:?}"),
        Err(_) => topics.into_iter().map(|topic| not_deleted(topic, away())).collect(),
    };
    let responses = deleted.into_iter().map(deletion).collect();
    DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() }
}

fn targets(body: DeleteTopicsRequest) -> Vec<TopicTarget> {
    let by_name = body.topic_names.into_iter().map(|name| TopicTarget { name: Some(name), id: Uuid::ZERO });
    let either = body.topics.into_iter().map(|topic| TopicTarget { name: topic.name, id: topic.topic_id });
    by_name.chain(either).collect()
}

fn not_deleted(topic: TopicTarget, why: Refused) -> TopicDeletion {
    TopicDeletion { name: topic.name, id: topic.id, result: Err(why) }
}

fn delete_refused(topics: Vec<TopicTarget>, version: i16) -> DeleteTopicsResponse {
    let code = match version {
        DELETION_DISABLED.. => ErrorCode::TOPIC_DELETION_DISABLED,
        _ => ErrorCode::INVALID_REQUEST,
    };
    let refuse = |topic| deletion(not_deleted(topic, Refused::silent(code)));
    let responses = topics.into_iter().map(refuse).collect();
    DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() }
}

fn deletion(topic: TopicDeletion) -> DeletableTopicResult {
    let (error_code, error_message) = outcome(topic.result);
    DeletableTopicResult { name: topic.name, topic_id: topic.id, error_code, error_message }
}

async fn create_partitions(client: &Rc<Client>, body: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let names: Vec<Str> = body.topics.iter().map(|topic| topic.name.clone()).collect();
    let increase = |topic: kring_wire::messages::create_partitions_request::CreatePartitionsTopic| {
        let brokers = |list: Vec<_>| {
            let of =
                |a: kring_wire::messages::create_partitions_request::CreatePartitionsAssignment| a.broker_ids;
            list.into_iter().map(of).collect()
        };
        PartitionIncrease {
            name: topic.name,
            count: topic.count,
            assignments: topic.assignments.map(brokers),
        }
    };
    let topics = body.topics.into_iter().map(increase).collect();
    let request = ControllerRequest::CreatePartitions { topics, validate_only: body.validate_only };
    let results = match client.shard.ask_controller(request).await {
        Ok(ControllerReply::Partitions(results)) => results,
        Ok(other) => unreachable!("CreatePartitions is answered with {other:?}"),
        Err(_) => names.into_iter().map(|name| (name, Err(away()))).collect(),
    };
    let result = |(name, result)| {
        let (error_code, error_message) = outcome(result);
        CreatePartitionsTopicResult { name, error_code, error_message }
    };
    CreatePartitionsResponse { results: results.into_iter().map(result).collect(), ..Default::default() }
}

/// An error code and its text.
fn outcome(result: Result<(), Refused>) -> (i16, Option<Str>) {
    match result {
        Ok(()) => (ErrorCode::NONE.into(), None),
        Err(refused) => (refused.code.into(), refused.message),
    }
}

#[cfg(test)]
#[path = "topics_tests.rs"]
mod tests;
