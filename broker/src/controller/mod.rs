//! Admin requests become KRaft records: a plain state machine whose state is the image.
//! Never waits, never reads a clock, never appends: it hands out records and a reply, and follows the records
//! by [`Controller::replay`] when they have been appended. Lives on the first core.
//!
//! | file | decides |
//! |---|---|
//! | `registration` | what a start writes |
//! | `create_topics`, `missing_topics`, `placement` | new topics |
//! | `create_partitions`, `delete_topics` | more partitions, no topic |
//! | `directories` | what failed log directories, and logs that do not open, mean for leaders |
//! | `election` | which partitions this node may lead |
//! | `configs` | settings of topics, the broker, groups |
//! | `producer_ids` | blocks of producer ids |
//!
//! All records of one request go into one batch, so it happens whole or not at all.

mod configs;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod directories;
mod election;
mod missing_topics;
mod placement;
mod producer_ids;
mod registration;
#[cfg(test)]
mod tests;
mod types;

use std::sync::Arc;

use kring_wire::{ErrorCode, MetadataRecord, Uuid};

pub use directories::{PartitionKey, Placement};
pub use types::{
    AlteredResource, ConfigAlteration, ConfigChanges, ControllerReply, ControllerRequest, CreatedTopic,
    NewTopic, Outcome, PartitionIncrease, Refused, Registration, TopicCreation, TopicDeletion, TopicTarget,
};

use crate::config::BrokerConfig;
use crate::metadata::{Image, ReplayError, ResourceKind};

/// Records of one operation. More would be one batch of many megabytes; Kafka's controller stops at the same number.
const MAX_RECORDS: usize = 10_000;

/// The one that decides about metadata.
#[derive(Debug)]
pub struct Controller {
    node_id: i32,
    /// As the node was started, without dynamic values.
    started_with: Arc<BrokerConfig>,
    config: Arc<BrokerConfig>,
    image: Arc<Image>,
}

impl Controller {
    /// From the end of the metadata log.
    pub fn new(config: Arc<BrokerConfig>, image: Image) -> Self {
        let dynamic = Arc::new(image.broker_config(&config));
        Self { node_id: config.node.id, started_with: config, config: dynamic, image: Arc::new(image) }
    }

    pub fn node_id(&self) -> i32 {
        self.node_id
    }

    /// After every record that was replayed, durable or not.
    pub fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// With the dynamic values of the image.
    pub fn config(&self) -> &Arc<BrokerConfig> {
        &self.config
    }

    /// The offset at which the next registration's own record will stand, when the log ends at `log_end`.
    pub fn registration_offset(&self, log_end: i64) -> i64 {
        log_end + i64::try_from(registration::records_before(&self.image)).expect("a handful")
    }

    /// Decides. New ids come from `ids`; nothing changes until the records are replayed.
    pub fn handle(&self, request: ControllerRequest, ids: &mut dyn FnMut() -> Uuid) -> Outcome {
        let validate_only = request.validate_only();
        let is_bounded = request.is_of_client();
        let Outcome { mut records, mut reply } = self.decide(request, ids);
        if is_bounded && records.len() > MAX_RECORDS {
            records.clear();
            let message = "Unable to perform excessively large batch operation.";
            reply = reply.refused(&Refused::new(ErrorCode::POLICY_VIOLATION, message));
        }
        if validate_only {
            records.clear();
        }
        Outcome { records, reply }
    }

    fn decide(&self, request: ControllerRequest, ids: &mut dyn FnMut() -> Uuid) -> Outcome {
        use ControllerRequest as R;
        match request {
            R::RegisterBroker(broker) => registration::register(self, broker),
            R::CreateTopics { topics, .. } => create_topics::create(self, topics, ids),
            R::CreateMissing { names } => missing_topics::create(self, names, ids),
            R::DeleteTopics { topics } => delete_topics::delete(&self.image, topics),
            R::CreatePartitions { topics, .. } => create_partitions::create(&self.image, topics),
            R::AlterConfigs { resources, .. } => configs::alter(self, resources),
            R::AllocateProducerIds { broker_id } => producer_ids::allocate(&self.image, broker_id),
            R::FailDirectory { partitions, left } => {
                directories::fail(&self.image, self.node_id, &partitions, left)
            }
            R::FailPartitions { partitions } => {
                directories::fail_partitions(&self.image, self.node_id, &partitions)
            }
        }
    }

    /// Follows records, live as at load: the only way to change the controller. Other copies of the image stay
    /// as they are.
    ///
    /// # Errors
    /// When the records do not fit the image: the log is not what this controller decided.
    pub fn replay(&mut self, records: &[MetadataRecord]) -> Result<(), ReplayError> {
        let image = Arc::make_mut(&mut self.image);
        records.iter().try_for_each(|record| image.apply(record))?;
        let is_broker_config = |record: &MetadataRecord| matches!(record, MetadataRecord::Config(c) if c.resource_type == ResourceKind::Broker.code());
        if records.iter().any(is_broker_config) {
            self.config = Arc::new(self.image.broker_config(&self.started_with));
        }
        Ok(())
    }
}
