//! Which leader epoch began at which offset, and Kafka's `leader-epoch-checkpoint` file that keeps it.
//! Does no I/O. Lives on the shard that owns the log.

use crate::checkpoint::{self, BadCheckpoint};
use crate::types::{LeaderEpoch, Offset};

/// Bytes of the file. A line is at most 32: 500,000 epochs, one for each start of a broker.
pub(crate) const LONGEST_EPOCHS: u64 = 16 << 20;

/// The end of an epoch, as OffsetForLeaderEpoch answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    pub epoch: LeaderEpoch,
    pub end_offset: Offset,
}

/// Rising epochs with rising start offsets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaderEpochs {
    entries: Vec<(LeaderEpoch, Offset)>,
}

impl LeaderEpochs {
    /// Learns that a batch of `epoch` stands at `offset`. True if that is news.
    pub fn assign(&mut self, epoch: LeaderEpoch, offset: Offset) -> bool {
        if epoch.0 < 0 || self.latest().is_some_and(|latest| epoch <= latest) {
            return false;
        }
        // An epoch that got no record leaves no trace: its successor begins where it did.
        self.entries.retain(|&(_, start)| start < offset);
        self.entries.push((epoch, offset));
        true
    }

    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|&(epoch, _)| epoch)
    }

    /// Where the records of `epoch`, or of the nearest older epoch known, end. Rule of KIP-320.
    pub fn end_offset_for(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<EpochEnd> {
        if self.latest() == Some(epoch) {
            return Some(EpochEnd { epoch, end_offset: log_end });
        }
        let after = self.entries.partition_point(|&(known, _)| known <= epoch);
        let &(_, end_offset) = self.entries.get(after)?;
        match after.checked_sub(1) {
            // Older than all that is known: nothing of it is left, so it ends where the oldest begins.
            None => Some(EpochEnd { epoch, end_offset }),
            Some(floor) => Some(EpochEnd { epoch: self.entries[floor].0, end_offset }),
        }
    }

    /// The epoch a record at `offset` was written in.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.entries.partition_point(|&(_, start)| start <= offset);
        after.checked_sub(1).map(|at| self.entries[at].0)
    }

    /// Records below `start` are gone; the epoch that covers `start` now begins there.
    pub fn truncate_start(&mut self, start: Offset) -> bool {
        let after = self.entries.partition_point(|&(_, begin)| begin <= start);
        let Some(covering) = after.checked_sub(1) else { return false };
        if covering == 0 && self.entries[0].1 == start {
            return false;
        }
        self.entries.drain(..covering);
        self.entries[0].1 = start;
        true
    }

    /// Records from `end` on are gone.
    pub fn truncate_end(&mut self, end: Offset) -> bool {
        let before = self.entries.len();
        self.entries.retain(|&(_, start)| start < end);
        self.entries.len() != before
    }

    pub fn entries(&self) -> &[(LeaderEpoch, Offset)] {
        &self.entries
    }

    pub fn encode(&self) -> String {
        checkpoint::encode(self.entries.iter().map(|(epoch, offset)| format!("{epoch} {offset}")))
    }

    pub fn decode(text: &str) -> Result<LeaderEpochs, BadCheckpoint> {
        let mut epochs = LeaderEpochs::default();
        for line in checkpoint::decode(text)? {
            let (epoch, offset) = parse_line(line).ok_or_else(|| BadCheckpoint::line(line))?;
            epochs.assign(epoch, offset);
        }
        Ok(epochs)
    }
}

fn parse_line(line: &str) -> Option<(LeaderEpoch, Offset)> {
    let (epoch, offset) = line.split_once(' ')?;
    Some((LeaderEpoch(epoch.parse().ok()?), Offset(offset.trim().parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs() -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        for (epoch, offset) in [(1, 0), (3, 10), (5, 30)] {
            assert!(epochs.assign(LeaderEpoch(epoch), Offset(offset)));
        }
        epochs
    }

    fn end(epoch: i32) -> Option<(i32, i64)> {
        epochs().end_offset_for(LeaderEpoch(epoch), Offset(42)).map(|end| (end.epoch.0, end.end_offset.0))
    }

    #[test]
    fn an_epoch_ends_where_the_next_begins() {
        assert_eq!(
            [end(0), end(1), end(2), end(3), end(4)],
            [Some((0, 0)), Some((1, 10)), Some((1, 10)), Some((3, 30)), Some((3, 30))]
        );
    }

    #[test]
    fn the_latest_epoch_ends_at_the_log_end_and_a_future_one_is_unknown() {
        assert_eq!(end(5), Some((5, 42)));
        assert_eq!(end(6), None);
    }

    #[test]
    fn an_epoch_without_records_is_forgotten() {
        let mut epochs = epochs();
        epochs.assign(LeaderEpoch(6), Offset(30));
        assert_eq!(epochs.entries().last(), Some(&(LeaderEpoch(6), Offset(30))));
        assert_eq!(epochs.entries().len(), 3);
    }

    #[test]
    fn truncation_keeps_what_covers_the_rest() {
        let mut front = epochs();
        assert!(front.truncate_start(Offset(12)));
        assert_eq!(front.entries(), [(LeaderEpoch(3), Offset(12)), (LeaderEpoch(5), Offset(30))]);
        let mut back = epochs();
        assert!(back.truncate_end(Offset(30)));
        assert_eq!(back.latest(), Some(LeaderEpoch(3)));
    }

    #[test]
    fn the_file_is_kafkas() {
        assert_eq!(epochs().encode(), "0\n3\n1 0\n3 10\n5 30\n");
        assert_eq!(LeaderEpochs::decode("0\n3\n1 0\n3 10\n5 30\n").unwrap(), epochs());
    }
}
