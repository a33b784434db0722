//! Produce requests, written by hand: at one record a request, making them is most of the work. Pure. Nothing is
//! allocated for one; a test holds the bytes against those that `kring-wire` writes.
//!
//! ```text
//! length · header (key, version, correlation, client id) · transactional id · acks · timeout
//!        · topics: name · partitions: index · records │ batch │ tags │ … tags │ … tags
//! ```

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};
use kring_wire::ApiKey;

use super::batch::Batch;
use crate::client::{CLIENT_ID, Layout};

/// From this version on lengths are varints, and tagged fields follow.
const FIRST_FLEXIBLE: i16 = 9;
const TIMEOUT_MS: i32 = 30_000;
/// Of the key, the version and the correlation id.
const HEADER_BYTES: usize = 8;
/// Of a partition's index.
const INDEX_BYTES: usize = 4;
/// Bodies from this size on are sent from where they are; copying smaller ones is cheaper than another part.
const COPIED_BYTES: usize = 8 << 10;

/// What all requests of a producer have in common.
#[derive(Clone, Debug)]
pub struct ProduceFrame {
    version: i16,
    /// From the client id to the number of topics.
    before_topics: Vec<u8>,
    /// With their lengths.
    names: Vec<Vec<u8>>,
}

impl ProduceFrame {
    pub fn new<'a>(version: i16, names: impl Iterator<Item = &'a str>, acks: i16) -> ProduceFrame {
        let mut frame = ProduceFrame { version, before_topics: Vec::new(), names: Vec::new() };
        frame.before_topics = frame.before_topics_of(acks);
        frame.names = names.map(|name| frame.name(name)).collect();
        frame
    }

    fn before_topics_of(&self, acks: i16) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_i16(CLIENT_ID.len() as i16);
        out.put_slice(CLIENT_ID.as_str().as_bytes());
        match self.is_flexible() {
            // No tags of the header, no transactional id.
            true => out.put_slice(&[0, 0]),
            false => out.put_i16(-1),
        }
        out.put_i16(acks);
        out.put_i32(TIMEOUT_MS);
        out
    }

    fn name(&self, name: &str) -> Vec<u8> {
        let mut out = Vec::new();
        match self.is_flexible() {
            true => put_uvarint(&mut out, name.len() as u32 + 1),
            false => out.put_i16(name.len() as i16),
        }
        out.put_slice(name.as_bytes());
        out
    }

    fn is_flexible(&self) -> bool {
        self.version >= FIRST_FLEXIBLE
    }

    /// Writes a request with these batches, one for each partition, in the order of their partitions.
    pub fn put(&self, out: &mut Written, correlation: i32, layout: &Layout, batches: &[Batch]) {
        self.put_head(&mut out.tail, correlation, layout, batches);
        for topic in by_topic(layout, batches) {
            out.tail.put_slice(&self.names[topic_of(layout, topic)]);
            self.put_count(&mut out.tail, topic.len());
            topic
                .iter()
                .for_each(|batch| self.put_partition(out, layout.index(batch.stream.partition), batch));
            out.tail.put_slice(self.tags());
        }
        out.tail.put_slice(self.tags());
    }

    /// Everything before the first topic.
    fn put_head(&self, out: &mut BytesMut, correlation: i32, layout: &Layout, batches: &[Batch]) {
        let topics = by_topic(layout, batches).map(|topic| self.topic_bytes(topic_of(layout, topic), topic));
        let (count, topics) = topics.fold((0, 0), |(count, sum), bytes| (count + 1, sum + bytes));
        let before = HEADER_BYTES + self.before_topics.len() + self.length_bytes(count);
        out.put_i32((before + topics + self.tags().len()) as i32);
        out.put_i16(ApiKey::Produce.as_i16());
        out.put_i16(self.version);
        out.put_i32(correlation);
        out.put_slice(&self.before_topics);
        self.put_count(out, count);
    }

    fn topic_bytes(&self, topic: usize, batches: &[Batch]) -> usize {
        let partitions = batches.iter().map(|batch| self.partition_bytes(batch.size_bytes()));
        let around = self.names[topic].len() + self.length_bytes(batches.len()) + self.tags().len();
        around + partitions.sum::<usize>()
    }

    fn partition_bytes(&self, batch_bytes: usize) -> usize {
        INDEX_BYTES + self.length_bytes(batch_bytes) + batch_bytes + self.tags().len()
    }

    fn put_partition(&self, out: &mut Written, index: i32, batch: &Batch) {
        out.tail.put_i32(index);
        self.put_count(&mut out.tail, batch.size_bytes());
        out.put_batch(batch);
        out.tail.put_slice(self.tags());
    }

    /// How many elements or bytes follow.
    fn put_count(&self, out: &mut impl BufMut, count: usize) {
        match self.is_flexible() {
            true => put_uvarint(out, count as u32 + 1),
            false => out.put_i32(count as i32),
        }
    }

    fn length_bytes(&self, count: usize) -> usize {
        if self.is_flexible() { uvarint_bytes(count as u32 + 1) } else { 4 }
    }

    /// What stands behind each partition, each topic and the request: none.
    fn tags(&self) -> &'static [u8] {
        if self.is_flexible() { &[0] } else { &[] }
    }
}

/// Batches in the order of their partitions, those of a topic together.
fn by_topic<'a>(layout: &'a Layout, batches: &'a [Batch]) -> impl Iterator<Item = &'a [Batch]> {
    layout.stretches(batches, |batch| batch.stream.partition).map(|(_, batches)| batches)
}

fn topic_of(layout: &Layout, batches: &[Batch]) -> usize {
    layout.place(batches[0].stream.partition).topic
}

/// Requests that are written and not sent yet.
#[derive(Default)]
pub struct Written {
    parts: VecDeque<Bytes>,
    tail: BytesMut,
}

impl Written {
    fn put_batch(&mut self, batch: &Batch) {
        self.tail.put_slice(&batch.head);
        if batch.body.len() < COPIED_BYTES {
            self.tail.put_slice(&batch.body);
        } else {
            self.parts.push_back(self.tail.split().freeze());
            self.parts.push_back(batch.body.clone());
        }
    }

    /// All of it; what is taken from there is sent.
    pub fn parts(&mut self) -> &mut VecDeque<Bytes> {
        if !self.tail.is_empty() {
            self.parts.push_back(self.tail.split().freeze());
        }
        &mut self.parts
    }

    pub fn clear(&mut self) {
        self.parts.clear();
        self.tail.clear();
    }
}

fn put_uvarint(out: &mut impl BufMut, mut value: u32) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn uvarint_bytes(value: u32) -> usize {
    (value.max(1).ilog2() as usize) / 7 + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::Stream;
    use kring_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
    use kring_wire::{Records, Str, encode_request};

    fn batch(partition: i32, body_bytes: usize) -> Batch {
        Batch {
            stream: Stream { producer: 0, partition },
            first_number: 0,
            times: Vec::new(),
            head: [partition as u8; kring_wire::record::HEADER_BYTES],
            body: Bytes::from(vec![9; body_bytes]),
            content_bytes: 0,
        }
    }

    fn as_wire_writes_it(version: i16, layout: &Layout, acks: i16, batches: &[Batch]) -> Bytes {
        let partition = |batch: &Batch| PartitionProduceData {
            index: layout.index(batch.stream.partition),
            records: Some(Records::Bytes([&batch.head[..], &batch.body].concat().into())),
        };
        let topic = |batches: &[Batch]| TopicProduceData {
            name: Str::from(layout.name(batches[0].stream.partition)),
            partition_data: batches.iter().map(partition).collect(),
            ..TopicProduceData::default()
        };
        let topic_data = by_topic(layout, batches).map(topic).collect();
        let request =
            ProduceRequest { acks, timeout_ms: TIMEOUT_MS, topic_data, ..ProduceRequest::default() };
        encode_request(version, 77, Some(CLIENT_ID), &request).unwrap().into_bytes().unwrap()
    }

    /// Partitions 0 to 2 are of the first topic, 3 of the second, 4 and up of the third.
    fn requests() -> Vec<Vec<Batch>> {
        let of = |batches: &[(i32, usize)]| batches.iter().map(|(at, bytes)| batch(*at, *bytes)).collect();
        vec![
            of(&[(0, 0)]),
            of(&[(3, 65), (5, 66)]),
            of(&[(0, 70_000), (2, 1), (3, COPIED_BYTES), (4, 16384), (5, 0)]),
            of(&(4..204).map(|partition| (partition, 1)).collect::<Vec<_>>()),
        ]
    }

    #[test]
    fn the_bytes_are_those_of_the_schema_in_every_version_and_size() {
        let long = "t".repeat(249);
        let layout = Layout::new([("load", 3), (long.as_str(), 1), ("t", 200)]);
        for (version, acks) in (ApiKey::Produce.min_version()..=12).zip([-1, 1, 0].into_iter().cycle()) {
            let frame = ProduceFrame::new(version, layout.names(), acks);
            for batches in requests() {
                let mut out = Written::default();
                frame.put(&mut out, 77, &layout, &batches);
                let written: Vec<u8> = out.parts().drain(..).flatten().collect();
                let expected = as_wire_writes_it(version, &layout, acks, &batches);
                assert!(written == expected, "version {version}, {} partitions", batches.len());
            }
        }
    }

    #[test]
    fn a_varint_takes_as_many_bytes_as_are_written() {
        for value in [0, 1, 127, 128, 16383, 16384, 2_097_151, 2_097_152, 268_435_455, 268_435_456, u32::MAX]
        {
            let mut out = Vec::new();
            put_uvarint(&mut out, value);
            assert_eq!(uvarint_bytes(value), out.len(), "{value}");
        }
    }
}
