//! Fetch on the owning core: park until the request's shards have found enough together, then read.
//! A parked fetch holds no buffer and no file; it is woken by its partitions' logs, by the gate or by its deadline.

use std::rc::Rc;

use futures_util::future::{Either, select, select_all};
use kring_runtime::sleep_until;

use super::{Answers, FetchTerms, Shard};
use crate::partition::{FetchEntry, Fetched, News, Partition, PartitionId, Refusal};

type Entries = Vec<(PartitionId, FetchEntry)>;
type Place = Result<(Rc<Partition>, FetchEntry), Refusal>;

impl Shard {
    pub(super) async fn fetch(self: Rc<Self>, terms: FetchTerms, entries: Entries) -> Answers<Fetched> {
        park(&self, &terms, &entries).await;
        read_all(&terms, self.places(&entries)).await
    }

    /// A partition may go while a fetch waits for it.
    fn places(&self, entries: &Entries) -> Vec<Place> {
        entries.iter().map(|(id, entry)| self.partition(*id).map(|partition| (partition, *entry))).collect()
    }
}

/// Returns when the fetch is to be answered.
async fn park(shard: &Shard, terms: &FetchTerms, entries: &Entries) {
    let mut told_bytes = 0;
    let mut is_first_look = true;
    loop {
        let places = shard.places(entries);
        // Listen before looking, so that no change falls between the two.
        let changes: Vec<_> = places.iter().flatten().map(|(p, _)| Box::pin(p.log().changed())).collect();
        match look(&places) {
            None => terms.gate.open(),
            Some(found) => {
                let mut found_bytes = found.bytes;
                if is_first_look && found.is_cut && terms.gate.wants_more_than(found_bytes) {
                    found_bytes = readable_bytes(terms, places).await;
                }
                terms.gate.found(found_bytes.saturating_sub(told_bytes));
                told_bytes = told_bytes.max(found_bytes);
            }
        }
        is_first_look = false;
        if terms.gate.is_open() {
            return;
        }
        let ended = select(Box::pin(terms.gate.opened()), Box::pin(sleep_until(terms.deadline)));
        match select(ended, select_all(changes)).await {
            Either::Left(_) => return,
            Either::Right(_) => {}
        }
    }
}

/// What a look at the partitions finds, within what the reader allows for each.
#[derive(Default)]
struct Found {
    bytes: u64,
    /// A partition has more than that.
    is_cut: bool,
}

/// Bytes that a read would find now, or `None` when something must be told at once.
fn look(places: &[Place]) -> Option<Found> {
    let mut all = Found::default();
    for place in places {
        let Ok((partition, entry)) = place else { return None };
        match partition.has_news(entry) {
            News::Urgent => return None,
            News::Nothing => {}
            News::Bytes { found, is_cut } => {
                all.bytes += found;
                all.is_cut |= is_cut;
            }
        }
    }
    Some(all)
}

/// The first batch goes out whole, also above its partition's limit. Kafka reads before it waits, and so counts
/// that batch; it counts by the limits when it looks again.
async fn readable_bytes(terms: &FetchTerms, places: Vec<Place>) -> u64 {
    let answers = read_all(terms, places).await;
    answers.iter().flatten().map(Fetched::bytes).sum()
}

/// Reads in order within the request's limit; the first partition with records gives at least one batch.
async fn read_all(terms: &FetchTerms, places: Vec<Place>) -> Answers<Fetched> {
    let mut left_bytes = u64::from(terms.max_bytes);
    let mut nothing_yet = true;
    let mut answers = Vec::with_capacity(places.len());
    for place in places {
        let answer = match place {
            Ok((partition, entry)) => Ok(read_one(terms, &partition, &entry, left_bytes, nothing_yet).await),
            Err(refusal) => Err(refusal),
        };
        let bytes = answer.as_ref().map_or(0, Fetched::bytes);
        nothing_yet &= bytes == 0;
        // A batch above the limit is sent only by the shard whose records come first. Others must not go without
        // for it.
        if bytes <= left_bytes || !terms.is_shared {
            left_bytes = left_bytes.saturating_sub(bytes);
        }
        answers.push(answer);
    }
    answers
}

async fn read_one(
    terms: &FetchTerms,
    partition: &Rc<Partition>,
    entry: &FetchEntry,
    left_bytes: u64,
    nothing_yet: bool,
) -> Fetched {
    let fetched = partition.fetch(entry, clamp(left_bytes), nothing_yet).await;
    if terms.may_be_cut { partition.measured(fetched).await } else { fetched }
}

fn clamp(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
