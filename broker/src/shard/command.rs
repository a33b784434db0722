//! What one core asks of another: a closed enum, one command per owning shard and request.
//! Never holds what belongs to a core; everything in here is sent as a value.

use std::sync::Arc;

use kring_runtime::Monotonic;
use kring_runtime::channel::ReplySender;

use super::gate::FetchGate;
use crate::controller::{ControllerReply, ControllerRequest, PartitionKey};
use crate::group::messages::{Reply as GroupReply, Request as GroupRequest};
use crate::metadata::Image;
use crate::partition::{
    Acks, EpochQuery, FetchEntry, Fetched, ListedOffset, Offered, OffsetQuery, PartitionId, PartitionSize,
    Produced, Refusal,
};

/// Where a reply goes: back to the core that asked.
pub type ReplyTo<T> = ReplySender<T>;

/// In the order of the entries that were asked for.
pub type Answers<T> = Vec<Result<T, Refusal>>;

/// How long and for how much a fetch waits; the same for all shards of one request.
#[derive(Clone)]
pub struct FetchTerms {
    pub max_bytes: u32,
    pub deadline: Monotonic,
    pub gate: Arc<FetchGate>,
    /// Other shards answer the same request.
    pub is_shared: bool,
    /// What they answer together may be above `max_bytes`, and is cut to it then.
    pub may_be_cut: bool,
}

/// Everything that one core may ask of another.
pub enum Command {
    Produce {
        acks: Acks,
        /// Until when acks=all waits.
        deadline: Monotonic,
        entries: Vec<(PartitionId, Offered)>,
        reply_to: ReplyTo<Answers<Produced>>,
    },
    Fetch {
        terms: FetchTerms,
        entries: Vec<(PartitionId, FetchEntry)>,
        reply_to: ReplyTo<Answers<Fetched>>,
    },
    ListOffsets {
        entries: Vec<(PartitionId, OffsetQuery)>,
        reply_to: ReplyTo<Answers<ListedOffset>>,
    },
    EpochEnds {
        entries: Vec<(PartitionId, EpochQuery)>,
        reply_to: ReplyTo<Answers<(i32, i64)>>,
    },
    DeleteRecords {
        entries: Vec<(PartitionId, i64)>,
        reply_to: ReplyTo<Answers<i64>>,
    },
    Sizes {
        reply_to: ReplyTo<Vec<PartitionSize>>,
    },
    Group {
        partition: i32,
        request: GroupRequest,
        reply_to: ReplyTo<GroupReply>,
    },
    Controller {
        request: ControllerRequest,
        reply_to: ReplyTo<ControllerReply>,
    },
    /// A new image; answered when this shard's partitions follow it, with those that could not be opened.
    Publish {
        image: Arc<Image>,
        reply_to: ReplyTo<Vec<PartitionKey>>,
    },
}
