//! Reads the topics out of a consumer's subscription, which clients write and the coordinator only looks at.
//!
//! Pure, bounded by the bytes given, silent about what it cannot read.

use std::collections::BTreeSet;

use bytes::{Buf, Bytes};
use kring_wire::Str;

/// The topics of a subscription of the embedded consumer protocol; none when the bytes are something else.
///
/// ```text
/// version i16 | topics: count i32, each: length i16, UTF-8 | user data: length i32 (−1: none), bytes | newer fields
/// ```
pub fn subscribed_topics(metadata: &Bytes) -> Option<BTreeSet<Str>> {
    let mut rest = metadata.clone();
    let version = rest.try_get_i16().ok()?;
    if version < 0 {
        return None;
    }
    let count = rest.try_get_i32().ok()?;
    let mut topics = BTreeSet::new();
    for _ in 0..count {
        let length = usize::try_from(rest.try_get_i16().ok()?).ok()?;
        let name = take(&mut rest, length)?;
        topics.insert(Str::from(std::str::from_utf8(&name).ok()?));
    }
    let user_data = rest.try_get_i32().ok()?;
    if let Ok(length) = usize::try_from(user_data) {
        take(&mut rest, length)?;
    }
    (count >= 0).then_some(topics)
}

fn take(from: &mut Bytes, length: usize) -> Option<Bytes> {
    (length <= from.len()).then(|| from.split_to(length))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use bytes::BufMut;

    pub fn subscription(topics: &[&str]) -> Bytes {
        let mut out = bytes::BytesMut::new();
        out.put_i16(1);
        out.put_i32(i32::try_from(topics.len()).unwrap());
        for topic in topics {
            out.put_i16(i16::try_from(topic.len()).unwrap());
            out.put_slice(topic.as_bytes());
        }
        out.put_i32(-1);
        out.put_i32(0);
        out.freeze()
    }

    #[test]
    fn topics_are_read_from_a_subscription() {
        let read = subscribed_topics(&subscription(&["b", "a"])).unwrap();
        assert_eq!(read, BTreeSet::from(["a".into(), "b".into()]));
    }

    #[test]
    fn every_cut_of_a_subscription_is_unreadable_and_harmless() {
        let whole = subscription(&["topic-one", "topic-two"]);
        let readable = whole.len() - 4;
        for cut in 0..readable {
            assert_eq!(subscribed_topics(&whole.slice(..cut)), None, "cut at {cut}");
        }
        assert!(subscribed_topics(&whole.slice(..readable)).is_some());
    }

    #[test]
    fn a_huge_count_costs_nothing() {
        assert_eq!(subscribed_topics(&Bytes::from_static(&[0, 1, 0x7f, 0xff, 0xff, 0xff])), None);
    }
}
