//! The way between cores: who owns what, and one bounded inbox for each shard. This is the only place that knows
//! the mapping. A send waits when the inbox is full; the task that drains an inbox never sends.

use std::sync::Arc;

use kring_runtime::channel::{self, Receiver, ReplyReceiver, Sender};
use kring_runtime::{ShardId, shard_id};

use super::command::{Command, ReplyTo};
use crate::partition::PartitionId;

/// Commands that may wait in one shard's inbox.
const INBOX_COMMANDS: usize = 1024;
/// The shard that holds the metadata log.
pub const CONTROLLER_SHARD: usize = 0;

/// The inboxes of all shards. Cheap to clone.
#[derive(Clone)]
pub struct Mesh {
    inboxes: Arc<[Sender<Command>]>,
}

/// The receiving end of one shard's inbox.
pub type Inbox = Receiver<Command>;

impl Mesh {
    /// A mesh of `shards`, with their inboxes in order.
    pub fn new(shards: usize) -> (Self, Vec<Inbox>) {
        let (inboxes, drains): (Vec<_>, Vec<_>) =
            (0..shards).map(|_| channel::bounded(INBOX_COMMANDS)).unzip();
        (Self { inboxes: inboxes.into() }, drains)
    }

    pub fn shards(&self) -> usize {
        self.inboxes.len()
    }

    /// The shard that owns a partition. Partitions of one topic go round; topics start at different shards.
    pub fn owner(&self, id: PartitionId) -> ShardId {
        let start = id.topic.as_u128() % self.shards() as u128;
        let index = (start as usize + id.index.unsigned_abs() as usize) % self.shards();
        ShardId(index as u16)
    }

    pub fn owned_here(&self, id: PartitionId) -> bool {
        self.owner(id) == shard_id()
    }

    /// Queues a command. One for a shard that has stopped is dropped: its reply ends without an answer.
    pub async fn send(&self, shard: usize, command: Command) {
        if self.inboxes[shard].send(command).await.is_err() {
            tracing::debug!(shard, "a command came after its shard had stopped");
        }
    }

    /// Queues a command and gives its reply to wait for.
    pub async fn ask<T>(
        &self,
        shard: usize,
        command: impl FnOnce(ReplyTo<T>) -> Command,
    ) -> ReplyReceiver<T> {
        let (reply_to, reply) = channel::oneshot();
        self.send(shard, command(reply_to)).await;
        reply
    }

    /// Asks every shard and waits for all answers, in shard order; `None` for one that has stopped.
    pub async fn ask_all<T>(&self, command: impl Fn(ReplyTo<T>) -> Command) -> Vec<Option<T>> {
        let mut replies = Vec::with_capacity(self.shards());
        for shard in 0..self.shards() {
            replies.push(self.ask(shard, &command).await);
        }
        let mut answers = Vec::with_capacity(replies.len());
        for reply in replies {
            answers.push(reply.recv().await.ok());
        }
        answers
    }

    /// Ends all inboxes.
    pub fn close(&self) {
        self.inboxes.iter().for_each(Sender::close);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kring_wire::Uuid;

    #[test]
    fn partitions_of_a_topic_are_spread_evenly() {
        let (mesh, _drains) = Mesh::new(3);
        let mut counts = [0; 3];
        for index in 0..30 {
            counts[mesh.owner(PartitionId { topic: Uuid::from_u128(77), index }).index()] += 1;
        }
        assert_eq!(counts, [10, 10, 10]);
    }

    #[test]
    fn the_owner_depends_on_nothing_but_the_name_and_the_number_of_shards() {
        let (one, _a) = Mesh::new(4);
        let (two, _b) = Mesh::new(4);
        let id = PartitionId { topic: Uuid::from_u128(u128::MAX), index: i32::MAX };
        assert_eq!(one.owner(id), two.owner(id));
    }
}
