//! What IncrementalAlterConfigs, AlterConfigs and CreateTopics may change, and the answers they get.
//! Never stores a change: returns what a metadata record should say. Pure functions: any core.
//!
//! The order of the checks and the sentences are Kafka's. A topic's and a group's mistakes are
//! INVALID_CONFIG, a broker's mostly INVALID_REQUEST.

use super::property::{Kind, Property};
mod broker;
mod group;
mod topic;

pub use broker::{BrokerScope, alter_broker, replace_broker, validate_broker_overrides};
pub use group::{alter_group, replace_group, validate_group_overrides};
pub use topic::{alter_topic, new_topic_overrides, replace_topic, validate_topic_overrides};

use super::ConfigMap;
use super::value::InvalidValue;
use kring_wire::ErrorCode;
use std::collections::BTreeSet;
use std::fmt;

/// What is asked for one property. SET, APPEND and SUBTRACT without a value are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alteration {
    pub name: String,
    pub op: AlterOp,
    pub value: Option<String>,
}

/// By their numbers in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlterOp {
    Set = 0,
    Delete = 1,
    Append = 2,
    Subtract = 3,
}

impl AlterOp {
    /// # Errors
    /// INVALID_REQUEST for a number without a meaning.
    pub fn from_code(code: i8) -> Result<Self, AlterError> {
        match code {
            0 => Ok(Self::Set),
            1 => Ok(Self::Delete),
            2 => Ok(Self::Append),
            3 => Ok(Self::Subtract),
            other => Err(AlterError::request(format!("Unknown operations type {other}"))),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Set => "SET",
            Self::Delete => "DELETE",
            Self::Append => "APPEND",
            Self::Subtract => "SUBTRACT",
        }
    }
}

/// One property as it shall be from now on; `None` takes the override away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    pub name: String,
    pub value: Option<String>,
}

/// Why nothing is changed, as the client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterError {
    pub code: ErrorCode,
    pub message: String,
}

impl AlterError {
    fn config(message: impl Into<String>) -> Self {
        Self { code: ErrorCode::INVALID_CONFIG, message: message.into() }
    }

    fn request(message: impl Into<String>) -> Self {
        Self { code: ErrorCode::INVALID_REQUEST, message: message.into() }
    }
}

impl fmt::Display for AlterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for AlterError {}

impl From<InvalidValue> for AlterError {
    fn from(error: InvalidValue) -> Self {
        Self::config(error.0)
    }
}

/// What every kind of resource refuses first: a name twice, a value that is missing.
///
/// # Errors
/// INVALID_REQUEST.
pub fn check_request(alterations: &[Alteration]) -> Result<(), AlterError> {
    let mut seen = BTreeSet::new();
    if !alterations.iter().all(|alteration| seen.insert(alteration.name.as_str())) {
        return Err(AlterError::request("Error due to duplicate config keys"));
    }
    let lacks_value =
        |alteration: &&Alteration| alteration.op != AlterOp::Delete && alteration.value.is_none();
    let without: Vec<_> =
        alterations.iter().filter(lacks_value).map(|alteration| alteration.name.as_str()).collect();
    if without.is_empty() {
        return Ok(());
    }
    Err(AlterError::request(format!("Null value not supported for : {}", without.join(", "))))
}

/// Applies all to a copy, each property being known by `row`.
fn apply_all(
    existing: &ConfigMap,
    alterations: &[Alteration],
    row: impl Fn(&str) -> Option<&'static Property>,
) -> Result<ConfigMap, AlterError> {
    let mut altered = existing.clone();
    for alteration in alterations {
        let property = row(&alteration.name);
        let is_list = property.is_some_and(|property| property.kind == Kind::List);
        if matches!(alteration.op, AlterOp::Append | AlterOp::Subtract) && !is_list {
            let (op, name) = (alteration.op.name(), &alteration.name);
            return Err(AlterError::config(format!(
                "Can't {op} to key {name} because its type is not LIST."
            )));
        }
        apply(&mut altered, alteration, property);
    }
    Ok(altered)
}

/// A list without an override starts from the table's default, not from what the broker gives it.
fn apply(altered: &mut ConfigMap, alteration: &Alteration, property: Option<&Property>) {
    let value = alteration.value.clone().unwrap_or_default();
    let old = || {
        let set = altered.get(&alteration.name).map(String::as_str);
        let text = set.or_else(|| property.and_then(Property::default_text));
        words(text.unwrap_or_default())
    };
    let new = match alteration.op {
        AlterOp::Set => value,
        AlterOp::Append => appended(old(), words(&value)).join(","),
        AlterOp::Subtract => subtracted(old(), words(&value)).join(","),
        AlterOp::Delete => {
            altered.remove(&alteration.name);
            return;
        }
    };
    altered.insert(alteration.name.clone(), new);
}

fn words(text: &str) -> Vec<String> {
    text.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn appended(mut list: Vec<String>, more: Vec<String>) -> Vec<String> {
    for word in more {
        if !list.contains(&word) {
            list.push(word);
        }
    }
    list
}

fn subtracted(mut list: Vec<String>, less: Vec<String>) -> Vec<String> {
    for word in less {
        if let Some(at) = list.iter().position(|other| *other == word) {
            list.remove(at);
        }
    }
    list
}

fn differences(existing: &ConfigMap, wanted: &ConfigMap) -> Vec<ConfigChange> {
    let changed = wanted.iter().filter(|(name, text)| existing.get(*name) != Some(text));
    let set = changed.map(|(name, text)| ConfigChange { name: name.clone(), value: Some(text.clone()) });
    let gone = existing.keys().filter(|name| !wanted.contains_key(*name));
    let unset = gone.map(|name| ConfigChange { name: name.clone(), value: None });
    set.chain(unset).collect()
}

#[cfg(test)]
mod tests {
    use super::AlterOp::{Append, Delete, Set};
    use super::*;
    use crate::config::{BrokerConfig, Flags};

    pub fn map(pairs: &[(&str, &str)]) -> ConfigMap {
        let owned = |(name, text): &(&str, &str)| (name.to_string(), text.to_string());
        pairs.iter().map(owned).collect()
    }

    pub fn ops(list: &[(AlterOp, &str, &str)]) -> Vec<Alteration> {
        let alteration = |(op, name, value): &(AlterOp, &str, &str)| Alteration {
            name: name.to_string(),
            op: *op,
            value: Some(value.to_string()).filter(|_| *op != Delete),
        };
        list.iter().map(alteration).collect()
    }

    pub fn broker() -> BrokerConfig {
        BrokerConfig::from_sources(None, &[], &Flags::default()).unwrap().0
    }

    /// Reads lines of `op name value => answer`.
    pub fn transcript(text: &str) -> Vec<(AlterOp, &str, &str, &str)> {
        text.lines().map(transcript_line).collect()
    }

    fn transcript_line(line: &str) -> (AlterOp, &str, &str, &str) {
        let (request, answer) = line.split_once(" => ").unwrap();
        let mut words = request.splitn(3, ' ');
        let op = match words.next().unwrap() {
            "set" => Set,
            "append" => Append,
            "subtract" => AlterOp::Subtract,
            other => panic!("no such operation: {other}"),
        };
        (op, words.next().unwrap(), words.next().unwrap(), answer)
    }

    #[test]
    fn names_twice_and_missing_values_are_bad_requests() {
        let twice = check_request(&ops(&[(Set, "retention.ms", "5"), (Delete, "retention.ms", "")]));
        assert_eq!(twice.unwrap_err().to_string(), "INVALID_REQUEST: Error due to duplicate config keys");
        let mut without = ops(&[(Set, "retention.ms", "5"), (Append, "cleanup.policy", "x")]);
        without.iter_mut().for_each(|alteration| alteration.value = None);
        assert_eq!(
            check_request(&without).unwrap_err().message,
            "Null value not supported for : retention.ms, cleanup.policy"
        );
        assert_eq!(AlterOp::from_code(4).unwrap_err().message, "Unknown operations type 4");
    }
}
