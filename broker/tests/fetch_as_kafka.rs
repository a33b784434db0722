//! What Apache Kafka 4.3.1 answered to the same fetches: which are answered at once, and with which offsets.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test process is outside the simulation"
)]

mod kit;

use std::time::{Duration, Instant};

use kit::{Broker, Client, TempDir, fetch_request};
use kring_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kring_wire::messages::fetch_response::{FetchResponse, PartitionData};
use kring_wire::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kring_wire::messages::offset_for_leader_epoch_response::OffsetForLeaderEpochResponse;

const UNKNOWN_SERVER_ERROR: i16 = -1;
const OFFSET_OUT_OF_RANGE: i16 = 1;
const NOT_LEADER_OR_FOLLOWER: i16 = 6;
const FENCED_LEADER_EPOCH: i16 = 74;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
/// Reached only when a fetch that is to be answered at once is not.
const FOREVER_MS: i32 = 600_000;

/// A topic "t" of two partitions; its first has one batch of about a thousand bytes.
fn scene(name: &str, shards: &str) -> (TempDir, Broker, Client) {
    let dir = TempDir::new(name);
    let broker = Broker::start(&dir.0, &["--shards", shards]);
    let mut client = broker.connect();
    client.create_topic("t", 2);
    assert_eq!(client.produce("t", 0, &[&"x".repeat(1000)]).error_code, 0);
    (dir, broker, client)
}

fn wanting(max_wait_ms: i32, wanted: &[(&str, i32, i64)]) -> FetchRequest {
    let topic = |(topic, partition, fetch_offset): &(&str, i32, i64)| FetchTopic {
        topic: (*topic).into(),
        partitions: vec![FetchPartition {
            partition: *partition,
            fetch_offset: *fetch_offset,
            partition_max_bytes: 1 << 20,
            ..FetchPartition::default()
        }],
        ..FetchTopic::default()
    };
    FetchRequest { max_wait_ms, topics: wanted.iter().map(topic).collect(), ..fetch_request("", 0, 0) }
}

fn partitions(answer: &FetchResponse) -> Vec<&PartitionData> {
    answer.responses.iter().flat_map(|topic| &topic.partitions).collect()
}

fn offsets(data: &PartitionData) -> (i16, i64, i64, i64) {
    (data.error_code, data.high_watermark, data.last_stable_offset, data.log_start_offset)
}

#[test]
fn a_partition_that_nobody_knows_does_not_hurry_the_others() {
    let (_dir, _broker, mut client) = scene("unknown", "2");
    for unknown in [("nope", 0, 0), ("t", 7, 0)] {
        let begun = Instant::now();
        let answer: FetchResponse = client.ask(11, &wanting(300, &[("t", 0, 1), unknown]));
        assert!(begun.elapsed() >= Duration::from_millis(300));
        let all = partitions(&answer);
        assert_eq!(offsets(all[0]), (0, 1, 1, 0));
        assert_eq!(offsets(all[1]), (UNKNOWN_TOPIC_OR_PARTITION, -1, -1, -1));
    }
}

#[test]
fn a_fetch_of_nothing_that_is_known_is_answered_at_once() {
    let (_dir, _broker, mut client) = scene("all-unknown", "2");
    let answer: FetchResponse = client.ask(11, &wanting(FOREVER_MS, &[("nope", 0, 0), ("t", 7, 0)]));
    assert!(partitions(&answer).iter().all(|data| data.error_code == UNKNOWN_TOPIC_OR_PARTITION));
    let answer: FetchResponse = client.ask(11, &wanting(FOREVER_MS, &[]));
    assert!(answer.responses.is_empty());
}

#[test]
fn an_offset_out_of_range_is_told_at_once_and_without_offsets() {
    let (_dir, _broker, mut client) = scene("out-of-range", "2");
    for offset in [99, -5] {
        let answer: FetchResponse = client.ask(11, &wanting(FOREVER_MS, &[("t", 1, 0), ("t", 0, offset)]));
        let all = partitions(&answer);
        assert_eq!(offsets(all[0]), (0, 0, 0, 0));
        assert_eq!(offsets(all[1]), (OFFSET_OUT_OF_RANGE, -1, -1, -1));
    }
}

/// The first batch goes out whole, and counts whole.
#[test]
fn a_first_batch_above_its_partitions_limit_counts_for_the_minimum() {
    let (_dir, _broker, mut client) = scene("min-bytes", "1");
    let mut request = wanting(FOREVER_MS, &[("t", 0, 0)]);
    request.min_bytes = 500;
    request.topics[0].partitions[0].partition_max_bytes = 100;
    let answer: FetchResponse = client.ask(11, &request);
    let records = partitions(&answer)[0].records.as_ref().and_then(|records| records.as_bytes());
    assert!(records.is_some_and(|bytes| bytes.len() > 1000));
    request.min_bytes = 1500;
    request.max_wait_ms = 300;
    let begun = Instant::now();
    let _answer: FetchResponse = client.ask(11, &request);
    assert!(begun.elapsed() >= Duration::from_millis(300), "and no more than it has");
}

/// Partitions of several shards, each of which could let a batch of its own pass.
#[test]
fn only_the_first_batch_of_a_response_is_above_its_partitions_limit() {
    let (_dir, _broker, mut client) = scene("first-batch", "2");
    client.create_topic("wide", 6);
    for partition in 0..6 {
        assert_eq!(client.produce("wide", partition, &[&"x".repeat(1000)]).error_code, 0);
    }
    let wanted: Vec<(&str, i32, i64)> = (0..6).map(|partition| ("wide", partition, 0)).collect();
    let mut request = wanting(FOREVER_MS, &wanted);
    for topic in &mut request.topics {
        topic.partitions[0].partition_max_bytes = 10;
    }
    let answer: FetchResponse = client.ask(11, &request);
    let with_records =
        |data: &PartitionData| data.records.as_ref().is_some_and(|records| !records.is_empty());
    let sent: Vec<bool> = partitions(&answer).into_iter().map(with_records).collect();
    assert_eq!(sent, [true, false, false, false, false, false]);
}

#[test]
fn a_reader_of_an_epoch_that_never_was_is_out_of_range() {
    let (_dir, _broker, mut client) = scene("no-epoch", "1");
    let mut request = wanting(FOREVER_MS, &[("t", 0, 0)]);
    for (last_fetched_epoch, error) in [(0, 0), (5, OFFSET_OUT_OF_RANGE)] {
        request.topics[0].partitions[0].last_fetched_epoch = last_fetched_epoch;
        let answer: FetchResponse = client.ask(12, &request);
        assert_eq!(partitions(&answer)[0].error_code, error, "epoch {last_fetched_epoch}");
    }
}

fn record_bytes(data: &PartitionData) -> usize {
    data.records.as_ref().and_then(|records| records.as_bytes()).map_or(0, |bytes| bytes.len())
}

/// Kafka gives the second partition what the first has left. A shard knows nothing of what the others find.
#[test]
fn a_partition_of_another_shard_gets_what_the_first_has_left() {
    let (dir, broker, mut client) = scene("left", "2");
    client.create_topic("wide", 6);
    for partition in (0..6).chain((1..6).cycle().take(15)) {
        assert_eq!(client.produce("wide", partition, &[&"x".repeat(1000)]).error_code, 0);
    }
    others_get_what_the_first_has_left(&mut client);
    assert!(broker.stop().success());
    let broker = Broker::start(&dir.0, &["--shards", "2"]);
    others_get_what_the_first_has_left(&mut broker.connect());
}

/// From memory, or from files after a new start.
fn others_get_what_the_first_has_left(client: &mut Client) {
    for second in 1..6 {
        let wanted = [("wide", 0, 0), ("wide", second, 0)];
        let request = FetchRequest { max_bytes: 5000, ..wanting(FOREVER_MS, &wanted) };
        let answer: FetchResponse = client.ask(11, &request);
        let all = partitions(&answer);
        let (first, second) = (record_bytes(all[0]), record_bytes(all[1]));
        assert!((1001..1100).contains(&first), "one batch: {first}");
        assert!((3 * first..=5000 - first).contains(&second), "three batches of four: {second}");
    }
}

/// A first batch above what is left goes to nobody but the first, and takes nothing from those after it.
#[test]
fn a_large_batch_that_must_wait_holds_up_nobody_behind_it() {
    let (_dir, _broker, mut client) = scene("large", "2");
    client.create_topic("wide", 6);
    for partition in 0..6 {
        let size = if partition == 1 { 9000 } else { 1000 };
        assert_eq!(client.produce("wide", partition, &[&"x".repeat(size)]).error_code, 0);
    }
    let wanted: Vec<(&str, i32, i64)> = (0..6).map(|partition| ("wide", partition, 0)).collect();
    let answer: FetchResponse =
        client.ask(11, &FetchRequest { max_bytes: 7000, ..wanting(FOREVER_MS, &wanted) });
    let sent: Vec<bool> = partitions(&answer).into_iter().map(|data| record_bytes(data) > 0).collect();
    assert_eq!(sent, [true, false, true, true, true, true]);
}

#[test]
fn nothing_is_read_by_a_negative_limit() {
    let (_dir, _broker, mut client) = scene("negative", "2");
    assert_eq!(client.produce("t", 1, &["one"]).error_code, 0);
    let both = [("t", 0, 0), ("t", 1, 0)];
    let answer: FetchResponse = client.ask(11, &FetchRequest { max_bytes: -1, ..wanting(FOREVER_MS, &both) });
    let all = partitions(&answer);
    assert_eq!(offsets(all[0]), (UNKNOWN_SERVER_ERROR, -1, -1, -1));
    assert!(all[1].error_code == 0 && record_bytes(all[1]) > 0, "the limit is the first one's");
    let mut request = wanting(FOREVER_MS, &both);
    request.topics[1].partitions[0].partition_max_bytes = -1;
    let answer: FetchResponse = client.ask(11, &request);
    let all = partitions(&answer);
    assert!(all[0].error_code == 0 && record_bytes(all[0]) > 0);
    assert_eq!(offsets(all[1]), (UNKNOWN_SERVER_ERROR, -1, -1, -1));
    request = wanting(0, &[("t", 1, 1)]);
    request.topics[0].partitions[0].partition_max_bytes = -1;
    let answer: FetchResponse = client.ask(11, &request);
    assert_eq!(offsets(partitions(&answer)[0]), (0, 1, 1, 0), "there is nothing to read");
}

#[test]
fn who_asks_as_a_replica_is_told_at_once_that_it_has_none() {
    let (_dir, _broker, mut client) = scene("replica", "2");
    for replica_id in [0, 1, 7] {
        let request = FetchRequest { replica_id, ..wanting(FOREVER_MS, &[("t", 0, 1), ("nope", 0, 0)]) };
        let answer: FetchResponse = client.ask(12, &request);
        let all = partitions(&answer);
        assert_eq!(offsets(all[0]), (NOT_LEADER_OR_FOLLOWER, -1, -1, -1));
        assert_eq!(offsets(all[1]), (UNKNOWN_TOPIC_OR_PARTITION, -1, -1, -1));
    }
    let request = FetchRequest { replica_id: -2, ..wanting(0, &[("t", 0, 1)]) };
    let answer: FetchResponse = client.ask(12, &request);
    assert_eq!(partitions(&answer)[0].error_code, 0, "a consumer for debugging");
}

#[test]
fn what_is_said_last_of_a_partition_holds_and_is_answered_once() {
    let (_dir, _broker, mut client) = scene("twice", "2");
    let answer: FetchResponse = client.ask(11, &wanting(0, &[("t", 0, 0), ("t", 1, 0), ("t", 0, 1)]));
    let told: Vec<_> =
        partitions(&answer).into_iter().map(|d| (d.partition_index, record_bytes(d))).collect();
    assert_eq!(told, [(0, 0), (1, 0)]);
}

#[test]
fn any_negative_epoch_of_a_fetch_is_none_and_of_a_question_for_epochs_is_long_gone() {
    let (_dir, _broker, mut client) = scene("negative-epoch", "1");
    for (epoch, error) in [(-1, 0), (-2, FENCED_LEADER_EPOCH), (i32::MIN, FENCED_LEADER_EPOCH)] {
        let mut request = wanting(FOREVER_MS, &[("t", 0, 0)]);
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        let answer: FetchResponse = client.ask(11, &request);
        assert_eq!(partitions(&answer)[0].error_code, 0, "epoch {epoch}");
        assert_eq!(epoch_end_for(&mut client, 0, 0, epoch).0, error, "epoch {epoch}");
    }
}

fn epoch_end(client: &mut Client, partition: i32, leader_epoch: i32) -> (i16, i32, i64) {
    epoch_end_for(client, partition, leader_epoch, -1)
}

fn epoch_end_for(
    client: &mut Client,
    partition: i32,
    leader_epoch: i32,
    current_leader_epoch: i32,
) -> (i16, i32, i64) {
    let partitions = vec![OffsetForLeaderPartition { partition, leader_epoch, current_leader_epoch }];
    let topics = vec![OffsetForLeaderTopic { topic: "t".into(), partitions }];
    let request = OffsetForLeaderEpochRequest { topics, ..Default::default() };
    let answer: OffsetForLeaderEpochResponse = client.ask(4, &request);
    let end = &answer.topics[0].partitions[0];
    (end.error_code, end.leader_epoch, end.end_offset)
}

/// A consumer that was told the epoch with the end of the log checks its position by it: an unknown one would send
/// it elsewhere.
#[test]
fn an_epoch_without_records_ends_where_the_log_does() {
    let (dir, broker, mut client) = scene("empty-epoch", "1");
    assert_eq!(epoch_end(&mut client, 0, 0), (0, 0, 1));
    assert_eq!(epoch_end(&mut client, 1, 0), (0, 0, 0));
    assert_eq!(epoch_end(&mut client, 1, 1), (0, -1, -1), "not yet");
    assert_eq!(epoch_end(&mut client, 0, -1), (0, -1, -1), "nobody's");
    broker.kill();
    let broker = Broker::start(&dir.0, &["--shards", "1"]);
    let mut client = broker.connect();
    assert_eq!(epoch_end(&mut client, 0, 1), (0, 1, 1), "it leads again, and has written nothing");
    assert_eq!(epoch_end(&mut client, 0, 0), (0, 0, 1));
    assert_eq!(epoch_end(&mut client, 1, 0), (0, 0, 0));
}
