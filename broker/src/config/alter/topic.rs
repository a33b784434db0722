//! What may be changed of a topic. Every mistake is INVALID_CONFIG.
//! Never stores a change. Pure functions: any core.

use super::{AlterError, Alteration, ConfigChange, apply_all, check_request, differences};
use crate::config::{ConfigMap, defs, value};

/// IncrementalAlterConfigs for a topic with these overrides. What stays the same is no change.
///
/// # Errors
/// Nothing is changed if anything is wrong with the result.
pub fn alter_topic(
    existing: &ConfigMap,
    alterations: &[Alteration],
) -> Result<Vec<ConfigChange>, AlterError> {
    check_request(alterations)?;
    let altered = apply_all(existing, alterations, defs::topic_property)?;
    validate_topic_overrides(&altered)?;
    Ok(differences(existing, &altered))
}

/// AlterConfigs for a topic: these overrides and no others.
///
/// # Errors
/// As [`validate_topic_overrides`].
pub fn replace_topic(existing: &ConfigMap, wanted: &ConfigMap) -> Result<Vec<ConfigChange>, AlterError> {
    validate_topic_overrides(wanted)?;
    Ok(differences(existing, wanted))
}

/// The overrides of a new topic, as CreateTopics lists them; of a name that stands twice the last counts.
///
/// # Errors
/// INVALID_CONFIG, also for a value that is missing.
pub fn new_topic_overrides<'a>(
    entries: impl Iterator<Item = (&'a str, Option<&'a str>)>,
) -> Result<ConfigMap, AlterError> {
    let mut overrides = ConfigMap::new();
    let mut without = Vec::new();
    for (name, text) in entries {
        match text {
            Some(text) => drop(overrides.insert(name.to_owned(), text.to_owned())),
            None => without.push(name),
        }
    }
    if !without.is_empty() {
        let names = without.join(",");
        return Err(AlterError::config(format!("Null value not supported for topic configs: {names}")));
    }
    validate_topic_overrides(&overrides)?;
    Ok(overrides)
}

/// Whether a topic may have exactly these overrides.
///
/// # Errors
/// INVALID_CONFIG with Kafka's sentence.
pub fn validate_topic_overrides(overrides: &ConfigMap) -> Result<(), AlterError> {
    let unknown = overrides.keys().find(|name| defs::topic_property(name).is_none());
    if let Some(name) = unknown {
        return Err(AlterError::config(format!("Unknown topic config name: {name}")));
    }
    for (name, text) in overrides {
        if let Some(property) = defs::topic_property(name) {
            value::parse(property, text)?;
        }
    }
    check_compaction_lag(overrides)?;
    if is_true(overrides, "remote.storage.enable") {
        return Err(AlterError::config(
            "Tiered Storage functionality is disabled in the broker. \
             Topic cannot be configured with remote log storage.",
        ));
    }
    Ok(())
}

fn is_true(overrides: &ConfigMap, name: &str) -> bool {
    overrides.get(name).is_some_and(|text| text.trim().eq_ignore_ascii_case("true"))
}

fn check_compaction_lag(overrides: &ConfigMap) -> Result<(), AlterError> {
    let number = |name: &str, default: i64| {
        let text = overrides.get(name);
        text.and_then(|text| text.trim().parse().ok()).unwrap_or(default)
    };
    let min = number("min.compaction.lag.ms", 0);
    let max = number("max.compaction.lag.ms", i64::MAX);
    if min <= max {
        return Ok(());
    }
    Err(AlterError::config(format!(
        "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
    )))
}

#[cfg(test)]
mod tests {
    use super::super::AlterOp::{self, Append, Delete, Set, Subtract};
    use super::super::tests::{map, ops, transcript};
    use super::*;

    fn topic(existing: &[(&str, &str)], list: &[(AlterOp, &str, &str)]) -> Result<ConfigMap, String> {
        let existing = map(existing);
        let changes = alter_topic(&existing, &ops(list)).map_err(|error| error.to_string())?;
        let mut after = existing;
        for change in changes {
            match change.value {
                Some(value) => drop(after.insert(change.name, value)),
                None => drop(after.remove(&change.name)),
            }
        }
        Ok(after)
    }

    /// What Apache Kafka 4.3.1 answered to each.
    const ANSWERS: &str = "\
set segment.bytes 5 => INVALID_CONFIG: Invalid value 5 for configuration segment.bytes: Value must be at least 1048576
set nope 5 => INVALID_CONFIG: Unknown topic config name: nope
append nope 5 => INVALID_CONFIG: Can't APPEND to key nope because its type is not LIST.
subtract segment.bytes 5 => INVALID_CONFIG: Can't SUBTRACT to key segment.bytes because its type is not LIST.
append cleanup.policy foo => INVALID_CONFIG: Invalid value foo for configuration cleanup.policy: String must be one of: compact, delete
set remote.storage.enable true => INVALID_CONFIG: Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.";

    #[test]
    fn a_topics_mistakes_get_kafkas_answers() {
        for (op, name, value, said) in transcript(ANSWERS) {
            assert_eq!(topic(&[], &[(op, name, value)]).unwrap_err(), said);
        }
    }

    #[test]
    fn compaction_lags_must_not_cross() {
        let list = [(Set, "min.compaction.lag.ms", "10"), (Set, "max.compaction.lag.ms", "5")];
        assert_eq!(
            topic(&[], &list).unwrap_err(),
            "INVALID_CONFIG: conflict topic config setting min.compaction.lag.ms (10) > \
             max.compaction.lag.ms (5)"
        );
    }

    #[test]
    fn append_and_subtract_start_from_the_default() {
        let both = topic(&[], &[(Append, "cleanup.policy", "compact")]).unwrap();
        assert_eq!(both["cleanup.policy"], "delete,compact");
        let one = topic(&[("cleanup.policy", "delete,compact")], &[(Subtract, "cleanup.policy", "delete")]);
        assert_eq!(one.unwrap()["cleanup.policy"], "compact");
        let none = topic(&[], &[(Subtract, "cleanup.policy", "delete")]).unwrap();
        assert_eq!(none["cleanup.policy"], "");
        let same = topic(&[], &[(Append, "cleanup.policy", "delete")]).unwrap();
        assert_eq!(same["cleanup.policy"], "delete");
    }

    #[test]
    fn one_mistake_changes_nothing() {
        assert!(topic(&[], &[(Set, "retention.ms", "5"), (Set, "nope", "1")]).is_err());
    }

    #[test]
    fn deleting_what_is_not_there_is_fine() {
        assert_eq!(topic(&[], &[(Delete, "nope", "")]).unwrap(), map(&[]));
        let gone = topic(&[("retention.ms", "5")], &[(Delete, "retention.ms", "")]);
        assert_eq!(gone.unwrap(), map(&[]));
    }

    #[test]
    fn writing_a_topics_value_again_is_no_change() {
        let existing = map(&[("retention.ms", "5")]);
        let changes = alter_topic(&existing, &ops(&[(Set, "retention.ms", "5")]));
        assert_eq!(changes.unwrap(), []);
    }

    #[test]
    fn a_new_topic_needs_every_value() {
        let entries = [("retention.ms", Some("5")), ("flush.ms", None), ("segment.ms", None)];
        let error = new_topic_overrides(entries.into_iter()).unwrap_err();
        assert_eq!(error.message, "Null value not supported for topic configs: flush.ms,segment.ms");
        let good = new_topic_overrides(entries[..1].iter().copied());
        assert_eq!(good.unwrap(), map(&[("retention.ms", "5")]));
    }

    #[test]
    fn replacing_takes_away_what_is_not_named() {
        let existing = map(&[("retention.ms", "5"), ("flush.ms", "6")]);
        let changes = replace_topic(&existing, &map(&[("flush.ms", "6"), ("segment.ms", "7")]));
        let change = |name: &str, value: Option<&str>| ConfigChange {
            name: name.to_owned(),
            value: value.map(str::to_owned),
        };
        assert_eq!(changes.unwrap(), [change("segment.ms", Some("7")), change("retention.ms", None)]);
    }
}
