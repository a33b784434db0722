//! What concerns a whole process, each in a child of its own: signals, a stuck shard, running out of descriptors.
#![allow(clippy::print_stdout)]

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use bytes::BytesMut;
use kring_runtime::net::{AcceptError, Listener, connect};
use kring_runtime::{RuntimeConfig, WatchdogConfig, fs, run, signal};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
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
        Ok("locked") => hold_a_lock(),
        _ => {}
    }
}

const LOCK: &str = "KRING_PROCESS_LOCK";

struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Running {
    fn start(role: &str) -> Self {
        Self::start_with(role, &[])
    }

    #[allow(clippy::disallowed_methods)]
    fn start_with(role: &str, env: &[(&str, &Path)]) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this test's own path"))
            .args(["--exact", "child", "--nocapture"])
            .env(ROLE, role)
            .envs(env.iter().copied())
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

fn hold_a_lock() {
    let path = std::env::var_os(LOCK).expect("the test names a file");
    let held = run(&RuntimeConfig::with_shards(1), move |_| {
        let path = path.clone();
        async move {
            let _lock = fs::lock_exclusive(Path::new(&path)).await.unwrap();
            println!("locked");
            std::future::pending::<()>().await;
        }
    });
    println!("ended {held:?}");
}

/// The rings of a killed process end a few milliseconds after it. Only a lock that lasts as long says that nothing of
/// it is under way any more.
#[test]
fn the_lock_of_a_killed_process_outlives_it_with_its_rings_and_no_longer() {
    let path = std::env::temp_dir().join(format!("kring-lock-{}", std::process::id()));
    let outlived = (0..20).filter(|_| kill_and_lock(&path)).count();
    rustix::fs::unlink(&path).expect("the file is ours");
    assert!(outlived > 0);
}

/// True if the lock was still held when the process was gone.
fn kill_and_lock(path: &Path) -> bool {
    let mut child = Running::start_with("locked", &[(LOCK, path)]);
    child.wait_for("locked");
    child.child.kill().expect("the child is ours");
    child.end();
    let file = rustix::fs::open(path, OFlags::RDWR, Mode::empty()).expect("the file is there");
    let outlived = flock(&file, FlockOperation::NonBlockingLockExclusive).is_err();
    // Hangs if it is held for good.
    flock(&file, FlockOperation::LockExclusive).expect("a lock");
    outlived
}
