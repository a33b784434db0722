//! Producer ids for this core, taken from the controller a block at a time. Never gives one twice: a block that a
//! crash leaves half used is lost, which costs nothing.

use std::cell::Cell;
use std::ops::Range;

use kring_wire::ErrorCode;

use super::{CONTROLLER_SHARD, Command, Shard};
use crate::controller::{ControllerReply, ControllerRequest};
use crate::partition::Refusal;

/// What is left of the current block.
#[derive(Default)]
pub(super) struct ProducerIds {
    next: Cell<i64>,
    end: Cell<i64>,
}

impl ProducerIds {
    fn take(&self) -> Option<i64> {
        let id = self.next.get();
        (id < self.end.get()).then(|| {
            self.next.set(id + 1);
            id
        })
    }

    /// Another request may have brought a block meanwhile; the older one is dropped.
    fn refill(&self, block: Range<i64>) {
        self.next.set(block.start);
        self.end.set(block.end);
    }
}

impl Shard {
    /// An id that no producer of this cluster has had.
    pub async fn next_producer_id(&self) -> Result<i64, Refusal> {
        loop {
            if let Some(id) = self.producer_ids.take() {
                return Ok(id);
            }
            let block = self.allocate_block().await?;
            self.producer_ids.refill(block);
        }
    }

    async fn allocate_block(&self) -> Result<Range<i64>, Refusal> {
        let node_id = self.config().node.id;
        let request = ControllerRequest::AllocateProducerIds { broker_id: node_id };
        match self.ask_controller(request).await? {
            ControllerReply::ProducerIds(Ok(block)) => Ok(block),
            ControllerReply::ProducerIds(Err(refused)) => Err(refused.code.into()),
            other => unreachable!("a request for producer ids is answered with {other:?}"),
        }
    }

    /// Asks the controller, wherever it lives.
    pub async fn ask_controller(&self, request: ControllerRequest) -> Result<ControllerReply, Refusal> {
        let command = |reply_to| Command::Controller { request, reply_to };
        let reply = self.mesh.ask(CONTROLLER_SHARD, command).await;
        reply.recv().await.map_err(|_| ErrorCode::COORDINATOR_NOT_AVAILABLE.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_given_out_once_and_in_order() {
        let ids = ProducerIds::default();
        assert_eq!(ids.take(), None);
        ids.refill(1000..1003);
        assert_eq!(
            [ids.take(), ids.take(), ids.take(), ids.take()],
            [Some(1000), Some(1001), Some(1002), None]
        );
    }
}
