//! What is written is read back, and is as long as was said.

use kring_wire::codec::Ctx;
use kring_wire::{EncodeError, Message, Reader, Uuid, messages};

use crate::support::{Sample, for_each_message};
use crate::{encode, sample, versions};

const SAMPLES: u64 = 30;

fn check<M: Message + Sample>() {
    for version in versions::<M>() {
        for seed in 0..SAMPLES {
            check_one::<M>(&sample(version, seed), version);
        }
        check_one(&M::default(), version);
    }
}

fn check_one<M: Message>(message: &M, version: i16) {
    let bytes = encode(message, version);
    assert_eq!(message.encoded_size(version), Ok(bytes.len()), "{} v{version}", M::NAME);
    let mut r = Reader::with_default_budget(bytes);
    assert_eq!(M::decode(&mut r, version).as_ref(), Ok(message), "{} v{version}", M::NAME);
    assert_eq!(r.finish(), Ok(()), "{} v{version}", M::NAME);
}

macro_rules! check_all {
    ($($message:path,)*) => {{ $(check::<$message>();)* }};
}

#[test]
fn every_message_of_every_version_reads_back_and_has_the_size_it_says() {
    for_each_message!(check_all);
}

fn refuses_other_versions<M: Message>() {
    for version in [M::MIN_VERSION - 1, M::MAX_VERSION + 1, i16::MAX] {
        let mut r = Reader::with_default_budget(bytes::Bytes::new());
        assert!(M::decode(&mut r, version).is_err());
        assert!(M::default().encoded_size(version).is_err());
    }
}

macro_rules! refuse_all {
    ($($message:path,)*) => {{ $(refuses_other_versions::<$message>();)* }};
}

#[test]
fn versions_outside_the_range_are_errors_both_ways() {
    for_each_message!(refuse_all);
}

#[test]
fn a_value_that_the_version_cannot_carry_is_an_error_unless_it_may_be_lost() {
    use messages::metadata_request::MetadataRequest;
    let request = MetadataRequest { allow_auto_topic_creation: false, ..MetadataRequest::default() };
    let field = EncodeError::FieldNotInVersion { field: "AllowAutoTopicCreation", version: 3 };
    assert_eq!(request.encoded_size(3), Err(field));
    assert!(request.encoded_size(4).is_ok());

    use messages::fetch_request::FetchTopic;
    let topic = FetchTopic { topic_id: Uuid::ONE, ..FetchTopic::default() };
    let request = messages::fetch_request::FetchRequest { topics: vec![topic], ..Default::default() };
    assert!(request.encoded_size(12).is_ok());
}

#[test]
fn null_in_a_version_without_null_is_an_error() {
    let request = messages::metadata_request::MetadataRequest { topics: None, ..Default::default() };
    assert_eq!(request.encoded_size(0), Err(EncodeError::UnexpectedNull { field: "Topics" }));
    assert!(request.encoded_size(1).is_ok());
}

#[test]
fn defaults_are_those_of_kafka() {
    let fetch = messages::fetch_request::FetchRequest::default();
    assert_eq!((fetch.replica_id, fetch.max_bytes, fetch.session_epoch), (-1, i32::MAX, -1));
    assert_eq!(fetch.rack_id, "");
    // Nullable does not mean null: this one starts out empty.
    let metadata = messages::metadata_request::MetadataRequest::default();
    assert_eq!(metadata.topics, Some(Vec::new()));
    assert!(metadata.allow_auto_topic_creation);
}

#[test]
fn a_null_struct_in_a_tagged_field_has_a_form_of_its_own() {
    use messages::consumer_group_member_metadata_value::{
        ClassicMemberMetadata, ConsumerGroupMemberMetadataValue,
    };
    let with = |classic| ConsumerGroupMemberMetadataValue {
        classic_member_metadata: classic,
        ..ConsumerGroupMemberMetadataValue::default()
    };
    let tail = |classic| encode(&with(classic), 0).slice(11..);
    // Tag count, tag, size, then a varint: written by Kafka itself.
    assert_eq!(&tail(None)[..], [1, 0, 1, 0]);
    assert_eq!(&tail(Some(ClassicMemberMetadata::default()))[..], [0]);
    let member = ClassicMemberMetadata { session_timeout_ms: 5, ..Default::default() };
    assert_eq!(&tail(Some(member))[..], [1, 0, 7, 1, 0, 0, 0, 5, 1, 0]);
}

#[test]
fn the_samples_vary() {
    use messages::fetch_response::FetchResponse;
    let distinct = |seed| sample::<FetchResponse>(18, seed) != sample::<FetchResponse>(18, seed + 1);
    assert!((0..20).filter(|&seed| distinct(seed)).count() > 15);
    let c = Ctx { version: 18, flexible: true };
    let full = (0..50).map(|seed| FetchResponse::sample(&mut crate::Gen::new(seed), c));
    assert!(full.filter(|response| response.responses.iter().any(|t| !t.partitions.is_empty())).count() > 10);
}
