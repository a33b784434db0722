//! SyncGroup, Heartbeat and LeaveGroup: what a member of a classic group asks once it is in.
//!
//! Decisions about one group, on the shard of its partition.

use std::collections::BTreeMap;

use bytes::Bytes;
use kring_wire::{ErrorCode, Str};

use super::classic::ClassicGroup;
use super::ids::MemberId;
use super::messages::{Heartbeat, Leave, LeaveReply, LeavingMember, MemberClaim, Sync, SyncReply};
use super::rebalance::restart_session;
use super::rebalance::{
    assign, complete_if_all_joined, fail_syncs, prepare, rebalance_or_complete, remove_member,
};
use super::record::Record;
use super::state::GroupState;
use super::timers::TimerKey;
use super::turn::{Assignment, Effect, Turn};
use crate::coordinator::Token;

/// Decides on a SyncGroup to a group that has members.
pub fn sync(group: &mut ClassicGroup, turn: &mut Turn<'_>, token: Token, sync: Sync) {
    if let Err(error) = check_sync(group, &sync) {
        return turn.refuse_sync(token, error);
    }
    match group.state() {
        GroupState::CompletingRebalance => await_assignment(group, turn, token, sync),
        GroupState::Stable => {
            saw_sync(group, turn, &sync.claim.member_id);
            let assignment = group.member(&sync.claim.member_id).map(|member| member.assignment.clone());
            let reply = SyncReply {
                error: ErrorCode::NONE,
                protocol_type: group.protocol_type().cloned(),
                protocol_name: group.protocol_name().cloned(),
                assignment: assignment.unwrap_or_default(),
            };
            turn.reply_sync(token, reply);
        }
        _ => turn.refuse_sync(token, ErrorCode::REBALANCE_IN_PROGRESS),
    }
}

fn check_sync(group: &ClassicGroup, sync: &Sync) -> Result<(), ErrorCode> {
    group.check_claim_in(&sync.claim, sync.generation_id)?;
    let differs = |claimed: &Option<Str>, held: Option<&Str>| {
        claimed.as_ref().zip(held).is_some_and(|(claimed, held)| claimed != held)
    };
    if differs(&sync.protocol_type, group.protocol_type())
        || differs(&sync.protocol_name, group.protocol_name())
    {
        return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    }
    Ok(())
}

/// Parks the member until there is an assignment; the leader brings it.
fn await_assignment(group: &mut ClassicGroup, turn: &mut Turn<'_>, token: Token, sync: Sync) {
    let member_id = sync.claim.member_id.clone();
    let member = group.member_mut(&member_id).expect("checked with the claim");
    if let Some(superseded) = member.awaiting_sync.replace(token) {
        turn.refuse_sync(superseded, ErrorCode::REBALANCE_IN_PROGRESS);
    }
    saw_sync(group, turn, &member_id);
    if group.is_leader(&member_id) {
        store_assignment(group, turn, sync);
    }
}

fn saw_sync(group: &mut ClassicGroup, turn: &mut Turn<'_>, member_id: &MemberId) {
    if group.saw_sync_of(member_id) {
        turn.timers.cancel(&TimerKey::Sync(group.group_id().clone()));
    }
}

/// The assignment holds once it is stored: a coordinator that comes after this one must know it.
fn store_assignment(group: &ClassicGroup, turn: &mut Turn<'_>, sync: Sync) {
    let of_member: BTreeMap<MemberId, Bytes> = sync.assignments.into_iter().collect();
    let of = |member_id: &MemberId| of_member.get(member_id).cloned().unwrap_or_default();
    let stored = group.to_record(|member| of(&member.member_id));
    let record = Record::Group(group.group_id().clone(), Some(stored));
    let assignment =
        Assignment { group_id: group.group_id().clone(), generation_id: sync.generation_id, of_member };
    turn.ledger.write(&[record], Effect::Assign(assignment));
}

/// The assignment is durable. Its group may have moved on while it was written.
pub fn finish_assignment(group: &mut ClassicGroup, turn: &mut Turn<'_>, mut assignment: Assignment) {
    if is_still_wanted(group, &assignment) {
        assign(group, turn, |member_id| assignment.of_member.remove(member_id).unwrap_or_default());
    }
}

/// The assignment could not be stored: the members join again.
pub fn undo_assignment(
    group: &mut ClassicGroup,
    turn: &mut Turn<'_>,
    assignment: &Assignment,
    error: ErrorCode,
) {
    if is_still_wanted(group, assignment) {
        fail_syncs(group, turn, error);
        prepare(group, turn, "the assignment could not be stored");
    }
}

fn is_still_wanted(group: &ClassicGroup, assignment: &Assignment) -> bool {
    group.is(GroupState::CompletingRebalance) && group.generation_id() == assignment.generation_id
}

/// Decides on a Heartbeat to a group that exists.
pub fn heartbeat(group: &ClassicGroup, turn: &mut Turn<'_>, heartbeat: &Heartbeat) -> ErrorCode {
    if let Err(error) = group.check_claim_in(&heartbeat.claim, heartbeat.generation_id) {
        return error;
    }
    keep_session(group, turn, &heartbeat.claim.member_id);
    if group.is(GroupState::PreparingRebalance) { ErrorCode::REBALANCE_IN_PROGRESS } else { ErrorCode::NONE }
}

/// The member was heard of.
pub fn keep_session(group: &ClassicGroup, turn: &mut Turn<'_>, member_id: &MemberId) {
    if let Some(member) = group.member(member_id) {
        restart_session(group, turn, member_id, member.session_timeout_ms);
    }
}

/// Decides on a LeaveGroup to a group that exists; each member leaves or fails by itself.
pub fn leave(group: &mut ClassicGroup, turn: &mut Turn<'_>, leave: Leave) -> LeaveReply {
    let mut members = Vec::with_capacity(leave.members.len());
    for leaving in leave.members {
        let error = leave_one(group, turn, &leaving).err().unwrap_or(ErrorCode::NONE);
        members.push((leaving.claim, error));
    }
    if members.iter().any(|(_, error)| *error == ErrorCode::NONE) {
        after_leave(group, turn);
    }
    LeaveReply { error: ErrorCode::NONE, members }
}

fn leave_one(
    group: &mut ClassicGroup,
    turn: &mut Turn<'_>,
    leaving: &LeavingMember,
) -> Result<(), ErrorCode> {
    let member_id = who_leaves(group, &leaving.claim)?;
    let reason = leaving.reason.as_deref().unwrap_or("not provided");
    tracing::info!(group = %group.group_id(), member = %member_id, reason, "member leaves");
    remove_member(group, turn, &member_id);
    Ok(())
}

/// An administrator names a static member by its instance id alone.
fn who_leaves(group: &ClassicGroup, claim: &MemberClaim) -> Result<MemberId, ErrorCode> {
    if claim.member_id.is_empty() {
        let named = claim.instance_id.as_ref().and_then(|instance_id| group.static_member_id(instance_id));
        return named.cloned().ok_or(ErrorCode::UNKNOWN_MEMBER_ID);
    }
    if !group.is_pending(&claim.member_id) {
        group.check_claim(claim)?;
    }
    Ok(claim.member_id.clone())
}

fn after_leave(group: &mut ClassicGroup, turn: &mut Turn<'_>) {
    match group.state() {
        GroupState::Stable | GroupState::CompletingRebalance => {
            rebalance_or_complete(group, turn, "members left");
        }
        _ => complete_if_all_joined(group, turn),
    }
}
