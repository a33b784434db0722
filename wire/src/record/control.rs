//! Control records: what a coordinator or the quorum writes between the data.
//!
//! | key | bytes | field |
//! |---|---|---|
//! | | 0..2 | version, 0 |
//! | | 2..4 | type |
//!
//! | value of an end-of-transaction marker | bytes | field |
//! |---|---|---|
//! | | 0..2 | version, 0 |
//! | | 2..6 | coordinator epoch |
//!
//! The other values are messages of their own and not this module's business.

use super::builder::{BatchBuilder, BuildError};
use super::error::{Malformed, RecordError};

const KEY_VERSION: i16 = 0;
const MARKER_VERSION: i16 = 0;

/// What a control record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlType {
    /// The transaction was aborted.
    Abort,
    /// The transaction was committed.
    Commit,
    /// A new leader of the metadata quorum.
    LeaderChange,
    /// Start of a snapshot.
    SnapshotHeader,
    /// End of a snapshot.
    SnapshotFooter,
    /// The quorum's format version.
    KraftVersion,
    /// The quorum's voters.
    KraftVoters,
    /// A type that is not known here, to be skipped.
    Unknown(i16),
}

impl ControlType {
    /// The number on the wire.
    pub fn id(self) -> i16 {
        match self {
            ControlType::Abort => 0,
            ControlType::Commit => 1,
            ControlType::LeaderChange => 2,
            ControlType::SnapshotHeader => 3,
            ControlType::SnapshotFooter => 4,
            ControlType::KraftVersion => 5,
            ControlType::KraftVoters => 6,
            ControlType::Unknown(id) => id,
        }
    }

    /// The type with this number.
    pub fn from_id(id: i16) -> ControlType {
        match id {
            0 => ControlType::Abort,
            1 => ControlType::Commit,
            2 => ControlType::LeaderChange,
            3 => ControlType::SnapshotHeader,
            4 => ControlType::SnapshotFooter,
            5 => ControlType::KraftVersion,
            6 => ControlType::KraftVoters,
            other => ControlType::Unknown(other),
        }
    }

    /// The record key.
    pub fn key(self) -> [u8; 4] {
        let [a, b] = KEY_VERSION.to_be_bytes();
        let [c, d] = self.id().to_be_bytes();
        [a, b, c, d]
    }

    /// The type that a control record's key names. Versions above ours are read as ours.
    pub fn parse_key(key: &[u8]) -> Result<ControlType, RecordError> {
        let [a, b, c, d, ..] = *key else { return Err(Malformed::Control.into()) };
        if i16::from_be_bytes([a, b]) < KEY_VERSION {
            return Err(Malformed::Control.into());
        }
        Ok(ControlType::from_id(i16::from_be_bytes([c, d])))
    }
}

/// The end of a transaction in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTxnMarker {
    /// Committed, or aborted.
    pub committed: bool,
    /// Epoch of the transaction coordinator that wrote it.
    pub coordinator_epoch: i32,
}

impl EndTxnMarker {
    /// The control type of its key.
    pub fn control_type(self) -> ControlType {
        if self.committed { ControlType::Commit } else { ControlType::Abort }
    }

    /// The record value.
    pub fn value(self) -> [u8; 6] {
        let mut value = [0; 6];
        value[..2].copy_from_slice(&MARKER_VERSION.to_be_bytes());
        value[2..].copy_from_slice(&self.coordinator_epoch.to_be_bytes());
        value
    }

    /// Reads a marker from a control record; `None` for other control records.
    pub fn parse(key: &[u8], value: &[u8]) -> Result<Option<EndTxnMarker>, RecordError> {
        let committed = match ControlType::parse_key(key)? {
            ControlType::Commit => true,
            ControlType::Abort => false,
            _ => return Ok(None),
        };
        let [a, b, c, d, e, f, ..] = *value else { return Err(Malformed::Control.into()) };
        if i16::from_be_bytes([a, b]) < MARKER_VERSION {
            return Err(Malformed::Control.into());
        }
        Ok(Some(EndTxnMarker { committed, coordinator_epoch: i32::from_be_bytes([c, d, e, f]) }))
    }
}

/// Appends a control record to a builder that was made with [`BatchBuilder::control`].
pub fn append_control(
    builder: &mut BatchBuilder,
    timestamp: i64,
    control_type: ControlType,
    value: &[u8],
) -> Result<(), BuildError> {
    builder.append(timestamp, Some(&control_type.key()), Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive() {
        for id in -1..8 {
            let control_type = ControlType::from_id(id);
            assert_eq!(control_type.id(), id);
            assert_eq!(ControlType::parse_key(&control_type.key()), Ok(control_type));
        }
        assert!(ControlType::parse_key(&[0, 0, 1]).is_err());
        assert!(ControlType::parse_key(&[0xff, 0xff, 0, 1]).is_err());
    }

    #[test]
    fn markers_survive() {
        let marker = EndTxnMarker { committed: true, coordinator_epoch: 9 };
        assert_eq!(EndTxnMarker::parse(&marker.control_type().key(), &marker.value()), Ok(Some(marker)));
        assert_eq!(EndTxnMarker::parse(&ControlType::LeaderChange.key(), &[]), Ok(None));
        assert!(EndTxnMarker::parse(&ControlType::Abort.key(), &[0, 0]).is_err());
    }
}
