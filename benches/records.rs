//! How fast batches are checked: checksums of a whole request, and validation of a batch with and without a codec.
//! The figure is of the bytes that the client sent, compressed where it compressed them.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use kring_benches::{NOW_MS, batch};
use kring_wire::record::{Codec, Rules, Validator, verify_crcs};

const RECORDS: usize = 1000;
const RECORD_BYTES: usize = 1024;

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    group
}

fn validation(criterion: &mut Criterion) {
    let mut group = group(criterion, "validate 1000 records of 1 KiB");
    for codec in [Codec::None, Codec::Lz4, Codec::Zstd] {
        let batch = batch(codec, RECORDS, RECORD_BYTES);
        let rules = Rules { max_message_bytes: 2 << 20, ..Rules::default() };
        let mut validator = Validator::default();
        group.throughput(Throughput::Bytes(batch.len() as u64));
        group.bench_function(format!("{}, with CRC", codec.name()), |b| {
            b.iter(|| validator.validate(black_box(&batch), &rules, NOW_MS).expect("it is good"));
        });
        group.bench_function(format!("{}, CRC known", codec.name()), |b| {
            b.iter(|| {
                validator.validate_with_crc(black_box(&batch), true, &rules, NOW_MS).expect("it is good")
            });
        });
    }
    group.finish();
}

fn checksums(criterion: &mut Criterion) {
    let mut group = group(criterion, "checksums of a request");
    for (name, batches, records, record_bytes) in
        [("1 batch of 1 MiB", 1, RECORDS, RECORD_BYTES), ("500 batches of 1 record", 500, 1, 100)]
    {
        let one = batch(Codec::None, records, record_bytes);
        let all: Vec<&Bytes> = std::iter::repeat_n(&one, batches).collect();
        group.throughput(Throughput::Bytes((one.len() * batches) as u64));
        group.bench_function(name, |b| b.iter(|| assert!(verify_crcs(black_box(&all)).all_good())));
    }
    group.finish();
}

criterion_group!(benches, validation, checksums);
criterion_main!(benches);
