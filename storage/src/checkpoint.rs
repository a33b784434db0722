//! Kafka's small text files: offset and epoch checkpoints, `partition.metadata`, `meta.properties`,
//! `.kafka_cleanshutdown`. Does no I/O: text in, text out. Any core.

use std::collections::BTreeMap;
use std::fmt;

use kring_wire::Uuid;

use crate::types::Offset;

const VERSION: &str = "0";

/// Why a checkpoint file was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadCheckpoint {
    Version(String),
    Line(String),
    Count {
        claimed: usize,
        found: usize,
    },
    Missing(&'static str),
    /// Nothing is wrong with it, but an older Kafka wrote it.
    Outdated(&'static str),
}

impl BadCheckpoint {
    pub(crate) fn line(line: &str) -> BadCheckpoint {
        BadCheckpoint::Line(line.chars().take(80).collect())
    }
}

impl fmt::Display for BadCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadCheckpoint::Version(found) => write!(f, "version {found:?} is not known"),
            BadCheckpoint::Line(line) => write!(f, "malformed line {line:?}"),
            BadCheckpoint::Count { claimed, found } => write!(f, "{claimed} entries claimed, {found} found"),
            BadCheckpoint::Missing(key) => write!(f, "{key} is missing"),
            BadCheckpoint::Outdated(why) => {
                write!(f, "{why}: start Apache Kafka 4 on the directory once, which brings it up to date")
            }
        }
    }
}

/// Version, count, one line an entry.
pub(crate) fn encode(lines: impl ExactSizeIterator<Item = String>) -> String {
    let mut text = format!("{VERSION}\n{}\n", lines.len());
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// The entry lines. An empty file has none: Kafka creates its checkpoints so.
pub(crate) fn decode(text: &str) -> Result<Vec<&str>, BadCheckpoint> {
    let mut lines = text.lines();
    match lines.next() {
        None => return Ok(Vec::new()),
        Some(VERSION) => {}
        Some(other) => return Err(BadCheckpoint::Version(other.chars().take(20).collect())),
    }
    let Some(count) = lines.next() else { return Ok(Vec::new()) };
    let claimed = count.parse().map_err(|_| BadCheckpoint::line(count))?;
    let entries: Vec<&str> = lines.collect();
    if entries.len() != claimed {
        return Err(BadCheckpoint::Count { claimed, found: entries.len() });
    }
    Ok(entries)
}

/// Name of a partition, as its directory and Kafka's checkpoints spell it. To a log it is only a label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogName {
    pub topic: String,
    pub partition: i32,
}

impl LogName {
    pub fn new(topic: impl Into<String>, partition: i32) -> LogName {
        LogName { topic: topic.into(), partition }
    }

    /// Reads `<topic>-<partition>`; anything else is not a partition directory.
    pub fn parse(directory: &str) -> Option<LogName> {
        let (topic, partition) = directory.rsplit_once('-')?;
        let number: i32 = partition.parse().ok()?;
        let canonical = number >= 0 && number.to_string() == partition;
        (canonical && !topic.is_empty() && !topic.contains('/')).then(|| LogName::new(topic, number))
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// `recovery-point-offset-checkpoint` and `log-start-offset-checkpoint`: one offset a partition.
pub fn encode_offsets(offsets: &BTreeMap<LogName, Offset>) -> String {
    encode(offsets.iter().map(|(name, offset)| format!("{} {} {offset}", name.topic, name.partition)))
}

pub fn decode_offsets(text: &str) -> Result<BTreeMap<LogName, Offset>, BadCheckpoint> {
    let lines = decode(text)?;
    lines.into_iter().map(|line| parse_offset(line).ok_or_else(|| BadCheckpoint::line(line))).collect()
}

fn parse_offset(line: &str) -> Option<(LogName, Offset)> {
    let mut words = line.split_ascii_whitespace();
    let (topic, partition, offset) = (words.next()?, words.next()?, words.next()?);
    let entry = (LogName::new(topic, partition.parse().ok()?), Offset(offset.parse().ok()?));
    words.next().is_none().then_some(entry)
}

/// `partition.metadata`: which topic the directory belongs to.
pub fn encode_partition_metadata(topic_id: Uuid) -> String {
    format!("version: {VERSION}\ntopic_id: {topic_id}")
}

pub fn decode_partition_metadata(text: &str) -> Result<Uuid, BadCheckpoint> {
    let version = colon_value(text, "version").ok_or(BadCheckpoint::Missing("version"))?;
    if version != VERSION {
        return Err(BadCheckpoint::Version(version.to_string()));
    }
    let id = colon_value(text, "topic_id").ok_or(BadCheckpoint::Missing("topic_id"))?;
    id.parse().map_err(|_| BadCheckpoint::line(id))
}

fn colon_value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(str::trim)
}

/// `meta.properties`: whose directory this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    pub cluster_id: String,
    pub node_id: i32,
    pub directory_id: Uuid,
}

impl MetaProperties {
    pub fn encode(&self) -> String {
        let MetaProperties { cluster_id, node_id, directory_id } = self;
        format!("cluster.id={cluster_id}\ndirectory.id={directory_id}\nnode.id={node_id}\nversion=1\n")
    }

    pub fn decode(text: &str) -> Result<MetaProperties, BadCheckpoint> {
        let value = |key| property(text, key).ok_or(BadCheckpoint::Missing(key));
        match value("version")?.as_str() {
            "1" => {}
            "0" => return Err(BadCheckpoint::Outdated("it is of a Kafka with ZooKeeper")),
            other => return Err(BadCheckpoint::Version(other.to_owned())),
        }
        let node = value("node.id")?;
        let outdated = BadCheckpoint::Outdated("it has no directory.id, as before Kafka 3.7");
        let directory = property(text, "directory.id").ok_or(outdated)?;
        Ok(MetaProperties {
            cluster_id: value("cluster.id")?,
            node_id: node.parse().map_err(|_| BadCheckpoint::line(&node))?,
            directory_id: directory.parse().map_err(|_| BadCheckpoint::line(&directory))?,
        })
    }
}

/// A value of a Java properties file. Java escapes `:` and `=` in what it stores; nothing else occurs here.
fn property(text: &str, key: &str) -> Option<String> {
    text.lines()
        .filter(|line| !line.starts_with(['#', '!']))
        .filter_map(|line| line.split_once('='))
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim().replace('\\', ""))
}

/// `.kafka_cleanshutdown`: every log of the directory was closed in order, by the broker of this epoch.
pub fn encode_clean_shutdown(broker_epoch: i64) -> String {
    format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}")
}

/// The broker epoch. A marker that cannot be read is still a marker: its presence says clean.
pub fn decode_clean_shutdown(text: &str) -> Option<i64> {
    let (_, after) = text.split_once("\"brokerEpoch\"")?;
    let value = after.trim_start().strip_prefix(':')?.trim_start();
    let end = value.find(|c: char| c != '-' && !c.is_ascii_digit()).unwrap_or(value.len());
    value[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offset_checkpoints_are_kafkas() {
        let offsets =
            BTreeMap::from([(LogName::new("a", 0), Offset(5)), (LogName::new("b-2", 11), Offset(i64::MAX))]);
        let text = "0\n2\na 0 5\nb-2 11 9223372036854775807\n";
        assert_eq!(encode_offsets(&offsets), text);
        assert_eq!(decode_offsets(text).unwrap(), offsets);
        assert_eq!(decode_offsets("").unwrap(), BTreeMap::new());
    }

    #[test]
    fn damaged_checkpoints_are_refused() {
        for bad in ["1\n0\n", "0\nx\n", "0\n2\na 0 5\n", "0\n1\na 0\n", "0\n1\na 0 5 6\n"] {
            assert!(decode_offsets(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn partition_directories_are_told_from_others() {
        assert_eq!(LogName::parse("a-b-3"), Some(LogName::new("a-b", 3)));
        for other in ["lost+found", "a", "a-", "-1", "a-01", "a-b", "a-1.0123-delete"] {
            assert_eq!(LogName::parse(other), None, "{other}");
        }
    }

    #[test]
    fn partition_metadata_is_kafkas() {
        let id = Uuid([7; 16]);
        let text = encode_partition_metadata(id);
        assert_eq!(text, format!("version: 0\ntopic_id: {id}"));
        assert_eq!(decode_partition_metadata(&text).unwrap(), id);
        assert!(decode_partition_metadata("version: 1\ntopic_id: x").is_err());
    }

    #[test]
    fn meta_properties_written_by_kafka_are_read() {
        let directory_id = Uuid([9; 16]);
        let text = format!(
            "#\n#Sat Nov 21 09:00:00 UTC 2026\ncluster.id=4L6g3nShT-eMCtK--X86sw\n\
             directory.id={directory_id}\nnode.id=1\nversion=1\n"
        );
        let meta = MetaProperties::decode(&text).unwrap();
        assert_eq!(meta.cluster_id, "4L6g3nShT-eMCtK--X86sw");
        assert_eq!(MetaProperties::decode(&meta.encode()).unwrap(), meta);
    }

    #[test]
    fn the_clean_shutdown_marker_is_kafkas() {
        assert_eq!(encode_clean_shutdown(42), r#"{"version":0,"brokerEpoch":42}"#);
        assert_eq!(decode_clean_shutdown(r#"{"version":0,"brokerEpoch":-1}"#), Some(-1));
        assert_eq!(decode_clean_shutdown("{}"), None);
    }
}
