//! `kring log dump`: the batches of segments, and their records, in the words of Apache Kafka's `kafka-dump-log` or as
//! JSON. Damage is printed in its place. Changes nothing; never holds more than one batch.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use kring_storage::inspect::{Damage, Inspection, Piece, Pieces};
use kring_storage::{BatchInfo, HEADER_BYTES, Offset};
use kring_wire::record::{
    BatchHeader, DEFAULT_MAX_DECOMPRESSED_BYTES, RecordError, RecordRef, RecordsIter, TimestampType,
};

use super::decode::{Decoder, Said, control};
use super::out::Out;
use super::{Result, State, failed};
use crate::cli::args::DumpFormat;
use crate::cli::client::ClientError;
use crate::cli::json;

/// What is to be printed, and how.
#[derive(Clone, Copy)]
pub(super) struct Wish {
    pub records: bool,
    pub format: DumpFormat,
    pub decoder: Option<Decoder>,
}

pub(super) async fn run(paths: &[PathBuf], wish: Wish, out: &mut Out) -> Result<State> {
    let mut state = State::Sound;
    for path in paths {
        // Held while it is read.
        let (_held, segments) = segments(path).await?;
        for segment in segments {
            if dump(&segment, wish, out).await? == State::Damaged {
                state = State::Damaged;
            }
            if out.is_over() {
                return Ok(state);
            }
        }
    }
    Ok(state)
}

/// A file to be printed.
struct Segment {
    base: Offset,
    log: PathBuf,
    /// No other follows: zeros at its end are the rest of the last write, and no damage.
    is_newest: bool,
}

async fn segments_of(partition: &Path) -> Result<Vec<Segment>> {
    let all = Inspection::segments(partition).await.map_err(failed)?;
    let newest = all.last().map(|(base, _)| *base);
    Ok(all.into_iter().map(|(base, log)| Segment { base, log, is_newest: Some(base) == newest }).collect())
}

/// One segment, or all of a partition.
async fn segments(path: &Path) -> Result<(Inspection, Vec<Segment>)> {
    if path.extension().is_none_or(|extension| extension != "log") {
        let inspection = Inspection::open(path).await.map_err(failed)?;
        let mut all = Vec::new();
        for partition in inspection.partitions() {
            all.extend(segments_of(partition).await?);
        }
        return Ok((inspection, all));
    }
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let inspection = Inspection::open(dir).await.map_err(failed)?;
    let mut found = segments_of(dir).await?;
    found.retain(|segment| segment.log.file_name() == path.file_name());
    match found.is_empty() {
        true => Err(ClientError::Plain(format!("{} is no segment: <20 digits>.log", path.display()))),
        false => Ok((inspection, found)),
    }
}

async fn dump(segment: &Segment, wish: Wish, out: &mut Out) -> Result<State> {
    let Segment { base, log, is_newest } = segment;
    let mut pieces = Pieces::open(log, *base).await.map_err(failed)?;
    if wish.format == DumpFormat::Text {
        out.line(&format!("Dumping {}\nLog starting offset: {base}", log.display())).await?;
    }
    let mut state = State::Sound;
    while let Some(piece) = pieces.next().await.map_err(failed)? {
        if out.is_over() {
            break;
        }
        match piece {
            Piece::Batch { position, info, bytes } => batch(log, position, &info, &bytes, wish, out).await?,
            Piece::Damage(Damage { is_padding: true, from, to, .. }) if *is_newest => {
                if wish.format == DumpFormat::Text {
                    out.line(&format!("bytes {from} to {to} are zeros: the padding of the last write"))
                        .await?;
                }
            }
            Piece::Damage(damage) => {
                state = State::Damaged;
                out.line(&damaged(log, &damage, wish.format)).await?;
            }
        }
    }
    Ok(state)
}

async fn batch(
    log: &Path,
    position: u32,
    info: &BatchInfo,
    bytes: &Bytes,
    wish: Wish,
    out: &mut Out,
) -> Result<()> {
    let mut records: Vec<String> = Vec::new();
    if wish.records {
        let each = |record: RecordRef<'_>| match wish.format {
            DumpFormat::Text => record_line(&info.header, &record, wish.decoder),
            DumpFormat::Json => record_object(&info.header, &record, wish.decoder),
        };
        records = read(info, bytes, each).map_err(|error| ClientError::Plain(error.to_string()))?;
    }
    match wish.format {
        DumpFormat::Json => {
            out.line(&batch_object(log, position, info, wish.records.then_some(&records))).await
        }
        DumpFormat::Text => {
            out.line(&batch_line(position, info)).await?;
            for record in &records {
                out.line(record).await?;
            }
            Ok(())
        }
    }
}

fn read(
    info: &BatchInfo,
    bytes: &Bytes,
    mut each: impl FnMut(RecordRef<'_>) -> String,
) -> std::result::Result<Vec<String>, RecordError> {
    let body = bytes.slice(HEADER_BYTES..);
    let mut records = RecordsIter::new(&info.header, body, DEFAULT_MAX_DECOMPRESSED_BYTES)?;
    let mut lines = Vec::new();
    while let Some(record) = records.next_ref() {
        lines.push(each(record?));
    }
    Ok(lines)
}

/// Kafka's word for who set the times.
fn time_kind(header: &BatchHeader) -> &'static str {
    match header.timestamp_type() {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    }
}

fn codec(header: &BatchHeader) -> String {
    header.codec().map_or_else(|id| format!("unknown({id})"), |codec| codec.name().to_string())
}

fn batch_line(position: u32, info: &BatchInfo) -> String {
    let header = &info.header;
    let horizon = match header.delete_horizon_ms() {
        Some(ms) => format!("OptionalLong[{ms}]"),
        None => "OptionalLong.empty".to_string(),
    };
    format!(
        "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} producerId: {} producerEpoch: {} \
         partitionLeaderEpoch: {} isTransactional: {} isControl: {} deleteHorizonMs: {horizon} position: {position} \
         {}: {} size: {} magic: {} compresscodec: {} crc: {} isvalid: true",
        header.base_offset,
        header.last_offset(),
        header.record_count,
        header.base_sequence,
        header.last_sequence(),
        header.producer_id,
        header.producer_epoch,
        header.partition_leader_epoch,
        header.is_transactional(),
        header.is_control(),
        time_kind(header),
        header.max_timestamp,
        info.bytes,
        header.magic,
        codec(header),
        header.crc,
    )
}

fn record_line(header: &BatchHeader, record: &RecordRef<'_>, decoder: Option<Decoder>) -> String {
    let size = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64);
    let names: Vec<_> = record.headers().map(|header| String::from_utf8_lossy(header.key)).collect();
    let sequence = sequence(header, record.offset);
    let mut line = format!(
        "| offset: {} {}: {} keySize: {} valueSize: {} sequence: {sequence} headerKeys: [{}]",
        record.offset,
        time_kind(header),
        record.timestamp,
        size(record.key),
        size(record.value),
        names.join(","),
    );
    if header.is_control() {
        line.push_str(&control(record));
        return line;
    }
    let (key, value) = match decoder {
        None => (record.key.map(text), record.value.map(text)),
        Some(decoder) => {
            let decoded = decoder.decode(record);
            (decoded.key.map(|said| said.to_string()), decoded.value.map(|said| said.to_string()))
        }
    };
    for (name, said) in [("key", key), ("payload", value)] {
        line.push_str(&said.map(|said| format!(" {name}: {said}")).unwrap_or_default());
    }
    line
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn sequence(header: &BatchHeader, offset: i64) -> i64 {
    const SEQUENCES: i64 = 1 << 31;
    match header.base_sequence {
        none if none < 0 => i64::from(none),
        first => (i64::from(first) + (offset - header.base_offset)) % SEQUENCES,
    }
}

fn batch_object(log: &Path, position: u32, info: &BatchInfo, records: Option<&Vec<String>>) -> String {
    let header = &info.header;
    let mut out = opened(log);
    out.push_str(&format!(
        ",\"position\":{position},\"size\":{},\"baseOffset\":{},\"lastOffset\":{},\"count\":{},\"baseSequence\":{},\
         \"producerId\":{},\"producerEpoch\":{},\"partitionLeaderEpoch\":{},\"isTransactional\":{},\"isControl\":{},\
         \"deleteHorizonMs\":{},\"timestampType\":\"{}\",\"maxTimestamp\":{},\"magic\":{},\"compression\":\"{}\",\
         \"crc\":{}",
        info.bytes,
        header.base_offset,
        header.last_offset(),
        header.record_count,
        header.base_sequence,
        header.producer_id,
        header.producer_epoch,
        header.partition_leader_epoch,
        header.is_transactional(),
        header.is_control(),
        header.delete_horizon_ms().map_or("null".to_string(), |ms| ms.to_string()),
        time_kind(header),
        header.max_timestamp,
        header.magic,
        codec(header),
        header.crc,
    ));
    if let Some(records) = records {
        out.push_str(&format!(",\"records\":[{}]", records.join(",")));
    }
    out.push('}');
    out
}

fn record_object(header: &BatchHeader, record: &RecordRef<'_>, decoder: Option<Decoder>) -> String {
    let mut out = format!("{{\"offset\":{},\"timestamp\":{}", record.offset, record.timestamp);
    match decoder.filter(|_| !header.is_control()) {
        None => {
            json::bytes(&mut out, "key", record.key);
            json::bytes(&mut out, "value", record.value);
        }
        Some(decoder) => {
            let decoded = decoder.decode(record);
            said(&mut out, "key", decoded.key);
            said(&mut out, "value", decoded.value);
        }
    }
    out.push_str(",\"headers\":[");
    for (number, header) in record.headers().enumerate() {
        out.push_str(if number == 0 { "{\"key\":" } else { ",{\"key\":" });
        json::string(&mut out, &String::from_utf8_lossy(header.key));
        json::bytes(&mut out, "value", header.value);
        out.push('}');
    }
    out.push_str("]}");
    out
}

fn said(out: &mut String, name: &str, said: Option<Said>) {
    out.push_str(&format!(",\"{name}\":"));
    match said {
        None => out.push_str("null"),
        Some(Said::Json(decoded)) => out.push_str(&decoded.to_string()),
        Some(Said::Words(words)) => json::string(out, &words),
    }
}

fn opened(log: &Path) -> String {
    let mut out = "{\"file\":".to_string();
    json::string(&mut out, &log.to_string_lossy());
    out
}

fn damaged(log: &Path, damage: &Damage, format: DumpFormat) -> String {
    let Damage { from, to, first, cause, .. } = damage;
    if format == DumpFormat::Text {
        return format!("damaged: bytes {from} to {to}, from offset {first} on: {cause}");
    }
    let mut out = opened(log);
    out.push_str(&format!(",\"position\":{from},\"size\":{},\"offset\":{first},\"damage\":", to - from));
    json::string(&mut out, cause);
    out.push('}');
    out
}
