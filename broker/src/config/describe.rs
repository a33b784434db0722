//! What DescribeConfigs answers: each property with its value, where that comes from, and what stands behind it.
//! Never shows a secret. Pure functions: any core.

use super::broker::Layers;
use super::property::{Kind, Property};
use super::topic;
use super::value;
use super::{BrokerConfig, ConfigMap, defs};
use std::collections::BTreeSet;

/// Where a value comes from, by its number in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    DynamicTopic = 1,
    DynamicBroker = 2,
    DynamicDefaultBroker = 3,
    StaticBroker = 4,
    Default = 5,
    Group = 8,
}

impl ConfigSource {
    #[must_use]
    pub const fn code(self) -> i8 {
        self as i8
    }
}

/// One value among those that stand behind an entry, the strongest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSynonym {
    pub name: String,
    /// `None` for secrets.
    pub value: Option<String>,
    pub source: ConfigSource,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    pub name: String,
    /// `None` for null and for secrets.
    pub value: Option<String>,
    pub source: ConfigSource,
    pub is_read_only: bool,
    pub is_sensitive: bool,
    pub synonyms: Vec<ConfigSynonym>,
    /// `None` for a name that no table has.
    pub kind: Option<Kind>,
    pub documentation: Option<&'static str>,
}

impl ConfigEntry {
    /// The type's number in the protocol; 0 is unknown.
    #[must_use]
    pub fn kind_code(&self) -> i8 {
        self.kind.map_or(0, Kind::code)
    }

    #[must_use]
    pub fn is_default(&self) -> bool {
        self.source == ConfigSource::Default
    }
}

/// A topic's properties, by name. An internal one shows only when it is set.
#[must_use]
pub fn describe_topic(config: &BrokerConfig, overrides: &ConfigMap) -> Vec<ConfigEntry> {
    let shows = |property: &&Property| !property.internal || overrides.contains_key(property.name);
    let all = defs::topic_properties().iter().filter(shows);
    all.map(|property| topic_entry(config.layers(), overrides, property)).collect()
}

fn topic_entry(layers: &Layers, overrides: &ConfigMap, property: &'static Property) -> ConfigEntry {
    let own = own_text(overrides, property);
    let inherited = topic::inherited(property.name, &|name| layers.value(name)).text();
    let text = own.clone().or(inherited);
    let mut synonyms: Vec<_> =
        own.map(|text| synonym(property.name, Some(text), ConfigSource::DynamicTopic)).into_iter().collect();
    if let Some(first) = defs::topic_synonyms(property.name).first() {
        synonyms.extend(broker_chain(layers, first.name, false));
    }
    entry(property, text, false, synonyms)
}

/// A group's properties, by name.
#[must_use]
pub fn describe_group(config: &BrokerConfig, overrides: &ConfigMap) -> Vec<ConfigEntry> {
    defs::group_properties()
        .iter()
        .map(|property| group_entry(config.layers(), overrides, property))
        .collect()
}

fn group_entry(layers: &Layers, overrides: &ConfigMap, property: &'static Property) -> ConfigEntry {
    let own = own_text(overrides, property);
    let behind = defs::group_synonym(property.name);
    let inherited = match behind {
        Some(broker) => layers.value(broker.name),
        None => value::default_of(property),
    };
    let mut synonyms: Vec<_> =
        own.clone().map(|text| synonym(property.name, Some(text), ConfigSource::Group)).into_iter().collect();
    match behind {
        Some(broker) => synonyms.extend(broker_chain(layers, broker.name, false)),
        None => synonyms.push(synonym(property.name, inherited.text(), ConfigSource::Default)),
    }
    entry(property, own.or(inherited.text()), false, synonyms)
}

fn own_text(overrides: &ConfigMap, property: &Property) -> Option<String> {
    let parsed = value::parse(property, overrides.get(property.name)?).ok()?;
    parsed.text()
}

/// This broker's properties, by name: all of the table, and whatever else was set.
#[must_use]
pub fn describe_broker(config: &BrokerConfig) -> Vec<ConfigEntry> {
    let layers = config.layers();
    let shown = defs::broker_properties().iter().filter(|property| !property.internal);
    let mut names: BTreeSet<&str> = shown.map(|property| property.name).collect();
    for layer in [&layers.broker, &layers.cluster, &layers.fixed] {
        names.extend(layer.keys().map(String::as_str));
    }
    names.into_iter().map(|name| broker_entry(layers, name)).collect()
}

/// What was set for all brokers at once, by name.
#[must_use]
pub fn describe_cluster_default(config: &BrokerConfig) -> Vec<ConfigEntry> {
    let layers = config.layers();
    let mut entries: Vec<_> = layers.cluster.keys().map(|name| broker_entry(layers, name)).collect();
    for entry in &mut entries {
        entry.synonyms.retain(|synonym| synonym.source == ConfigSource::DynamicDefaultBroker);
        entry.source = source_of(&entry.synonyms);
        if !entry.is_sensitive {
            entry.value = layers.cluster.get(&entry.name).cloned();
        }
    }
    entries
}

fn broker_entry(layers: &Layers, name: &str) -> ConfigEntry {
    let Some(property) = described_as(name) else {
        return unknown_entry(layers, name);
    };
    let text = match defs::broker_property(name) {
        Some(_) => layers.value(name).text(),
        None => set_text(layers, name),
    };
    let synonyms = broker_chain(layers, name, property.is_sensitive());
    let mut entry = entry(property, text, !property.is_dynamic(), synonyms);
    if property.name != name {
        name.clone_into(&mut entry.name);
        entry.is_read_only = true;
    }
    entry
}

/// The row that describes a name, also one with a listener's prefix.
fn described_as(name: &str) -> Option<&'static Property> {
    defs::broker_property(name)
        .or_else(|| defs::dynamic_only_property(name))
        .or_else(|| defs::broker_property(defs::without_listener_prefix(name)?))
}

/// Nobody can say whether an unknown property is a secret, so it counts as one.
fn unknown_entry(layers: &Layers, name: &str) -> ConfigEntry {
    let synonyms = broker_chain(layers, name, true);
    ConfigEntry {
        name: name.to_owned(),
        value: None,
        source: source_of(&synonyms),
        is_read_only: true,
        is_sensitive: true,
        synonyms,
        kind: None,
        documentation: None,
    }
}

fn entry(
    property: &'static Property,
    text: Option<String>,
    is_read_only: bool,
    synonyms: Vec<ConfigSynonym>,
) -> ConfigEntry {
    ConfigEntry {
        name: property.name.to_owned(),
        value: text.filter(|_| !property.is_sensitive()),
        source: source_of(&synonyms),
        is_read_only,
        is_sensitive: property.is_sensitive(),
        synonyms,
        kind: Some(property.kind),
        documentation: Some(property.meaning),
    }
}

fn source_of(synonyms: &[ConfigSynonym]) -> ConfigSource {
    synonyms.first().map_or(ConfigSource::Default, |synonym| synonym.source)
}

fn synonym(name: &str, value: Option<String>, source: ConfigSource) -> ConfigSynonym {
    ConfigSynonym { name: name.to_owned(), value, source }
}

/// All that is set under `name` and its synonyms: layer by layer, within a layer by rank.
/// What ranks before the first entry under `name` itself is left out, as Kafka does; so
/// `log.retention.ms` shows no `log.retention.hours` unless it is set as well.
fn broker_chain(layers: &Layers, name: &str, is_sensitive: bool) -> Vec<ConfigSynonym> {
    let names = defs::broker_synonyms(name);
    let set = [
        (&layers.broker, ConfigSource::DynamicBroker),
        (&layers.cluster, ConfigSource::DynamicDefaultBroker),
        (&layers.fixed, ConfigSource::StaticBroker),
    ];
    let mut chain = Vec::new();
    for (layer, source) in set {
        for &synonym_name in &names {
            if let Some(text) = layer.get(synonym_name) {
                let shown = Some(text.clone()).filter(|_| !is_sensitive);
                chain.push(synonym(synonym_name, shown, source));
            }
        }
    }
    for &synonym_name in &names {
        if let Some(text) = defs::broker_property(synonym_name).and_then(Property::default_text) {
            let shown = Some(text.to_owned()).filter(|_| !is_sensitive);
            chain.push(synonym(synonym_name, shown, ConfigSource::Default));
        }
    }
    let own = chain.iter().position(|synonym| synonym.name == name);
    chain.split_off(own.unwrap_or(chain.len()))
}

fn set_text(layers: &Layers, name: &str) -> Option<String> {
    let layers = [&layers.broker, &layers.cluster, &layers.fixed];
    layers.into_iter().find_map(|layer| layer.get(name)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flags;
    use ConfigSource::{Default, DynamicBroker, DynamicDefaultBroker, DynamicTopic, Group, StaticBroker};

    fn map(pairs: &[(&str, &str)]) -> ConfigMap {
        let owned = |(name, text): &(&str, &str)| (name.to_string(), text.to_string());
        pairs.iter().map(owned).collect()
    }

    fn broker(file: &str) -> BrokerConfig {
        BrokerConfig::from_sources(Some(("f", file)), &[], &Flags::default()).unwrap().0
    }

    fn find(entries: Vec<ConfigEntry>, name: &str) -> ConfigEntry {
        entries.into_iter().find(|entry| entry.name == name).expect(name)
    }

    fn behind(entry: &ConfigEntry) -> Vec<(&str, &str, ConfigSource)> {
        let triple = |s: &'_ ConfigSynonym| {
            let value: &'static str = s.value.clone().unwrap_or("null".into()).leak();
            let name: &'static str = s.name.clone().leak();
            (name, value, s.source)
        };
        entry.synonyms.iter().map(triple).collect()
    }

    #[test]
    fn a_topic_shows_33_properties_and_the_internal_one_once_set() {
        let config = broker("");
        assert_eq!(describe_topic(&config, &map(&[])).len(), 33);
        let set = map(&[("internal.segment.bytes", "100000")]);
        let entries = describe_topic(&config, &set);
        assert_eq!(entries.len(), 34);
        let entry = find(entries, "internal.segment.bytes");
        assert_eq!(behind(&entry), [("internal.segment.bytes", "100000", DynamicTopic)]);
    }

    #[test]
    fn a_topics_synonyms_go_from_its_own_over_the_layers_to_the_default() {
        let config = broker("log.segment.bytes=104857600");
        let entry = find(describe_topic(&config, &map(&[("segment.bytes", " 1048576 ")])), "segment.bytes");
        assert_eq!(entry.value.as_deref(), Some("1048576"));
        assert_eq!(entry.source, DynamicTopic);
        assert_eq!(
            behind(&entry),
            [
                ("segment.bytes", "1048576", DynamicTopic),
                ("log.segment.bytes", "104857600", StaticBroker),
                ("log.segment.bytes", "1073741824", Default),
            ]
        );
    }

    #[test]
    fn retention_shows_every_unit_once_milliseconds_are_set() {
        let config = broker("log.retention.minutes=30")
            .with_dynamic(&map(&[("log.retention.ms", "60000")]), &map(&[("log.retention.ms", "70000")]));
        let entry = find(describe_topic(&config, &map(&[])), "retention.ms");
        assert_eq!((entry.value.as_deref(), entry.source), (Some("70000"), DynamicBroker));
        assert_eq!(
            behind(&entry),
            [
                ("log.retention.ms", "70000", DynamicBroker),
                ("log.retention.ms", "60000", DynamicDefaultBroker),
                ("log.retention.minutes", "30", StaticBroker),
                ("log.retention.hours", "168", Default),
            ]
        );
    }

    #[test]
    fn retention_by_a_coarser_unit_counts_as_default_and_shows_nothing_behind() {
        let entry = find(describe_topic(&broker("log.retention.minutes=30"), &map(&[])), "retention.ms");
        assert_eq!((entry.value.as_deref(), entry.source), (Some("1800000"), Default));
        assert_eq!(behind(&entry), []);
        assert!(entry.is_default());
    }

    #[test]
    fn a_broker_shows_what_kafka_shows_and_kring_adds() {
        let names: Vec<_> = describe_broker(&broker("")).into_iter().map(|e| e.name).collect();
        let own = [
            "kring.cache.bytes",
            "kring.journal.bytes",
            "kring.disk.settings",
            "kring.shards",
            "log.dir.reserve.bytes",
            "queued.max.response.bytes",
        ];
        let of_kafka = names.iter().filter(|name| !own.contains(&name.as_str())).count();
        assert_eq!(of_kafka, 340);
        assert!(names.is_sorted());
    }

    #[test]
    fn a_brokers_value_names_its_layers() {
        let config = broker("")
            .with_dynamic(&map(&[("message.max.bytes", "88888")]), &map(&[("message.max.bytes", "77777")]));
        let entry = find(describe_broker(&config), "message.max.bytes");
        assert_eq!(
            behind(&entry),
            [
                ("message.max.bytes", "77777", DynamicBroker),
                ("message.max.bytes", "88888", DynamicDefaultBroker),
                ("message.max.bytes", "1048588", Default),
            ]
        );
        assert!(!entry.is_read_only);
        assert_eq!(entry.kind_code(), 3);
    }

    #[test]
    fn read_only_properties_say_so_and_null_has_no_synonyms() {
        let config = broker("node.id=1\nlog.dir=/x, /y");
        let node = find(describe_broker(&config), "broker.id");
        assert!(node.is_read_only);
        assert_eq!(behind(&node), [("broker.id", "1", StaticBroker), ("broker.id", "-1", Default)]);
        let dirs = find(describe_broker(&config), "log.dir");
        assert_eq!(dirs.value.as_deref(), Some("/x,/y"));
        assert_eq!(behind(&dirs)[0], ("log.dir", "/x, /y", StaticBroker));
        let roll = find(describe_broker(&config), "log.roll.ms");
        assert_eq!((roll.value.clone(), roll.source, roll.is_read_only), (None, Default, false));
        assert_eq!(behind(&roll), []);
    }

    #[test]
    fn secrets_and_unknown_names_never_show_their_value() {
        let config = broker("ssl.keystore.password=secret\nsuper.users=User:a")
            .with_dynamic(&map(&[]), &map(&[("nope", "1")]));
        for (name, source, is_read_only) in [
            ("ssl.keystore.password", StaticBroker, false),
            ("super.users", StaticBroker, true),
            ("nope", DynamicBroker, true),
        ] {
            let entry = find(describe_broker(&config), name);
            assert_eq!((entry.value.clone(), entry.is_sensitive), (None, true), "{name}");
            assert_eq!(behind(&entry), [(name, "null", source)]);
            assert_eq!(entry.is_read_only, is_read_only);
        }
    }

    #[test]
    fn a_listeners_own_property_is_described_by_the_plain_one() {
        let name = "listener.name.plaintext.ssl.keystore.location";
        let config = broker("").with_dynamic(&map(&[]), &map(&[(name, "x")]));
        let entry = find(describe_broker(&config), name);
        assert_eq!((entry.value.as_deref(), entry.kind_code()), (Some("x"), 2));
        assert!(entry.is_read_only);
        assert_eq!(behind(&entry), [(name, "x", DynamicBroker)]);
    }

    #[test]
    fn the_cluster_default_shows_only_itself() {
        let config = broker("message.max.bytes=1")
            .with_dynamic(&map(&[("message.max.bytes", "88888")]), &map(&[("message.max.bytes", "77777")]));
        let entries = describe_cluster_default(&config);
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].value.as_deref(), Some("88888"));
        assert_eq!(behind(&entries[0]), [("message.max.bytes", "88888", DynamicDefaultBroker)]);
    }

    #[test]
    fn a_group_shows_its_brokers_property_behind_its_own() {
        let config = broker("");
        let set = map(&[("consumer.session.timeout.ms", "50000"), ("share.auto.offset.reset", "earliest")]);
        let session = find(describe_group(&config, &set), "consumer.session.timeout.ms");
        assert_eq!(
            behind(&session),
            [
                ("consumer.session.timeout.ms", "50000", Group),
                ("group.consumer.session.timeout.ms", "45000", Default),
            ]
        );
        let reset = find(describe_group(&config, &set), "share.auto.offset.reset");
        assert_eq!(
            behind(&reset),
            [("share.auto.offset.reset", "earliest", Group), ("share.auto.offset.reset", "latest", Default),]
        );
        assert_eq!(describe_group(&config, &map(&[])).len(), 17);
    }

    #[test]
    fn every_entry_is_documented_in_our_words() {
        for entry in describe_broker(&broker("")) {
            assert!(entry.documentation.is_some(), "{}", entry.name);
        }
    }
}
