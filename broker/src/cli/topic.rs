//! `kring topic`: create, list, describe, delete.

use std::fmt::Write;

use kring_wire::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use kring_wire::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use kring_wire::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use kring_wire::{ErrorCode, Str};

use super::args::TopicCommand;
use super::client::metadata::{self, Topic};
use super::client::offsets::{Edge, Offsets};
use super::client::{Client, ClientError, Result};
use super::shard;

/// The broker's own default, for counts.
const AS_THE_BROKER_SAYS: i32 = -1;
const OPERATION_TIME_MS: i32 = 30_000;
/// The protocol's number for topics among the things that have a configuration.
const TOPIC_RESOURCE: i8 = 2;
/// The protocol's number for a value that was set on the topic itself.
const SET_ON_TOPIC: i8 = 1;

pub(super) fn run(command: TopicCommand) -> std::result::Result<(), String> {
    shard::run(move || {
        let command = command.clone();
        async move {
            let text = execute(command).await?;
            shard::write(text.into_bytes()).await.map(drop)
        }
    })
}

async fn execute(command: TopicCommand) -> Result<String> {
    match command {
        TopicCommand::Create { topic, partitions, config, server } => {
            let mut client = Client::connect(&server.server).await?;
            create(&mut client, &topic, partitions, &config).await
        }
        TopicCommand::List { server } => list(&mut Client::connect(&server.server).await?).await,
        TopicCommand::Describe { topic, server } => {
            describe(&mut Client::connect(&server.server).await?, &Str::from(topic)).await
        }
        TopicCommand::Delete { topic, server } => {
            delete(&mut Client::connect(&server.server).await?, &Str::from(topic)).await
        }
    }
}

async fn create(
    client: &mut Client,
    name: &str,
    partitions: Option<i32>,
    config: &[(String, String)],
) -> Result<String> {
    let setting = |(name, value): &(String, String)| CreatableTopicConfig {
        name: name.into(),
        value: Some(value.into()),
    };
    let wanted = CreatableTopic {
        name: name.into(),
        num_partitions: partitions.unwrap_or(AS_THE_BROKER_SAYS),
        replication_factor: AS_THE_BROKER_SAYS as i16,
        configs: config.iter().map(setting).collect(),
        ..CreatableTopic::default()
    };
    let ask = |_| CreateTopicsRequest {
        topics: vec![wanted.clone()],
        timeout_ms: OPERATION_TIME_MS,
        ..CreateTopicsRequest::default()
    };
    let answer = client.ask_any(i16::MAX, ask).await?;
    let made = answer.topics.first().ok_or_else(no_answer)?;
    ClientError::check(made.error_code, made.error_message.as_ref(), || {
        format!("topic '{name}' cannot be created")
    })?;
    Ok(created(name, made.num_partitions))
}

/// Old brokers do not say how many partitions there are.
fn created(name: &str, partitions: i32) -> String {
    match partitions {
        1 => format!("created topic {name} with 1 partition\n"),
        2.. => format!("created topic {name} with {partitions} partitions\n"),
        _ => format!("created topic {name}\n"),
    }
}

async fn list(client: &mut Client) -> Result<String> {
    let answer = client.metadata(None, false).await?;
    let mut names: Vec<Str> = answer.topics.into_iter().filter_map(|topic| topic.name).collect();
    names.sort();
    Ok(names.iter().map(|name| format!("{name}\n")).collect())
}

async fn delete(client: &mut Client, name: &Str) -> Result<String> {
    let ask = |version| {
        let by_state = DeleteTopicState { name: Some(name.clone()), ..DeleteTopicState::default() };
        let (topics, topic_names) =
            if version >= 6 { (vec![by_state], vec![]) } else { (vec![], vec![name.clone()]) };
        DeleteTopicsRequest { topics, topic_names, timeout_ms: OPERATION_TIME_MS }
    };
    let answer = client.ask_any(i16::MAX, ask).await?;
    let deleted = answer.responses.first().ok_or_else(no_answer)?;
    ClientError::check(deleted.error_code, deleted.error_message.as_ref(), || {
        format!("topic '{name}' cannot be deleted")
    })?;
    Ok(format!("deleted topic {name}\n"))
}

fn no_answer() -> ClientError {
    ClientError::Plain("the broker answered about no topic at all".to_string())
}

async fn describe(client: &mut Client, name: &Str) -> Result<String> {
    let topic = described(client, name).await?;
    let led: Vec<i32> =
        topic.partitions.iter().filter(|partition| partition.leader >= 0).map(|p| p.index).collect();
    let start = client.edges_of(&topic, &led, Edge::Start).await?;
    let end = client.edges_of(&topic, &led, Edge::End).await?;
    let mut text = head(&topic);
    text.push_str(&partition_table(&topic, &start, &end));
    text.push_str(&settings(client, name).await?);
    Ok(text)
}

async fn described(client: &mut Client, name: &Str) -> Result<Topic> {
    let answer = client.metadata(Some(std::slice::from_ref(name)), false).await?;
    let described = answer.topics.into_iter().next().ok_or_else(no_answer)?;
    match ErrorCode(described.error_code) {
        // Partitions without a leader are worth describing.
        ErrorCode::LEADER_NOT_AVAILABLE => Ok(metadata::topic(described)),
        ErrorCode::NONE => Ok(metadata::topic(described)),
        _ => client.topic(name, false).await,
    }
}

fn head(topic: &Topic) -> String {
    let replicas = topic.partitions.iter().map(|partition| partition.replicas.len()).max().unwrap_or(0);
    format!(
        "topic        {}\nid           {}\npartitions   {}\nreplication  {replicas}\n",
        topic.name,
        topic.id,
        topic.partitions.len()
    )
}

fn partition_table(topic: &Topic, start: &Offsets, end: &Offsets) -> String {
    let mut rows = vec![["partition", "leader", "replicas", "in-sync", "start", "end"].map(str::to_string)];
    for partition in &topic.partitions {
        let offset = |offsets: &Offsets| offsets.get(&partition.index).map_or("-".into(), i64::to_string);
        let leader = if partition.leader < 0 { "none".to_string() } else { partition.leader.to_string() };
        rows.push([
            partition.index.to_string(),
            leader,
            numbers(&partition.replicas),
            numbers(&partition.in_sync_replicas),
            offset(start),
            offset(end),
        ]);
    }
    format!("\n{}", aligned(&rows))
}

fn numbers(ids: &[i32]) -> String {
    ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}

/// Columns as wide as their widest cell.
fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

async fn settings(client: &mut Client, name: &Str) -> Result<String> {
    let ask = |_| DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: TOPIC_RESOURCE,
            resource_name: name.clone(),
            configuration_keys: None,
        }],
        ..DescribeConfigsRequest::default()
    };
    let answer = client.ask_any(i16::MAX, ask).await?;
    let found = answer.results.first().ok_or_else(no_answer)?;
    ClientError::check(found.error_code, found.error_message.as_ref(), || {
        format!("the configuration of '{name}' cannot be read")
    })?;
    let mut text = String::new();
    for config in found.configs.iter().filter(|config| config.config_source == SET_ON_TOPIC) {
        let value = config.value.as_ref().map_or("(hidden)", |value| value.as_str());
        let title = if text.is_empty() { "\nset on this topic\n" } else { "" };
        let _infallible = writeln!(text, "{title}  {}={value}", config.name);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a", "bb"], ["ccc", "d"]].map(|row| row.map(str::to_string));
        assert_eq!(aligned(&rows), "a    bb\nccc  d\n");
    }

    #[test]
    fn a_created_topic_is_told_with_its_partitions_where_known() {
        assert_eq!(created("a", 1), "created topic a with 1 partition\n");
        assert_eq!(created("a", 3), "created topic a with 3 partitions\n");
        assert_eq!(created("a", -1), "created topic a\n");
    }
}
