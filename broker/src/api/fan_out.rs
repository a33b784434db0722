//! Splits a request by owning shard, asks all owners at once, and puts the answers back into request order.
//! Never asks a shard twice for one request.

use std::collections::BTreeMap;

use kring_runtime::channel::{self, ReplyReceiver};
use kring_wire::{ErrorCode, Str};

use crate::partition::{PartitionId, Refusal};
use crate::shard::{Answers, Command, Mesh, ReplyTo};

/// What one shard is asked: which places of the request its entries fill.
struct Share<E> {
    places: Vec<usize>,
    entries: Vec<(PartitionId, E)>,
}

/// Entries by owning shard.
pub struct Split<E> {
    count: usize,
    shares: BTreeMap<usize, Share<E>>,
}

/// Answers on their way.
pub struct Asked<R> {
    count: usize,
    waiting: Vec<(Vec<usize>, ReplyReceiver<Answers<R>>)>,
}

impl<E> Split<E> {
    pub fn new(mesh: &Mesh, entries: Vec<(PartitionId, E)>) -> Self {
        let count = entries.len();
        let mut shares: BTreeMap<usize, Share<E>> = BTreeMap::new();
        for (place, (id, entry)) in entries.into_iter().enumerate() {
            let share = shares
                .entry(mesh.owner(id).index())
                .or_insert_with(|| Share { places: Vec::new(), entries: Vec::new() });
            share.places.push(place);
            share.entries.push((id, entry));
        }
        Self { count, shares }
    }

    /// How many owners are asked.
    pub fn shards(&self) -> usize {
        self.shares.len()
    }

    /// Hands each owner its command. Returns when all have been queued, in request order of earlier calls.
    pub async fn ask<R>(
        self,
        mesh: &Mesh,
        command: impl Fn(Vec<(PartitionId, E)>, ReplyTo<Answers<R>>) -> Command,
    ) -> Asked<R> {
        let mut waiting = Vec::with_capacity(self.shares.len());
        for (shard, share) in self.shares {
            let (reply_to, reply) = channel::oneshot();
            mesh.send(shard, command(share.entries, reply_to)).await;
            waiting.push((share.places, reply));
        }
        Asked { count: self.count, waiting }
    }
}

impl<R> Asked<R> {
    /// The answers, in the order of the entries. A shard that stops before it answers counts as "not the leader",
    /// which clients retry.
    pub async fn collect(self) -> Answers<R> {
        let mut places: Vec<Option<Result<R, Refusal>>> = (0..self.count).map(|_| None).collect();
        for (filled, reply) in self.waiting {
            let Ok(answers) = reply.recv().await else { continue };
            assert_eq!(answers.len(), filled.len(), "a shard answers every entry");
            for (place, answer) in filled.into_iter().zip(answers) {
                places[place] = Some(answer);
            }
        }
        places.into_iter().map(|p| p.unwrap_or_else(stopped)).collect()
    }
}

fn stopped<R>() -> Result<R, Refusal> {
    Err(Refusal::from(ErrorCode::NOT_LEADER_OR_FOLLOWER))
}

/// Partitions by topic, each with what is asked of it or why it is refused already.
pub type AskedByTopic<E> = Vec<(Str, AskedOfTopic<E>)>;
/// The partitions of one topic.
pub type AskedOfTopic<E> = Vec<(i32, Result<(PartitionId, E), ErrorCode>)>;
/// The same partitions in the same order, each with its answer.
pub type AnsweredByTopic<R> = Vec<(Str, Vec<(i32, Result<R, ErrorCode>)>)>;

/// Asks the owners of everything that is not refused yet, and keeps the request's shape.
pub async fn ask_by_topic<E, R>(
    mesh: &Mesh,
    asked: AskedByTopic<E>,
    command: impl Fn(Vec<(PartitionId, E)>, ReplyTo<Answers<R>>) -> Command,
) -> AnsweredByTopic<R> {
    let mut entries = Vec::new();
    let mut shape = Vec::with_capacity(asked.len());
    for (topic, partitions) in asked {
        let places: Vec<(i32, Result<(), ErrorCode>)> = partitions
            .into_iter()
            .map(|(index, entry)| (index, entry.map(|entry| entries.push(entry))))
            .collect();
        shape.push((topic, places));
    }
    let mut answers = Split::new(mesh, entries).ask(mesh, command).await.collect().await.into_iter();
    let mut answer = || answers.next().expect("an answer for each entry").map_err(|refusal| refusal.code);
    let mut fill = |places: Vec<(i32, Result<(), ErrorCode>)>| -> Vec<(i32, Result<R, ErrorCode>)> {
        places.into_iter().map(|(index, place)| (index, place.and_then(|()| answer()))).collect()
    };
    shape.into_iter().map(|(topic, places)| (topic, fill(places))).collect()
}
