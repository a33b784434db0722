//! Where the stable part of a log ends: at the first record of a transaction that is open, or that has ended by a
//! marker which readers cannot see yet. As `firstUnstableOffset` of Kafka's `ProducerStateManager`.
//! Decides only: no I/O. Lives on the shard that owns the log.

use crate::log::{Log, State};
use crate::mutation::{self, Mutation};
use crate::producer::CompletedTransaction;
use crate::types::Offset;

/// Transactions that have ended in the log, with markers that may not be below the high watermark yet: Kafka's
/// `unreplicatedTxns`. By the time of the next marker those that are below it are forgotten, so there are never more
/// than the markers between two flushes.
#[derive(Debug, Default)]
pub(crate) struct EndedTransactions(Vec<Ended>);

#[derive(Clone, Copy, Debug)]
struct Ended {
    first_offset: Offset,
    marker_offset: Offset,
}

impl EndedTransactions {
    pub fn note(&mut self, ended: &CompletedTransaction, high_watermark: Offset) {
        self.0.retain(|ended| ended.marker_offset >= high_watermark);
        let (first_offset, marker_offset) = (ended.first_offset, ended.marker_offset);
        self.0.push(Ended { first_offset, marker_offset });
    }

    /// First offset of the earliest one whose marker readers cannot see.
    fn first_unseen(&self, high_watermark: Offset) -> Option<Offset> {
        let unseen = self.0.iter().filter(|ended| ended.marker_offset >= high_watermark);
        unseen.map(|ended| ended.first_offset).min()
    }
}

impl State {
    /// Never above the high watermark, and never below the log's start.
    pub fn last_stable_offset(&self) -> Offset {
        let high_watermark = self.high_watermark();
        let forget = mutation::on(Mutation::ForgetUnseenMarkers);
        let unseen = if forget { None } else { self.ended.first_unseen(high_watermark) };
        let first_unstable = self.producers.first_ongoing().into_iter().chain(unseen).min();
        first_unstable.map_or(high_watermark, |first| first.max(self.offsets.start()).min(high_watermark))
    }
}

impl Log {
    /// Records below belong to no open transaction, and are committed: what a reader of committed records sees.
    pub fn last_stable_offset(&self) -> Offset {
        self.state().last_stable_offset()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ProducerId;

    fn completed(first: i64, marker: i64) -> CompletedTransaction {
        CompletedTransaction {
            producer_id: ProducerId(1),
            first_offset: Offset(first),
            marker_offset: Offset(marker),
            is_abort: false,
            last_stable_offset: Offset(marker + 1),
        }
    }

    #[test]
    fn a_transaction_is_undecided_until_readers_can_see_its_marker() {
        let mut ended = EndedTransactions::default();
        ended.note(&completed(10, 20), Offset(15));
        ended.note(&completed(12, 18), Offset(15));
        assert_eq!(ended.first_unseen(Offset(20)), Some(Offset(10)), "the marker itself is not below it");
        assert_eq!(ended.first_unseen(Offset(21)), None);
    }

    #[test]
    fn what_readers_have_seen_is_forgotten() {
        let mut ended = EndedTransactions::default();
        (0..100).for_each(|at| ended.note(&completed(at * 2, at * 2 + 1), Offset(at * 2)));
        assert_eq!(ended.0.len(), 1);
    }
}
