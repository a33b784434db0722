//! Topic names: which are allowed, which are internal, which would collide in metric names.
//! Never looks at what exists. Pure functions: any core.

use kring_wire::{Str, Uuid};

pub const CONSUMER_OFFSETS: &str = "__consumer_offsets";
pub const TRANSACTION_STATE: &str = "__transaction_state";
pub const SHARE_GROUP_STATE: &str = "__share_group_state";
pub const CLUSTER_METADATA: &str = "__cluster_metadata";
/// The id of `__cluster_metadata`, the same in every cluster.
pub const CLUSTER_METADATA_ID: Uuid = Uuid::ONE;

/// In UTF-16 units, as Kafka counts; allowed names are ASCII.
const MAX_NAME_LENGTH: usize = 249;

/// What is wrong with a topic's name, in the words that Kafka's clients show.
pub fn check_topic_name(name: &str) -> Result<(), String> {
    match fault(name) {
        None => Ok(()),
        Some(fault) => Err(format!("Topic name is invalid: {fault}")),
    }
}

pub fn is_valid_topic_name(name: &str) -> bool {
    fault(name).is_none()
}

fn fault(name: &str) -> Option<String> {
    match name {
        "" => Some("the empty string is not allowed".into()),
        "." | ".." => Some(format!("'{name}' is not allowed")),
        _ if name.encode_utf16().count() > MAX_NAME_LENGTH => {
            Some(format!("the length of '{name}' is longer than the max allowed length {MAX_NAME_LENGTH}"))
        }
        _ if !name.bytes().all(is_allowed) => Some(format!(
            "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        )),
        _ => None,
    }
}

fn is_allowed(c: u8) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-')
}

/// Topics that coordinators keep their state in. Kafka does not count the metadata log among them.
pub fn is_internal(name: &str) -> bool {
    matches!(name, CONSUMER_OFFSETS | TRANSACTION_STATE | SHARE_GROUP_STATE)
}

/// The name with which another must not agree: Kafka's metrics cannot tell `.` from `_`.
/// `None` for a name with neither.
pub fn collision_key(name: &str) -> Option<Str> {
    name.contains(['.', '_']).then(|| Str::from(name.replace('.', "_")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_kafka_judges_them() {
        let longest = "a".repeat(249);
        for good in ["a", "A-z_0.9", "...", "__consumer_offsets", &longest] {
            assert_eq!(check_topic_name(good), Ok(()), "{good}");
        }
        let too_long = "a".repeat(250);
        let bad = [
            ("", "the empty string is not allowed".to_string()),
            (".", "'.' is not allowed".into()),
            ("..", "'..' is not allowed".into()),
            (&too_long, format!("the length of '{too_long}' is longer than the max allowed length 249")),
            (
                "a b",
                "'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
                    .into(),
            ),
        ];
        for (name, fault) in bad {
            assert_eq!(check_topic_name(name), Err(format!("Topic name is invalid: {fault}")));
        }
        assert!(!is_valid_topic_name("Grüße"));
    }

    #[test]
    fn dots_and_underscores_collide() {
        assert_eq!(collision_key("a.b"), collision_key("a_b"));
        assert_eq!(collision_key("ab"), None);
    }
}
