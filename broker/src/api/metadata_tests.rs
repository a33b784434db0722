//! What each version says, as Apache Kafka 4.3.1 said it to the same requests.

use kring_wire::messages::metadata_request::MetadataRequestTopic;
use kring_wire::messages::partition_record::PartitionRecord;
use kring_wire::messages::register_broker_record::{BrokerEndpoint, RegisterBrokerRecord};
use kring_wire::messages::topic_record::TopicRecord;
use kring_wire::{Message, Writer};

use super::*;

const T1: Uuid = Uuid::from_u128(0x101);
const NOWHERE: Uuid = Uuid::from_u128(0x404);

/// Broker 1 with listener L; `t1` with two partitions, `lost` led by a broker that is gone.
fn image() -> Image {
    let mut image = Image::default();
    let endpoint = BrokerEndpoint { name: "L".into(), host: "h".into(), port: 9092, security_protocol: 0 };
    let (rack, fenced) = (Some("r".into()), false);
    let end_points = vec![endpoint];
    let broker = RegisterBrokerRecord { broker_id: 1, end_points, rack, fenced, ..Default::default() };
    image.apply(&broker.into()).expect("a broker needs nothing");
    let lost = Uuid::from_u128(0x102);
    for (name, topic_id) in [("t1", T1), ("lost", lost)] {
        image.apply(&TopicRecord { name: name.into(), topic_id }.into()).expect("a new name");
    }
    for (topic_id, partition_id, leader) in [(T1, 0, 1), (T1, 1, 1), (lost, 0, 7)] {
        let mut record = PartitionRecord { topic_id, partition_id, leader, ..PartitionRecord::default() };
        (record.replicas, record.isr) = (vec![leader], vec![leader]);
        (record.leader_epoch, record.partition_epoch) = (5, 5);
        image.apply(&record.into()).expect("a topic that is there");
    }
    image
}

fn ask(version: i16, body: &MetadataRequest) -> MetadataResponse {
    let image = image();
    let view = View { image: &image, listener: "L", cluster_id: "c".into(), controller_id: 1 };
    let response = view.respond(body, version);
    response.encode(&mut Writer::new(), version).expect("the version has the fields");
    response
}

fn named(names: &[&str]) -> MetadataRequest {
    let topic = |name: &&str| MetadataRequestTopic { name: Some((*name).into()), topic_id: Uuid::ZERO };
    MetadataRequest { topics: Some(names.iter().map(topic).collect()), ..MetadataRequest::default() }
}

fn by_id(ids: &[Uuid]) -> MetadataRequest {
    let topic = |id: &Uuid| MetadataRequestTopic { name: None, topic_id: *id };
    MetadataRequest { topics: Some(ids.iter().map(topic).collect()), ..MetadataRequest::default() }
}

fn said(response: &MetadataResponse) -> Vec<(i16, Option<&str>, usize)> {
    response.topics.iter().map(|t| (t.error_code, t.name.as_deref(), t.partitions.len())).collect()
}

#[test]
fn every_version_shows_brokers_topics_and_leaders() {
    for version in 0..=13 {
        let response = ask(version, &named(&["t1"]));
        let broker = &response.brokers[0];
        assert_eq!((broker.node_id, &*broker.host, broker.port), (1, "h", 9092));
        assert_eq!((response.cluster_id.as_deref(), response.controller_id), (Some("c"), 1));
        let topic = &response.topics[0];
        assert_eq!((topic.error_code, topic.name.as_deref(), topic.topic_id), (0, Some("t1"), T1));
        let leaders: Vec<_> = topic.partitions.iter().map(|p| (p.partition_index, p.leader_id)).collect();
        assert_eq!(leaders, [(0, 1), (1, 1)]);
        assert_eq!(topic.partitions[0].leader_epoch, 5);
    }
}

#[test]
fn all_topics_are_an_empty_list_in_version_0_and_null_after_it() {
    let all = [(0, Some("lost"), 1), (0, Some("t1"), 2)];
    let null = MetadataRequest { topics: None, ..MetadataRequest::default() };
    assert_eq!(said(&ask(0, &named(&[]))), all);
    for version in 1..=13 {
        assert_eq!(said(&ask(version, &null)), all);
        assert_eq!(said(&ask(version, &named(&[]))), []);
    }
}

#[test]
fn names_that_are_not_there_and_names_that_cannot_be_differ() {
    for version in 0..=13 {
        let response = ask(version, &named(&["nope", "a b", "", "t1", "t1", "__consumer_offsets"]));
        assert_eq!(
            said(&response),
            [
                (3, Some("nope"), 0),
                (17, Some("a b"), 0),
                (17, Some(""), 0),
                (0, Some("t1"), 2),
                (3, Some("__consumer_offsets"), 0)
            ]
        );
        assert!(response.topics[4].is_internal);
    }
}

#[test]
fn ids_are_answered_from_version_12_on_and_names_beside_them_are_passed_over() {
    for version in [12, 13] {
        let mut body = by_id(&[T1, NOWHERE, T1]);
        body.topics.as_mut().expect("some").extend(named(&["lost"]).topics.expect("some"));
        let response = ask(version, &body);
        assert_eq!(said(&response), [(0, Some("t1"), 2), (100, None, 0)]);
        assert_eq!(response.topics[1].topic_id, NOWHERE);
    }
}

#[test]
fn ids_and_missing_names_before_version_12_are_invalid() {
    for version in [10, 11] {
        for body in [by_id(&[T1]), by_id(&[Uuid::ZERO])] {
            let response = ask(version, &body);
            assert_eq!(said(&response), [(42, Some(""), 0)]);
            assert_eq!((response.brokers.len(), response.cluster_id, response.controller_id), (0, None, -1));
        }
    }
    assert_eq!(ask(12, &by_id(&[Uuid::ZERO])).error_code, 0);
    assert_eq!(ask(13, &by_id(&[Uuid::ZERO])).error_code, 42);
}

#[test]
fn operations_are_told_when_asked_for() {
    for version in 8..=13 {
        let body = MetadataRequest {
            include_cluster_authorized_operations: version <= 10,
            include_topic_authorized_operations: true,
            ..named(&["t1", "nope"])
        };
        let response = ask(version, &body);
        let operations: Vec<_> = response.topics.iter().map(|t| t.topic_authorized_operations).collect();
        assert_eq!(operations, [3576, 3576]);
        let cluster = if version <= 10 { 8096 } else { i32::MIN };
        assert_eq!(response.cluster_authorized_operations, cluster);
        assert_eq!(ask(version, &named(&["t1"])).topics[0].topic_authorized_operations, i32::MIN);
    }
}

#[test]
fn a_partition_whose_leader_cannot_be_reached_says_why() {
    for version in 0..=13 {
        let response = ask(version, &named(&["lost"]));
        let partition = &response.topics[0].partitions[0];
        assert_eq!((partition.error_code, partition.leader_id), (5, -1));
        let replicas = if version == 0 { vec![] } else { vec![7] };
        assert_eq!((&partition.replica_nodes, &partition.offline_replicas), (&replicas, &vec![7]));
    }
}

#[test]
fn a_listener_that_the_leader_does_not_have_is_told_from_version_6_on() {
    let image = image();
    let view = View { image: &image, listener: "M", cluster_id: "c".into(), controller_id: 1 };
    for version in 0..=13 {
        let response = view.respond(&named(&["t1"]), version);
        let expected = if version >= 6 { 72 } else { 5 };
        assert_eq!(response.topics[0].partitions[0].error_code, expected);
        assert!(response.brokers.is_empty());
    }
}

#[test]
fn only_names_that_could_be_are_created() {
    let image = image();
    let missing = missing_topics(&named(&["t1", "new", "a b", "new"]), 9, &image);
    assert_eq!(missing, [Str::from("new")]);
    assert!(missing_topics(&by_id(&[NOWHERE]), 12, &image).is_empty());
    assert!(missing_topics(&MetadataRequest { topics: None, ..Default::default() }, 9, &image).is_empty());
}
