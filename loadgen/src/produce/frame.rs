//! Produce requests with one batch, written by hand: at one record a request, making them is most of the work.
//! Pure. Nothing is allocated; a test holds the bytes against those that `kring-wire` writes.
//!
//! ```text
//! length · header (key, version, correlation, client id) · transactional id · acks · timeout
//!        · 1 topic: name · 1 partition: index · records │ batch │ the tags behind it
//! ```

use bytes::{BufMut, BytesMut};
use kring_wire::ApiKey;

use crate::client::{CLIENT_ID, Place};

/// From this version on lengths are varints, and tagged fields follow.
const FIRST_FLEXIBLE: i16 = 9;
const TIMEOUT_MS: i32 = 30_000;
/// Of the partition, the topic and the request: none.
const TAGS: &[u8] = &[0, 0, 0];

/// What all requests of a producer have in common.
#[derive(Clone, Debug)]
pub struct ProduceFrame {
    version: i16,
    /// From the client id to the number of topics.
    before_topic: Vec<u8>,
    /// Of each topic the name, and one partition.
    topics: Vec<Vec<u8>>,
}

impl ProduceFrame {
    pub fn new<'a>(version: i16, names: impl Iterator<Item = &'a str>, acks: i16) -> ProduceFrame {
        let flexible = version >= FIRST_FLEXIBLE;
        let mut before_topic = Vec::new();
        before_topic.put_i16(CLIENT_ID.len() as i16);
        before_topic.put_slice(CLIENT_ID.as_str().as_bytes());
        match flexible {
            // No tags of the header, no transactional id.
            true => before_topic.put_slice(&[0, 0]),
            false => before_topic.put_i16(-1),
        }
        before_topic.put_i16(acks);
        before_topic.put_i32(TIMEOUT_MS);
        put_one(&mut before_topic, flexible);
        let topics = names.map(|name| one_partition_of(name, flexible)).collect();
        ProduceFrame { version, before_topic, topics }
    }

    /// Everything before a batch of so many bytes.
    pub fn put_head(&self, out: &mut BytesMut, correlation: i32, to: Place, batch_bytes: usize) {
        let began = out.len();
        out.put_i32(0);
        out.put_i16(ApiKey::Produce.as_i16());
        out.put_i16(self.version);
        out.put_i32(correlation);
        out.put_slice(&self.before_topic);
        out.put_slice(&self.topics[to.topic]);
        out.put_i32(to.index);
        match self.version >= FIRST_FLEXIBLE {
            true => put_uvarint(out, batch_bytes as u32 + 1),
            false => out.put_i32(batch_bytes as i32),
        }
        let length = out.len() - began - 4 + batch_bytes + self.tail().len();
        out[began..began + 4].copy_from_slice(&(length as i32).to_be_bytes());
    }

    /// Everything behind the batch.
    pub fn tail(&self) -> &'static [u8] {
        if self.version >= FIRST_FLEXIBLE { TAGS } else { &[] }
    }
}

/// The name of a topic, and how many of its partitions follow.
fn one_partition_of(name: &str, flexible: bool) -> Vec<u8> {
    let mut out = Vec::new();
    match flexible {
        true => put_uvarint(&mut out, name.len() as u32 + 1),
        false => out.put_i16(name.len() as i16),
    }
    out.put_slice(name.as_bytes());
    put_one(&mut out, flexible);
    out
}

/// An array of one.
fn put_one(out: &mut Vec<u8>, flexible: bool) {
    match flexible {
        true => put_uvarint(out, 2),
        false => out.put_i32(1),
    }
}

fn put_uvarint(out: &mut impl BufMut, mut value: u32) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use kring_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
    use kring_wire::{Records, Str, encode_request};

    fn as_wire_writes_it(version: i16, topic: &str, acks: i16, batch: &Bytes) -> Bytes {
        let records = Some(Records::Bytes(batch.clone()));
        let partition = PartitionProduceData { index: 5, records };
        let topic = TopicProduceData {
            name: Str::from(topic),
            partition_data: vec![partition],
            ..TopicProduceData::default()
        };
        let request = ProduceRequest {
            acks,
            timeout_ms: TIMEOUT_MS,
            topic_data: vec![topic],
            ..ProduceRequest::default()
        };
        encode_request(version, 77, Some(CLIENT_ID), &request).unwrap().into_bytes().unwrap()
    }

    #[test]
    fn the_bytes_are_those_of_the_schema_in_every_version_and_size() {
        let long = "t".repeat(249);
        for version in ApiKey::Produce.min_version()..=12 {
            for (topic, acks, size) in
                [("t", -1, 61), (long.as_str(), 1, 126), ("load", 0, 127), ("x", 1, 70_000)]
            {
                let batch = Bytes::from(vec![9; size]);
                let frame = ProduceFrame::new(version, ["other", topic].into_iter(), acks);
                let mut out = BytesMut::from(&b"before"[..]);
                frame.put_head(&mut out, 77, Place { topic: 1, index: 5 }, size);
                out.put_slice(&batch);
                out.put_slice(frame.tail());
                assert_eq!(
                    out[6..],
                    as_wire_writes_it(version, topic, acks, &batch)[..],
                    "version {version}"
                );
            }
        }
    }
}
