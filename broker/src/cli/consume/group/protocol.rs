//! What members of a group of consumers tell each other through the coordinator, which passes it on unread.

use std::collections::BTreeMap;

use bytes::Bytes;
use kring_wire::messages::consumer_protocol_assignment::{
    ConsumerProtocolAssignment, TopicPartition as Assigned,
};
use kring_wire::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use kring_wire::{DecodeError, EncodeError, Message, Reader, Str, Writer};

/// All that is used of the newer versions is there in the first.
const WRITTEN_VERSION: i16 = 0;

pub(super) fn subscription(topic: &Str) -> Result<Bytes, EncodeError> {
    let subscription = ConsumerProtocolSubscription { topics: vec![topic.clone()], ..Default::default() };
    encode(&subscription)
}

pub(super) fn subscribed_topics(bytes: Bytes) -> Result<Vec<Str>, DecodeError> {
    decode::<ConsumerProtocolSubscription>(bytes).map(|subscription| subscription.topics)
}

pub(super) fn assignment(topics: &BTreeMap<Str, Vec<i32>>) -> Result<Bytes, EncodeError> {
    let assigned = topics
        .iter()
        .map(|(topic, partitions)| Assigned { topic: topic.clone(), partitions: partitions.clone() });
    encode(&ConsumerProtocolAssignment { assigned_partitions: assigned.collect(), ..Default::default() })
}

/// The assigned partitions of `topic`. A member that gets nothing may be told so by no bytes at all.
pub(super) fn assigned_partitions(bytes: Bytes, topic: &Str) -> Result<Vec<i32>, DecodeError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let assignment = decode::<ConsumerProtocolAssignment>(bytes)?;
    let of_topic = assignment.assigned_partitions.into_iter().filter(|assigned| assigned.topic == *topic);
    Ok(of_topic.flat_map(|assigned| assigned.partitions).collect())
}

fn encode<M: Message>(message: &M) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::new();
    writer.put_i16(WRITTEN_VERSION);
    message.encode(&mut writer, WRITTEN_VERSION)?;
    Ok(writer.into_bytes().unwrap_or_default())
}

/// A newer version begins like the newest known one.
fn decode<M: Message>(bytes: Bytes) -> Result<M, DecodeError> {
    let mut reader = Reader::with_default_budget(bytes);
    let version = reader.get_i16()?;
    M::decode(&mut reader, version.min(M::MAX_VERSION))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_member_writes_another_reads() {
        let topic = Str::from("t");
        assert_eq!(subscribed_topics(subscription(&topic).unwrap()), Ok(vec![topic.clone()]));
        let assigned = BTreeMap::from([(topic.clone(), vec![1, 4]), (Str::from("u"), vec![0])]);
        assert_eq!(assigned_partitions(assignment(&assigned).unwrap(), &topic), Ok(vec![1, 4]));
        assert_eq!(assigned_partitions(Bytes::new(), &topic), Ok(vec![]));
    }

    #[test]
    fn a_newer_version_is_read_as_far_as_it_is_known() {
        let mut bytes = subscription(&Str::from("t")).unwrap().to_vec();
        bytes[1] = 9;
        bytes.extend([0; 4 + 4 + 2]);
        bytes.extend(*b"what comes later");
        assert_eq!(subscribed_topics(bytes.into()), Ok(vec![Str::from("t")]));
        assert!(subscribed_topics(Bytes::from_static(&[0, 0, 0])).is_err());
    }
}
