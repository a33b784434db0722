//! The request path without sockets: a frame in, a response out, on one shard of a whole broker with its log on disk.
//! Decoding, validation with its checksum, the append, and encoding are in it; the page cache takes the records, so
//! that the figure is of the path rather than of the disk. The figure is of requests, and of bytes for full batches.
//!
//! The directory is made under `KRING_BENCH_DIR`, or the system's directory for temporary files.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use kring_benches::{TempDir, batch, client_id, on_shard, parent, produce_request};
use kring_broker::api::{ApiState, Client, Request, Response, start};
use kring_broker::config::{BrokerConfig, Flags};
use kring_broker::controller::Placement;
use kring_broker::shard::{
    Identity, Mesh, MetadataLog, RunningController, Shard, ShardParts, random_id, start_controller,
};
use kring_runtime::{Queue, now, spawn, yield_if_needed};
use kring_storage::{LogDir, MetaProperties, ShardConfig, ShardStorage};
use kring_wire::messages::api_versions_request::ApiVersionsRequest;
use kring_wire::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kring_wire::messages::create_topics_response::CreateTopicsResponse;
use kring_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kring_wire::messages::metadata_request::MetadataRequest;
use kring_wire::record::Codec;
use kring_wire::{ApiMessage, Reader, Str, Uuid, decode_response_header, encode_request};

const PRODUCE: i16 = 13;
const FETCH: i16 = 17;
const METADATA: i16 = 12;
const API_VERSIONS: i16 = 4;
const CREATE_TOPICS: i16 = 7;

/// A broker of one shard that nobody can connect to.
struct Broker {
    client: Rc<Client>,
    controller: RunningController,
    topic: Uuid,
}

impl Broker {
    async fn boot(path: PathBuf) -> Broker {
        let config = Arc::new(config());
        let (mesh, mut inboxes) = Mesh::new(1);
        let opened = LogDir::open(&path).await.expect("the directory is fresh");
        let (dir, id) = (opened.dir, random_id());
        let meta = MetaProperties { cluster_id: "bench".to_owned(), node_id: 1, directory_id: id };
        dir.write_meta(&meta).await.expect("the directory is writable");
        let storage = ShardStorage::new(ShardConfig::default());
        let (log, image) = MetadataLog::open(&storage, &dir).await.expect("a fresh log opens");
        let parts = ShardParts {
            mesh,
            config,
            storage,
            log_dirs: vec![dir],
            located: Default::default(),
            cluster_id: Str::from_static("bench"),
        };
        let shard = Shard::new(parts);
        spawn(Queue::Net, shard.clone().run(inboxes.remove(0))).detach();
        let failed = Box::new(|why| panic!("the metadata log failed: {why}"));
        let controller = start_controller(&shard, log, image, identity(id), failed).await.expect("it starts");
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let client = Client::new(ApiState::new(shard), "PLAINTEXT".to_owned(), peer);
        let topic = create_topic(&client).await;
        Broker { client, controller, topic }
    }

    async fn close(self) {
        self.client.shard.close().await;
        self.controller.close().await;
    }
}

fn config() -> BrokerConfig {
    let all = i64::MAX.to_string();
    let options = [("log.flush.interval.messages".to_owned(), all), ("node.id".to_owned(), "1".to_owned())];
    BrokerConfig::from_sources(None, &options, &Flags::default()).expect("good options").0
}

fn identity(dir: Uuid) -> Identity {
    Identity {
        rack: None,
        incarnation_id: random_id(),
        log_dirs: vec![dir],
        endpoints: Vec::new(),
        after_unclean_stop: false,
        placement: Placement::default(),
    }
}

async fn create_topic(client: &Rc<Client>) -> Uuid {
    let topic = CreatableTopic {
        name: Str::from_static("bench"),
        num_partitions: 1,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
    let response = ask(client, frame(CREATE_TOPICS, &request)).await;
    let answer: CreateTopicsResponse = read(response, CREATE_TOPICS);
    assert_eq!(answer.topics[0].error_code, 0, "{answer:?}");
    answer.topics[0].topic_id
}

/// A request as it lies in the connection's buffer, without its length.
fn frame<M: ApiMessage>(version: i16, request: &M) -> Bytes {
    let frame = encode_request(version, 1, client_id(), request).expect("it fits");
    frame.into_bytes().expect("made of memory").slice(4..)
}

async fn ask(client: &Rc<Client>, frame: Bytes) -> Response {
    let request = Request::parse(frame).expect("it was encoded here");
    let pending = start(client, request).await.expect("it is offered");
    pending.await.expect("it is good")
}

fn read<M: ApiMessage>(response: Response, version: i16) -> M {
    let mut reader = Reader::with_default_budget(memory(response).slice(4..));
    decode_response_header(&mut reader, M::API_KEY, version).expect("it was encoded here");
    M::decode(&mut reader, version).expect("it was encoded here")
}

/// The bytes of a response that has no parts of files.
fn memory(response: Response) -> Bytes {
    let Response::Send(outgoing) = response else { panic!("no answer") };
    let part = |part| match part {
        kring_broker::api::Part::Memory(bytes) => bytes,
        kring_broker::api::Part::File(range) => panic!("the tail is in memory: {range:?}"),
    };
    outgoing.parts.into_iter().map(part).collect::<Vec<_>>().concat().into()
}

/// What is asked again and again.
#[derive(Clone, Copy)]
enum Ask {
    ApiVersions,
    Metadata,
    /// Records of a batch, bytes of a record.
    Produce(usize, usize),
    /// The same batch, from the tail.
    Fetch(usize, usize),
}

impl Ask {
    /// The frame, and for a Fetch what must be there before it.
    async fn prepare(self, broker: &Broker) -> Bytes {
        match self {
            Ask::ApiVersions => frame(API_VERSIONS, &versions_request()),
            Ask::Metadata => frame(METADATA, &MetadataRequest::default()),
            Ask::Produce(records, bytes) => produce(broker.topic, records, bytes),
            Ask::Fetch(records, bytes) => {
                memory(ask(&broker.client, produce(broker.topic, records, bytes)).await);
                frame(FETCH, &fetch_request(broker.topic))
            }
        }
    }

    fn throughput(self) -> Throughput {
        match self {
            Ask::Produce(records, bytes) | Ask::Fetch(records, bytes) if records > 1 => {
                Throughput::Bytes(batch(Codec::None, records, bytes).len() as u64)
            }
            _ => Throughput::Elements(1),
        }
    }
}

fn versions_request() -> ApiVersionsRequest {
    ApiVersionsRequest {
        client_software_name: Str::from_static("bench"),
        client_software_version: Str::from_static("1"),
    }
}

fn produce(topic: Uuid, records: usize, record_bytes: usize) -> Bytes {
    let mut request = produce_request(1, &batch(Codec::None, records, record_bytes));
    request.topic_data[0].topic_id = topic;
    frame(PRODUCE, &request)
}

/// Without a session, as each Fetch of a consumer costs at least.
fn fetch_request(topic_id: Uuid) -> FetchRequest {
    let partition = FetchPartition { partition_max_bytes: 8 << 20, ..FetchPartition::default() };
    let topic = FetchTopic { topic_id, partitions: vec![partition], ..FetchTopic::default() };
    FetchRequest { max_bytes: 8 << 20, topics: vec![topic], session_epoch: -1, ..FetchRequest::default() }
}

/// Time for so many requests, one after another.
fn answer(what: Ask, requests: u64) -> Duration {
    let dir = TempDir::new(&parent());
    let path = dir.path().to_owned();
    on_shard(move || {
        let path = path.clone();
        async move {
            let broker = Broker::boot(path).await;
            let frame = what.prepare(&broker).await;
            let began = now();
            for _ in 0..requests {
                assert!(matches!(ask(&broker.client, frame.clone()).await, Response::Send(_)));
                yield_if_needed().await;
            }
            let took = began.elapsed();
            broker.close().await;
            took
        }
    })
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    group
}

fn requests(criterion: &mut Criterion) {
    let mut group = group(criterion, "request path");
    for (name, what) in [
        ("ApiVersions", Ask::ApiVersions),
        ("Metadata of one topic", Ask::Metadata),
        ("produce 1 record of 100 B", Ask::Produce(1, 100)),
        ("produce 1 MiB", Ask::Produce(1000, 1024)),
        ("fetch 1 record of 100 B from the tail", Ask::Fetch(1, 100)),
        ("fetch 1 MiB from the tail", Ask::Fetch(1000, 1024)),
    ] {
        group.throughput(what.throughput());
        group.bench_function(name, |b| b.iter_custom(|requests| answer(what, requests)));
    }
    group.finish();
}

criterion_group!(benches, requests);
criterion_main!(benches);
