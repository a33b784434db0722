//! Messages as they lie in Kafka's internal topics: metadata records with their frame, coordinators' keys and
//! values with their number or version in front. Knows the bytes, not what the records mean.

use bytes::Bytes;

use crate::codec::{Message, Reader, RecordMessage, Writer};
use crate::error::{DecodeError, EncodeError};
use crate::messages::*;

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
