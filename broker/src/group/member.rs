//! One member of a classic group; a value inside its group.

use bytes::Bytes;
use kring_wire::Str;

use super::ids::{InstanceId, MemberId};
use super::messages::{Join, Protocol};
use super::record::StoredMember;
use crate::coordinator::Token;

#[derive(Clone, Debug)]
pub struct Member {
    pub member_id: MemberId,
    pub instance_id: Option<InstanceId>,
    pub client_id: Str,
    pub client_host: Str,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    pub protocol_type: Str,
    /// In the order of the member's preference.
    pub protocols: Vec<Protocol>,
    pub assignment: Bytes,
    /// Who waits for the join phase to end.
    pub awaiting_join: Option<Token>,
    /// Who waits for the leader's assignment.
    pub awaiting_sync: Option<Token>,
    /// It has not been told its generation yet, so that it cannot send heartbeats.
    pub is_new: bool,
}

impl Member {
    pub fn from_join(member_id: MemberId, join: Join, token: Token) -> Member {
        Member {
            member_id,
            instance_id: join.claim.instance_id,
            client_id: join.client_id,
            client_host: join.client_host,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            session_timeout_ms: join.session_timeout_ms,
            protocol_type: join.protocol_type,
            protocols: join.protocols,
            assignment: Bytes::new(),
            awaiting_join: Some(token),
            awaiting_sync: None,
            is_new: true,
        }
    }

    /// A record keeps the metadata of the group's protocol only.
    pub fn from_record(stored: StoredMember, protocol_type: Str, protocol_name: Str) -> Member {
        Member {
            member_id: stored.member_id,
            instance_id: stored.instance_id,
            client_id: stored.client_id,
            client_host: stored.client_host,
            rebalance_timeout_ms: stored.rebalance_timeout_ms,
            session_timeout_ms: stored.session_timeout_ms,
            protocol_type,
            protocols: vec![Protocol { name: protocol_name, metadata: stored.subscription }],
            assignment: stored.assignment,
            awaiting_join: None,
            awaiting_sync: None,
            is_new: false,
        }
    }

    /// What the member says under this protocol; nothing when it does not know it.
    pub fn metadata(&self, protocol_name: &str) -> Bytes {
        let named = self.protocols.iter().find(|protocol| &*protocol.name == protocol_name);
        named.map(|protocol| protocol.metadata.clone()).unwrap_or_default()
    }

    /// A parked request shows that the member is alive, unless it is the member's first.
    pub fn shows_life(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }
}
