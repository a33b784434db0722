//! What a member of a classic consumer group says to its coordinator. Lives on one shard.
//! Never decides what an error means: that is the member's business.

use std::time::Duration;

use bytes::Bytes;
use kring_wire::messages::find_coordinator_request::FindCoordinatorRequest;
use kring_wire::messages::heartbeat_request::HeartbeatRequest;
use kring_wire::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use kring_wire::messages::join_group_response::JoinGroupResponse;
use kring_wire::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use kring_wire::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kring_wire::messages::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestTopic};
use kring_wire::messages::offset_fetch_response::OffsetFetchResponse;
use kring_wire::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use kring_wire::{ApiKey, ErrorCode, Str};

use super::cluster::{Endpoint, Versions};
use super::connection::Connection;
use super::error::ClientError;
use super::layout::Layout;

/// The newest versions that name one group, one topic and one key in the way that older ones do.
const FIND_COORDINATOR: i16 = 3;
const JOIN_GROUP: i16 = 9;
const SYNC_GROUP: i16 = 5;
const HEARTBEAT: i16 = 4;
const OFFSET_COMMIT: i16 = 9;
const OFFSET_FETCH: i16 = 7;
const LEAVE_GROUP: i16 = 5;

/// What a join may take beyond the time that members have for it.
const JOIN_LAPSE: Duration = Duration::from_secs(5);
const PROTOCOL_TYPE: &str = "consumer";
const PROTOCOL: &str = "range";

/// A member's place in a generation of its group.
#[derive(Clone, Debug, Default)]
pub struct Membership {
    pub member_id: Str,
    pub generation: i32,
}

/// A connection to the coordinator of one group.
pub struct Coordinator {
    connection: Connection,
    versions: Versions,
    group: Str,
}

impl Coordinator {
    /// Asks `broker` who coordinates the group, and connects to it.
    pub async fn find(
        broker: &Endpoint,
        versions: &Versions,
        group: &str,
    ) -> Result<Coordinator, ClientError> {
        let mut connection = Connection::open(broker).await?;
        let version = versions.of(ApiKey::FindCoordinator, FIND_COORDINATOR)?;
        let request = FindCoordinatorRequest { key: Str::from(group), ..Default::default() };
        let answer = connection.call(version, &request).await?;
        refuse(answer.error_code, "FindCoordinator")?;
        let port = u16::try_from(answer.port).unwrap_or(0);
        let endpoint = Endpoint::resolve(&answer.host, port, broker.request_timeout).await?;
        Ok(Coordinator {
            connection: Connection::open(&endpoint).await?,
            versions: versions.clone(),
            group: Str::from(group),
        })
    }

    /// Joins with this subscription; the answer is the coordinator's, errors included.
    pub async fn join(
        &mut self,
        member_id: &Str,
        subscription: Bytes,
        (session_ms, rebalance_ms): (i32, i32),
    ) -> Result<JoinGroupResponse, ClientError> {
        let version = self.versions.of(ApiKey::JoinGroup, JOIN_GROUP)?;
        let protocol = JoinGroupRequestProtocol { name: Str::from(PROTOCOL), metadata: subscription };
        let request = JoinGroupRequest {
            group_id: self.group.clone(),
            session_timeout_ms: session_ms,
            rebalance_timeout_ms: rebalance_ms,
            member_id: member_id.clone(),
            protocol_type: Str::from(PROTOCOL_TYPE),
            protocols: vec![protocol],
            ..Default::default()
        };
        // The coordinator holds it for the others: `AbstractCoordinator.sendJoinGroupRequest` of Kafka.
        let rebalance = Duration::from_millis(u64::from(rebalance_ms.max(0).unsigned_abs()));
        let limit = self.connection.request_timeout().max(rebalance + JOIN_LAPSE);
        self.connection.call_within(limit, version, &request).await
    }

    /// The member's assignment; the leader sends everybody's.
    pub async fn sync(
        &mut self,
        membership: &Membership,
        assignments: Vec<(Str, Bytes)>,
    ) -> Result<Bytes, ClientError> {
        let version = self.versions.of(ApiKey::SyncGroup, SYNC_GROUP)?;
        let one =
            |(member_id, assignment): (Str, Bytes)| SyncGroupRequestAssignment { member_id, assignment };
        let request = SyncGroupRequest {
            group_id: self.group.clone(),
            generation_id: membership.generation,
            member_id: membership.member_id.clone(),
            protocol_type: Some(Str::from(PROTOCOL_TYPE)),
            protocol_name: Some(Str::from(PROTOCOL)),
            assignments: assignments.into_iter().map(one).collect(),
            ..Default::default()
        };
        let answer = self.connection.call(version, &request).await?;
        refuse(answer.error_code, "SyncGroup")?;
        Ok(answer.assignment)
    }

    pub async fn heartbeat(&mut self, membership: &Membership) -> Result<(), ClientError> {
        let version = self.versions.of(ApiKey::Heartbeat, HEARTBEAT)?;
        let request = HeartbeatRequest {
            group_id: self.group.clone(),
            generation_id: membership.generation,
            member_id: membership.member_id.clone(),
            ..Default::default()
        };
        refuse(self.connection.call(version, &request).await?.error_code, "Heartbeat")
    }

    /// Commits the next offsets to read of these partitions.
    pub async fn commit(
        &mut self,
        membership: &Membership,
        layout: &Layout,
        mut offsets: Vec<(i32, i64)>,
    ) -> Result<(), ClientError> {
        let version = self.versions.of(ApiKey::OffsetCommit, OFFSET_COMMIT)?;
        offsets.sort_by_key(|(partition, _)| layout.place(*partition).topic);
        let topics = layout.stretches(&offsets, |(partition, _)| *partition);
        let request = OffsetCommitRequest {
            group_id: self.group.clone(),
            generation_id_or_member_epoch: membership.generation,
            member_id: membership.member_id.clone(),
            topics: topics.map(|(name, own)| committing(layout, name, own)).collect(),
            ..Default::default()
        };
        let answer = self.connection.call(version, &request).await?;
        let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.try_for_each(|partition| refuse(partition.error_code, "OffsetCommit"))
    }

    /// The committed offsets of these partitions in their order; −1 where there is none.
    pub async fn committed(&mut self, layout: &Layout, partitions: &[i32]) -> Result<Vec<i64>, ClientError> {
        let version = self.versions.of(ApiKey::OffsetFetch, OFFSET_FETCH)?;
        let asked = |(name, own): (&str, &[i32])| OffsetFetchRequestTopic {
            name: Str::from(name),
            partition_indexes: own.iter().map(|partition| layout.index(*partition)).collect(),
        };
        let topics = layout.stretches(partitions, |partition| *partition).map(asked).collect();
        let request =
            OffsetFetchRequest { group_id: self.group.clone(), topics: Some(topics), ..Default::default() };
        let answer = self.connection.call(version, &request).await?;
        refuse(answer.error_code, "OffsetFetch")?;
        partitions.iter().map(|partition| committed_offset(&answer, layout, *partition)).collect()
    }

    pub async fn leave(&mut self, member_id: &Str) -> Result<(), ClientError> {
        let version = self.versions.of(ApiKey::LeaveGroup, LEAVE_GROUP)?;
        let member = MemberIdentity { member_id: member_id.clone(), ..Default::default() };
        let request = LeaveGroupRequest {
            group_id: self.group.clone(),
            // Up to version 2 there is one member, named here.
            member_id: if version < 3 { member_id.clone() } else { Str::default() },
            members: if version < 3 { Vec::new() } else { vec![member] },
        };
        let answer = self.connection.call(version, &request).await?;
        refuse(answer.error_code, "LeaveGroup")?;
        answer.members.iter().try_for_each(|member| refuse(member.error_code, "LeaveGroup"))
    }
}

fn committing(layout: &Layout, name: &str, offsets: &[(i32, i64)]) -> OffsetCommitRequestTopic {
    let partition = |(partition, offset): &(i32, i64)| OffsetCommitRequestPartition {
        partition_index: layout.index(*partition),
        committed_offset: *offset,
        ..Default::default()
    };
    let partitions = offsets.iter().map(partition).collect();
    OffsetCommitRequestTopic { name: Str::from(name), partitions, ..Default::default() }
}

fn committed_offset(
    answer: &OffsetFetchResponse,
    layout: &Layout,
    partition: i32,
) -> Result<i64, ClientError> {
    let (name, index) = (layout.name(partition), layout.index(partition));
    let topics = answer.topics.iter().filter(|topic| topic.name.as_str() == name);
    let found = topics.flat_map(|topic| &topic.partitions).find(|found| found.partition_index == index);
    let found = found.ok_or_else(|| ClientError::Missing(layout.title(partition)))?;
    refuse(found.error_code, "OffsetFetch").map(|()| found.committed_offset)
}

fn refuse(code: i16, what: &str) -> Result<(), ClientError> {
    let code = ErrorCode(code);
    if code.is_ok() { Ok(()) } else { Err(ClientError::refused(what, code)) }
}
