//! Memory of responses that nobody takes is bounded over all connections (`queued.max.response.bytes`): the slowest
//! reader is disconnected, the others are served whole.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test process is outside the simulation"
)]

mod kit;

use kit::{Broker, Client, TempDir, fetch_request, produce_request};

const MIB: usize = 1 << 20;
/// What one reader is sent: more than the sockets between hold.
const RESPONSE_BYTES: usize = 8 * MIB;
const VALUE_BYTES: usize = 256 << 10;
const READERS: i64 = 24;
/// Two responses, the cache, and what a broker takes besides.
const BOUND_BYTES: u64 = (2 * RESPONSE_BYTES + 16 * MIB + 48 * MIB) as u64;

/// Puts records into the cache, and the older ones out of it.
fn produce_a_response(client: &mut Client, value: &str) {
    for _ in 0..RESPONSE_BYTES / VALUE_BYTES {
        client.send(9, &produce_request("t", 0, &[value]));
    }
    for _ in 0..RESPONSE_BYTES / VALUE_BYTES {
        client.frame().expect("an answer");
    }
}

fn ask_for_all(client: &mut Client, offset: i64) {
    let mut request = fetch_request("t", 0, offset);
    request.max_bytes = RESPONSE_BYTES as i32;
    request.topics[0].partitions[0].partition_max_bytes = RESPONSE_BYTES as i32;
    client.send(11, &request);
}

#[test]
fn readers_that_take_nothing_end_by_turns_and_the_newest_is_served_whole() {
    const { assert!(READERS as u64 * RESPONSE_BYTES as u64 > 2 * BOUND_BYTES, "else nothing is shown") };
    let dir = TempDir::new("response-memory");
    let broker = Broker::start_with(
        &dir.0,
        &[
            &["--shards", "1", "-o", "queued.max.response.bytes=1", "-o", "fetch.max.bytes=8388608"][..],
            &["-o", "kring.cache.bytes=16777216", "-o", "log.flush.interval.messages=1000000"],
        ]
        .concat(),
        // By default the allocator keeps what was freed.
        &[("MALLOC_MMAP_THRESHOLD_", "131072")],
    );
    let mut producer = broker.connect();
    producer.create_topic("t", 1);
    let value = "x".repeat(VALUE_BYTES);
    let mut readers = Vec::new();
    for round in 0..READERS {
        produce_a_response(&mut producer, &value);
        let mut reader = broker.connect();
        ask_for_all(&mut reader, round * (RESPONSE_BYTES / VALUE_BYTES) as i64);
        // Its first bytes are here, so the rest is held for it.
        reader.stream.peek(&mut [0]).expect("the answer begins");
        readers.push(reader);
    }
    let peak = broker.memory_bytes("VmHWM:");
    assert!(peak < BOUND_BYTES, "{} MiB resident", peak / MIB as u64);
    let whole = readers.iter_mut().map(|reader| reader.frame().is_some()).collect::<Vec<_>>();
    assert!(!whole[0], "the slowest is disconnected");
    assert!(whole[whole.len() - 1], "the newest is served");
}
