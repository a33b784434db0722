//! Transcripts: an operation, and under it the records and the answer that it brings. Words and codes are those
//! of Apache Kafka 4.3.1, asked with the same requests.

use kring_wire::Str;

use super::*;
use crate::config::Flags;
use crate::metadata::{BatchPlace, Endpoint, Replay, record_batch};

struct Scene {
    controller: Controller,
    next_id: u128,
    log: Vec<MetadataRecord>,
}

impl Scene {
    fn new() -> Self {
        Self::with("")
    }

    /// A registered broker with these properties.
    fn with(properties: &str) -> Self {
        let config = BrokerConfig::from_sources(Some(("f", properties)), &[], &Flags::default());
        let (config, _) = config.expect("good properties");
        let controller = Controller::new(Arc::new(config), Image::default());
        let mut scene = Self { controller, next_id: 0, log: Vec::new() };
        scene.ask(ControllerRequest::RegisterBroker(registration(false)));
        scene
    }

    fn ask(&mut self, request: ControllerRequest) -> String {
        let next_id = &mut self.next_id;
        let outcome = self.controller.handle(request, &mut || {
            *next_id += 1;
            Uuid::from_u128(*next_id)
        });
        self.controller.replay(&outcome.records).expect("its own records fit");
        let lines = outcome.records.iter().map(record_line).chain(reply_lines(&outcome.reply));
        let text = lines.collect::<Vec<_>>().join("\n");
        self.log.extend(outcome.records);
        text
    }

    fn create(&mut self, topics: Vec<NewTopic>) -> String {
        self.ask(ControllerRequest::CreateTopics { topics, validate_only: false })
    }

    fn grow(&mut self, topics: Vec<PartitionIncrease>) -> String {
        self.ask(ControllerRequest::CreatePartitions { topics, validate_only: false })
    }

    fn alter(&mut self, kind: i8, name: &str, changes: &[(&str, i8, Option<&str>)]) -> String {
        let list = changes.iter().map(|(name, op, value)| ((*name).into(), *op, value.map(Str::from)));
        let changes = ConfigChanges::Change(list.collect());
        let resource = AlteredResource { kind, name: name.into() };
        let resources = vec![ConfigAlteration { resource, changes }];
        self.ask(ControllerRequest::AlterConfigs { resources, validate_only: false })
    }
}

fn registration(after_unclean_stop: bool) -> Registration {
    let endpoint = Endpoint { listener: "L".into(), host: "h".into(), port: 1, security_protocol: 0 };
    Registration {
        incarnation_id: Uuid::from_u128(900),
        broker_epoch: 2,
        endpoints: vec![endpoint],
        rack: None,
        log_dirs: vec![Uuid::from_u128(800)],
        after_unclean_stop,
        placement: Placement::default(),
    }
}

fn record_line(record: &MetadataRecord) -> String {
    use MetadataRecord as R;
    let id = |id: &Uuid| id.as_u128();
    match record {
        R::Topic(r) => format!("+ topic {} #{}", r.name, id(&r.topic_id)),
        R::Config(r) => format!("+ config {}/{} {}={:?}", r.resource_type, r.resource_name, r.name, r.value),
        R::Partition(r) => {
            let (isr, dirs) = (&r.isr, r.directories.iter().map(id).collect::<Vec<_>>());
            format!(
                "+ partition #{}-{} {:?} isr {isr:?} dirs {dirs:?}",
                id(&r.topic_id),
                r.partition_id,
                r.replicas
            )
        }
        R::PartitionChange(r) => format!("+ elect #{}-{} {}", id(&r.topic_id), r.partition_id, r.leader),
        R::RemoveTopic(r) => format!("+ remove #{}", id(&r.topic_id)),
        R::FeatureLevel(r) => format!("+ feature {} {}", r.name, r.feature_level),
        R::RegisterBroker(r) => {
            format!("+ broker {} epoch {} fenced {}", r.broker_id, r.broker_epoch, r.fenced)
        }
        R::ProducerIds(r) => {
            format!("+ producer ids {} for {}@{}", r.next_producer_id, r.broker_id, r.broker_epoch)
        }
        other => format!("+ {}", other.name()),
    }
}

fn said<T>(result: &Result<T, Refused>, ok: impl Fn(&T) -> String) -> String {
    match result {
        Ok(value) => ok(value),
        Err(Refused { code, message }) => {
            format!("{code}({}) {}", code.0, message.as_deref().unwrap_or("null"))
        }
    }
}

fn reply_lines(reply: &ControllerReply) -> Vec<String> {
    let ok = |_: &()| "ok".to_string();
    match reply {
        ControllerReply::Registered { broker_epoch } => vec![format!("registered at {broker_epoch}")],
        ControllerReply::Topics(list) => {
            let created = |t: &CreatedTopic| {
                let id = t.id.as_u128();
                format!("#{id} {}x{} {:?}", t.partitions, t.replication_factor, t.configs)
            };
            list.iter().map(|t| format!("{}: {}", t.name, said(&t.result, created))).collect()
        }
        ControllerReply::Deleted(list) => list
            .iter()
            .map(|t| format!("{:?} #{}: {}", t.name, t.id.as_u128(), said(&t.result, ok)))
            .collect(),
        ControllerReply::Partitions(list) => {
            list.iter().map(|(name, result)| format!("{name}: {}", said(result, ok))).collect()
        }
        ControllerReply::Configs(list) => {
            list.iter().map(|(r, result)| format!("{}/{}: {}", r.kind, r.name, said(result, ok))).collect()
        }
        ControllerReply::ProducerIds(result) => vec![said(result, |block| format!("{block:?}"))],
        ControllerReply::Failed => vec!["failed".to_string()],
    }
}

fn topic(name: &str, partitions: i32, replication_factor: i16) -> NewTopic {
    NewTopic { name: name.into(), partitions, replication_factor, ..NewTopic::default() }
}

fn assigned(name: &str, assignments: &[(i32, &[i32])]) -> NewTopic {
    let assignments = assignments.iter().map(|(index, brokers)| (*index, brokers.to_vec())).collect();
    NewTopic { assignments, ..topic(name, -1, -1) }
}

fn configured(name: &str, configs: &[(&str, Option<&str>)]) -> NewTopic {
    let configs = configs.iter().map(|(name, value)| ((*name).into(), value.map(Str::from))).collect();
    NewTopic { configs, ..topic(name, 1, 1) }
}

fn increase(name: &str, count: i32, assignments: Option<&[&[i32]]>) -> PartitionIncrease {
    let assignments = assignments.map(|list| list.iter().map(|brokers| brokers.to_vec()).collect());
    PartitionIncrease { name: name.into(), count, assignments }
}

#[track_caller]
fn reads(said: &str, expected: &[&str]) {
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn the_first_start_turns_the_metadata_version_on_and_registers() {
    let config = BrokerConfig::from_sources(None, &[], &Flags::default()).expect("defaults").0;
    let controller = Controller::new(Arc::new(config), Image::default());
    assert_eq!(controller.registration_offset(1), 2);
    let mut scene = Scene { controller, next_id: 0, log: Vec::new() };
    reads(
        &scene.ask(ControllerRequest::RegisterBroker(registration(false))),
        &["+ feature metadata.version 30", "+ broker 1 epoch 2 fenced false", "registered at 2"],
    );
    assert_eq!(scene.controller.registration_offset(9), 9);
}

#[test]
fn only_a_start_after_an_unclean_stop_opens_a_new_leader_epoch() {
    let mut scene = Scene::new();
    scene.create(vec![topic("a", 2, 1)]);
    reads(
        &scene.ask(ControllerRequest::RegisterBroker(registration(false))),
        &["+ broker 1 epoch 2 fenced false", "registered at 2"],
    );
    reads(
        &scene.ask(ControllerRequest::RegisterBroker(registration(true))),
        &["+ broker 1 epoch 2 fenced false", "+ elect #1-0 1", "+ elect #1-1 1", "registered at 2"],
    );
    let epochs = scene.controller.image().topic("a").map(|t| t.partitions[1].leader_epoch);
    assert_eq!(epochs, Some(1));
}

#[test]
fn topics_are_created_with_what_was_asked_or_the_defaults() {
    let mut scene = Scene::with("num.partitions=2");
    reads(
        &scene.create(vec![configured("a", &[("retention.ms", Some("7"))]), topic("b", -1, -1)]),
        &[
            "+ topic a #1",
            "+ config 2/a retention.ms=Some(\"7\")",
            "+ partition #1-0 [1] isr [1] dirs [800]",
            "+ topic b #2",
            "+ partition #2-0 [1] isr [1] dirs [800]",
            "+ partition #2-1 [1] isr [1] dirs [800]",
            "a: #1 1x1 {\"retention.ms\": \"7\"}",
            "b: #2 2x1 {}",
        ],
    );
}

#[test]
fn names_that_cannot_be_are_refused() {
    let mut scene = Scene::new();
    scene.create(vec![topic("col_x", 1, 1)]);
    reads(
        &scene.create(vec![
            topic("a b", 1, 1),
            topic("", 1, 1),
            topic("col_x", 1, 1),
            topic("col.x", 1, 1),
            topic("twice", 1, 1),
            topic("twice", 2, 1),
            topic("__cluster_metadata", 1, 1),
        ]),
        &[
            "a b: INVALID_TOPIC_EXCEPTION(17) Topic name is invalid: 'a b' contains one or more characters other \
             than ASCII alphanumerics, '.', '_' and '-'",
            ": INVALID_TOPIC_EXCEPTION(17) Topic name is invalid: the empty string is not allowed",
            "col_x: TOPIC_ALREADY_EXISTS(36) Topic 'col_x' already exists.",
            "col.x: INVALID_TOPIC_EXCEPTION(17) Topic 'col.x' collides with existing topic: col_x",
            "__cluster_metadata: INVALID_REQUEST(42) Creation of internal topic __cluster_metadata is prohibited.",
            "twice: INVALID_REQUEST(42) Duplicate topic name.",
        ],
    );
}

#[test]
fn counts_that_cannot_be_are_refused() {
    reads(
        &Scene::new().create(vec![
            topic("p0", 0, 1),
            topic("p-2", -2, 1),
            topic("r0", 1, 0),
            topic("r2", 1, 2),
        ]),
        &[
            "p0: INVALID_PARTITIONS(37) Number of partitions was set to an invalid non-positive value.",
            "p-2: INVALID_PARTITIONS(37) Number of partitions was set to an invalid non-positive value.",
            "r0: INVALID_REPLICATION_FACTOR(38) Replication factor must be larger than 0, or -1 to use the default \
             value.",
            "r2: INVALID_REPLICATION_FACTOR(38) Unable to replicate the partition 2 time(s): The target \
             replication factor of 2 cannot be reached because only 1 broker(s) are registered or some brokers \
             have all their log directories cordoned.",
        ],
    );
}

#[test]
fn a_request_for_too_many_partitions_creates_nothing() {
    let message = "POLICY_VIOLATION(44) Excessively large number of partitions per request.";
    let mut scene = Scene::new();
    reads(
        &scene.create(vec![topic("a", 6000, 1), topic("b", 6000, 1)]),
        &[&format!("a: {message}"), &format!("b: {message}")],
    );
    scene.create(vec![topic("a", 1, 1)]);
    reads(&scene.grow(vec![increase("a", 20_000, None)]), &[&format!("a: {message}")]);
}

#[test]
fn manual_assignments_are_checked() {
    let both = NewTopic { partitions: 1, ..assigned("m1", &[(0, &[1])]) };
    let factor = NewTopic { replication_factor: 1, ..assigned("m2", &[(0, &[1])]) };
    reads(
        &Scene::new().create(vec![
            both,
            factor,
            assigned("m3", &[(0, &[])]),
            assigned("m4", &[(0, &[2])]),
            assigned("m5", &[(0, &[1, 1])]),
            assigned("m6", &[(1, &[1])]),
            assigned("m7", &[(0, &[1]), (0, &[1])]),
            assigned("m8", &[(1, &[1]), (0, &[1])]),
        ]),
        &[
            "+ topic m8 #1",
            "+ partition #1-0 [1] isr [1] dirs [800]",
            "+ partition #1-1 [1] isr [1] dirs [800]",
            "m1: INVALID_REQUEST(42) A manual partition assignment was specified, but numPartitions was not set to \
             -1.",
            "m2: INVALID_REQUEST(42) A manual partition assignment was specified, but replication factor was not \
             set to -1.",
            "m3: INVALID_REPLICA_ASSIGNMENT(39) The manual partition assignment includes an empty replica list.",
            "m4: INVALID_REPLICA_ASSIGNMENT(39) The manual partition assignment includes broker 2, but no such \
             broker is registered.",
            "m5: INVALID_REPLICA_ASSIGNMENT(39) The manual partition assignment includes the broker 1 more than \
             once.",
            "m6: INVALID_REPLICA_ASSIGNMENT(39) partitions should be a consecutive 0-based integer sequence",
            "m7: INVALID_REPLICA_ASSIGNMENT(39) Found multiple manual partition assignments for partition 0",
            "m8: #1 2x1 {}",
        ],
    );
}

#[test]
fn settings_of_a_new_topic_are_checked() {
    reads(
        &Scene::new().create(vec![
            configured("c1", &[("nope", Some("1"))]),
            configured("c2", &[("retention.ms", None), ("flush.ms", None)]),
            configured("c3", &[("retention.ms", Some("x"))]),
            configured("c4", &[("min.compaction.lag.ms", Some("10")), ("max.compaction.lag.ms", Some("5"))]),
        ]),
        &[
            "c1: INVALID_CONFIG(40) Unknown topic config name: nope",
            "c2: INVALID_CONFIG(40) Null value not supported for topic configs: retention.ms,flush.ms",
            "c3: INVALID_CONFIG(40) Invalid value x for configuration retention.ms: Not a number of type LONG",
            "c4: INVALID_CONFIG(40) conflict topic config setting min.compaction.lag.ms (10) > \
             max.compaction.lag.ms (5)",
        ],
    );
}

#[test]
fn validating_answers_and_changes_nothing() {
    let mut scene = Scene::new();
    let topics = vec![topic("a", 1, 1)];
    reads(&scene.ask(ControllerRequest::CreateTopics { topics, validate_only: true }), &["a: #1 1x1 {}"]);
    assert_eq!(scene.controller.image().topic("a"), None);
    scene.create(vec![topic("a", 1, 1)]);
    let topics = vec![increase("a", 5, None)];
    reads(&scene.ask(ControllerRequest::CreatePartitions { topics, validate_only: true }), &["a: ok"]);
    let changes = ConfigChanges::Change(vec![("retention.ms".into(), 0, Some("1".into()))]);
    let resources =
        vec![ConfigAlteration { resource: AlteredResource { kind: 2, name: "a".into() }, changes }];
    reads(&scene.ask(ControllerRequest::AlterConfigs { resources, validate_only: true }), &["2/a: ok"]);
}

#[test]
fn the_offsets_topic_comes_as_its_coordinator_keeps_it() {
    let mut scene = Scene::with("offsets.topic.num.partitions=2\noffsets.topic.replication.factor=3");
    let names = || ["t", "__consumer_offsets", "t", "__transaction_state"].map(Str::from).to_vec();
    reads(
        &scene.ask(ControllerRequest::CreateMissing { names: names() }),
        &[
            "+ topic __consumer_offsets #1",
            "+ config 2/__consumer_offsets cleanup.policy=Some(\"compact\")",
            "+ config 2/__consumer_offsets compression.type=Some(\"producer\")",
            "+ config 2/__consumer_offsets segment.bytes=Some(\"104857600\")",
            "+ partition #1-0 [1] isr [1] dirs [800]",
            "+ partition #1-1 [1] isr [1] dirs [800]",
            "+ topic t #2",
            "+ partition #2-0 [1] isr [1] dirs [800]",
            "__consumer_offsets: #1 2x1 {\"cleanup.policy\": \"compact\", \"compression.type\": \"producer\", \
             \"segment.bytes\": \"104857600\"}",
            "t: #2 1x1 {}",
        ],
    );
    reads(&scene.ask(ControllerRequest::CreateMissing { names: names() }), &[]);
}

#[test]
fn topics_are_deleted_by_name_or_id_and_every_wrong_way_is_told() {
    let mut scene = Scene::new();
    scene.create(["a", "b", "c", "d"].map(|name| topic(name, 1, 1)).to_vec());
    let by_name = |name: &str| TopicTarget { name: Some(name.into()), id: Uuid::ZERO };
    let by_id = |id: u128| TopicTarget { name: None, id: Uuid::from_u128(id) };
    let both = TopicTarget { name: Some("x".into()), id: Uuid::from_u128(7) };
    let topics = vec![
        by_name("a"),
        by_id(2),
        by_name("nope"),
        by_id(9),
        by_id(0),
        both,
        by_name("twice"),
        by_name("twice"),
        by_id(3),
        by_name("c"),
    ];
    reads(
        &scene.ask(ControllerRequest::DeleteTopics { topics }),
        &[
            "+ remove #1",
            "+ remove #2",
            "None #0: INVALID_REQUEST(42) Neither topic name nor id were specified.",
            "Some(\"x\") #7: INVALID_REQUEST(42) You may not specify both topic name and topic id.",
            "Some(\"twice\") #0: INVALID_REQUEST(42) Duplicate topic name.",
            "None #9: UNKNOWN_TOPIC_ID(100) This server does not host this topic ID.",
            "Some(\"c\") #3: INVALID_REQUEST(42) The provided topic name maps to an ID that was already supplied.",
            "Some(\"nope\") #0: UNKNOWN_TOPIC_OR_PARTITION(3) This server does not host this topic-partition.",
            "Some(\"a\") #1: ok",
            "Some(\"b\") #2: ok",
        ],
    );
}

#[test]
fn partitions_are_added_and_never_taken() {
    let mut scene = Scene::new();
    scene.create(vec![topic("t", 2, 1), topic("u", 2, 1)]);
    reads(
        &scene.grow(vec![increase("t", 3, None), increase("u", 3, Some(&[&[1]]))]),
        &[
            "+ partition #1-2 [1] isr [1] dirs [800]",
            "+ partition #2-2 [1] isr [1] dirs [800]",
            "t: ok",
            "u: ok",
        ],
    );
    let answers = [
        (increase("t", 3, None), "INVALID_PARTITIONS(37) Topic already has 3 partition(s)."),
        (
            increase("t", 1, None),
            "INVALID_PARTITIONS(37) The topic t currently has 3 partition(s); 1 would not be an increase.",
        ),
        (increase("nope", 3, None), "UNKNOWN_TOPIC_OR_PARTITION(3) null"),
        (
            increase("t", 5, Some(&[&[1]])),
            "INVALID_REPLICA_ASSIGNMENT(39) Attempted to add 2 additional partition(s), but only 1 assignment(s) \
             were specified.",
        ),
        (
            increase("t", 4, Some(&[&[7]])),
            "INVALID_REPLICA_ASSIGNMENT(39) The manual partition assignment includes broker 7, but no such broker \
             is registered.",
        ),
        (
            increase("t", 4, Some(&[&[]])),
            "INVALID_REPLICA_ASSIGNMENT(39) The manual partition assignment includes an empty replica list.",
        ),
    ];
    for (asked, answer) in answers {
        let name = asked.name.clone();
        reads(&scene.grow(vec![asked]), &[&format!("{name}: {answer}")]);
    }
    let twice = vec![increase("t", 4, None), increase("t", 5, None)];
    reads(&scene.grow(twice), &["t: INVALID_REQUEST(42) Duplicate topic name."]);
}

#[test]
fn a_topics_settings_change_one_by_one() {
    let mut scene = Scene::new();
    scene.create(vec![topic("t", 1, 1)]);
    reads(
        &scene.alter(2, "t", &[("retention.ms", 0, Some("5")), ("cleanup.policy", 2, Some("compact"))]),
        &[
            "+ config 2/t cleanup.policy=Some(\"delete,compact\")",
            "+ config 2/t retention.ms=Some(\"5\")",
            "2/t: ok",
        ],
    );
    reads(&scene.alter(2, "t", &[("retention.ms", 0, Some("5"))]), &["2/t: ok"]);
    reads(&scene.alter(2, "t", &[("retention.ms", 1, None)]), &["+ config 2/t retention.ms=None", "2/t: ok"]);
}

#[test]
fn replacing_a_topics_settings_unsets_the_others() {
    let mut scene = Scene::new();
    scene.create(vec![configured("t", &[("retention.ms", Some("5")), ("flush.ms", Some("6"))])]);
    let changes = ConfigChanges::Replace(vec![("flush.ms".into(), Some("7".into()))]);
    let resources =
        vec![ConfigAlteration { resource: AlteredResource { kind: 2, name: "t".into() }, changes }];
    reads(
        &scene.ask(ControllerRequest::AlterConfigs { resources, validate_only: false }),
        &["+ config 2/t flush.ms=Some(\"7\")", "+ config 2/t retention.ms=None", "2/t: ok"],
    );
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let mut scene = Scene::new();
    scene.create(vec![topic("t1", 1, 1)]);
    type Change = (&'static str, i8, Option<&'static str>);
    let retention: &[Change] = &[("retention.ms", 0, Some("1"))];
    let threads: &[Change] = &[("log.cleaner.threads", 0, Some("2"))];
    let logger: &[Change] = &[("x.y", 0, Some("INFO"))];
    let answers: &[(i8, &str, &[Change], &str)] = &[
        (2, "t1", &[("nope", 0, Some("1"))], "INVALID_CONFIG(40) Unknown topic config name: nope"),
        (2, "missing", retention, "UNKNOWN_TOPIC_OR_PARTITION(3) The topic 'missing' does not exist."),
        (2, "", retention, "INVALID_REQUEST(42) Default topic resources are not allowed."),
        (2, "..", retention, "INVALID_TOPIC_EXCEPTION(17) Topic name is invalid: '..' is not allowed"),
        (
            2,
            "t1",
            &[("retention.ms", 0, None), ("flush.ms", 0, None)],
            "INVALID_REQUEST(42) Null value not supported for : retention.ms, flush.ms",
        ),
        (
            2,
            "t1",
            &[("retention.ms", 2, Some("1"))],
            "INVALID_CONFIG(40) Can't APPEND to key retention.ms because its type is not LIST.",
        ),
        (
            2,
            "t1",
            &[("retention.ms", 0, Some("1")), ("retention.ms", 1, None)],
            "INVALID_REQUEST(42) Error due to duplicate config keys",
        ),
        (4, "2", threads, "INVALID_REQUEST(42) Unexpected broker id, expected 1, but received 2"),
        (4, "x", threads, "INVALID_REQUEST(42) Node id must be an integer, but it is: x"),
        (
            4,
            "1",
            &[("num.partitions", 0, Some("2"))],
            "INVALID_REQUEST(42) Cannot update these configs dynamically: [num.partitions]",
        ),
        (4, "1", &[("log.cleaner.threads", 7, Some("2"))], "INVALID_REQUEST(42) Unknown operations type 7"),
        (3, "1", &[], "INVALID_REQUEST(42) Unknown resource type 3"),
        (8, "1", logger, "INVALID_CONFIG(40) Logger x.y does not exist!"),
        (8, "2", logger, "INVALID_REQUEST(42) Unexpected node id. Expected 1, but received 2"),
        (8, "", logger, "INVALID_REQUEST(42) Node id must be an integer, but it is: "),
        (
            8,
            "1",
            &[("x.y", 2, Some("INFO"))],
            "INVALID_REQUEST(42) APPEND operation is not allowed for the BROKER_LOGGER resource",
        ),
        (32, "", retention, "INVALID_REQUEST(42) Default group resources are not allowed."),
        (
            32,
            "g",
            &[("consumer.session.timeout.ms", 0, Some("100"))],
            "INVALID_CONFIG(40) consumer.session.timeout.ms must be greater than or equal to \
             group.consumer.min.session.timeout.ms",
        ),
    ];
    for (kind, name, changes, answer) in answers {
        reads(&scene.alter(*kind, name, changes), &[&format!("{kind}/{name}: {answer}")]);
    }
}

#[test]
fn a_list_that_grows_beyond_a_record_is_refused() {
    let mut scene = Scene::new();
    scene.create(vec![topic("t", 1, 1)]);
    let pairs = |from: u32| (from..from + 3000).map(|n| format!("{n}:0")).collect::<Vec<_>>().join(",");
    let name = "leader.replication.throttled.replicas";
    let set = scene.alter(2, "t", &[(name, 0, Some(&pairs(0)))]);
    assert!(set.ends_with("2/t: ok"), "{set}");
    reads(
        &scene.alter(2, "t", &[(name, 2, Some(&pairs(5000)))]),
        &[
            "2/t: INVALID_CONFIG(40) The configuration value cannot be added because it exceeds the maximum value \
           size of 32767 bytes.",
        ],
    );
}

#[test]
fn an_operation_of_too_many_records_is_refused_as_a_whole() {
    let mut scene = Scene::new();
    let topics = |count| (0..count).map(|n| topic(&format!("t{n}"), 1, 1)).collect::<Vec<_>>();
    for validate_only in [true, false] {
        let said = scene.ask(ControllerRequest::CreateTopics { topics: topics(5001), validate_only });
        let refusal = "POLICY_VIOLATION(44) Unable to perform excessively large batch operation.";
        let expected: Vec<String> = (0..5001).map(|n| format!("t{n}: {refusal}")).collect();
        assert_eq!(said, expected.join("\n"));
    }
    let said = scene.create(topics(5000));
    assert_eq!(said.lines().count(), 15_000, "two records and an answer each");
}

#[test]
fn a_start_after_an_unclean_stop_elects_any_number_of_partitions() {
    let mut scene = Scene::new();
    for n in 0..3 {
        scene.create(vec![topic(&format!("t{n}"), 5000, 1)]);
    }
    let said = scene.ask(ControllerRequest::RegisterBroker(registration(true)));
    assert_eq!(said.lines().filter(|line| line.starts_with("+ elect")).count(), 15_000);
}

#[test]
fn a_resource_named_twice_is_refused_twice() {
    let resource = AlteredResource { kind: 2, name: "t".into() };
    let one = ConfigAlteration { resource, changes: ConfigChanges::Change(Vec::new()) };
    let request = ControllerRequest::AlterConfigs { resources: vec![one.clone(), one], validate_only: false };
    let refusal = "2/t: INVALID_REQUEST(42) Each resource must appear at most once.";
    reads(&Scene::new().ask(request), &[refusal, refusal]);
}

#[test]
fn dynamic_broker_settings_hold_from_the_replay_on() {
    let mut scene = Scene::new();
    let message_max = |scene: &Scene| scene.controller.config().topic_defaults.max_message_bytes;
    let before = message_max(&scene);
    scene.alter(4, "", &[("message.max.bytes", 0, Some("2000"))]);
    scene.alter(4, "1", &[("message.max.bytes", 0, Some("3000"))]);
    assert_eq!(message_max(&scene), 3000);
    scene.alter(4, "1", &[("message.max.bytes", 1, None)]);
    assert_eq!(message_max(&scene), 2000);
    scene.alter(4, "", &[("message.max.bytes", 1, None)]);
    assert_eq!(message_max(&scene), before);
}

#[test]
fn producer_ids_come_in_blocks_and_none_twice() {
    let mut scene = Scene::new();
    let ask = || ControllerRequest::AllocateProducerIds { broker_id: 1 };
    reads(&scene.ask(ask()), &["+ producer ids 1000 for 1@2", "0..1000"]);
    reads(&scene.ask(ask()), &["+ producer ids 2000 for 1@2", "1000..2000"]);
}

#[test]
fn the_log_alone_gives_the_same_image() {
    let mut scene = Scene::new();
    scene.create(vec![configured("a", &[("retention.ms", Some("5"))]), topic("a.b", 3, 1), topic("c", 1, 1)]);
    scene.grow(vec![increase("a", 4, None)]);
    scene.alter(4, "", &[("log.cleaner.threads", 0, Some("2"))]);
    scene.ask(ControllerRequest::AllocateProducerIds { broker_id: 1 });
    let c = TopicTarget { name: Some("c".into()), id: Uuid::ZERO };
    scene.ask(ControllerRequest::DeleteTopics { topics: vec![c] });
    scene.ask(ControllerRequest::RegisterBroker(registration(true)));
    let mut replay = Replay::new();
    for (base_offset, record) in (0..).zip(&scene.log) {
        let place = BatchPlace { base_offset, epoch: 1, now_ms: 0 };
        let batch = record_batch(std::slice::from_ref(record), place).expect("small");
        replay.feed(batch.to_bytes()).expect("a good log");
    }
    assert_eq!(&replay.finish().image, &**scene.controller.image());
}
