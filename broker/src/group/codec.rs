//! Between the values of `record` and the bytes of `__consumer_offsets`: Kafka's own keys and values.
//!
//! | record | key | value versions read | written |
//! |---|---|---|---|
//! | offset, of the first releases | `LegacyOffsetCommitKey` (0) | 0 | never |
//! | offset | `OffsetCommitKey` (1) | 0–4 | 4, or 1 when the client asked for a retention |
//! | classic group | `GroupMetadataKey` (2) | 0–4 | 3 |
//!
//! Keys of other numbers belong to groups of other protocols. Pure; panics on no bytes. What is read owns its
//! memory: a log's read buffer does not live as long as the group that is named in it.

use bytes::Bytes;
use kring_wire::messages::group_metadata_key::GroupMetadataKey;
use kring_wire::messages::group_metadata_value::{GroupMetadataValue, MemberMetadata};
use kring_wire::messages::offset_commit_key::OffsetCommitKey;
use kring_wire::messages::offset_commit_value::OffsetCommitValue;
use kring_wire::{DecodeError, GroupRecord, Str};

use super::ids::{GroupId, InstanceId, MemberId};
use super::record::{OffsetKey, Record, StoredGroup, StoredMember, StoredOffset};
use crate::coordinator::{CoordinatorRecord, ReplayError};

const GROUP_VALUE_VERSION: i16 = 3;
const OFFSET_VALUE_VERSION: i16 = 4;
/// The one version that has a place for the time at which the offset expires.
const EXPIRING_OFFSET_VALUE_VERSION: i16 = 1;
/// Keys up to this number are those of classic groups and offsets.
const LAST_CLASSIC_KEY: i16 = 2;

/// A record as this coordinator sees it.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    Ours(Record),
    /// The number in the key of a record of another kind.
    Foreign(i16),
}

pub fn encode(record: &Record) -> CoordinatorRecord {
    let (message, version) = match record {
        Record::Offset(key, stored) => {
            (offset_message(key, stored.as_ref()), offset_version(stored.as_ref()))
        }
        Record::Group(group_id, stored) => (group_message(group_id, stored.as_ref()), GROUP_VALUE_VERSION),
    };
    let (key, value) =
        message.encode(version).expect("lengths were bounded by the request that brought them");
    CoordinatorRecord { key, value }
}

pub fn decode(record: &CoordinatorRecord) -> Result<Decoded, ReplayError> {
    if let Some(kind) = kind_of(&record.key).filter(|kind| !(0..=LAST_CLASSIC_KEY).contains(kind)) {
        return Ok(Decoded::Foreign(kind));
    }
    let message = GroupRecord::decode(record.key.clone(), record.value.clone()).map_err(unreadable)?;
    Ok(match message {
        GroupRecord::LegacyOffsetCommit(key, value) => {
            let key = offset_key(&key.group, &key.topic, key.partition);
            let upgrade =
                |value: kring_wire::messages::legacy_offset_commit_value::LegacyOffsetCommitValue| {
                    let (offset, metadata, commit_timestamp) =
                        (value.offset, value.metadata, value.commit_timestamp);
                    OffsetCommitValue { offset, metadata, commit_timestamp, ..OffsetCommitValue::default() }
                };
            Decoded::Ours(Record::Offset(key, value.map(upgrade).map(stored_offset)))
        }
        GroupRecord::OffsetCommit(key, value) => {
            let key = offset_key(&key.group, &key.topic, key.partition);
            Decoded::Ours(Record::Offset(key, value.map(stored_offset)))
        }
        GroupRecord::GroupMetadata(key, value) => {
            Decoded::Ours(Record::Group(GroupId(key.group.detach()), value.map(stored_group)))
        }
        other => Decoded::Foreign(other.record_key()),
    })
}

fn kind_of(key: &Bytes) -> Option<i16> {
    Some(i16::from_be_bytes([*key.first()?, *key.get(1)?]))
}

fn unreadable(error: DecodeError) -> ReplayError {
    ReplayError(format!("a record of __consumer_offsets cannot be read: {error}"))
}

fn offset_version(stored: Option<&StoredOffset>) -> i16 {
    match stored.and_then(|stored| stored.expire_timestamp_ms) {
        Some(_) => EXPIRING_OFFSET_VALUE_VERSION,
        None => OFFSET_VALUE_VERSION,
    }
}

fn offset_message(key: &OffsetKey, stored: Option<&StoredOffset>) -> GroupRecord {
    let message =
        OffsetCommitKey { group: key.group_id.0.clone(), topic: key.topic.clone(), partition: key.partition };
    let value = stored.map(|stored| OffsetCommitValue {
        offset: stored.offset,
        leader_epoch: stored.leader_epoch,
        metadata: stored.metadata.clone(),
        commit_timestamp: stored.commit_timestamp_ms,
        expire_timestamp: stored.expire_timestamp_ms.unwrap_or(-1),
        topic_id: stored.topic_id,
    });
    GroupRecord::OffsetCommit(message, value)
}

fn group_message(group_id: &GroupId, stored: Option<&StoredGroup>) -> GroupRecord {
    let value = stored.map(|stored| GroupMetadataValue {
        protocol_type: stored.protocol_type.clone(),
        generation: stored.generation_id,
        protocol: stored.protocol_name.clone(),
        leader: stored.leader.clone().map(|leader| leader.0),
        current_state_timestamp: stored.state_timestamp_ms.unwrap_or(-1),
        members: stored.members.iter().map(member_message).collect(),
    });
    GroupRecord::GroupMetadata(GroupMetadataKey { group: group_id.0.clone() }, value)
}

fn member_message(member: &StoredMember) -> MemberMetadata {
    MemberMetadata {
        member_id: member.member_id.0.clone(),
        group_instance_id: member.instance_id.clone().map(|instance_id| instance_id.0),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        rebalance_timeout: member.rebalance_timeout_ms,
        session_timeout: member.session_timeout_ms,
        subscription: member.subscription.clone(),
        assignment: member.assignment.clone(),
    }
}

fn offset_key(group: &Str, topic: &Str, partition: i32) -> OffsetKey {
    OffsetKey { group_id: GroupId(group.detach()), topic: topic.detach(), partition }
}

fn stored_offset(value: OffsetCommitValue) -> StoredOffset {
    StoredOffset {
        offset: value.offset,
        leader_epoch: value.leader_epoch,
        metadata: value.metadata.detach(),
        commit_timestamp_ms: value.commit_timestamp,
        expire_timestamp_ms: Some(value.expire_timestamp).filter(|expire_ms| *expire_ms != -1),
        topic_id: value.topic_id,
    }
}

fn stored_group(value: GroupMetadataValue) -> StoredGroup {
    StoredGroup {
        protocol_type: value.protocol_type.detach(),
        generation_id: value.generation,
        protocol_name: value.protocol.map(|name| name.detach()),
        leader: value.leader.map(|leader| MemberId(leader.detach())),
        state_timestamp_ms: Some(value.current_state_timestamp).filter(|at_ms| *at_ms != -1),
        members: value.members.into_iter().map(stored_member).collect(),
    }
}

fn stored_member(member: MemberMetadata) -> StoredMember {
    // Version 0 had one timeout for both.
    let rebalance_timeout_ms =
        if member.rebalance_timeout == -1 { member.session_timeout } else { member.rebalance_timeout };
    StoredMember {
        member_id: MemberId(member.member_id.detach()),
        instance_id: member.group_instance_id.map(|instance_id| InstanceId(instance_id.detach())),
        client_id: member.client_id.detach(),
        client_host: member.client_host.detach(),
        rebalance_timeout_ms,
        session_timeout_ms: member.session_timeout,
        subscription: Bytes::copy_from_slice(&member.subscription),
        assignment: Bytes::copy_from_slice(&member.assignment),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kring_wire::Uuid;
    use kring_wire::stored::encode_versioned;

    fn group() -> StoredGroup {
        let member = StoredMember {
            member_id: "m".into(),
            instance_id: Some("i".into()),
            client_id: "c".into(),
            client_host: "/127.0.0.1".into(),
            rebalance_timeout_ms: 300_000,
            session_timeout_ms: 10_000,
            subscription: Bytes::from_static(b"sub"),
            assignment: Bytes::from_static(b"ass"),
        };
        StoredGroup {
            protocol_type: "consumer".into(),
            generation_id: 7,
            protocol_name: Some("range".into()),
            leader: Some("m".into()),
            state_timestamp_ms: Some(99),
            members: vec![member],
        }
    }

    fn offset(expire_timestamp_ms: Option<i64>) -> StoredOffset {
        let leader_epoch = if expire_timestamp_ms.is_some() { -1 } else { 5 };
        let topic_id = if expire_timestamp_ms.is_some() { Uuid::ZERO } else { Uuid([9; 16]) };
        let metadata = "meta".into();
        StoredOffset {
            offset: 42,
            leader_epoch,
            metadata,
            commit_timestamp_ms: 1,
            expire_timestamp_ms,
            topic_id,
        }
    }

    fn key() -> OffsetKey {
        OffsetKey { group_id: "g".into(), topic: "t".into(), partition: 3 }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let records = [
            Record::Group("g".into(), Some(group())),
            Record::Group("g".into(), None),
            Record::Offset(key(), Some(offset(None))),
            Record::Offset(key(), Some(offset(Some(1_000)))),
            Record::Offset(key(), None),
        ];
        for record in records {
            assert_eq!(decode(&encode(&record)), Ok(Decoded::Ours(record)));
        }
    }

    #[test]
    fn values_are_written_in_the_versions_that_kafka_writes() {
        let version = |record| encode(&record).value.unwrap()[1];
        assert_eq!(version(Record::Group("g".into(), Some(group()))), 3);
        assert_eq!(version(Record::Offset(key(), Some(offset(None)))), 4);
        assert_eq!(version(Record::Offset(key(), Some(offset(Some(1_000))))), 1);
    }

    #[test]
    fn every_version_of_a_group_is_read() {
        let GroupRecord::GroupMetadata(_, Some(value)) = group_message(&"g".into(), Some(&group())) else {
            panic!("a group has a group's message")
        };
        let key = encode(&Record::Group("g".into(), None)).key;
        for version in 0..=4 {
            let value = Some(encode_versioned(&value, version).unwrap());
            let Ok(Decoded::Ours(Record::Group(_, Some(read)))) =
                decode(&CoordinatorRecord { key: key.clone(), value })
            else {
                panic!("version {version} is not read")
            };
            assert_eq!(read.generation_id, 7);
            let timeout_ms = if version == 0 { 10_000 } else { 300_000 };
            assert_eq!(read.members[0].rebalance_timeout_ms, timeout_ms, "version {version}");
        }
    }

    #[test]
    fn keys_of_other_kinds_are_foreign_and_broken_bytes_an_error() {
        let record = |key: &'static [u8]| CoordinatorRecord { key: Bytes::from_static(key), value: None };
        assert_eq!(decode(&record(&[0, 3, 0, 1, b'g'])), Ok(Decoded::Foreign(3)));
        assert_eq!(decode(&record(&[0, 99])), Ok(Decoded::Foreign(99)));
        assert!(decode(&record(&[0])).is_err());
        assert!(decode(&record(&[0, 2, 0, 9, b'g'])).is_err());
    }
}
