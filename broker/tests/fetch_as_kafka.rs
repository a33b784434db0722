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

const OFFSET_OUT_OF_RANGE: i16 = 1;
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
