//! The lines of `interop/records-java/Records.java`, written and read, and what Kafka's verdicts say against ours.

use bytes::Bytes;
use kring_wire::record::{
    Codec, Compression, Record, RecordError, Rules, TimestampType, ValidatedBatch, split_batches, validate,
};

pub const LIMIT: u64 = 64 << 20;

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "hex comes in pairs");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn shown(bytes: Option<&[u8]>) -> String {
    match bytes {
        None => "-".to_owned(),
        Some(bytes) if bytes.len() > 40 => format!("{}:{:08x}", bytes.len(), crc32c::crc32c(bytes)),
        Some(bytes) => hex(bytes),
    }
}

pub fn record_line(record: &Record) -> String {
    let headers: Vec<_> = record
        .headers()
        .map(|header| format!("{}={}", shown(Some(header.key)), shown(header.value)))
        .collect();
    let headers = if headers.is_empty() { ".".to_owned() } else { headers.join(",") };
    let (key, value) = (shown(record.key.as_deref()), shown(record.value.as_deref()));
    format!("record\t{}\t{}\t{key}\t{value}\t{headers}", record.offset, record.timestamp)
}

/// The record lines of every batch in `bytes`, which must be whole and intact.
pub fn record_lines(bytes: &[u8]) -> Vec<String> {
    let bytes = Bytes::copy_from_slice(bytes);
    let mut split = split_batches(&bytes);
    let mut lines = Vec::new();
    for batch in split.by_ref() {
        let batch = batch.unwrap();
        batch.check_crc().unwrap();
        lines.extend(batch.records(LIMIT).unwrap().map(|record| record_line(&record.unwrap())));
    }
    assert!(split.rest().is_empty(), "whole batches");
    lines
}

pub fn rules_text(rules: &Rules, now_ms: i64) -> String {
    let kind = if rules.timestamp_type == TimestampType::CreateTime { "create" } else { "append" };
    let compression = rules.compression.map_or("producer", |compression| compression.codec.name());
    format!(
        "version={} compacted={} type={kind} before={} after={} max={} segment={} compression={compression} now={now_ms}",
        rules.produce_version,
        u8::from(rules.compacted),
        rules.timestamp_before_max_ms,
        rules.timestamp_after_max_ms,
        rules.max_message_bytes,
        rules.segment_bytes,
    )
}

pub fn parse_rules(text: &str) -> (Rules, i64) {
    let get = |name: &str| {
        let found = text.split(' ').find_map(|rule| rule.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_else(|| panic!("{name} in {text}"))
    };
    let number = |name: &str| get(name).parse::<i64>().unwrap();
    let rules = Rules {
        produce_version: number("version") as i16,
        compacted: get("compacted") == "1",
        timestamp_type: match get("type") {
            "create" => TimestampType::CreateTime,
            _ => TimestampType::LogAppendTime,
        },
        timestamp_before_max_ms: number("before"),
        timestamp_after_max_ms: number("after"),
        max_message_bytes: number("max") as u64,
        segment_bytes: number("segment") as u64,
        compression: Codec::from_name(get("compression")).map(Compression::default_of),
        max_decompressed_bytes: LIMIT,
    };
    (rules, number("now"))
}

/// A case and what Kafka did with it.
#[derive(Debug)]
pub struct Judged {
    pub name: String,
    pub rules: Rules,
    pub now_ms: i64,
    pub bytes: Bytes,
    pub verdict: String,
}

pub fn parse_judged(text: &str) -> Vec<Judged> {
    let mut lines = text.lines();
    let mut judged = Vec::new();
    while let Some(line) = lines.next() {
        let fields: Vec<&str> = line.split('\t').collect();
        if fields[0] != "case" {
            continue;
        }
        let (rules, now_ms) = parse_rules(fields[2]);
        let bytes = Bytes::from(unhex(fields.get(3).copied().unwrap_or("")));
        let verdict = lines.next().expect("a verdict follows its case").to_owned();
        judged.push(Judged { name: fields[1].to_owned(), rules, now_ms, bytes, verdict });
    }
    judged
}

impl Judged {
    pub fn ours(&self) -> Result<ValidatedBatch, RecordError> {
        let mut batch = validate(&self.bytes, &self.rules, self.now_ms)?;
        batch.assign(0, 0);
        Ok(batch)
    }

    /// `None` if we do what Kafka did; otherwise what differs.
    pub fn difference(&self) -> Option<String> {
        let ours = self.ours();
        let (kind, rest) = self.verdict.split_once('\t').unwrap();
        match (&ours, kind) {
            (Ok(batch), "stored") => stored_difference(batch, &unhex(rest)),
            (Err(error), "refused") => {
                let ours = refusal(error);
                (ours != self.verdict.trim_end_matches('\t')).then(|| format!("{ours} / {}", self.verdict))
            }
            (Ok(_), _) => Some(format!("stored here / {}", self.verdict)),
            (Err(error), _) => Some(format!("{error} / stored by Kafka")),
        }
    }
}

fn refusal(error: &RecordError) -> String {
    // What a broker says of others is not in the exception: the suite `logs` compares it.
    let message = match error {
        RecordError::Records(_) => error.client_message(&"topic-0").expect("a summary"),
        _ => "-".to_owned(),
    };
    let mut text = format!("refused\t{}\t{message}", error.code());
    for fault in error.record_faults() {
        text += &format!("\t{}={}", fault.index, fault.message(&"topic-0"));
    }
    text
}

/// Rewritten batches may be compressed otherwise; everything else is the same bytes.
fn stored_difference(ours: &ValidatedBatch, kafka: &[u8]) -> Option<String> {
    let bytes = ours.to_bytes();
    if !ours.was_rewritten() {
        return (bytes != kafka).then(|| format!("stored {} / {}", hex(&bytes), hex(kafka)));
    }
    // attributes, last offset delta; max timestamp to record count
    let same_header = bytes[21..27] == kafka[21..27] && bytes[35..61] == kafka[35..61];
    let same = same_header && record_lines(&bytes) == record_lines(kafka);
    (!same).then(|| format!("rewritten {} / {}", hex(&bytes), hex(kafka)))
}
