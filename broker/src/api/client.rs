//! What a handler knows of the connection it answers, and of the shard it runs on.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use kring_wire::record::{RecordError, Rules, ValidatedBatch, Validator};
use kring_wire::{ErrorCode, Str};

use super::fetch_session::SessionCache;
use crate::partition::PartitionId;
use crate::shard::Shard;

/// What all connections of one shard share.
pub struct ApiState {
    pub shard: Rc<Shard>,
    pub(super) sessions: RefCell<SessionCache>,
    validator: RefCell<Validator>,
}

impl ApiState {
    pub fn new(shard: Rc<Shard>) -> Rc<Self> {
        let slots = shard.config().requests.fetch_session_slots as usize / shard.mesh.shards();
        let sessions = RefCell::new(SessionCache::new(slots));
        Rc::new(Self { shard, sessions, validator: RefCell::default() })
    }
}

/// One connection as its handlers see it.
pub struct Client {
    pub shard: Rc<Shard>,
    pub(super) state: Rc<ApiState>,
    /// The name of the listener it came in by: it decides which addresses the client is told.
    pub listener: String,
    pub peer: SocketAddr,
}

impl Client {
    pub fn new(state: Rc<ApiState>, listener: String, peer: SocketAddr) -> Rc<Self> {
        Rc::new(Self { shard: state.shard.clone(), state, listener, peer })
    }

    pub fn max_request_bytes(&self) -> usize {
        self.shard.config().sockets.request_max_bytes as usize
    }

    /// The partition of that name, as far as the metadata knows it.
    pub(super) fn find(&self, topic: &Str, index: i32) -> Result<PartitionId, ErrorCode> {
        let image = self.shard.image();
        let topic = image.topic(topic).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        match (0..topic.partition_count()).contains(&index) {
            true => Ok(PartitionId { topic: topic.id, index }),
            false => Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        }
    }

    pub(super) fn is_internal(&self, topic: &Str) -> bool {
        self.shard.image().topic(topic).is_some_and(|topic| topic.is_internal())
    }

    /// Validates with this shard's scratch buffers.
    pub(super) fn validate(
        &self,
        records: &Bytes,
        crc_is_good: bool,
        rules: &Rules,
        now_ms: i64,
    ) -> Result<ValidatedBatch, RecordError> {
        self.state.validator.borrow_mut().validate_with_crc(records, crc_is_good, rules, now_ms)
    }
}
