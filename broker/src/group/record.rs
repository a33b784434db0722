//! What a group coordinator stores, as values; the bytes are made in `codec`.

use bytes::Bytes;
use kring_wire::{Str, Uuid};

use super::ids::{GroupId, InstanceId, MemberId};

/// One record of `__consumer_offsets` that belongs to classic groups; no value is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Offset(OffsetKey, Option<StoredOffset>),
    Group(GroupId, Option<StoredGroup>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetKey {
    pub group_id: GroupId,
    pub topic: Str,
    pub partition: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredOffset {
    pub offset: i64,
    /// −1 when the client did not know it.
    pub leader_epoch: i32,
    pub metadata: Str,
    pub commit_timestamp_ms: i64,
    /// Set by clients that still ask for a retention of their own.
    pub expire_timestamp_ms: Option<i64>,
    /// Zero in records that are older than topic ids.
    pub topic_id: Uuid,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredGroup {
    /// Empty for a group that never had a member.
    pub protocol_type: Str,
    pub generation_id: i32,
    pub protocol_name: Option<Str>,
    pub leader: Option<MemberId>,
    pub state_timestamp_ms: Option<i64>,
    pub members: Vec<StoredMember>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMember {
    pub member_id: MemberId,
    pub instance_id: Option<InstanceId>,
    pub client_id: Str,
    pub client_host: Str,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// The member's metadata for the group's protocol.
    pub subscription: Bytes,
    pub assignment: Bytes,
}
