//! What a broker must survive: peers that break off or ask for the absurd, directories that a crash left behind,
//! and being asked for things while it starts and stops.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test process is outside the simulation"
)]

mod kit;

use std::fs;
use std::io::Write;
use std::net::Shutdown;
use std::path::Path;
use std::time::{Duration, Instant};

use kit::{Broker, Client, TempDir, fetch_request, produce_request};
use kring_wire::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kring_wire::messages::delete_topics_request::DeleteTopicsRequest;
use kring_wire::messages::fetch_response::FetchResponse;
use kring_wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use kring_wire::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use kring_wire::messages::metadata_response::MetadataResponse;
use kring_wire::messages::produce_response::ProduceResponse;

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const INVALID_CONFIG: i16 = 40;
const KAFKA_STORAGE_ERROR: i16 = 56;

#[test]
fn an_answer_too_long_for_the_protocol_ends_one_connection_and_no_broker() {
    let dir = TempDir::new("long-name");
    let broker = Broker::start(&dir.0, &[]);
    let mut client = broker.connect();
    let topic = CreatableTopic {
        name: "x".repeat(i16::MAX as usize).into(),
        num_partitions: 1,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    client.send(7, &CreateTopicsRequest { topics: vec![topic], timeout_ms: 1000, ..Default::default() });
    client.frame();
    let mut other = broker.connect();
    other.create_topic("fine", 1);
    assert_eq!(other.produce("fine", 0, &["still here"]).error_code, 0);
}

/// Each of the two values fits a record of the metadata log; both together do not.
#[test]
fn a_setting_that_grows_too_long_to_be_stored_is_refused_and_nothing_else() {
    const TOPIC: i8 = 2;
    const SET: i8 = 0;
    const APPEND: i8 = 2;
    let dir = TempDir::new("long-setting");
    let broker = Broker::start(&dir.0, &[]);
    let mut client = broker.connect();
    client.create_topic("long", 1);
    let pairs = |from: u32| (from..from + 3000).map(|n| format!("{n}:0")).collect::<Vec<_>>().join(",");
    let mut alter = |config_operation, from| {
        let config = AlterableConfig {
            name: "leader.replication.throttled.replicas".into(),
            config_operation,
            value: Some(pairs(from).into()),
        };
        let resource = AlterConfigsResource {
            resource_type: TOPIC,
            resource_name: "long".into(),
            configs: vec![config],
        };
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
        client.ask(1, &request).responses[0].error_code
    };
    assert_eq!(alter(SET, 0), 0);
    assert_eq!(alter(APPEND, 5000), INVALID_CONFIG);
    assert_eq!(alter(SET, 5000), 0, "the controller goes on");
    broker.connect().create_topic("next", 1);
}

fn delete_topic(client: &mut Client, name: &str) {
    let request =
        DeleteTopicsRequest { topic_names: vec![name.into()], timeout_ms: 10_000, ..Default::default() };
    assert_eq!(client.ask(4, &request).responses[0].error_code, 0);
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
    for entry in fs::read_dir(from).expect("a directory").flatten() {
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a file that can be copied");
    }
}

/// A crash between the durable metadata and the rename of the directory leaves the directory where it was.
#[test]
fn a_topic_made_again_after_a_crash_during_its_deletion_is_empty_and_online() {
    let dir = TempDir::new("stray");
    let (place, aside) = (dir.0.join("data/again-0"), dir.0.join("aside"));
    let broker = Broker::start(&dir.0, &[]);
    let mut client = broker.connect();
    client.create_topic("again", 1);
    assert_eq!(client.produce("again", 0, &["old"]).error_code, 0);
    assert!(broker.stop().success());
    copy_dir(&place, &aside);
    let broker = Broker::start(&dir.0, &[]);
    delete_topic(&mut broker.connect(), "again");
    broker.kill();
    copy_dir(&aside, &place);
    let broker = Broker::start(&dir.0, &[]);
    let mut client = broker.connect();
    client.create_topic("again", 1);
    let produced = client.produce("again", 0, &["new"]);
    assert_eq!((produced.error_code, produced.base_offset), (0, 0));
    assert_eq!(client.fetch_all("again", 0), [(0, "new".to_string())]);
    let names = fs::read_dir(dir.0.join("data")).expect("the data directory").flatten();
    let names: Vec<String> = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let kept = names.iter().filter(|name| name.starts_with("again-0.") && name.ends_with("-stray"));
    assert_eq!(kept.count(), 1, "what nobody deleted is kept aside: {names:?}");
}

#[test]
fn a_partition_that_cannot_be_opened_is_told_apart_from_one_that_is_not_there() {
    let dir = TempDir::new("unreadable");
    let broker = Broker::start(&dir.0, &[]);
    let mut client = broker.connect();
    client.create_topic("bad", 1);
    client.create_topic("good", 1);
    assert_eq!(client.produce("bad", 0, &["kept"]).error_code, 0);
    assert!(broker.stop().success());
    fs::write(dir.0.join("data/bad-0/partition.metadata"), "garbage").expect("a writable directory");
    let broker = Broker::start(&dir.0, &[]);
    let mut client = broker.connect();
    assert_eq!(client.produce("bad", 0, &["x"]).error_code, KAFKA_STORAGE_ERROR);
    assert_eq!(client.fetch("bad", 0, 0).1, KAFKA_STORAGE_ERROR);
    assert_eq!(client.produce("good", 0, &["x"]).error_code, 0);
}

#[test]
fn no_connection_is_answered_before_the_metadata_is_known() {
    let dir = TempDir::new("early");
    let mut broker = Broker::start(&dir.0, &["--shards", "4"]);
    broker.connect().create_topic("known", 1000);
    for _ in 0..3 {
        let address = broker.address.clone();
        broker.kill();
        let asking = std::thread::spawn({
            let address = address.clone();
            move || ask_from_the_first_moment(&address)
        });
        broker = Broker::start_at(&dir.0, &address, &["--shards", "4"]);
        for (error, partitions) in asking.join().expect("the asking thread") {
            assert_eq!((error, partitions), (0, 1000));
        }
    }
}

/// Asks over ever new connections, which land on all shards, until the first is answered; then hears the answers. A
/// connection that ends without one met what the kernel had not yet cleared away of the killed broker.
fn ask_from_the_first_moment(address: &str) -> Vec<(i16, usize)> {
    let begun = Instant::now();
    let mut asked: Vec<Client> = Vec::new();
    while !asked.iter().any(has_answer) {
        assert!(begun.elapsed() < kit::PATIENCE, "nobody answers");
        asked.extend(ask(address));
        std::thread::sleep(Duration::from_millis(2));
    }
    asked.into_iter().filter_map(hear).collect()
}

fn ask(address: &str) -> Option<Client> {
    let topic = MetadataRequestTopic { name: Some("known".into()), ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
    let mut client = Client::try_connect(address)?;
    client.try_send(9, &request).map(|_| client)
}

fn has_answer(client: &Client) -> bool {
    client.stream.set_nonblocking(true).expect("a socket option");
    let there = client.stream.peek(&mut [0]).is_ok_and(|bytes| bytes > 0);
    client.stream.set_nonblocking(false).expect("a socket option");
    there
}

fn hear(mut client: Client) -> Option<(i16, usize)> {
    let answer: MetadataResponse = client.try_receive(9, 1)?;
    Some((answer.topics[0].error_code, answer.topics[0].partitions.len()))
}

#[test]
fn a_peer_that_is_done_sending_still_gets_its_answers() {
    let dir = TempDir::new("half-closed");
    let broker = Broker::start(&dir.0, &[]);
    broker.connect().create_topic("half", 1);
    for broken in [&b""[..], &[0xff, 0xff, 0xff, 0xff]] {
        let mut client = broker.connect();
        let ids: Vec<i32> =
            (0..10).map(|n| client.send(9, &produce_request("half", 0, &[&n.to_string()]))).collect();
        client.stream.write_all(broken).expect("the bytes leave");
        client.stream.shutdown(Shutdown::Write).expect("half a close");
        for id in ids {
            let answer: ProduceResponse = client.receive(9, id);
            assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
        }
        assert_eq!(client.frame(), None, "then the connection ends");
    }
}

#[test]
fn a_long_poll_on_a_topic_that_is_deleted_ends_at_once() {
    let dir = TempDir::new("poll-deleted");
    let broker = Broker::start(&dir.0, &["--shards", "2"]);
    let (mut reader, mut admin) = (broker.connect(), broker.connect());
    admin.create_topic("going", 2);
    let mut request = fetch_request("going", 0, 0);
    request.max_wait_ms = 600_000;
    assert_eq!(reader.fetch("going", 0, 0), (vec![], 0));
    let id = reader.send(11, &request);
    for _ in 0..50 {
        assert_eq!(admin.fetch("going", 0, 0), (vec![], 0));
    }
    delete_topic(&mut admin, "going");
    let answer: FetchResponse = reader.receive(11, id);
    assert_eq!(answer.responses[0].partitions[0].error_code, UNKNOWN_TOPIC_OR_PARTITION);
}

#[test]
fn a_fetch_that_allows_no_bytes_is_answered_at_once() {
    let dir = TempDir::new("no-bytes");
    let broker = Broker::start(&dir.0, &[]);
    let mut client = broker.connect();
    client.create_topic("tiny", 1);
    assert_eq!(client.produce("tiny", 0, &["x"]).error_code, 0);
    // Kafka fails by a negative limit (`fetch_as_kafka`), and waits no longer for that.
    for (max_bytes, error, has_records) in [(0, 0, true), (-1, -1, false), (i32::MIN, -1, false)] {
        let mut request = fetch_request("tiny", 0, 0);
        request.max_wait_ms = 600_000;
        request.topics[0].partitions[0].partition_max_bytes = max_bytes;
        let answer: FetchResponse = client.ask(11, &request);
        let data = &answer.responses[0].partitions[0];
        assert_eq!(data.error_code, error);
        assert_eq!(data.records.as_ref().is_some_and(|records| !records.is_empty()), has_records);
    }
}

#[test]
fn directories_of_no_topic_are_put_aside_at_the_start() {
    let dir = TempDir::new("strays");
    let data = dir.0.join("data");
    let broker = Broker::start(&dir.0, &[]);
    let mut client = broker.connect();
    client.create_topic("known", 2);
    assert_eq!(client.produce("known", 0, &["kept"]).error_code, 0);
    assert!(broker.stop().success());
    copy_dir(&data.join("known-0"), &data.join("ghost-0"));
    copy_dir(&data.join("known-0"), &data.join("known-7"));
    let broker = Broker::start(&dir.0, &[]);
    assert_eq!(broker.connect().fetch_all("known", 0), [(0, "kept".to_string())]);
    let names = fs::read_dir(&data).expect("the data directory").flatten();
    let names: Vec<String> = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    for stray in ["ghost-0", "known-7"] {
        let is_aside = |name: &&String| name.starts_with(&format!("{stray}.")) && name.ends_with("-stray");
        assert!(!names.iter().any(|name| name == stray), "{names:?}");
        assert_eq!(names.iter().filter(is_aside).count(), 1, "{names:?}");
    }
    let log = fs::read_to_string(dir.0.join("log")).expect("the broker's log");
    assert!(log.contains("ghost-0") && log.contains("known-7"), "{log}");
    assert!(broker.stop().success());
    Broker::start(&dir.0, &[]);
}

#[test]
fn a_ready_file_that_cannot_be_written_is_named_as_the_reason() {
    let dir = TempDir::new("ready-file");
    let ended = std::process::Command::new(env!("CARGO_BIN_EXE_kring"))
        .args(["start", "--listen", "127.0.0.1:0", "--shards", "2", "--ready-file", "/nowhere/ready"])
        .arg("--data-dir")
        .arg(dir.0.join("data"))
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("the ready file /nowhere/ready cannot be written: No such file"), "{said}");
    assert!(!said.contains("another shard"), "{said}");
}

#[test]
fn max_connections_holds_for_all_shards_together_and_the_next_one_waits() {
    let dir = TempDir::new("max-connections");
    let broker = Broker::start(&dir.0, &["--shards", "4", "-o", "max.connections=3"]);
    let mut admitted: Vec<Client> = (0..3).map(|_| broker.connect()).collect();
    admitted[0].create_topic("t", 1);
    for client in &mut admitted {
        assert_eq!(client.fetch("t", 0, 0), (vec![], 0));
    }
    let mut next = broker.connect();
    let id = next.send(11, &fetch_request("t", 0, 0));
    for _ in 0..50 {
        assert_eq!(admitted[0].fetch("t", 0, 0), (vec![], 0));
    }
    assert!(!has_answer(&next), "a fourth connection");
    admitted.pop();
    let answer: FetchResponse = next.receive(11, id);
    assert_eq!(answer.responses[0].partitions[0].error_code, 0);
}

#[test]
fn max_connections_per_ip_holds_for_all_shards_together() {
    let dir = TempDir::new("per-ip");
    let options = ["--shards", "4", "-o", "max.connections.per.ip=2"];
    let broker = Broker::start(&dir.0, &options);
    let (mut one, mut two) = (broker.connect(), broker.connect());
    one.create_topic("t", 1);
    assert_eq!(two.fetch("t", 0, 0), (vec![], 0));
    for _ in 0..8 {
        assert_eq!(broker.connect().frame(), None, "closed");
    }
    drop(two);
    let begun = Instant::now();
    while broker.connect().try_send(11, &fetch_request("t", 0, 0)).is_none() {
        assert!(begun.elapsed() < kit::PATIENCE);
    }
}

/// Produces until the broker goes; gives how many batches were acknowledged.
fn produce_until_the_end(address: &str, partition: i32) -> usize {
    let mut client = Client::connect(address);
    let mut acknowledged = 0;
    loop {
        let mut ids = Vec::new();
        for _ in 0..8 {
            let request = produce_request("busy", partition, &["x"]);
            let Some(id) = client.try_send(9, &request) else { return acknowledged };
            ids.push(id);
        }
        for id in ids {
            let Some(answer) = client.try_receive::<ProduceResponse>(9, id) else { return acknowledged };
            if answer.responses[0].partition_responses[0].error_code != 0 {
                return acknowledged;
            }
            acknowledged += 1;
        }
    }
}

#[test]
fn a_stop_under_load_is_clean_and_keeps_what_was_acknowledged() {
    let dir = TempDir::new("stop-busy");
    let mut acknowledged = [0usize; 4];
    for round in 0..4 {
        let broker = Broker::start(&dir.0, &["--shards", "4"]);
        let mut client = broker.connect();
        if round == 0 {
            client.create_topic("busy", 4);
        }
        for partition in 0..4 {
            let there = client.fetch_all("busy", partition).len();
            assert!(there >= acknowledged[partition as usize], "round {round}: {there}, {acknowledged:?}");
            acknowledged[partition as usize] = there;
        }
        let producing: Vec<_> = (0..4)
            .map(|partition| {
                let address = broker.address.clone();
                std::thread::spawn(move || produce_until_the_end(&address, partition))
            })
            .collect();
        while client.fetch_all("busy", 3).len() < acknowledged[3] + 50 {}
        assert!(broker.stop().success());
        for (partition, thread) in producing.into_iter().enumerate() {
            acknowledged[partition] += thread.join().expect("a producing thread");
        }
        let log = fs::read_to_string(dir.0.join("log")).expect("the broker's log");
        assert!(!log.contains("ERROR") && !log.contains("will check"), "round {round}: {log}");
        assert!(dir.0.join("data/.kafka_cleanshutdown").exists(), "round {round}");
    }
}
