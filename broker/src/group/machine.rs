//! The coordinator of the groups in one partition of `__consumer_offsets`.
//!
//! Routes each request to the decision about its group and keeps the books on what is not durable yet. Lives on
//! the shard that owns the partition; never waits, reads no clock, does no I/O.

use std::collections::BTreeMap;

use kring_wire::ErrorCode;

use super::classic::ClassicGroup;
use super::ids::{GroupId, MemberId};
use super::messages::*;
use super::offsets::{Committed, Offsets};
use super::record::{OffsetKey, Record, StoredGroup, StoredOffset};
use super::refusal::append_error_for_client;
use super::settings::GroupSettings;
use super::state::GroupState;
use super::timers::{Alarm, TimerKey, Timers};
use super::turn::{Effect, Ledger, Turn};
use super::{admin, codec, commit, join, membership, rebalance};
use crate::coordinator::{Coordinator, CoordinatorRecord, Now, Position, ReplayError, Step, Token, WriteId};

#[derive(Debug)]
pub struct GroupCoordinator {
    settings: GroupSettings,
    groups: BTreeMap<GroupId, ClassicGroup>,
    offsets: Offsets,
    timers: Timers,
    ledger: Ledger,
    /// Records of kinds that are not kept here, by kind: skipped at load, and counted so that it can be told.
    skipped: BTreeMap<i16, u64>,
}

impl GroupCoordinator {
    pub fn new(settings: GroupSettings) -> GroupCoordinator {
        GroupCoordinator {
            settings,
            groups: BTreeMap::new(),
            offsets: Offsets::default(),
            timers: Timers::default(),
            ledger: Ledger::default(),
            skipped: BTreeMap::new(),
        }
    }

    pub fn group(&self, group_id: &GroupId) -> Option<&ClassicGroup> {
        self.groups.get(group_id)
    }

    pub fn groups(&self) -> impl Iterator<Item = &ClassicGroup> {
        self.groups.values()
    }

    pub fn offsets(&self) -> &Offsets {
        &self.offsets
    }

    /// How many records of each foreign kind (the number in their key) the load passed over.
    pub fn skipped(&self) -> &BTreeMap<i16, u64> {
        &self.skipped
    }

    /// Takes new settings; deadlines that run stay as they are.
    pub fn set_settings(&mut self, settings: GroupSettings) {
        self.settings = settings;
    }

    /// The group, and all that a decision about it may touch.
    fn enter(&mut self, group_id: &GroupId, now: Now) -> Option<(&mut ClassicGroup, Turn<'_>)> {
        let group = self.groups.get_mut(group_id)?;
        let (settings, timers, ledger) = (&self.settings, &mut self.timers, &mut self.ledger);
        Some((group, Turn { settings, timers, ledger, now }))
    }

    fn decide(&mut self, token: Token, request: Request, now: Now) {
        match request {
            Request::Join(join) => self.join(token, join, now),
            Request::Sync(sync) => self.sync(token, sync, now),
            Request::Heartbeat(heartbeat) => self.heartbeat(token, &heartbeat, now),
            Request::Leave(leave) => self.leave(token, leave, now),
            Request::OffsetCommit(commit) => self.commit(token, commit, now),
            Request::OffsetFetch(fetch) => {
                let reply = commit::fetch(&self.offsets, fetch);
                self.ledger.reply_when_durable(token, Reply::OffsetFetch(reply));
            }
            Request::OffsetDelete(delete) => self.delete_offsets(token, delete),
            Request::ListGroups(filter) => {
                let listed = admin::list(&self.groups, &filter);
                self.ledger.reply_when_durable(token, Reply::ListGroups(Ok(listed)));
            }
            Request::DescribeGroups(wanted) => {
                let described = admin::describe(&self.groups, wanted);
                self.ledger.reply_when_durable(token, Reply::DescribeGroups(described));
            }
            Request::DeleteGroups(wanted) => {
                let (records, answers) = admin::delete(&self.groups, &self.offsets, wanted);
                self.store(token, records, Reply::DeleteGroups(answers));
            }
            Request::TopicsDeleted(topics) => {
                self.ledger.write_tombstones(commit::forget_topics(&self.offsets, &topics));
                self.ledger.reply_when_durable(token, Reply::TopicsDeleted(Ok(())));
            }
        }
    }

    fn store(&mut self, token: Token, records: Vec<Record>, reply: Reply) {
        self.ledger.write_and_replay(records);
        self.ledger.reply_when_durable(token, reply);
    }

    /// A group comes to be with the first member that has no id yet.
    fn join(&mut self, token: Token, join: Join, now: Now) {
        let group_id = join.group_id.clone();
        let is_new = !self.groups.contains_key(&group_id);
        if is_new {
            let refused = if !join.claim.member_id.is_empty() {
                Some(ErrorCode::UNKNOWN_MEMBER_ID)
            } else if self.groups.len() >= self.settings.max_groups {
                Some(ErrorCode::COORDINATOR_NOT_AVAILABLE)
            } else {
                None
            };
            if let Some(error) = refused {
                let reply = JoinReply::error(error, join.claim.member_id);
                return self.ledger.reply(token, Reply::Join(reply));
            }
            self.groups.insert(group_id.clone(), ClassicGroup::empty(group_id.clone(), Some(now.wall_ms)));
        }
        let (group, mut turn) = self.enter(&group_id, now).expect("known or created");
        join::join(group, &mut turn, token, join);
        if is_new {
            let record = Record::Group(group_id.clone(), Some(group.to_first_record()));
            self.ledger.write(&[record], Effect::CreateGroup(group_id));
        }
    }

    fn sync(&mut self, token: Token, sync: Sync, now: Now) {
        let group_id = sync.group_id.clone();
        match self.enter(&group_id, now) {
            Some((group, mut turn)) if !group.is(GroupState::Empty) => {
                membership::sync(group, &mut turn, token, sync)
            }
            _ => self.ledger.reply(token, Reply::Sync(SyncReply::error(ErrorCode::UNKNOWN_MEMBER_ID))),
        }
    }

    fn heartbeat(&mut self, token: Token, heartbeat: &Heartbeat, now: Now) {
        let error = match self.enter(&heartbeat.group_id, now) {
            Some((group, mut turn)) => membership::heartbeat(group, &mut turn, heartbeat),
            None => ErrorCode::UNKNOWN_MEMBER_ID,
        };
        self.ledger.reply_when_durable(token, Reply::Heartbeat(error));
    }

    fn leave(&mut self, token: Token, leave: Leave, now: Now) {
        let group_id = leave.group_id.clone();
        let reply = match self.enter(&group_id, now) {
            Some((group, mut turn)) => membership::leave(group, &mut turn, leave),
            None => leave.error_reply(ErrorCode::UNKNOWN_MEMBER_ID),
        };
        self.ledger.reply_when_durable(token, Reply::Leave(reply));
    }

    fn commit(&mut self, token: Token, commit: OffsetCommit, now: Now) {
        let group = self.groups.get(&commit.group_id);
        let no_room = group.is_none() && self.groups.len() >= self.settings.max_groups;
        let checked = commit::check_commit(group, &commit);
        if let Err(error) =
            checked.and(if no_room { Err(ErrorCode::COORDINATOR_NOT_AVAILABLE) } else { Ok(()) })
        {
            let reply = Reply::OffsetCommit(commit.error_reply(error));
            return self.ledger.reply_when_durable(token, reply);
        }
        let member_id = commit.claim.member_id.clone();
        if let Some((group, mut turn)) = self.enter(&commit.group_id.clone(), now) {
            // A commit shows that the member is alive, while it works and while it is asked to rejoin.
            membership::keep_session(group, &mut turn, &member_id);
        }
        let (records, answers) = commit::commit(commit, now.wall_ms, &self.settings);
        self.store(token, records, Reply::OffsetCommit(answers));
    }

    fn delete_offsets(&mut self, token: Token, delete: OffsetDelete) {
        let (records, reply) = match self.groups.get(&delete.group_id) {
            Some(group) => commit::delete(group, &self.offsets, delete),
            None => {
                let error = ErrorCode::GROUP_ID_NOT_FOUND;
                (Vec::new(), OffsetDeleteReply { error, topics: Vec::new() })
            }
        };
        self.store(token, records, Reply::OffsetDelete(reply));
    }

    fn fire(&mut self, key: TimerKey, alarm: Alarm, now: Now) {
        match (key, alarm) {
            (TimerKey::Expiry, _) | (_, Alarm::ExpireOffsets) => self.expire(now),
            (TimerKey::Session(group_id, member_id), _) => {
                if let Some((group, mut turn)) = self.enter(&group_id, now) {
                    rebalance::end_session(group, &mut turn, &member_id);
                }
            }
            (TimerKey::Join(group_id) | TimerKey::Sync(group_id), alarm) => {
                if let Some((group, mut turn)) = self.enter(&group_id, now) {
                    end_phase(group, &mut turn, alarm);
                }
            }
        }
    }

    fn expire(&mut self, now: Now) {
        let mut records = Vec::new();
        for group in self.groups.values() {
            records.extend(commit::expire(group, &self.offsets, now.wall_ms, &self.settings));
        }
        if !records.is_empty() {
            tracing::info!(records = records.len(), "offsets and groups expired");
        }
        self.ledger.write_tombstones(records);
        self.schedule_expiry(now);
    }

    fn schedule_expiry(&mut self, now: Now) {
        let at_ms = now.steady_ms.saturating_add(self.settings.offsets_retention_check_interval_ms);
        self.timers.set(TimerKey::Expiry, at_ms, Alarm::ExpireOffsets);
    }

    fn settle(&mut self, effect: Effect, now: Now) {
        match effect {
            Effect::None | Effect::Replay(_) | Effect::CreateGroup(_) => {}
            Effect::Assign(assignment) => {
                if let Some((group, mut turn)) = self.enter(&assignment.group_id, now) {
                    membership::finish_assignment(group, &mut turn, assignment);
                }
            }
            Effect::ReplaceStatic(replacement) => {
                if let Some((group, mut turn)) = self.enter(&replacement.group_id, now) {
                    join::finish_replacement(group, &mut turn, *replacement);
                }
            }
        }
    }

    fn undo(&mut self, effect: Effect, error: ErrorCode, now: Now) {
        match effect {
            Effect::None | Effect::Replay(_) => {}
            Effect::CreateGroup(group_id) => {
                if let Some((group, mut turn)) = self.enter(&group_id, now) {
                    rebalance::disband(group, &mut turn, error);
                }
                self.groups.remove(&group_id);
            }
            Effect::Assign(assignment) => {
                if let Some((group, mut turn)) = self.enter(&assignment.group_id, now) {
                    membership::undo_assignment(group, &mut turn, &assignment, error);
                }
            }
            Effect::ReplaceStatic(replacement) => {
                if let Some((group, mut turn)) = self.enter(&replacement.group_id, now) {
                    join::undo_replacement(group, &mut turn, *replacement, error);
                }
            }
        }
    }

    /// The only way in which stored state changes, live and at load.
    fn apply(&mut self, at: Position, record: Record) -> Result<(), ReplayError> {
        match record {
            Record::Offset(key, Some(stored)) => self.apply_offset(at, key, stored),
            Record::Offset(key, None) => self.offsets.remove(&key),
            Record::Group(group_id, Some(stored)) => self.apply_group(group_id, stored)?,
            Record::Group(group_id, None) => self.apply_group_tombstone(&group_id),
        }
        Ok(())
    }

    /// Offsets make a group of themselves when no member ever did.
    fn apply_offset(&mut self, at: Position, key: OffsetKey, stored: StoredOffset) {
        let group_id = key.group_id.clone();
        self.groups.entry(group_id.clone()).or_insert_with(|| ClassicGroup::empty(group_id, None));
        let committed = Committed { stored, record_offset: at.offset };
        match at.transaction {
            Some(producer_id) => self.offsets.put_pending(producer_id, key, committed),
            None => self.offsets.put(key, committed),
        }
    }

    fn apply_group(&mut self, group_id: GroupId, stored: StoredGroup) -> Result<(), ReplayError> {
        let Some(group) = ClassicGroup::from_record(group_id.clone(), stored) else {
            return Err(ReplayError(format!("the record of group {group_id} contradicts itself")));
        };
        self.groups.insert(group_id, group);
        Ok(())
    }

    fn apply_group_tombstone(&mut self, group_id: &GroupId) {
        let Some(group) = self.groups.remove(group_id) else { return };
        for member_id in group.pending_ids() {
            self.timers.cancel(&TimerKey::Session(group_id.clone(), member_id));
        }
    }
}

fn end_phase(group: &mut ClassicGroup, turn: &mut Turn<'_>, alarm: Alarm) {
    match alarm {
        Alarm::EndJoin => rebalance::complete_join(group, turn),
        Alarm::EndInitialDelay { delay_ms, remaining_ms } => {
            rebalance::end_initial_delay(group, turn, delay_ms, remaining_ms);
        }
        Alarm::EndSync { generation_id } => rebalance::end_sync(group, turn, generation_id),
        Alarm::EndSession | Alarm::ExpireOffsets => {}
    }
}

impl Coordinator for GroupCoordinator {
    type Request = Request;
    type Reply = Reply;

    fn handle(&mut self, token: Token, request: Request, now: Now) -> Step<Reply> {
        assert!(self.ledger.all_appended(), "decisions follow appends");
        match request.refused_at_the_door(&self.settings) {
            Some(reply) => self.ledger.reply(token, reply),
            None => self.decide(token, request, now),
        }
        self.ledger.take_step()
    }

    fn tick(&mut self, now: Now) -> Step<Reply> {
        assert!(self.ledger.all_appended(), "decisions follow appends");
        while let Some((key, alarm)) = self.timers.take_due(now.steady_ms) {
            self.fire(key, alarm, now);
        }
        self.ledger.take_step()
    }

    fn next_deadline_ms(&self) -> Option<i64> {
        self.timers.next_ms()
    }

    fn appended(&mut self, write: WriteId, base_offset: i64) {
        for (record, offset) in self.ledger.appended(write).into_iter().zip(base_offset..) {
            let applied = self.apply(Position { offset, transaction: None }, record);
            applied.expect("live writes replay offsets and tombstones only");
        }
    }

    fn append_failed(&mut self, write: WriteId, error: ErrorCode, now: Now) -> Step<Reply> {
        let error = append_error_for_client(error);
        tracing::warn!(?error, "records of a group could not be appended");
        let effect = self.ledger.failed(write, error);
        self.undo(effect, error, now);
        self.ledger.take_step()
    }

    fn durable(&mut self, write: WriteId, now: Now) -> Step<Reply> {
        while let Some(effect) = self.ledger.durable(write) {
            self.settle(effect, now);
        }
        self.ledger.take_step()
    }

    fn replay(&mut self, at: Position, record: CoordinatorRecord) -> Result<(), ReplayError> {
        match codec::decode(&record)? {
            codec::Decoded::Ours(record) => self.apply(at, record),
            codec::Decoded::Foreign(kind) => {
                *self.skipped.entry(kind).or_default() += 1;
                Ok(())
            }
        }
    }

    fn replay_transaction_end(&mut self, producer_id: i64, committed: bool) {
        self.offsets.end_transaction(producer_id, committed);
    }

    /// Members that were there before have a whole session to show up again.
    fn loaded(&mut self, now: Now) -> Step<Reply> {
        let sessions: Vec<(GroupId, Vec<MemberId>)> =
            self.groups.values().map(|group| (group.group_id().clone(), group.member_ids())).collect();
        for (group_id, member_ids) in sessions {
            let Some((group, mut turn)) = self.enter(&group_id, now) else { continue };
            for member_id in &member_ids {
                membership::keep_session(group, &mut turn, member_id);
            }
            if group.member_count() > turn.settings.max_size {
                rebalance::prepare(group, &mut turn, "the group is larger than group.max.size");
            }
        }
        self.schedule_expiry(now);
        self.ledger.take_step()
    }

    fn unload(&mut self) -> Step<Reply> {
        let now = Now { wall_ms: 0, steady_ms: 0 };
        self.ledger.fail_all(ErrorCode::NOT_COORDINATOR);
        for (_, mut group) in std::mem::take(&mut self.groups) {
            let (settings, timers, ledger) = (&self.settings, &mut self.timers, &mut self.ledger);
            let mut turn = Turn { settings, timers, ledger, now };
            rebalance::disband(&mut group, &mut turn, ErrorCode::NOT_COORDINATOR);
        }
        self.timers.clear();
        self.ledger.take_step()
    }

    fn refuse(request: &Request, error: ErrorCode) -> Reply {
        request.error_reply(error)
    }
}
