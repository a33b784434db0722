//! What must be known before the load: versions, the topic, its leaders and its offsets.
//! Everything here happens once, before the clock of the run starts.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kring_runtime::{Monotonic, net, now, sleep};
use kring_wire::messages::api_versions_request::ApiVersionsRequest;
use kring_wire::messages::api_versions_response::ApiVersionsResponse;
use kring_wire::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kring_wire::messages::init_producer_id_request::InitProducerIdRequest;
use kring_wire::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use kring_wire::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use kring_wire::messages::metadata_response::{MetadataResponse, MetadataResponseTopic};
use kring_wire::{ApiKey, ErrorCode, Str};

use super::connection::Connection;
use super::error::ClientError;

/// From the last versions that name topics rather than number them.
const NEWEST_PRODUCE: i16 = 12;
const NEWEST_FETCH: i16 = 12;
const NEWEST_METADATA: i16 = 12;
const NEWEST_CREATE_TOPICS: i16 = 7;
const NEWEST_LIST_OFFSETS: i16 = 7;
const NEWEST_INIT_PRODUCER_ID: i16 = 4;
const API_VERSIONS: i16 = 3;

/// As long as Kafka's clients try (`default.api.timeout.ms`): a topic of many partitions takes a broker its time.
const TOPIC_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
const CREATE_TIMEOUT_MS: i32 = 10_000;

/// Where a broker listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub name: String,
    pub addrs: Arc<[SocketAddr]>,
    /// How long a request to it may take.
    pub request_timeout: Duration,
}

impl Endpoint {
    pub async fn resolve(host: &str, port: u16, request_timeout: Duration) -> Result<Endpoint, ClientError> {
        let name = format!("{host}:{port}");
        match net::resolve(host, port).await {
            Ok(addrs) => Ok(Endpoint { name, addrs: addrs.into(), request_timeout }),
            Err(error) => Err(ClientError::Connect { to: name, error }),
        }
    }
}

/// The version of each API that both sides have.
#[derive(Clone, Debug)]
pub struct Versions {
    offered: Arc<ApiVersionsResponse>,
    pub produce: i16,
    pub fetch: i16,
    pub metadata: i16,
    pub create_topics: i16,
    pub list_offsets: i16,
}

impl Versions {
    async fn ask(connection: &mut Connection) -> Result<Versions, ClientError> {
        let request = ApiVersionsRequest {
            client_software_name: Str::from_static("kring-loadgen"),
            client_software_version: Str::from_static(env!("CARGO_PKG_VERSION")),
        };
        let answer = connection.call(API_VERSIONS, &request).await?;
        refuse(answer.error_code, "ApiVersions")?;
        Ok(Versions {
            produce: common(&answer, ApiKey::Produce, NEWEST_PRODUCE)?,
            fetch: common(&answer, ApiKey::Fetch, NEWEST_FETCH)?,
            metadata: common(&answer, ApiKey::Metadata, NEWEST_METADATA)?,
            create_topics: common(&answer, ApiKey::CreateTopics, NEWEST_CREATE_TOPICS)?,
            list_offsets: common(&answer, ApiKey::ListOffsets, NEWEST_LIST_OFFSETS)?,
            offered: Arc::new(answer),
        })
    }

    /// The newest version of an API that both sides have, up to `newest`.
    pub fn of(&self, key: ApiKey, newest: i16) -> Result<i16, ClientError> {
        common(&self.offered, key, newest)
    }
}

fn common(answer: &ApiVersionsResponse, key: ApiKey, newest: i16) -> Result<i16, ClientError> {
    let offered = answer.api_keys.iter().find(|offered| offered.api_key == key.as_i16());
    let version = offered.and_then(|offered| {
        let version = newest.min(offered.max_version);
        (version >= offered.min_version.max(key.min_version())).then_some(version)
    });
    version.ok_or(ClientError::Version { api: key.name() })
}

/// A topic under load.
#[derive(Clone, Debug)]
pub struct Topic {
    pub name: String,
    /// The leader of each partition.
    pub leaders: Vec<Endpoint>,
    pub versions: Versions,
}

/// Finds the topic, or makes it when `partitions` says with how many.
pub async fn open_topic(
    server: &Endpoint,
    name: &str,
    partitions: Option<i32>,
) -> Result<Topic, ClientError> {
    let mut connection = Connection::open(server).await?;
    let versions = Versions::ask(&mut connection).await?;
    let deadline = now() + TOPIC_TIMEOUT;
    let mut made = false;
    loop {
        let answer = describe(&mut connection, &versions, name).await?;
        let topic = only_topic(&answer, name)?;
        if ErrorCode(topic.error_code) == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION && !made {
            create(&mut connection, &versions, name, partitions).await?;
            made = true;
        } else if let Some(leaders) = leaders(&answer, topic, partitions, server.request_timeout).await? {
            let topic = Topic { name: name.to_owned(), leaders, versions };
            if made {
                settle(&topic, deadline).await?;
            }
            return Ok(topic);
        }
        if now() >= deadline {
            return Err(ClientError::Topic(format!("topic {name} has partitions without a leader")));
        }
        sleep(POLL).await;
    }
}

/// For clients that only connect.
pub async fn no_topic(server: &Endpoint) -> Result<Topic, ClientError> {
    let versions = Versions::ask(&mut Connection::open(server).await?).await?;
    Ok(Topic { name: String::new(), leaders: Vec::new(), versions })
}

/// A leader that was just named may not know yet that it is one.
async fn settle(topic: &Topic, deadline: Monotonic) -> Result<(), ClientError> {
    let mut connections = BTreeMap::new();
    for (partition, leader) in (0..).zip(&topic.leaders) {
        let connection = match connections.entry(&leader.name) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Connection::open(leader).await?),
        };
        loop {
            match list_offsets(connection, topic, &[partition], -1).await {
                Ok(_) => break,
                Err(ClientError::Refused { code, .. }) if code.is_retriable() && now() < deadline => {
                    sleep(POLL).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

async fn describe(
    connection: &mut Connection,
    versions: &Versions,
    name: &str,
) -> Result<MetadataResponse, ClientError> {
    let topic = MetadataRequestTopic { name: Some(Str::from(name)), ..Default::default() };
    let request = MetadataRequest {
        topics: Some(vec![topic]),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    };
    connection.call(versions.metadata, &request).await
}

fn only_topic<'a>(
    answer: &'a MetadataResponse,
    name: &str,
) -> Result<&'a MetadataResponseTopic, ClientError> {
    let named = |topic: &&MetadataResponseTopic| topic.name.as_deref() == Some(name);
    answer.topics.iter().find(named).ok_or_else(|| ClientError::Missing(format!("topic {name}")))
}

async fn create(
    connection: &mut Connection,
    versions: &Versions,
    name: &str,
    partitions: Option<i32>,
) -> Result<(), ClientError> {
    let Some(num_partitions) = partitions else {
        let sentence = format!("there is no topic {name}; --partitions N makes it");
        return Err(ClientError::Topic(sentence));
    };
    let topic = CreatableTopic {
        name: Str::from(name),
        num_partitions,
        // The broker's default.
        replication_factor: -1,
        ..CreatableTopic::default()
    };
    let request =
        CreateTopicsRequest { topics: vec![topic], timeout_ms: CREATE_TIMEOUT_MS, validate_only: false };
    let answer = connection.call(versions.create_topics, &request).await?;
    let result = answer.topics.first().ok_or_else(|| ClientError::Missing(format!("topic {name}")))?;
    let code = ErrorCode(result.error_code);
    if code.is_ok() || code == ErrorCode::TOPIC_ALREADY_EXISTS {
        return Ok(());
    }
    let message = result.error_message.as_ref().map(|message| message.to_string());
    Err(ClientError::Refused { what: format!("making topic {name}"), code, message })
}

/// The leaders of all partitions, as the first of these brokers says that answers.
pub async fn refresh_leaders(brokers: &[Endpoint], topic: &Topic) -> Result<Vec<Endpoint>, ClientError> {
    let mut last = ClientError::Closed;
    for broker in brokers {
        match ask_leaders(broker, topic).await {
            Ok(leaders) => return Ok(leaders),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn ask_leaders(broker: &Endpoint, topic: &Topic) -> Result<Vec<Endpoint>, ClientError> {
    let mut connection = Connection::open(broker).await?;
    let answer = describe(&mut connection, &topic.versions, &topic.name).await?;
    let found = leaders(&answer, only_topic(&answer, &topic.name)?, None, broker.request_timeout).await?;
    let found = found.filter(|leaders| leaders.len() >= topic.leaders.len());
    let mut leaders =
        found.ok_or_else(|| ClientError::refused("Metadata", ErrorCode::LEADER_NOT_AVAILABLE))?;
    // Partitions that were added since have no part in the run.
    leaders.truncate(topic.leaders.len());
    Ok(leaders)
}

/// A producer id and its epoch, for a producer without transactions.
pub async fn init_producer_id(
    connection: &mut Connection,
    versions: &Versions,
) -> Result<(i64, i16), ClientError> {
    let version = versions.of(ApiKey::InitProducerId, NEWEST_INIT_PRODUCER_ID)?;
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: i32::MAX,
        ..Default::default()
    };
    let deadline = now() + TOPIC_TIMEOUT;
    loop {
        let answer = connection.call(version, &request).await?;
        // A broker that has just started loads first.
        match ErrorCode(answer.error_code) {
            code if code.is_retriable() && now() < deadline => sleep(POLL).await,
            code if code.is_err() => return Err(ClientError::refused("InitProducerId", code)),
            _ => return Ok((answer.producer_id, answer.producer_epoch)),
        }
    }
}

/// `None` while a partition has no leader yet.
async fn leaders(
    answer: &MetadataResponse,
    topic: &MetadataResponseTopic,
    partitions: Option<i32>,
    request_timeout: Duration,
) -> Result<Option<Vec<Endpoint>>, ClientError> {
    let code = ErrorCode(topic.error_code);
    if code.is_err() && !code.is_retriable() {
        return Err(ClientError::refused("Metadata", code));
    }
    let mut leaders: Vec<_> = topic.partitions.iter().map(|p| (p.partition_index, p.leader_id)).collect();
    leaders.sort_unstable();
    if code.is_err() || leaders.is_empty() || leaders.iter().any(|(_, leader)| *leader < 0) {
        return Ok(None);
    }
    check_count(topic, leaders.len(), partitions)?;
    let mut endpoints = BTreeMap::new();
    for broker in &answer.brokers {
        let port = u16::try_from(broker.port).unwrap_or(0);
        endpoints.insert(broker.node_id, Endpoint::resolve(&broker.host, port, request_timeout).await?);
    }
    Ok(leaders.iter().map(|(_, leader)| endpoints.get(leader).cloned()).collect())
}

fn check_count(
    topic: &MetadataResponseTopic,
    found: usize,
    partitions: Option<i32>,
) -> Result<(), ClientError> {
    let Some(wanted) = partitions.filter(|wanted| usize::try_from(*wanted) != Ok(found)) else {
        return Ok(());
    };
    let name = topic.name.as_deref().unwrap_or_default();
    Err(ClientError::Topic(format!("topic {name} has {found} partitions, not {wanted}")))
}

/// Offsets of these partitions, all led by one broker, in their order. `timestamp` is −1 for the end, −2 for the start.
pub async fn list_offsets(
    connection: &mut Connection,
    topic: &Topic,
    partitions: &[i32],
    timestamp: i64,
) -> Result<Vec<i64>, ClientError> {
    let partition = |index: &i32| ListOffsetsPartition {
        partition_index: *index,
        timestamp,
        ..ListOffsetsPartition::default()
    };
    let asked = ListOffsetsTopic {
        name: Str::from(topic.name.as_str()),
        partitions: partitions.iter().map(partition).collect(),
    };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![asked], ..ListOffsetsRequest::default() };
    let answer = connection.call(topic.versions.list_offsets, &request).await?;
    let found: BTreeMap<_, _> =
        answer.topics.iter().flat_map(|topic| &topic.partitions).map(|p| (p.partition_index, p)).collect();
    let offset = |index: &i32| {
        let partition = found.get(index).ok_or_else(|| ClientError::Missing(format!("partition {index}")))?;
        refuse(partition.error_code, "ListOffsets")?;
        Ok(partition.offset)
    };
    partitions.iter().map(offset).collect()
}

fn refuse(code: i16, what: &str) -> Result<(), ClientError> {
    let code = ErrorCode(code);
    if code.is_ok() { Ok(()) } else { Err(ClientError::refused(what, code)) }
}
