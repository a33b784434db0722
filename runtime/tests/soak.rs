//! An executor never parks on top of tasks that can run, whatever the kernel does to its thread.
//!
//! glommio 0.9.0 as published does: when its preemption timer fires before the task queues were looked at, it takes
//! "preempted" for "nothing to run" and sleeps until some event comes. A task that a due timer or a readable socket has
//! just woken is then late by as much as the next event is away. The copy under `third_party` is corrected; here each
//! claim is made of it, and its opposite of the published behaviour (`park_when_preempted`), to show that it would be
//! noticed. A child process does the work, since a shard that hangs cannot be ended from inside.
//! `KRING_LONG=1` soaks for a minute.

#![allow(clippy::print_stdout)]

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use kring_runtime::{
    Monotonic, Queue, RuntimeConfig, channel, net, now, run, sleep, sleep_until, spawn, yield_now,
};

const ROLE: &str = "KRING_SOAK_ROLE";
const SECONDS: &str = "KRING_SOAK_SECONDS";
const AS_PUBLISHED: &str = "KRING_SOAK_AS_PUBLISHED";

/// More than there are CPUs, so that the kernel takes the CPU away at every point.
const SHARDS: usize = 4;
/// What would be a shard's next event, had it parked on top of a task.
const FAR: Duration = Duration::from_secs(10);
/// Later than any timer or read that only waited for a CPU; well before [`FAR`].
const LATE: Duration = Duration::from_secs(3);

/// A preemption timer short enough to fire at every point, too.
fn config(preempt: Duration) -> RuntimeConfig {
    let park_when_preempted = std::env::var(AS_PUBLISHED).is_ok();
    RuntimeConfig { preempt, park_when_preempted, ..RuntimeConfig::with_shards(SHARDS) }
}

/// Tasks that only ever yield, in rounds, until the time is up: they make no events of their own.
fn yields(time: Duration) {
    let rounds = run(&config(Duration::from_micros(50)), move |_| async move {
        let end = now() + time;
        let mut rounds = 0_u64;
        while rounds == 0 || now() < end {
            let tasks: Vec<_> = (0..20).map(|_| spawn(Queue::Net, yield_often(50))).collect();
            for task in tasks {
                task.await;
            }
            rounds += 1;
        }
        rounds
    });
    assert!(rounds.expect("the shards run").iter().all(|rounds| *rounds > 0));
}

async fn yield_often(times: u32) {
    for _ in 0..times {
        yield_now().await;
    }
}

/// The hang is likeliest where nothing has run yet, and where the last task has ended.
fn lives(time: Duration) {
    let end = now() + time;
    while now() < end {
        run(&config(Duration::from_micros(5)), |_| async {}).expect("the shards start and end");
    }
}

/// Each shard sleeps, and echoes what the shard before it sends; between those events nothing happens on it.
fn waits(time: Duration) {
    let addrs: Vec<_> = (0..SHARDS).map(|_| channel::bounded::<SocketAddr>(1)).collect();
    let ended: Vec<_> = (0..SHARDS).map(|_| channel::bounded::<()>(SHARDS)).collect();
    let worst = run(&config(Duration::from_micros(20)), move |shard| {
        let (addrs, ended) = (addrs.clone(), ended.clone());
        async move {
            let end = now() + time;
            let listener = net::Listener::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
            addrs[shard.index()].0.send(listener.local_addr()).await.expect("the channel is open");
            let server = spawn(Queue::Net, echo(listener));
            let addr = addrs[(shard.index() + 1) % SHARDS].1.recv().await.expect("an address");
            let client = spawn(Queue::Append, latest_answer(addr, end));
            let far = spawn(Queue::Cold, async {
                loop {
                    sleep(FAR).await;
                }
            });
            let worst = latest_timer(end).await.max(client.await);
            for (tell, _) in &ended {
                tell.send(()).await.expect("the channel is open");
            }
            // Others may still be asking this shard.
            for _ in 0..SHARDS {
                ended[shard.index()].1.recv().await.expect("every shard ends");
            }
            drop((server, far));
            worst
        }
    });
    let worst = worst.expect("the shards run").into_iter().max().expect("there are shards");
    println!("worst {} ms", worst.as_millis());
    assert!(worst < LATE, "late by {worst:?}");
}

async fn latest_timer(end: Monotonic) -> Duration {
    let mut worst = Duration::ZERO;
    while now() < end {
        let due = now() + Duration::from_millis(3);
        sleep_until(due).await;
        worst = worst.max(now() - due);
    }
    worst
}

async fn echo(listener: net::Listener) {
    let (mut reads, mut writes) = listener.accept().await.expect("a connection").into_split();
    let mut buf = BytesMut::new();
    while reads.read(&mut buf).await.expect("the peer is well") > 0 {
        writes.write_all(vec![buf.split().freeze()]).await.expect("the peer is well");
    }
}

/// The longest wait for an answer that needs no work.
async fn latest_answer(addr: SocketAddr, end: Monotonic) -> Duration {
    let (mut reads, mut writes) = net::connect(addr).await.expect("the server listens").into_split();
    let (mut worst, mut buf) = (Duration::ZERO, BytesMut::new());
    while now() < end {
        let start = now();
        writes.write_all(vec![Bytes::from_static(b"?")]).await.expect("the server is well");
        while buf.is_empty() {
            assert!(reads.read(&mut buf).await.expect("the server is well") > 0, "the server ended first");
        }
        buf.clear();
        worst = worst.max(start.elapsed());
        sleep(Duration::from_millis(3)).await;
    }
    worst
}

/// Does nothing unless it is the child of one of the tests below.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let seconds = std::env::var(SECONDS).ok().and_then(|text| text.parse().ok()).expect("the parent's word");
    match role.as_str() {
        "yields" => yields(Duration::from_secs(seconds)),
        "lives" => lives(Duration::from_secs(seconds)),
        "waits" => waits(Duration::from_secs(seconds)),
        other => panic!("{other} is no role"),
    }
}

#[allow(clippy::disallowed_methods)]
fn start_child(role: &str, seconds: u64, as_published: bool) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this test's own path"));
    command.args(["--exact", "child", "--nocapture"]).env(ROLE, role).env(SECONDS, seconds.to_string());
    if as_published {
        command.env(AS_PUBLISHED, "1");
    }
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a child of this test")
}

/// Whether the child ends well within the time; it is gone afterwards in any case.
#[allow(clippy::disallowed_methods)]
fn ends_well_within(mut child: Child, limit: Duration) -> bool {
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Some(status) = child.try_wait().expect("the child is ours") {
            return status.success();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().expect("the child is ours");
    child.wait().expect("the child is ours");
    false
}

fn holds(role: &str) -> bool {
    let seconds = if std::env::var("KRING_LONG").is_ok_and(|value| value == "1") { 60 } else { 3 };
    ends_well_within(start_child(role, seconds, false), Duration::from_secs(seconds + 30))
}

/// As published each child hangs within its first second, and never ends; on a machine that is busy with other things,
/// where shards rarely find nothing to do, one of many does: none of six did once.
fn fails_as_published(role: &str) -> bool {
    (0..30).any(|_| !ends_well_within(start_child(role, 5, true), Duration::from_secs(12)))
}

#[test]
fn shards_start_and_end_whatever_the_kernel_does_to_them() {
    assert!(holds("lives"), "a shard hung at its start or its end");
}

#[test]
fn shards_never_stay_asleep_with_tasks_that_can_run() {
    assert!(holds("yields"), "a shard hung");
}

#[test]
fn timers_and_reads_wait_for_a_cpu_and_nothing_else() {
    assert!(holds("waits"), "a timer or a read was late");
}

#[test]
fn as_published_shards_hang_at_their_start_or_end() {
    assert!(fails_as_published("lives"), "glommio 0.9.0 did not hang: does this test see anything?");
}

#[test]
fn as_published_shards_stay_asleep_with_tasks_that_can_run() {
    assert!(fails_as_published("yields"), "glommio 0.9.0 did not hang: does this test see anything?");
}

#[test]
fn as_published_timers_and_reads_are_late() {
    assert!(fails_as_published("waits"), "glommio 0.9.0 was never late: does this test see anything?");
}
