//! OffsetCommit, OffsetFetch, OffsetDelete, and the end of offsets that nobody needs.
//!
//! Decisions over the offsets of one partition of `__consumer_offsets`, on its shard.

use kring_wire::{ErrorCode, Str, Uuid};

use super::classic::ClassicGroup;
use super::ids::GroupId;
use super::messages::*;
use super::offsets::{Committed, Offsets};
use super::record::{OffsetKey, Record, StoredOffset};
use super::settings::GroupSettings;
use super::state::GroupState;

/// Whether the group takes offsets from this client; a group that is not there takes them from no member.
pub fn check_commit(group: Option<&ClassicGroup>, commit: &OffsetCommit) -> Result<(), ErrorCode> {
    match group {
        Some(group) => check_commit_to(group, commit),
        None if commit.generation_id < 0 => Ok(()),
        None if commit.knows_group_id_not_found => Err(ErrorCode::GROUP_ID_NOT_FOUND),
        None => Err(ErrorCode::ILLEGAL_GENERATION),
    }
}

fn check_commit_to(group: &ClassicGroup, commit: &OffsetCommit) -> Result<(), ErrorCode> {
    let OffsetCommit { claim, generation_id, .. } = commit;
    if *generation_id < 0 && group.is(GroupState::Empty) {
        return Ok(());
    }
    let anonymous = *generation_id < 0 && claim.member_id.is_empty() && claim.instance_id.is_none();
    if anonymous {
        // Offsets from outside are for groups without members.
        return Err(ErrorCode::UNKNOWN_MEMBER_ID);
    }
    group.check_claim_in(claim, *generation_id)?;
    if group.is(GroupState::CompletingRebalance) {
        return Err(ErrorCode::REBALANCE_IN_PROGRESS);
    }
    Ok(())
}

/// The records of a commit that the group takes, and what each partition is told.
pub fn commit(
    commit: OffsetCommit,
    wall_ms: i64,
    settings: &GroupSettings,
) -> (Vec<Record>, Vec<TopicErrors>) {
    let mut records = Vec::new();
    let mut answers = Vec::with_capacity(commit.topics.len());
    let expire_timestamp_ms = commit.retention_ms.map(|retention_ms| wall_ms.saturating_add(retention_ms));
    for topic in commit.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for at in topic.partitions {
            let metadata = at.metadata.unwrap_or_default();
            if metadata.encode_utf16().count() > settings.offset_metadata_max_bytes {
                partitions.push((at.partition, ErrorCode::OFFSET_METADATA_TOO_LARGE));
                continue;
            }
            partitions.push((at.partition, ErrorCode::NONE));
            let (group_id, name) = (commit.group_id.clone(), topic.name.clone());
            let key = OffsetKey { group_id, topic: name, partition: at.partition };
            // The record that can hold an expiry is older than leader epochs and topic ids.
            let expires = expire_timestamp_ms.is_some();
            let stored = StoredOffset {
                offset: at.offset,
                leader_epoch: if expires { -1 } else { at.leader_epoch.max(-1) },
                metadata,
                commit_timestamp_ms: wall_ms,
                expire_timestamp_ms,
                topic_id: if expires { Uuid::ZERO } else { topic.topic_id },
            };
            records.push(Record::Offset(key, Some(stored)));
        }
        answers.push(TopicErrors { topic_id: topic.topic_id, name: topic.name, partitions });
    }
    (records, answers)
}

/// The offsets that were asked for; what the group does not have is −1.
pub fn fetch(offsets: &Offsets, fetch: OffsetFetch) -> OffsetFetchReply {
    let OffsetFetch { group_id, topics, require_stable, .. } = fetch;
    let reader = Reader { offsets, group_id: &group_id, require_stable };
    let topics = match topics {
        Some(topics) => topics.into_iter().map(|topic| reader.topic(topic)).collect(),
        None => reader.all_topics(),
    };
    OffsetFetchReply { group_id, error: ErrorCode::NONE, topics }
}

struct Reader<'a> {
    offsets: &'a Offsets,
    group_id: &'a GroupId,
    require_stable: bool,
}

impl Reader<'_> {
    fn topic(&self, topic: FetchTopic) -> FetchedTopic {
        let FetchTopic { topic_id, name, partitions } = topic;
        let partitions = partitions.into_iter().map(|at| self.partition(&name, topic_id, at)).collect();
        FetchedTopic { topic_id, name, partitions }
    }

    fn all_topics(&self) -> Vec<FetchedTopic> {
        let topics = self.offsets.of_group(self.group_id).into_iter().flatten();
        let read = |(name, partitions): (&Str, &std::collections::BTreeMap<i32, Committed>)| FetchedTopic {
            topic_id: Uuid::ZERO,
            name: name.clone(),
            partitions: partitions.keys().map(|at| self.partition(name, Uuid::ZERO, *at)).collect(),
        };
        topics.map(read).collect()
    }

    fn partition(&self, topic: &str, topic_id: Uuid, partition: i32) -> FetchedPartition {
        if self.require_stable && self.offsets.is_unstable(self.group_id, topic, partition) {
            return FetchedPartition::none(partition, ErrorCode::UNSTABLE_OFFSET_COMMIT);
        }
        let committed = self.offsets.get(self.group_id, topic, partition);
        match committed.filter(|committed| is_of_topic(&committed.stored, topic_id)) {
            None => FetchedPartition::none(partition, ErrorCode::NONE),
            Some(Committed { stored, .. }) => FetchedPartition {
                partition,
                error: ErrorCode::NONE,
                offset: stored.offset,
                leader_epoch: stored.leader_epoch,
                metadata: stored.metadata.clone(),
            },
        }
    }
}

/// An offset of a topic that was deleted is no offset of the topic that has its name now.
fn is_of_topic(stored: &StoredOffset, topic_id: Uuid) -> bool {
    stored.topic_id == Uuid::ZERO || topic_id == Uuid::ZERO || stored.topic_id == topic_id
}

/// The tombstones for offsets that an administrator deletes, and what each partition is told.
pub fn delete(
    group: &ClassicGroup,
    offsets: &Offsets,
    delete: OffsetDelete,
) -> (Vec<Record>, OffsetDeleteReply) {
    let may_delete = group.is(GroupState::Empty) || group.uses_consumer_protocol();
    if !may_delete {
        let error = ErrorCode::NON_EMPTY_GROUP;
        return (Vec::new(), OffsetDeleteReply { error, topics: Vec::new() });
    }
    let mut records = Vec::new();
    let mut topics = Vec::with_capacity(delete.topics.len());
    for (name, partitions) in delete.topics {
        let subscribed = group.is_subscribed_to(&name);
        let error = if subscribed { ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC } else { ErrorCode::NONE };
        for &partition in partitions.iter().filter(|_| !subscribed) {
            let key = OffsetKey { group_id: delete.group_id.clone(), topic: name.clone(), partition };
            let held = offsets.get(&key.group_id, &name, partition).is_some();
            if held || offsets.is_unstable(&key.group_id, &name, partition) {
                records.push(Record::Offset(key, None));
            }
        }
        let partitions = partitions.into_iter().map(|partition| (partition, error)).collect();
        topics.push(TopicErrors { topic_id: Uuid::ZERO, name, partitions });
    }
    (records, OffsetDeleteReply { error: ErrorCode::NONE, topics })
}

/// The tombstones for the offsets of topics that are no more.
pub fn forget_topics(offsets: &Offsets, topics: &[DeletedTopic]) -> Vec<Record> {
    let is_gone = |name: &str, stored: &StoredOffset| {
        topics.iter().any(|topic| &*topic.name == name && is_of_topic(stored, topic.topic_id))
    };
    offsets.keys_where(is_gone).into_iter().map(|key| Record::Offset(key, None)).collect()
}

/// The tombstones for what has outlived its retention: offsets, then the group if nothing of it is left.
pub fn expire(
    group: &ClassicGroup,
    offsets: &Offsets,
    wall_ms: i64,
    settings: &GroupSettings,
) -> Vec<Record> {
    let group_id = group.group_id();
    let Some(of_group) = offsets.of_group(group_id) else {
        return forget_empty(group, offsets).into_iter().collect();
    };
    let Some(since) = retention_start(group) else { return Vec::new() };
    let mut records = Vec::new();
    let mut kept = false;
    for (topic, partitions) in of_group {
        let subscribed = group.is_subscribed_to(topic);
        for (&partition, Committed { stored, .. }) in partitions {
            let over = is_over(stored, since.unwrap_or(stored.commit_timestamp_ms), wall_ms, settings);
            if over && !subscribed && !offsets.is_unstable(group_id, topic, partition) {
                let key = OffsetKey { group_id: group_id.clone(), topic: topic.clone(), partition };
                records.push(Record::Offset(key, None));
            } else {
                kept = true;
            }
        }
    }
    if !kept {
        records.extend(forget_empty(group, offsets));
    }
    records
}

fn forget_empty(group: &ClassicGroup, offsets: &Offsets) -> Option<Record> {
    let over = group.is(GroupState::Empty) && !offsets.has_open_transactions(group.group_id());
    over.then(|| Record::Group(group.group_id().clone(), None))
}

/// From when the retention of a group's offsets counts: none, while its members may need them; else the time
/// that the group became empty, or, without one, that of each commit.
fn retention_start(group: &ClassicGroup) -> Option<Option<i64>> {
    if group.protocol_type().is_none() {
        return Some(None);
    }
    match group.state() {
        GroupState::Empty => Some(group.state_timestamp_ms()),
        GroupState::Stable if group.uses_consumer_protocol() && group.knows_subscriptions() => Some(None),
        _ => None,
    }
}

fn is_over(stored: &StoredOffset, since_ms: i64, wall_ms: i64, settings: &GroupSettings) -> bool {
    match stored.expire_timestamp_ms {
        Some(expire_ms) => wall_ms >= expire_ms,
        None => wall_ms.saturating_sub(since_ms) >= settings.offsets_retention_ms,
    }
}
