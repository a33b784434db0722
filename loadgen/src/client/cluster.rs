//! What must be known before the load: versions, the topics, their leaders and their offsets.
//! Everything here happens once, before the clock of the run starts.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kring_runtime::{net, now, sleep};
use kring_wire::messages::api_versions_request::ApiVersionsRequest;
use kring_wire::messages::api_versions_response::ApiVersionsResponse;
use kring_wire::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kring_wire::messages::create_topics_response::CreateTopicsResponse;
use kring_wire::messages::init_producer_id_request::InitProducerIdRequest;
use kring_wire::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use kring_wire::messages::list_offsets_response::ListOffsetsResponse;
use kring_wire::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use kring_wire::messages::metadata_response::{MetadataResponse, MetadataResponseTopic};
use kring_wire::{ApiKey, ErrorCode, Str};

use super::connection::Connection;
use super::error::ClientError;
use super::layout::Layout;

/// From the last versions that name topics rather than number them.
const NEWEST_PRODUCE: i16 = 12;
const NEWEST_FETCH: i16 = 12;
const NEWEST_METADATA: i16 = 12;
const NEWEST_CREATE_TOPICS: i16 = 7;
const NEWEST_LIST_OFFSETS: i16 = 7;
const NEWEST_INIT_PRODUCER_ID: i16 = 4;
const API_VERSIONS: i16 = 3;

/// Which offset is asked for: where a partition ends, and where it begins.
pub const LATEST: i64 = -1;
pub const EARLIEST: i64 = -2;

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

/// The topics under load.
#[derive(Clone, Debug)]
pub struct Topics {
    pub layout: Arc<Layout>,
    /// The leader of each partition.
    pub leaders: Vec<Endpoint>,
    pub versions: Versions,
}

impl Topics {
    fn new(names: &[String], leaders: Vec<Vec<Endpoint>>, versions: Versions) -> Topics {
        let partitions = leaders.iter().map(Vec::len);
        let layout = Arc::new(Layout::new(names.iter().cloned().zip(partitions)));
        Topics { layout, leaders: leaders.concat(), versions }
    }
}

/// Finds the topics, or makes those that are not there when `partitions` says with how many.
pub async fn open_topics(
    server: &Endpoint,
    names: &[String],
    partitions: Option<i32>,
) -> Result<Topics, ClientError> {
    let mut connection = Connection::open(server).await?;
    let versions = Versions::ask(&mut connection).await?;
    let deadline = now() + TOPIC_TIMEOUT;
    let (mut made, mut connections) = (false, BTreeMap::new());
    loop {
        let answer = describe(&mut connection, &versions, names).await?;
        let described = described(&answer, names)?;
        let absent = absent(names, &described);
        if !absent.is_empty() && !made {
            create(&mut connection, &versions, &absent, partitions).await?;
            made = true;
        } else if let Some(leaders) = leaders(&answer, &described, partitions, server.request_timeout).await?
        {
            let topics = Topics::new(names, leaders, versions.clone());
            match accepted(&topics, &mut connections).await {
                Ok(()) => return Ok(topics),
                Err(ClientError::Refused { code, .. }) if code.is_retriable() && now() < deadline => {}
                Err(error) => return Err(error),
            }
        } else if now() >= deadline {
            return Err(leaderless(&described));
        }
        sleep(POLL).await;
    }
}

/// For clients that only connect.
pub async fn no_topic(server: &Endpoint) -> Result<Topics, ClientError> {
    let versions = Versions::ask(&mut Connection::open(server).await?).await?;
    Ok(Topics::new(&[], Vec::new(), versions))
}

/// Asks every leader whether it knows its partitions. One that was just named, or that has just started again and is named
/// from what it wrote down, may not know yet.
async fn accepted(
    topics: &Topics,
    connections: &mut BTreeMap<String, Connection>,
) -> Result<(), ClientError> {
    let mut led: BTreeMap<&str, (&Endpoint, Vec<i32>)> = BTreeMap::new();
    for (partition, leader) in (0..).zip(&topics.leaders) {
        led.entry(&leader.name).or_insert_with(|| (leader, Vec::new())).1.push(partition);
    }
    for (name, (leader, partitions)) in led {
        let connection = match connections.entry(name.to_owned()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Connection::open(leader).await?),
        };
        list_offsets(connection, topics, &partitions, LATEST).await?;
    }
    Ok(())
}

async fn describe(
    connection: &mut Connection,
    versions: &Versions,
    names: &[impl AsRef<str>],
) -> Result<MetadataResponse, ClientError> {
    let topic =
        |name: &_| MetadataRequestTopic { name: Some(Str::from(AsRef::as_ref(name))), ..Default::default() };
    let request = MetadataRequest {
        topics: Some(names.iter().map(topic).collect()),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    };
    connection.call(versions.metadata, &request).await
}

/// What the answer says of these topics, in their order.
fn described<'a>(
    answer: &'a MetadataResponse,
    names: &[impl AsRef<str>],
) -> Result<Vec<&'a MetadataResponseTopic>, ClientError> {
    let named = |topic: &'a MetadataResponseTopic| Some((topic.name.as_deref()?, topic));
    let found: BTreeMap<&str, _> = answer.topics.iter().filter_map(named).collect();
    let topic = |name: &_| {
        let name = AsRef::as_ref(name);
        found.get(name).copied().ok_or_else(|| ClientError::Missing(format!("topic {name}")))
    };
    names.iter().map(topic).collect()
}

/// The topics that are not there.
fn absent<'a>(names: &'a [String], described: &[&MetadataResponseTopic]) -> Vec<&'a str> {
    let unknown = |(_, topic): &(_, &&MetadataResponseTopic)| {
        ErrorCode(topic.error_code) == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
    };
    names.iter().zip(described).filter(unknown).map(|(name, _)| name.as_str()).collect()
}

async fn create(
    connection: &mut Connection,
    versions: &Versions,
    names: &[&str],
    partitions: Option<i32>,
) -> Result<(), ClientError> {
    let Some(num_partitions) = partitions else {
        let sentence = format!("there is no topic {}; --partitions N makes it", names[0]);
        return Err(ClientError::Topic(sentence));
    };
    let topic = |name: &&str| CreatableTopic {
        name: Str::from(*name),
        num_partitions,
        // The broker's default.
        replication_factor: -1,
        ..CreatableTopic::default()
    };
    let topics = names.iter().map(topic).collect();
    let request = CreateTopicsRequest { topics, timeout_ms: CREATE_TIMEOUT_MS, validate_only: false };
    let answer = connection.call(versions.create_topics, &request).await?;
    names.iter().try_for_each(|name| created(&answer, name))
}

fn created(answer: &CreateTopicsResponse, name: &str) -> Result<(), ClientError> {
    let result = answer.topics.iter().find(|result| result.name.as_str() == name);
    let result = result.ok_or_else(|| ClientError::Missing(format!("topic {name}")))?;
    let code = ErrorCode(result.error_code);
    if code.is_ok() || code == ErrorCode::TOPIC_ALREADY_EXISTS {
        return Ok(());
    }
    let message = result.error_message.as_ref().map(|message| message.to_string());
    Err(ClientError::Refused { what: format!("making topic {name}"), code, message })
}

/// The leaders of all partitions, as the first of these brokers says that answers.
pub async fn refresh_leaders(brokers: &[Endpoint], topics: &Topics) -> Result<Vec<Endpoint>, ClientError> {
    let mut last = ClientError::Closed;
    for broker in brokers {
        match ask_leaders(broker, topics).await {
            Ok(leaders) => return Ok(leaders),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn ask_leaders(broker: &Endpoint, topics: &Topics) -> Result<Vec<Endpoint>, ClientError> {
    let mut connection = Connection::open(broker).await?;
    let names: Vec<&str> = topics.layout.names().collect();
    let answer = describe(&mut connection, &topics.versions, &names).await?;
    let found = leaders(&answer, &described(&answer, &names)?, None, broker.request_timeout).await?;
    let known = |leaders| own_partitions(&topics.layout, leaders);
    found.and_then(known).ok_or_else(|| ClientError::refused("Metadata", ErrorCode::LEADER_NOT_AVAILABLE))
}

/// Without partitions that were added since, which have no part in the run; `None` where some are missing.
fn own_partitions(layout: &Layout, leaders: Vec<Vec<Endpoint>>) -> Option<Vec<Endpoint>> {
    let mut own = Vec::with_capacity(layout.partitions());
    for ((_, partitions), leaders) in layout.topics().zip(leaders) {
        own.extend_from_slice(leaders.get(..partitions.len())?);
    }
    Some(own)
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

/// The leaders of these topics' partitions; `None` while a partition has no leader yet.
async fn leaders(
    answer: &MetadataResponse,
    topics: &[&MetadataResponseTopic],
    partitions: Option<i32>,
    request_timeout: Duration,
) -> Result<Option<Vec<Vec<Endpoint>>>, ClientError> {
    let mut ids = Vec::new();
    for topic in topics {
        let Some(own) = leader_ids(topic)? else { return Ok(None) };
        check_count(topic, own.len(), partitions)?;
        ids.push(own);
    }
    let mut endpoints = BTreeMap::new();
    for broker in &answer.brokers {
        let port = u16::try_from(broker.port).unwrap_or(0);
        endpoints.insert(broker.node_id, Endpoint::resolve(&broker.host, port, request_timeout).await?);
    }
    let known = |ids: &Vec<i32>| ids.iter().map(|leader| endpoints.get(leader).cloned()).collect();
    Ok(ids.iter().map(known).collect())
}

/// The broker that leads each partition; `None` while one has none.
fn leader_ids(topic: &MetadataResponseTopic) -> Result<Option<Vec<i32>>, ClientError> {
    let code = ErrorCode(topic.error_code);
    if code.is_err() && !code.is_retriable() {
        return Err(ClientError::refused("Metadata", code));
    }
    let mut leaders: Vec<_> = topic.partitions.iter().map(|p| (p.partition_index, p.leader_id)).collect();
    leaders.sort_unstable();
    if code.is_err() || leaders.is_empty() || leaders.iter().any(|(_, leader)| *leader < 0) {
        return Ok(None);
    }
    Ok(Some(leaders.into_iter().map(|(_, leader)| leader).collect()))
}

/// Names the first topic that is waited for; all of them have leaders where one of the leaders is unknown.
fn leaderless(topics: &[&MetadataResponseTopic]) -> ClientError {
    let waiting = topics.iter().find(|topic| matches!(leader_ids(topic), Ok(None)));
    let name = waiting.or(topics.first()).and_then(|topic| topic.name.as_deref()).unwrap_or_default();
    ClientError::Topic(format!("topic {name} has partitions without a leader"))
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

/// Offsets of these partitions, all led by one broker, in their order. `timestamp` is [`LATEST`] or [`EARLIEST`].
pub async fn list_offsets(
    connection: &mut Connection,
    topics: &Topics,
    partitions: &[i32],
    timestamp: i64,
) -> Result<Vec<i64>, ClientError> {
    let request = list_offsets_request(&topics.layout, partitions, timestamp);
    let answer = connection.call(topics.versions.list_offsets, &request).await?;
    listed_offsets(&answer, &topics.layout, partitions)
}

/// What such an answer says of these partitions, in their order.
pub fn listed_offsets(
    answer: &ListOffsetsResponse,
    layout: &Layout,
    partitions: &[i32],
) -> Result<Vec<i64>, ClientError> {
    let mut found = BTreeMap::new();
    for topic in &answer.topics {
        for partition in &topic.partitions {
            found.insert(layout.find(&topic.name, partition.partition_index), partition);
        }
    }
    let offset = |partition: &i32| {
        let answered = found.get(&Some(*partition));
        let answered = answered.ok_or_else(|| ClientError::Missing(layout.title(*partition)))?;
        refuse(answered.error_code, "ListOffsets")?;
        Ok(answered.offset)
    };
    partitions.iter().map(offset).collect()
}

pub fn list_offsets_request(layout: &Layout, partitions: &[i32], timestamp: i64) -> ListOffsetsRequest {
    let partition = |partition: &i32| ListOffsetsPartition {
        partition_index: layout.index(*partition),
        timestamp,
        ..ListOffsetsPartition::default()
    };
    let mut sorted = partitions.to_vec();
    sorted.sort_by_key(|partition| layout.place(*partition).topic);
    let topic = |(name, own): (&str, &[i32])| ListOffsetsTopic {
        name: Str::from(name),
        partitions: own.iter().map(partition).collect(),
    };
    let topics = layout.stretches(&sorted, |partition| *partition).map(topic).collect();
    ListOffsetsRequest { replica_id: -1, topics, ..ListOffsetsRequest::default() }
}

fn refuse(code: i16, what: &str) -> Result<(), ClientError> {
    let code = ErrorCode(code);
    if code.is_ok() { Ok(()) } else { Err(ClientError::refused(what, code)) }
}
