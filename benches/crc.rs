//! Bytes per second of CRC-32C: the two crates that compute it with the CPU's instructions, and the product's own check
//! of a batch, on batches of the sizes that clients send. `docs/decisions` says which one is used and why.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kring_benches::batch;
use kring_wire::record::{Codec, verify_crcs};

/// Bytes of a batch with its header, about.
const SIZES: [usize; 4] = [512, 4 << 10, 16 << 10, 1 << 20];
const BEFORE_RECORDS: usize = 61 + 12;

fn checksums(criterion: &mut Criterion) {
    for size in SIZES {
        let whole = batch(Codec::None, 1, size - BEFORE_RECORDS);
        let mut group = criterion.benchmark_group(format!("CRC-32C of {} bytes", whole.len()));
        group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
        group.throughput(Throughput::Bytes(whole.len() as u64));
        group.bench_function("crc32c", |b| b.iter(|| crc32c::crc32c(black_box(&whole[21..]))));
        group.bench_function("crc-fast", |b| {
            b.iter(|| crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, black_box(&whole[21..])));
        });
        let one: [&Bytes; 1] = [&whole];
        group.bench_function("the product", |b| b.iter(|| assert!(verify_crcs(black_box(&one)).all_good())));
        group.finish();
    }
}

criterion_group!(benches, checksums);
criterion_main!(benches);
