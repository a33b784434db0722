//! What happens to records, as the statistics and the verification of one shard count it. Decides nothing.

use std::rc::Rc;
use std::sync::Arc;

use kring_runtime::Monotonic;

use crate::measure::Measure;
use crate::produce::Batch;
use crate::shared::{Local, Shared};
use crate::stats::Amount;

/// What clients count into.
#[derive(Clone)]
pub struct Counters {
    pub local: Rc<Local>,
    pub shared: Arc<Shared>,
    pub verify: bool,
}

impl Counters {
    /// A request is on its way.
    pub fn departed(&self) {
        self.local.in_flight.set(self.local.in_flight.get() + 1);
    }

    /// It is not any more.
    pub fn landed(&self) {
        self.local.in_flight.set(self.local.in_flight.get() - 1);
    }

    /// The broker has the batch, one of a request of which so much was not counted before; `end` is the offset after
    /// it, where the broker says.
    pub fn acknowledged(&self, batch: &Batch, requests: u64, at: Monotonic, end: Option<i64>) {
        self.local.produced(Amount { requests, ..batch.amount() }, at);
        self.waited(&batch.times, at);
        if let Some(end) = end {
            self.shared.acknowledge(batch.stream.partition, end);
        }
        if self.verify {
            let to = batch.first_number + batch.records();
            self.local.ledger.borrow_mut().acknowledged(batch.stream, batch.first_number, to);
        }
    }

    /// Records that were meant to be sent at these times have waited until `at`.
    pub fn waited(&self, times: &[Monotonic], at: Monotonic) {
        let together = times.chunk_by(|one, next| one == next).map(|same| (same[0], same.len() as u64));
        self.local.all_lasted(&Measure::Acknowledged, at, together);
    }
}
