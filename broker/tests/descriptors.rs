//! A process with few file descriptors: connections beyond them wait or are refused, logs share what they have, nothing
//! ends, and service resumes by itself.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test process is outside the simulation"
)]

mod kit;

use std::fs;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use kit::{Broker, Client, PATIENCE, TempDir, fetch_request};
use kring_wire::messages::fetch_response::FetchResponse;

/// Little above what a broker of one shard asks for.
const FILES: u32 = 160;
const PARTITIONS: i32 = 2 * FILES as i32;
const KAFKA_STORAGE_ERROR: i16 = 56;

fn start(dir: &TempDir) -> Broker {
    Broker::start_with_files(&dir.0, FILES, &["--shards", "1"])
}

fn open_files(broker: &Broker) -> usize {
    fs::read_dir(format!("/proc/{}/fd", broker.pid())).expect("a process").count()
}

fn value(partition: i32) -> String {
    format!("of {partition}")
}

/// Produces to every partition; which of them acknowledged.
fn produce_to_all(client: &mut Client) -> Vec<i32> {
    let mut acknowledged = Vec::new();
    for partition in 0..PARTITIONS {
        match client.produce("wide", partition, &[&value(partition)]).error_code {
            0 => acknowledged.push(partition),
            refused => assert_eq!(refused, KAFKA_STORAGE_ERROR, "partition {partition}"),
        }
    }
    acknowledged
}

fn expect_all(client: &mut Client, partitions: &[i32], copies: usize) {
    for &partition in partitions {
        let there = client.fetch_all("wide", partition);
        assert!(there.len() >= copies, "partition {partition}: {there:?}");
        assert!(there.iter().all(|(_, text)| *text == value(partition)));
    }
}

#[test]
fn more_partitions_than_descriptors_are_written_and_read() {
    let dir = TempDir::new("files-partitions");
    let broker = start(&dir);
    let mut client = broker.connect();
    client.create_topic("wide", PARTITIONS);
    for copies in 1..=2 {
        let all = produce_to_all(&mut client);
        assert_eq!(all.len(), PARTITIONS as usize);
        expect_all(&mut client, &all, copies);
    }
    assert!(open_files(&broker) < FILES as usize);
    assert!(broker.stop().success());
    let broker = start(&dir);
    expect_all(&mut broker.connect(), &(0..PARTITIONS).collect::<Vec<_>>(), 2);
}

/// Connections with a request each, twice as many as there are descriptors. The kernel takes those that the broker
/// does not.
fn crowd(broker: &Broker) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..2 * FILES).map(|_| broker.connect()).collect();
    for client in &mut clients {
        client.send(11, &fetch_request("wide", 0, 0));
    }
    clients
}

fn is_answered(client: &Client) -> bool {
    client.stream.set_nonblocking(true).expect("a socket option");
    let there = client.stream.peek(&mut [0]).is_ok_and(|bytes| bytes > 0);
    client.stream.set_nonblocking(false).expect("a socket option");
    there
}

/// Processor time of all threads, in hundredths of a second.
fn cpu_ticks(broker: &Broker) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", broker.pid())).expect("a process");
    let after_name = stat.rsplit_once(')').expect("a name").1;
    let fields = after_name.split_whitespace().skip(11).take(2);
    fields.map(|field| field.parse::<u64>().expect("a number")).sum()
}

#[test]
fn connections_beyond_the_descriptors_wait_while_the_others_are_served_and_come_in_when_those_go() {
    let dir = TempDir::new("files-crowd");
    let mut broker = start(&dir);
    let mut first = broker.connect();
    first.create_topic("wide", PARTITIONS);
    let crowd = crowd(&broker);
    let acknowledged = produce_to_all(&mut first);
    assert_eq!(acknowledged.len(), PARTITIONS as usize, "logs have their part of the descriptors");
    expect_all(&mut first, &acknowledged, 1);
    let answered = crowd.iter().filter(|client| is_answered(client)).count();
    assert!((1..FILES as usize).contains(&answered), "{answered} of {}", crowd.len());
    let before = cpu_ticks(&broker);
    std::thread::sleep(Duration::from_secs(2));
    let ticks = cpu_ticks(&broker) - before;
    assert!(ticks < 20, "{ticks} hundredths of a second in two while connections wait");
    let (going, mut staying): (Vec<_>, Vec<_>) = crowd.into_iter().partition(is_answered);
    drop(going);
    let answer: FetchResponse = staying[0].receive(11, 1);
    assert_eq!(answer.responses[0].partitions[0].error_code, 0);
    drop(staying);
    assert!(broker.is_running());
    broker.connect().create_topic("after", 1);
    assert!(broker.stop().success());
}

#[test]
fn connections_that_come_and_go_leave_no_descriptor_behind() {
    let dir = TempDir::new("files-leak");
    let broker = start(&dir);
    broker.connect().create_topic("wide", 1);
    let before = open_files(&broker);
    for round in 0..8 * FILES {
        match round % 2 {
            0 => drop(TcpStream::connect(&broker.address).expect("the kernel takes it")),
            _ => assert_eq!(broker.connect().fetch("wide", 0, 0), (vec![], 0)),
        }
    }
    let begun = Instant::now();
    while open_files(&broker) > before {
        assert!(begun.elapsed() < PATIENCE, "{} descriptors, {before} before", open_files(&broker));
        broker.connect().fetch("wide", 0, 0);
    }
}
