//! What can be asked of the controller and what it answers, free of protocol versions.
//! Never decides. Values that cross cores.

use std::ops::Range;

use kring_wire::{ErrorCode, MetadataRecord, Str, Uuid};

use super::directories::{PartitionKey, Placement};
use crate::config::ConfigMap;
use crate::metadata::{ConfigResource, Endpoint};

/// Why something was not done, as the client will see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub code: ErrorCode,
    pub message: Option<Str>,
}

impl Refused {
    pub fn new(code: ErrorCode, message: impl Into<Str>) -> Self {
        Self { code, message: Some(message.into()) }
    }

    /// With the text that Kafka has for the code.
    pub fn plain(code: ErrorCode) -> Self {
        Self::new(code, code.message())
    }

    /// Without a text, where Kafka gives none.
    pub fn silent(code: ErrorCode) -> Self {
        Self { code, message: None }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum ControllerRequest {
    RegisterBroker(Registration),
    CreateTopics {
        topics: Vec<NewTopic>,
        validate_only: bool,
    },
    /// Topics that clients or coordinators need and that are not there; those that are, are left alone.
    CreateMissing {
        names: Vec<Str>,
    },
    DeleteTopics {
        topics: Vec<TopicTarget>,
    },
    CreatePartitions {
        topics: Vec<PartitionIncrease>,
        validate_only: bool,
    },
    AlterConfigs {
        resources: Vec<ConfigAlteration>,
        validate_only: bool,
    },
    AllocateProducerIds {
        broker_id: i32,
    },
    /// A log directory of this broker went offline.
    FailDirectory {
        partitions: Vec<PartitionKey>,
        /// The directories that are left.
        left: Vec<Uuid>,
    },
    /// Logs of this broker did not open, in directories that work.
    FailPartitions {
        partitions: Vec<PartitionKey>,
    },
}

/// In the order of the request, except where Kafka itself has another one.
#[derive(Clone, Debug, PartialEq)]
pub enum ControllerReply {
    Registered {
        broker_epoch: i64,
    },
    Topics(Vec<TopicCreation>),
    Deleted(Vec<TopicDeletion>),
    Partitions(Vec<(Str, Result<(), Refused>)>),
    Configs(Vec<(AlteredResource, Result<(), Refused>)>),
    ProducerIds(Result<Range<i64>, Refused>),
    /// To either failure.
    Failed,
}

impl ControllerRequest {
    /// Whether its size follows from what a client asks for. An unclean stop elects every partition anew, and a failed
    /// directory takes the leaders of all that were in it, however many there are.
    pub fn is_of_client(&self) -> bool {
        !matches!(self, Self::RegisterBroker(_) | Self::FailDirectory { .. } | Self::FailPartitions { .. })
    }

    /// Whether the answer is wanted and the deed is not.
    pub fn validate_only(&self) -> bool {
        match self {
            Self::CreateTopics { validate_only, .. }
            | Self::CreatePartitions { validate_only, .. }
            | Self::AlterConfigs { validate_only, .. } => *validate_only,
            Self::RegisterBroker(_)
            | Self::CreateMissing { .. }
            | Self::DeleteTopics { .. }
            | Self::AllocateProducerIds { .. }
            | Self::FailDirectory { .. }
            | Self::FailPartitions { .. } => false,
        }
    }
}

impl ControllerReply {
    /// The same reply for an operation that does not happen. A registration has no such answer: without it a
    /// broker does not start.
    pub fn refused(self, why: &Refused) -> Self {
        match self {
            Self::Registered { .. } | Self::Failed => self,
            Self::Topics(mut topics) => {
                topics.iter_mut().for_each(|topic| topic.result = Err(why.clone()));
                Self::Topics(topics)
            }
            Self::Deleted(mut topics) => {
                topics.iter_mut().for_each(|topic| topic.result = Err(why.clone()));
                Self::Deleted(topics)
            }
            Self::Partitions(mut topics) => {
                topics.iter_mut().for_each(|(_, result)| *result = Err(why.clone()));
                Self::Partitions(topics)
            }
            Self::Configs(mut resources) => {
                resources.iter_mut().for_each(|(_, result)| *result = Err(why.clone()));
                Self::Configs(resources)
            }
            Self::ProducerIds(_) => Self::ProducerIds(Err(why.clone())),
        }
    }
}

/// Records to append as one batch, and the reply that may leave when they are durable.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub records: Vec<MetadataRecord>,
    pub reply: ControllerReply,
}

/// This broker, at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    pub incarnation_id: Uuid,
    /// The offset that the registration will have in the log: where the log ends now, plus
    /// the records that come before it. See [`super::Controller::registration_offset`].
    pub broker_epoch: i64,
    pub endpoints: Vec<Endpoint>,
    pub rack: Option<Str>,
    pub log_dirs: Vec<Uuid>,
    /// Whether logs may have lost their ends: then every partition gets a new leader epoch, by which
    /// consumers notice (KIP-320).
    pub after_unclean_stop: bool,
    pub placement: Placement,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewTopic {
    pub name: Str,
    /// -1 for the default.
    pub partitions: i32,
    /// -1 for the default.
    pub replication_factor: i16,
    /// Partition and its brokers; empty for the controller's choice.
    pub assignments: Vec<(i32, Vec<i32>)>,
    pub configs: Vec<(Str, Option<Str>)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TopicCreation {
    pub name: Str,
    pub result: Result<CreatedTopic, Refused>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreatedTopic {
    pub id: Uuid,
    pub partitions: i32,
    pub replication_factor: i16,
    /// Set for the topic itself.
    pub configs: ConfigMap,
}

/// A topic by name or by id, as a client named it: both and neither are possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicTarget {
    pub name: Option<Str>,
    pub id: Uuid,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDeletion {
    pub name: Option<Str>,
    pub id: Uuid,
    pub result: Result<(), Refused>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionIncrease {
    pub name: Str,
    /// Partitions afterwards.
    pub count: i32,
    /// Brokers of each additional partition; `None` for the controller's choice.
    pub assignments: Option<Vec<Vec<i32>>>,
}

/// A resource as a client named it, its kind perhaps unknown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlteredResource {
    pub kind: i8,
    pub name: Str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigAlteration {
    pub resource: AlteredResource,
    pub changes: ConfigChanges,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChanges {
    /// AlterConfigs: these, and nothing else, hold afterwards.
    Replace(Vec<(Str, Option<Str>)>),
    /// IncrementalAlterConfigs: name, operation by Kafka's number, value.
    Change(Vec<(Str, i8, Option<Str>)>),
}

impl From<&ConfigResource> for AlteredResource {
    fn from(resource: &ConfigResource) -> Self {
        Self { kind: resource.kind.code(), name: resource.name.clone() }
    }
}
