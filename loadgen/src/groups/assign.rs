//! Subscriptions and assignments of Kafka's consumer protocol, version 0, and who gets which partition. Pure.
//!
//! | | fields |
//! |---|---|
//! | subscription | version i16, topics [string], user data bytes |
//! | assignment | version i16, topics [string, partitions [i32]], user data bytes |

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::client::Layout;

const VERSION: i16 = 0;
const NO_USER_DATA: i32 = -1;

pub fn subscription(layout: &Layout) -> Bytes {
    let mut out = head(layout);
    layout.names().for_each(|name| put_name(&mut out, name));
    out.put_i32(NO_USER_DATA);
    out.freeze()
}

/// What member `index` of `members` gets: a range of each topic, as Kafka's range assignor gives them.
pub fn assignment(layout: &Layout, members: usize, index: usize) -> Bytes {
    let mut out = head(layout);
    for (name, partitions) in layout.topics() {
        put_name(&mut out, name);
        let own = range(partitions.len(), members, index);
        out.put_i32(own.len() as i32);
        own.iter().for_each(|partition| out.put_i32(*partition));
    }
    out.put_i32(NO_USER_DATA);
    out.freeze()
}

fn head(layout: &Layout) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_i16(VERSION);
    out.put_i32(layout.count() as i32);
    out
}

fn put_name(out: &mut BytesMut, name: &str) {
    out.put_i16(name.len() as i16);
    out.put_slice(name.as_bytes());
}

/// The partitions of an assignment; `None` when it cannot be read, or names others. An empty one has none.
pub fn partitions(mut assignment: Bytes, layout: &Layout) -> Option<Vec<i32>> {
    let mut partitions = Vec::new();
    if assignment.is_empty() {
        return Some(partitions);
    }
    assignment.try_get_i16().ok()?;
    for _ in 0..take_count(&mut assignment)? {
        take_topic(&mut assignment, layout, &mut partitions)?;
    }
    Some(partitions)
}

fn take_topic(assignment: &mut Bytes, layout: &Layout, partitions: &mut Vec<i32>) -> Option<()> {
    let length = usize::try_from(assignment.try_get_i16().ok()?).ok()?;
    if assignment.len() < length {
        return None;
    }
    let name = assignment.split_to(length);
    let name = std::str::from_utf8(&name).ok()?;
    for _ in 0..take_count(assignment)? {
        partitions.push(layout.find(name, assignment.try_get_i32().ok()?)?);
    }
    Some(())
}

fn take_count(assignment: &mut Bytes) -> Option<u32> {
    u32::try_from(assignment.try_get_i32().ok()?).ok()
}

/// What member `index` of `members` gets of so many partitions: Kafka's range assignor.
fn range(partitions: usize, members: usize, index: usize) -> Vec<i32> {
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
        let layout = Layout::new([("load", 5)]);
        let whole = assignment(&layout, 2, 1);
        assert_eq!(partitions(whole.clone(), &layout), Some(vec![3, 4]));
        assert_eq!(partitions(Bytes::new(), &layout), Some(Vec::new()));
        // Without its user data, which nobody reads, an assignment is whole.
        (1..whole.len() - 4)
            .for_each(|end| assert_eq!(partitions(whole.slice(..end), &layout), None, "{end}"));
        assert_eq!(partitions(whole, &Layout::new([("load", 4)])), None, "it has no partition 4");
    }

    #[test]
    fn members_share_each_topic_and_every_partition_goes_to_one() {
        let layout = Layout::new([("a", 3), ("b", 2)]);
        let own = |index| partitions(assignment(&layout, 2, index), &layout).unwrap();
        assert_eq!((own(0), own(1)), (vec![0, 1, 3], vec![2, 4]));
    }

    /// `ConsumerProtocol.serializeSubscription(new Subscription(List.of("load")), (short) 0)`.
    #[test]
    fn a_subscription_is_that_of_kafkas_consumer_protocol() {
        assert_eq!(
            subscription(&Layout::new([("load", 1)]))[..],
            *b"\0\0\0\0\0\x01\0\x04load\xff\xff\xff\xff"
        );
    }
}
