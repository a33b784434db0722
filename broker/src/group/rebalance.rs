//! How a group gets from one generation to the next: prepare, await, complete, give up on the silent.
//!
//! Decisions about one group, on the shard of its partition; every wait is a timer that the coordinator fires.

use bytes::Bytes;
use kring_wire::ErrorCode;

use super::classic::{ClassicGroup, Orphans};
use super::ids::MemberId;
use super::messages::{JoinReply, SyncReply};
use super::record::Record;
use super::state::GroupState;
use super::timers::{Alarm, TimerKey};
use super::turn::{Effect, Turn};

/// Starts a rebalance where the state allows one, or ends the join phase if everyone is there.
pub fn rebalance_or_complete(group: &mut ClassicGroup, turn: &mut Turn<'_>, reason: &str) {
    if group.state().may_become(GroupState::PreparingRebalance) {
        prepare(group, turn, reason);
    } else {
        complete_if_all_joined(group, turn);
    }
}

/// Ends the join phase if everyone is there; the first one of a group waits for its delay.
pub fn complete_if_all_joined(group: &mut ClassicGroup, turn: &mut Turn<'_>) {
    let awaiting = group.is(GroupState::PreparingRebalance) && !group.is_initial_rebalance();
    if awaiting && group.all_have_joined() {
        complete_join(group, turn);
    }
}

/// Asks all members to join anew.
pub fn prepare(group: &mut ClassicGroup, turn: &mut Turn<'_>, reason: &str) {
    if group.is(GroupState::CompletingRebalance) {
        fail_syncs(group, turn, ErrorCode::REBALANCE_IN_PROGRESS);
    }
    group.take_pending_syncs();
    turn.timers.cancel(&TimerKey::Sync(group.group_id().clone()));
    let initial = group.is(GroupState::Empty);
    group.transition(GroupState::PreparingRebalance, turn.now.wall_ms);
    tracing::info!(group = %group.group_id(), generation = group.generation_id(), reason, "preparing to rebalance");
    if initial {
        await_first_members(group, turn);
    } else if group.all_have_joined() {
        complete_join(group, turn);
    } else {
        await_members(group, turn);
    }
}

/// More members are likely to come to a new group: its first rebalance takes its time.
fn await_first_members(group: &ClassicGroup, turn: &mut Turn<'_>) {
    let delay_ms = turn.settings.initial_rebalance_delay_ms;
    let remaining_ms = group.rebalance_timeout_ms().saturating_sub(delay_ms).max(0);
    let alarm = Alarm::EndInitialDelay { delay_ms, remaining_ms };
    turn.set_timer(TimerKey::Join(group.group_id().clone()), delay_ms.into(), alarm);
}

fn await_members(group: &ClassicGroup, turn: &mut Turn<'_>) {
    let timeout_ms = group.rebalance_timeout_ms();
    turn.set_timer(TimerKey::Join(group.group_id().clone()), timeout_ms.into(), Alarm::EndJoin);
}

/// The initial delay is over: another one if someone came meanwhile and time remains.
pub fn end_initial_delay(group: &mut ClassicGroup, turn: &mut Turn<'_>, delay_ms: i32, remaining_ms: i32) {
    if !group.has_newcomer() || remaining_ms == 0 {
        return complete_join(group, turn);
    }
    group.set_newcomer(false);
    let next_ms = turn.settings.initial_rebalance_delay_ms.min(remaining_ms);
    let alarm = Alarm::EndInitialDelay { delay_ms: next_ms, remaining_ms: (remaining_ms - delay_ms).max(0) };
    turn.set_timer(TimerKey::Join(group.group_id().clone()), next_ms.into(), alarm);
}

/// Ends the join phase with those who joined.
pub fn complete_join(group: &mut ClassicGroup, turn: &mut Turn<'_>) {
    if !group.is(GroupState::PreparingRebalance) {
        return;
    }
    turn.timers.cancel(&TimerKey::Join(group.group_id().clone()));
    for member_id in group.dynamic_members_not_rejoined() {
        remove_member(group, turn, &member_id);
    }
    if !group.elect_joined_leader() && group.member_count() > 0 {
        // Only static members are left and none has rejoined: their sessions may end meanwhile.
        return await_members(group, turn);
    }
    group.begin_generation(turn.now.wall_ms);
    if group.is(GroupState::Empty) {
        let record = Record::Group(group.group_id().clone(), Some(group.to_record(|_| Bytes::new())));
        turn.ledger.write(&[record], Effect::None);
    } else {
        announce_generation(group, turn);
    }
}

/// Answers everyone who joined, and expects them to ask for their assignments.
fn announce_generation(group: &mut ClassicGroup, turn: &mut Turn<'_>) {
    tracing::info!(
        group = %group.group_id(), generation = group.generation_id(), members = group.member_count(), "stabilised"
    );
    for member_id in group.member_ids() {
        if let Some(token) = group.take_join(&member_id) {
            let reply = current_generation(group, member_id.clone(), group.is_leader(&member_id));
            turn.reply_join(token, reply);
        }
        let member = group.member_mut(&member_id).expect("listed just now");
        member.is_new = false;
        let session_timeout_ms = member.session_timeout_ms;
        restart_session(group, turn, &member_id, session_timeout_ms);
        group.await_sync_of(member_id);
    }
    let alarm = Alarm::EndSync { generation_id: group.generation_id() };
    let timeout_ms = group.rebalance_timeout_ms();
    turn.set_timer(TimerKey::Sync(group.group_id().clone()), timeout_ms.into(), alarm);
}

/// What a member is told about the generation; `with_members` for the leader, who assigns.
pub fn current_generation(group: &ClassicGroup, member_id: MemberId, with_members: bool) -> JoinReply {
    JoinReply {
        error: ErrorCode::NONE,
        generation_id: group.generation_id(),
        protocol_type: group.protocol_type().cloned(),
        protocol_name: group.protocol_name().cloned(),
        leader: group.leader().cloned().unwrap_or_default(),
        skip_assignment: false,
        member_id,
        members: if with_members { group.joined_members() } else { Vec::new() },
    }
}

/// From now on the member has this long to be heard of.
pub fn restart_session(group: &ClassicGroup, turn: &mut Turn<'_>, member_id: &MemberId, timeout_ms: i32) {
    let key = TimerKey::Session(group.group_id().clone(), member_id.clone());
    turn.set_timer(key, timeout_ms.into(), Alarm::EndSession);
}

/// Takes a member out: its session is over, whoever waits for it is told that it is not known.
pub fn remove_member(group: &mut ClassicGroup, turn: &mut Turn<'_>, member_id: &MemberId) {
    turn.timers.cancel(&TimerKey::Session(group.group_id().clone(), member_id.clone()));
    let orphans = group.remove(member_id);
    dismiss(orphans, turn, ErrorCode::UNKNOWN_MEMBER_ID, &MemberId::default());
}

/// Ends all that a group has going: it could not come to be, or is given up.
pub fn disband(group: &mut ClassicGroup, turn: &mut Turn<'_>, error: ErrorCode) {
    let group_id = group.group_id().clone();
    turn.timers.cancel(&TimerKey::Join(group_id.clone()));
    turn.timers.cancel(&TimerKey::Sync(group_id.clone()));
    for member_id in group.member_ids().into_iter().chain(group.pending_ids()) {
        turn.timers.cancel(&TimerKey::Session(group_id.clone(), member_id.clone()));
        let orphans = group.remove(&member_id);
        dismiss(orphans, turn, error, &member_id);
    }
}

/// Answers those who waited for a member that is gone.
pub fn dismiss(orphans: Orphans, turn: &mut Turn<'_>, error: ErrorCode, member_id: &MemberId) {
    if let Some(token) = orphans.join {
        turn.refuse_join(token, error, member_id.clone());
    }
    if let Some(token) = orphans.sync {
        turn.refuse_sync(token, error);
    }
}

/// The member was not heard of in time.
pub fn end_session(group: &mut ClassicGroup, turn: &mut Turn<'_>, member_id: &MemberId) {
    if group.is_pending(member_id) {
        remove_member(group, turn, member_id);
        if group.is(GroupState::PreparingRebalance) && group.all_have_joined() {
            complete_join(group, turn);
        }
        return;
    }
    if group.member(member_id).is_some_and(|member| !member.shows_life()) {
        tracing::info!(group = %group.group_id(), member = %member_id, "member timed out");
        remove_member(group, turn, member_id);
        after_loss(group, turn, "a member timed out");
    }
}

/// A member is gone: the others share its work, or the join phase no longer waits for it.
fn after_loss(group: &mut ClassicGroup, turn: &mut Turn<'_>, reason: &str) {
    match group.state() {
        GroupState::Stable | GroupState::CompletingRebalance => prepare(group, turn, reason),
        GroupState::PreparingRebalance if group.all_have_joined() => complete_join(group, turn),
        _ => {}
    }
}

/// The members had their time to ask for their assignments: those who did not are gone.
pub fn end_sync(group: &mut ClassicGroup, turn: &mut Turn<'_>, generation_id: i32) {
    let current = generation_id == group.generation_id();
    let syncing = matches!(group.state(), GroupState::CompletingRebalance | GroupState::Stable);
    if !current || !syncing {
        return;
    }
    let silent = group.take_pending_syncs();
    if silent.is_empty() {
        return;
    }
    for member_id in &silent {
        remove_member(group, turn, member_id);
    }
    prepare(group, turn, "members did not ask for their assignments");
}

/// The leader's assignment is durable: it holds, and everyone who waits gets theirs.
pub fn assign(group: &mut ClassicGroup, turn: &mut Turn<'_>, mut of_member: impl FnMut(&MemberId) -> Bytes) {
    for member_id in group.member_ids() {
        let member = group.member_mut(&member_id).expect("listed just now");
        member.assignment = of_member(&member_id);
        let reply = SyncReply {
            error: ErrorCode::NONE,
            protocol_type: group.protocol_type().cloned(),
            protocol_name: group.protocol_name().cloned(),
            assignment: group.member(&member_id).expect("listed just now").assignment.clone(),
        };
        answer_sync(group, turn, &member_id, reply);
    }
    group.transition(GroupState::Stable, turn.now.wall_ms);
}

/// Nobody has an assignment, and everyone who waits for one is told why.
pub fn fail_syncs(group: &mut ClassicGroup, turn: &mut Turn<'_>, error: ErrorCode) {
    for member_id in group.member_ids() {
        let member = group.member_mut(&member_id).expect("listed just now");
        member.assignment = Bytes::new();
        answer_sync(group, turn, &member_id, SyncReply::error(error));
    }
}

/// A parked SyncGroup stood in for heartbeats; with its answer they count again.
fn answer_sync(group: &mut ClassicGroup, turn: &mut Turn<'_>, member_id: &MemberId, reply: SyncReply) {
    let Some(token) = group.take_sync(member_id) else { return };
    turn.reply_sync(token, reply);
    let session_timeout_ms = group.member(member_id).expect("it had a token").session_timeout_ms;
    restart_session(group, turn, member_id, session_timeout_ms);
}
