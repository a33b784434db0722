//! What concerns a whole process, each in a child of its own: signals, a stuck shard, running out of descriptors.
#![allow(clippy::print_stdout)]

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use bytes::BytesMut;
use kring_runtime::net::{AcceptError, Listener, connect};
use kring_runtime::{RuntimeConfig, WatchdogConfig, run, signal};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

const ROLE: &str = "KRING_PROCESS_ROLE";

/// Does nothing unless it is the child of one of the tests below.
#[test]
fn child() {
    match std::env::var(ROLE).as_deref() {
        Ok("orderly") => orderly(true),
        Ok("stubborn") => orderly(false),
        Ok("stuck") => stuck(),
        Ok("descriptors") => run_out_of_descriptors(),
        _ => {}
    }
}

struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Running {
    #[allow(clippy::disallowed_methods)]
    fn start(role: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this test's own path"))
            .args(["--exact", "child", "--nocapture"])
            .env(ROLE, role)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child of this test");
        let lines = BufReader::new(child.stdout.take().expect("it was piped"));
        Self { child, lines }
    }

    /// Reads until the child has said `word`.
    fn wait_for(&mut self, word: &str) {
        let mut line = String::new();
        while !line.contains(word) {
            line.clear();
            assert!(
                self.lines.read_line(&mut line).expect("text") > 0,
                "the child ended without saying {word}"
            );
        }
    }

    fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("the child is ours");
    }

    fn end(mut self) -> ExitStatus {
        self.child.wait().expect("the child is ours")
    }
}

fn orderly(ends: bool) {
    let mains = run(&RuntimeConfig::with_shards(2), move |shard| async move {
        let asked = signal::shutdown();
        if shard.index() == 0 {
            let mut asked = std::pin::pin!(asked);
            assert!(futures_lite::future::poll_once(&mut asked).await.is_none());
            println!("ready");
            asked.await;
            println!("asked");
        } else {
            asked.await;
        }
        if !ends {
            std::future::pending::<()>().await;
        }
    });
    mains.expect("the shards run");
    println!("ended");
}

#[test]
fn a_signal_asks_every_shard_to_end() {
    let mut child = Running::start("orderly");
    child.wait_for("ready");
    child.terminate();
    child.wait_for("ended");
    assert!(child.end().success());
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let mut child = Running::start("stubborn");
    child.wait_for("ready");
    child.terminate();
    child.wait_for("asked");
    child.terminate();
    assert_eq!(child.end().code(), Some(128 + 15));
}

fn stuck() {
    let watchdog = WatchdogConfig {
        warn_after: Duration::from_millis(100),
        abort_after: Some(Duration::from_millis(500)),
    };
    let config = RuntimeConfig { watchdog, ..RuntimeConfig::with_shards(1) };
    #[allow(clippy::disallowed_methods)]
    let blocked = run(&config, |_| async { std::thread::sleep(Duration::from_secs(60)) });
    println!("survived {blocked:?}");
}

#[test]
fn a_shard_that_is_stuck_for_too_long_aborts_the_process() {
    let child = Running::start("stuck");
    assert_eq!(child.end().signal(), Some(6), "it is ended by SIGABRT");
}

fn run_out_of_descriptors() {
    let ended = run(&RuntimeConfig::with_shards(1), |_| async {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let limit = Rlimit { current: Some(100), maximum: getrlimit(Resource::Nofile).maximum };
        setrlimit(Resource::Nofile, limit).unwrap();
        let mut held = Vec::new();
        while let Ok(fd) = rustix::io::dup(std::io::stdout()) {
            held.push(fd);
        }
        // One descriptor for the client, none for the server.
        held.pop();
        let client = connect(listener.local_addr()).await.unwrap();
        for _ in 0..3 {
            assert!(matches!(listener.accept().await, Err(AcceptError::OutOfFiles(_))));
        }
        held.clear();
        let (mut reads, _writes) = listener.accept().await.unwrap().into_split();
        drop(client);
        assert_eq!(reads.read(&mut BytesMut::new()).await.unwrap(), 0);
    });
    ended.expect("the shard ends");
    println!("accepted");
}

#[test]
fn running_out_of_descriptors_is_told_and_the_connection_is_accepted_later() {
    let mut child = Running::start("descriptors");
    child.wait_for("accepted");
    assert!(child.end().success());
}
