//! Kafka's own classes and this crate read, write and judge the same batches the same way.
//!
//! The files under `vectors/` come from Apache Kafka 4.3.1 through `interop/records-java/check`, which also runs
//! the ignored tests here as its other half.

#[path = "record_support/oracle.rs"]
mod oracle;
mod record_support;

use bytes::Bytes;
use kring_wire::record::{
    BatchBuilder, Codec, Compression, Header, Malformed, NO_TIMESTAMP, RecordError, Rules, TimestampType,
    ValidatedBatch, control, validate,
};
use oracle::{Judged, LIMIT, hex, parse_judged, record_lines, rules_text, unhex};
use record_support::{CODECS, NOW, Random, with_crc};

const BATCHES: &str = include_str!("vectors/batches.txt");
const JUDGED: &str = include_str!("vectors/judged.txt");

struct Vector {
    name: &'static str,
    bytes: Vec<u8>,
    lines: Vec<&'static str>,
}

fn vectors() -> Vec<Vector> {
    let mut vectors: Vec<Vector> = Vec::new();
    for line in BATCHES.lines() {
        match line.strip_prefix("batch\t") {
            Some(rest) => {
                let (name, bytes) = rest.split_once('\t').unwrap();
                vectors.push(Vector { name, bytes: unhex(bytes), lines: Vec::new() });
            }
            None => vectors.last_mut().unwrap().lines.push(line),
        }
    }
    vectors
}

fn vector(name: &str) -> Vec<u8> {
    vectors().into_iter().find(|vector| vector.name == name).unwrap().bytes
}

#[test]
fn batches_of_kafka_are_read_record_by_record() {
    let vectors = vectors();
    assert!(vectors.len() > 50);
    for vector in vectors {
        assert_eq!(record_lines(&vector.bytes), vector.lines, "{}", vector.name);
    }
}

#[test]
fn batches_of_kafka_validate_unchanged() {
    let rules = Rules { timestamp_after_max_ms: i64::MAX, ..Rules::default() };
    for vector in vectors() {
        let bytes = Bytes::from(vector.bytes);
        if vector.name.starts_with("control/") {
            assert_eq!(validate(&bytes, &rules, NOW).unwrap_err(), RecordError::Control);
        } else if !vector.name.ends_with("/append-time") {
            let batch = validate(&bytes, &rules, NOW).unwrap();
            assert_eq!(batch.to_bytes(), bytes, "{}", vector.name);
        }
    }
}

#[test]
fn an_uncompressed_batch_is_built_byte_by_byte_as_kafka_builds_it() {
    let mut one = BatchBuilder::new(Compression::NONE);
    one.append(NOW, Some(b"key"), Some(b"value")).unwrap();
    assert_eq!(hex(&one.build().unwrap().to_bytes()), hex(&vector("none/one")));
    assert_eq!(hex(&nulls(Codec::None).to_bytes()), hex(&vector("none/nulls")));
    let marker = control::EndTxnMarker { committed: true, coordinator_epoch: 6 };
    let mut commit =
        BatchBuilder::new(Compression::NONE).control().transactional().producer(4000, 3, -1).leader_epoch(1);
    control::append_control(&mut commit, NOW, marker.control_type(), &marker.value()).unwrap();
    assert_eq!(hex(&commit.build().unwrap().to_bytes()), hex(&vector("control/commit")));
}

fn nulls(codec: Codec) -> ValidatedBatch {
    let mut builder = BatchBuilder::new(Compression::default_of(codec));
    builder.append(NOW, None, None).unwrap();
    builder.append(NOW - 70, Some(b""), Some(b"")).unwrap();
    let headers = [Header { key: b"", value: None }, Header { key: "h\u{e9}".as_bytes(), value: Some(b"") }];
    builder.append_with_headers(NO_TIMESTAMP, Some(b"k"), None, &headers).unwrap();
    let header = Header { key: b"a", value: Some(b"b") };
    builder.append_with_headers(NOW + 9_000_000_000, None, Some(b"v"), &[header]).unwrap();
    builder.build().unwrap()
}

#[test]
fn kafka_judges_the_same() {
    let judged = parse_judged(JUDGED);
    let names: Vec<&str> = judged.iter().map(|case| case.name.as_str()).collect();
    let expected: Vec<String> = cases().into_iter().map(|case| case.name).collect();
    assert_eq!(names, expected, "vectors/judged.txt is stale: run interop/records-java/check");
    let differences: Vec<String> =
        judged.iter().filter_map(|case| Some(format!("{}: {}", case.name, case.difference()?))).collect();
    let stricter = |difference: &String| difference.starts_with("ours/");
    assert!(differences.iter().all(stricter), "{differences:#?}");
    assert_eq!(
        differences.len(),
        names.iter().filter(|name| name.starts_with("ours/")).count(),
        "a difference that is written down must exist: {differences:#?}"
    );
}

struct Case {
    name: String,
    rules: Rules,
    bytes: Vec<u8>,
}

impl Case {
    fn line(&self) -> String {
        format!("case\t{}\t{}\t{}", self.name, rules_text(&self.rules, NOW), hex(&self.bytes))
    }
}

fn small(codec: Codec) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Compression::default_of(codec));
    for (index, timestamp) in [NOW, NOW + 20, NOW - 5].into_iter().enumerate() {
        let header = Header { key: b"h", value: Some(b"x") };
        let key = [b'k', index as u8];
        builder.append_with_headers(timestamp, Some(&key), Some(b"a value a value"), &[header]).unwrap();
    }
    builder.build().unwrap().to_bytes().to_vec()
}

/// `batch` with `bytes` put at `at` and a CRC that fits.
fn patched(mut batch: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    with_crc(batch)
}

/// A batch from records that are given as bytes.
fn raw(codec: Codec, count: i32, plain: &[u8]) -> Vec<u8> {
    let compression = Compression::default_of(codec);
    let body = kring_wire::record::compress::compress(compression, &Bytes::copy_from_slice(plain)).unwrap();
    let mut batch = small(Codec::None)[..61].to_vec();
    batch.extend_from_slice(&body);
    let length = (batch.len() - 12) as i32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    let batch = patched(batch, 21, &i16::from(codec.id()).to_be_bytes());
    let batch = patched(batch, 23, &(count - 1).to_be_bytes());
    patched(batch, 57, &count.to_be_bytes())
}

/// length 16: attributes, timestamp delta 0, offset delta, key "k", value "v", no headers
fn plain_record(offset_delta: u8) -> [u8; 9] {
    [16, 0, 0, offset_delta * 2, 2, b'k', 2, b'v', 0]
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    header_cases(&mut cases);
    frame_cases(&mut cases);
    policy_cases(&mut cases);
    record_cases(&mut cases);
    for codec in CODECS {
        codec_cases(&mut cases, codec);
    }
    cases
}

fn add(cases: &mut Vec<Case>, name: &str, rules: Rules, bytes: Vec<u8>) {
    cases.push(Case { name: name.to_owned(), rules, bytes });
}

fn header_cases(cases: &mut Vec<Case>) {
    let rules = Rules::default();
    let batch = || small(Codec::None);
    add(cases, "header/base-offset", rules, patched(batch(), 0, &5i64.to_be_bytes()));
    add(cases, "header/leader-epoch", rules, patched(batch(), 12, &5i32.to_be_bytes()));
    add(cases, "header/control", rules, patched(batch(), 22, &[0x20]));
    add(cases, "header/delete-horizon", rules, patched(batch(), 22, &[0x40]));
    add(cases, "header/unused-bits", rules, patched(batch(), 21, &[0x7f, 0x80]));
    let odd = || patched(batch(), 21, &[0x7f, 0xc0]);
    add(cases, "header/odd-bits-recompressed", Rules { compression: gzip(), ..rules }, odd());
    add(cases, "header/unused-bits-restamped", append_time(), patched(batch(), 21, &[0x7f, 0x80]));
    add(cases, "header/codec-5", rules, patched(batch(), 22, &[5]));
    add(cases, "header/codec-5-append-time", append_time(), patched(batch(), 22, &[5]));
    add(cases, "header/last-offset-delta", rules, patched(batch(), 23, &3i32.to_be_bytes()));
    add(cases, "header/last-offset-delta-negative", rules, patched(batch(), 23, &(-1i32).to_be_bytes()));
    add(cases, "header/max-timestamp", rules, patched(batch(), 35, &(NOW + 999).to_be_bytes()));
    add(cases, "header/count-0", rules, patched(batch(), 57, &0i32.to_be_bytes()));
    add(cases, "header/count-negative", rules, patched(batch(), 57, &(-3i32).to_be_bytes()));
    add(cases, "header/count-4", rules, patched(patched(batch(), 57, &4i32.to_be_bytes()), 26, &[3]));
    add(cases, "header/count-2", rules, patched(patched(batch(), 57, &2i32.to_be_bytes()), 26, &[1]));
    add(cases, "header/sequence", rules, patched(batch(), 43, &7i64.to_be_bytes()));
    let idempotent = patched(patched(batch(), 43, &7i64.to_be_bytes()), 51, &[0; 6]);
    add(cases, "header/idempotent", rules, idempotent);
}

fn frame_cases(cases: &mut Vec<Case>) {
    let rules = Rules::default();
    let batch = || small(Codec::None);
    let joined = |end: usize| [batch(), batch()[..end].to_vec()].concat();
    let with = |at: usize, byte: u8| {
        let mut bytes = batch();
        bytes[at] = byte;
        bytes
    };
    add(cases, "frame/empty", rules, vec![]);
    add(cases, "frame/cut", rules, batch()[..batch().len() - 1].to_vec());
    add(cases, "frame/eleven-bytes", rules, batch()[..11].to_vec());
    add(cases, "frame/two-batches", rules, joined(batch().len()));
    add(cases, "frame/one-and-a-half", rules, joined(80));
    add(cases, "frame/one-and-eleven-bytes", rules, joined(11));
    add(cases, "frame/then-zeros", rules, [batch(), vec![0; 30]].concat());
    add(cases, "frame/magic-0", rules, with(16, 0));
    add(cases, "frame/magic-1", rules, with(16, 1));
    add(cases, "frame/magic-3", rules, with(16, 3));
    add(cases, "frame/magic-negative", rules, with(16, 0xff));
    add(cases, "frame/length-13", rules, patched(batch(), 8, &13i32.to_be_bytes()));
    add(cases, "frame/length-negative", rules, patched(batch(), 8, &(-1i32).to_be_bytes()));
    add(cases, "frame/length-40", rules, patched(batch(), 8, &40i32.to_be_bytes())[..52].to_vec());
    add(cases, "frame/crc", rules, with(17, 1));
    let large = Rules { max_message_bytes: batch().len() as u64 - 1, ..rules };
    add(cases, "frame/too-large", large, batch());
    add(cases, "frame/too-large-and-corrupt", large, with(17, 1));
    add(cases, "frame/just-fits", Rules { max_message_bytes: batch().len() as u64, ..rules }, batch());
    add(cases, "frame/over-segment", Rules { segment_bytes: 100, ..rules }, batch());
    add(cases, "frame/zstd-v6", Rules { produce_version: 6, ..rules }, small(Codec::Zstd));
    add(cases, "frame/zstd-v7", Rules { produce_version: 7, ..rules }, small(Codec::Zstd));
    add(
        cases,
        "frame/zstd-v6-two-batches",
        Rules { produce_version: 6, ..rules },
        [small(Codec::Zstd), small(Codec::Zstd)].concat(),
    );
}

fn append_time() -> Rules {
    Rules { timestamp_type: TimestampType::LogAppendTime, ..Rules::default() }
}

fn policy_cases(cases: &mut Vec<Case>) {
    let rules = Rules::default();
    let compacted = Rules { compacted: true, ..rules };
    let narrow = Rules { timestamp_before_max_ms: 4, timestamp_after_max_ms: 10, ..rules };
    for codec in [Codec::None, Codec::Zstd] {
        let name = |policy: &str| format!("policy/{}/{policy}", codec.name());
        let keyless = nulls(codec).to_bytes().to_vec();
        let far = Rules { timestamp_after_max_ms: i64::MAX, ..compacted };
        add(cases, &name("keyless"), far, keyless.clone());
        add(cases, &name("keyless-and-late"), Rules { timestamp_after_max_ms: 5, ..far }, keyless.clone());
        add(cases, &name("keyless-recompressed"), Rules { compression: gzip(), ..far }, keyless.clone());
        add(cases, &name("no-timestamp-append-time"), append_time(), keyless);
        add(cases, &name("timestamps"), narrow, small(codec));
        add(
            cases,
            &name("timestamps-append-time"),
            Rules { timestamp_type: append_time().timestamp_type, ..narrow },
            small(codec),
        );
        let claimed = patched(small(codec), 22, &[0x08 | codec.id()]);
        add(cases, &name("append-time-claimed"), rules, claimed.clone());
        add(cases, &name("append-time-claimed-twice"), append_time(), claimed.clone());
        add(
            cases,
            &name("append-time-claimed-recompressed"),
            Rules { compression: gzip(), ..append_time() },
            claimed.clone(),
        );
        add(cases, &name("append-time-claimed-late"), narrow, claimed.clone());
        add(cases, &name("append-time-claimed-none"), rules, patched(claimed, 35, &(-1i64).to_be_bytes()));
    }
    many_faults(cases, compacted);
}

fn many_faults(cases: &mut Vec<Case>, compacted: Rules) {
    let mut builder = BatchBuilder::new(Compression::NONE);
    for _ in 0..5 {
        builder.append(NOW, None, Some(b"v")).unwrap();
    }
    add(cases, "policy/five-keyless", compacted, builder.build().unwrap().to_bytes().to_vec());
}

fn gzip() -> Option<Compression> {
    Some(Compression::default_of(Codec::Gzip))
}

fn record_cases(cases: &mut Vec<Case>) {
    let rules = Rules::default();
    let good = plain_record(0);
    let with = |at: usize, byte: u8| {
        let mut record = good;
        record[at] = byte;
        record
    };
    for codec in [Codec::None, Codec::Zstd] {
        let name = |part: &str| format!("record/{}/{part}", codec.name());
        add(cases, &name("good"), rules, raw(codec, 1, &good));
        add(cases, &name("attributes"), rules, raw(codec, 1, &with(1, 0x55)));
        add(cases, &name("key-too-long"), rules, raw(codec, 1, &with(4, 40)));
        add(cases, &name("value-too-long"), rules, raw(codec, 1, &with(6, 40)));
        add(cases, &name("headers-missing"), rules, raw(codec, 1, &with(8, 2)));
        add(cases, &name("headers-negative"), rules, raw(codec, 1, &with(8, 1)));
        add(
            cases,
            &name("header-without-key"),
            rules,
            raw(codec, 1, &[20, 0, 0, 0, 2, b'k', 2, b'v', 2, 1, 0]),
        );
        add(cases, &name("key-minus-5"), rules, raw(codec, 1, &[14, 0, 0, 0, 9, 2, b'v', 0]));
        add(
            cases,
            &name("padded-varint"),
            rules,
            raw(codec, 1, &[0x92, 0x00, 0, 0, 0x80, 0, 2, b'k', 2, b'v', 0]),
        );
        add(cases, &name("trailing"), rules, raw(codec, 1, &[&good[..], &[0]].concat()));
        add(cases, &name("cut"), rules, raw(codec, 1, &good[..8]));
        add(cases, &name("nothing"), rules, raw(codec, 1, &[]));
        let two = [plain_record(0), plain_record(1)].concat();
        add(cases, &name("two"), rules, raw(codec, 2, &two));
        add(cases, &name("one-of-two"), rules, raw(codec, 2, &good));
        add(cases, &name("two-for-one"), rules, raw(codec, 1, &two));
    }
    let same = [plain_record(0), plain_record(0)].concat();
    add(cases, "record/none/length", rules, raw(Codec::None, 1, &with(0, 18)));
    add(cases, "ours/zstd/deltas-are-renumbered", rules, raw(Codec::Zstd, 2, &same));
    add(
        cases,
        "record/none/deltas-recompressed",
        Rules { compression: gzip(), ..rules },
        raw(Codec::None, 2, &same),
    );
    add(cases, "ours/none/deltas-are-renumbered", rules, raw(Codec::None, 2, &same));
    add(cases, "ours/zstd/length-is-checked", rules, raw(Codec::Zstd, 1, &with(0, 14)));
}

fn codec_cases(cases: &mut Vec<Case>, codec: Codec) {
    for target in CODECS {
        let rules = Rules { compression: Some(Compression::default_of(target)), ..Rules::default() };
        let name = format!("codec/{}-to-{}", codec.name(), target.name());
        add(cases, &name, rules, small(codec));
        let rules = Rules { timestamp_type: TimestampType::LogAppendTime, ..rules };
        add(cases, &format!("{name}-append-time"), rules, small(codec));
    }
    if codec == Codec::None {
        return;
    }
    let rules = Rules::default();
    let batch = small(codec);
    let cut = batch.len() - 4;
    let short = patched(batch[..cut].to_vec(), 8, &((cut - 12) as i32).to_be_bytes());
    add(cases, &format!("codec/{}-cut", codec.name()), rules, short);
    let wrong = (codec.id() % 4) + 1;
    add(cases, &format!("codec/{}-under-another-id", codec.name()), rules, patched(batch, 22, &[wrong]));
}

/// Batches with one or two bytes changed and a CRC that fits.
fn mutations() -> Vec<Case> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut cases = Vec::new();
    for codec in CODECS {
        let batch = small(codec);
        for index in 0..300 {
            let mut bytes = batch.clone();
            for _ in 0..1 + index % 2 {
                let at = 61 + random.below(bytes.len() - 61);
                bytes[at] ^= 1 << random.below(8);
            }
            let rules = if index % 3 == 0 { append_time() } else { Rules::default() };
            add(&mut cases, &format!("mutation/{}/{index}", codec.name()), rules, with_crc(bytes));
        }
    }
    cases
}

/// Differences that are decided:
/// - we check a record's length in compressed batches too;
/// - we renumber records where Kafka stores them as they are (uncompressed) or fails (compressed);
/// - whether a broken stream is met before a broken record in it depends on how far a decoder reads ahead;
/// - flate2 refuses gzip's reserved flags.
fn is_decided(case: &Judged) -> bool {
    let kafka_stored = case.verdict.starts_with("stored");
    let compressed = case.bytes[22] & 7 != 0;
    match case.ours() {
        Ok(batch) => batch.was_rewritten(),
        Err(RecordError::Malformed(Malformed::RecordLength)) if kafka_stored => compressed,
        Err(RecordError::Undecodable { codec: "gzip", .. }) if kafka_stored => case.bytes[61 + 3] & 0xe0 != 0,
        Err(RecordError::Malformed(_) | RecordError::Undecodable { .. }) => {
            compressed
                && !kafka_stored
                && ["refused\t-1\t-", "refused\t87\t-"].contains(&case.verdict.as_str())
        }
        Err(_) => false,
    }
}

#[expect(clippy::print_stdout, reason = "the output is the point: the interop script pipes it to Kafka")]
fn print(lines: impl IntoIterator<Item = String>) {
    for line in lines {
        println!("\n{line}");
    }
}

#[test]
#[ignore = "prints the cases for interop/records-java/check"]
fn emit_cases() {
    print(cases().iter().map(Case::line));
}

#[test]
#[ignore = "prints mutated batches for interop/records-java/check"]
fn emit_mutations() {
    print(mutations().iter().map(Case::line));
}

#[test]
#[ignore = "prints our batches for interop/records-java/check"]
fn emit_batches() {
    for codec in CODECS {
        let mut large = BatchBuilder::new(Compression::default_of(codec));
        for index in 0..40i64 {
            let value: Vec<u8> = (0..5000).map(|at| (at / 100 * index % 251) as u8).collect();
            large.append(NOW + index % 5, Some(&index.to_be_bytes()), Some(&value)).unwrap();
        }
        let large = large.build_with_append_time(NOW + 5).unwrap();
        for (name, batch) in [("nulls", nulls(codec)), ("large", large)] {
            let bytes = batch.to_bytes();
            print([format!("batch\t{}/{name}\t{}", codec.name(), hex(&bytes))]);
            print(record_lines(&bytes));
            assert!(batch.records(LIMIT).is_ok());
        }
    }
}

#[test]
#[ignore = "reads Kafka's verdicts from standard input, for interop/records-java/check"]
fn verdicts_on_standard_input_are_ours() {
    let text = std::io::read_to_string(std::io::stdin()).unwrap();
    let judged = parse_judged(&text);
    assert!(judged.len() > 1000, "verdicts arrived");
    let differing = judged.iter().filter(|case| !is_decided(case));
    let differences: Vec<String> =
        differing.filter_map(|case| Some(format!("{}: {}", case.name, case.difference()?))).collect();
    assert!(differences.is_empty(), "{} differences: {differences:#?}", differences.len());
}
