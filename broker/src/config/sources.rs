//! Merges a file, `-o` options and flags into one checked map of static values.
//! Never opens the file: its text comes in. Runs once, at start, on the main thread.

use super::property::{Need, Property};
use super::{ConfigMap, defs, properties_file, value};
use std::collections::BTreeMap;
use std::fmt;

/// Where a value stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    File {
        path: String,
        line: usize,
    },
    /// `-o key=value`
    Option,
    /// A flag of its own, such as `--listen`.
    Flag(&'static str),
    /// Nobody set it.
    Default,
}

/// A configuration that cannot be started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub origin: Origin,
    pub key: String,
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File { path, line } => write!(f, "{path}:{line}: ")?,
            Origin::Option => write!(f, "-o {}: ", self.key)?,
            Origin::Flag(flag) => write!(f, "{flag}: ")?,
            Origin::Default => {}
        }
        let names_key = matches!(self.origin, Origin::Option | Origin::Flag(_))
            || self.key.is_empty()
            || self.message.contains(&self.key);
        if !names_key {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {}

/// What the start should say in its log, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigNotice {
    /// A warning: nobody knows this property.
    Unknown { path: String, line: usize, key: String, nearest: Option<&'static str> },
    /// A warning: `--listen` says something else.
    NotAdvertised { path: String, line: usize },
    /// For information: Kafka has these, Kring works without them.
    NotNeeded { keys: Vec<String> },
}

impl fmt::Display for ConfigNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { path, line, key, nearest } => {
                write!(f, "{path}:{line}: unknown property {key} is ignored")?;
                nearest.map_or(Ok(()), |name| write!(f, "; did you mean {name}?"))
            }
            Self::NotAdvertised { path, line } => write!(
                f,
                "{path}:{line}: advertised.listeners is not used: clients are told what --listen says; \
                 -o advertised.listeners=… holds beside it"
            ),
            Self::NotNeeded { keys } => {
                write!(f, "known but not needed here: {}", keys.join(", "))
            }
        }
    }
}

/// The flags of `kring start` that stand for properties. They win over `-o`, which wins over the file.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    pub data_dir: Option<String>,
    /// `HOST:PORT`
    pub listen: Option<String>,
    pub shards: Option<usize>,
}

/// The merged, checked texts and where each came from.
#[derive(Debug, Default)]
pub struct Settings {
    pub values: ConfigMap,
    pub notices: Vec<ConfigNotice>,
    origins: BTreeMap<String, Origin>,
    not_needed: Vec<String>,
}

impl Settings {
    /// Reads all sources.
    ///
    /// # Errors
    /// The first value that is malformed, or an option that nobody knows.
    pub fn gather(
        file: Option<(&str, &str)>,
        options: &[(String, String)],
        flags: &Flags,
    ) -> Result<Self, ConfigError> {
        let mut settings = Self::default();
        if let Some((path, text)) = file {
            settings.read_file(path, text)?;
        }
        for (key, text) in options {
            settings.read_option(key, text)?;
        }
        settings.read_flags(flags)?;
        settings.join_ids()?;
        settings.note_not_needed();
        Ok(settings)
    }

    /// An error about `key`, at the place where it was set.
    #[must_use]
    pub fn error(&self, key: &str, message: impl Into<String>) -> ConfigError {
        ConfigError {
            origin: self.origins.get(key).cloned().unwrap_or(Origin::Default),
            key: key.to_owned(),
            message: message.into(),
        }
    }

    #[must_use]
    pub fn is_set(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    fn read_file(&mut self, path: &str, text: &str) -> Result<(), ConfigError> {
        let entries = properties_file::parse(text).map_err(|error| ConfigError {
            origin: Origin::File { path: path.to_owned(), line: error.line },
            key: String::new(),
            message: error.to_string(),
        })?;
        for entry in entries {
            let origin = Origin::File { path: path.to_owned(), line: entry.line };
            if is_known(&entry.key) {
                self.set(&entry.key, &entry.value, origin)?;
            } else {
                self.notices.push(ConfigNotice::Unknown {
                    path: path.to_owned(),
                    line: entry.line,
                    nearest: nearest(&entry.key),
                    key: entry.key,
                });
            }
        }
        Ok(())
    }

    fn read_option(&mut self, key: &str, text: &str) -> Result<(), ConfigError> {
        if is_known(key) {
            return self.set(key, text, Origin::Option);
        }
        let hint = nearest(key).map_or(String::new(), |name| format!("; did you mean {name}?"));
        Err(ConfigError {
            origin: Origin::Option,
            key: key.to_owned(),
            message: format!("no such property{hint}"),
        })
    }

    /// `--listen` takes the place of what a file says of client listeners; what `-o` says of their advertising holds.
    fn read_flags(&mut self, flags: &Flags) -> Result<(), ConfigError> {
        if let Some(dir) = &flags.data_dir {
            self.set("log.dirs", dir, Origin::Flag("--data-dir"))?;
        }
        if let Some(address) = &flags.listen {
            if let Some((path, line)) = self.unset_from_file("advertised.listeners") {
                self.notices.push(ConfigNotice::NotAdvertised { path, line });
            }
            self.unset_from_file("inter.broker.listener.name");
            let listeners = format!("PLAINTEXT://{address}");
            self.set("listeners", &listeners, Origin::Flag("--listen"))?;
        }
        if let Some(shards) = flags.shards {
            let flag = Origin::Flag("--shards");
            self.set("kring.shards", &shards.to_string(), flag)?;
        }
        Ok(())
    }

    fn set(&mut self, key: &str, text: &str, origin: Origin) -> Result<(), ConfigError> {
        if let Some(property) = property_of(key) {
            value::parse(property, text).map_err(|error| ConfigError {
                origin: origin.clone(),
                key: key.to_owned(),
                message: error.0,
            })?;
        }
        self.values.insert(key.to_owned(), text.to_owned());
        self.origins.insert(key.to_owned(), origin);
        Ok(())
    }

    /// Where it stood, if a file has set it.
    fn unset_from_file(&mut self, key: &str) -> Option<(String, usize)> {
        let Some(Origin::File { path, line }) = self.origins.get(key) else { return None };
        let place = (path.clone(), *line);
        self.values.remove(key);
        self.origins.remove(key);
        Some(place)
    }

    /// `broker.id` and `node.id` are one number; each shows in the other's place.
    fn join_ids(&mut self) -> Result<(), ConfigError> {
        let ids = ["node.id", "broker.id"].map(|key| self.values.get(key).cloned());
        match ids {
            [Some(node), Some(broker)] if node.trim() != broker.trim() => {
                Err(self.error("broker.id", "You must set `node.id` to the same value as `broker.id`."))
            }
            [Some(node), None] => {
                self.values.insert("broker.id".to_owned(), node);
                Ok(())
            }
            [None, Some(broker)] => {
                let origin = self.origins.get("broker.id").cloned();
                self.set("node.id", &broker, origin.unwrap_or(Origin::Default))
            }
            [None, None] => {
                let id = defs::broker_property("node.id").and_then(Property::default_text);
                self.values.extend(id.map(|id| ("broker.id".to_owned(), id.to_owned())));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn note_not_needed(&mut self) {
        let is_needed =
            |key: &str| defs::broker_property(key).is_some_and(|property| property.need != Need::Known);
        let names = self.values.keys();
        self.not_needed = names.filter(|key| !is_needed(key)).cloned().collect();
        if !self.not_needed.is_empty() {
            let keys = std::mem::take(&mut self.not_needed);
            self.notices.push(ConfigNotice::NotNeeded { keys });
        }
    }
}

fn is_known(key: &str) -> bool {
    property_of(key).is_some() || defs::is_plugin_name(key)
}

fn property_of(key: &str) -> Option<&'static Property> {
    defs::broker_property(key).or_else(|| defs::broker_property(defs::without_listener_prefix(key)?))
}

/// The known name that was most likely meant: the broker's name of a topic property,
/// or the name with the fewest edits, if they are few for its length.
#[must_use]
pub fn nearest(key: &str) -> Option<&'static str> {
    if let Some(synonym) = defs::topic_synonyms(key).first() {
        return Some(synonym.name);
    }
    let lower = key.to_ascii_lowercase().replace(['_', '-'], ".");
    let (edits, name) = defs::broker_properties()
        .iter()
        .map(|property| (strsim::osa_distance(&lower, property.name), property.name))
        .min()?;
    (edits <= key.len() / 4).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<Settings, ConfigError> {
        Settings::gather(Some(("server.properties", text)), &[], &Flags::default())
    }

    fn option(key: &str, text: &str) -> Result<Settings, ConfigError> {
        let options = [(key.to_owned(), text.to_owned())];
        Settings::gather(None, &options, &Flags::default())
    }

    #[test]
    fn an_unknown_name_in_a_file_is_a_warning_with_the_nearest_name() {
        let settings = file("\nlog.retention.hour=5\n").unwrap();
        assert_eq!(
            settings.notices[0].to_string(),
            "server.properties:2: unknown property log.retention.hour is ignored; \
             did you mean log.retention.hours?"
        );
    }

    #[test]
    fn advertising_that_listen_takes_the_place_of_is_said() {
        let flags = Flags { listen: Some("localhost:9".to_owned()), ..Flags::default() };
        let text = "\nlisteners=PLAINTEXT://:1\nadvertised.listeners=PLAINTEXT://outside:1";
        let settings = Settings::gather(Some(("f", text)), &[], &flags).unwrap();
        let [ConfigNotice::NotAdvertised { path, line: 3 }] = &settings.notices[..] else {
            panic!("{:?}", settings.notices)
        };
        assert_eq!(path, "f");
        assert!(settings.notices[0].to_string().starts_with("f:3: advertised.listeners is not used"));
    }

    #[test]
    fn a_topic_name_in_a_file_is_answered_with_the_brokers_name() {
        assert_eq!(nearest("retention.ms"), Some("log.retention.ms"));
        assert_eq!(nearest("max.message.bytes"), Some("message.max.bytes"));
    }

    #[test]
    fn nearest_forgives_case_and_underscores_and_keeps_silent_about_nonsense() {
        assert_eq!(nearest("NUM_PARTITIONS"), Some("num.partitions"));
        assert_eq!(nearest("qwertyuiop"), None);
    }

    #[test]
    fn a_malformed_value_names_file_line_and_key() {
        let error = file("# c\nlog.segment.bytes=1g\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "server.properties:2: Invalid value 1g for configuration log.segment.bytes: \
             Not a number of type INT"
        );
    }

    #[test]
    fn a_broken_escape_names_file_and_line() {
        let error = file("a=\\uZZ").unwrap_err();
        assert!(error.to_string().starts_with("server.properties:1: \\u"));
    }

    #[test]
    fn an_unknown_option_is_an_error() {
        let error = option("num.partition", "3").unwrap_err();
        assert_eq!(error.to_string(), "-o num.partition: no such property; did you mean num.partitions?");
    }

    #[test]
    fn known_but_not_needed_is_said_once_for_all() {
        let settings = file("num.io.threads=8\nssl.protocol=TLSv1.3\nsuper.users=User:a\n");
        let keys = ["num.io.threads", "ssl.protocol", "super.users"].map(str::to_owned);
        assert_eq!(settings.unwrap().notices, [ConfigNotice::NotNeeded { keys: keys.to_vec() }]);
    }

    #[test]
    fn options_win_over_the_file_and_flags_over_both() {
        let options = [("log.dirs".to_owned(), "/b".to_owned())];
        let text = Some(("f", "log.dirs=/a\nnum.partitions=3\nnum.partitions=4"));
        let settings = Settings::gather(text, &options, &Flags::default()).unwrap();
        assert_eq!(settings.values["log.dirs"], "/b");
        assert_eq!(settings.values["num.partitions"], "4");
        let flags = Flags { data_dir: Some("/c".to_owned()), ..Flags::default() };
        let settings = Settings::gather(text, &options, &flags).unwrap();
        assert_eq!(settings.values["log.dirs"], "/c");
    }

    #[test]
    fn broker_id_and_node_id_are_one() {
        assert_eq!(file("").unwrap().values["broker.id"], "1");
        assert_eq!(file("broker.id=7").unwrap().values["node.id"], "7");
        assert_eq!(file("node.id=7").unwrap().values["broker.id"], "7");
        assert!(file("node.id=7\nbroker.id=8").is_err());
        assert!(file("broker.id=-1").is_err());
    }

    #[test]
    fn zero_shards_are_refused_in_the_flags_own_name() {
        let flags = Flags { shards: Some(0), ..Flags::default() };
        let error = Settings::gather(None, &[], &flags).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--shards: Invalid value 0 for configuration kring.shards: Value must be at least 1"
        );
    }

    #[test]
    fn a_listener_prefix_is_known_and_its_value_checked() {
        let bad = file("listener.name.ext.ssl.client.auth=maybe").unwrap_err();
        assert!(bad.to_string().contains("ssl.client.auth"));
    }
}
