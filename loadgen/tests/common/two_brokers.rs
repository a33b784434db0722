//! What the fake clusters of two brokers share: what they offer, where they are, and the log of a partition.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kring_wire::messages::metadata_response::MetadataResponseBroker;
use kring_wire::record::BatchHeader;
use kring_wire::{ApiKey, Str};

/// What they offer.
pub const KEYS: [ApiKey; 6] = [
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::Metadata,
    ApiKey::CreateTopics,
    ApiKey::ListOffsets,
    ApiKey::InitProducerId,
];
pub const PORTS: [u16; 2] = [9092, 9093];
pub const SECOND: Duration = Duration::from_secs(1);
/// Batches of one fetch.
const FETCHED: usize = 20;

/// Both, as Metadata names them.
pub fn brokers() -> Vec<MetadataResponseBroker> {
    let broker = |(node_id, port): (i32, u16)| MetadataResponseBroker {
        node_id,
        host: Str::from("localhost"),
        port: i32::from(port),
        ..Default::default()
    };
    (0..).zip(PORTS).map(broker).collect()
}

#[derive(Default)]
pub struct BatchLog {
    pub batches: Vec<Bytes>,
    pub end: i64,
}

impl BatchLog {
    /// Gives the batch its offsets; returns the first.
    pub fn store(&mut self, batch: &Bytes) -> i64 {
        let mut header = BatchHeader::parse(batch).unwrap();
        header.base_offset = self.end;
        self.end = header.last_offset() + 1;
        let mut placed = BytesMut::from(&batch[..]);
        placed[..61].copy_from_slice(&header.to_bytes());
        self.batches.push(placed.freeze());
        header.base_offset
    }

    /// From the batch that holds `offset` on.
    pub fn read(&self, offset: i64) -> Bytes {
        let before = |batch: &Bytes| BatchHeader::parse(batch).unwrap().last_offset() < offset;
        let first = self.batches.partition_point(before);
        self.batches[first..].iter().take(FETCHED).flat_map(|batch| batch.to_vec()).collect()
    }
}
