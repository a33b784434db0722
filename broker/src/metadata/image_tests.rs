use kring_wire::messages::broker_registration_change_record::BrokerRegistrationChangeRecord;
use kring_wire::messages::config_record::ConfigRecord;
use kring_wire::messages::end_transaction_record::EndTransactionRecord;
use kring_wire::messages::feature_level_record::FeatureLevelRecord;
use kring_wire::messages::no_op_record::NoOpRecord;
use kring_wire::messages::partition_record::PartitionRecord;
use kring_wire::messages::producer_ids_record::ProducerIdsRecord;
use kring_wire::messages::register_broker_record::{BrokerEndpoint, RegisterBrokerRecord};
use kring_wire::messages::remove_topic_record::RemoveTopicRecord;
use kring_wire::messages::topic_record::TopicRecord;
use kring_wire::messages::user_scram_credential_record::UserScramCredentialRecord;

use super::*;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn topic(name: &str, number: u128) -> MetadataRecord {
    TopicRecord { name: name.into(), topic_id: id(number) }.into()
}

fn partition(topic: u128, partition_id: i32) -> MetadataRecord {
    let (replicas, isr) = (vec![1], vec![1]);
    PartitionRecord { partition_id, topic_id: id(topic), replicas, isr, leader: 1, ..Default::default() }
        .into()
}

fn config(kind: i8, owner: &str, name: &str, value: Option<&str>) -> MetadataRecord {
    let (resource_name, name, value) = (owner.into(), name.into(), value.map(Str::from));
    ConfigRecord { resource_type: kind, resource_name, name, value }.into()
}

fn image(records: impl IntoIterator<Item = MetadataRecord>) -> Image {
    let mut image = Image::default();
    for record in records {
        image.apply(&record).expect("the record fits");
    }
    image
}

fn refused(image: &Image, record: MetadataRecord) -> ReplayError {
    image.clone().apply(&record).expect_err("the record does not fit")
}

#[test]
fn a_topic_is_found_by_name_and_by_id_until_it_is_removed() {
    let mut image = image([topic("a", 1), partition(1, 0), partition(1, 1), topic("b", 2)]);
    assert_eq!(image.topic("a"), image.topic_by_id(id(1)));
    assert_eq!(image.topic("a").map(|t| (t.partition_count(), t.replication_factor())), Some((2, 1)));
    assert_eq!(image.partition(id(1), 1).map(|p| p.leader), Some(1));
    assert_eq!((image.partition(id(1), 2), image.partition(id(1), -1)), (None, None));
    image.apply(&RemoveTopicRecord { topic_id: id(1) }.into()).expect("there");
    assert_eq!((image.topic("a"), image.topic_by_id(id(1)), image.topic_count()), (None, None, 1));
}

#[test]
fn removing_a_topic_takes_its_settings_along() {
    let set = config(2, "a", "retention.ms", Some("1"));
    let mut image = image([topic("a", 1), set]);
    assert_eq!(image.topic_configs("a")["retention.ms"], "1");
    image.apply(&RemoveTopicRecord { topic_id: id(1) }.into()).expect("there");
    assert!(image.topic_configs("a").is_empty());
    assert_eq!(image.configured(ResourceKind::Topic).count(), 0);
}

#[test]
fn topics_come_in_the_order_of_their_names() {
    let image = image([topic("b", 1), topic("a", 2), topic("c", 3)]);
    let names = |from: &str| image.topics_from(from).map(|t| t.name.to_string()).collect::<Vec<_>>();
    assert_eq!(
        (names(""), names("aa"), names("d")),
        (vec!["a".into(), "b".into(), "c".into()], vec!["b".to_string(), "c".into()], vec![])
    );
}

#[test]
fn names_that_look_alike_are_remembered_while_they_exist() {
    let mut image = image([topic("a.b", 1), topic("ab", 2)]);
    assert_eq!(image.lookalike("a_b"), Some(&Str::from("a.b")));
    assert_eq!(image.lookalike("ab"), None);
    image.apply(&RemoveTopicRecord { topic_id: id(1) }.into()).expect("there");
    assert_eq!(image.lookalike("a_b"), None);
}

#[test]
fn settings_are_set_replaced_and_unset() {
    let mut image = image([config(4, "", "a", Some("1")), config(4, "1", "a", Some("2"))]);
    assert_eq!(image.configs(&ConfigResource::cluster()).map(|c| c["a"].as_str()), Some("1"));
    image.apply(&config(4, "", "a", None)).expect("a broker is always there");
    assert_eq!(image.configs(&ConfigResource::cluster()), None);
    assert_eq!(image.configs(&ConfigResource::broker(1)).map(|c| c["a"].as_str()), Some("2"));
}

#[test]
fn a_feature_at_level_zero_is_off() {
    let level = |feature_level| FeatureLevelRecord { name: "f".into(), feature_level }.into();
    let mut image = image([level(2)]);
    assert_eq!((image.feature("f"), image.feature("g")), (2, 0));
    image.apply(&level(0)).expect("features need nothing");
    assert_eq!((image.features().count(), image.epoch()), (0, 2));
}

#[test]
fn only_unfenced_brokers_with_the_listener_are_alive() {
    let endpoint = BrokerEndpoint { name: "L".into(), host: "h".into(), port: 9, security_protocol: 0 };
    let register = |broker_id| -> MetadataRecord {
        RegisterBrokerRecord { broker_id, end_points: vec![endpoint.clone()], ..Default::default() }.into()
    };
    let unfence = |broker_id| -> MetadataRecord {
        BrokerRegistrationChangeRecord { broker_id, fenced: -1, ..Default::default() }.into()
    };
    let image = image([register(1), register(2), unfence(2)]);
    let alive = |listener| image.alive(listener).map(|(b, e)| (b.id, e.port)).collect::<Vec<_>>();
    assert_eq!((alive("L"), alive("M")), (vec![(2, 9)], vec![]));
    let expected = ReplayError::UnknownBroker { id: 3, record: "BrokerRegistrationChangeRecord" };
    assert_eq!(refused(&image, unfence(3)), expected);
}

#[test]
fn producer_ids_go_on_where_the_last_block_ended() {
    let record = ProducerIdsRecord { next_producer_id: 1000, ..Default::default() };
    assert_eq!(image([record.into()]).next_producer_id(), 1000);
}

#[test]
fn a_log_that_contradicts_itself_is_refused() {
    let image = image([topic("a", 1), partition(1, 0)]);
    let name = Str::from("a");
    let duplicate = |number| ReplayError::DuplicateTopic { name: name.clone(), id: id(number) };
    assert_eq!(refused(&image, topic("a", 2)), duplicate(2));
    let unknown = ReplayError::UnknownTopic { id: id(9), record: "PartitionRecord" };
    assert_eq!(refused(&image, partition(9, 0)), unknown);
    let gap = ReplayError::PartitionGap { topic: name.clone(), partition: 2, expected: 1 };
    assert_eq!(refused(&image, partition(1, 2)), gap);
    let change = PartitionChangeRecord { partition_id: 7, topic_id: id(1), ..Default::default() };
    let missing = ReplayError::UnknownPartition { topic: name, partition: 7 };
    assert_eq!(refused(&image, change.into()), missing);
    let kind = ReplayError::UnknownResource { kind: 3, name: "x".into() };
    assert_eq!(refused(&image, config(3, "x", "a", None)), kind);
    let transaction = ReplayError::Unsupported { record: "EndTransactionRecord" };
    assert_eq!(refused(&image, EndTransactionRecord::default().into()), transaction);
}

#[test]
fn records_that_nothing_uses_are_counted_and_no_ops_are_not() {
    let scram = || UserScramCredentialRecord::default().into();
    let image = image([scram(), NoOpRecord::default().into(), scram()]);
    assert_eq!(image.unused_records().iter().collect::<Vec<_>>(), [(&"UserScramCredentialRecord", &2)]);
}

#[test]
fn a_copy_does_not_see_later_records() {
    let before = image([topic("a", 1), partition(1, 0)]);
    let mut after = before.clone();
    after.apply(&partition(1, 1)).expect("the next one");
    let count = |image: &Image| image.topic("a").map(|t| t.partitions.len());
    assert_eq!((count(&before), count(&after)), (Some(1), Some(2)));
}
