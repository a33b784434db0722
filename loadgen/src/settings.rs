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

/// When the clients begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Earliest,
    Latest,
}

/// Everything that a run needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    pub workload: Workload,
    pub host: String,
    pub port: u16,
    pub topic: String,
    /// Makes the topic with this many partitions when it is not there.
    pub partitions: Option<i32>,
    pub producers: u32,
    pub consumers: u32,
    /// Sizes of values.
    pub record_size: Sizes,
    /// Absent: records have no keys.
    pub keys: Option<KeySpace>,
    /// Of a batch at most.
    pub batch_records: u64,
    /// Of a batch at most, before compression.
    pub batch_bytes: usize,
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
            partitions: None,
            producers: 1,
            consumers: 1,
            record_size: Sizes::fixed(1024),
            keys: None,
            batch_records: u64::MAX,
            batch_bytes: 16384,
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
            pid: None,
        }
    }

    pub fn produces(&self) -> bool {
        self.workload != Workload::Consume
    }

    pub fn consumes(&self) -> bool {
        self.workload != Workload::Produce
    }

    /// Where consumers begin to read.
    pub fn start(&self) -> Start {
        if self.workload == Workload::Consume { Start::Earliest } else { Start::Latest }
    }

    /// More shards than this have nothing to do.
    pub fn clients(&self) -> usize {
        let producers = if self.produces() { self.producers } else { 0 };
        let consumers = if self.consumes() { self.consumers } else { 0 };
        producers.max(consumers) as usize
    }

    /// Names and values, for the head of a report.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = vec![
            ("workload", self.workload.to_string()),
            ("server", format!("{}:{}", self.host, self.port)),
            ("topic", self.topic.clone()),
        ];
        if self.produces() {
            rows.extend(self.producing());
        }
        if self.consumes() {
            rows.push(("consumers", self.consumers.to_string()));
            rows.push(("fetch bytes", self.fetch_bytes.to_string()));
        }
        rows.push(("warm-up s", self.warm_up.as_secs_f64().to_string()));
        rows.extend(self.count.map(|count| ("records at most", count.to_string())));
        rows.push(("duration s", self.duration.as_secs_f64().to_string()));
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
            ("keys", keys),
            ("batch records at most", batch_records),
            ("batch bytes at most", self.batch_bytes.to_string()),
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

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Workload::Produce => "produce",
            Workload::Consume => "consume",
            Workload::EndToEnd => "e2e",
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

impl fmt::Display for Acks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Acks::All => "all",
            Acks::Leader => "1",
            Acks::None => "0",
        })
    }
}
