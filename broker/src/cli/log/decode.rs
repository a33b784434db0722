//! What the records of Kafka's own topics say, as `kafka-dump-log` shows it with its decoders.
//! Prints nothing; what cannot be read is a sentence in the words of that tool.

use bytes::Bytes;
use kring_wire::DecodeError;
use kring_wire::json::Json;
use kring_wire::record::RecordRef;
use kring_wire::record::control::{ControlType, EndTxnMarker};
use kring_wire::stored::{MetadataRecord, show_control_value, show_group_record};

/// What the records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decoder {
    /// Of `__consumer_offsets`.
    Offsets,
    /// Of `__cluster_metadata`.
    ClusterMetadata,
}

/// A key or a value, or why it cannot be told.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Said {
    Json(Json),
    Words(String),
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Said::Json(json) => json.fmt(f),
            Said::Words(words) => f.write_str(words),
        }
    }
}

/// What there is to say of a record.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Decoded {
    pub key: Option<Said>,
    pub value: Option<Said>,
}

impl Decoder {
    pub(super) fn decode(self, record: &RecordRef<'_>) -> Decoded {
        match self {
            Decoder::Offsets => offsets(record),
            Decoder::ClusterMetadata => cluster_metadata(record),
        }
    }
}

fn offsets(record: &RecordRef<'_>) -> Decoded {
    let offset = record.offset;
    let words = |words: String| Decoded { key: Some(Said::Words(words)), value: None };
    let Some(key) = record.key else {
        return words(format!(
            "Failed to decode message at offset {offset} using the specified decoder (message had a missing key)"
        ));
    };
    match show_group_record(Bytes::copy_from_slice(key), record.value.map(Bytes::copy_from_slice)) {
        Ok((key, value)) => {
            let value = value.map_or_else(|| Said::Words("<DELETE>".to_string()), Said::Json);
            Decoded { key: Some(Said::Json(key)), value: Some(value) }
        }
        Err(DecodeError::UnknownRecord { key }) => {
            words(format!("Unknown record type {key} at offset {offset}, skipping."))
        }
        Err(error) => words(format!("Error at offset {offset}, skipping. {error}")),
    }
}

fn cluster_metadata(record: &RecordRef<'_>) -> Decoded {
    let value = Bytes::copy_from_slice(record.value.unwrap_or_default());
    let said = match MetadataRecord::show(value) {
        Ok(json) => Said::Json(json),
        Err(error) => Said::Words(format!("Error at {}, skipping. {error}", record.offset)),
    };
    Decoded { key: None, value: Some(said) }
}

/// What a control record says, with a space before it; nothing if that cannot be read.
pub(super) fn control(record: &RecordRef<'_>) -> String {
    let (key, value) = (record.key.unwrap_or_default(), record.value.unwrap_or_default());
    if let Ok(Some(marker)) = EndTxnMarker::parse(key, value) {
        let kind = if marker.committed { "COMMIT" } else { "ABORT" };
        return format!(" endTxnMarker: {kind} coordinatorEpoch: {}", marker.coordinator_epoch);
    }
    let Ok(kind) = ControlType::parse_key(key) else { return String::new() };
    let Some(Ok(json)) = show_control_value(kind, &Bytes::copy_from_slice(value)) else {
        return String::new();
    };
    let name = match kind {
        ControlType::LeaderChange => "LeaderChange:",
        ControlType::SnapshotHeader => "SnapshotHeader",
        ControlType::SnapshotFooter => "SnapshotFooter",
        ControlType::KraftVersion => "KRaftVersion",
        ControlType::KraftVoters => "KRaftVoters",
        ControlType::Abort | ControlType::Commit | ControlType::Unknown(_) => return String::new(),
    };
    format!(" {name} {json}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_said_as_kafka_dump_log_says_it() {
        let mut builder = kring_wire::record::BatchBuilder::new(kring_wire::record::Compression::NONE);
        builder.append(1, Some(&[0, 99]), Some(b"x")).expect("it is small");
        builder.append(1, None, None).expect("it is small");
        let bytes = builder.build().expect("it has records").to_bytes();
        let header = kring_wire::record::BatchHeader::parse(&bytes).expect("a header");
        let body = bytes.slice(kring_wire::record::HEADER_BYTES..);
        let mut records = kring_wire::record::RecordsIter::new(&header, body, 1000).expect("records");
        let first = records.next_ref().expect("there").expect("whole");
        let words = |said: Option<Said>| said.expect("something is said").to_string();
        let unknown = words(Decoder::Offsets.decode(&first).key);
        assert_eq!(unknown, "Unknown record type 99 at offset 0, skipping.");
        let second = records.next_ref().expect("there").expect("whole");
        assert!(words(Decoder::Offsets.decode(&second).key).contains("at offset 1 using"));
        assert!(words(Decoder::ClusterMetadata.decode(&second).value).starts_with("Error at 1, skipping. "));
        assert_eq!(control(&second), "");
    }
}
