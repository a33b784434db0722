//! What the broker's tests share: a real `kring` process of their own, and a plain blocking client of the protocol.
//! Never sleeps to synchronise: it waits for the ready file and for answers, each with a deadline.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test process is outside the simulation"
)]
#![allow(dead_code, reason = "each test binary uses its part")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kring_wire::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kring_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kring_wire::messages::fetch_response::FetchResponse;
use kring_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kring_wire::messages::produce_response::{PartitionProduceResponse, ProduceResponse};
use kring_wire::record::{BatchBuilder, Compression, split_batches};
use kring_wire::{ApiMessage, Reader, Records, Request, decode_response_header, encode_request};

/// Longest wait for anything; reached only when something is broken.
pub const PATIENCE: Duration = Duration::from_secs(30);

static NEXT_DIR: AtomicU32 = AtomicU32::new(0);

/// An own directory, removed when dropped.
pub struct TempDir(pub PathBuf);

impl TempDir {
    pub fn new(name: &str) -> Self {
        let unique =
            format!("kring-{name}-{}-{}", std::process::id(), NEXT_DIR.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(unique);
        fs::create_dir_all(&path).expect("a temporary directory");
        Self(path)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _left_behind = fs::remove_dir_all(&self.0);
    }
}

/// A running broker.
pub struct Broker {
    child: Child,
    pub address: String,
    pub started_in: Duration,
}

impl Broker {
    /// Starts a broker on `dir` and waits until it accepts connections.
    pub fn start(dir: &Path, options: &[&str]) -> Self {
        Self::start_at(dir, "127.0.0.1:0", options)
    }

    /// Starts a broker at an address that it had before.
    pub fn start_at(dir: &Path, address: &str, options: &[&str]) -> Self {
        Self::begin(dir, address, options, Command::new(env!("CARGO_BIN_EXE_kring")))
    }

    /// Starts a broker on `dir` with variables in its environment.
    pub fn start_with(dir: &Path, options: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kring"));
        command.envs(environment.iter().copied());
        Self::begin(dir, "127.0.0.1:0", options, command)
    }

    /// Starts a broker on `dir` that may have this many descriptors open.
    pub fn start_with_files(dir: &Path, files: u32, options: &[&str]) -> Self {
        let mut command = Command::new("/bin/sh");
        let script = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_kring")]);
        Self::begin(dir, "127.0.0.1:0", options, command)
    }

    fn begin(dir: &Path, address: &str, options: &[&str], mut command: Command) -> Self {
        let ready = dir.join("ready");
        let _absent = fs::remove_file(&ready);
        let begun = Instant::now();
        let child = command
            .arg("start")
            .args(["--data-dir", path(&dir.join("data")), "--listen", address, "--ready-file", path(&ready)])
            .args(options)
            .stdout(Stdio::null())
            .stderr(Stdio::from(fs::File::create(dir.join("log")).expect("a log file")))
            .spawn()
            .expect("the broker's binary runs");
        let mut broker = Self { child, address: String::new(), started_in: Duration::ZERO };
        broker.address = broker.wait_for(&ready, dir);
        broker.started_in = begun.elapsed();
        broker
    }

    fn wait_for(&mut self, ready: &Path, dir: &Path) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(text) = fs::read_to_string(ready) {
                let address = text.split_whitespace().nth(1).expect("NAME host:port");
                return address.to_string();
            }
            let ended = self.child.try_wait().expect("the child can be asked");
            let log = || fs::read_to_string(dir.join("log")).unwrap_or_default();
            assert!(ended.is_none(), "the broker ended: {}", log());
            assert!(Instant::now() < deadline, "the broker was not ready in time: {}", log());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub fn connect(&self) -> Client {
        Client::connect(&self.address)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A figure of the kernel about its memory: `VmRSS:` now, `VmHWM:` at its highest.
    pub fn memory_bytes(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a process");
        let line = status.lines().find(|line| line.starts_with(name)).expect("its memory");
        let kib: u64 = line.split_whitespace().nth(1).expect("a figure").parse().expect("a number");
        kib * 1024
    }

    /// As a power cut would, apart from the disk's own cache.
    pub fn kill(mut self) {
        self.child.kill().expect("the broker can be killed");
        self.child.wait().expect("the broker can be reaped");
    }

    /// As an operator would.
    pub fn stop(mut self) -> ExitStatus {
        let stopped = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(stopped.expect("kill runs").success());
        self.child.wait().expect("the broker can be reaped")
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the child can be asked").is_none()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped_already = self.child.wait();
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

/// One connection that waits for each answer.
pub struct Client {
    pub stream: TcpStream,
    next_id: i32,
}

impl Client {
    pub fn connect(address: &str) -> Self {
        Self::try_connect(address).expect("the broker accepts")
    }

    /// The same, or `None` when nobody listens.
    pub fn try_connect(address: &str) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Some(Self { stream, next_id: 1 })
    }

    /// Sends a request without waiting; gives its correlation id.
    pub fn send<M: ApiMessage>(&mut self, version: i16, body: &M) -> i32 {
        self.try_send(version, body).expect("the request leaves")
    }

    /// The same, or `None` when the broker has closed the connection.
    pub fn try_send<M: ApiMessage>(&mut self, version: i16, body: &M) -> Option<i32> {
        let frame = self.encode(version, body);
        self.stream.write_all(&frame).ok().map(|()| self.next_id - 1)
    }

    /// The next request's frame, for a test that sends it in its own way.
    pub fn encode<M: ApiMessage>(&mut self, version: i16, body: &M) -> Bytes {
        let id = self.next_id;
        self.next_id += 1;
        let frame = encode_request(version, id, Some("test".into()), body).expect("an encodable request");
        frame.into_bytes().expect("requests are memory")
    }

    /// Receives the answer to the request with this id.
    pub fn receive<R: ApiMessage>(&mut self, version: i16, id: i32) -> R {
        self.try_receive(version, id).expect("an answer")
    }

    /// The same, or `None` when the broker has closed the connection.
    pub fn try_receive<R: ApiMessage>(&mut self, version: i16, id: i32) -> Option<R> {
        let mut reader = Reader::with_default_budget(self.frame()?);
        let answered = decode_response_header(&mut reader, R::API_KEY, version).expect("a response header");
        assert_eq!(answered, id, "answers come in the order of the requests");
        Some(R::decode(&mut reader, version).expect("a response body"))
    }

    pub fn ask<M: Request>(&mut self, version: i16, body: &M) -> M::Response {
        let id = self.send(version, body);
        self.receive(version, id)
    }

    /// The next frame, or `None` when the broker has closed the connection.
    pub fn frame(&mut self) -> Option<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).ok()?;
        let mut frame = vec![0; i32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut frame).ok()?;
        Some(frame.into())
    }

    pub fn create_topic(&mut self, name: &str, partitions: i32) {
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: -1,
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
        let answer = self.ask(7, &request);
        assert_eq!(answer.topics[0].error_code, 0, "{:?}", answer.topics[0].error_message);
    }

    /// Produces one batch with acks=all.
    pub fn produce(&mut self, topic: &str, partition: i32, values: &[&str]) -> PartitionProduceResponse {
        let answer: ProduceResponse = self.ask(9, &produce_request(topic, partition, values));
        answer.responses[0].partition_responses[0].clone()
    }

    /// Fetches from one partition; the values and the partition's error.
    pub fn fetch(&mut self, topic: &str, partition: i32, offset: i64) -> (Vec<(i64, String)>, i16) {
        let answer: FetchResponse = self.ask(11, &fetch_request(topic, partition, offset));
        let data = &answer.responses[0].partitions[0];
        let bytes = data.records.as_ref().and_then(|r| r.as_bytes()).cloned().unwrap_or_default();
        (values(&bytes, offset), data.error_code)
    }

    /// Fetches until the high watermark that the first answer shows.
    pub fn fetch_all(&mut self, topic: &str, partition: i32) -> Vec<(i64, String)> {
        let mut all: Vec<(i64, String)> = Vec::new();
        loop {
            let next = all.last().map_or(0, |(offset, _)| offset + 1);
            let (more, error) = self.fetch(topic, partition, next);
            assert_eq!(error, 0, "fetch at {next}");
            if more.is_empty() {
                return all;
            }
            all.extend(more);
        }
    }
}

pub fn batch(values: &[&str]) -> BatchBuilder {
    let mut builder = BatchBuilder::new(Compression::NONE);
    for value in values {
        builder.append(now_ms(), None, Some(value.as_bytes())).expect("a small batch");
    }
    builder
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    since.as_millis() as i64
}

pub fn produce_request(topic: &str, partition: i32, values: &[&str]) -> ProduceRequest {
    let records = batch(values).build().expect("a batch").to_bytes();
    produce_bytes(topic, partition, records)
}

pub fn produce_bytes(topic: &str, partition: i32, records: Bytes) -> ProduceRequest {
    let data = PartitionProduceData { index: partition, records: Some(Records::Bytes(records)) };
    let topic =
        TopicProduceData { name: topic.into(), partition_data: vec![data], ..TopicProduceData::default() };
    ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..ProduceRequest::default() }
}

pub fn fetch_request(topic: &str, partition: i32, offset: i64) -> FetchRequest {
    let partition = FetchPartition {
        partition,
        fetch_offset: offset,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    let topic = FetchTopic { topic: topic.into(), partitions: vec![partition], ..FetchTopic::default() };
    FetchRequest {
        max_wait_ms: 0,
        min_bytes: 1,
        max_bytes: 8 << 20,
        topics: vec![topic],
        ..Default::default()
    }
}

fn values(bytes: &Bytes, from: i64) -> Vec<(i64, String)> {
    let mut found = Vec::new();
    for batch in split_batches(bytes).map_while(Result::ok) {
        for record in batch.records(64 << 20).expect("readable records") {
            let record = record.expect("a readable record");
            let value = String::from_utf8(record.value.unwrap_or_default().to_vec()).expect("text");
            found.push((record.offset, value));
        }
    }
    found.retain(|(offset, _)| *offset >= from);
    found
}
