//! The names that the group protocol passes around, each a type of its own; lives wherever they are used.

use kring_wire::{Str, Uuid};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Str);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }

            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                $name(Str::from(text))
            }
        }

        impl From<Str> for $name {
            fn from(text: Str) -> Self {
                $name(text)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// `group.id`.
    GroupId
);
text_id!(
    /// What the coordinator calls a member; empty where the member has no name yet.
    MemberId
);
text_id!(
    /// `group.instance.id` of a static member (KIP-345).
    InstanceId
);

impl MemberId {
    /// A new name: the instance id or the client id, then a random UUID.
    pub fn generate(prefix: &str, random: Uuid) -> MemberId {
        MemberId(Str::from(format!("{prefix}-{}", hyphenated(random))))
    }
}

/// A random UUID (version 4, variant 1) in the form 8-4-4-4-12 that Java's `UUID.toString` has.
fn hyphenated(random: Uuid) -> String {
    let mut bytes = random.0;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// The partition of `__consumer_offsets` that holds a group.
///
/// Kafka takes Java's `String.hashCode` (over UTF-16 code units) without its sign bit.
pub fn partition_for(group_id: &str, partitions: u32) -> u32 {
    assert!(partitions > 0, "a topic has partitions");
    let hash =
        group_id.encode_utf16().fold(0u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)));
    (hash & 0x7fff_ffff) % partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_the_partition_that_kafka_gives_it() {
        // java.lang.String.hashCode: "" = 0, "a" = 97, "my-group" = 0x8e5d271e (negative),
        // "polygenelubricants" = Integer.MIN_VALUE, U+1F600 = 0xD83D * 31 + 0xDE00.
        assert_eq!(partition_for("", 50), 0);
        assert_eq!(partition_for("a", 50), 47);
        assert_eq!(partition_for("my-group", 50), 36);
        assert_eq!(partition_for("polygenelubricants", 50), 0);
        assert_eq!(partition_for("\u{1f600}", 1 << 30), 0xd83d * 31 + 0xde00);
    }

    #[test]
    fn a_member_id_ends_in_a_version_4_uuid() {
        let id = MemberId::generate("app", Uuid([0xff; 16]));
        assert_eq!(id.as_str(), "app-ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
