//! The group coordinators of this core: one for each `__consumer_offsets` partition that it owns.

use std::rc::Rc;

use kring_wire::{ErrorCode, Str};

use super::{ReplyTo, Shard};
use crate::config::BrokerConfig;
use crate::coordinator::Coordinator;
use crate::group::GroupCoordinator;
use crate::group::messages::{Reply, Request};
use crate::partition::Partition;

pub(super) struct Groups {}

impl Groups {
    pub fn new(_config: &BrokerConfig) -> Self {
        Self {}
    }
    pub fn adopt(&self, _topic: &Str, _partition: Rc<Partition>) {}
    pub fn drop_partition(&self, _partition: &Partition) {}
    pub fn unload(&self) {}
}

impl Shard {
    pub(super) fn group(&self, partition: i32, request: Request, reply_to: ReplyTo<Reply>) {
        let _ = partition;
        super::give(reply_to, GroupCoordinator::refuse(&request, ErrorCode::NOT_COORDINATOR));
    }
}
