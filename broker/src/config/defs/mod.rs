//! The tables of properties and the ways to look into them.
//! Never holds a configured value. Constants: every core reads them.

mod cluster;
mod coordinators;
mod group_level;
mod log;
mod network;
mod own;
mod remote;
mod security;
mod topics;

use super::property::{Property, Rule};
use std::sync::OnceLock;

/// Any words, none too.
const LIST: Rule = Rule::List { of: &[], may_be_empty: true };
/// Any words, at least one.
const LIST_NOT_EMPTY: Rule = Rule::List { of: &[], may_be_empty: false };

const BROKER_TABLES: [&[Property]; 7] = [
    cluster::CLUSTER,
    coordinators::COORDINATORS,
    log::LOG,
    network::NETWORK,
    own::OWN,
    remote::REMOTE,
    security::SECURITY,
];

/// What Kafka has where Kring's default is another: one node alone, on this machine, durable.
const KAFKA_DEFAULTS: [(&str, Option<&str>); 12] = [
    ("controller.listener.names", None),
    ("flush.messages", Some("9223372036854775807")),
    ("listeners", Some("PLAINTEXT://:9092")),
    ("log.dir", Some("/tmp/kafka-logs")),
    ("log.flush.interval.messages", Some("9223372036854775807")),
    ("node.id", None),
    ("offsets.topic.replication.factor", Some("3")),
    ("process.roles", None),
    ("share.coordinator.state.topic.min.isr", Some("2")),
    ("share.coordinator.state.topic.replication.factor", Some("3")),
    ("transaction.state.log.min.isr", Some("2")),
    ("transaction.state.log.replication.factor", Some("3")),
];

/// Kafka's default (`None` for none) of a property for which Kring has another one.
#[must_use]
pub fn other_kafka_default(name: &str) -> Option<Option<&'static str>> {
    KAFKA_DEFAULTS.iter().find(|(other, _)| *other == name).map(|(_, default)| *default)
}

/// Every property of the broker, sorted by name.
#[must_use]
pub fn broker_properties() -> &'static [&'static Property] {
    static SORTED: OnceLock<Vec<&'static Property>> = OnceLock::new();
    SORTED.get_or_init(|| {
        let mut all: Vec<_> = BROKER_TABLES.iter().copied().flatten().collect();
        all.sort_by_key(|property| property.name);
        all
    })
}

/// Every property of a topic, sorted by name.
#[must_use]
pub const fn topic_properties() -> &'static [Property] {
    topics::TOPICS
}

/// Every property of a group, sorted by name.
#[must_use]
pub const fn group_properties() -> &'static [Property] {
    group_level::GROUP_LEVEL
}

#[must_use]
pub fn broker_property(name: &str) -> Option<&'static Property> {
    let all = broker_properties();
    let at = all.binary_search_by(|property| property.name.cmp(name)).ok()?;
    Some(all[at])
}

#[must_use]
pub fn topic_property(name: &str) -> Option<&'static Property> {
    find(topics::TOPICS, name)
}

#[must_use]
pub fn group_property(name: &str) -> Option<&'static Property> {
    find(group_level::GROUP_LEVEL, name)
}

/// Properties that only a dynamic change can set: no file has them.
#[must_use]
pub fn dynamic_only_property(name: &str) -> Option<&'static Property> {
    own::DYNAMIC_ONLY.iter().find(|property| property.name == name)
}

/// Names that Kafka takes in a file without listing them: they belong to its authoriser.
#[must_use]
pub fn is_plugin_name(name: &str) -> bool {
    const NAMES: [&str; 2] = ["super.users", "allow.everyone.if.no.acl.found"];
    const PREFIXES: [&str; 3] = ["rlmm.config.", "rsm.config.", "config.providers."];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Splits `listener.name.<listener>.[<mechanism>.]<property>` and returns the property's name.
#[must_use]
pub fn without_listener_prefix(name: &str) -> Option<&str> {
    let (_, rest) = name.strip_prefix("listener.name.")?.split_once('.')?;
    if broker_property(rest).is_some() {
        return Some(rest);
    }
    let (_, after_mechanism) = rest.split_once('.')?;
    broker_property(after_mechanism).map(|property| property.name)
}

fn find(table: &'static [Property], name: &str) -> Option<&'static Property> {
    let at = table.binary_search_by(|property| property.name.cmp(name)).ok()?;
    Some(&table[at])
}

/// A broker property that stands in for a topic's, and how its unit converts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synonym {
    pub name: &'static str,
    /// What one unit of the broker property is in units of the topic property.
    pub factor: i64,
}

const fn same(name: &'static str) -> Synonym {
    Synonym { name, factor: 1 }
}

const fn times(name: &'static str, factor: i64) -> Synonym {
    Synonym { name, factor }
}

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;

/// The broker properties that give a topic property its default, the strongest first.
#[must_use]
pub fn topic_synonyms(name: &str) -> &'static [Synonym] {
    macro_rules! synonyms {
        ($($topic:literal => [$($synonym:expr),+])*) => {
            match name {
                $($topic => const { &[$($synonym),+] },)*
                _ => &[],
            }
        };
    }
    synonyms! {
        "cleanup.policy" => [same("log.cleanup.policy")]
        "compression.gzip.level" => [same("compression.gzip.level")]
        "compression.lz4.level" => [same("compression.lz4.level")]
        "compression.type" => [same("compression.type")]
        "compression.zstd.level" => [same("compression.zstd.level")]
        "delete.retention.ms" => [same("log.cleaner.delete.retention.ms")]
        "file.delete.delay.ms" => [same("log.segment.delete.delay.ms")]
        "flush.messages" => [same("log.flush.interval.messages")]
        "flush.ms" => [same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")]
        "index.interval.bytes" => [same("log.index.interval.bytes")]
        "local.retention.bytes" => [same("log.local.retention.bytes")]
        "local.retention.ms" => [same("log.local.retention.ms")]
        "max.compaction.lag.ms" => [same("log.cleaner.max.compaction.lag.ms")]
        "max.message.bytes" => [same("message.max.bytes")]
        "message.timestamp.after.max.ms" => [same("log.message.timestamp.after.max.ms")]
        "message.timestamp.before.max.ms" => [same("log.message.timestamp.before.max.ms")]
        "message.timestamp.type" => [same("log.message.timestamp.type")]
        "min.cleanable.dirty.ratio" => [same("log.cleaner.min.cleanable.ratio")]
        "min.compaction.lag.ms" => [same("log.cleaner.min.compaction.lag.ms")]
        "min.insync.replicas" => [same("min.insync.replicas")]
        "preallocate" => [same("log.preallocate")]
        "retention.bytes" => [same("log.retention.bytes")]
        "retention.ms" => [
            same("log.retention.ms"),
            times("log.retention.minutes", MINUTE_MS),
            times("log.retention.hours", HOUR_MS)
        ]
        "segment.bytes" => [same("log.segment.bytes")]
        "segment.index.bytes" => [same("log.index.size.max.bytes")]
        "segment.jitter.ms" => [
            same("log.roll.jitter.ms"),
            times("log.roll.jitter.hours", HOUR_MS)
        ]
        "segment.ms" => [same("log.roll.ms"), times("log.roll.hours", HOUR_MS)]
        "unclean.leader.election.enable" => [same("unclean.leader.election.enable")]
    }
}

/// The broker property that gives a group property its default.
#[must_use]
pub fn group_synonym(name: &str) -> Option<&'static Property> {
    broker_property(&format!("group.{name}"))
}

/// Broker properties of which the first that is set counts, for any one of them.
#[must_use]
pub fn broker_synonyms(name: &str) -> Vec<&str> {
    match name {
        "log.roll.ms" | "log.roll.hours" => vec!["log.roll.ms", "log.roll.hours"],
        "log.roll.jitter.ms" | "log.roll.jitter.hours" => {
            vec!["log.roll.jitter.ms", "log.roll.jitter.hours"]
        }
        "log.flush.interval.ms" => {
            vec!["log.flush.interval.ms", "log.flush.scheduler.interval.ms"]
        }
        "log.retention.ms" | "log.retention.minutes" | "log.retention.hours" => {
            vec!["log.retention.ms", "log.retention.minutes", "log.retention.hours"]
        }
        _ => std::iter::once(name).chain(without_listener_prefix(name)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::property::{Kind, Need};
    use crate::config::value::{self, Value};

    fn every_row() -> impl Iterator<Item = &'static Property> {
        broker_properties()
            .iter()
            .copied()
            .chain(topic_properties())
            .chain(group_properties())
            .chain(own::DYNAMIC_ONLY)
    }

    #[test]
    fn every_default_passes_its_own_rule() {
        for property in every_row() {
            let parsed = value::default_of(property);
            assert_eq!(property.default_text().is_none(), parsed == Value::Null, "{}", property.name);
        }
    }

    #[test]
    fn a_default_is_written_as_kafka_prints_it() {
        for property in every_row() {
            let shown = value::default_of(property).text();
            assert_eq!(shown.as_deref(), property.default_text(), "{}", property.name);
        }
    }

    #[test]
    fn only_the_listed_defaults_differ_from_kafkas() {
        for (name, kafkas) in KAFKA_DEFAULTS {
            let ours = broker_property(name).or_else(|| topic_property(name)).expect(name);
            assert_ne!(ours.default_text(), kafkas, "{name}");
        }
    }

    #[test]
    fn tables_are_sorted_and_no_name_stands_twice() {
        for table in [topic_properties(), group_properties()] {
            assert!(table.windows(2).all(|pair| pair[0].name < pair[1].name));
        }
        let all = broker_properties();
        assert!(all.windows(2).all(|pair| pair[0].name < pair[1].name));
    }

    #[test]
    fn kafka_4_3_1_has_360_broker_34_topic_and_17_group_properties() {
        let kafkas = |property: &&&Property| property.need != Need::Own;
        assert_eq!(broker_properties().iter().filter(kafkas).count(), 360);
        assert_eq!(topic_properties().len(), 34);
        assert_eq!(group_properties().len(), 17);
    }

    #[test]
    fn every_meaning_is_a_sentence() {
        for property in every_row() {
            let text = property.meaning;
            assert!(text.ends_with('.') && text.len() > 15, "{}", property.name);
        }
    }

    #[test]
    fn every_synonym_is_a_broker_property_of_the_topics_type() {
        for property in topic_properties() {
            for synonym in topic_synonyms(property.name) {
                let broker = broker_property(synonym.name).expect(synonym.name);
                let whole = |kind| matches!(kind, Kind::Int | Kind::Long);
                let fits = broker.kind == property.kind || whole(broker.kind) && whole(property.kind);
                assert!(fits, "{}", property.name);
            }
        }
    }

    #[test]
    fn six_topic_properties_have_no_default_in_the_broker() {
        let without: Vec<_> = topic_properties()
            .iter()
            .filter(|property| topic_synonyms(property.name).is_empty())
            .map(|property| property.name)
            .collect();
        assert_eq!(
            without,
            [
                "follower.replication.throttled.replicas",
                "internal.segment.bytes",
                "leader.replication.throttled.replicas",
                "remote.log.copy.disable",
                "remote.log.delete.on.disable",
                "remote.storage.enable",
            ]
        );
    }

    #[test]
    fn listener_prefix_is_taken_off_with_and_without_a_mechanism() {
        let plain = without_listener_prefix("listener.name.a.ssl.keystore.location");
        assert_eq!(plain, Some("ssl.keystore.location"));
        let mechanism = without_listener_prefix("listener.name.a.scram-sha-256.sasl.jaas.config");
        assert_eq!(mechanism, Some("sasl.jaas.config"));
        assert_eq!(without_listener_prefix("listener.name.a.nothing"), None);
    }
}
