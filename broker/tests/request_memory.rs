//! Memory for requests is bounded over all connections (`queued.max.request.bytes`): who does not fit waits unread,
//! and everybody is served in the end.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test process is outside the simulation"
)]

mod kit;

use std::io::Write;
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::Duration;

use kit::{Broker, Client, TempDir, produce_request};
use kring_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kring_wire::messages::produce_response::ProduceResponse;

const MIB: u64 = 1 << 20;
const PRODUCERS: u64 = 64;
const REQUESTS: usize = 6;
const VALUE_BYTES: u64 = 3 * MIB / 2;
const BUDGET_BYTES: u64 = 8 * MIB;
/// What a broker takes besides requests: its binary and tables, buffers for the disk, batches for readers.
const BESIDES_BYTES: u64 = 48 * MIB;

/// By default the allocator keeps what was freed, and the process looks as if it still held it.
const GIVES_MEMORY_BACK: &[(&str, &str)] = &[("MALLOC_MMAP_THRESHOLD_", "131072")];

fn start(dir: &TempDir, shards: &str, budget_bytes: u64) -> Broker {
    let budget = format!("queued.max.request.bytes={budget_bytes}");
    let largest = format!("socket.request.max.bytes={}", budget_bytes.min(4 * MIB));
    let fixed =
        ["-o", "kring.cache.bytes=1048576", "-o", "message.max.bytes=4194304", "-o", "num.partitions=8"];
    let own = ["--shards", shards, "-o", &budget, "-o", &largest];
    Broker::start_with(&dir.0, &[&own[..], &fixed].concat(), GIVES_MEMORY_BACK)
}

/// As many requests as there are producers begin at the same moment.
fn producers(address: &str) -> Vec<JoinHandle<()>> {
    let together = Arc::new(Barrier::new(PRODUCERS as usize));
    let value = "x".repeat(VALUE_BYTES as usize);
    let produce = |number: u64| {
        let (mut client, together, value) = (Client::connect(address), together.clone(), value.clone());
        std::thread::spawn(move || {
            together.wait();
            for _ in 0..REQUESTS {
                assert_eq!(client.produce("big", number as i32 % 8, &[&value]).error_code, 0);
            }
        })
    };
    (0..PRODUCERS).map(produce).collect()
}

#[test]
fn many_large_requests_at_once_stay_within_the_budget_and_small_ones_are_served_meanwhile() {
    const { assert!(PRODUCERS * VALUE_BYTES > BUDGET_BYTES + BESIDES_BYTES, "else nothing is shown") };
    let dir = TempDir::new("request-memory");
    let broker = start(&dir, "2", BUDGET_BYTES);
    let mut small = broker.connect();
    small.create_topic("big", 8);
    small.create_topic("small", 1);
    let producers = producers(&broker.address);
    let mut served = 0;
    while !producers.iter().all(JoinHandle::is_finished) {
        assert_eq!(small.produce("small", 0, &["x"]).error_code, 0);
        served += 1;
    }
    producers.into_iter().for_each(|producer| producer.join().expect("every request is acknowledged"));
    assert!(served > REQUESTS, "{served} small requests");
    let peak = broker.memory_bytes("VmHWM:");
    assert!(peak < BUDGET_BYTES + BESIDES_BYTES, "{} MiB resident", peak / MIB);
}

/// Sends all of a request but its last byte.
fn begin(client: &mut Client, value_bytes: u64) -> u8 {
    let frame = client.encode(9, &produce_request("t", 0, &[&"x".repeat(value_bytes as usize)]));
    let (last, most) = frame.split_last().expect("a frame");
    client.stream.write_all(most).expect("the kernel takes it");
    *last
}

fn end(client: &mut Client, last: u8) {
    client.stream.write_all(&[last]).expect("the byte leaves");
}

fn expect_acknowledged(client: &mut Client) {
    let answer: ProduceResponse = client.receive(9, 1);
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
}

#[test]
fn who_does_not_fit_waits_until_another_is_answered_or_gone() {
    let dir = TempDir::new("request-waits");
    let broker = start(&dir, "1", 4 * MIB);
    broker.connect().create_topic("t", 1);
    let mut clients: Vec<Client> = (0..6).map(|_| broker.connect()).collect();
    let lasts: Vec<u8> = clients.iter_mut().map(|client| begin(client, 3 * MIB)).collect();
    // One of them has the memory, and no two have: whichever it is, all come to their turn.
    drop(clients.remove(0));
    clients.iter_mut().zip(&lasts[1..]).for_each(|(client, last)| end(client, *last));
    clients.iter_mut().for_each(expect_acknowledged);
    let mut later = broker.connect();
    let last = begin(&mut later, 3 * MIB);
    end(&mut later, last);
    expect_acknowledged(&mut later);
}

#[test]
fn the_largest_request_passes_whatever_the_share_of_a_shard() {
    let dir = TempDir::new("request-largest");
    let broker = start(&dir, "4", 4 * MIB);
    broker.connect().create_topic("t", 4);
    let value = "x".repeat((4 * MIB - 1000) as usize);
    let clients: Vec<_> = (0..8)
        .map(|partition| {
            let (mut client, value) = (broker.connect(), value.clone());
            std::thread::spawn(move || client.produce("t", partition % 4, &[&value]).error_code)
        })
        .collect();
    for client in clients {
        assert_eq!(client.join().expect("a client"), 0);
    }
}

/// Topics that nobody has, whose long names come back with the answer, behind one that waits for the disk.
fn request_with_a_large_answer() -> ProduceRequest {
    let topic = |n: usize| TopicProduceData {
        name: format!("{n}{}", "x".repeat(30_000)).into(),
        partition_data: vec![PartitionProduceData::default()],
        ..TopicProduceData::default()
    };
    let mut request = produce_request("t", 0, &["x"]);
    request.topic_data.extend((0..30).map(topic));
    request
}

/// Sends requests until the broker reads no more of them, because nobody takes its answers.
fn fall_deaf(client: &mut Client) {
    client.stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    while client.try_send(9, &request_with_a_large_answer()).is_some() {}
}

#[test]
fn a_client_that_takes_no_answers_keeps_its_memory_until_others_have_waited_for_it() {
    let dir = TempDir::new("request-deaf");
    let broker = start(&dir, "1", 4 * MIB);
    let mut other = broker.connect();
    other.create_topic("t", 1);
    let mut deaf = broker.connect();
    fall_deaf(&mut deaf);
    assert_eq!(other.produce("t", 0, &[&"x".repeat(3 * MIB as usize)]).error_code, 0);
}

#[test]
fn a_client_that_stops_in_a_request_keeps_its_memory_until_others_have_waited_for_it() {
    let dir = TempDir::new("request-mute");
    let broker = start(&dir, "1", 4 * MIB);
    let mut other = broker.connect();
    other.create_topic("t", 1);
    let mut mute = broker.connect();
    begin(&mut mute, 3 * MIB);
    assert_eq!(other.produce("t", 0, &[&"x".repeat(3 * MIB as usize)]).error_code, 0);
}
