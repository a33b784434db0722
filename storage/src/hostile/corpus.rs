//! Whole files of each kind that a log reads, as small as they can be with everything in them.
//! For damage to begin with: in the property tests, and in `fuzz/`.

use kring_wire::record::control::{EndTxnMarker, append_control};
use kring_wire::record::{BatchBuilder, Codec, Compression};

use crate::index::{OffsetIndex, TimeIndex};
use crate::producer::{ProducerBatch, ProducerStates};
use crate::snapshot;
use crate::txn_index::{self, AbortedTransaction};
use crate::types::{Offset, ProducerId};

const TIME: i64 = 1_700_000_000_000;

pub(super) fn offset_indexes() -> Vec<Vec<u8>> {
    let mut index = OffsetIndex::default();
    (1..40).for_each(|entry| index.push(entry * 3, entry * 4500));
    let mut preallocated = index.encode();
    preallocated.resize(1024, 0);
    vec![index.encode(), preallocated]
}

pub(super) fn time_indexes() -> Vec<Vec<u8>> {
    let mut index = TimeIndex::default();
    (1..40).for_each(|entry| index.push(TIME + i64::from(entry), entry * 3));
    let mut preallocated = index.encode();
    preallocated.resize(1200, 0);
    vec![index.encode(), preallocated]
}

pub(super) fn txn_indexes() -> Vec<Vec<u8>> {
    let entry = |number: i64| AbortedTransaction {
        producer_id: ProducerId(number % 3),
        first_offset: Offset(number * 10),
        last_offset: Offset(number * 10 + 9),
        last_stable_offset: Offset(number * 10),
    };
    vec![txn_index::encode(&(0..10).map(entry).collect::<Vec<_>>())]
}

pub(super) fn snapshots() -> Vec<Vec<u8>> {
    vec![snapshot::encode(&ProducerStates::default()), snapshot::encode(&three_producers())]
}

/// The second has an open transaction.
pub(crate) fn three_producers() -> ProducerStates {
    let mut states = ProducerStates::default();
    for id in 1..=3 {
        let batch = ProducerBatch {
            producer_id: ProducerId(id),
            epoch: 2,
            base_sequence: 10,
            last_offset_delta: 4,
            max_timestamp: TIME + id,
            is_transactional: id == 2,
        };
        states.record(&batch, Offset(id * 100));
    }
    states
}

pub(super) fn leader_epochs() -> Vec<Vec<u8>> {
    vec![b"0\n3\n1 0\n3 10\n5 30\n".to_vec()]
}

pub(super) fn offset_checkpoints() -> Vec<Vec<u8>> {
    vec![b"0\n2\na 0 5\nb-2 11 9223372036854775807\n".to_vec(), b"0\n999999999\na 0 5\n".to_vec()]
}

pub(super) fn partition_metadata() -> Vec<Vec<u8>> {
    vec![b"version: 0\ntopic_id: AAECAwQFBgcICQoLDA0ODw".to_vec()]
}

/// And of `.kafka_cleanshutdown`.
pub(super) fn meta_properties() -> Vec<Vec<u8>> {
    let meta = b"#x\ncluster.id=c\ndirectory.id=AAECAwQFBgcICQoLDA0ODw\nnode.id=1\nversion=1\n";
    vec![meta.to_vec(), br#"{"version":0,"brokerEpoch":42}"#.to_vec()]
}

/// With and without a transaction, compressed and not, padded as a crash leaves them.
pub(super) fn logs() -> Vec<Vec<u8>> {
    let plain = (0..6).flat_map(|number| data(builder(Codec::None, number * 2), 2)).collect();
    let transaction = [
        data(builder(Codec::Lz4, 0), 2),
        data(builder(Codec::None, 2).producer(7, 1, 0).transactional(), 2),
        data(builder(Codec::Zstd, 4).producer(8, 0, 0), 2),
        abort(builder(Codec::None, 6).producer(7, 1, -1)),
        data(builder(Codec::None, 7).producer(7, 1, 2).transactional(), 2),
    ];
    [plain, transaction.concat()].map(padded).to_vec()
}

fn padded(mut log: Vec<u8>) -> Vec<u8> {
    log.resize(log.len().next_multiple_of(4096), 0);
    log
}

fn builder(codec: Codec, base_offset: i64) -> BatchBuilder {
    let epoch = (base_offset / 4) as i32;
    BatchBuilder::new(Compression::default_of(codec)).base_offset(base_offset).leader_epoch(epoch)
}

fn data(mut builder: BatchBuilder, records: i64) -> Vec<u8> {
    for record in 0..records {
        builder.append(TIME + record, Some(b"key"), Some(&[7; 40])).expect("it is small");
    }
    builder.build().expect("it has records").to_bytes().to_vec()
}

fn abort(builder: BatchBuilder) -> Vec<u8> {
    let mut builder = builder.transactional().control();
    let marker = EndTxnMarker { committed: false, coordinator_epoch: 3 };
    append_control(&mut builder, TIME, marker.control_type(), &marker.value()).expect("it is small");
    builder.build().expect("it has a record").to_bytes().to_vec()
}
