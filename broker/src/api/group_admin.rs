//! ListGroups (0–5), DescribeGroups (0–6), DeleteGroups (0–2): groups as administrators see them.
//! Never decides about a group: coordinators do, on the shards that own them.
//!
//! ListGroups: v4 states (KIP-518), v5 types (KIP-848). DescribeGroups: v3 authorised operations (KIP-430), v4
//! instance ids, v6 an error for a group that is not there (KIP-1043).

use std::collections::BTreeSet;
use std::rc::Rc;

use futures_util::future::join_all;
use kring_wire::messages::delete_groups_request::DeleteGroupsRequest;
use kring_wire::messages::delete_groups_response::{DeletableGroupResult, DeleteGroupsResponse};
use kring_wire::messages::describe_groups_request::DescribeGroupsRequest;
use kring_wire::messages::describe_groups_response::{
    DescribeGroupsResponse, DescribedGroup as WireGroup, DescribedGroupMember,
};
use kring_wire::messages::list_groups_request::ListGroupsRequest;
use kring_wire::messages::list_groups_response::{ListGroupsResponse, ListedGroup as WireListedGroup};
use kring_wire::{ApiKey, ErrorCode, Str};

use super::ask_group::{ask, ask_all, owned};
use super::dispatch::with;
use super::{Client, PeerFault, Request, Response};
use crate::group::GroupId;
use crate::group::messages::{
    DescribeGroups, DescribedGroup, DescribedMember, ListGroups, ListedGroup, Reply, Request as GroupRequest,
};

/// READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS and ALTER_CONFIGS, as bits by their codes: without ACLs, all that
/// there is for a group.
const ALL_GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

pub async fn handle(client: &Rc<Client>, request: Request) -> Result<Response, PeerFault> {
    match request.api {
        ApiKey::ListGroups => with(client, request, async |c, _, body| list(c, body).await).await,
        ApiKey::DescribeGroups => {
            with(client, request, async |c, version, body| describe(c, version, body).await).await
        }
        _ => with(client, request, async |c, _, body| delete(c, body).await).await,
    }
}

async fn list(client: &Rc<Client>, body: ListGroupsRequest) -> ListGroupsResponse {
    let filter = ListGroups { states: body.states_filter, types: body.types_filter };
    let replies = ask_all(client, &GroupRequest::ListGroups(filter)).await;
    let listed = replies.into_iter().map(|reply| match reply {
        Reply::ListGroups(listed) => listed,
        other => unreachable!("a ListGroups is answered by {other:?}"),
    });
    from_list(listed)
}

/// A partition that is not coordinated here has no groups to show; any other error is that of the whole list.
fn from_list(replies: impl Iterator<Item = Result<Vec<ListedGroup>, ErrorCode>>) -> ListGroupsResponse {
    let mut groups = Vec::new();
    for reply in replies {
        match reply {
            Ok(listed) => groups.extend(listed.into_iter().map(from_listed)),
            Err(ErrorCode::NOT_COORDINATOR) => {}
            Err(error) => {
                return ListGroupsResponse { error_code: error.into(), ..ListGroupsResponse::default() };
            }
        }
    }
    ListGroupsResponse { groups, ..ListGroupsResponse::default() }
}

fn from_listed(group: ListedGroup) -> WireListedGroup {
    WireListedGroup {
        group_id: group.group_id.0,
        protocol_type: group.protocol_type,
        group_state: Str::from_static(group.state),
        group_type: Str::from_static(group.group_type),
    }
}

async fn describe(client: &Rc<Client>, version: i16, body: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let knows_group_id_not_found = version >= 6;
    let with_operations = version >= 3 && body.include_authorized_operations;
    let one = async |name: Str| {
        let request = DescribeGroups { groups: vec![owned(&name)], knows_group_id_not_found };
        match ask(client, &name, GroupRequest::DescribeGroups(request)).await {
            Reply::DescribeGroups(groups) => groups,
            other => unreachable!("a DescribeGroups is answered by {other:?}"),
        }
    };
    let described = join_all(body.groups.into_iter().map(one)).await;
    let groups =
        described.into_iter().flatten().map(|group| from_described(group, with_operations)).collect();
    DescribeGroupsResponse { groups, ..DescribeGroupsResponse::default() }
}

fn from_described(group: DescribedGroup, with_operations: bool) -> WireGroup {
    let operations = (with_operations && group.error == ErrorCode::NONE).then_some(ALL_GROUP_OPERATIONS);
    WireGroup {
        error_code: group.error.into(),
        error_message: group.error_message,
        group_id: group.group_id.0,
        group_state: Str::from_static(group.state),
        protocol_type: group.protocol_type,
        protocol_data: group.protocol_data,
        members: group.members.into_iter().map(from_member).collect(),
        authorized_operations: operations.unwrap_or(i32::MIN),
    }
}

fn from_member(member: DescribedMember) -> DescribedGroupMember {
    DescribedGroupMember {
        member_id: member.member_id.0,
        group_instance_id: member.instance_id.map(|id| id.0),
        client_id: member.client_id,
        client_host: member.client_host,
        member_metadata: member.metadata,
        member_assignment: member.assignment,
    }
}

async fn delete(client: &Rc<Client>, body: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let one = async |name: Str| match ask(client, &name, GroupRequest::DeleteGroups(vec![owned(&name)])).await
    {
        Reply::DeleteGroups(results) => results,
        other => unreachable!("a DeleteGroups is answered by {other:?}"),
    };
    let deleted = join_all(first_of_each(body.groups_names).into_iter().map(one)).await;
    let result = |(group_id, error): (GroupId, ErrorCode)| DeletableGroupResult {
        group_id: group_id.0,
        error_code: error.into(),
    };
    let results = deleted.into_iter().flatten().map(result).collect();
    DeleteGroupsResponse { results, ..DeleteGroupsResponse::default() }
}

/// A group that is named twice is deleted once.
fn first_of_each(names: Vec<Str>) -> Vec<Str> {
    let mut seen = BTreeSet::new();
    names.into_iter().filter(|name| seen.insert(name.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_loading_coordinator_fails_the_list_and_a_missing_one_does_not() {
        let group = || ListedGroup {
            group_id: "g".into(),
            protocol_type: "consumer".into(),
            state: "Stable",
            group_type: "classic",
        };
        let listed = from_list([Ok(vec![group()]), Err(ErrorCode::NOT_COORDINATOR)].into_iter());
        assert_eq!((listed.error_code, listed.groups.len()), (0, 1));
        let loading =
            from_list([Ok(vec![group()]), Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS)].into_iter());
        assert_eq!(
            (loading.error_code, loading.groups.len()),
            (ErrorCode::COORDINATOR_LOAD_IN_PROGRESS.0, 0)
        );
    }

    #[test]
    fn operations_are_told_to_those_who_ask_and_for_groups_that_are_there() {
        let bits = |error, with| {
            from_described(DescribedGroup::error("g".into(), "Dead", error, None), with).authorized_operations
        };
        assert_eq!(bits(ErrorCode::NONE, true), 3400);
        assert_eq!(bits(ErrorCode::NONE, false), i32::MIN);
        assert_eq!(bits(ErrorCode::GROUP_ID_NOT_FOUND, true), i32::MIN);
    }
}
