//! What recovery learns from the batches it meets: leader epochs, producers, and the transactions that were aborted.
//! Does no I/O. Shard that will own the log.

use crate::epochs::LeaderEpochs;
use crate::mutation::{self, Mutation};
use crate::producer::ProducerStates;
use crate::scan::Met;
use crate::txn_index::AbortedTransaction;
use crate::types::Offset;

pub(super) struct Known {
    pub producers: ProducerStates,
    pub epochs: LeaderEpochs,
    /// Producers are known up to here, and learnt from here on.
    pub from: Offset,
    /// Those whose markers were met, of the segment that is being walked.
    pub aborted: Vec<AbortedTransaction>,
}

impl Known {
    pub fn learn(&mut self, met: &Met) {
        self.epochs.assign(met.info.leader_epoch, met.info.base_offset);
        if met.info.last_offset() < self.from {
            return;
        }
        if let Some(batch) = met.info.producer() {
            self.producers.record(&batch, met.info.base_offset);
        } else if let Some(marker) = &met.marker {
            let completed = self.producers.record_marker(marker, met.info.base_offset);
            let aborted = completed.and_then(|completed| AbortedTransaction::of(&completed));
            self.aborted.extend(aborted.filter(|_| !mutation::on(Mutation::ForgetAborted)));
        }
    }
}
