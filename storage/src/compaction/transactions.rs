//! What a cleaning knows of transactions as it walks the log: whose records were aborted, and which markers no record
//! needs any more. Rules of Kafka's `CleanedTransactionMetadata`. Decides only: no I/O.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use kring_wire::record::control::ControlType;

use crate::txn_index::AbortedTransaction;
use crate::types::{Offset, ProducerId};

/// Transactions that are open at the point that the walk has reached.
#[derive(Debug, Default)]
pub(crate) struct CleanedTransactions {
    /// Known from the log's index, and not reached yet.
    ahead: BinaryHeap<Reverse<ByFirstOffset>>,
    aborted: BTreeMap<ProducerId, OpenAborted>,
    committed: BTreeSet<ProducerId>,
    /// Aborted ones that still have a batch in what was walked, for the index of the cleaned segment.
    retained: Vec<AbortedTransaction>,
}

#[derive(Debug)]
struct OpenAborted {
    transaction: AbortedTransaction,
    has_batch: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct ByFirstOffset(AbortedTransaction);

impl Ord for ByFirstOffset {
    fn cmp(&self, other: &ByFirstOffset) -> std::cmp::Ordering {
        let order = |by: &ByFirstOffset| (by.0.first_offset, by.0.producer_id, by.0.last_offset);
        order(self).cmp(&order(other))
    }
}

impl PartialOrd for ByFirstOffset {
    fn partial_cmp(&self, other: &ByFirstOffset) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl CleanedTransactions {
    /// A walk along a log whose index names these.
    pub fn expecting(aborted: &[AbortedTransaction]) -> CleanedTransactions {
        let ahead = aborted.iter().map(|&transaction| Reverse(ByFirstOffset(transaction))).collect();
        CleanedTransactions { ahead, ..CleanedTransactions::default() }
    }

    /// Walks over a batch of records. True if they were aborted.
    pub fn meet_batch(&mut self, last_offset: Offset, producer: Option<ProducerId>) -> bool {
        self.reach(last_offset);
        let Some(producer) = producer else { return false };
        match self.aborted.get_mut(&producer) {
            Some(open) => {
                open.has_batch = true;
                true
            }
            None => {
                self.committed.insert(producer);
                false
            }
        }
    }

    /// Walks over a control batch; `marker` is `None` if it was emptied before. True if nothing needs it any more.
    pub fn meet_marker(
        &mut self,
        last_offset: Offset,
        producer: ProducerId,
        marker: Option<ControlType>,
    ) -> bool {
        self.reach(last_offset);
        match marker {
            None => true,
            Some(ControlType::Abort) => match self.aborted.remove(&producer) {
                Some(open) if open.has_batch => {
                    self.retained.push(open.transaction);
                    false
                }
                _ => true,
            },
            Some(ControlType::Commit) => !self.committed.remove(&producer),
            Some(_) => false,
        }
    }

    /// The aborted transactions that the segment written since the last call must name, in the order of their markers.
    pub fn take_retained(&mut self) -> Vec<AbortedTransaction> {
        std::mem::take(&mut self.retained)
    }

    fn reach(&mut self, offset: Offset) {
        while let Some(Reverse(next)) = self.ahead.peek()
            && next.0.first_offset <= offset
            && let Some(Reverse(ByFirstOffset(transaction))) = self.ahead.pop()
        {
            let open = OpenAborted { transaction, has_batch: false };
            self.aborted.entry(transaction.producer_id).or_insert(open);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ProducerId = ProducerId(1);
    const TWO: ProducerId = ProducerId(2);

    fn aborted(producer_id: ProducerId, first: i64, last: i64) -> AbortedTransaction {
        AbortedTransaction {
            producer_id,
            first_offset: Offset(first),
            last_offset: Offset(last),
            last_stable_offset: Offset(last + 1),
        }
    }

    #[test]
    fn only_batches_inside_an_aborted_transaction_are_aborted() {
        let mut walk = CleanedTransactions::expecting(&[aborted(ONE, 5, 9)]);
        assert!(!walk.meet_batch(Offset(4), Some(ONE)), "before it began");
        assert!(!walk.meet_marker(Offset(4), ONE, Some(ControlType::Commit)), "its records are still there");
        assert!(walk.meet_batch(Offset(6), Some(ONE)));
        assert!(!walk.meet_batch(Offset(7), Some(TWO)), "another producer");
        assert!(!walk.meet_batch(Offset(8), None), "not transactional");
        assert!(!walk.meet_marker(Offset(9), ONE, Some(ControlType::Abort)));
        assert!(!walk.meet_batch(Offset(10), Some(ONE)), "after it ended");
    }

    #[test]
    fn a_marker_may_go_once_no_record_of_its_transaction_is_left() {
        let mut walk = CleanedTransactions::expecting(&[aborted(ONE, 5, 9)]);
        assert!(walk.meet_marker(Offset(9), ONE, Some(ControlType::Abort)));
        assert!(walk.meet_marker(Offset(10), TWO, Some(ControlType::Commit)));
        assert!(walk.meet_marker(Offset(11), TWO, None), "emptied before");
        assert!(!walk.meet_marker(Offset(12), TWO, Some(ControlType::LeaderChange)));
    }

    #[test]
    fn the_index_names_the_aborted_transactions_that_still_have_a_batch() {
        let mut walk = CleanedTransactions::expecting(&[aborted(TWO, 6, 8), aborted(ONE, 5, 9)]);
        walk.meet_batch(Offset(5), Some(ONE));
        walk.meet_marker(Offset(8), TWO, Some(ControlType::Abort));
        walk.meet_marker(Offset(9), ONE, Some(ControlType::Abort));
        assert_eq!(walk.take_retained(), [aborted(ONE, 5, 9)]);
        assert!(walk.take_retained().is_empty());
    }
}
