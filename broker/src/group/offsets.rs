//! The committed offsets of one partition of `__consumer_offsets`, and those that wait for their transaction.
//!
//! Values only; changed by replay and by nothing else.

use std::collections::{BTreeMap, BTreeSet};

use kring_wire::Str;

use super::ids::GroupId;
use super::record::{OffsetKey, StoredOffset};

/// An offset and where its record stood, which decides between it and a transaction that ends later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    pub stored: StoredOffset,
    pub record_offset: i64,
}

pub type TopicOffsets = BTreeMap<Str, BTreeMap<i32, Committed>>;

#[derive(Debug, Default)]
pub struct Offsets {
    committed: BTreeMap<GroupId, TopicOffsets>,
    /// By the producer id of the open transaction.
    pending: BTreeMap<i64, BTreeMap<GroupId, TopicOffsets>>,
    /// Which transactions have an offset pending, by what it is for.
    open: BTreeMap<GroupId, BTreeMap<Str, BTreeMap<i32, BTreeSet<i64>>>>,
}

impl Offsets {
    pub fn of_group(&self, group_id: &GroupId) -> Option<&TopicOffsets> {
        self.committed.get(group_id)
    }

    pub fn get(&self, group_id: &GroupId, topic: &str, partition: i32) -> Option<&Committed> {
        self.committed.get(group_id)?.get(topic)?.get(&partition)
    }

    /// Whether an open transaction holds an offset for this partition.
    pub fn is_unstable(&self, group_id: &GroupId, topic: &str, partition: i32) -> bool {
        let partitions = self.open.get(group_id).and_then(|topics| topics.get(topic));
        partitions.is_some_and(|partitions| partitions.contains_key(&partition))
    }

    pub fn has_open_transactions(&self, group_id: &GroupId) -> bool {
        self.open.contains_key(group_id)
    }

    /// Every partition for which the group has an offset, committed or pending.
    pub fn keys_of(&self, group_id: &GroupId) -> Vec<OffsetKey> {
        let committed = self.committed.get(group_id).into_iter().flat_map(keys);
        let pending = self.open.get(group_id).into_iter().flat_map(keys);
        let all: BTreeSet<(Str, i32)> = committed.chain(pending).collect();
        let key = |(topic, partition)| OffsetKey { group_id: group_id.clone(), topic, partition };
        all.into_iter().map(key).collect()
    }

    /// Every offset of every group for one of these topics that `is_of` accepts.
    pub fn keys_where(&self, is_of: impl Fn(&str, &StoredOffset) -> bool) -> Vec<OffsetKey> {
        let mut found = Vec::new();
        let pending = self.pending.values().flatten();
        for (group_id, topics) in self.committed.iter().chain(pending) {
            for (topic, partitions) in topics {
                for (partition, _) in
                    partitions.iter().filter(|(_, committed)| is_of(topic, &committed.stored))
                {
                    let (group_id, topic) = (group_id.clone(), topic.clone());
                    found.push(OffsetKey { group_id, topic, partition: *partition });
                }
            }
        }
        found
    }

    pub fn put(&mut self, key: OffsetKey, committed: Committed) {
        put(&mut self.committed, key, committed);
    }

    /// An offset that counts once its transaction is committed.
    pub fn put_pending(&mut self, producer_id: i64, key: OffsetKey, committed: Committed) {
        let topics = self.open.entry(key.group_id.clone()).or_default();
        let partitions = topics.entry(key.topic.clone()).or_default();
        partitions.entry(key.partition).or_default().insert(producer_id);
        put(self.pending.entry(producer_id).or_default(), key, committed);
    }

    /// A tombstone ends pending offsets too.
    pub fn remove(&mut self, key: &OffsetKey) {
        take(&mut self.committed, key);
        for producer_id in self.close(key) {
            if let Some(pending) = self.pending.get_mut(&producer_id) {
                take(pending, key);
            }
        }
    }

    /// The transaction ended: its offsets count, or are forgotten.
    pub fn end_transaction(&mut self, producer_id: i64, committed: bool) {
        for (group_id, topics) in self.pending.remove(&producer_id).unwrap_or_default() {
            for (topic, partitions) in topics {
                for (partition, offset) in partitions {
                    let key = OffsetKey { group_id: group_id.clone(), topic: topic.clone(), partition };
                    self.close_one(&key, producer_id);
                    if committed {
                        self.put_if_newer(key, offset);
                    }
                }
            }
        }
    }

    /// Between a plain commit and a transaction's, the later record counts, whichever came to count first.
    fn put_if_newer(&mut self, key: OffsetKey, offset: Committed) {
        let held = self.get(&key.group_id, &key.topic, key.partition);
        if held.is_none_or(|held| offset.record_offset > held.record_offset) {
            self.put(key, offset);
        }
    }

    fn close_one(&mut self, key: &OffsetKey, producer_id: i64) {
        let mut left = self.close(key);
        left.remove(&producer_id);
        if !left.is_empty() {
            let topics = self.open.entry(key.group_id.clone()).or_default();
            topics.entry(key.topic.clone()).or_default().insert(key.partition, left);
        }
    }

    fn close(&mut self, key: &OffsetKey) -> BTreeSet<i64> {
        take(&mut self.open, key).unwrap_or_default()
    }
}

fn keys<V>(topics: &BTreeMap<Str, BTreeMap<i32, V>>) -> impl Iterator<Item = (Str, i32)> {
    topics
        .iter()
        .flat_map(|(topic, partitions)| partitions.keys().map(|partition| (topic.clone(), *partition)))
}

fn put(into: &mut BTreeMap<GroupId, TopicOffsets>, key: OffsetKey, committed: Committed) {
    let topics = into.entry(key.group_id).or_default();
    topics.entry(key.topic).or_default().insert(key.partition, committed);
}

/// Takes one value out, and what that leaves empty.
fn take<V>(from: &mut BTreeMap<GroupId, BTreeMap<Str, BTreeMap<i32, V>>>, key: &OffsetKey) -> Option<V> {
    let topics = from.get_mut(&key.group_id)?;
    let partitions = topics.get_mut(&key.topic)?;
    let taken = partitions.remove(&key.partition);
    if partitions.is_empty() {
        topics.remove(&key.topic);
    }
    if topics.is_empty() {
        from.remove(&key.group_id);
    }
    taken
}
