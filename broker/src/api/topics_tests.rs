use std::collections::BTreeMap;

use kring_wire::messages::delete_topics_request::DeleteTopicState;
use kring_wire::{Message, Writer};

use super::*;
use crate::config::Flags;

fn config() -> BrokerConfig {
    BrokerConfig::from_sources(None, &[], &Flags::default()).expect("defaults").0
}

fn encoded<M: Message>(message: M, version: i16) -> M {
    message.encode(&mut Writer::new(), version).expect("the version has the fields");
    message
}

fn created(version: i16, result: Result<CreatedTopic, Refused>) -> CreatableTopicResult {
    let topic = creation(TopicCreation { name: "t".into(), result }, version, &config());
    let response = CreateTopicsResponse { topics: vec![topic], ..Default::default() };
    encoded(response, version).topics.remove(0)
}

#[test]
fn a_created_topic_shows_its_configuration_from_version_5_on() {
    let own = BTreeMap::from([("retention.ms".to_string(), "7".to_string())]);
    let topic = CreatedTopic { id: Uuid::ONE, partitions: 3, replication_factor: 1, configs: own };
    for version in 2..=7 {
        let result = created(version, Ok(topic.clone()));
        assert_eq!((result.error_code, result.error_message, result.topic_id), (0, None, Uuid::ONE));
        assert_eq!((result.num_partitions, result.replication_factor), (3, 1));
        let Some(configs) = result.configs else {
            assert!(version < 5);
            continue;
        };
        let find = |name: &str| configs.iter().find(|c| &*c.name == name).expect("every property is there");
        assert_eq!(
            (find("retention.ms").value.as_deref(), find("retention.ms").config_source),
            (Some("7"), 1)
        );
        assert_eq!((find("segment.ms").config_source, configs.len()), (5, 33));
        assert!(configs.is_sorted_by_key(|config| &config.name));
    }
}

#[test]
fn a_topic_that_is_not_created_says_why() {
    for version in 2..=7 {
        let result = created(version, Err(Refused::new(ErrorCode::INVALID_PARTITIONS, "no")));
        assert_eq!((result.error_code, result.error_message.as_deref()), (37, Some("no")));
        assert_eq!((result.num_partitions, result.replication_factor), (-1, -1));
        assert_eq!(result.configs.map(|configs| configs.len()), Some(0));
    }
}

#[test]
fn topics_to_delete_come_as_names_or_as_either() {
    let old = DeleteTopicsRequest { topic_names: vec!["a".into()], ..Default::default() };
    assert_eq!(targets(old), [TopicTarget { name: Some("a".into()), id: Uuid::ZERO }]);
    let state = DeleteTopicState { name: None, topic_id: Uuid::ONE };
    let new = DeleteTopicsRequest { topics: vec![state], ..Default::default() };
    assert_eq!(targets(new), [TopicTarget { name: None, id: Uuid::ONE }]);
}

#[test]
fn deletion_that_is_switched_off_has_its_own_code_from_version_3_on() {
    for version in 1..=6 {
        let asked = vec![TopicTarget { name: Some("a".into()), id: Uuid::ZERO }];
        let response = encoded(delete_refused(asked, version), version);
        let result = &response.responses[0];
        let expected = if version >= 3 { 73 } else { 42 };
        assert_eq!((result.name.as_deref(), result.error_code), (Some("a"), expected));
    }
}

#[test]
fn every_version_can_carry_a_deletion() {
    for version in 1..=6 {
        let done = TopicDeletion { name: Some("a".into()), id: Uuid::ONE, result: Ok(()) };
        let failed = TopicDeletion { result: Err(away()), ..done.clone() };
        let responses = vec![deletion(done), deletion(failed)];
        let response = encoded(DeleteTopicsResponse { responses, ..Default::default() }, version);
        let codes: Vec<_> = response.responses.iter().map(|r| r.error_code).collect();
        assert_eq!(codes, [0, 41]);
    }
}
