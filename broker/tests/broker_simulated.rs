//! A whole broker on the simulated machine: its shards, disk and network, with a client on a shard of its own.
//! `KRING_SEED=n` repeats one schedule.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use kring_broker::boot::{self, BootError, Plan, Stages};
use kring_broker::config::{BrokerConfig, Flags};
use kring_runtime::net::{ReadHalf, WriteHalf, connect};
use kring_runtime::sim::{DiskFaults, RunEnd, Sim, SimConfig, crash, disk, request_shutdown};
use kring_runtime::{ShardId, now, sleep, wall_ms};
use kring_wire::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kring_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kring_wire::messages::find_coordinator_request::FindCoordinatorRequest;
use kring_wire::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kring_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kring_wire::messages::produce_response::PartitionProduceResponse;
use kring_wire::record::{BatchBuilder, Compression, split_batches};
use kring_wire::{Reader, Records, Request, decode_response_header, encode_request};

const SHARDS: usize = 2;
const PARTITIONS: i32 = 3;
const REQUEST_TIMED_OUT: i16 = 7;
const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
const COORDINATOR_NOT_AVAILABLE: i16 = 15;
const NOT_COORDINATOR: i16 = 16;

/// Runs a broker, and `work` on one more shard. It ends when the work ends it, or crashes.
fn boot<F>(sim: &Sim, work: impl Fn() -> F) -> RunEnd<Result<(), BootError>>
where
    F: Future<Output = ()> + 'static,
{
    let stages = boot::stages(plan(), SHARDS);
    let life = |shard: ShardId| {
        let stages: Arc<Stages> = stages.clone();
        let work = (shard.index() == SHARDS).then(&work);
        async move {
            match work {
                None => boot::run_shard(stages, shard).await,
                Some(work) => {
                    work.await;
                    Ok(())
                }
            }
        }
    };
    sim.run(life).unwrap_or_else(|error| panic!("{error}"))
}

fn plan() -> Plan {
    let flags = Flags { data_dir: Some("/data".into()), listen: None, shards: Some(SHARDS) };
    let (config, _) = BrokerConfig::from_sources(None, &[], &flags).expect("good flags");
    Plan { config, ready_file: None, cpus: vec![0], greet: None }
}

/// One connection that waits for each answer.
struct Client {
    reader: ReadHalf,
    writer: WriteHalf,
    next_id: i32,
}

impl Client {
    /// As soon as the broker listens.
    async fn connect() -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 9092));
        loop {
            if let Ok(stream) = connect(address).await {
                let (reader, writer) = stream.into_split();
                return Self { reader, writer, next_id: 1 };
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    async fn ask<M: Request>(&mut self, version: i16, body: &M) -> M::Response {
        let id = self.next_id;
        self.next_id += 1;
        let frame = encode_request(version, id, Some("test".into()), body).expect("an encodable request");
        self.writer.write_all(vec![frame.into_bytes().expect("memory")]).await.expect("the request leaves");
        let mut reader = Reader::with_default_budget(self.frame().await.freeze());
        let answered = decode_response_header(&mut reader, <M as kring_wire::ApiMessage>::API_KEY, version);
        assert_eq!(answered.expect("a response header"), id);
        <M::Response as kring_wire::Message>::decode(&mut reader, version).expect("a response body")
    }

    async fn frame(&mut self) -> BytesMut {
        let mut bytes = BytesMut::new();
        loop {
            if bytes.len() >= 4 {
                let length = (&bytes[..4]).get_i32() as usize;
                if bytes.len() >= 4 + length {
                    return bytes.split_off(4);
                }
            }
            assert_ne!(self.reader.read(&mut bytes).await.expect("bytes"), 0, "the broker closed");
        }
    }

    async fn create(&mut self, name: &str) {
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: PARTITIONS,
            replication_factor: -1,
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
        assert_eq!(self.ask(7, &request).await.topics[0].error_code, 0);
    }

    async fn produce(&mut self, topic: &str, partition: i32, value: &str) -> PartitionProduceResponse {
        let mut batch = BatchBuilder::new(Compression::NONE);
        batch.append(wall_ms(), None, Some(value.as_bytes())).expect("a small batch");
        let records = Some(Records::Bytes(batch.build().expect("a batch").to_bytes()));
        let partition_data = vec![PartitionProduceData { index: partition, records }];
        let topic = TopicProduceData { name: topic.into(), partition_data, ..Default::default() };
        let request =
            ProduceRequest { acks: -1, timeout_ms: 3000, topic_data: vec![topic], ..Default::default() };
        self.ask(9, &request).await.responses[0].partition_responses[0].clone()
    }

    /// Commits as an administrator does, whom no group knows; tries again while the coordinator is on its way.
    async fn commit(&mut self, topic: &str, offset: i64) -> i16 {
        let partition = OffsetCommitRequestPartition { committed_offset: offset, ..Default::default() };
        let topic = OffsetCommitRequestTopic {
            name: topic.into(),
            partitions: vec![partition],
            ..Default::default()
        };
        let request = OffsetCommitRequest {
            group_id: "group".into(),
            generation_id_or_member_epoch: -1,
            topics: vec![topic],
            ..Default::default()
        };
        loop {
            let answer = self.ask(8, &request).await;
            match answer.topics[0].partitions[0].error_code {
                COORDINATOR_LOAD_IN_PROGRESS | NOT_COORDINATOR => sleep(Duration::from_millis(10)).await,
                code => return code,
            }
        }
    }

    async fn fetch(&mut self, topic: &str, partition: i32) -> Vec<String> {
        let partition = FetchPartition { partition, partition_max_bytes: 1 << 20, ..Default::default() };
        let topic = FetchTopic { topic: topic.into(), partitions: vec![partition], ..Default::default() };
        let request = FetchRequest { max_bytes: 1 << 20, topics: vec![topic], ..Default::default() };
        let answer = self.ask(11, &request).await;
        let data = &answer.responses[0].partitions[0];
        assert_eq!(data.error_code, 0);
        values(data.records.as_ref().and_then(Records::as_bytes).cloned().unwrap_or_default())
    }
}

fn values(bytes: bytes::Bytes) -> Vec<String> {
    let mut found = Vec::new();
    for batch in split_batches(&bytes).map_while(Result::ok) {
        for record in batch.records(1 << 20).expect("readable records") {
            let value = record.expect("a readable record").value.unwrap_or_default();
            found.push(String::from_utf8(value.to_vec()).expect("text"));
        }
    }
    found
}

fn value(boot: i32, partition: i32) -> String {
    format!("boot {boot}, partition {partition}")
}

async fn write_and_crash(boot: i32) {
    let mut client = Client::connect().await;
    if boot == 0 {
        client.create("kept").await;
    }
    for partition in 0..PARTITIONS {
        let expected: Vec<String> = (0..boot).map(|earlier| value(earlier, partition)).collect();
        assert_eq!(client.fetch("kept", partition).await, expected, "after {boot} crashes");
        let produced = client.produce("kept", partition, &value(boot, partition)).await;
        assert_eq!((produced.error_code, produced.base_offset), (0, i64::from(boot)));
    }
    crash().await
}

#[test]
fn what_a_whole_broker_acknowledged_is_there_after_every_crash() {
    for seed in 0..20 {
        let sim = Sim::new(SimConfig::new(seed, SHARDS + 1).with_seed_from_env());
        for crashes in 0..3 {
            assert!(
                matches!(boot(&sim, || write_and_crash(crashes)), RunEnd::Crashed),
                "seed {}",
                sim.seed()
            );
        }
        let read = || async {
            let mut client = Client::connect().await;
            for partition in 0..PARTITIONS {
                let expected: Vec<String> = (0..3).map(|boot| value(boot, partition)).collect();
                assert_eq!(client.fetch("kept", partition).await, expected);
            }
            request_shutdown();
        };
        for result in boot(&sim, read).finished() {
            result.unwrap_or_else(|error| panic!("seed {}: {error}", sim.seed()));
        }
    }
}

/// As Kafka's `offsets.commit.timeout.ms` has it.
#[test]
fn an_offset_that_is_not_safe_in_time_is_answered_so_that_the_client_tries_again() {
    let sim = Sim::new(SimConfig::new(7, SHARDS + 1).with_seed_from_env());
    let work = || async {
        let mut client = Client::connect().await;
        client.create("late").await;
        client.ask(3, &FindCoordinatorRequest { key: "group".into(), ..Default::default() }).await;
        assert_eq!(client.commit("late", 1).await, 0);
        disk().set_faults(DiskFaults {
            paths: "__consumer_offsets".into(),
            slow: 1000,
            slow_by: Duration::from_secs(3600),
            ..DiskFaults::default()
        });
        let asked = now();
        assert_eq!(client.commit("late", 2).await, COORDINATOR_NOT_AVAILABLE);
        assert!((5..6).contains(&asked.elapsed().as_secs()), "{:?}", asked.elapsed());
        disk().heal();
        while client.commit("late", 3).await != 0 {
            sleep(Duration::from_secs(60)).await;
        }
        request_shutdown();
    };
    for result in boot(&sim, work).finished() {
        result.expect("a clean end");
    }
}

/// Kafka answers so when replicas do not follow in time; here it is the disk that must.
#[test]
fn a_batch_that_is_not_safe_in_the_clients_time_is_answered_with_its_place_and_a_timeout() {
    let sim = Sim::new(SimConfig::new(7, SHARDS + 1).with_seed_from_env());
    let work = || async {
        let mut client = Client::connect().await;
        client.create("late").await;
        assert_eq!(client.produce("late", 0, "fast").await.error_code, 0);
        disk().set_faults(DiskFaults {
            paths: "late-0".into(),
            slow: 1000,
            slow_by: Duration::from_secs(3600),
            ..DiskFaults::default()
        });
        let late = client.produce("late", 0, "slow").await;
        assert_eq!((late.error_code, late.base_offset), (REQUEST_TIMED_OUT, 1));
        assert_eq!(client.fetch("late", 0).await, ["fast"], "nobody reads what is not safe");
        assert_eq!(client.produce("late", 1, "other").await.error_code, 0);
        disk().heal();
        while client.fetch("late", 0).await.len() < 2 {
            sleep(Duration::from_secs(60)).await;
        }
        assert_eq!(client.fetch("late", 0).await, ["fast", "slow"], "it was appended nevertheless");
        request_shutdown();
    };
    for result in boot(&sim, work).finished() {
        result.expect("a clean end");
    }
}
