//! JoinGroup (0–9), SyncGroup (0–5), Heartbeat (0–4), LeaveGroup (0–5): the life of a member of a classic group.
//! Never decides about a group: its coordinator does, on the shard that owns it.
//!
//! JoinGroup: v1 rebalance timeout, v4 ids given out first (KIP-394), v5 static members (KIP-345), v7 protocol type
//! in the answer (KIP-559), v8 reason (KIP-800), v9 the leader may skip assigning (KIP-814).
//! SyncGroup: v3 static members, v5 protocol type and name are checked. LeaveGroup: v3 batches, v5 reason.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use bytes::Bytes;
use kring_runtime::fill_random;
use kring_wire::messages::heartbeat_request::HeartbeatRequest;
use kring_wire::messages::heartbeat_response::HeartbeatResponse;
use kring_wire::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use kring_wire::messages::join_group_response::{JoinGroupResponse, JoinGroupResponseMember};
use kring_wire::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use kring_wire::messages::leave_group_response::{LeaveGroupResponse, MemberResponse};
use kring_wire::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use kring_wire::messages::sync_group_response::SyncGroupResponse;
use kring_wire::{ApiKey, ErrorCode, Str, Uuid};

use super::ask_group::{ask, owned, owned_option};
use super::dispatch::with;
use super::{Client, PeerFault, Request, Response};
use crate::group::messages::{
    Heartbeat, Join, JoinReply, JoinedMember, Leave, LeaveReply, LeavingMember, MemberClaim, Protocol, Reply,
    Request as GroupRequest, Sync, SyncReply,
};
use crate::group::{InstanceId, MemberId};

pub async fn handle(client: &Rc<Client>, request: Request) -> Result<Response, PeerFault> {
    match request.api {
        ApiKey::JoinGroup => {
            let client_id = request.client_id.clone().unwrap_or_default();
            with(client, request, async |c, version, body| join(c, version, &client_id, body).await).await
        }
        ApiKey::SyncGroup => {
            with(client, request, async |c, version, body| sync(c, version, body).await).await
        }
        ApiKey::Heartbeat => with(client, request, async |c, _, body| heartbeat(c, body).await).await,
        _ => with(client, request, async |c, version, body| leave(c, version, body).await).await,
    }
}

async fn join(
    client: &Rc<Client>,
    version: i16,
    client_id: &Str,
    body: JoinGroupRequest,
) -> JoinGroupResponse {
    let group_id = body.group_id.clone();
    let mut random = Uuid::ZERO;
    fill_random(&mut random.0);
    let origin = Origin { client_id: client_id.detach(), host: host_of(client.peer), random };
    match ask(client, &group_id, GroupRequest::Join(to_join(body, version, origin))).await {
        Reply::Join(reply) => from_join(reply, version),
        other => unreachable!("a JoinGroup is answered by {other:?}"),
    }
}

async fn sync(client: &Rc<Client>, version: i16, body: SyncGroupRequest) -> SyncGroupResponse {
    if version >= 5 && (body.protocol_type.is_none() || body.protocol_name.is_none()) {
        return from_sync(SyncReply::error(ErrorCode::INCONSISTENT_GROUP_PROTOCOL));
    }
    let group_id = body.group_id.clone();
    match ask(client, &group_id, GroupRequest::Sync(to_sync(body))).await {
        Reply::Sync(reply) => from_sync(reply),
        other => unreachable!("a SyncGroup is answered by {other:?}"),
    }
}

async fn heartbeat(client: &Rc<Client>, body: HeartbeatRequest) -> HeartbeatResponse {
    let group_id = body.group_id.clone();
    let request = Heartbeat {
        group_id: owned(&group_id),
        claim: claim(&body.member_id, body.group_instance_id.as_ref()),
        generation_id: body.generation_id,
    };
    match ask(client, &group_id, GroupRequest::Heartbeat(request)).await {
        Reply::Heartbeat(error) => {
            HeartbeatResponse { error_code: error.into(), ..HeartbeatResponse::default() }
        }
        other => unreachable!("a Heartbeat is answered by {other:?}"),
    }
}

async fn leave(client: &Rc<Client>, version: i16, body: LeaveGroupRequest) -> LeaveGroupResponse {
    let group_id = body.group_id.clone();
    match ask(client, &group_id, GroupRequest::Leave(to_leave(body, version))).await {
        Reply::Leave(reply) => from_leave(reply, version),
        other => unreachable!("a LeaveGroup is answered by {other:?}"),
    }
}

/// What a JoinGroup does not say itself.
struct Origin {
    client_id: Str,
    host: Str,
    random: Uuid,
}

fn claim(member_id: &Str, instance_id: Option<&Str>) -> MemberClaim {
    MemberClaim {
        member_id: owned::<MemberId>(member_id),
        instance_id: owned_option::<InstanceId>(instance_id),
    }
}

fn to_join(body: JoinGroupRequest, version: i16, origin: Origin) -> Join {
    // The first version had one timeout for both.
    let rebalance_timeout_ms = if version == 0 { body.session_timeout_ms } else { body.rebalance_timeout_ms };
    let protocol = |protocol: &JoinGroupRequestProtocol| Protocol {
        name: protocol.name.detach(),
        metadata: Bytes::copy_from_slice(&protocol.metadata),
    };
    Join {
        group_id: owned(&body.group_id),
        claim: claim(&body.member_id, body.group_instance_id.as_ref()),
        client_id: origin.client_id,
        client_host: origin.host,
        protocol_type: body.protocol_type.detach(),
        protocols: body.protocols.iter().map(protocol).collect(),
        session_timeout_ms: body.session_timeout_ms,
        rebalance_timeout_ms,
        reason: body.reason,
        must_know_its_id: version >= 4,
        may_skip_assignment: version >= 9,
        random: origin.random,
    }
}

fn from_join(reply: JoinReply, version: i16) -> JoinGroupResponse {
    let protocol_name = reply.protocol_name.filter(|name| !name.is_empty());
    let member = |member: JoinedMember| JoinGroupResponseMember {
        member_id: member.member_id.0,
        group_instance_id: member.instance_id.map(|id| id.0),
        metadata: member.metadata,
    };
    JoinGroupResponse {
        error_code: reply.error.into(),
        generation_id: reply.generation_id,
        protocol_type: reply.protocol_type,
        // Before it could be null, "none" was an empty name.
        protocol_name: if version < 7 { Some(protocol_name.unwrap_or_default()) } else { protocol_name },
        leader: reply.leader.0,
        skip_assignment: reply.skip_assignment,
        member_id: reply.member_id.0,
        members: reply.members.into_iter().map(member).collect(),
        ..JoinGroupResponse::default()
    }
}

fn to_sync(body: SyncGroupRequest) -> Sync {
    let assignment = |one: &SyncGroupRequestAssignment| {
        (owned::<MemberId>(&one.member_id), Bytes::copy_from_slice(&one.assignment))
    };
    Sync {
        group_id: owned(&body.group_id),
        claim: claim(&body.member_id, body.group_instance_id.as_ref()),
        generation_id: body.generation_id,
        protocol_type: body.protocol_type,
        protocol_name: body.protocol_name,
        assignments: body.assignments.iter().map(assignment).collect(),
    }
}

fn from_sync(reply: SyncReply) -> SyncGroupResponse {
    SyncGroupResponse {
        error_code: reply.error.into(),
        protocol_type: reply.protocol_type,
        protocol_name: reply.protocol_name,
        assignment: reply.assignment,
        ..SyncGroupResponse::default()
    }
}

fn to_leave(body: LeaveGroupRequest, version: i16) -> Leave {
    let member = |member: &MemberIdentity| LeavingMember {
        claim: claim(&member.member_id, member.group_instance_id.as_ref()),
        reason: member.reason.clone(),
    };
    let members = if version >= 3 {
        body.members.iter().map(member).collect()
    } else {
        vec![LeavingMember { claim: claim(&body.member_id, None), reason: None }]
    };
    Leave { group_id: owned(&body.group_id), members }
}

fn from_leave(reply: LeaveReply, version: i16) -> LeaveGroupResponse {
    let member = |(claim, error): (MemberClaim, ErrorCode)| MemberResponse {
        member_id: claim.member_id.0,
        group_instance_id: claim.instance_id.map(|id| id.0),
        error_code: error.into(),
    };
    if version >= 3 {
        let members = reply.members.into_iter().map(member).collect();
        return LeaveGroupResponse {
            error_code: reply.error.into(),
            members,
            ..LeaveGroupResponse::default()
        };
    }
    // One member could leave, and its error was that of the request.
    let first = reply.members.first().map_or(ErrorCode::NONE, |(_, error)| *error);
    let error = if reply.error.is_err() { reply.error } else { first };
    LeaveGroupResponse { error_code: error.into(), ..LeaveGroupResponse::default() }
}

/// As Java prints an address: no name, a slash, IPv6 in full.
fn host_of(peer: SocketAddr) -> Str {
    let text = match peer.ip().to_canonical() {
        IpAddr::V4(address) => format!("/{address}"),
        IpAddr::V6(address) => {
            let segments: Vec<String> =
                address.segments().iter().map(|segment| format!("{segment:x}")).collect();
            format!("/{}", segments.join(":"))
        }
    };
    Str::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin { client_id: "app".into(), host: "/127.0.0.1".into(), random: Uuid::ONE }
    }

    #[test]
    fn hosts_are_printed_as_java_prints_them() {
        let host = |text: &str| host_of(text.parse().unwrap());
        assert_eq!(host("127.0.0.1:9"), "/127.0.0.1");
        assert_eq!(host("[::ffff:10.0.0.1]:9"), "/10.0.0.1");
        assert_eq!(host("[::1]:9"), "/0:0:0:0:0:0:0:1");
        assert_eq!(host("[2001:db8::a]:9"), "/2001:db8:0:0:0:0:0:a");
    }

    #[test]
    fn the_first_join_version_has_one_timeout_and_knows_no_ids() {
        let body = JoinGroupRequest { session_timeout_ms: 7, ..JoinGroupRequest::default() };
        let join = to_join(body.clone(), 0, origin());
        assert_eq!(
            (join.rebalance_timeout_ms, join.must_know_its_id, join.may_skip_assignment),
            (7, false, false)
        );
        let join = to_join(body, 9, origin());
        assert_eq!(
            (join.rebalance_timeout_ms, join.must_know_its_id, join.may_skip_assignment),
            (-1, true, true)
        );
    }

    #[test]
    fn a_missing_protocol_is_empty_before_version_7_and_null_after() {
        let name = |version| {
            let reply = JoinReply::error(ErrorCode::UNKNOWN_MEMBER_ID, MemberId::default());
            from_join(reply, version).protocol_name
        };
        assert_eq!(name(6), Some(Str::default()));
        assert_eq!(name(7), None);
    }

    #[test]
    fn an_old_leave_is_answered_by_the_error_of_its_one_member() {
        let claim = claim(&"m".into(), None);
        let reply = || LeaveReply {
            error: ErrorCode::NONE,
            members: vec![(claim.clone(), ErrorCode::UNKNOWN_MEMBER_ID)],
        };
        let old = from_leave(reply(), 2);
        assert_eq!((old.error_code, old.members.len()), (ErrorCode::UNKNOWN_MEMBER_ID.0, 0));
        let new = from_leave(reply(), 3);
        assert_eq!((new.error_code, new.members[0].error_code), (0, ErrorCode::UNKNOWN_MEMBER_ID.0));
    }
}
