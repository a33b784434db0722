//! Pages, as Apache Kafka 4.3.1 turned them for the same requests.

use kring_wire::messages::describe_topic_partitions_request::{Cursor as Start, TopicRequest};
use kring_wire::messages::partition_record::PartitionRecord;
use kring_wire::messages::topic_record::TopicRecord;
use kring_wire::{Message, Uuid, Writer};

use super::*;

/// `a` with one partition, `b` with three, `c` with one.
fn image() -> Image {
    let mut image = Image::default();
    for (name, number, partitions) in [("a", 1, 1), ("b", 2, 3), ("c", 3, 1)] {
        let topic_id = Uuid::from_u128(number);
        image.apply(&TopicRecord { name: name.into(), topic_id }.into()).expect("a new name");
        for partition_id in 0..partitions {
            let record = PartitionRecord { partition_id, topic_id, ..Default::default() };
            image.apply(&record.into()).expect("a topic that is there");
        }
    }
    image
}

fn ask(topics: &[&str], limit: i32, cursor: Option<(&str, i32)>) -> DescribeTopicPartitionsResponse {
    let start = |(name, index): (&str, i32)| Start { topic_name: name.into(), partition_index: index };
    let body = DescribeTopicPartitionsRequest {
        topics: topics.iter().map(|name| TopicRequest { name: (*name).into() }).collect(),
        response_partition_limit: limit,
        cursor: cursor.map(start),
    };
    let response = respond(&body, &image(), "L", 2000);
    response.encode(&mut Writer::new(), 0).expect("the version has the fields");
    response
}

/// Topics as `name:error:partitions`, then the cursor.
fn said(response: &DescribeTopicPartitionsResponse) -> String {
    let topic = |t: &DescribeTopicPartitionsResponseTopic| {
        let indexes: Vec<_> = t.partitions.iter().map(|p| p.partition_index).collect();
        format!("{}:{}:{indexes:?} ", t.name.as_deref().unwrap_or("null"), t.error_code)
    };
    let topics: String = response.topics.iter().map(topic).collect();
    let next = response.next_cursor.as_ref().map(|c| format!("{}-{}", c.topic_name, c.partition_index));
    format!("{topics}> {}", next.unwrap_or_default())
}

#[test]
fn pages_end_inside_and_between_topics() {
    assert_eq!(said(&ask(&[], 2000, None)), "a:0:[0] b:0:[0, 1, 2] c:0:[0] > ");
    assert_eq!(said(&ask(&[], 2, None)), "a:0:[0] b:0:[0] > b-1");
    assert_eq!(said(&ask(&[], 2, Some(("b", 1)))), "b:0:[1, 2] > c-0");
    assert_eq!(said(&ask(&[], 2, Some(("c", 0)))), "c:0:[0] > ");
    assert_eq!(said(&ask(&[], 1, Some(("bb", 0)))), "c:0:[0] > ");
}

#[test]
fn named_topics_come_in_order_from_the_cursor_on() {
    assert_eq!(said(&ask(&["c", "a"], 9, None)), "a:0:[0] c:0:[0] > ");
    assert_eq!(said(&ask(&["c", "a"], 1, None)), "a:0:[0] > c-0");
    assert_eq!(said(&ask(&["b", "a"], 1, Some(("b", 2)))), "b:0:[2] > ");
    assert_eq!(said(&ask(&["b"], 2, Some(("b", 7)))), "b:0:[] > ");
}

#[test]
fn topics_that_are_not_there_take_no_room() {
    assert_eq!(said(&ask(&["a b", "nope", "c"], 1, None)), "a b:17:[] c:0:[0] > nope-0");
}

#[test]
fn a_limit_below_one_counts_as_one() {
    assert_eq!(said(&ask(&["b"], 0, None)), "b:0:[0] > b-1");
    assert_eq!(said(&ask(&["b"], -5, None)), "b:0:[0] > b-1");
}

#[test]
fn a_cursor_off_the_list_or_below_zero_is_invalid() {
    assert_eq!(said(&ask(&["a"], 5, Some(("zzz", 0)))), "a:42:[] > ");
    assert_eq!(said(&ask(&["b"], 5, Some(("b", -1)))), "b:42:[] > ");
}
