//! Random batches with true records: keys that repeat, every codec, several producers, sizes around a block.

use bytes::Bytes;
use kring_runtime::{fill_random, random_below, wall_ms};
use kring_wire::record::{BatchBuilder, Codec, Compression};

use crate::batch::LogBatch;

const KEYS: u64 = 8;
const CODECS: [Codec; 8] =
    [Codec::None, Codec::None, Codec::None, Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
/// Close to what makes a batch of one record exactly a block long.
const BLOCK_VALUE: usize = 4096 - 61 - 12;
const VALUES: [usize; 8] = [0, 10, 10, 100, 300, 1000, BLOCK_VALUE, 9_000];

/// One record as it was appended.
#[derive(Clone, Debug)]
pub(super) struct Appended {
    pub offset: i64,
    pub timestamp: i64,
    pub key: Vec<u8>,
    pub value: Option<Bytes>,
    /// A cleaning has, or may have, met a later record of its key.
    pub superseded: bool,
    /// When a cleaning may remove it, if it is a tombstone and was met by one.
    pub horizon_ms: Option<i64>,
}

impl Appended {
    /// Whether compaction may have removed it by now.
    pub fn may_go(&self) -> bool {
        let is_spent = self.value.is_none() && self.horizon_ms.is_some_and(|horizon| horizon <= wall_ms());
        self.superseded || is_spent
    }
}

/// An idempotent producer's part of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct FromProducer {
    pub id: i64,
    pub epoch: i16,
    pub sequence: i32,
}

pub(super) struct Made {
    pub batch: LogBatch,
    pub records: Vec<Appended>,
}

pub(super) fn pick<T: Copy>(of: &[T]) -> T {
    of[random_below(of.len() as u64) as usize]
}

/// A batch of so many records that begins at `base`.
pub(super) fn draw(base: i64, records: i32, leader_epoch: i32, producer: Option<FromProducer>) -> Made {
    let compression = Compression::default_of(pick(&CODECS));
    let mut builder = BatchBuilder::new(compression).base_offset(base).leader_epoch(leader_epoch);
    if let Some(FromProducer { id, epoch, sequence }) = producer {
        builder = builder.producer(id, epoch, sequence);
    }
    let records: Vec<Appended> = (0..records).map(|number| record(base + i64::from(number))).collect();
    for record in &records {
        builder.append(record.timestamp, Some(&record.key), record.value.as_deref()).expect("it is small");
    }
    let (header, body) = builder.build().expect("it has records").into_parts();
    Made { batch: LogBatch { header, body }, records }
}

/// Times rise with the clock, but not strictly.
fn record(offset: i64) -> Appended {
    let key = format!("key-{}", random_below(KEYS)).into_bytes();
    let timestamp = wall_ms() + random_below(40) as i64 - 20;
    let value = (random_below(8) > 0).then(value);
    Appended { offset, timestamp, key, value, superseded: false, horizon_ms: None }
}

fn value() -> Bytes {
    let mut value = vec![0; pick(&VALUES) + random_below(12) as usize];
    fill_random(&mut value);
    Bytes::from(value)
}
