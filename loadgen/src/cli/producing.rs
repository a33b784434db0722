//! Options of producers.

use std::time::Duration;

use clap::{Args, ValueEnum};
use kring_wire::record::{Codec, HEADER_BYTES, varint};

use crate::settings::{Acks, Filler, Rate, Settings};
use crate::stamp::STAMP_BYTES;

#[derive(Args, Debug)]
pub struct Producing {
    /// Producers, each with its own connections
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    producers: u32,
    /// Bytes of a record's value
    #[arg(long, value_name = "B", default_value_t = 1024)]
    record_size: usize,
    /// Records of a batch at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    batch_records: Option<u64>,
    /// Bytes of a batch at most, before compression
    #[arg(long, value_name = "B", default_value_t = 16384)]
    batch_bytes: usize,
    /// Milliseconds that a record may wait for others
    #[arg(long, value_name = "MS", default_value_t = 0)]
    linger_ms: u64,
    #[arg(long, value_enum, default_value_t = AcksOption::All)]
    acks: AcksOption,
    /// none, gzip, snappy, lz4 or zstd
    #[arg(long, default_value = "none", value_parser = codec)]
    codec: Codec,
    /// Fill records with text that compresses rather than with random bytes
    #[arg(long)]
    compressible: bool,
    #[command(flatten)]
    pace: Pace,
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

impl Producing {
    pub fn apply(&self, settings: &mut Settings) -> Result<(), String> {
        if self.record_size < STAMP_BYTES {
            return Err(format!("--record-size is at least {STAMP_BYTES}, the size of the stamp"));
        }
        settings.producers = self.producers;
        settings.record_bytes = self.record_size;
        let fitting = records_within(self.batch_bytes, self.record_size);
        settings.batch_records = self.batch_records.map_or(fitting, |records| records.min(fitting));
        settings.linger = Duration::from_millis(self.linger_ms);
        settings.acks = match self.acks {
            AcksOption::All => Acks::All,
            AcksOption::Leader => Acks::Leader,
            AcksOption::None => Acks::None,
        };
        settings.codec = self.codec;
        settings.filler = if self.compressible { Filler::Text } else { Filler::Random };
        settings.rate = self.pace.rate.map_or(Rate::Max, Rate::Open);
        settings.in_flight = usize::from(self.in_flight);
        Ok(())
    }
}

fn codec(text: &str) -> Result<Codec, String> {
    Codec::from_name(text).ok_or_else(|| format!("{text} is none of none, gzip, snappy, lz4, zstd"))
}

/// Records of a size that fit in a batch; at least one.
fn records_within(batch_bytes: usize, record_bytes: usize) -> u64 {
    // Attributes, timestamp delta, key and header count take a byte each, the offset delta three at most.
    let body = 7 + varint::varint_bytes(record_bytes.min(i32::MAX as usize) as i32) + record_bytes;
    let record = varint::varint_bytes(body.min(i32::MAX as usize) as i32) + body;
    (batch_bytes.saturating_sub(HEADER_BYTES) / record).max(1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::Payload;
    use crate::stamp::Stamp;
    use kring_runtime::Monotonic;
    use kring_wire::record::Compression;

    #[test]
    fn a_batch_stays_within_its_bytes_and_is_nearly_full() {
        for (batch_bytes, record_bytes) in [(1 << 20, 1024), (16384, 100), (1 << 20, 28), (1000, 5000)] {
            let records = records_within(batch_bytes, record_bytes);
            let stamp = |number| Stamp { run: 0, producer: 0, number, intended: Monotonic::ZERO };
            let batch = Payload::new(record_bytes, Filler::Random)
                .batch(Compression::NONE, 0, (0..records).map(stamp))
                .unwrap();
            let size = batch.size_bytes() as usize;
            assert!(size <= batch_bytes || records == 1, "{size} of {batch_bytes}");
            assert!(size + 2 * record_bytes + records as usize * 3 > batch_bytes, "{size} of {batch_bytes}");
        }
    }
}
