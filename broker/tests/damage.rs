//! Files damaged while the broker was down, and what its clients see then: exactly the damaged partition is offline.
//! A real broker on a real disk.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test process is outside the simulation"
)]

mod kit;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kring_wire::messages::delete_topics_request::DeleteTopicsRequest;
use kring_wire::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use kring_wire::messages::find_coordinator_request::FindCoordinatorRequest;
use kring_wire::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use kring_wire::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use kring_wire::messages::metadata_response::MetadataResponsePartition;
use kring_wire::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kring_wire::messages::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestTopic};

use kit::{Broker, Client, TempDir};

const LEADER_NOT_AVAILABLE: i16 = 5;
const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
const COORDINATOR_NOT_AVAILABLE: i16 = 15;
const NOT_COORDINATOR: i16 = 16;
const KAFKA_STORAGE_ERROR: i16 = 56;
const LOG: &str = "00000000000000000000.log";

/// A directory whose broker has stopped, with a copy of it as it was.
struct Stopped {
    dir: TempDir,
}

impl Stopped {
    /// Three records in each of these partitions of a topic.
    fn with_records(name: &str, partitions: i32) -> Stopped {
        Stopped::after(name, |client| {
            client.create_topic("t", partitions);
            for partition in 0..partitions {
                for value in ["a", "b", "c"] {
                    assert_eq!(client.produce("t", partition, &[value]).error_code, 0);
                }
            }
        })
    }

    fn after(name: &str, work: impl FnOnce(&mut Client)) -> Stopped {
        let dir = TempDir::new(name);
        let broker = Broker::start(&dir.0, &["--shards", "2"]);
        work(&mut broker.connect());
        assert!(broker.stop().success());
        copy_tree(&dir.0.join("data"), &dir.0.join("kept"));
        Stopped { dir }
    }

    fn file(&self, partition: &str, name: &str) -> PathBuf {
        self.dir.0.join("data").join(partition).join(name)
    }

    fn truncate(&self, partition: &str, name: &str, by: u64) {
        let file = fs::OpenOptions::new().write(true).open(self.file(partition, name)).expect("a segment");
        file.set_len(file.metadata().expect("its length").len() - by).expect("a writable segment");
    }

    fn flip(&self, partition: &str, name: &str, at: usize) {
        let path = self.file(partition, name);
        let mut bytes = fs::read(&path).expect("a segment");
        bytes[at] ^= 1;
        fs::write(path, bytes).expect("a writable segment");
    }

    /// Puts a partition back as it was.
    fn restore(&self, partition: &str) {
        fs::remove_dir_all(self.dir.0.join("data").join(partition)).expect("a partition directory");
        copy_tree(&self.dir.0.join("kept").join(partition), &self.dir.0.join("data").join(partition));
    }

    fn start(&self) -> Broker {
        Broker::start(&self.dir.0, &["--shards", "2"])
    }

    fn broker_log(&self) -> String {
        fs::read_to_string(self.dir.0.join("log")).expect("the broker's log")
    }
}

/// Runs `kring log` with these words: exit code, standard output, standard error.
fn kring_log(words: &[&str], path: &Path) -> (i32, String, String) {
    let ended = Command::new(env!("CARGO_BIN_EXE_kring"))
        .arg("log")
        .args(words)
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (ended.status.code().expect("it was not killed"), text(ended.stdout), text(ended.stderr))
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory").flatten() {
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy_tree(&entry.path(), &target),
            false => _ = fs::copy(entry.path(), target).expect("a file that can be copied"),
        }
    }
}

fn described(client: &mut Client, topic: &str, partition: i32) -> MetadataResponsePartition {
    let topics = Some(vec![MetadataRequestTopic { name: Some(topic.into()), ..Default::default() }]);
    let request = MetadataRequest { topics, ..MetadataRequest::default() };
    let mut answer = client.ask(12, &request);
    let mut partitions = std::mem::take(&mut answer.topics[0].partitions);
    partitions.retain(|p| p.partition_index == partition);
    partitions.remove(0)
}

fn end_offset(client: &mut Client, topic: &str, partition: i32) -> (i16, i64) {
    let partition =
        ListOffsetsPartition { partition_index: partition, timestamp: -1, ..ListOffsetsPartition::default() };
    let topic = ListOffsetsTopic { name: topic.into(), partitions: vec![partition] };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() };
    let answer = &client.ask(5, &request).topics[0].partitions[0];
    (answer.error_code, answer.offset)
}

/// The directory's error, and the partitions that it tells of.
fn partitions_on_disk(client: &mut Client, topic: &str) -> (i16, Vec<i32>) {
    let answer = client.ask(4, &DescribeLogDirsRequest { topics: None });
    let result = &answer.results[0];
    let of_topic = result.topics.iter().filter(|t| t.name.as_str() == topic);
    (result.error_code, of_topic.flat_map(|t| t.partitions.iter().map(|p| p.partition_index)).collect())
}

#[track_caller]
fn assert_offline(client: &mut Client, topic: &str, partition: i32) {
    let shown = described(client, topic, partition);
    let shown = (shown.error_code, shown.leader_id, shown.replica_nodes, shown.offline_replicas);
    assert_eq!(shown, (LEADER_NOT_AVAILABLE, -1, vec![1], vec![1]), "{partition}");
    assert_eq!(client.produce(topic, partition, &["x"]).error_code, KAFKA_STORAGE_ERROR, "{partition}");
    assert_eq!(client.fetch(topic, partition, 0).1, KAFKA_STORAGE_ERROR, "{partition}");
    assert_eq!(end_offset(client, topic, partition).0, KAFKA_STORAGE_ERROR, "{partition}");
}

#[track_caller]
fn assert_whole(client: &mut Client, topic: &str, partition: i32) {
    let shown = described(client, topic, partition);
    let shown = (shown.error_code, shown.leader_id, shown.offline_replicas);
    assert_eq!(shown, (0, 1, vec![]), "{partition}");
    let found: Vec<String> = client.fetch_all(topic, partition).into_iter().map(|(_, v)| v).collect();
    assert_eq!(found, ["a", "b", "c"], "{partition}");
}

#[test]
fn a_damaged_partition_alone_is_offline_and_a_start_after_its_repair_serves_it_again() {
    let stopped = Stopped::with_records("damaged", 6);
    stopped.truncate("t-0", LOG, 5);
    fs::write(stopped.file("t-1", "partition.metadata"), "garbage").expect("a writable directory");
    fs::remove_file(stopped.file("t-2", LOG)).expect("a segment");
    stopped.truncate("t-3", LOG, fs::metadata(stopped.file("t-3", LOG)).expect("a segment").len() / 3);
    let left = fs::read(stopped.file("t-0", LOG)).expect("a segment");
    for round in 0..2 {
        let broker = stopped.start();
        let mut client = broker.connect();
        (0..4).for_each(|partition| assert_offline(&mut client, "t", partition));
        [4, 5].into_iter().for_each(|partition| assert_whole(&mut client, "t", partition));
        assert_eq!(partitions_on_disk(&mut client, "t"), (0, vec![4, 5]));
        let told = stopped.broker_log();
        let line = |part: &str| told.lines().any(|line| line.contains("ERROR") && line.contains(part));
        assert!(line("t-0/00000000000000000000.log is damaged at byte "), "{round}: {told}");
        assert!(line("t-1/partition.metadata is damaged at byte 0"), "{round}: {told}");
        assert!(broker.stop().success());
        assert_eq!(fs::read(stopped.file("t-0", LOG)).expect("a segment"), left, "nothing is cut off");
    }
    (0..4).for_each(|partition| stopped.restore(&format!("t-{partition}")));
    let broker = stopped.start();
    let mut client = broker.connect();
    (0..6).for_each(|partition| assert_whole(&mut client, "t", partition));
    assert_eq!(client.produce("t", 0, &["d"]).base_offset, 3);
    assert_eq!(partitions_on_disk(&mut client, "t"), (0, vec![0, 1, 2, 3, 4, 5]));
}

#[test]
fn a_batch_header_that_changed_is_refused_for_its_offset_and_nothing_else() {
    let stopped = Stopped::with_records("header", 2);
    let batch = fs::metadata(stopped.file("t-0", LOG)).expect("a segment").len() as usize / 3;
    // The magic of the second batch.
    stopped.flip("t-0", LOG, batch + 16);
    let broker = stopped.start();
    let mut client = broker.connect();
    assert_eq!(client.fetch("t", 0, 1).1, KAFKA_STORAGE_ERROR);
    assert_eq!(client.fetch("t", 0, 1).1, KAFKA_STORAGE_ERROR);
    assert_whole(&mut client, "t", 1);
    let named = format!("{} is damaged at byte {batch}: ", stopped.file("t-0", LOG).display());
    assert_eq!(stopped.broker_log().matches(&named).count(), 1, "told once: {}", stopped.broker_log());
}

#[test]
fn damaged_checkpoints_take_no_partition_offline() {
    let names = [
        "recovery-point-offset-checkpoint",
        "log-start-offset-checkpoint",
        "cleaner-offset-checkpoint",
        "replication-offset-checkpoint",
        ".kafka_cleanshutdown",
    ];
    for garbage in [&b"garbage\n"[..], b"\xff\xfe", b""] {
        let stopped = Stopped::with_records("checkpoints", 2);
        names.iter().for_each(|name| fs::write(stopped.file("", name), garbage).expect("a writable file"));
        fs::write(stopped.file("t-0", "leader-epoch-checkpoint"), garbage).expect("a writable file");
        let broker = stopped.start();
        let mut client = broker.connect();
        [0, 1].into_iter().for_each(|partition| assert_whole(&mut client, "t", partition));
    }
}

#[test]
fn a_topic_with_a_damaged_partition_can_be_deleted_and_made_again() {
    let stopped = Stopped::with_records("deleted", 2);
    fs::write(stopped.file("t-0", "partition.metadata"), "garbage").expect("a writable directory");
    let broker = stopped.start();
    let mut client = broker.connect();
    let request =
        DeleteTopicsRequest { topic_names: vec!["t".into()], timeout_ms: 10_000, ..Default::default() };
    assert_eq!(client.ask(4, &request).responses[0].error_code, 0);
    assert!(!stopped.file("t-0", "").exists(), "its files are out of use");
    client.create_topic("t", 2);
    for partition in 0..2 {
        assert_eq!(client.produce("t", partition, &["new"]).base_offset, 0);
    }
}

#[test]
fn a_damaged_partition_whose_files_are_removed_begins_again() {
    let stopped = Stopped::with_records("removed", 2);
    stopped.truncate("t-0", LOG, 5);
    assert!(stopped.start().stop().success());
    fs::remove_dir_all(stopped.file("t-0", "")).expect("a partition directory");
    let points = stopped.file("", "recovery-point-offset-checkpoint");
    let text = fs::read_to_string(&points).expect("a checkpoint");
    let lines: Vec<&str> = text.lines().skip(2).filter(|line| !line.starts_with("t 0 ")).collect();
    fs::write(&points, format!("0\n{}\n{}\n", lines.len(), lines.join("\n"))).expect("a writable file");
    let broker = stopped.start();
    let mut client = broker.connect();
    assert_eq!(client.produce("t", 0, &["again"]).base_offset, 0);
    assert_eq!(described(&mut client, "t", 0).offline_replicas, [] as [i32; 0]);
}

/// A hole, longer than all the memory that the broker may take.
fn lengthen(path: &Path) {
    const BYTES: u64 = 4 << 30;
    let file = fs::OpenOptions::new().create(true).append(true).open(path).expect("a writable file");
    file.set_len(BYTES).expect("a file system that knows holes");
}

#[track_caller]
fn assert_small(broker: &Broker) {
    let most = broker.memory_bytes("VmHWM:");
    assert!(most < 1 << 30, "{most} bytes");
}

#[test]
fn files_of_gigabytes_where_small_ones_belong_cost_no_memory_and_no_record() {
    for is_clean in [true, false] {
        let stopped = Stopped::with_records("long", 1);
        for name in ["leader-epoch-checkpoint", "00000000000000000003.snapshot"] {
            lengthen(&stopped.file("t-0", name));
        }
        for suffix in ["index", "timeindex", "txnindex"] {
            lengthen(&stopped.file("t-0", &format!("00000000000000000000.{suffix}")));
        }
        for name in
            ["recovery-point-offset-checkpoint", "log-start-offset-checkpoint", "cleaner-offset-checkpoint"]
        {
            lengthen(&stopped.file("", name));
        }
        let marker = stopped.file("", ".kafka_cleanshutdown");
        if is_clean {
            lengthen(&marker)
        } else {
            fs::remove_file(&marker).expect("a marker")
        }
        let broker = stopped.start();
        let mut client = broker.connect();
        assert_whole(&mut client, "t", 0);
        assert_eq!(client.produce("t", 0, &["d"]).base_offset, 3);
        assert_eq!(end_offset(&mut client, "t", 0), (0, 4));
        assert_small(&broker);
        assert!(broker.stop().success());
    }
}

#[test]
fn a_file_of_gigabytes_that_is_needed_is_named_and_takes_its_own_with_it_and_no_memory() {
    let stopped = Stopped::with_records("needed", 2);
    lengthen(&stopped.file("t-0", "partition.metadata"));
    let broker = stopped.start();
    let mut client = broker.connect();
    assert_offline(&mut client, "t", 0);
    assert_whole(&mut client, "t", 1);
    assert!(stopped.broker_log().contains("t-0/partition.metadata is damaged"), "{}", stopped.broker_log());
    assert_small(&broker);
    assert!(broker.stop().success());
    lengthen(&stopped.file("", "meta.properties"));
    let data = stopped.file("", "");
    let ended = Command::new(env!("CARGO_BIN_EXE_kring"))
        .args(["start", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().expect("a plain path")])
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs");
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && told.contains("meta.properties is damaged"), "{told}");
}

#[test]
fn what_inspects_and_mends_takes_files_of_gigabytes_for_damage() {
    let stopped = Stopped::with_records("inspected", 1);
    let names = ["leader-epoch-checkpoint", "00000000000000000000.timeindex", "partition.metadata"];
    names.iter().for_each(|name| lengthen(&stopped.file("t-0", name)));
    let (code, found, _) = kring_log(&["verify"], &stopped.file("", ""));
    assert_ne!(code, 0, "{found}");
    names.iter().for_each(|name| assert!(found.contains(name), "{found}"));
    let (code, mended, why) = kring_log(&["repair", "--yes"], &stopped.file("", ""));
    assert_eq!(code, 0, "{mended}{why}");
    let broker = stopped.start();
    assert_whole(&mut broker.connect(), "t", 0);
}

#[test]
fn a_topic_id_that_rot_has_changed_keeps_its_records() {
    let stopped = Stopped::with_records("rot", 2);
    let path = stopped.file("t-0", "partition.metadata");
    let was = fs::read_to_string(&path).expect("a text");
    let at = was.find("topic_id: ").expect("an id") + 15;
    let letter = if &was[at..=at] == "B" { "C" } else { "B" };
    fs::write(&path, format!("{}{letter}{}", &was[..at], &was[at + 1..])).expect("a writable file");
    let broker = stopped.start();
    [0, 1].into_iter().for_each(|partition| assert_whole(&mut broker.connect(), "t", partition));
    assert_eq!(fs::read_to_string(&path).expect("a text"), was);
    let told = stopped.broker_log();
    assert!(
        told.lines().any(|line| line.contains("ERROR") && line.contains("t-0/partition.metadata")),
        "{told}"
    );
}

#[test]
fn a_directory_with_the_id_of_another_topic_that_there_is_is_not_put_aside() {
    let stopped = Stopped::after("other", |client| {
        for topic in ["t", "u"] {
            client.create_topic(topic, 1);
            for value in ["a", "b", "c"] {
                assert_eq!(client.produce(topic, 0, &[value]).error_code, 0);
            }
        }
    });
    fs::copy(stopped.file("u-0", "partition.metadata"), stopped.file("t-0", "partition.metadata"))
        .expect("a writable file");
    let broker = stopped.start();
    let mut client = broker.connect();
    assert_offline(&mut client, "t", 0);
    assert_whole(&mut client, "u", 0);
    assert!(broker.stop().success());
    stopped.restore("t-0");
    assert_whole(&mut stopped.start().connect(), "t", 0);
}

fn commit(client: &mut Client, group: &str, offset: i64) -> i16 {
    let partition = OffsetCommitRequestPartition { committed_offset: offset, ..Default::default() };
    let topic =
        OffsetCommitRequestTopic { name: "t".into(), partitions: vec![partition], ..Default::default() };
    let request = OffsetCommitRequest { group_id: group.into(), topics: vec![topic], ..Default::default() };
    client.ask(7, &request).topics[0].partitions[0].error_code
}

fn committed(client: &mut Client, group: &str) -> (i16, i64) {
    let topic = OffsetFetchRequestTopic { name: "t".into(), partition_indexes: vec![0] };
    let request =
        OffsetFetchRequest { group_id: group.into(), topics: Some(vec![topic]), ..Default::default() };
    let answer = client.ask(7, &request);
    let offset = answer.topics.first().map_or(-1, |topic| topic.partitions[0].committed_offset);
    (answer.error_code, offset)
}

fn coordinator(client: &mut Client, group: &str) -> i16 {
    client.ask(3, &FindCoordinatorRequest { key: group.into(), ..Default::default() }).error_code
}

/// Commits once the coordinator has loaded.
fn commit_when_loaded(client: &mut Client, group: &str, offset: i64) {
    assert_eq!(coordinator(client, group), 0);
    loop {
        match commit(client, group, offset) {
            COORDINATOR_LOAD_IN_PROGRESS => {}
            error => return assert_eq!(error, 0),
        }
    }
}

/// The partition of `__consumer_offsets` that holds records.
fn used_offsets_partition(stopped: &Stopped) -> Vec<String> {
    let names = fs::read_dir(stopped.file("", "")).expect("the data directory").flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let has_records = |name: &String| fs::metadata(stopped.file(name, LOG)).is_ok_and(|log| log.len() > 0);
    names.filter(|name| name.starts_with("__consumer_offsets-") && has_records(name)).collect()
}

#[test]
fn groups_of_a_damaged_offsets_partition_are_told_to_try_again_and_the_others_go_on() {
    let stopped = Stopped::after("offsets", |client| {
        client.create_topic("t", 1);
        commit_when_loaded(client, "hurt", 41);
    });
    let hurt = used_offsets_partition(&stopped);
    assert_eq!(hurt.len(), 1, "{hurt:?}");
    stopped.truncate(&hurt[0], LOG, 3);
    let broker = stopped.start();
    let mut client = broker.connect();
    assert_eq!(coordinator(&mut client, "hurt"), COORDINATOR_NOT_AVAILABLE);
    assert_eq!(committed(&mut client, "hurt").0, NOT_COORDINATOR);
    assert_eq!(commit(&mut client, "hurt", 42), NOT_COORDINATOR);
    commit_when_loaded(&mut client, "sound", 7);
    assert!(broker.stop().success());
    stopped.restore(&hurt[0]);
    let broker = stopped.start();
    let mut client = broker.connect();
    assert_eq!(coordinator(&mut client, "hurt"), 0);
    commit_when_loaded(&mut client, "sound", 8);
    commit_when_loaded(&mut client, "hurt", 43);
    assert_eq!(committed(&mut client, "hurt"), (0, 43));
}

#[test]
fn a_changed_byte_in_group_state_is_not_taken_for_state() {
    let stopped = Stopped::after("state", |client| {
        client.create_topic("t", 1);
        commit_when_loaded(client, "g", 41);
    });
    let name = used_offsets_partition(&stopped).remove(0);
    let bytes = fs::metadata(stopped.file(&name, LOG)).expect("a segment").len() as usize;
    stopped.flip(&name, LOG, bytes - 20);
    let broker = stopped.start();
    let mut client = broker.connect();
    while committed(&mut client, "g").0 == COORDINATOR_LOAD_IN_PROGRESS {}
    assert_eq!(committed(&mut client, "g").0, NOT_COORDINATOR);
    let told = stopped.broker_log();
    assert!(told.contains(&format!("{name}/{LOG} is damaged at byte 0")), "{told}");
}

#[test]
fn a_damaged_metadata_log_refuses_the_start_and_names_file_and_position() {
    for (damage, at) in [("flip", 400), ("cut", 0)] {
        let stopped = Stopped::with_records("metadata", 1);
        let name = "__cluster_metadata-0";
        match damage {
            "flip" => stopped.flip(name, LOG, at),
            _ => stopped.truncate(name, LOG, 7),
        }
        let data = stopped.file("", "");
        let output = Command::new(env!("CARGO_BIN_EXE_kring"))
            .args(["start", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(&data)
            .stdin(Stdio::null())
            .output()
            .expect("the broker's binary runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        let last = told.lines().last().unwrap_or_default();
        let file = stopped.file(name, LOG);
        assert!(last.contains(&format!("{} is damaged at byte ", file.display())), "{told}");
    }
}

#[test]
fn verify_names_what_is_damaged_and_repair_brings_the_partition_back() {
    let stopped = Stopped::with_records("way-back", 4);
    let data = stopped.file("", "");
    let batch = fs::metadata(stopped.file("t-0", LOG)).expect("a segment").len() as usize / 3;
    assert_eq!(kring_log(&["verify"], &data).0, 0);
    stopped.flip("t-0", LOG, batch + 65);
    stopped.truncate("t-1", LOG, 5);
    fs::write(stopped.file("t-2", "partition.metadata"), "garbage").expect("a writable directory");
    let (code, told, _) = kring_log(&["verify"], &data);
    let named = [
        format!("{}: byte {batch}, offset 1: checksum", stopped.file("t-0", LOG).display()),
        format!("{}: byte {}, offset 2: the batch ends early", stopped.file("t-1", LOG).display(), 2 * batch),
        format!("{}: byte 0: ", stopped.file("t-2", "partition.metadata").display()),
    ];
    assert_eq!((code, told.matches("damaged: ").count()), (1, 3), "{told}");
    assert!(named.iter().all(|line| told.contains(line)), "{told}");
    assert!(told.contains("3 damaged partitions"), "{told}");
    let before = fs::read(stopped.file("t-0", LOG)).expect("a segment");
    let (code, told, _) = kring_log(&["repair"], &data);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("would take bytes") && told.contains("offset 1 is lost"), "{told}");
    assert_eq!(
        fs::read(stopped.file("t-0", LOG)).expect("a segment"),
        before,
        "nothing is done without --yes"
    );
    let (code, told, _) = kring_log(&["repair", "--yes"], &data);
    assert_eq!((code, told.lines().last()), (0, Some("done")), "{told}");
    assert_eq!(kring_log(&["verify"], &data).0, 0);
    assert!(stopped.file("t-0", &format!("{LOG}.removed-{batch}")).exists());
    let broker = stopped.start();
    let mut client = broker.connect();
    let of = |value: &str, offset: i64| (offset, value.to_string());
    assert_eq!(client.fetch_all("t", 0), [of("a", 0), of("c", 2)]);
    assert_eq!(client.fetch_all("t", 1), [of("a", 0), of("b", 1)]);
    [2, 3].into_iter().for_each(|partition| assert_whole(&mut client, "t", partition));
    for partition in 0..4 {
        assert_eq!(client.produce("t", partition, &["d"]).base_offset, 3, "offsets do not go back");
    }
    drop(client);
    broker.kill();
    let broker = stopped.start();
    assert_eq!(broker.connect().fetch_all("t", 0), [of("a", 0), of("c", 2), of("d", 3)]);
}

#[test]
fn a_directory_of_a_running_broker_is_refused() {
    let dir = TempDir::new("running");
    let _broker = Broker::start(&dir.0, &[]);
    for words in [&["verify"][..], &["repair", "--yes"], &["dump"]] {
        let (code, out, said) = kring_log(words, &dir.0.join("data"));
        assert_eq!((code, out.as_str()), (2, ""), "{words:?}");
        assert!(said.contains("is in use") && said.contains("stop that broker first"), "{said}");
    }
}

#[test]
fn what_is_no_log_is_an_error_with_exit_code_2() {
    let dir = TempDir::new("no-log");
    for path in [dir.0.clone(), dir.0.join("missing")] {
        let (code, _, said) = kring_log(&["verify"], &path);
        assert_eq!((code, said.lines().count()), (2, 1), "{said}");
    }
    let ended = Command::new(env!("CARGO_BIN_EXE_kring")).args(["log", "verify"]).output().expect("it runs");
    assert_eq!(ended.status.code(), Some(2), "a directory must be named");
}

#[test]
fn dump_prints_batches_and_records_as_text_and_as_json() {
    let stopped = Stopped::with_records("dump", 1);
    let log = stopped.file("t-0", LOG);
    let (code, text, _) = kring_log(&["dump", "--records"], &log);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((code, lines.len()), (0, 2 + 3 * 2), "{text}");
    assert_eq!(lines[..2], [&format!("Dumping {}", log.display()), "Log starting offset: 0"]);
    assert!(lines[4].starts_with("baseOffset: 1 lastOffset: 1 count: 1 baseSequence: -1"), "{text}");
    assert!(
        lines[5].starts_with("| offset: 1 CreateTime: ") && lines[5].ends_with("headerKeys: [] payload: b")
    );
    let (code, json, _) = kring_log(&["dump", "--records", "--format", "json"], &stopped.file("t-0", ""));
    assert_eq!((code, json.lines().count()), (0, 3));
    assert!(json.lines().all(|line| line.starts_with("{\"file\":") && line.ends_with("]}]}")), "{json}");
    assert!(json.contains("\"key\":null,\"value\":\"c\",\"headers\":[]"), "{json}");
    stopped.flip("t-0", LOG, 65);
    let (code, text, _) = kring_log(&["dump"], &log);
    assert!(code == 1 && text.contains("damaged: bytes 0 to ") && text.contains("baseOffset: 2"), "{text}");
}

#[test]
fn dump_says_what_the_records_of_the_metadata_log_mean() {
    let stopped = Stopped::with_records("dump-metadata", 1);
    let log = stopped.file("__cluster_metadata-0", "");
    let (code, text, said) = kring_log(&["dump", "--cluster-metadata-decoder"], &log);
    assert_eq!(code, 0, "{said}");
    assert!(
        text.contains(r#" payload: {"type":"TOPIC_RECORD","version":0,"data":{"name":"t","topicId":""#),
        "{text}"
    );
    assert!(!text.contains("skipping"), "{text}");
    let words = ["dump", "--cluster-metadata-decoder", "--format", "json"];
    let (code, json, _) = kring_log(&words, &log);
    assert!(code == 0 && json.contains(r#""key":null,"value":{"type":"PARTITION_RECORD","#), "{json}");
    let both = ["dump", "--cluster-metadata-decoder", "--offsets-decoder"];
    assert_eq!(kring_log(&both, &log).0, 2, "a record is one or the other");
}

#[test]
fn a_reader_that_goes_away_ends_a_dump_quietly() {
    let stopped = Stopped::after("pipe", |client| {
        client.create_topic("t", 1);
        let value = "x".repeat(1 << 19);
        (0..8).for_each(|_| assert_eq!(client.produce("t", 0, &[&value]).error_code, 0));
    });
    let mut child = Command::new(env!("CARGO_BIN_EXE_kring"))
        .args(["log", "dump", "--records"])
        .arg(stopped.file("t-0", LOG))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!((ended.status.code(), ended.stderr.len()), (Some(0), 0), "{ended:?}");
}
