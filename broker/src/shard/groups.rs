//! The group coordinators of this core: one for each `__consumer_offsets` partition that it owns.
//! Never decides about a group; hands requests to the partition's driver.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use kring_runtime::channel;
use kring_wire::record::{Codec, Compression};
use kring_wire::{ErrorCode, Str};

use super::{ReplyTo, Shard};
use crate::config::BrokerConfig;
use crate::coordinator::{Coordinator, Driver};
use crate::group::messages::{DeletedTopic, Reply, Request};
use crate::group::{GroupCoordinator, GroupSettings};
use crate::metadata::names;
use crate::partition::Partition;

pub(super) struct Groups {
    settings: GroupSettings,
    compression: Compression,
    /// By partition of `__consumer_offsets`.
    drivers: RefCell<BTreeMap<i32, Driver<GroupCoordinator>>>,
}

impl Groups {
    pub fn new(config: &BrokerConfig) -> Self {
        let codec = u8::try_from(config.offsets.topic_codec).ok().and_then(Codec::from_id);
        Self {
            settings: GroupSettings::from(config),
            compression: codec.map_or(Compression::NONE, Compression::default_of),
            drivers: RefCell::default(),
        }
    }

    /// Starts the coordinator of a partition that this core has from now on, if it is one that has a coordinator.
    pub fn adopt(&self, topic: &Str, partition: Rc<Partition>) {
        if &**topic != names::CONSUMER_OFFSETS {
            return;
        }
        let index = partition.id().index;
        let machine = GroupCoordinator::new(self.settings.clone());
        let driver = Driver::start(partition, machine, self.compression);
        if let Some(old) = self.drivers.borrow_mut().insert(index, driver) {
            old.close();
        }
    }

    /// Ends the coordinator of a partition that goes.
    pub fn drop_partition(&self, partition: &Partition) {
        let index = partition.id().index;
        let is_its = |driver: &Driver<GroupCoordinator>| driver.partition().id() == partition.id();
        let known = self.drivers.borrow().get(&index).is_some_and(is_its);
        if known && let Some(driver) = self.drivers.borrow_mut().remove(&index) {
            driver.close();
        }
    }

    /// The offsets of these topics go.
    pub fn topics_deleted(&self, topics: &[DeletedTopic]) {
        if topics.is_empty() {
            return;
        }
        for driver in self.drivers.borrow().values() {
            // Nobody waits: what is not forgotten now expires.
            let (reply_to, _) = channel::oneshot();
            driver.submit(Request::TopicsDeleted(topics.to_vec()), reply_to);
        }
    }

    pub fn unload(&self) {
        for driver in std::mem::take(&mut *self.drivers.borrow_mut()).into_values() {
            driver.close();
        }
    }
}

impl Shard {
    pub(super) fn group(&self, partition: i32, request: Request, reply_to: ReplyTo<Reply>) {
        let driver = self.groups.drivers.borrow().get(&partition).cloned();
        match driver {
            Some(driver) => driver.submit(request, reply_to),
            None => super::give(reply_to, GroupCoordinator::refuse(&request, ErrorCode::NOT_COORDINATOR)),
        }
    }
}
