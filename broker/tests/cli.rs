//! The command-line client, as a user runs it: real processes against a real broker.
#![allow(clippy::disallowed_methods, reason = "a test process is outside the simulation")]

mod kit;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use kit::{Broker, PATIENCE, TempDir};

/// A broker, and commands that are pointed at it.
struct Bench {
    broker: Broker,
    _dir: TempDir,
}

impl Bench {
    fn new(name: &str) -> Self {
        let dir = TempDir::new(name);
        let broker = Broker::start(&dir.0, &["--shards", "1", "-o", "group.initial.rebalance.delay.ms=0"]);
        Self { broker, _dir: dir }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = kring(words);
        command.args(["--server", &self.broker.address]);
        command
    }

    /// Runs a command with this input to its end.
    fn run_with(&self, words: &[&str], input: &str) -> Output {
        finish(self.command(words), input)
    }

    fn run(&self, words: &[&str]) -> String {
        self.feed(words, "")
    }

    /// The output of a command that succeeds and says nothing else.
    fn feed(&self, words: &[&str], input: &str) -> String {
        let output = self.run_with(words, input);
        let complaint = text(&output.stderr);
        assert!(output.status.success() && complaint.is_empty(), "{words:?}: {complaint}");
        text(&output.stdout)
    }

    /// The sentence of a command that fails.
    fn refusal(&self, words: &[&str], input: &str) -> String {
        sentence(&self.run_with(words, input))
    }
}

fn kring(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kring"));
    command.args(words).env("RUST_BACKTRACE", "1");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn finish(mut command: Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("kring runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_string();
    let writer = std::thread::spawn(move || {
        // A command that fails early reads nothing.
        let _closed_early = stdin.write_all(input.as_bytes());
    });
    let output = in_time(move || child.wait_with_output().expect("kring ends"));
    writer.join().expect("the input is written");
    output
}

/// Waits for what a thread gives, as long as anything may take.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(PATIENCE).expect("the command ends in time")
}

fn sentence(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    let complaint = text(&output.stderr);
    assert_eq!(complaint.lines().count(), 1, "one sentence, no backtrace: {complaint}");
    complaint.strip_prefix("kring: ").expect("a sentence of kring").trim_end().to_string()
}

/// A command whose output is read while it runs.
struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("kring runs");
        let lines = lines_of(child.stdout.take().expect("a pipe"));
        Self { child, lines }
    }

    /// The same for a command of which the complaints matter.
    fn start_reading_errors(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("kring runs");
        let lines = lines_of(child.stderr.take().expect("a pipe"));
        Self { child, lines }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line in time")
    }

    fn interrupt(&mut self) {
        let killed = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(killed.expect("kill runs").success());
    }

    /// The exit code, within the patience of tests.
    fn end(&mut self) -> Option<i32> {
        exit_code(&mut self.child)
    }
}

fn lines_of(out: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    let out = BufReader::new(out);
    std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    lines
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped_already = self.child.wait();
    }
}

fn exit_code(child: &mut Child) -> Option<i32> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().expect("the child can be asked") {
            return status.code();
        }
        assert!(Instant::now() < deadline, "the command did not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_topic_is_created_listed_described_and_deleted() {
    let bench = Bench::new("cli-topic");
    let create = ["topic", "create", "orders", "--partitions", "3", "-c", "retention.ms=60000"];
    assert_eq!(bench.run(&create), "created topic orders with 3 partitions\n");
    assert_eq!(bench.run(&["topic", "list"]), "orders\n");
    bench.feed(&["produce", "orders", "--partition", "1"], "one\ntwo\n");
    let described = bench.run(&["topic", "describe", "orders"]);
    let lines: Vec<String> =
        described.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(lines[0], "topic orders");
    assert_eq!(lines[2], "partitions 3");
    assert!(lines.iter().any(|line| line == "1 1 1 1 0 2"), "{described}");
    assert_eq!(lines.last().map(String::as_str), Some("retention.ms=60000"));
    assert_eq!(bench.run(&["topic", "delete", "orders"]), "deleted topic orders\n");
    assert_eq!(bench.run(&["topic", "list"]), "");
}

#[test]
fn what_is_produced_is_consumed_in_every_compression() {
    let bench = Bench::new("cli-round");
    let input: String = (0..5000).map(|n| format!("line number {n}\n")).collect();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = format!("round-{codec}");
        assert_eq!(bench.feed(&["produce", &topic, "--compression", codec], &input), "");
        let read = bench.run(&["consume", &topic, "--from-beginning", "--exit"]);
        assert!(read == input, "{codec}: {} bytes of {}", read.len(), input.len());
    }
}

#[test]
fn keys_choose_the_partition_and_come_back_with_the_format() {
    let bench = Bench::new("cli-keys");
    bench.run(&["topic", "create", "keyed", "-p", "4"]);
    bench.feed(&["produce", "keyed", "-K", ":"], "21:a\nfoobar:b\nno key\n21:c:d");
    let format = "%t %p %o [%k] %v\\n";
    let read = bench.run(&["consume", "keyed", "--from-beginning", "--exit", "--format", format]);
    // Kafka's clients: murmur2("21") is -973932308 and murmur2("foobar") -790332482.
    let of_21 = (-973932308i32 & i32::MAX) % 4;
    let of_foobar = (-790332482i32 & i32::MAX) % 4;
    let keyed: Vec<&str> = read.lines().filter(|line| !line.contains("[]")).collect();
    let value_at =
        |ending: &str| keyed.iter().find(|line| line.ends_with(ending)).expect("the record").to_string();
    assert!(value_at("[21] a").starts_with(&format!("keyed {of_21} ")), "{read}");
    assert!(value_at("[21] c:d").starts_with(&format!("keyed {of_21} ")), "{read}");
    assert!(value_at("[foobar] b").starts_with(&format!("keyed {of_foobar} ")), "{read}");
    assert!(read.lines().any(|line| line.ends_with("[] no key")), "{read}");
}

#[test]
fn reading_begins_where_it_is_told_to() {
    let bench = Bench::new("cli-offset");
    let input: String = (0..10).map(|n| format!("{n}\n")).collect();
    bench.feed(&["produce", "ten"], &input);
    let from = |offset: &str| bench.run(&["consume", "ten", "--offset", offset, "--exit"]);
    assert_eq!(from("7"), "7\n8\n9\n");
    assert_eq!(from("-2"), "8\n9\n");
    assert_eq!(from("-200"), input);
    assert_eq!(from("10"), "");
    assert_eq!(bench.run(&["consume", "ten", "--from-beginning", "-n", "3"]), "0\n1\n2\n");
    assert_eq!(bench.run(&["consume", "ten", "--exit"]), "");
}

#[test]
fn a_batch_that_the_topic_refuses_is_cut_until_it_fits() {
    let bench = Bench::new("cli-small");
    bench.run(&["topic", "create", "small", "-c", "max.message.bytes=200"]);
    let input: String = (0..300).map(|n| format!("{n}\n")).collect();
    bench.feed(&["produce", "small"], &input);
    assert_eq!(bench.run(&["consume", "small", "--from-beginning", "--exit"]), input);
    let refusal = bench.refusal(&["produce", "small"], &format!("fits\n{}\n", "x".repeat(500)));
    assert!(refusal.contains("MESSAGE_TOO_LARGE") && refusal.contains("line 2 "), "{refusal}");
}

#[test]
fn a_line_is_sent_and_printed_before_the_input_ends() {
    let bench = Bench::new("cli-live");
    bench.run(&["topic", "create", "live"]);
    let mut producer = Running::start(bench.command(&["produce", "live"]));
    let mut consumer = Running::start(bench.command(&["consume", "live", "--from-beginning"]));
    let mut input = producer.child.stdin.take().expect("a pipe");
    for n in 0..5 {
        writeln!(input, "record {n}").expect("the producer reads");
        assert_eq!(consumer.line(), format!("record {n}"));
    }
    drop(input);
    assert_eq!(producer.end(), Some(0));
    consumer.interrupt();
    assert_eq!(consumer.end(), Some(0), "Ctrl-C is an end like any other");
}

#[test]
fn an_interrupted_producer_has_sent_what_it_read() {
    let bench = Bench::new("cli-ctrl-c");
    bench.run(&["topic", "create", "cut"]);
    let mut producer = Running::start(bench.command(&["produce", "cut"]));
    let mut input = producer.child.stdin.take().expect("a pipe");
    input.write_all(b"whole\nhalf").expect("the producer reads");
    let consumer = Running::start(bench.command(&["consume", "cut", "--from-beginning"]));
    assert_eq!(consumer.line(), "whole");
    producer.interrupt();
    assert_eq!(producer.end(), Some(0));
    assert_eq!(consumer.line(), "half");
}

#[test]
fn a_producer_that_waits_for_its_broker_says_so_and_ends_when_it_is_told_to() {
    let dir = TempDir::new("cli-waits");
    let broker = Broker::start(&dir.0, &["--shards", "1"]);
    broker.connect().create_topic("t", 1);
    let mut producer =
        Running::start_reading_errors(&mut kring(&["produce", "t", "--server", &broker.address]));
    let mut input = producer.child.stdin.take().expect("a pipe");
    let mut consumer = Running::start({
        let mut command = kring(&["consume", "t", "--from-beginning", "--server", &broker.address]);
        command.stderr(Stdio::null());
        command
    });
    writeln!(input, "taken").expect("the producer reads");
    assert_eq!(consumer.line(), "taken");
    broker.kill();
    writeln!(input, "not taken").expect("the producer reads");
    let complaint = producer.line();
    assert!(complaint.ends_with("trying again"), "{complaint}");
    producer.interrupt();
    let asked = Instant::now();
    assert_eq!(producer.end(), Some(1));
    assert!(asked.elapsed() < PATIENCE / 2, "it does not try to the end");
    assert!(producer.line().contains("stopped before every record was acknowledged"));
    consumer.interrupt();
    consumer.end();
}

/// Runs a consumer whose reader goes away after the first line.
fn end_of_consumer_without_reader(bench: &Bench, topic: &str) -> Option<i32> {
    let mut command = bench.command(&["consume", topic, "--from-beginning"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("kring runs");
    let mut out: BufReader<ChildStdout> = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    out.read_line(&mut line).expect("a line");
    assert!(line.starts_with("line"), "{line}");
    drop(out);
    let code = exit_code(&mut child);
    let mut complaint = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut complaint).expect("text");
    assert_eq!(complaint, "");
    code
}

#[test]
fn a_reader_that_goes_away_ends_the_consumer_quietly() {
    let bench = Bench::new("cli-pipe");
    // More than a pipe holds, so that the writing fails; then little, so that nothing is written any more.
    let long: String = (0..50_000).map(|n| format!("line {n}\n")).collect();
    bench.feed(&["produce", "long"], &long);
    bench.feed(&["produce", "short"], "line\n");
    assert_eq!(end_of_consumer_without_reader(&bench, "long"), Some(0));
    assert_eq!(end_of_consumer_without_reader(&bench, "short"), Some(0));
}

#[test]
fn a_group_goes_on_where_it_was() {
    let bench = Bench::new("cli-group");
    bench.run(&["topic", "create", "shared", "-p", "3"]);
    let input: String = (0..30).map(|n| format!("{n}:{n}\n")).collect();
    bench.feed(&["produce", "shared", "-K", ":"], &input);
    let read = ["consume", "shared", "--group", "readers", "--from-beginning"];
    let first = bench.run(&[&read[..], &["-n", "11"]].concat());
    assert_eq!(first.lines().count(), 11);
    let mut second = Running::start(bench.command(&read));
    let then: Vec<String> = (0..19).map(|_| second.line()).collect();
    second.interrupt();
    assert_eq!(second.end(), Some(0));
    let all = first + &then.join("\n");
    let expected: String = (0..30).map(|n| format!("{n}\n")).collect();
    assert_eq!(sorted(&all), sorted(&expected), "every record once");
    assert_eq!(bench.run(&[&read[..], &["--exit"]].concat()), "", "Ctrl-C committed what was printed");
}

#[test]
fn two_members_of_a_group_share_the_partitions() {
    let bench = Bench::new("cli-members");
    bench.run(&["topic", "create", "halves", "-p", "2"]);
    let read = ["consume", "halves", "--group", "pair", "--from-beginning", "--format", "%p %v\\n"];
    let mut members = [&read, &read].map(|words| Running::start(bench.command(words)));
    // Records go to both partitions until the members read one each.
    let deadline = Instant::now() + PATIENCE;
    let mut round = 0;
    let homes = loop {
        round += 1;
        for partition in ["0", "1"] {
            bench.feed(&["produce", "halves", "--partition", partition], &format!("round {round}\n"));
        }
        let homes = partitions_of_round(&members, round);
        if homes.iter().all(|home| home.len() == 1) {
            break homes;
        }
        assert!(Instant::now() < deadline, "the members never shared: {homes:?}");
    };
    assert_ne!(homes[0], homes[1]);
    members[0].interrupt();
    assert_eq!(members[0].end(), Some(0));
    bench.feed(&["produce", "halves", "--partition", "0"], "last\n");
    bench.feed(&["produce", "halves", "--partition", "1"], "last\n");
    let mut last = [members[1].line(), members[1].line()];
    last.sort();
    assert_eq!(last, ["0 last", "1 last"], "who stays takes over from who left");
}

/// Which partitions each member printed for this round, when both records of it have been printed.
fn partitions_of_round(members: &[Running; 2], round: u32) -> [Vec<String>; 2] {
    let deadline = Instant::now() + PATIENCE;
    let mut homes = [Vec::new(), Vec::new()];
    while homes[0].len() + homes[1].len() < 2 {
        assert!(Instant::now() < deadline, "round {round} was not printed: {homes:?}");
        for (member, home) in members.iter().zip(&mut homes) {
            let Ok(line) = member.lines.recv_timeout(Duration::from_millis(10)) else { continue };
            let (partition, value) = line.split_once(' ').expect("partition and value");
            if value == format!("round {round}") {
                home.push(partition.to_string());
            }
        }
    }
    homes
}

#[test]
fn every_failure_is_one_sentence_that_says_what_to_do() {
    let bench = Bench::new("cli-errors");
    bench.run(&["topic", "create", "there"]);
    let missing = bench.refusal(&["consume", "nowhere"], "");
    assert!(
        missing.contains("'nowhere' does not exist") && missing.contains("kring topic create"),
        "{missing}"
    );
    for (words, part) in [
        (&["topic", "create", "there"][..], "TOPIC_ALREADY_EXISTS"),
        (&["topic", "create", "a/b"], "INVALID_TOPIC_EXCEPTION"),
        (&["topic", "create", "x", "-p", "0"], "INVALID_PARTITIONS"),
        (&["topic", "create", "x", "-c", "no.such=1"], "INVALID_CONFIG"),
        (&["topic", "delete", "nowhere"], "UNKNOWN_TOPIC_OR_PARTITION"),
        (&["topic", "describe", "nowhere"], "does not exist"),
        (&["produce", "a/b"], "INVALID_TOPIC_EXCEPTION"),
        (&["produce", "there", "--partition", "4"], "no partition 4"),
        (&["consume", "there", "--partition", "4"], "no partition 4"),
        (&["consume", "there", "--offset", "5"], "beyond the end"),
        (&["consume", "there", "--format", "%z"], "%z"),
        (&["consume", "there", "--group", ""], "INVALID_GROUP_ID"),
    ] {
        let refusal = bench.refusal(words, "x\n");
        assert!(refusal.contains(part), "{words:?}: {refusal}");
    }
}

#[test]
fn a_broker_that_is_not_there_is_named_with_what_to_try() {
    let dir = TempDir::new("cli-gone");
    let broker = Broker::start(&dir.0, &["--shards", "1"]);
    let address = broker.address.clone();
    assert!(broker.stop().success());
    for words in [&["topic", "list"][..], &["produce", "t"], &["consume", "t", "--group", "g"]] {
        let mut command = kring(words);
        command.args(["--server", &address]);
        let refusal = sentence(&finish(command, "x\n"));
        assert!(refusal.contains(&address) && refusal.contains("kring start"), "{refusal}");
    }
}

#[test]
fn a_start_takes_javas_bytes_and_says_what_it_does_not_follow() {
    let dir = TempDir::new("cli-start-says");
    let file = dir.0.join("server.properties");
    let text = b"# caf\xe9\nadvertised.listeners=PLAINTEXT://outside:1\n";
    std::fs::write(&file, text).expect("a file");
    let cpus = std::thread::available_parallelism().expect("a number").get();
    let shards = (cpus + 1).to_string();
    let file = file.to_str().expect("a name");
    assert!(Broker::start(&dir.0, &["--config", file, "--shards", &shards]).stop().success());
    let log = std::fs::read_to_string(dir.0.join("log")).expect("its log");
    for said in [":2: advertised.listeners is not used", "more shards than CPUs"] {
        assert!(log.lines().any(|line| line.contains("WARN") && line.contains(said)), "{said}: {log}");
    }
}

#[test]
fn a_directory_or_a_partition_that_is_there_twice_stops_the_start_and_both_are_named() {
    let dir = TempDir::new("cli-twice");
    let (one, two) = (dir.0.join("data"), dir.0.join("two"));
    let broker = Broker::start(&dir.0, &["--shards", "1"]);
    let fed = finish(kring(&["produce", "t", "--server", &broker.address]), "x\n");
    assert!(fed.status.success(), "{}", text(&fed.stderr));
    assert!(broker.stop().success());
    let refusal = |copied: &str, into: &str| {
        let copy = Command::new("cp").arg("-rT").arg(one.join(copied)).arg(two.join(into)).status();
        assert!(copy.expect("cp runs").success());
        let dirs = format!("log.dirs={},{}", one.display(), two.display());
        let refused = finish(kring(&["start", "--shards", "1", "--listen", "127.0.0.1:0", "-o", &dirs]), "");
        assert_eq!(refused.status.code(), Some(1));
        text(&refused.stderr)
    };
    let copied = refusal("", "");
    assert!(copied.contains("one is a copy of the other"), "{copied}");
    std::fs::remove_dir_all(&two).expect("it is there");
    std::fs::create_dir(&two).expect("it is gone");
    let twice = refusal("t-0", "t-0");
    assert!(twice.contains(&format!("t-0 is in {} and in {}", one.display(), two.display())), "{twice}");
}
