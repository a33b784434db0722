//! A setting of a log that is altered holds at once, without a restart: the topic's own, and the default that all
//! topics take from the broker. Each is altered through the wire, and its effect is seen by a client or on disk.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test process is outside the simulation"
)]

mod kit;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use kit::{Broker, Client, PATIENCE, TempDir, fetch_request, produce_bytes};
use kring_wire::messages::fetch_response::FetchResponse;
use kring_wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use kring_wire::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use kring_wire::messages::list_offsets_response::ListOffsetsResponse;
use kring_wire::messages::produce_response::{PartitionProduceResponse, ProduceResponse};
use kring_wire::record::{BatchBuilder, Compression, split_batches};

const SECOND: i64 = 1000;
const HOUR: i64 = 3600 * SECOND;
const MESSAGE_TOO_LARGE: i16 = 10;
const INVALID_TIMESTAMP: i16 = 32;

/// The topic's name of a setting, the broker's name of its default, and what shows that it holds.
type Check = (&'static str, &'static str, fn(&mut Scene));

const CHECKS: [Check; 19] = [
    ("segment.bytes", "log.segment.bytes", segment_bytes),
    ("segment.ms", "log.roll.ms", segment_ms),
    ("segment.jitter.ms", "log.roll.jitter.ms", segment_jitter_ms),
    ("segment.index.bytes", "log.index.size.max.bytes", segment_index_bytes),
    ("index.interval.bytes", "log.index.interval.bytes", index_interval_bytes),
    ("max.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms", max_compaction_lag_ms),
    ("retention.bytes", "log.retention.bytes", retention_bytes),
    ("retention.ms", "log.retention.ms", retention_ms),
    ("cleanup.policy", "log.cleanup.policy", cleanup_policy),
    ("file.delete.delay.ms", "log.segment.delete.delay.ms", file_delete_delay_ms),
    ("flush.messages", "log.flush.interval.messages", flush_messages),
    ("flush.ms", "log.flush.interval.ms", flush_ms),
    ("max.message.bytes", "message.max.bytes", max_message_bytes),
    ("message.timestamp.type", "log.message.timestamp.type", timestamp_type),
    ("message.timestamp.before.max.ms", "log.message.timestamp.before.max.ms", timestamp_before),
    ("message.timestamp.after.max.ms", "log.message.timestamp.after.max.ms", timestamp_after),
    ("compression.type", "compression.type", compression_type),
    ("compression.gzip.level", "compression.gzip.level", gzip_level),
    ("compression.zstd.level", "compression.zstd.level", zstd_level),
];

/// Housekeeping without pauses to speak of.
const OPTIONS: [&str; 6] = [
    "-o",
    "log.initial.task.delay.ms=0",
    "-o",
    "log.retention.check.interval.ms=20",
    "-o",
    "log.flush.offset.checkpoint.interval.ms=20",
];

#[derive(Clone, Copy)]
enum Scope {
    Topic,
    AllBrokers,
}

/// A topic with one record for each batch, and the setting that is looked at.
struct Scene {
    dir: PathBuf,
    client: Client,
    scope: Scope,
    names: (&'static str, &'static str),
    topic: String,
    now_ms: i64,
}

fn check_all(scope: Scope) {
    let dir = TempDir::new("log-configs");
    let broker = Broker::start(&dir.0, &OPTIONS);
    for (topic_setting, broker_setting, check) in CHECKS {
        let topic = topic_setting.to_string();
        let mut client = broker.connect();
        client.create_topic(&topic, 1);
        let now_ms = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_millis() as i64;
        let mut scene = Scene {
            dir: dir.0.clone(),
            client,
            scope,
            names: (topic_setting, broker_setting),
            topic,
            now_ms,
        };
        check(&mut scene);
        if matches!(scope, Scope::AllBrokers) {
            scene.change((4, ""), broker_setting, None);
        }
    }
    assert!(broker.stop().success());
}

#[test]
fn every_setting_of_a_topics_log_holds_as_soon_as_it_is_altered() {
    check_all(Scope::Topic);
}

#[test]
fn every_brokers_default_of_a_log_holds_as_soon_as_it_is_altered() {
    check_all(Scope::AllBrokers);
}

impl Scene {
    /// Alters the setting that is looked at.
    fn alter(&mut self, value: &str) {
        match self.scope {
            Scope::Topic => self.set(self.names.0, value),
            Scope::AllBrokers => self.change((4, ""), self.names.1, Some(value)),
        }
    }

    /// Alters a setting of the topic itself.
    fn set(&mut self, name: &str, value: &str) {
        let topic = self.topic.clone();
        self.change((2, &topic), name, Some(value));
    }

    /// `None` takes the setting back.
    fn change(&mut self, (resource_type, resource): (i8, &str), name: &str, value: Option<&str>) {
        let config = AlterableConfig {
            name: name.into(),
            config_operation: i8::from(value.is_none()),
            value: value.map(Into::into),
        };
        let resource =
            AlterConfigsResource { resource_type, resource_name: resource.into(), configs: vec![config] };
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
        let answer = self.client.ask(1, &request).responses.remove(0);
        assert_eq!(answer.error_code, 0, "{name}={value:?}: {:?}", answer.error_message);
    }

    /// One batch of one record, so old and with a value so long.
    fn try_put(&mut self, age_ms: i64, bytes: usize) -> PartitionProduceResponse {
        let mut builder = BatchBuilder::new(Compression::NONE);
        let value: Vec<u8> = (0..bytes as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 29) as u8).collect();
        builder.append(self.now_ms - age_ms, Some(b"key"), Some(&value)).expect("a batch");
        let records = builder.build().expect("a batch").to_bytes();
        let answer: ProduceResponse = self.client.ask(9, &produce_bytes(&self.topic, 0, records));
        answer.responses[0].partition_responses[0].clone()
    }

    fn put(&mut self, age_ms: i64, bytes: usize) {
        let answer = self.try_put(age_ms, bytes);
        assert_eq!(answer.error_code, 0, "{}: {:?}", self.topic, answer.error_message);
    }

    /// The answer to a record that no setting forbids so far.
    fn refusal(&mut self, age_ms: i64, value: &str) -> i16 {
        self.put(age_ms, 1000);
        self.alter(value);
        self.try_put(age_ms, 1000).error_code
    }

    fn partition(&self) -> PathBuf {
        self.dir.join(format!("data/{}-0", self.topic))
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.partition()).expect("the partition's directory");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect()
    }

    /// Base offsets of the segments.
    fn segments(&self) -> Vec<i64> {
        let names = self.files();
        let mut bases: Vec<i64> =
            names.iter().filter_map(|name| name.strip_suffix(".log")?.parse().ok()).collect();
        bases.sort_unstable();
        bases
    }

    fn earliest(&mut self) -> i64 {
        let partition =
            ListOffsetsPartition { timestamp: -2, current_leader_epoch: -1, ..Default::default() };
        let topic = ListOffsetsTopic { name: self.topic.as_str().into(), partitions: vec![partition] };
        let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
        let answer: ListOffsetsResponse = self.client.ask(5, &request);
        answer.topics[0].partitions[0].offset
    }

    /// Up to where the checkpoint file says that the log is flushed.
    fn recovery_point(&self) -> i64 {
        let text = fs::read_to_string(self.dir.join("data/recovery-point-offset-checkpoint"));
        let line = format!("{} 0 ", self.topic);
        let text = text.unwrap_or_default();
        text.lines().find_map(|found| found.strip_prefix(&line)?.parse().ok()).unwrap_or(0)
    }

    /// Codec and bytes of each batch.
    fn batches(&mut self) -> Vec<(u8, usize)> {
        let answer: FetchResponse = self.client.ask(11, &fetch_request(&self.topic, 0, 0));
        let records = answer.responses[0].partitions[0].records.clone().expect("records");
        let bytes = records.as_bytes().expect("in memory").clone();
        let batches = split_batches(&bytes).map(|batch| batch.expect("a whole batch"));
        batches.map(|batch| (batch.bytes[22] & 7, batch.bytes.len())).collect()
    }

    fn until(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < deadline, "{}: {what} does not come: {:?}", self.topic, self.files());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

fn segment_bytes(scene: &mut Scene) {
    scene.put(0, 700_000);
    scene.put(0, 700_000);
    assert_eq!(scene.segments(), [0]);
    scene.alter("1048576");
    scene.put(0, 700_000);
    assert_eq!(scene.segments(), [0, 2]);
}

fn segment_ms(scene: &mut Scene) {
    scene.put(10 * SECOND, 10);
    scene.put(5 * SECOND, 10);
    assert_eq!(scene.segments(), [0]);
    scene.alter("5000");
    scene.put(5 * SECOND, 10);
    scene.put(4 * SECOND, 10);
    assert_eq!(scene.segments(), [0, 3]);
}

/// Three batches fit one segment without jitter, and at most two with it.
fn segment_jitter_ms(scene: &mut Scene) {
    scene.set("retention.ms", "-1");
    scene.set("segment.ms", "1000000000");
    scene.alter("1000000000");
    for n in 0..40 {
        scene.put((40 - n) * 500_000_000, 10);
    }
    let segments = scene.segments().len();
    assert!((20..40).contains(&segments), "{segments}");
}

fn segment_index_bytes(scene: &mut Scene) {
    scene.set("index.interval.bytes", "0");
    (0..10).for_each(|_| scene.put(0, 10));
    assert_eq!(scene.segments(), [0]);
    scene.alter("24");
    scene.put(0, 10);
    assert_eq!(scene.segments(), [0, 10]);
}

fn index_interval_bytes(scene: &mut Scene) {
    (0..10).for_each(|_| scene.put(10 * SECOND, 10));
    scene.alter("10");
    (0..10).for_each(|_| scene.put(10 * SECOND, 10));
    scene.set("segment.ms", "1");
    scene.put(0, 10);
    let index = fs::metadata(scene.partition().join("00000000000000000000.index")).expect("an index");
    assert_eq!(index.len(), 10 * 8, "an entry for each batch after the change");
}

fn max_compaction_lag_ms(scene: &mut Scene) {
    scene.set("cleanup.policy", "compact");
    scene.put(10 * SECOND, 10);
    scene.put(5 * SECOND, 10);
    assert_eq!(scene.segments(), [0]);
    scene.alter("1000");
    scene.put(5 * SECOND, 10);
    assert_eq!(scene.segments(), [0, 2]);
}

fn retention_bytes(scene: &mut Scene) {
    scene.set("segment.bytes", "1048576");
    (0..3).for_each(|_| scene.put(0, 700_000));
    assert_eq!(scene.earliest(), 0);
    scene.alter("1000000");
    scene.until("the new start", |scene| scene.earliest() == 1);
    scene.put(0, 700_000);
    scene.until("the next start", |scene| scene.earliest() == 2);
}

fn retention_ms(scene: &mut Scene) {
    (0..3).for_each(|_| scene.put(HOUR, 10));
    assert_eq!(scene.earliest(), 0);
    scene.alter("60000");
    scene.until("the new start", |scene| scene.earliest() == 3);
    scene.put(0, 10);
    // Readers are told of the start before the files go.
    scene.until("the newest segment to end before it goes", |scene| scene.segments() == [3]);
}

fn cleanup_policy(scene: &mut Scene) {
    scene.alter("");
    scene.set("retention.ms", "60000");
    scene.put(HOUR, 10);
    let kept = scene.topic.clone();
    for round in 0..2 {
        // When this one's records are gone, a round over all topics is over.
        scene.topic = format!("clock-{round}");
        scene.client.create_topic(&scene.topic, 1);
        scene.set("cleanup.policy", "delete");
        scene.set("retention.ms", "60000");
        scene.put(HOUR, 10);
        scene.until("a round", |scene| scene.earliest() == 1);
    }
    scene.topic = kept;
    assert_eq!(scene.earliest(), 0);
    scene.alter("delete");
    scene.until("the new start", |scene| scene.earliest() == 1);
}

fn file_delete_delay_ms(scene: &mut Scene) {
    let first = "00000000000000000000.log.deleted".to_string();
    scene.set("retention.ms", "60000");
    scene.put(HOUR, 10);
    scene.until("a deleted file", |scene| scene.files().contains(&first));
    scene.alter("0");
    scene.put(HOUR, 10);
    scene.until("the new start", |scene| scene.earliest() == 2);
    let is_second = |name: &String| name.starts_with("00000000000000000001.log");
    scene.until("the removal", |scene| !scene.files().iter().any(is_second));
    assert!(scene.files().contains(&first), "it was promised more time");
}

fn flush_messages(scene: &mut Scene) {
    scene.alter("1000000");
    (0..3).for_each(|_| scene.put(0, 10));
    assert_eq!(scene.recovery_point(), 0);
    scene.alter("1");
    scene.until("the flush", |scene| scene.recovery_point() == 3);
}

fn flush_ms(scene: &mut Scene) {
    scene.set("flush.messages", "1000000");
    scene.put(0, 10);
    assert_eq!(scene.recovery_point(), 0);
    scene.alter("5");
    scene.until("the flush", |scene| scene.recovery_point() == 1);
    scene.put(0, 10);
    scene.until("the next flush", |scene| scene.recovery_point() == 2);
}

fn max_message_bytes(scene: &mut Scene) {
    assert_eq!(scene.refusal(0, "200"), MESSAGE_TOO_LARGE);
}

fn timestamp_type(scene: &mut Scene) {
    assert_eq!(scene.try_put(HOUR, 10).log_append_time_ms, -1);
    scene.alter("LogAppendTime");
    assert!(scene.try_put(HOUR, 10).log_append_time_ms >= scene.now_ms);
}

fn timestamp_before(scene: &mut Scene) {
    assert_eq!(scene.refusal(HOUR, "60000"), INVALID_TIMESTAMP);
}

fn timestamp_after(scene: &mut Scene) {
    assert_eq!(scene.refusal(-HOUR / 2, "60000"), INVALID_TIMESTAMP);
}

fn compression_type(scene: &mut Scene) {
    scene.put(0, 100);
    scene.alter("zstd");
    scene.put(0, 100);
    scene.alter("producer");
    scene.put(0, 100);
    let codecs: Vec<u8> = scene.batches().into_iter().map(|(codec, _)| codec).collect();
    assert_eq!(codecs, [0, 4, 0]);
}

fn gzip_level(scene: &mut Scene) {
    a_level_changes_the_size(scene, "gzip", "9");
}

fn zstd_level(scene: &mut Scene) {
    a_level_changes_the_size(scene, "zstd", "19");
}

fn a_level_changes_the_size(scene: &mut Scene, codec: &str, best: &str) {
    scene.set("compression.type", codec);
    scene.alter("1");
    scene.put(0, 20_000);
    scene.alter(best);
    scene.put(0, 20_000);
    let sizes: Vec<usize> = scene.batches().into_iter().map(|(_, bytes)| bytes).collect();
    assert!(sizes[0] > sizes[1], "{codec}: {sizes:?}");
}
