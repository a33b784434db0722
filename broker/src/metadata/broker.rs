//! A registered broker: where it listens and which epoch it holds. Never opens a socket. Any core.

use kring_wire::messages::register_broker_record::{BrokerEndpoint, RegisterBrokerRecord};
use kring_wire::{Str, Uuid};

use super::partition::is_reserved_directory;

/// Where clients of one listener reach a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub listener: Str,
    pub host: Str,
    pub port: u16,
    /// Kafka's number: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    pub security_protocol: i16,
}

/// A feature level that a broker could run at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureRange {
    pub name: Str,
    pub min: i16,
    pub max: i16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    pub id: i32,
    /// The offset of its registration in the metadata log.
    pub epoch: i64,
    /// New at every start.
    pub incarnation_id: Uuid,
    pub endpoints: Vec<Endpoint>,
    pub features: Vec<FeatureRange>,
    pub rack: Option<Str>,
    /// A fenced broker is not shown to clients of the broker listener.
    pub is_fenced: bool,
    pub is_shutting_down: bool,
    pub log_dirs: Vec<Uuid>,
}

impl Broker {
    /// Whether a replica in this directory can be served. What is not recorded is taken to be (KIP-858).
    pub fn has_online_dir(&self, id: Uuid) -> bool {
        match id {
            Uuid::LOST_DIRECTORY => false,
            id if is_reserved_directory(id) => true,
            id => self.log_dirs.is_empty() || self.log_dirs.contains(&id),
        }
    }

    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| &*endpoint.listener == listener)
    }
}

impl From<&RegisterBrokerRecord> for Broker {
    fn from(record: &RegisterBrokerRecord) -> Self {
        let feature = |f: &kring_wire::messages::register_broker_record::BrokerFeature| FeatureRange {
            name: f.name.detach(),
            min: f.min_supported_version,
            max: f.max_supported_version,
        };
        Self {
            id: record.broker_id,
            epoch: record.broker_epoch,
            incarnation_id: record.incarnation_id,
            endpoints: record.end_points.iter().map(Endpoint::from).collect(),
            features: record.features.iter().map(feature).collect(),
            rack: record.rack.as_ref().map(Str::detach),
            is_fenced: record.fenced,
            is_shutting_down: record.in_controlled_shutdown,
            log_dirs: record.log_dirs.clone(),
        }
    }
}

impl From<&BrokerEndpoint> for Endpoint {
    fn from(endpoint: &BrokerEndpoint) -> Self {
        Self {
            listener: endpoint.name.detach(),
            host: endpoint.host.detach(),
            port: endpoint.port,
            security_protocol: endpoint.security_protocol,
        }
    }
}
