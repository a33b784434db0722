//! Measures what the runtime's primitives cost on this machine. Run it with `--release`, on an idle machine.
//! Arguments: microseconds to spin before sleeping, milliseconds of the preemption timer.
#![allow(clippy::print_stdout)]

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kring_runtime::{Queue, RuntimeConfig, channel, net, now, process, run, sleep, spawn, yield_now};

type Pair = (channel::Sender<channel::ReplySender<u64>>, channel::Receiver<channel::ReplySender<u64>>);

fn main() {
    idle(Duration::from_secs(5));
    let argument = |index| std::env::args().nth(index).and_then(|text| text.parse().ok());
    let spin = Duration::from_micros(argument(1).unwrap_or(0));
    let mut config = RuntimeConfig { spin, ..RuntimeConfig::with_shards(2) };
    if let Some(millis) = argument(2) {
        config.preempt = Duration::from_millis(millis);
    }
    let commands: Pair = channel::bounded(1024);
    let addr = channel::bounded(1);
    run(&config, move |shard| {
        let (commands, addr) = (commands.clone(), addr.clone());
        async move {
            if shard.index() == 0 {
                local().await;
                crossing(&commands.0).await;
                commands.0.close();
                echo_client(addr.1.recv().await.expect("an address")).await;
            } else {
                let listener = net::Listener::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
                addr.0.send(listener.local_addr()).await.expect("the other shard waits");
                while let Ok(reply) = commands.1.recv().await {
                    let _gone = reply.send(1);
                }
                echo_server(listener).await;
            }
        }
    })
    .expect("the shards run");
}

fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn idle(time: Duration) {
    run(&RuntimeConfig::with_shards(2), move |_| async move {
        sleep(Duration::from_secs(1)).await;
        let before = cpu_seconds();
        sleep(time).await;
        let share = (cpu_seconds() - before) / time.as_secs_f64() * 100.0;
        println!("idle, 2 shards: {share:.3} % of a core, {} KiB resident", process::resident_bytes() / 1024);
    })
    .expect("the shards run");
}

fn report(what: &str, count: u64, took: Duration) {
    println!("{what}: {:.2} us", took.as_secs_f64() * 1e6 / count as f64);
}

async fn local() {
    let start = now();
    for _ in 0..200_000 {
        spawn(Queue::Net, async {}).await;
    }
    report("spawn and join", 200_000, start.elapsed());
    let start = now();
    for _ in 0..200_000 {
        yield_now().await;
    }
    report("yield", 200_000, start.elapsed());
}

async fn crossing(commands: &channel::Sender<channel::ReplySender<u64>>) {
    let start = now();
    for _ in 0..20_000 {
        let (reply, answer) = channel::oneshot();
        commands.send(reply).await.expect("the other shard receives");
        answer.await.expect("the other shard replies");
    }
    report("round trip to the other shard, one at a time", 20_000, start.elapsed());
    let start = now();
    for _ in 0..2_000 {
        let mut answers = Vec::with_capacity(100);
        for _ in 0..100 {
            let (reply, answer) = channel::oneshot();
            commands.send(reply).await.expect("the other shard receives");
            answers.push(answer);
        }
        for answer in answers {
            answer.await.expect("the other shard replies");
        }
    }
    report("round trip to the other shard, a hundred at a time", 200_000, start.elapsed());
}

async fn echo_server(listener: net::Listener) {
    let (mut reads, mut writes) = listener.accept().await.expect("a connection").into_split();
    let mut buf = BytesMut::new();
    while reads.read(&mut buf).await.expect("the peer is well") > 0 {
        writes.write_all(vec![buf.split().freeze()]).await.expect("the peer is well");
    }
}

async fn echo_client(addr: std::net::SocketAddr) {
    let (mut reads, mut writes) = net::connect(addr).await.expect("the server listens").into_split();
    let start = now();
    let message = Bytes::from_static(&[7; 100]);
    let mut buf = BytesMut::new();
    for _ in 0..20_000 {
        writes.write_all(vec![message.clone()]).await.expect("the server is well");
        while buf.len() < message.len() {
            reads.read(&mut buf).await.expect("the server is well");
        }
        buf.clear();
    }
    report("TCP echo between shards, 100 bytes", 20_000, start.elapsed());
}
