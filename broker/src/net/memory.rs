//! Memory for requests, bounded over all connections of the broker (`queued.max.request.bytes`): a request has its
//! permit before more than its first 16 KiB are read, and until it is answered. A connection that waits for one is not
//! read, as Kafka mutes a channel whose memory pool is empty; one without a request holds nothing.
//! Each shard has its share and asks no other core for it, but for the rare request that is larger than a share: of
//! those one at a time goes beyond it. So a broker holds at most the budget and one request more. Shared by the
//! connections of one shard.

use std::rc::Rc;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use super::budget::{Budget, Permit};

/// What the shards of a broker share.
#[derive(Clone)]
pub struct RequestBudget {
    share_bytes: usize,
    /// The turn of requests that are larger than a share.
    large: Arc<Budget>,
}

/// The share of one shard.
pub(super) struct RequestMemory {
    share: Arc<Budget>,
    large: Arc<Budget>,
}

/// A request's memory; dropping it gives it back.
pub(super) struct RequestPermit {
    _share: Permit,
    _large: Option<Permit>,
}

/// One connection's way to the permit of the request that it is about to read. Not lost when a read is interrupted.
pub(super) struct Intake {
    memory: Rc<RequestMemory>,
    permit: Asked,
}

enum Asked {
    Nothing,
    Waiting(LocalBoxFuture<'static, RequestPermit>),
    Granted(RequestPermit),
}

impl RequestBudget {
    /// # Panics
    /// Without a shard.
    pub fn new(total_bytes: usize, shards: usize) -> Self {
        Self { share_bytes: (total_bytes / shards).max(1), large: Budget::new(1) }
    }

    pub(super) fn share(&self) -> Rc<RequestMemory> {
        Rc::new(RequestMemory { share: Budget::new(self.share_bytes), large: self.large.clone() })
    }
}

impl RequestMemory {
    /// Whether a connection waits for memory that others have.
    pub fn is_wanted(&self) -> bool {
        self.share.is_wanted() || self.large.is_wanted()
    }

    async fn take(self: Rc<Self>, bytes: usize) -> RequestPermit {
        let large = if bytes > self.share.limit() { Some(self.large.take(1).await) } else { None };
        RequestPermit { _share: self.share.take(bytes).await, _large: large }
    }

    /// As [`RequestMemory::take`], where nothing is to wait for.
    fn take_now(&self, bytes: usize) -> Option<RequestPermit> {
        let is_small = bytes <= self.share.limit();
        let share = is_small.then(|| self.share.take(bytes).now_or_never()).flatten()?;
        Some(RequestPermit { _share: share, _large: None })
    }
}

impl Intake {
    pub fn new(memory: Rc<RequestMemory>) -> Self {
        Self { memory, permit: Asked::Nothing }
    }

    /// Whether a connection may read more than it knows to be coming.
    pub fn is_ample(&self) -> bool {
        self.memory.share.is_ample()
    }

    /// Whether memory is kept for a request that has not arrived whole.
    pub fn is_granted(&self) -> bool {
        matches!(self.permit, Asked::Granted(_))
    }

    /// Waits until the request of this length may be read. A second call for the same request goes on where the
    /// first was dropped.
    pub async fn admit(&mut self, bytes: usize) {
        if let Asked::Nothing = self.permit {
            self.permit = match self.memory.take_now(bytes) {
                Some(permit) => Asked::Granted(permit),
                None => Asked::Waiting(self.memory.clone().take(bytes).boxed_local()),
            };
        }
        if let Asked::Waiting(turn) = &mut self.permit {
            self.permit = Asked::Granted(turn.await);
        }
    }

    /// The permit of the request that has been read.
    ///
    /// # Panics
    /// When none was admitted.
    pub fn take(&mut self) -> RequestPermit {
        match std::mem::replace(&mut self.permit, Asked::Nothing) {
            Asked::Granted(permit) => permit,
            Asked::Nothing | Asked::Waiting(_) => panic!("a request is read with its permit"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intake(memory: &Rc<RequestMemory>) -> Intake {
        Intake::new(memory.clone())
    }

    fn is_admitted(intake: &mut Intake, bytes: usize) -> bool {
        intake.admit(bytes).now_or_never().is_some()
    }

    #[test]
    fn what_fits_the_share_is_admitted_and_the_next_waits_for_its_end() {
        let memory = RequestBudget::new(200, 2).share();
        let (mut one, mut two) = (intake(&memory), intake(&memory));
        assert!(is_admitted(&mut one, 60));
        assert!(!is_admitted(&mut two, 60));
        drop(one.take());
        assert!(is_admitted(&mut two, 60));
        assert!(is_admitted(&mut one, 40));
    }

    #[test]
    fn an_interrupted_wait_keeps_its_place() {
        let memory = RequestBudget::new(100, 1).share();
        let (mut one, mut two, mut three) = (intake(&memory), intake(&memory), intake(&memory));
        assert!(is_admitted(&mut one, 100));
        assert!(!is_admitted(&mut two, 80));
        assert!(!is_admitted(&mut three, 30));
        assert!(!is_admitted(&mut two, 80), "asked again, behind nobody");
        drop(one.take());
        assert!(!is_admitted(&mut three, 30));
        assert!(is_admitted(&mut two, 80));
    }

    #[test]
    fn a_request_larger_than_a_share_is_admitted_to_an_empty_one_and_alone_in_the_broker() {
        let budget = RequestBudget::new(200, 2);
        let (here, there) = (budget.share(), budget.share());
        let (mut large, mut other, mut small) = (intake(&here), intake(&there), intake(&there));
        assert!(is_admitted(&mut large, 1000));
        assert!(!is_admitted(&mut other, 1000), "one at a time");
        assert!(is_admitted(&mut small, 100), "which others do not wait for");
        drop(large.take());
        assert!(!is_admitted(&mut other, 1000), "its share is in use");
        drop(small.take());
        assert!(is_admitted(&mut other, 1000));
    }

    #[test]
    fn large_requests_of_every_shard_all_come_to_their_turn() {
        let budget = RequestBudget::new(400, 4);
        let mut waiting: Vec<Intake> = (0..40).map(|_| intake(&budget.share())).collect();
        let mut admitted = 0;
        while let Some(at) = waiting.iter_mut().position(|intake| is_admitted(intake, 1000)) {
            drop(waiting.remove(at).take());
            admitted += 1;
        }
        assert_eq!(admitted, 40);
    }

    #[test]
    fn a_connection_that_ends_while_it_waits_or_reads_leaves_everything_to_the_others() {
        let memory = RequestBudget::new(100, 1).share();
        let (mut reading, mut waiting, mut large) = (intake(&memory), intake(&memory), intake(&memory));
        assert!(is_admitted(&mut reading, 100));
        assert!(!is_admitted(&mut waiting, 100));
        assert!(!is_admitted(&mut large, 1000));
        drop((waiting, reading));
        assert!(is_admitted(&mut large, 1000));
        drop(large);
        assert!(is_admitted(&mut intake(&memory), 1000));
    }
}
