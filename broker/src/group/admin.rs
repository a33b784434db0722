//! ListGroups, DescribeGroups, DeleteGroups: what administrators ask about the groups of one partition.
//!
//! Reads and validations over the coordinator's groups, on their shard.

use std::collections::BTreeMap;

use bytes::Bytes;
use kring_wire::{ErrorCode, Str};

use super::classic::ClassicGroup;
use super::ids::GroupId;
use super::member::Member;
use super::messages::{DescribeGroups, DescribedGroup, DescribedMember, ListGroups, ListedGroup};
use super::offsets::Offsets;
use super::record::Record;
use super::refusal::MAX_TEXT_BYTES;
use super::state::GroupState;

type Groups = BTreeMap<GroupId, ClassicGroup>;

/// The type of these groups, as ListGroups names it.
pub const CLASSIC_TYPE: &str = "classic";

pub fn list(groups: &Groups, filter: &ListGroups) -> Vec<ListedGroup> {
    let is_wanted = |wanted: &[Str], name: &str| {
        wanted.is_empty() || wanted.iter().any(|each| each.trim().eq_ignore_ascii_case(name))
    };
    if !is_wanted(&filter.types, CLASSIC_TYPE) {
        return Vec::new();
    }
    let of_state = groups.values().filter(|group| is_wanted(&filter.states, group.state().name()));
    of_state.map(listed).collect()
}

fn listed(group: &ClassicGroup) -> ListedGroup {
    ListedGroup {
        group_id: group.group_id().clone(),
        protocol_type: group.protocol_type().cloned().unwrap_or_default(),
        state: group.state().name(),
        group_type: CLASSIC_TYPE,
    }
}

pub fn describe(groups: &Groups, wanted: DescribeGroups) -> Vec<DescribedGroup> {
    let one = |group_id: GroupId| match groups.get(&group_id) {
        Some(group) => described(group),
        None if wanted.knows_group_id_not_found => not_found(group_id),
        None => DescribedGroup::dead(group_id),
    };
    wanted.groups.into_iter().map(one).collect()
}

fn not_found(group_id: GroupId) -> DescribedGroup {
    // A name may be as long as any text can be, and a sentence about it longer.
    let sentence = Some(format!("Group {group_id} not found.")).filter(|text| text.len() <= MAX_TEXT_BYTES);
    let error = ErrorCode::GROUP_ID_NOT_FOUND;
    DescribedGroup::error(group_id, GroupState::Dead.name(), error, sentence.map(Str::from))
}

/// Only a stable group has a protocol and metadata worth telling.
fn described(group: &ClassicGroup) -> DescribedGroup {
    let protocol = group.protocol_name().filter(|_| group.is(GroupState::Stable));
    DescribedGroup {
        error: ErrorCode::NONE,
        error_message: None,
        group_id: group.group_id().clone(),
        state: group.state().name(),
        protocol_type: group.protocol_type().cloned().unwrap_or_default(),
        protocol_data: protocol.cloned().unwrap_or_default(),
        members: group.members().map(|member| described_member(member, protocol)).collect(),
    }
}

fn described_member(member: &Member, protocol: Option<&Str>) -> DescribedMember {
    DescribedMember {
        member_id: member.member_id.clone(),
        instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        metadata: protocol.map_or_else(Bytes::new, |protocol| member.metadata(protocol)),
        assignment: member.assignment.clone(),
    }
}

/// The tombstones for the groups that may go, and what each group's asker is told.
pub fn delete(
    groups: &Groups,
    offsets: &Offsets,
    wanted: Vec<GroupId>,
) -> (Vec<Record>, Vec<(GroupId, ErrorCode)>) {
    let mut records = Vec::new();
    let mut answers = Vec::with_capacity(wanted.len());
    for group_id in wanted {
        let error = check_delete(groups.get(&group_id));
        if error == ErrorCode::NONE {
            records.extend(offsets.keys_of(&group_id).into_iter().map(|key| Record::Offset(key, None)));
            records.push(Record::Group(group_id.clone(), None));
        }
        answers.push((group_id, error));
    }
    (records, answers)
}

fn check_delete(group: Option<&ClassicGroup>) -> ErrorCode {
    match group {
        None => ErrorCode::GROUP_ID_NOT_FOUND,
        Some(group) if group.is(GroupState::Empty) => ErrorCode::NONE,
        Some(_) => ErrorCode::NON_EMPTY_GROUP,
    }
}
