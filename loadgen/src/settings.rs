//! What a run is asked to do. Values only.

use std::fmt;
use std::time::Duration;

use kring_wire::record::Codec;

use crate::keys::KeySpace;
use crate::pace::Spacing;
use crate::sizes::Sizes;

/// What the clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Produce; latency from the intended send time to the acknowledgement.
    Produce,
    /// Read what is there from the beginning.
    Consume,
    /// Produce and consume; latency from the intended send time to receipt.
    EndToEnd,
    /// Produce, follow what is produced, and read what was there before, all at once.
    Mixed,
    /// Members of a consumer group that come and go.
    Groups,
    /// Many connections that do little.
    Connections,
}

/// A consumer group under load.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupLoad {
    /// One is made up where it is empty.
    pub name: String,
    pub members: u32,
    pub change_every: Duration,
    pub heartbeat_every: Duration,
    pub commit_every: Duration,
    pub session_ms: i32,
    pub rebalance_ms: i32,
}

/// Connections that do little.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConnectionLoad {
    pub connections: u32,
    /// How many are opened in a second.
    pub per_second: u64,
    /// Between small requests on each; absent where they are idle.
    pub every: Option<Duration>,
    /// Fetches from the topic are read so fast; absent where nothing is fetched.
    pub read_bytes_per_s: Option<u32>,
}

impl ConnectionLoad {
    /// How long it takes to open all of them.
    pub fn opening(&self) -> Duration {
        Duration::from_secs_f64(f64::from(self.connections) / self.per_second.max(1) as f64)
    }
}

/// How fast producers send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// This many records per second, whatever the broker does.
    Open(u64),
    /// As fast as the broker answers, with a bounded number of requests in flight.
    Max,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    All,
    Leader,
    None,
}

impl Acks {
    pub fn as_i16(self) -> i16 {
        match self {
            Acks::All => -1,
            Acks::Leader => 1,
            Acks::None => 0,
        }
    }
}

/// What follows the stamp in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filler {
    /// Does not compress.
    Random,
    /// Compresses like JSON.
    Text,
}

/// The row that says how many partitions each topic has.
pub const PARTITIONS: &str = "partitions of each topic";

/// Everything that a run needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    pub workload: Workload,
    pub host: String,
    pub port: u16,
    pub topic: String,
    /// Above 1 these are loaded instead: the name with `-0`, `-1` and so on behind it.
    pub topics: u32,
    /// Makes each topic with this many partitions when it is not there.
    pub partitions: Option<i32>,
    /// A request that is not answered by then has failed, and its connection with it.
    pub request_timeout: Duration,
    pub producers: u32,
    /// Those that read everything, or follow the producers.
    pub consumers: u32,
    /// Those that read from the beginning again and again.
    pub history_readers: u32,
    /// Sizes of values.
    pub record_size: Sizes,
    /// Absent: records have no keys.
    pub keys: Option<KeySpace>,
    /// Of a batch at most.
    pub batch_records: u64,
    /// Of a batch at most, before compression.
    pub batch_bytes: usize,
    /// Of the batches of several partitions that share a request.
    pub request_bytes: usize,
    pub linger: Duration,
    pub acks: Acks,
    pub codec: Codec,
    pub filler: Filler,
    pub rate: Rate,
    pub spacing: Spacing,
    /// Repeats arrival times, sizes and keys.
    pub seed: u64,
    /// Failed batches are sent again, in order and without duplicates.
    pub idempotence: bool,
    /// Requests in flight on each connection.
    pub in_flight: usize,
    pub warm_up: Duration,
    pub duration: Duration,
    /// Wall clock, in ms, at which to start; as soon as all is connected when absent.
    pub start_at: Option<u64>,
    /// Ends the run after so many measured records, if the duration is not over before.
    pub count: Option<u64>,
    /// How long answers are waited for after the last record was sent.
    pub drain: Duration,
    pub fetch_bytes: i32,
    pub verify: bool,
    pub group: GroupLoad,
    pub connecting: ConnectionLoad,
    /// A process whose CPU time is reported too.
    pub pid: Option<u32>,
}

impl Settings {
    /// The defaults for a workload on a topic of a broker on this machine.
    pub fn of(workload: Workload, topic: &str) -> Settings {
        Settings {
            workload,
            host: "localhost".to_owned(),
            port: 9092,
            topic: topic.to_owned(),
            topics: 1,
            partitions: None,
            request_timeout: Duration::from_secs(30),
            producers: 1,
            consumers: 1,
            history_readers: 1,
            record_size: Sizes::fixed(1024),
            keys: None,
            batch_records: u64::MAX,
            batch_bytes: 16384,
            request_bytes: 1 << 20,
            linger: Duration::ZERO,
            acks: Acks::All,
            codec: Codec::None,
            filler: Filler::Random,
            rate: Rate::Max,
            spacing: Spacing::Constant,
            seed: 0,
            idempotence: false,
            in_flight: 5,
            warm_up: Duration::from_secs(2),
            duration: Duration::from_secs(10),
            start_at: None,
            count: None,
            drain: Duration::from_secs(10),
            fetch_bytes: 1 << 20,
            verify: false,
            group: GroupLoad::default(),
            connecting: ConnectionLoad::default(),
            pid: None,
        }
    }

    pub fn produces(&self) -> bool {
        matches!(self.workload, Workload::Produce | Workload::EndToEnd | Workload::Mixed)
    }

    pub fn consumes(&self) -> bool {
        matches!(self.workload, Workload::Consume | Workload::EndToEnd | Workload::Mixed)
    }

    fn history_readers(&self) -> u32 {
        if self.workload == Workload::Mixed { self.history_readers } else { 0 }
    }

    /// More shards than this have nothing to do.
    pub fn clients(&self) -> usize {
        match self.workload {
            Workload::Groups => self.group.members as usize,
            Workload::Connections => self.connecting.connections as usize,
            _ => {
                let producers = if self.produces() { self.producers } else { 0 };
                let consumers = if self.consumes() { self.consumers } else { 0 };
                producers.max(consumers).max(self.history_readers()) as usize
            }
        }
    }

    /// The topics under load; empty where none was named.
    pub fn topic_names(&self) -> Vec<String> {
        match (self.topic.as_str(), self.topics) {
            ("", _) => Vec::new(),
            (topic, 0 | 1) => vec![topic.to_owned()],
            (topic, topics) => (0..topics).map(|number| format!("{topic}-{number}")).collect(),
        }
    }

    /// Names and values, for the head of a report.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows =
            vec![("workload", self.workload.to_string()), ("server", format!("{}:{}", self.host, self.port))];
        rows.push(("request timeout s", self.request_timeout.as_secs_f64().to_string()));
        rows.extend(self.topic_rows());
        if self.produces() {
            rows.extend(self.producing());
        }
        if self.consumes() {
            rows.extend(self.consuming());
        }
        match self.workload {
            Workload::Groups => rows.extend(self.group.rows()),
            Workload::Connections => rows.extend(self.connecting.rows()),
            Workload::EndToEnd | Workload::Mixed => rows.push(("verify", self.verify.to_string())),
            Workload::Produce | Workload::Consume => {}
        }
        rows.push(("warm-up s", self.warm_up.as_secs_f64().to_string()));
        rows.extend(self.count.map(|count| ("records at most", count.to_string())));
        rows.push(("duration s", self.duration.as_secs_f64().to_string()));
        rows
    }

    /// How many topics there are is said where it is more than the one that is named.
    fn topic_rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = match self.topic_names().as_slice() {
            [] => return Vec::new(),
            [topic] => vec![("topic", topic.clone())],
            [first, .., last] => {
                vec![("topic", format!("{first} to {last}")), ("topics", self.topics.to_string())]
            }
        };
        // Where they are not asked for, they are known when the run is prepared.
        rows.extend(self.partitions.map(|partitions| (PARTITIONS, partitions.to_string())));
        rows
    }

    fn consuming(&self) -> Vec<(&'static str, String)> {
        let mut rows = vec![("consumers", self.consumers.to_string())];
        let history = Some(self.history_readers()).filter(|readers| *readers > 0);
        rows.extend(history.map(|readers| ("history readers", readers.to_string())));
        rows.push(("fetch bytes", self.fetch_bytes.to_string()));
        rows
    }

    fn producing(&self) -> Vec<(&'static str, String)> {
        let keys = self.keys.map_or("none".to_owned(), |keys| {
            format!("{} of {} bytes, skew {}", keys.count, keys.bytes, keys.skew)
        });
        let batch_records =
            if self.batch_records == u64::MAX { "as fit".to_owned() } else { self.batch_records.to_string() };
        vec![
            ("producers", self.producers.to_string()),
            ("record bytes", self.record_size.to_string()),
            ("record content", self.filler.to_string()),
            ("keys", keys),
            ("batch records at most", batch_records),
            ("batch bytes at most", self.batch_bytes.to_string()),
            ("request bytes at most", self.request_bytes.to_string()),
            ("linger ms", (self.linger.as_secs_f64() * 1e3).to_string()),
            ("acks", self.acks.to_string()),
            ("idempotence", self.idempotence.to_string()),
            ("codec", self.codec.name().to_owned()),
            ("rate", self.rate_text()),
            ("seed", self.seed.to_string()),
            ("in flight per connection", self.in_flight.to_string()),
        ]
    }

    fn rate_text(&self) -> String {
        match self.rate {
            Rate::Open(_) => format!("{}, {}", self.rate, self.spacing),
            Rate::Max => self.rate.to_string(),
        }
    }
}

impl GroupLoad {
    fn rows(&self) -> Vec<(&'static str, String)> {
        let name = if self.name.is_empty() { "a new one" } else { &self.name };
        vec![
            ("group", name.to_owned()),
            ("members", self.members.to_string()),
            ("change every s", self.change_every.as_secs_f64().to_string()),
            ("heartbeat every ms", self.heartbeat_every.as_millis().to_string()),
            ("commit every ms", self.commit_every.as_millis().to_string()),
            ("session timeout ms", self.session_ms.to_string()),
        ]
    }
}

impl ConnectionLoad {
    fn rows(&self) -> Vec<(&'static str, String)> {
        let use_of_each = match (self.every, self.read_bytes_per_s) {
            (_, Some(bytes)) => format!("fetches, read at {bytes} B/s"),
            (Some(every), None) => format!("a request every {} s", every.as_secs_f64()),
            (None, None) => "idle".to_owned(),
        };
        vec![
            ("connections", self.connections.to_string()),
            ("connections opened per s", self.per_second.to_string()),
            ("each connection", use_of_each),
        ]
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Workload::Produce => "produce",
            Workload::Consume => "consume",
            Workload::EndToEnd => "e2e",
            Workload::Mixed => "mixed",
            Workload::Groups => "groups",
            Workload::Connections => "connections",
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rate::Open(rate) => write!(f, "{rate} records/s (open loop)"),
            Rate::Max => f.write_str("max (closed loop: latency excludes the wait for room in flight)"),
        }
    }
}

impl fmt::Display for Spacing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Spacing::Constant => "constant",
            Spacing::Poisson => "Poisson",
        })
    }
}

impl fmt::Display for Filler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Filler::Random => "random, behind a stamp of 28 bytes: does not compress",
            Filler::Text => "text, behind a stamp of 28 bytes: compresses",
        })
    }
}

impl fmt::Display for Acks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Acks::All => "all",
            Acks::Leader => "1",
            Acks::None => "0",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_topics(topics: u32) -> Settings {
        Settings { topics, ..Settings::of(Workload::Produce, "load") }
    }

    #[test]
    fn one_topic_has_the_name_that_was_given_and_several_are_numbered() {
        assert_eq!(with_topics(1).topic_names(), ["load"]);
        assert_eq!(with_topics(3).topic_names(), ["load-0", "load-1", "load-2"]);
        assert!(Settings { topics: 3, ..Settings::of(Workload::Connections, "") }.topic_names().is_empty());
    }

    #[test]
    fn a_report_says_what_records_hold_whether_they_are_verified_and_how_many_partitions_were_asked_for() {
        let settings = Settings {
            partitions: Some(6),
            filler: Filler::Text,
            verify: true,
            ..Settings::of(Workload::EndToEnd, "t")
        };
        let rows = crate::rows::Rows::new(settings.rows());
        let told = ["record content", "verify", PARTITIONS].map(|name| rows.get(name).unwrap());
        assert!(told[0].starts_with("text") && told[1..] == ["true", "6"], "{told:?}");
    }

    #[test]
    fn a_report_says_how_many_topics_there_were() {
        let told = |topics| {
            let rows = with_topics(topics).rows();
            rows.into_iter().filter(|(name, _)| name.starts_with("topic")).collect::<Vec<_>>()
        };
        assert_eq!(told(1), [("topic", "load".to_owned())], "partitions are not known yet");
        assert_eq!(told(12), [("topic", "load-0 to load-11".to_owned()), ("topics", "12".to_owned())]);
    }
}
