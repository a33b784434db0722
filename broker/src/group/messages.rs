//! What is asked of a group coordinator and what it answers, free of protocol versions; values only, on any shard.

use bytes::Bytes;
use kring_wire::{ErrorCode, Str, Uuid};

use super::ids::{GroupId, InstanceId, MemberId};

/// One way of a member to divide the work, with what the leader needs to know about the member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    pub name: Str,
    pub metadata: Bytes,
}

/// Who claims to act: checked against the group in one order by every request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberClaim {
    pub member_id: MemberId,
    pub instance_id: Option<InstanceId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    pub group_id: GroupId,
    pub claim: MemberClaim,
    pub client_id: Str,
    /// As Java prints an address: `/127.0.0.1`.
    pub client_host: Str,
    pub protocol_type: Str,
    pub protocols: Vec<Protocol>,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    /// Why the client joins (KIP-800), for the log.
    pub reason: Option<Str>,
    /// A member without a name is sent back with one first (KIP-394).
    pub must_know_its_id: bool,
    /// A leader may be told that there is nothing to assign (KIP-814).
    pub may_skip_assignment: bool,
    /// Random bytes for a new member id.
    pub random: Uuid,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    pub member_id: MemberId,
    pub instance_id: Option<InstanceId>,
    pub metadata: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinReply {
    pub error: ErrorCode,
    pub generation_id: i32,
    pub protocol_type: Option<Str>,
    pub protocol_name: Option<Str>,
    pub leader: MemberId,
    pub skip_assignment: bool,
    pub member_id: MemberId,
    pub members: Vec<JoinedMember>,
}

impl JoinReply {
    pub fn error(error: ErrorCode, member_id: MemberId) -> JoinReply {
        JoinReply {
            error,
            generation_id: -1,
            protocol_type: None,
            protocol_name: None,
            leader: MemberId::default(),
            skip_assignment: false,
            member_id,
            members: Vec::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    pub group_id: GroupId,
    pub claim: MemberClaim,
    pub generation_id: i32,
    pub protocol_type: Option<Str>,
    pub protocol_name: Option<Str>,
    pub assignments: Vec<(MemberId, Bytes)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncReply {
    pub error: ErrorCode,
    pub protocol_type: Option<Str>,
    pub protocol_name: Option<Str>,
    pub assignment: Bytes,
}

impl SyncReply {
    pub fn error(error: ErrorCode) -> SyncReply {
        SyncReply { error, protocol_type: None, protocol_name: None, assignment: Bytes::new() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    pub group_id: GroupId,
    pub claim: MemberClaim,
    pub generation_id: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leave {
    pub group_id: GroupId,
    pub members: Vec<LeavingMember>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeavingMember {
    pub claim: MemberClaim,
    /// Why the client leaves (KIP-800), for the log.
    pub reason: Option<Str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaveReply {
    pub error: ErrorCode,
    pub members: Vec<(MemberClaim, ErrorCode)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommit {
    pub group_id: GroupId,
    pub claim: MemberClaim,
    pub generation_id: i32,
    /// How long the offset shall live; without it the group's own retention holds.
    pub retention_ms: Option<i64>,
    /// The error for a group that is not there: `GROUP_ID_NOT_FOUND` since version 9.
    pub knows_group_id_not_found: bool,
    pub topics: Vec<CommitTopic>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitTopic {
    pub topic_id: Uuid,
    pub name: Str,
    pub partitions: Vec<CommitPartition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitPartition {
    pub partition: i32,
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: Option<Str>,
}

/// An error, or none, for each partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicErrors {
    pub topic_id: Uuid,
    pub name: Str,
    pub partitions: Vec<(i32, ErrorCode)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetFetch {
    pub group_id: GroupId,
    /// All topics of the group when there is no list.
    pub topics: Option<Vec<FetchTopic>>,
    /// Offsets inside of open transactions are errors (KIP-447).
    pub require_stable: bool,
    /// Version 1 has no place for an error but the partition.
    pub knows_group_error: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchTopic {
    pub topic_id: Uuid,
    pub name: Str,
    pub partitions: Vec<i32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetFetchReply {
    pub group_id: GroupId,
    pub error: ErrorCode,
    pub topics: Vec<FetchedTopic>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedTopic {
    pub topic_id: Uuid,
    pub name: Str,
    pub partitions: Vec<FetchedPartition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedPartition {
    pub partition: i32,
    pub error: ErrorCode,
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: Str,
}

impl FetchedPartition {
    pub fn none(partition: i32, error: ErrorCode) -> FetchedPartition {
        FetchedPartition { partition, error, offset: -1, leader_epoch: -1, metadata: Str::default() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetDelete {
    pub group_id: GroupId,
    pub topics: Vec<(Str, Vec<i32>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetDeleteReply {
    pub error: ErrorCode,
    pub topics: Vec<TopicErrors>,
}

/// Both filters take everything when they are empty; letter case does not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListGroups {
    pub states: Vec<Str>,
    pub types: Vec<Str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    pub group_id: GroupId,
    pub protocol_type: Str,
    pub state: &'static str,
    pub group_type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeGroups {
    pub groups: Vec<GroupId>,
    /// The error for a group that is not there: `GROUP_ID_NOT_FOUND` since version 6.
    pub knows_group_id_not_found: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    pub error: ErrorCode,
    pub error_message: Option<Str>,
    pub group_id: GroupId,
    pub state: &'static str,
    pub protocol_type: Str,
    pub protocol_data: Str,
    pub members: Vec<DescribedMember>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    pub member_id: MemberId,
    pub instance_id: Option<InstanceId>,
    pub client_id: Str,
    pub client_host: Str,
    pub metadata: Bytes,
    pub assignment: Bytes,
}

/// A topic that is no more: its offsets go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedTopic {
    pub topic_id: Uuid,
    pub name: Str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Join(Join),
    Sync(Sync),
    Heartbeat(Heartbeat),
    Leave(Leave),
    OffsetCommit(OffsetCommit),
    OffsetFetch(OffsetFetch),
    OffsetDelete(OffsetDelete),
    ListGroups(ListGroups),
    DescribeGroups(DescribeGroups),
    DeleteGroups(Vec<GroupId>),
    TopicsDeleted(Vec<DeletedTopic>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Join(JoinReply),
    Sync(SyncReply),
    Heartbeat(ErrorCode),
    Leave(LeaveReply),
    OffsetCommit(Vec<TopicErrors>),
    OffsetFetch(OffsetFetchReply),
    OffsetDelete(OffsetDeleteReply),
    ListGroups(Result<Vec<ListedGroup>, ErrorCode>),
    DescribeGroups(Vec<DescribedGroup>),
    DeleteGroups(Vec<(GroupId, ErrorCode)>),
    TopicsDeleted(Result<(), ErrorCode>),
}
