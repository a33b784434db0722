//! Subscriptions and assignments of Kafka's consumer protocol, version 0, and who gets which partition. Pure.
//!
//! | | fields |
//! |---|---|
//! | subscription | version i16, topics [string], user data bytes |
//! | assignment | version i16, topics [string, partitions [i32]], user data bytes |

use bytes::{Buf, BufMut, Bytes, BytesMut};

const VERSION: i16 = 0;
const NO_USER_DATA: i32 = -1;

pub fn subscription(topic: &str) -> Bytes {
    let mut out = BytesMut::new();
    put_topic(&mut out, topic);
    out.put_i32(NO_USER_DATA);
    out.freeze()
}

pub fn assignment(topic: &str, partitions: &[i32]) -> Bytes {
    let mut out = BytesMut::new();
    put_topic(&mut out, topic);
    out.put_i32(partitions.len() as i32);
    partitions.iter().for_each(|partition| out.put_i32(*partition));
    out.put_i32(NO_USER_DATA);
    out.freeze()
}

fn put_topic(out: &mut BytesMut, topic: &str) {
    out.put_i16(VERSION);
    out.put_i32(1);
    out.put_i16(topic.len() as i16);
    out.put_slice(topic.as_bytes());
}

/// The partitions of an assignment to one topic; `None` when it cannot be read. An empty one has none.
pub fn partitions(mut assignment: Bytes) -> Option<Vec<i32>> {
    if assignment.is_empty() {
        return Some(Vec::new());
    }
    assignment.try_get_i16().ok()?;
    if assignment.try_get_i32().ok()? == 0 {
        return Some(Vec::new());
    }
    let name = usize::try_from(assignment.try_get_i16().ok()?).ok()?;
    if assignment.len() < name {
        return None;
    }
    assignment.advance(name);
    let count = usize::try_from(assignment.try_get_i32().ok()?).ok()?;
    if assignment.len() < count.checked_mul(4)? {
        return None;
    }
    (0..count).map(|_| assignment.try_get_i32().ok()).collect()
}

/// What member `index` of `members` gets of so many partitions: Kafka's range assignor.
pub fn range(partitions: usize, members: usize, index: usize) -> Vec<i32> {
    let (each, more) = (partitions / members, partitions % members);
    let from = index * each + index.min(more);
    let count = each + usize::from(index < more);
    (from..from + count).map(|partition| partition as i32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_goes_to_one_member_in_ranges() {
        for (total, members) in [(6, 3), (7, 3), (2, 5), (1, 1)] {
            let all: Vec<_> = (0..members).flat_map(|index| range(total, members, index)).collect();
            assert_eq!(all, (0..total as i32).collect::<Vec<_>>());
        }
        assert_eq!(range(7, 3, 0), [0, 1, 2]);
    }

    #[test]
    fn an_assignment_reads_back_and_a_broken_one_does_not() {
        let whole = assignment("load", &[3, 4]);
        assert_eq!(partitions(whole.clone()), Some(vec![3, 4]));
        assert_eq!(partitions(Bytes::new()), Some(Vec::new()));
        // Without its user data, which nobody reads, an assignment is whole.
        (1..whole.len() - 4).for_each(|end| assert_eq!(partitions(whole.slice(..end)), None, "{end}"));
    }

    /// `ConsumerProtocol.serializeSubscription(new Subscription(List.of("load")), (short) 0)`.
    #[test]
    fn a_subscription_is_that_of_kafkas_consumer_protocol() {
        assert_eq!(subscription("load")[..], *b"\0\0\0\0\0\x01\0\x04load\xff\xff\xff\xff");
    }
}
