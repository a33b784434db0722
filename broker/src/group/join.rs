//! JoinGroup: who may come into a classic group, under which name, and what that sets off.
//!
//! Decisions about one group, on the shard of its partition.

use kring_wire::{ErrorCode, Str};

use super::classic::{ClassicGroup, MemberUpdate};
use super::ids::{InstanceId, MemberId};
use super::member::Member;
use super::messages::{Join, JoinReply};
use super::rebalance::{
    complete_if_all_joined, current_generation, dismiss, prepare, rebalance_or_complete, remove_member,
    restart_session,
};
use super::record::Record;
use super::state::GroupState;
use super::timers::TimerKey;
use super::turn::{Effect, Replacement, Turn};
use crate::coordinator::Token;

/// Decides on a JoinGroup to a group that exists by now.
pub fn join(group: &mut ClassicGroup, turn: &mut Turn<'_>, token: Token, mut join: Join) {
    keep_first_of_each_name(&mut join);
    let member_id = join.claim.member_id.clone();
    if !has_room_for(group, turn, &member_id) {
        remove_member(group, turn, &member_id);
        return turn.refuse_join(token, ErrorCode::GROUP_MAX_SIZE_REACHED, MemberId::default());
    }
    if !group.supports(&join.protocol_type, &join.protocols) {
        return turn.refuse_join(token, ErrorCode::INCONSISTENT_GROUP_PROTOCOL, member_id);
    }
    if member_id.is_empty() {
        join_unnamed(group, turn, token, join);
    } else {
        join_named(group, turn, token, join);
    }
}

/// A protocol that is named twice would be counted twice.
fn keep_first_of_each_name(join: &mut Join) {
    let mut seen = std::collections::BTreeSet::new();
    join.protocols.retain(|protocol| seen.insert(protocol.name.clone()));
}

fn has_room_for(group: &ClassicGroup, turn: &Turn<'_>, member_id: &MemberId) -> bool {
    let max_size = turn.settings.max_size;
    match group.state() {
        GroupState::Empty | GroupState::Dead => true,
        // Counting those who joined lets a group that is too large lose the last to come.
        GroupState::PreparingRebalance => {
            let joined = group.member(member_id).is_some_and(|member| member.awaiting_join.is_some());
            joined || group.awaiting_join_count() < max_size
        }
        GroupState::CompletingRebalance | GroupState::Stable => {
            group.member(member_id).is_some() || group.member_count() < max_size
        }
    }
}

fn join_unnamed(group: &mut ClassicGroup, turn: &mut Turn<'_>, token: Token, join: Join) {
    let Some(instance_id) = join.claim.instance_id.clone() else {
        let member_id = MemberId::generate(&join.client_id, join.random);
        if join.must_know_its_id {
            return give_out_id(group, turn, token, &join, member_id);
        }
        return add_member(group, turn, token, join, member_id);
    };
    let member_id = MemberId::generate(instance_id.as_str(), join.random);
    match group.static_member_id(&instance_id).cloned() {
        Some(old_id) => {
            replace_static(group, turn, token, join, Names { instance_id, old_id, new_id: member_id })
        }
        None => add_member(group, turn, token, join, member_id),
    }
}

/// The member has to come back under this id, so that a lost answer leaves no ghost in the group (KIP-394).
fn give_out_id(
    group: &mut ClassicGroup,
    turn: &mut Turn<'_>,
    token: Token,
    join: &Join,
    member_id: MemberId,
) {
    if group.pending_count() >= turn.settings.max_pending_members {
        return turn.refuse_join(token, ErrorCode::GROUP_MAX_SIZE_REACHED, MemberId::default());
    }
    group.add_pending(member_id.clone());
    restart_session(group, turn, &member_id, join.session_timeout_ms);
    turn.refuse_join(token, ErrorCode::MEMBER_ID_REQUIRED, member_id);
}

fn add_member(group: &mut ClassicGroup, turn: &mut Turn<'_>, token: Token, join: Join, member_id: MemberId) {
    if group.is_initial_rebalance() {
        group.set_newcomer(true);
    }
    let reason = format!("new member {member_id} joins: {}", reason_of(&join.reason));
    group.insert(Member::from_join(member_id.clone(), join, token));
    // It cannot send heartbeats before it knows its id and generation, and nobody sees it disconnect while its
    // request is parked; a client that gave up and retries would fill the group with ghosts without this limit.
    let timeout_ms = turn.settings.new_member_join_timeout_ms;
    restart_session(group, turn, &member_id, timeout_ms);
    rebalance_or_complete(group, turn, &reason);
}

fn reason_of(reason: &Option<Str>) -> &str {
    reason.as_deref().filter(|text| !text.is_empty()).unwrap_or("not provided")
}

fn join_named(group: &mut ClassicGroup, turn: &mut Turn<'_>, token: Token, join: Join) {
    let member_id = join.claim.member_id.clone();
    if group.is_pending(&member_id) && join.claim.instance_id.is_none() {
        return add_member(group, turn, token, join, member_id);
    }
    if let Err(error) = group.check_claim(&join.claim) {
        return turn.refuse_join(token, error, member_id);
    }
    if must_rebalance(group, &join) {
        return update_member(group, turn, token, join);
    }
    match group.state() {
        // It may have missed the answer to its first JoinGroup, or asks without need: the generation stands.
        GroupState::CompletingRebalance | GroupState::Stable => {
            let assigns = group.is(GroupState::CompletingRebalance) && group.is_leader(&member_id);
            let reply = current_generation(group, member_id, assigns);
            turn.reply_join(token, reply);
        }
        _ => turn.refuse_join(token, ErrorCode::UNKNOWN_MEMBER_ID, member_id),
    }
}

/// Whether this member's joining again changes the group, or is meant to.
fn must_rebalance(group: &ClassicGroup, join: &Join) -> bool {
    let member_id = &join.claim.member_id;
    let changed = || group.member(member_id).is_some_and(|member| member.protocols != join.protocols);
    match group.state() {
        GroupState::PreparingRebalance => true,
        GroupState::CompletingRebalance => changed(),
        // The leader asks when something changed that only it can see, such as a topic's partitions.
        GroupState::Stable => group.is_leader(member_id) || changed(),
        GroupState::Empty | GroupState::Dead => false,
    }
}

fn update_member(group: &mut ClassicGroup, turn: &mut Turn<'_>, token: Token, join: Join) {
    let member_id = join.claim.member_id.clone();
    let reason = format!("member {member_id} rejoins: {}", reason_of(&join.reason));
    let superseded = group.update(&member_id, update_of(join, token));
    answer_superseded(turn, superseded, &member_id);
    rebalance_or_complete(group, turn, &reason);
}

fn update_of(join: Join, token: Token) -> MemberUpdate {
    MemberUpdate {
        protocols: join.protocols,
        rebalance_timeout_ms: join.rebalance_timeout_ms,
        session_timeout_ms: join.session_timeout_ms,
        awaiting_join: Some(token),
    }
}

/// The same member asked twice: Kafka forgets the first request, here it is told to ask again.
fn answer_superseded(turn: &mut Turn<'_>, superseded: Option<Token>, member_id: &MemberId) {
    if let Some(token) = superseded {
        turn.refuse_join(token, ErrorCode::REBALANCE_IN_PROGRESS, member_id.clone());
    }
}

struct Names {
    instance_id: InstanceId,
    old_id: MemberId,
    new_id: MemberId,
}

/// A static member came back without its member id: it gets a new one, and the old one is fenced (KIP-345).
fn replace_static(group: &mut ClassicGroup, turn: &mut Turn<'_>, token: Token, join: Join, names: Names) {
    let replacement = rename(group, turn, &join, names);
    let reason = format!("static member {} is back: {}", replacement.instance_id, reason_of(&join.reason));
    let superseded = group.update(&replacement.new_id, update_of(join, token));
    assert!(superseded.is_none(), "a new id has no request parked");
    match group.state() {
        GroupState::Stable => {
            let keeps_protocol = group.protocol_name() == Some(&group.select_protocol());
            if keeps_protocol {
                store_replacement(group, turn, replacement);
            } else {
                rebalance_or_complete(group, turn, &reason);
            }
        }
        // The leader may be assigning to the old id right now.
        GroupState::CompletingRebalance => prepare(group, turn, &reason),
        _ => complete_if_all_joined(group, turn),
    }
}

/// Gives the member its new id, and keeps what is needed to take that back.
fn rename(group: &mut ClassicGroup, turn: &mut Turn<'_>, join: &Join, names: Names) -> Replacement {
    let Names { instance_id, old_id, new_id } = names;
    tracing::info!(group = %group.group_id(), instance = %instance_id, %old_id, %new_id, "static member replaced");
    let old = group.member(&old_id).expect("the instance id led to this member");
    let replacement = Replacement {
        group_id: group.group_id().clone(),
        old_leader: group.leader().cloned(),
        old_protocols: old.protocols.clone(),
        old_rebalance_timeout_ms: old.rebalance_timeout_ms,
        old_session_timeout_ms: old.session_timeout_ms,
        may_skip_assignment: join.may_skip_assignment,
        instance_id,
        new_id,
        old_id,
    };
    let Replacement { instance_id, new_id, old_id, .. } = &replacement;
    turn.timers.cancel(&TimerKey::Session(group.group_id().clone(), old_id.clone()));
    let fenced = group.rename_static(instance_id, old_id, new_id.clone());
    dismiss(fenced, turn, ErrorCode::FENCED_INSTANCE_ID, old_id);
    restart_session(group, turn, new_id, replacement.old_session_timeout_ms);
    replacement
}

fn store_replacement(group: &ClassicGroup, turn: &mut Turn<'_>, replacement: Replacement) {
    let stored = group.to_record(|member| member.assignment.clone());
    let record = Record::Group(group.group_id().clone(), Some(stored));
    turn.ledger.write(&[record], Effect::ReplaceStatic(Box::new(replacement)));
}

/// The new id is durable: the member is in, with the assignment that it had.
///
/// If a rebalance began meanwhile, the parked JoinGroup takes part in it and is answered there.
pub fn finish_replacement(group: &mut ClassicGroup, turn: &mut Turn<'_>, replacement: Replacement) {
    if !group.is(GroupState::Stable) {
        return;
    }
    let member_id = replacement.new_id;
    let Some(token) = group.take_join(&member_id) else { return };
    let assigns = replacement.may_skip_assignment && group.is_leader(&member_id);
    let mut reply = current_generation(group, member_id, assigns);
    reply.skip_assignment = assigns;
    if !replacement.may_skip_assignment {
        // Told of its old id as the leader's, it does not take itself for the leader, and assigns nothing.
        reply.leader = replacement.old_leader.unwrap_or_default();
    }
    turn.reply_join(token, reply);
}

/// The new id could not be stored: the member keeps its old one.
pub fn undo_replacement(group: &mut ClassicGroup, turn: &mut Turn<'_>, undo: Replacement, error: ErrorCode) {
    if group.static_member_id(&undo.instance_id) != Some(&undo.new_id) {
        return;
    }
    let before = MemberUpdate {
        protocols: undo.old_protocols,
        rebalance_timeout_ms: undo.old_rebalance_timeout_ms,
        session_timeout_ms: undo.old_session_timeout_ms,
        awaiting_join: None,
    };
    let parked = group.update(&undo.new_id, before);
    turn.timers.cancel(&TimerKey::Session(group.group_id().clone(), undo.new_id.clone()));
    let orphans = group.rename_static(&undo.instance_id, &undo.new_id, undo.old_id.clone());
    dismiss(orphans, turn, ErrorCode::FENCED_INSTANCE_ID, &undo.new_id);
    restart_session(group, turn, &undo.old_id, undo.old_session_timeout_ms);
    if let Some(token) = parked {
        let mut reply = JoinReply::error(error, MemberId::default());
        reply.generation_id = group.generation_id();
        reply.protocol_type = group.protocol_type().cloned();
        reply.protocol_name = group.protocol_name().cloned();
        reply.leader = undo.old_leader.unwrap_or_default();
        turn.reply_join(token, reply);
    }
}
