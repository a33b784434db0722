//! What a start writes: the features that are on, this broker, and who leads its partitions.
//! Never waits for a quorum: this node is all of it.

use kring_wire::MetadataRecord;
use kring_wire::messages::feature_level_record::FeatureLevelRecord;
use kring_wire::messages::register_broker_record::{BrokerEndpoint, BrokerFeature, RegisterBrokerRecord};

use super::directories::{self, Placement};
use super::types::{ControllerReply, Outcome, Registration};
use super::{Controller, election};
use crate::metadata::features::{METADATA_FEATURE, METADATA_VERSION, SUPPORTED, Supported};
use crate::metadata::{Endpoint, Image};

pub fn register(controller: &Controller, registration: Registration) -> Outcome {
    let (image, node_id) = (controller.image(), controller.node_id());
    let mut records = features(image);
    let broker_epoch = registration.broker_epoch;
    let (is_unclean, placement) = (registration.after_unclean_stop, registration.placement.clone());
    records.push(broker_record(node_id, registration));
    records.extend(elections(controller, is_unclean, &placement));
    Outcome { records, reply: ControllerReply::Registered { broker_epoch } }
}

/// Features that are not on yet. Others that Kafka turns on (new consumer groups, transactions, share and
/// streams groups) stay off until they are there: clients choose their protocol by them.
fn features(image: &Image) -> Vec<MetadataRecord> {
    if image.feature(METADATA_FEATURE) > 0 {
        return Vec::new();
    }
    let record = FeatureLevelRecord { name: METADATA_FEATURE.into(), feature_level: METADATA_VERSION };
    vec![record.into()]
}

/// Records before the broker's own in a registration.
pub fn records_before(image: &Image) -> usize {
    features(image).len()
}

fn broker_record(broker_id: i32, from: Registration) -> MetadataRecord {
    let endpoint = |e: Endpoint| BrokerEndpoint {
        name: e.listener,
        host: e.host,
        port: e.port,
        security_protocol: e.security_protocol,
    };
    let feature = |f: &Supported| BrokerFeature {
        name: f.name.into(),
        min_supported_version: f.min,
        max_supported_version: f.max,
    };
    let record = RegisterBrokerRecord {
        broker_id,
        incarnation_id: from.incarnation_id,
        broker_epoch: from.broker_epoch,
        end_points: from.endpoints.into_iter().map(endpoint).collect(),
        features: SUPPORTED.iter().map(feature).collect(),
        rack: from.rack,
        // There is no quorum to catch up with, so the broker starts unfenced.
        fenced: false,
        log_dirs: from.log_dirs,
        ..RegisterBrokerRecord::default()
    };
    record.into()
}

/// This node leads whatever it may lead and has found: after an unclean stop in a new epoch, else only where it
/// does not lead already (a directory that Apache Kafka closed has no leaders).
fn elections(controller: &Controller, is_unclean: bool, placement: &Placement) -> Vec<MetadataRecord> {
    let (image, node_id) = (controller.image(), controller.node_id());
    let mut records = Vec::new();
    for topic in image.topics() {
        let config = || controller.config().topic(&image.topic_configs(&topic.name));
        for (index, partition) in topic.numbered() {
            let claim = election::claim(partition, node_id, || config().is_unclean_election_allowed);
            let Some(claim) = claim else { continue };
            let (key, claimant) = ((topic.id, index), (node_id, claim));
            records.extend(directories::settle(key, partition, claimant, placement, is_unclean));
        }
    }
    records
}
