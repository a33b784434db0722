//! What Apache Kafka 4.3.1 answered to the same Produce and ListOffsets requests where it refuses them.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test process is outside the simulation"
)]

mod kit;

use bytes::{Bytes, BytesMut};
use kit::{Broker, Client, TempDir, batch, produce_bytes, produce_request};
use kring_wire::Records;
use kring_wire::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use kring_wire::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use kring_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kring_wire::messages::produce_response::{PartitionProduceResponse, ProduceResponse};
use kring_wire::record::batch_crc;

const CORRUPT_MESSAGE: i16 = 2;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const INVALID_REQUIRED_ACKS: i16 = 21;
const INVALID_REQUEST: i16 = 42;
const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;
const INVALID_PRODUCER_ID_MAPPING: i16 = 49;
const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: i16 = 53;
const FENCED_LEADER_EPOCH: i16 = 74;
const INVALID_RECORD: i16 = 87;

/// Where in a batch its CRC stands; it is of all that follows.
const CRC: std::ops::Range<usize> = 17..21;
const RECORD_COUNT: usize = 57;

/// A topic "t" of two partitions; the log of its first starts at 3.
fn scene(name: &str) -> (TempDir, Broker, Client) {
    let dir = TempDir::new(name);
    let broker = Broker::start(&dir.0, &["--shards", "2"]);
    let mut client = broker.connect();
    client.create_topic("t", 2);
    assert_eq!(client.produce("t", 0, &["a", "b", "c", "d", "e"]).error_code, 0);
    let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset: 3 }];
    let topics = vec![DeleteRecordsTopic { name: "t".into(), partitions }];
    let deleted = client.ask(2, &DeleteRecordsRequest { topics, timeout_ms: 10_000 });
    assert_eq!(deleted.topics[0].partitions[0].low_watermark, 3);
    (dir, broker, client)
}

/// A batch of two records of an idempotent producer.
fn idempotent(sequence: i32) -> Bytes {
    batch(&["x", "y"]).producer(1000, 0, sequence).build().expect("a batch").to_bytes()
}

/// The same bytes, changed and with a CRC that fits.
fn changed(records: &Bytes, change: impl Fn(&mut [u8])) -> Bytes {
    let mut bytes = BytesMut::from(&records[..]);
    change(&mut bytes);
    let crc = batch_crc(&bytes).expect("a batch");
    bytes[CRC].copy_from_slice(&crc.to_be_bytes());
    bytes.freeze()
}

fn transactional() -> Bytes {
    batch(&["x", "y"]).producer(1000, 0, 0).transactional().build().expect("a batch").to_bytes()
}

fn told(answer: &ProduceResponse) -> Vec<(i16, i64, i64)> {
    let all = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
    all.map(|told| (told.error_code, told.base_offset, told.log_start_offset)).collect()
}

fn produce(client: &mut Client, partition: i32, records: Bytes) -> PartitionProduceResponse {
    let answer: ProduceResponse = client.ask(9, &produce_bytes("t", partition, records));
    answer.responses[0].partition_responses[0].clone()
}

#[test]
fn what_the_log_refuses_is_told_with_where_the_log_starts() {
    let (_dir, _broker, mut client) = scene("log-start");
    let fits_not = changed(&idempotent(0), |bytes| bytes[RECORD_COUNT + 3] = 7);
    let corrupt: Bytes = {
        let mut bytes = BytesMut::from(&idempotent(0)[..]);
        bytes[CRC.end + 20] ^= 1;
        bytes.freeze()
    };
    let two: Bytes = [idempotent(0), idempotent(2)].concat().into();
    assert_eq!(produce(&mut client, 0, idempotent(0)).error_code, 0);
    for (records, error, log_start_offset) in [
        (idempotent(9), OUT_OF_ORDER_SEQUENCE_NUMBER, 3),
        (fits_not, INVALID_RECORD, 3),
        (corrupt, CORRUPT_MESSAGE, -1),
        (two, INVALID_RECORD, -1),
        (Bytes::new(), INVALID_RECORD, -1),
    ] {
        let told = produce(&mut client, 0, records);
        assert_eq!((told.error_code, told.log_start_offset), (error, log_start_offset));
        assert_eq!((told.base_offset, told.log_append_time_ms), (-1, -1));
    }
    let none = client.produce("t", 7, &["x"]);
    assert_eq!((none.error_code, none.log_start_offset), (UNKNOWN_TOPIC_OR_PARTITION, -1));
}

#[test]
fn a_transaction_needs_a_transactional_id_for_the_whole_request() {
    let (_dir, _broker, mut client) = scene("no-id");
    let mut request = produce_bytes("t", 0, transactional());
    request.topic_data.push(produce_request("nope", 0, &["x"]).topic_data[0].clone());
    let answer: ProduceResponse = client.ask(9, &request);
    assert_eq!(told(&answer), [(TRANSACTIONAL_ID_AUTHORIZATION_FAILED, -1, -1); 2]);
    request.transactional_id = Some("mine".into());
    let answer: ProduceResponse = client.ask(9, &request);
    assert_eq!(
        told(&answer),
        [(INVALID_PRODUCER_ID_MAPPING, -1, -1), (UNKNOWN_TOPIC_OR_PARTITION, -1, -1)],
        "nobody has begun a transaction"
    );
    client.send(9, &ProduceRequest { transactional_id: None, acks: 0, ..request });
    assert!(client.frame().is_none(), "without acks an error is told by closing");
}

#[test]
fn what_does_not_exist_is_told_before_acks_that_do_not() {
    let (_dir, _broker, mut client) = scene("acks");
    let mut request = produce_request("t", 0, &["x"]);
    request.topic_data.push(produce_request("nope", 0, &["x"]).topic_data[0].clone());
    let answer: ProduceResponse = client.ask(9, &ProduceRequest { acks: 5, ..request });
    assert_eq!(told(&answer), [(INVALID_REQUIRED_ACKS, -1, -1), (UNKNOWN_TOPIC_OR_PARTITION, -1, -1)]);
}

/// Kafka keeps the last and answers once: docs/decisions/0012.
#[test]
fn a_partition_named_twice_takes_both_batches() {
    let (_dir, _broker, mut client) = scene("both");
    let data = |records| PartitionProduceData { index: 1, records: Some(Records::Bytes(records)) };
    let partition_data = vec![data(idempotent(0)), data(idempotent(2))];
    let topic = TopicProduceData { name: "t".into(), partition_data, ..TopicProduceData::default() };
    let request = ProduceRequest { topic_data: vec![topic], ..produce_request("t", 1, &["x"]) };
    let answer: ProduceResponse = client.ask(9, &request);
    assert_eq!(told(&answer), [(0, 0, 0), (0, 2, 0)]);
}

fn asking(asked: &[(&str, i32, i32)]) -> ListOffsetsRequest {
    let topic = |(name, partition_index, current_leader_epoch): &(&str, i32, i32)| ListOffsetsTopic {
        name: (*name).into(),
        partitions: vec![ListOffsetsPartition {
            partition_index: *partition_index,
            current_leader_epoch: *current_leader_epoch,
            timestamp: -2,
        }],
    };
    ListOffsetsRequest { replica_id: -1, topics: asked.iter().map(topic).collect(), ..Default::default() }
}

fn listed(client: &mut Client, request: &ListOffsetsRequest) -> Vec<(i32, i16, i64)> {
    let answer = client.ask(7, request);
    let all = answer.topics.iter().flat_map(|topic| &topic.partitions);
    all.map(|listed| (listed.partition_index, listed.error_code, listed.offset)).collect()
}

#[test]
fn offsets_that_are_asked_for_twice_are_refused_once() {
    let (_dir, _broker, mut client) = scene("offsets-twice");
    let request = asking(&[("t", 0, -1), ("t", 1, -1), ("t", 0, -1), ("t", 0, -1)]);
    assert_eq!(listed(&mut client, &request), [(0, INVALID_REQUEST, -1), (1, 0, 0)]);
}

#[test]
fn offsets_are_told_to_replicas_and_refused_to_negative_epochs() {
    let (_dir, _broker, mut client) = scene("offsets-epoch");
    for replica_id in [-2, 0, 1, 7] {
        let request = ListOffsetsRequest { replica_id, ..asking(&[("t", 0, -1)]) };
        assert_eq!(listed(&mut client, &request), [(0, 0, 3)]);
    }
    assert_eq!(listed(&mut client, &asking(&[("t", 0, -2)])), [(0, FENCED_LEADER_EPOCH, -1)]);
}
