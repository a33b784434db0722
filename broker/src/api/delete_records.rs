//! DeleteRecords: moves the first offset of partitions forward. Never touches a log: the owning shards do.

use std::rc::Rc;

use kring_wire::ErrorCode;
use kring_wire::messages::delete_records_request::{DeleteRecordsRequest, DeleteRecordsTopic};
use kring_wire::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
};

use super::Client;
use super::fan_out::{AskedOfTopic, ask_by_topic};
use crate::shard::Command;

pub async fn handle(client: &Rc<Client>, body: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let asked = body.topics.into_iter().map(|topic| (topic.name.clone(), plan(client, topic))).collect();
    let command = |entries, reply_to| Command::DeleteRecords { entries, reply_to };
    let answered = ask_by_topic(&client.shard.mesh, asked, command).await;
    let topics = answered.into_iter().map(|(name, partitions)| DeleteRecordsTopicResult {
        name,
        partitions: partitions.into_iter().map(|(index, answer)| result(index, answer)).collect(),
    });
    DeleteRecordsResponse { topics: topics.collect(), ..DeleteRecordsResponse::default() }
}

fn plan(client: &Client, topic: DeleteRecordsTopic) -> AskedOfTopic<i64> {
    let find = |index| match client.is_internal(&topic.name) {
        true => Err(ErrorCode::INVALID_TOPIC_EXCEPTION),
        false => client.find(&topic.name, index),
    };
    topic
        .partitions
        .iter()
        .map(|p| (p.partition_index, find(p.partition_index).map(|id| (id, p.offset))))
        .collect()
}

fn result(partition_index: i32, answer: Result<i64, ErrorCode>) -> DeleteRecordsPartitionResult {
    let (low_watermark, error) = match answer {
        Ok(low_watermark) => (low_watermark, ErrorCode::NONE),
        Err(error) => (-1, error),
    };
    DeleteRecordsPartitionResult { partition_index, low_watermark, error_code: error.into() }
}
