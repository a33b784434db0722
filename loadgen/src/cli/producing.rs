//! Options of producers.

use std::time::Duration;

use clap::{Args, ValueEnum};
use kring_runtime::{process, wall_ms};
use kring_wire::record::Codec;

use crate::keys::KeySpace;
use crate::pace::Spacing;
use crate::settings::{Acks, Filler, Rate, Settings};
use crate::sizes::Sizes;

#[derive(Args, Debug)]
#[command(next_help_heading = "Producers")]
pub struct Producing {
    /// Producers, each with its own connections
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    producers: u32,
    /// Bytes of a record's value: 1024, or 100..2000 for all sizes alike, or quantiles such as
    /// p50=300,p99=2000,max=10000 with straight lines between them
    #[arg(long, value_name = "SIZES", default_value = "1024")]
    record_size: Sizes,
    /// Give records one of N keys, which decides their partition as in Kafka's own producer
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000))]
    keys: Option<u64>,
    /// Use some keys more often: the exponent of Zipf's law (0: all alike, 1: key k in proportion to 1/k)
    #[arg(long, value_name = "S", default_value_t = 0.0, requires = "keys", value_parser = skew)]
    key_skew: f64,
    /// Bytes of a key
    #[arg(long, value_name = "B", default_value_t = 16, requires = "keys",
          value_parser = clap::value_parser!(u32).range(1..=65_536))]
    key_size: u32,
    /// Records of a batch at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    batch_records: Option<u64>,
    /// Bytes of a batch at most, before compression
    #[arg(long, value_name = "B", default_value_t = 16384)]
    batch_bytes: usize,
    /// Bytes of a request at most: batches of several partitions share it, as with Kafka's own producer. A larger batch,
    /// or any with 1, has a request alone, as with librdkafka
    #[arg(long, value_name = "B", default_value_t = 1_048_576)]
    request_bytes: usize,
    /// Milliseconds that a record may wait for others
    #[arg(long, value_name = "MS", default_value_t = 0)]
    linger_ms: u64,
    /// Whose acknowledgement counts: all in-sync replicas', the leader's alone (1), or nobody's (0)
    #[arg(long, value_enum, default_value_t = AcksOption::All)]
    acks: AcksOption,
    /// Send what failed again, without duplicates and in order; survives a change of leaders or a restart
    #[arg(long)]
    idempotence: bool,
    /// How batches are compressed: none, gzip, snappy, lz4 or zstd
    #[arg(long, value_name = "NAME", default_value = "none", value_parser = codec)]
    codec: Codec,
    /// Fill records with text that compresses rather than with random bytes
    #[arg(long)]
    compressible: bool,
    #[command(flatten)]
    pace: Pace,
    /// How records follow one another at a rate: at even distances, or as independent users come
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Arrivals::Constant)]
    arrivals: Arrivals,
    /// Repeats a run: the same arrival times, sizes and keys [default: 0; of an instance with --start-at, one of its own]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Requests in flight on each connection
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    in_flight: u16,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Pace {
    /// Records per second of all producers together, whatever the broker does
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    rate: Option<u64>,
    /// As fast as the broker answers
    #[arg(long)]
    max: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AcksOption {
    All,
    #[value(name = "1")]
    Leader,
    #[value(name = "0")]
    None,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Arrivals {
    Constant,
    Poisson,
}

impl Producing {
    pub fn apply(&self, settings: &mut Settings) -> Result<(), String> {
        settings.producers = self.producers;
        settings.record_size = self.record_size.clone();
        settings.keys = self.keys()?;
        settings.batch_records = self.batch_records.unwrap_or(u64::MAX);
        settings.batch_bytes = self.batch_bytes;
        settings.request_bytes = self.request_bytes;
        settings.linger = Duration::from_millis(self.linger_ms);
        settings.acks = match self.acks {
            AcksOption::All => Acks::All,
            AcksOption::Leader => Acks::Leader,
            AcksOption::None => Acks::None,
        };
        settings.codec = self.codec;
        settings.filler = if self.compressible { Filler::Text } else { Filler::Random };
        self.apply_pace(settings);
        self.check()?;
        settings.idempotence = self.idempotence;
        settings.in_flight = usize::from(self.in_flight);
        Ok(())
    }

    fn apply_pace(&self, settings: &mut Settings) {
        settings.rate = self.pace.rate.map_or(Rate::Max, Rate::Open);
        // Instances that share a run and a seed would send together rather than one after the other.
        settings.seed = self.seed.unwrap_or_else(|| if settings.start_at.is_some() { own_seed() } else { 0 });
        settings.spacing = match self.arrivals {
            Arrivals::Constant => Spacing::Constant,
            Arrivals::Poisson => Spacing::Poisson,
        };
    }

    fn keys(&self) -> Result<Option<KeySpace>, String> {
        let Some(count) = self.keys else { return Ok(None) };
        let bytes = self.key_size as usize;
        if count.to_string().len() > bytes {
            return Err(format!("--key-size {bytes} is too short for {count} different keys"));
        }
        Ok(Some(KeySpace { count, skew: self.key_skew, bytes }))
    }

    /// What an idempotent producer promises needs these: KIP-98, and `ProducerConfig` of Kafka.
    fn check(&self) -> Result<(), String> {
        if self.idempotence && !matches!(self.acks, AcksOption::All) {
            return Err("--idempotence needs --acks all".to_owned());
        }
        if self.idempotence && self.in_flight > 5 {
            return Err("--idempotence needs --in-flight 5 or less: brokers remember five batches".to_owned());
        }
        Ok(())
    }
}

/// Of no other process that started at the same time.
fn own_seed() -> u64 {
    u64::from(process::pid()) << 32 | u64::from(wall_ms() as u32)
}

fn skew(text: &str) -> Result<f64, String> {
    let skew: f64 = text.parse().map_err(|_| format!("{text} is not a number"))?;
    if (0.0..=10.0).contains(&skew) { Ok(skew) } else { Err("from 0 to 10".to_owned()) }
}

fn codec(text: &str) -> Result<Codec, String> {
    Codec::from_name(text).ok_or_else(|| format!("{text} is none of none, gzip, snappy, lz4, zstd"))
}
