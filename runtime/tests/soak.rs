//! The hang of glommio 0.9, and the watchdog that ends it.
//!
//! An executor whose preemption timer fires before its task queues were looked at takes "preempted" for "nothing to
//! run" and sleeps, with tasks that could run, until some event comes. The work below makes no events of its own:
//! without the watchdog a shard that falls asleep never ends. A child process does the work, since a shard that hangs
//! cannot be ended from inside. `KRING_LONG=1` soaks for a minute and then shows that the same work hangs unguarded.

#![allow(clippy::print_stdout)]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kring_runtime::{Queue, RuntimeConfig, WatchdogConfig, now, rescues, run, spawn, yield_now};

const ROLE: &str = "KRING_SOAK_ROLE";
const SECONDS: &str = "KRING_SOAK_SECONDS";

/// More shards than CPUs, so that the kernel takes the CPU away at every point, and a short preemption timer.
fn config(guarded: bool) -> RuntimeConfig {
    let watchdog = WatchdogConfig { enabled: guarded, ..WatchdogConfig::default() };
    RuntimeConfig { preempt: Duration::from_micros(50), watchdog, ..RuntimeConfig::with_shards(4) }
}

/// Tasks that only ever yield, in rounds, until the time is up.
fn work(guarded: bool, time: Duration) {
    let polls = run(&config(guarded), move |_| async move {
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
    assert!(polls.expect("the shards run").iter().all(|rounds| *rounds > 0));
}

async fn yield_often(times: u32) {
    for _ in 0..times {
        yield_now().await;
    }
}

/// Does nothing unless it is the child of one of the tests below.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let seconds = std::env::var(SECONDS).ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    work(role == "guarded", Duration::from_secs(seconds));
    println!("rescues {}", rescues());
}

#[allow(clippy::disallowed_methods)]
fn start_child(role: &str, seconds: u64) -> Child {
    Command::new(std::env::current_exe().expect("this test's own path"))
        .args(["--exact", "child", "--nocapture"])
        .env(ROLE, role)
        .env(SECONDS, seconds.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child of this test")
}

/// Whether the child ends by itself, successfully, in time; it is gone afterwards in any case.
#[allow(clippy::disallowed_methods)]
fn ends_within(child: &mut Child, limit: Duration) -> bool {
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Some(status) = child.try_wait().expect("the child is ours") {
            assert!(status.success(), "the child failed: {status}");
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().expect("the child is ours");
    child.wait().expect("the child is ours");
    false
}

/// The hang is likeliest where nothing has run yet, and where the last task has ended: many short lives.
#[test]
fn guarded_shards_start_and_end_whatever_the_kernel_does_to_them() {
    for _ in 0..if long() { 100 } else { 10 } {
        let mut child = start_child("guarded", 0);
        assert!(
            ends_within(&mut child, Duration::from_secs(30)),
            "a guarded shard hung at its start or its end"
        );
    }
}

fn long() -> bool {
    std::env::var("KRING_LONG").is_ok_and(|value| value == "1")
}

#[test]
fn guarded_shards_never_stay_asleep_with_tasks_that_can_run() {
    let seconds = if long() { 60 } else { 3 };
    let mut child = start_child("guarded", seconds);
    assert!(ends_within(&mut child, Duration::from_secs(seconds + 30)), "a guarded shard hung");
    let output = child.wait_with_output().expect("the child is ours");
    println!("{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn unguarded_shards_hang() {
    if !long() {
        return;
    }
    let mut child = start_child("unguarded", 20);
    assert!(
        !ends_within(&mut child, Duration::from_secs(40)),
        "glommio did not hang: is the watchdog still needed?"
    );
}
