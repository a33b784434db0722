//! The broker serves clients with one shard and with several, wherever a connection lands, and after every kind
//! of end.
#![allow(clippy::disallowed_methods, reason = "a test process is outside the simulation")]

mod kit;

use std::io::Write;

use kit::{Broker, Client, TempDir, batch, fetch_request, produce_bytes, produce_request};
use kring_wire::messages::api_versions_request::ApiVersionsRequest;
use kring_wire::messages::api_versions_response::ApiVersionsResponse;
use kring_wire::messages::fetch_response::FetchResponse;
use kring_wire::messages::produce_response::ProduceResponse;

const PARTITIONS: i32 = 8;

fn value(partition: i32, n: i32) -> String {
    format!("p{partition}-{n}")
}

/// Writes through one connection and reads everything back through others: connections land on any shard, so most
/// requests are for partitions of another one.
fn client_work(shards: &str) {
    let dir = TempDir::new("shards");
    let broker = Broker::start(&dir.0, &["--shards", shards]);
    let mut writer = broker.connect();
    writer.create_topic("work", PARTITIONS);
    for n in 0..20 {
        for partition in 0..PARTITIONS {
            let produced = writer.produce("work", partition, &[&value(partition, n)]);
            assert_eq!((produced.error_code, produced.base_offset), (0, i64::from(n)));
        }
    }
    for _ in 0..8 {
        let mut reader = broker.connect();
        for partition in 0..PARTITIONS {
            let expected: Vec<(i64, String)> = (0..20).map(|n| (i64::from(n), value(partition, n))).collect();
            assert_eq!(reader.fetch_all("work", partition), expected);
        }
    }
    assert!(broker.stop().success());
}

#[test]
fn one_shard_serves_all_partitions() {
    client_work("1");
}

#[test]
fn two_shards_serve_connections_that_land_anywhere() {
    client_work("2");
}

#[test]
fn four_shards_serve_connections_that_land_anywhere() {
    client_work("4");
}

#[test]
fn one_fetch_over_partitions_of_all_shards_is_answered_whole() {
    let dir = TempDir::new("fan-out");
    let broker = Broker::start(&dir.0, &["--shards", "4"]);
    let mut client = broker.connect();
    client.create_topic("wide", PARTITIONS);
    for partition in 0..PARTITIONS {
        assert_eq!(client.produce("wide", partition, &["x"]).error_code, 0);
    }
    let mut request = fetch_request("wide", 0, 0);
    let template = request.topics[0].partitions[0].clone();
    request.topics[0].partitions = (0..PARTITIONS)
        .map(|partition| {
            let mut p = template.clone();
            p.partition = partition;
            p
        })
        .collect();
    let answer: FetchResponse = client.ask(11, &request);
    let partitions = &answer.responses[0].partitions;
    let indexes: Vec<i32> = partitions.iter().map(|p| p.partition_index).collect();
    assert_eq!(indexes, (0..PARTITIONS).collect::<Vec<_>>(), "in the order of the request");
    assert!(partitions.iter().all(|p| p.records.as_ref().is_some_and(|r| !r.is_empty())));
}

#[test]
fn a_long_poll_ends_when_records_arrive_on_another_shard() {
    let dir = TempDir::new("long-poll");
    let broker = Broker::start(&dir.0, &["--shards", "2"]);
    let (mut reader, mut writer) = (broker.connect(), broker.connect());
    writer.create_topic("late", 2);
    for partition in 0..2 {
        let mut request = fetch_request("late", partition, 0);
        request.max_wait_ms = 60_000;
        let id = reader.send(11, &request);
        assert_eq!(writer.produce("late", partition, &["now"]).error_code, 0);
        let answer: FetchResponse = reader.receive(11, id);
        assert!(answer.responses[0].partitions[0].records.as_ref().is_some_and(|r| !r.is_empty()));
    }
}

#[test]
fn pipelined_produce_requests_keep_their_order() {
    let dir = TempDir::new("pipeline");
    let broker = Broker::start(&dir.0, &["--shards", "2"]);
    let mut client = broker.connect();
    client.create_topic("pipe", 2);
    let ids: Vec<i32> =
        (0..200).map(|n| client.send(9, &produce_request("pipe", n % 2, &[&n.to_string()]))).collect();
    for (n, id) in ids.into_iter().enumerate() {
        let answer: ProduceResponse = client.receive(9, id);
        let partition = &answer.responses[0].partition_responses[0];
        assert_eq!((partition.error_code, partition.base_offset), (0, n as i64 / 2));
    }
}

#[test]
fn records_and_topics_outlive_a_clean_stop_and_a_kill() {
    let dir = TempDir::new("restart");
    let mut expected = Vec::new();
    for round in 0..4i64 {
        let broker = Broker::start(&dir.0, &["--shards", "2"]);
        let mut client = broker.connect();
        if round == 0 {
            client.create_topic("kept", 1);
        }
        assert_eq!(client.fetch_all("kept", 0), expected, "round {round}");
        let text = format!("round {round}");
        assert_eq!(client.produce("kept", 0, &[&text]).base_offset, round);
        expected.push((round, text));
        if round % 2 == 0 { broker.kill() } else { assert!(broker.stop().success()) }
    }
}

/// What an idempotent producer is not told of it sends again, and of what it had under way the next start knows the last
/// batch only.
#[test]
fn an_orderly_stop_answers_what_it_has_written() {
    let dir = TempDir::new("owed");
    let mut answered = 0;
    for round in 0..6 {
        let broker = Broker::start(&dir.0, &["--shards", "2"]);
        let mut client = broker.connect();
        if round == 0 {
            client.create_topic("owed", 2);
        }
        let written = client.fetch_all("owed", 0).len() + client.fetch_all("owed", 1).len();
        assert_eq!(written, answered, "round {round}");
        let request = |n| produce_request("owed", n % 2, &["x"]);
        let ids: Vec<i32> = (0..1000).map_while(|n| client.try_send(9, &request(n))).collect();
        let mut is_good = |id: &i32| {
            let answer: ProduceResponse = client.try_receive(9, *id)?;
            Some(answer.responses[0].partition_responses[0].error_code == 0)
        };
        answered += usize::from(is_good(&ids[0]).expect("the first is answered"));
        let stopping = std::thread::spawn(move || broker.stop());
        answered += ids[1..].iter().map_while(&mut is_good).filter(|good| *good).count();
        drop(client);
        assert!(stopping.join().expect("no panic").success());
    }
}

/// A client that writes before it reads would drop answers that it has, if what it wrote came back as a reset: Java's
/// `Selector` closes a channel whose write fails.
#[test]
fn a_peer_that_goes_on_writing_while_the_broker_stops_is_not_reset_before_it_can_read() {
    let dir = TempDir::new("goodbye");
    let broker = Broker::start(&dir.0, &["--shards", "2"]);
    let mut client = broker.connect();
    client.create_topic("told", 1);
    assert_eq!(client.produce("told", 0, &["x"]).base_offset, 0);
    let stopping = std::thread::spawn(move || broker.stop());
    assert_eq!(client.stream.peek(&mut [0]).unwrap(), 0, "the broker says nothing more");
    let request = produce_request("told", 0, &["y"]);
    assert!((0..10).all(|_| client.try_send(9, &request).is_some()));
    assert!(client.try_receive::<ProduceResponse>(9, 0).is_none());
    drop(client);
    assert!(stopping.join().expect("no panic").success());
    let broker = Broker::start(&dir.0, &[]);
    assert_eq!(broker.connect().fetch_all("told", 0).len(), 1, "what was not answered was not written");
}

/// The kernel frees the port and the lock of a killed process a little later than it reports its end.
#[test]
fn a_killed_broker_is_followed_at_once_by_one_at_the_same_place() {
    let dir = TempDir::new("follow");
    let mut broker = Broker::start(&dir.0, &["--shards", "2"]);
    let address = broker.address.clone();
    for _ in 0..30 {
        let _clients = [broker.connect(), broker.connect()];
        broker.kill();
        broker = Broker::start_at(&dir.0, &address, &["--shards", "2"]);
    }
    assert!(broker.stop().success());
}

#[test]
fn a_repeated_batch_of_an_idempotent_producer_is_stored_once_even_after_a_kill() {
    let dir = TempDir::new("idempotent");
    let repeated = |sequence| {
        let built = batch(&["once"]).producer(4711, 0, sequence).build().expect("a batch");
        produce_bytes("idem", 0, built.to_bytes())
    };
    let broker = Broker::start(&dir.0, &[]);
    let mut client = broker.connect();
    client.create_topic("idem", 1);
    let offsets = |client: &mut Client, sequence| {
        let answer: ProduceResponse = client.ask(9, &repeated(sequence));
        let partition = &answer.responses[0].partition_responses[0];
        (partition.error_code, partition.base_offset)
    };
    assert_eq!(offsets(&mut client, 0), (0, 0));
    assert_eq!(offsets(&mut client, 0), (0, 0));
    assert_eq!(offsets(&mut client, 1), (0, 1));
    assert_eq!(offsets(&mut client, 7), (45, -1), "a gap is OUT_OF_ORDER_SEQUENCE_NUMBER");
    broker.kill();
    let broker = Broker::start(&dir.0, &[]);
    let mut client = broker.connect();
    assert_eq!(offsets(&mut client, 1), (0, 1));
    assert_eq!(client.fetch_all("idem", 0).len(), 2);
    let sent = repeated(1);
    let answer: ProduceResponse = client.ask(9, &sent);
    let told_ms = answer.responses[0].partition_responses[0].log_append_time_ms;
    assert!(told_ms > 0, "the time of the batch, as Kafka tells it: {told_ms}");
}

#[test]
fn broken_frames_end_their_own_connection_only() {
    let dir = TempDir::new("broken");
    let broker = Broker::start(&dir.0, &[]);
    let mut healthy = broker.connect();
    healthy.create_topic("fine", 1);
    let broken: [&[u8]; 6] = [
        &[0xff, 0xff, 0xff, 0xff],
        &[0, 0, 0, 3, 1, 2, 3],
        &[0x7f, 0xff, 0xff, 0xff],
        &[0, 0, 0, 10, 0x7f, 0x7f, 0, 0, 0, 0, 0, 1, 0xff, 0xff],
        &[0, 0, 0, 10, 0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff],
        &[0, 0, 0, 12, 0, 0, 0, 9, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff],
    ];
    for bytes in broken {
        let mut client = broker.connect();
        client.stream.write_all(bytes).expect("the bytes leave");
        assert_eq!(client.frame(), None, "closed after {bytes:?}");
        assert_eq!(healthy.produce("fine", 0, &["still here"]).error_code, 0);
    }
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let dir = TempDir::new("versions");
    let broker = Broker::start(&dir.0, &[]);
    let mut client = broker.connect();
    // Key 18, version 99, correlation 7, no client id, no tags, then what a later client may send.
    let request = [0u8, 0, 0, 11, 0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff, 0];
    client.stream.write_all(&request).expect("the request leaves");
    let answer: ApiVersionsResponse = client.receive(0, 7);
    assert_eq!(answer.error_code, 35);
    let keys: Vec<(i16, i16, i16)> =
        answer.api_keys.iter().map(|k| (k.api_key, k.min_version, k.max_version)).collect();
    assert_eq!(keys, [(18, 0, 4)]);
    let named =
        ApiVersionsRequest { client_software_name: "test".into(), client_software_version: "1".into() };
    let answer: ApiVersionsResponse = client.ask(4, &named);
    assert_eq!(answer.error_code, 0);
    assert_eq!(answer.api_keys[0].min_version, 0, "Produce is offered from 0, for old librdkafka");
}

#[test]
fn a_data_directory_in_use_is_refused_with_a_sentence() {
    let dir = TempDir::new("locked");
    let _holder = Broker::start(&dir.0, &[]);
    let data = dir.0.join("data");
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_kring"))
        .args(["start", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(&data)
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("is in use: another process holds its .lock file: stop that broker"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn an_address_in_use_is_refused_with_a_sentence() {
    let dir = TempDir::new("address");
    let holder = Broker::start(&dir.0, &[]);
    let other = TempDir::new("address");
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_kring"))
        .args(["start", "--listen", &holder.address, "--data-dir"])
        .arg(other.0.join("data"))
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("in use by another program"), "{said}");
}
