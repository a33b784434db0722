//! What is described, as Apache Kafka 4.3.1 describes it; its defaults differ where Kring has its own.

use kring_wire::messages::config_record::ConfigRecord;
use kring_wire::messages::topic_record::TopicRecord;
use kring_wire::{Message, Uuid, Writer};

use super::*;
use crate::config::Flags;

/// Topic `t1` with retention.ms=1000, and log.cleaner.threads=2 for all brokers.
fn scene() -> (Image, BrokerConfig) {
    let mut image = Image::default();
    image.apply(&TopicRecord { name: "t1".into(), topic_id: Uuid::ONE }.into()).expect("a new name");
    for (resource_type, resource_name, name, value) in
        [(2, "t1", "retention.ms", "1000"), (4, "", "log.cleaner.threads", "2")]
    {
        let (name, value) = (name.into(), Some(value.into()));
        let record = ConfigRecord { resource_type, resource_name: resource_name.into(), name, value };
        image.apply(&record.into()).expect("settings need nothing");
    }
    let started_with = BrokerConfig::from_sources(None, &[], &Flags::default()).expect("defaults").0;
    let config = image.broker_config(&started_with);
    (image, config)
}

fn resource(resource_type: i8, resource_name: &str, keys: Option<&[&str]>) -> DescribeConfigsResource {
    let configuration_keys = keys.map(|keys| keys.iter().map(|key| Str::from(*key)).collect());
    DescribeConfigsResource { resource_type, resource_name: resource_name.into(), configuration_keys }
}

fn ask(version: i16, resources: Vec<DescribeConfigsResource>) -> Vec<DescribeConfigsResult> {
    let (image, config) = scene();
    let include_documentation = version >= 3;
    let body = DescribeConfigsRequest { resources, include_synonyms: true, include_documentation };
    let response = describe(&body, &image, &config);
    response.encode(&mut Writer::new(), version).expect("the version has the fields");
    response.results
}

fn one(resource: DescribeConfigsResource) -> DescribeConfigsResult {
    ask(4, vec![resource]).remove(0)
}

#[test]
fn every_version_shows_the_keys_that_were_asked_for() {
    for version in 1..=4 {
        let asked = vec![resource(2, "t1", Some(&["retention.ms", "nope"]))];
        let result = ask(version, asked).remove(0);
        assert_eq!((result.error_code, result.error_message.as_deref()), (0, Some("")));
        let [entry] = &result.configs[..] else { panic!("one of the two exists") };
        assert_eq!(
            (&*entry.name, entry.value.as_deref(), entry.config_source),
            ("retention.ms", Some("1000"), 1)
        );
        assert_eq!((&*entry.synonyms[0].name, entry.synonyms[0].source), ("retention.ms", 1));
        assert_eq!(
            (entry.config_type, entry.read_only, entry.documentation.is_some()),
            (5, false, version >= 3)
        );
    }
}

#[test]
fn no_keys_are_all_keys() {
    let all = one(resource(2, "t1", None)).configs.len();
    assert!(all > 30);
    assert_eq!(one(resource(2, "t1", Some(&[]))).configs.len(), all);
}

#[test]
fn synonyms_and_documentation_come_only_when_asked_for() {
    let (image, config) = scene();
    let body = DescribeConfigsRequest { resources: vec![resource(2, "t1", None)], ..Default::default() };
    let configs = &describe(&body, &image, &config).results[0].configs;
    assert!(configs.iter().all(|entry| entry.synonyms.is_empty() && entry.documentation.is_none()));
}

#[test]
fn the_broker_shows_what_holds_and_the_cluster_what_was_set() {
    let threads = one(resource(4, "1", Some(&["log.cleaner.threads"]))).configs.remove(0);
    assert_eq!((threads.value.as_deref(), threads.config_source, threads.read_only), (Some("2"), 3, false));
    let cluster = one(resource(4, "", None)).configs;
    let names: Vec<_> = cluster.iter().map(|entry| (&*entry.name, entry.value.as_deref())).collect();
    assert_eq!(names, [("log.cleaner.threads", Some("2"))]);
}

#[test]
fn resources_that_cannot_be_described_say_why() {
    let answers = [
        (2, "missing", 3, ""),
        (2, "..", 17, "Topic name is invalid: '..' is not allowed"),
        (2, "", 17, "Topic name is invalid: the empty string is not allowed"),
        (4, "2", 42, "Unexpected broker id, expected 1 or empty string, but received 2"),
        (4, "x", 42, "Broker id must be an integer, but it is: x"),
        (8, "", 42, "Broker id must not be empty"),
        (8, "9", 42, "Unexpected broker id, expected 1 but received 9"),
        (16, "m", 42, "Unsupported resource type: CLIENT_METRICS"),
        (32, "", 42, "Group name must not be empty"),
    ];
    for (kind, name, code, message) in answers {
        let result = one(resource(kind, name, None));
        assert_eq!(
            (result.error_code, result.error_message.as_deref()),
            (code, Some(message)),
            "{kind} {name}"
        );
        assert!(result.configs.is_empty());
    }
}

#[test]
fn a_kind_that_nobody_knows_spoils_the_request() {
    let results = ask(4, vec![resource(3, "t1", None), resource(2, "t1", None)]);
    assert!(results.iter().all(|result| result.error_code == 42 && result.configs.is_empty()));
}
