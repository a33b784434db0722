//! One classic group: its members, its generation, who is awaited. Decides nothing about time.
//!
//! A plain value inside the coordinator of its partition, on that partition's shard.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kring_wire::{ErrorCode, Str};

use super::ids::{GroupId, InstanceId, MemberId};
use super::member::Member;
use super::messages::{JoinedMember, MemberClaim, Protocol};
use super::record::{StoredGroup, StoredMember};
use super::state::GroupState;
use super::subscription::subscribed_topics;
use crate::coordinator::Token;

/// The protocol type of consumers, whose subscriptions the coordinator can read.
pub const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// Those who waited for a member that is no longer there.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Orphans {
    pub join: Option<Token>,
    pub sync: Option<Token>,
}

#[derive(Clone, Debug)]
pub struct ClassicGroup {
    group_id: GroupId,
    state: GroupState,
    /// Tells the first rebalance, which waits for more members, from the others.
    was_empty: bool,
    state_timestamp_ms: Option<i64>,
    generation_id: i32,
    protocol_type: Option<Str>,
    protocol_name: Option<Str>,
    leader: Option<MemberId>,
    members: BTreeMap<MemberId, Member>,
    static_members: BTreeMap<InstanceId, MemberId>,
    /// Ids that were given out and not yet used to join (KIP-394).
    pending_joins: BTreeSet<MemberId>,
    /// Members of this generation that have not asked for their assignment.
    pending_syncs: BTreeSet<MemberId>,
    awaiting_join: usize,
    /// How many members support each protocol.
    supported: BTreeMap<Str, usize>,
    /// Unknown when the members are no consumers or their subscriptions cannot be read.
    subscribed: Option<BTreeSet<Str>>,
    /// A member came during the initial delay, so the delay is worth extending.
    newcomer: bool,
}

impl ClassicGroup {
    /// A group without members, created by a request or, without a time, by its offsets.
    pub fn empty(group_id: GroupId, state_timestamp_ms: Option<i64>) -> ClassicGroup {
        ClassicGroup {
            group_id,
            state: GroupState::Empty,
            was_empty: false,
            state_timestamp_ms,
            generation_id: 0,
            protocol_type: None,
            protocol_name: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_joins: BTreeSet::new(),
            pending_syncs: BTreeSet::new(),
            awaiting_join: 0,
            supported: BTreeMap::new(),
            subscribed: None,
            newcomer: false,
        }
    }

    /// The group as its last record tells it; none when the record contradicts itself.
    pub fn from_record(group_id: GroupId, stored: StoredGroup) -> Option<ClassicGroup> {
        let mut group = ClassicGroup::empty(group_id, stored.state_timestamp_ms);
        group.generation_id = stored.generation_id;
        group.protocol_type = Some(stored.protocol_type).filter(|name| !name.is_empty());
        group.protocol_name = stored.protocol_name;
        group.leader = stored.leader;
        let protocol_name = group.protocol_name.clone().unwrap_or_default();
        for member in stored.members {
            let protocol_type = group.protocol_type.clone()?;
            group.state = GroupState::Stable;
            group.insert_loaded(Member::from_record(member, protocol_type, protocol_name.clone()))?;
        }
        group.subscribed = group.read_subscriptions();
        Some(group)
    }

    fn insert_loaded(&mut self, member: Member) -> Option<()> {
        let instance_taken =
            member.instance_id.as_ref().is_some_and(|id| self.static_members.contains_key(id));
        if instance_taken || self.members.contains_key(&member.member_id) {
            return None;
        }
        self.insert(member);
        Some(())
    }

    /// What is stored when each member has the assignment that `assignment_of` names.
    pub fn to_record(&self, assignment_of: impl Fn(&Member) -> Bytes) -> StoredGroup {
        let protocol = self.protocol_name.clone().unwrap_or_default();
        let store = |member: &Member| StoredMember {
            member_id: member.member_id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: member.metadata(&protocol),
            assignment: assignment_of(member),
        };
        StoredGroup {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation_id: self.generation_id,
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone(),
            state_timestamp_ms: self.state_timestamp_ms,
            members: self.members.values().map(store).collect(),
        }
    }

    /// What is stored so that a group which only exists in memory is there after a restart.
    pub fn to_first_record(&self) -> StoredGroup {
        StoredGroup {
            protocol_type: Str::default(),
            generation_id: 0,
            protocol_name: None,
            leader: None,
            state_timestamp_ms: self.state_timestamp_ms,
            members: Vec::new(),
        }
    }

    pub fn group_id(&self) -> &GroupId {
        &self.group_id
    }

    pub fn state(&self) -> GroupState {
        self.state
    }

    pub fn is(&self, state: GroupState) -> bool {
        self.state == state
    }

    pub fn is_initial_rebalance(&self) -> bool {
        self.state == GroupState::PreparingRebalance && self.was_empty
    }

    pub fn state_timestamp_ms(&self) -> Option<i64> {
        self.state_timestamp_ms
    }

    pub fn generation_id(&self) -> i32 {
        self.generation_id
    }

    pub fn protocol_type(&self) -> Option<&Str> {
        self.protocol_type.as_ref()
    }

    pub fn protocol_name(&self) -> Option<&Str> {
        self.protocol_name.as_ref()
    }

    pub fn leader(&self) -> Option<&MemberId> {
        self.leader.as_ref()
    }

    pub fn is_leader(&self, member_id: &MemberId) -> bool {
        self.leader.as_ref() == Some(member_id)
    }

    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    pub fn member_ids(&self) -> Vec<MemberId> {
        self.members.keys().cloned().collect()
    }

    pub fn member_count(&self) -> usize {
        self.members.len()
    }

    pub fn member(&self, member_id: &MemberId) -> Option<&Member> {
        self.members.get(member_id)
    }

    pub fn member_mut(&mut self, member_id: &MemberId) -> Option<&mut Member> {
        self.members.get_mut(member_id)
    }

    pub fn static_member_id(&self, instance_id: &InstanceId) -> Option<&MemberId> {
        self.static_members.get(instance_id)
    }

    pub fn awaiting_join_count(&self) -> usize {
        self.awaiting_join
    }

    pub fn set_newcomer(&mut self, newcomer: bool) {
        self.newcomer = newcomer;
    }

    pub fn has_newcomer(&self) -> bool {
        self.newcomer
    }

    /// Moves on; the transitions are those of the picture at `GroupState`.
    pub fn transition(&mut self, next: GroupState, wall_ms: i64) {
        assert!(
            self.state.may_become(next),
            "group {} turns from {:?} to {next:?}",
            self.group_id,
            self.state
        );
        self.was_empty = self.state == GroupState::Empty;
        self.state = next;
        self.state_timestamp_ms = Some(wall_ms);
    }

    /// The longest that any member wants to be waited for.
    pub fn rebalance_timeout_ms(&self) -> i32 {
        self.members.values().map(|member| member.rebalance_timeout_ms).fold(0, i32::max)
    }

    /// Whether the claimed member is in the group, under the claimed instance id if there is one.
    pub fn check_claim(&self, claim: &MemberClaim) -> Result<(), ErrorCode> {
        if let Some(instance_id) = &claim.instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(ErrorCode::UNKNOWN_MEMBER_ID),
                Some(holder) if *holder != claim.member_id => return Err(ErrorCode::FENCED_INSTANCE_ID),
                Some(_) => {}
            }
        }
        if self.members.contains_key(&claim.member_id) { Ok(()) } else { Err(ErrorCode::UNKNOWN_MEMBER_ID) }
    }

    /// As `check_claim`, and the generation is the current one.
    pub fn check_claim_in(&self, claim: &MemberClaim, generation_id: i32) -> Result<(), ErrorCode> {
        self.check_claim(claim)?;
        if generation_id == self.generation_id { Ok(()) } else { Err(ErrorCode::ILLEGAL_GENERATION) }
    }

    /// Adds a member that is not there yet and may wait for the join phase to end.
    pub fn insert(&mut self, member: Member) {
        assert!(!self.members.contains_key(&member.member_id), "a member joins once");
        assert!(self.supports(&member.protocol_type, &member.protocols), "checked before a member is added");
        if let Some(instance_id) = &member.instance_id {
            let holder = self.static_members.insert(instance_id.clone(), member.member_id.clone());
            assert!(holder.is_none(), "an instance id has one member");
        }
        if self.members.is_empty() {
            self.protocol_type = Some(member.protocol_type.clone());
        }
        if self.leader.is_none() {
            self.leader = Some(member.member_id.clone());
        }
        count_up(&mut self.supported, &member.protocols);
        self.awaiting_join += usize::from(member.awaiting_join.is_some());
        self.pending_joins.remove(&member.member_id);
        self.members.insert(member.member_id.clone(), member);
    }

    /// Takes a member, or an id that was only given out, from the group; another member leads if it led.
    pub fn remove(&mut self, member_id: &MemberId) -> Orphans {
        let mut orphans = Orphans::default();
        if let Some(member) = self.members.remove(member_id) {
            count_down(&mut self.supported, &member.protocols);
            self.awaiting_join -= usize::from(member.awaiting_join.is_some());
            if let Some(instance_id) = &member.instance_id {
                self.static_members.remove(instance_id);
            }
            orphans = Orphans { join: member.awaiting_join, sync: member.awaiting_sync };
        }
        if self.is_leader(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
        self.pending_joins.remove(member_id);
        self.pending_syncs.remove(member_id);
        orphans
    }

    /// Gives a static member a new id; whoever waits under the old one is fenced.
    pub fn rename_static(&mut self, instance_id: &InstanceId, old: &MemberId, new: MemberId) -> Orphans {
        let mut member = self.members.remove(old).expect("the instance id led to this member");
        let orphans = Orphans { join: member.awaiting_join.take(), sync: member.awaiting_sync.take() };
        self.awaiting_join -= usize::from(orphans.join.is_some());
        member.member_id = new.clone();
        member.is_new = false;
        if self.is_leader(old) {
            self.leader = Some(new.clone());
        }
        self.static_members.insert(instance_id.clone(), new.clone());
        self.members.insert(new, member);
        orphans
    }

    /// What a member says of itself when it joins again; gives back who waited for it before.
    pub fn update(&mut self, member_id: &MemberId, with: MemberUpdate) -> Option<Token> {
        let member = self.members.get_mut(member_id).expect("checked before a member is updated");
        count_down(&mut self.supported, &member.protocols);
        count_up(&mut self.supported, &with.protocols);
        self.awaiting_join -= usize::from(member.awaiting_join.is_some());
        self.awaiting_join += usize::from(with.awaiting_join.is_some());
        member.protocols = with.protocols;
        member.rebalance_timeout_ms = with.rebalance_timeout_ms;
        member.session_timeout_ms = with.session_timeout_ms;
        std::mem::replace(&mut member.awaiting_join, with.awaiting_join)
    }

    /// Who waits for this member's JoinGroup, which is about to be answered.
    pub fn take_join(&mut self, member_id: &MemberId) -> Option<Token> {
        let token = self.members.get_mut(member_id)?.awaiting_join.take();
        self.awaiting_join -= usize::from(token.is_some());
        token
    }

    /// Who waits for this member's SyncGroup, which is about to be answered.
    pub fn take_sync(&mut self, member_id: &MemberId) -> Option<Token> {
        self.members.get_mut(member_id)?.awaiting_sync.take()
    }

    pub fn is_pending(&self, member_id: &MemberId) -> bool {
        self.pending_joins.contains(member_id)
    }

    pub fn pending_count(&self) -> usize {
        self.pending_joins.len()
    }

    pub fn pending_ids(&self) -> Vec<MemberId> {
        self.pending_joins.iter().cloned().collect()
    }

    pub fn add_pending(&mut self, member_id: MemberId) {
        assert!(!self.members.contains_key(&member_id), "a new id is nobody's");
        self.pending_joins.insert(member_id);
    }

    pub fn await_sync_of(&mut self, member_id: MemberId) {
        self.pending_syncs.insert(member_id);
    }

    /// Notes that a member asked for its assignment; true when all have.
    pub fn saw_sync_of(&mut self, member_id: &MemberId) -> bool {
        self.pending_syncs.remove(member_id);
        self.pending_syncs.is_empty()
    }

    pub fn take_pending_syncs(&mut self) -> BTreeSet<MemberId> {
        std::mem::take(&mut self.pending_syncs)
    }

    pub fn all_have_joined(&self) -> bool {
        self.members.len() == self.awaiting_join && self.pending_joins.is_empty()
    }

    /// Members without a static id that were asked to join again and have not.
    pub fn dynamic_members_not_rejoined(&self) -> Vec<MemberId> {
        let gone = |member: &&Member| member.awaiting_join.is_none() && member.instance_id.is_none();
        self.members.values().filter(gone).map(|member| member.member_id.clone()).collect()
    }

    /// Makes sure that the leader is a member that joined; false when there is none.
    pub fn elect_joined_leader(&mut self) -> bool {
        let Some(leader) = &self.leader else { return false };
        let joined = |member: &&Member| member.awaiting_join.is_some();
        if self.members.get(leader).as_ref().is_some_and(joined) {
            return true;
        }
        let Some(next) = self.members.values().find(joined) else { return false };
        self.leader = Some(next.member_id.clone());
        true
    }

    /// The next generation: of the members that joined, or empty.
    pub fn begin_generation(&mut self, wall_ms: i64) {
        self.generation_id = self.generation_id.wrapping_add(1) & i32::MAX;
        let populated = !self.members.is_empty();
        self.protocol_name = populated.then(|| self.select_protocol());
        self.subscribed = self.read_subscriptions();
        self.pending_syncs.clear();
        let next = if populated { GroupState::CompletingRebalance } else { GroupState::Empty };
        self.transition(next, wall_ms);
    }

    /// Whether a member of this kind can be in the group.
    pub fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.state == GroupState::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        let everyone = |protocol: &Protocol| {
            self.supported.get(&protocol.name).copied().unwrap_or(0) == self.members.len()
        };
        self.protocol_type.as_deref() == Some(protocol_type) && protocols.iter().any(everyone)
    }

    /// The protocol that most members like best among those that all support.
    pub fn select_protocol(&self) -> Str {
        let candidate = |name: &Str| self.supported.get(name) == Some(&self.members.len());
        let mut votes: BTreeMap<&Str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let choice = member.protocols.iter().map(|protocol| &protocol.name).find(|name| candidate(name));
            *votes.entry(choice.expect("members without a common protocol are refused")).or_default() += 1;
        }
        // Kafka leaves a draw to the order of a hash map; here the first by name wins it.
        let best = votes.into_iter().rev().max_by_key(|(_, votes)| *votes);
        best.expect("only a group with members selects").0.clone()
    }

    /// What the leader is told about the members.
    pub fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol_name.clone().unwrap_or_default();
        let tell = |member: &Member| JoinedMember {
            member_id: member.member_id.clone(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(&protocol),
        };
        self.members.values().map(tell).collect()
    }

    /// A group that has only ever held offsets.
    pub fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL_TYPE)
    }

    pub fn knows_subscriptions(&self) -> bool {
        self.subscribed.is_some()
    }

    /// Consumers whose subscriptions cannot be read count as subscribed to everything.
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.uses_consumer_protocol(),
        }
    }

    fn read_subscriptions(&self) -> Option<BTreeSet<Str>> {
        if !self.uses_consumer_protocol() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol_name.as_ref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            topics.extend(subscribed_topics(&member.metadata(protocol))?);
        }
        Some(topics)
    }
}

/// What changes when a member that is known joins again.
#[derive(Debug)]
pub struct MemberUpdate {
    pub protocols: Vec<Protocol>,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    pub awaiting_join: Option<Token>,
}

fn count_up(supported: &mut BTreeMap<Str, usize>, protocols: &[Protocol]) {
    for protocol in protocols {
        *supported.entry(protocol.name.clone()).or_default() += 1;
    }
}

fn count_down(supported: &mut BTreeMap<Str, usize>, protocols: &[Protocol]) {
    for protocol in protocols {
        let count = supported.get_mut(&protocol.name).expect("counted when the member came");
        *count -= 1;
        if *count == 0 {
            supported.remove(&protocol.name);
        }
    }
}
