//! How long a command takes to another core and its reply back: the only core crossing of a request. One at a time it
//! is a latency, with both cores waking each other; many at once it is what the way between cores can carry.

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use kring_runtime::channel::{self, Receiver, ReplySender, Sender};
use kring_runtime::{Queue, RuntimeConfig, ShardPlacement, now, run, spawn};

/// As many as an inbox of the broker holds.
const INBOX: usize = 1024;

type Command = (u64, ReplySender<u64>);

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    group
}

/// Asks and waits for the reply.
async fn ask(inbox: &Sender<Command>, number: u64) {
    let (reply_to, reply) = channel::oneshot();
    inbox.send((number, reply_to)).await.expect("the other shard runs");
    assert_eq!(reply.recv().await, Ok(number));
}

async fn serve(inbox: Receiver<Command>) -> Duration {
    while let Ok((number, reply_to)) = inbox.recv().await {
        reply_to.send(number).expect("the asker waits");
    }
    Duration::ZERO
}

/// Time for so many commands from one shard to another and back, so many of them at once.
async fn drive(inbox: Sender<Command>, commands: u64, together: u64) -> Duration {
    let began = now();
    let each = commands.div_ceil(together);
    let askers = (0..together.min(commands)).map(|asker| {
        let inbox = inbox.clone();
        spawn(Queue::Net, async move {
            for number in (asker * each)..((asker + 1) * each).min(commands) {
                ask(&inbox, number).await;
            }
        })
    });
    for asker in askers.collect::<Vec<_>>() {
        asker.await;
    }
    let took = began.elapsed();
    inbox.close();
    took
}

fn cross(commands: u64, together: u64) -> Duration {
    let mut config = RuntimeConfig::with_shards(2);
    config.placement = ShardPlacement::Unpinned;
    let (sender, receiver) = channel::bounded(INBOX);
    let times = run(&config, move |shard| {
        let (sender, receiver) = (sender.clone(), receiver.clone());
        async move {
            match shard.index() {
                0 => drive(sender, commands, together).await,
                _ => serve(receiver).await,
            }
        }
    });
    times.expect("two shards run here")[0]
}

fn hops(criterion: &mut Criterion) {
    let mut group = group(criterion, "to another core and back");
    group.throughput(Throughput::Elements(1));
    for together in [1, 64] {
        group.bench_function(format!("{together} at once"), |b| {
            b.iter_custom(|commands| cross(commands, together));
        });
    }
    group.finish();
}

criterion_group!(benches, hops);
criterion_main!(benches);
