//! How fast Produce and Fetch are read and written: requests with full batches, and with many small partitions.
//! The figure is of partitions per second: records are slices and are not copied, so that bytes say nothing.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kring_benches::{batch, client_id, fetch_response, produce_request};
use kring_wire::messages::fetch_response::FetchResponse;
use kring_wire::messages::produce_request::ProduceRequest;
use kring_wire::record::Codec;
use kring_wire::{
    ApiMessage, Frame, Reader, decode_request_header, decode_response_header, encode_request, encode_response,
};

const PRODUCE: i16 = 13;
const FETCH: i16 = 17;

/// Name, partitions, records of each, bytes of a record.
const SHAPES: [(&str, i32, usize, usize); 3] = [
    ("1 partition of 1 MiB", 1, 1000, 1024),
    ("1 record of 100 B", 1, 1, 100),
    ("500 small partitions", 500, 1, 100),
];

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    group
}

fn flat(frame: Frame) -> Bytes {
    frame.into_bytes().expect("made of memory").slice(4..)
}

fn read_request<M: ApiMessage>(frame: &Bytes, version: i16) -> M {
    let mut reader = Reader::with_default_budget(frame.clone());
    decode_request_header(&mut reader).expect("it was encoded here");
    M::decode(&mut reader, version).expect("it was encoded here")
}

fn read_response<M: ApiMessage>(frame: &Bytes, version: i16) -> M {
    let mut reader = Reader::with_default_budget(frame.clone());
    decode_response_header(&mut reader, M::API_KEY, version).expect("it was encoded here");
    M::decode(&mut reader, version).expect("it was encoded here")
}

fn produce(criterion: &mut Criterion) {
    let mut group = group(criterion, "produce request");
    for (name, partitions, records, record_bytes) in SHAPES {
        let request = produce_request(partitions, &batch(Codec::None, records, record_bytes));
        let frame = flat(encode_request(PRODUCE, 1, client_id(), &request).expect("it fits"));
        group.throughput(Throughput::Elements(partitions.unsigned_abs().into()));
        group.bench_function(BenchmarkId::new("decode", name), |b| {
            b.iter(|| read_request::<ProduceRequest>(black_box(&frame), PRODUCE));
        });
        group.bench_function(BenchmarkId::new("encode", name), |b| {
            b.iter(|| encode_request(PRODUCE, 1, client_id(), black_box(&request)));
        });
    }
    group.finish();
}

fn fetch(criterion: &mut Criterion) {
    let mut group = group(criterion, "fetch response");
    for (name, partitions, records, record_bytes) in SHAPES {
        let response = fetch_response(partitions, &batch(Codec::None, records, record_bytes));
        let frame = flat(encode_response(FETCH, 1, &response).expect("it fits"));
        group.throughput(Throughput::Elements(partitions.unsigned_abs().into()));
        group.bench_function(BenchmarkId::new("decode", name), |b| {
            b.iter(|| read_response::<FetchResponse>(black_box(&frame), FETCH));
        });
        group.bench_function(BenchmarkId::new("encode", name), |b| {
            b.iter(|| encode_response(FETCH, 1, black_box(&response)));
        });
    }
    group.finish();
}

criterion_group!(benches, produce, fetch);
criterion_main!(benches);
