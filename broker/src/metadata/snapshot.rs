//! Snapshots of the metadata log, as Apache Kafka writes them beside it: `<end offset>-<epoch>.checkpoint`, batches of
//! records between a header and a footer, which say together what the log said below the end offset.
//! Never touches a file and never writes a snapshot. Lives where the log does, on the first core.

use bytes::Bytes;
use kring_wire::MetadataRecord;
use kring_wire::record::control::ControlType;
use kring_wire::record::{Batch, DEFAULT_MAX_DECOMPRESSED_BYTES, Record, RecordError, split_batches};

use super::replay::{LoadError, Replay, records_of};

const SUFFIX: &str = ".checkpoint";

/// What a snapshot stands for, as its file's name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotId {
    /// The log goes on here.
    pub end_offset: i64,
    /// Of the last record that is in it.
    pub epoch: i32,
}

impl SnapshotId {
    /// `None` for other files, those among them that are not complete or are to be deleted.
    pub fn of_file(name: &str) -> Option<SnapshotId> {
        let (end_offset, epoch) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        let is_number = |digits: &str, len| digits.len() == len && digits.bytes().all(|c| c.is_ascii_digit());
        if !is_number(end_offset, 20) || !is_number(epoch, 10) {
            return None;
        }
        Some(SnapshotId { end_offset: end_offset.parse().ok()?, epoch: epoch.parse().ok()? })
    }

    pub fn file_name(self) -> String {
        format!("{:020}-{:010}{SUFFIX}", self.end_offset, self.epoch)
    }
}

impl Replay {
    /// Begins with what a snapshot says; the log follows from its end offset on.
    ///
    /// # Errors
    /// When the bytes are not a whole snapshot, or it contradicts itself.
    pub fn after_snapshot(id: SnapshotId, bytes: Bytes) -> Result<Replay, LoadError> {
        if !is_whole(&bytes)? {
            return Err(LoadError::PartOfSnapshot);
        }
        let mut replay = Replay::new();
        replay.feed(bytes)?;
        replay.go_on_at(id.end_offset, id.epoch);
        Ok(replay)
    }
}

/// The records of a `bootstrap.checkpoint`: what a log begins with that was formatted and never written to.
///
/// # Errors
/// As for a snapshot, whose format it has.
pub fn bootstrap_records(bytes: &Bytes) -> Result<Vec<MetadataRecord>, LoadError> {
    if !is_whole(bytes)? {
        return Err(LoadError::PartOfSnapshot);
    }
    let mut records = Vec::new();
    for batch in split_batches(bytes) {
        let batch = batch.map_err(|error| LoadError::Batch { offset: 0, error })?;
        if !batch.header.is_control() {
            records.extend(records_of(&batch)?.into_iter().map(|(_, record)| record));
        }
    }
    Ok(records)
}

/// Whether it begins with a header and ends with a footer, and every checksum holds. Between them are records, and
/// what a quorum says of itself.
fn is_whole(bytes: &Bytes) -> Result<bool, LoadError> {
    let (mut first, mut last) = (None, None);
    for batch in split_batches(bytes) {
        let batch = batch.and_then(|batch| batch.check_crc().map(|()| batch));
        let batch = batch.map_err(|error| LoadError::Batch { offset: 0, error })?;
        let types = control_types(&batch)?;
        first = first.or(Some(types.first().copied()));
        last = types.last().copied();
    }
    Ok(first == Some(Some(ControlType::SnapshotHeader)) && last == Some(ControlType::SnapshotFooter))
}

/// Of the records in a control batch; none in another.
fn control_types(batch: &Batch) -> Result<Vec<ControlType>, LoadError> {
    if !batch.header.is_control() {
        return Ok(Vec::new());
    }
    let broken = |error| LoadError::Batch { offset: batch.header.base_offset, error };
    let type_of = |record: Result<Record, RecordError>| {
        let key = record.map_err(broken)?.key.unwrap_or_default();
        ControlType::parse_key(&key).map_err(broken)
    };
    batch.records(DEFAULT_MAX_DECOMPRESSED_BYTES).map_err(broken)?.map(type_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{BatchPlace, record_batch};
    use kring_wire::Uuid;
    use kring_wire::messages::topic_record::TopicRecord;
    use kring_wire::record::control::append_control;
    use kring_wire::record::{BatchBuilder, Compression};

    const ID: SnapshotId = SnapshotId { end_offset: 40, epoch: 7 };

    fn control(base_offset: i64, types: &[ControlType]) -> Bytes {
        let mut builder =
            BatchBuilder::new(Compression::NONE).base_offset(base_offset).leader_epoch(7).control();
        types.iter().for_each(|of| append_control(&mut builder, 0, *of, &[0, 0, 0]).expect("small"));
        builder.build().expect("some records").to_bytes()
    }

    fn topic(base_offset: i64, name: &str) -> Bytes {
        let record: MetadataRecord =
            TopicRecord { name: name.into(), topic_id: Uuid::from_u128(base_offset as u128 + 1) }.into();
        let place = BatchPlace { base_offset, epoch: 7, now_ms: 0 };
        record_batch(&[record], place).expect("one record").to_bytes()
    }

    fn snapshot() -> [Bytes; 3] {
        // A quorum of Kafka's that can change says so after the header.
        let header = [ControlType::SnapshotHeader, ControlType::KraftVersion, ControlType::KraftVoters];
        [control(0, &header), topic(3, "a"), control(4, &[ControlType::SnapshotFooter])]
    }

    #[test]
    fn the_log_goes_on_where_its_snapshot_ends() {
        let mut replay = Replay::after_snapshot(ID, snapshot().concat().into()).expect("a good snapshot");
        replay.feed(topic(40, "b")).expect("the next offset");
        let loaded = replay.finish();
        assert_eq!((loaded.next_offset, loaded.last_epoch, loaded.image.topic_count()), (41, 7, 2));
    }

    #[test]
    fn a_snapshot_without_its_header_or_its_end_is_refused() {
        let [header, records, footer] = snapshot();
        for part in [[&header[..], &records].concat(), [&records[..], &footer].concat(), Vec::new()] {
            let refused = Replay::after_snapshot(ID, part.into());
            assert!(matches!(refused, Err(LoadError::PartOfSnapshot)), "{refused:?}");
        }
    }

    #[test]
    fn what_a_format_has_left_is_read_as_records() {
        let records = bootstrap_records(&snapshot().concat().into()).expect("a good file");
        assert!(matches!(&records[..], [MetadataRecord::Topic(topic)] if &*topic.name == "a"), "{records:?}");
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let mut bytes = snapshot().concat();
        *bytes.last_mut().expect("a footer") ^= 1;
        let refused = Replay::after_snapshot(ID, bytes.into());
        assert!(matches!(refused, Err(LoadError::Batch { .. })), "{refused:?}");
    }

    #[test]
    fn file_names_are_kafkas() {
        let name = "00000000000000000040-0000000007.checkpoint";
        assert_eq!((SnapshotId::of_file(name), ID.file_name()), (Some(ID), name.to_string()));
        for other in
            ["bootstrap.checkpoint", "leader-epoch-checkpoint", &format!("{name}.deleted"), "1-1.checkpoint"]
        {
            assert_eq!(SnapshotId::of_file(other), None, "{other}");
        }
    }
}
