//! Messages as they lie in Kafka's internal topics: metadata records with their frame, coordinators' keys and
//! values with their number or version in front. Knows the bytes, not what the records mean.

use bytes::Bytes;

use crate::codec::{Message, Reader, RecordMessage, Writer};
use crate::error::{DecodeError, EncodeError};
use crate::json::{self, Json, ToJson};
use crate::messages::consumer_protocol_assignment::ConsumerProtocolAssignment;
use crate::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use crate::messages::group_metadata_key::GroupMetadataKey;
use crate::messages::k_raft_version_record::KRaftVersionRecord;
use crate::messages::leader_change_message::LeaderChangeMessage;
use crate::messages::snapshot_footer_record::SnapshotFooterRecord;
use crate::messages::snapshot_header_record::SnapshotHeaderRecord;
use crate::messages::voters_record::VotersRecord;
use crate::messages::*;
use crate::record::control::ControlType;

/// The only frame around metadata records so far.
const METADATA_FRAME: u32 = 1;

/// The highest version of every key is also its only one.
const KEY_VERSION: i16 = 0;

/// A metadata record as it lies in a batch of `__cluster_metadata`: frame, number, version, message.
pub fn encode_metadata_record<M: RecordMessage>(message: &M, version: i16) -> Result<Bytes, EncodeError> {
    let unsigned = |number: i16| u32::from(number.unsigned_abs());
    encode_after(message, version, |w| {
        w.put_uvarint(METADATA_FRAME);
        w.put_uvarint(unsigned(M::RECORD_KEY));
        w.put_uvarint(unsigned(version));
    })
}

/// The key of a coordinator's record: its number, then the message.
pub fn encode_coordinator_key<K: RecordMessage>(key: &K) -> Result<Bytes, EncodeError> {
    encode_after(key, KEY_VERSION, |w| w.put_i16(K::RECORD_KEY))
}

/// The value of a coordinator's record: its version, then the message.
pub fn encode_versioned<V: Message>(value: &V, version: i16) -> Result<Bytes, EncodeError> {
    encode_after(value, version, |w| w.put_i16(version))
}

/// Reads what [`encode_versioned`] writes; nothing may follow.
pub fn decode_versioned<V: Message>(bytes: Bytes) -> Result<V, DecodeError> {
    let mut r = Reader::with_default_budget(bytes);
    let version = r.get_i16()?;
    decode_all(&mut r, version)
}

fn encode_after<M: Message>(
    message: &M,
    version: i16,
    prefix: impl FnOnce(&mut Writer),
) -> Result<Bytes, EncodeError> {
    let mut w = Writer::new();
    prefix(&mut w);
    message.encode(&mut w, version)?;
    let length = w.len();
    w.into_bytes().ok_or(EncodeError::TooLong(length))
}

fn decode_all<M: Message>(r: &mut Reader, version: i16) -> Result<M, DecodeError> {
    let message = M::decode(r, version)?;
    r.finish().map(|()| message)
}

/// The number and the version of a metadata record, by its frame.
fn metadata_prefix(r: &mut Reader) -> Result<(u32, i16), DecodeError> {
    let frame = r.get_uvarint()?;
    if frame != METADATA_FRAME {
        return Err(DecodeError::UnknownRecord { key: frame });
    }
    let (key, version) = (r.get_uvarint()?, r.get_uvarint()?);
    // A version that does not fit is one that no message has.
    Ok((key, i16::try_from(version).unwrap_or(i16::MAX)))
}

/// As `kafka-dump-log --cluster-metadata-decoder` shows a record.
fn metadata_json<M: RecordMessage + ToJson>(message: &M, version: i16) -> Json {
    Json::Object(vec![
        ("type", Json::Text(enum_name(M::NAME))),
        ("version", Json::Int(i64::from(version))),
        ("data", json::of(message, version)),
    ])
}

/// `NoOpRecord` is `NO_OP_RECORD`, as Java spells the constants of an enum.
fn enum_name(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}

/// As `kafka-dump-log` shows a coordinator's key.
fn key_json<K: RecordMessage + ToJson>(key: &K) -> Json {
    Json::Object(vec![("type", Json::text(K::RECORD_KEY)), ("data", json::of(key, KEY_VERSION))])
}

/// As `kafka-dump-log` shows a coordinator's value.
fn value_json<V: Message + ToJson>(bytes: Bytes) -> Result<Json, DecodeError> {
    let mut r = Reader::with_default_budget(bytes);
    let version = r.get_i16()?;
    let value: V = decode_all(&mut r, version)?;
    Ok(Json::Object(vec![("version", Json::text(version)), ("data", json::of(&value, version))]))
}

macro_rules! metadata_records {
    ($($variant:ident = $message:path,)*) => {
        /// Any record of `__cluster_metadata`.
        #[derive(Clone, Debug, PartialEq)]
        pub enum MetadataRecord {
            $($variant($message),)*
        }

        impl MetadataRecord {
            /// Reads a record's value, whole.
            pub fn decode(value: Bytes) -> Result<Self, DecodeError> {
                let mut r = Reader::with_default_budget(value);
                let (key, version) = metadata_prefix(&mut r)?;
                $(if key == <$message>::RECORD_KEY as u32 {
                    return decode_all(&mut r, version).map(Self::$variant);
                })*
                Err(DecodeError::UnknownRecord { key })
            }

            /// A record's value as `kafka-dump-log --cluster-metadata-decoder` shows it.
            pub fn show(value: Bytes) -> Result<Json, DecodeError> {
                let mut r = Reader::with_default_budget(value);
                let (key, version) = metadata_prefix(&mut r)?;
                $(if key == <$message>::RECORD_KEY as u32 {
                    let message: $message = decode_all(&mut r, version)?;
                    return Ok(metadata_json(&message, version));
                })*
                Err(DecodeError::UnknownRecord { key })
            }

            /// The record's value. Versions follow the metadata version of the cluster.
            pub fn encode(&self, version: i16) -> Result<Bytes, EncodeError> {
                match self {
                    $(Self::$variant(message) => encode_metadata_record(message, version),)*
                }
            }

            pub fn record_key(&self) -> i16 {
                match self {
                    $(Self::$variant(_) => <$message>::RECORD_KEY,)*
                }
            }

            pub fn max_version(&self) -> i16 {
                match self {
                    $(Self::$variant(_) => <$message>::MAX_VERSION,)*
                }
            }

            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => <$message>::NAME,)*
                }
            }
        }

        $(impl From<$message> for MetadataRecord {
            fn from(message: $message) -> Self {
                Self::$variant(message)
            }
        })*
    };
}

macro_rules! coordinator_records {
    ($(#[$doc:meta])* $name:ident: $($variant:ident = $key:path, $value:path;)*) => {
        $(#[$doc])*
        /// A missing value is a tombstone.
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name {
            $($variant($key, Option<$value>),)*
        }

        impl $name {
            /// A record's key and value as `kafka-dump-log` shows them; a tombstone has no value.
            pub fn show(key: Bytes, value: Option<Bytes>) -> Result<(Json, Option<Json>), DecodeError> {
                let mut r = Reader::with_default_budget(key);
                let number = r.get_i16()?;
                $(if number == <$key>::RECORD_KEY {
                    let key: $key = decode_all(&mut r, KEY_VERSION)?;
                    return Ok((key_json(&key), value.map(value_json::<$value>).transpose()?));
                })*
                Err(DecodeError::UnknownRecord { key: u32::from(number.unsigned_abs()) })
            }

            /// Reads a record. A key of unknown number is `DecodeError::UnknownRecord`: another release wrote it.
            pub fn decode(key: Bytes, value: Option<Bytes>) -> Result<Self, DecodeError> {
                let mut r = Reader::with_default_budget(key);
                let number = r.get_i16()?;
                $(if number == <$key>::RECORD_KEY {
                    let key = decode_all(&mut r, KEY_VERSION)?;
                    return Ok(Self::$variant(key, value.map(decode_versioned).transpose()?));
                })*
                Err(DecodeError::UnknownRecord { key: u32::from(number.unsigned_abs()) })
            }

            /// The record's key and value, the value in `version`.
            pub fn encode(&self, version: i16) -> Result<(Bytes, Option<Bytes>), EncodeError> {
                match self {
                    $(Self::$variant(key, value) => {
                        let value = value.as_ref().map(|value| encode_versioned(value, version));
                        Ok((encode_coordinator_key(key)?, value.transpose()?))
                    })*
                }
            }

            pub fn record_key(&self) -> i16 {
                match self {
                    $(Self::$variant(..) => <$key>::RECORD_KEY,)*
                }
            }

            /// The highest version of the value.
            pub fn max_version(&self) -> i16 {
                match self {
                    $(Self::$variant(..) => <$value>::MAX_VERSION,)*
                }
            }
        }
    };
}

include!(concat!(env!("OUT_DIR"), "/stored.rs"));

/// What consumers put into the members of their groups: version, message. Later versions begin as the newest known.
fn embedded<M: Message + ToJson>(bytes: &Bytes) -> Result<Json, DecodeError> {
    let mut r = Reader::with_default_budget(bytes.clone());
    let version = r.get_i16()?;
    M::decode(&mut r, version.min(M::MAX_VERSION)).map(|message| json::of(&message, version))
}

/// A record of `__consumer_offsets` as `kafka-dump-log --offsets-decoder` shows it: subscriptions and assignments of
/// consumers are read where they can be.
pub fn show_group_record(key: Bytes, value: Option<Bytes>) -> Result<(Json, Option<Json>), DecodeError> {
    let is_group = key.get(..2) == Some(&GroupMetadataKey::RECORD_KEY.to_be_bytes()[..]);
    let (key, mut value) = GroupRecord::show(key, value)?;
    let group = value.as_mut().filter(|_| is_group).and_then(|value| value.get_mut("data"));
    if let Some(group) = group
        && group.get_mut("protocolType").is_some_and(|kind| *kind == Json::text("consumer"))
        && let Some(Json::Array(members)) = group.get_mut("members")
    {
        for member in members {
            replace(member, "subscription", embedded::<ConsumerProtocolSubscription>);
            replace(member, "assignment", embedded::<ConsumerProtocolAssignment>);
        }
    }
    Ok((key, value))
}

/// The value of a control record of the quorum as `kafka-dump-log` shows it; `None` for one of another kind.
pub fn show_control_value(kind: ControlType, value: &Bytes) -> Option<Result<Json, DecodeError>> {
    let show = match kind {
        ControlType::LeaderChange => show_versioned_inside::<LeaderChangeMessage>,
        ControlType::SnapshotHeader => show_versioned_inside::<SnapshotHeaderRecord>,
        ControlType::SnapshotFooter => show_versioned_inside::<SnapshotFooterRecord>,
        ControlType::KraftVersion => show_versioned_inside::<KRaftVersionRecord>,
        ControlType::KraftVoters => show_versioned_inside::<VotersRecord>,
        ControlType::Abort | ControlType::Commit | ControlType::Unknown(_) => return None,
    };
    Some(show(value))
}

/// Its version is its own first field.
fn show_versioned_inside<M: Message + ToJson>(bytes: &Bytes) -> Result<Json, DecodeError> {
    let version = Reader::with_default_budget(bytes.clone()).get_i16()?;
    let mut r = Reader::with_default_budget(bytes.clone());
    M::decode(&mut r, version.min(M::MAX_VERSION)).map(|message| json::of(&message, version))
}

/// Bytes that cannot be read stay what they are, as Kafka leaves them.
fn replace(member: &mut Json, name: &str, read: impl Fn(&Bytes) -> Result<Json, DecodeError>) {
    let Some(field) = member.get_mut(name) else { return };
    if let Json::Binary(bytes) = field
        && let Ok(read) = read(bytes)
    {
        *field = read;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::offset_commit_key::OffsetCommitKey;
    use crate::messages::offset_commit_value::OffsetCommitValue;
    use crate::messages::topic_record::TopicRecord;
    use crate::{Str, Uuid};

    #[test]
    fn metadata_records_carry_frame_number_and_version() {
        let record = MetadataRecord::from(TopicRecord { name: Str::from("a"), topic_id: Uuid::ONE });
        let bytes = record.encode(0).unwrap();
        assert_eq!(&bytes[..5], &[1, 2, 0, 2, b'a']);
        assert_eq!((record.record_key(), record.name()), (2, "TopicRecord"));
        assert_eq!(MetadataRecord::decode(bytes), Ok(record));
    }

    #[test]
    fn records_are_shown_as_kafka_dump_log_shows_them() {
        let topic = MetadataRecord::from(TopicRecord { name: Str::from("a"), topic_id: Uuid::ONE });
        let shown = MetadataRecord::show(topic.encode(0).unwrap()).unwrap();
        let expected =
            r#"{"type":"TOPIC_RECORD","version":0,"data":{"name":"a","topicId":"AAAAAAAAAAAAAAAAAAAAAQ"}}"#;
        assert_eq!(shown.to_string(), expected);
        let key = OffsetCommitKey { group: Str::from("g"), topic: Str::from("t"), partition: 3 };
        let value = OffsetCommitValue { offset: 7, topic_id: Uuid::ONE, ..OffsetCommitValue::default() };
        let shown_in = |version| {
            let (key, value) =
                GroupRecord::OffsetCommit(key.clone(), Some(value.clone())).encode(version).unwrap();
            let (key, value) = show_group_record(key, value).unwrap();
            assert_eq!(key.to_string(), r#"{"type":"1","data":{"group":"g","topic":"t","partition":3}}"#);
            value.unwrap().to_string()
        };
        let newest =
            r#"{"version":"4","data":{"offset":7,"leaderEpoch":-1,"metadata":"","commitTimestamp":0,"#;
        assert_eq!(shown_in(4), newest.to_owned() + r#""topicId":"AAAAAAAAAAAAAAAAAAAAAQ"}}"#);
        let oldest = r#"{"version":"0","data":{"offset":7,"metadata":"","commitTimestamp":0}}"#;
        assert_eq!(shown_in(0), oldest);
        let tombstone = GroupRecord::OffsetCommit(key.clone(), None).encode(0).unwrap();
        assert_eq!(show_group_record(tombstone.0, tombstone.1).unwrap().1, None);
    }

    #[test]
    fn metadata_records_of_another_release_are_refused() {
        let decode = |bytes: &'static [u8]| MetadataRecord::decode(Bytes::from_static(bytes));
        assert_eq!(decode(&[0, 2, 0]), Err(DecodeError::UnknownRecord { key: 0 }));
        assert_eq!(decode(&[1, 99, 0]), Err(DecodeError::UnknownRecord { key: 99 }));
        let unsupported = DecodeError::UnsupportedVersion { message: "NoOpRecord", version: i16::MAX };
        assert_eq!(decode(&[1, 20, 0xff, 0xff, 0xff, 0xff, 0x0f]), Err(unsupported));
        assert_eq!(decode(&[1, 20, 0, 0, 7]), Err(DecodeError::TrailingBytes(1)));
    }

    #[test]
    fn coordinator_records_read_back_and_tombstones_have_no_value() {
        let key = OffsetCommitKey { group: Str::from("g"), topic: Str::from("t"), partition: 3 };
        let value = OffsetCommitValue { offset: 9, ..OffsetCommitValue::default() };
        for record in
            [GroupRecord::OffsetCommit(key.clone(), Some(value)), GroupRecord::OffsetCommit(key, None)]
        {
            let (key, value) = record.encode(3).unwrap();
            assert_eq!(&key[..], b"\0\x01\0\x01g\0\x01t\0\0\0\x03");
            assert_eq!(value.as_ref().map(|v| v[1]), value.as_ref().map(|_| 3));
            assert_eq!(GroupRecord::decode(key, value), Ok(record));
        }
    }

    #[test]
    fn unknown_coordinator_keys_are_told_apart_from_broken_ones() {
        let decode = |bytes: &'static [u8]| GroupRecord::decode(Bytes::from_static(bytes), None);
        assert_eq!(decode(&[0, 77]), Err(DecodeError::UnknownRecord { key: 77 }));
        assert_eq!(decode(&[0]), Err(DecodeError::Truncated { needed: 2, remaining: 1 }));
    }
}
