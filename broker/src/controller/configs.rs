//! AlterConfigs and IncrementalAlterConfigs: what is asked becomes configuration records, or Kafka's refusal.
//! Never applies a setting: whoever reads the image does. Which values are allowed is the configuration's part.

use std::collections::BTreeSet;

use kring_wire::messages::config_record::ConfigRecord;
use kring_wire::{ErrorCode, MetadataRecord, Str};

use super::Controller;
use super::types::{AlteredResource, ConfigAlteration, ConfigChanges, ControllerReply, Outcome, Refused};
use crate::config::{
    AlterError, AlterOp, Alteration, BrokerScope, ConfigChange, ConfigMap, alter_broker, alter_group,
    alter_topic, check_request, replace_broker, replace_group, replace_topic,
};
use crate::metadata::{ConfigResource, ResourceKind, names};

/// The longest string of Kafka's protocol, and so of its metadata records.
const MAX_VALUE_BYTES: usize = i16::MAX as usize;

pub fn alter(controller: &Controller, resources: Vec<ConfigAlteration>) -> Outcome {
    let mut seen = BTreeSet::new();
    let again = resources.iter().filter(|r| !seen.insert(&r.resource));
    let repeated: BTreeSet<AlteredResource> = again.map(|r| r.resource.clone()).collect();
    let (mut records, mut results) = (Vec::new(), Vec::new());
    for ConfigAlteration { resource, changes } in resources {
        let result = if repeated.contains(&resource) {
            Err(invalid_request("Each resource must appear at most once."))
        } else {
            decide(controller, &resource, &changes).map(|mut more| records.append(&mut more))
        };
        results.push((resource, result));
    }
    Outcome { records, reply: ControllerReply::Configs(results) }
}

fn decide(
    controller: &Controller,
    resource: &AlteredResource,
    changes: &ConfigChanges,
) -> Result<Vec<MetadataRecord>, Refused> {
    let asked = Asked::try_from(changes)?;
    check_request(&asked.alterations)?;
    let unknown = || invalid_request(format!("Unknown resource type {}", resource.kind));
    let kind = ResourceKind::from_code(resource.kind).ok_or_else(unknown)?;
    let resource = ConfigResource { kind, name: resource.name.clone() };
    let changes = match kind {
        ResourceKind::Topic => of_topic(controller, &resource, &asked)?,
        ResourceKind::Broker => of_broker(controller, &resource.name, &asked)?,
        ResourceKind::Group => of_group(controller, &resource, &asked)?,
        ResourceKind::BrokerLogger if !asked.is_replacement => {
            return Err(logger_refusal(controller, &resource.name, &asked.alterations));
        }
        // There are no client metrics, and so nothing to subscribe to.
        ResourceKind::BrokerLogger | ResourceKind::ClientMetrics => return Err(unknown()),
    };
    changes.into_iter().map(|change| record(&resource, change)).collect()
}

/// Both requests in one form: a replacement sets each name.
struct Asked {
    is_replacement: bool,
    alterations: Vec<Alteration>,
}

impl TryFrom<&ConfigChanges> for Asked {
    type Error = Refused;

    fn try_from(changes: &ConfigChanges) -> Result<Self, Refused> {
        let owned = |text: &Str| text.to_string();
        let set = |(name, value): &(Str, Option<Str>)| Alteration {
            name: owned(name),
            op: AlterOp::Set,
            value: value.as_ref().map(owned),
        };
        let change = |(name, code, value): &(Str, i8, Option<Str>)| {
            let op = AlterOp::from_code(*code)?;
            Ok(Alteration { name: owned(name), op, value: value.as_ref().map(owned) })
        };
        let alterations = match changes {
            ConfigChanges::Replace(wanted) => wanted.iter().map(set).collect(),
            ConfigChanges::Change(list) => list.iter().map(change).collect::<Result<_, AlterError>>()?,
        };
        Ok(Self { is_replacement: matches!(changes, ConfigChanges::Replace(_)), alterations })
    }
}

impl Asked {
    fn wanted(&self) -> ConfigMap {
        let pair = |a: &Alteration| (a.name.clone(), a.value.clone().unwrap_or_default());
        self.alterations.iter().map(pair).collect()
    }
}

fn of_topic(
    controller: &Controller,
    resource: &ConfigResource,
    asked: &Asked,
) -> Result<Vec<ConfigChange>, Refused> {
    let name = &resource.name;
    if name.is_empty() {
        return Err(invalid_request("Default topic resources are not allowed."));
    }
    names::check_topic_name(name).map_err(|text| Refused::new(ErrorCode::INVALID_TOPIC_EXCEPTION, text))?;
    let existing = controller.image().topic_configs(name);
    let changes = match asked.is_replacement {
        true => replace_topic(&existing, &asked.wanted())?,
        false => alter_topic(&existing, &asked.alterations)?,
    };
    if controller.image().topic_id(name).is_none() {
        let message = format!("The topic '{name}' does not exist.");
        return Err(Refused::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message));
    }
    Ok(changes)
}

fn of_broker(controller: &Controller, name: &str, asked: &Asked) -> Result<Vec<ConfigChange>, Refused> {
    let scope = if name.is_empty() { BrokerScope::AllBrokers } else { BrokerScope::ThisBroker };
    let expected = controller.node_id();
    if !name.is_empty() && node_id(name)? != expected {
        let message = format!("Unexpected broker id, expected {expected}, but received {name}");
        return Err(invalid_request(message));
    }
    Ok(match asked.is_replacement {
        true => replace_broker(controller.config(), scope, &asked.wanted())?,
        false => alter_broker(controller.config(), scope, &asked.alterations)?,
    })
}

fn of_group(
    controller: &Controller,
    resource: &ConfigResource,
    asked: &Asked,
) -> Result<Vec<ConfigChange>, Refused> {
    if resource.name.is_empty() {
        return Err(invalid_request("Default group resources are not allowed."));
    }
    let existing = controller.image().configs(resource).cloned().unwrap_or_default();
    Ok(match asked.is_replacement {
        true => replace_group(controller.config(), &existing, &asked.wanted())?,
        false => alter_group(controller.config(), &existing, &asked.alterations)?,
    })
}

/// There are no loggers by Java's class names, so whatever a well-formed request names is not there.
fn logger_refusal(controller: &Controller, name: &str, alterations: &[Alteration]) -> Refused {
    let expected = controller.node_id();
    match node_id(name) {
        Err(refused) => return refused,
        Ok(id) if id != expected => {
            return invalid_request(format!("Unexpected node id. Expected {expected}, but received {name}"));
        }
        Ok(_) => {}
    }
    let list = |a: &&Alteration| matches!(a.op, AlterOp::Append | AlterOp::Subtract);
    match (alterations.iter().find(list), alterations.first()) {
        (Some(list), _) => {
            let op = if list.op == AlterOp::Append { "APPEND" } else { "SUBTRACT" };
            invalid_request(format!("{op} operation is not allowed for the BROKER_LOGGER resource"))
        }
        (None, Some(first)) => {
            Refused::new(ErrorCode::INVALID_CONFIG, format!("Logger {} does not exist!", first.name))
        }
        (None, None) => invalid_request("There are no loggers to change."),
    }
}

fn node_id(name: &str) -> Result<i32, Refused> {
    name.parse().map_err(|_| invalid_request(format!("Node id must be an integer, but it is: {name}")))
}

fn invalid_request(message: impl Into<Str>) -> Refused {
    Refused::new(ErrorCode::INVALID_REQUEST, message)
}

/// A value that grew beyond what a record can hold, piece by piece, is refused in Kafka's words.
fn record(resource: &ConfigResource, change: ConfigChange) -> Result<MetadataRecord, Refused> {
    if change.value.as_ref().is_some_and(|value| value.len() > MAX_VALUE_BYTES) {
        let message = format!(
            "The configuration value cannot be added because it exceeds the maximum value size of {MAX_VALUE_BYTES} bytes."
        );
        return Err(Refused::new(ErrorCode::INVALID_CONFIG, message));
    }
    let record = ConfigRecord {
        resource_type: resource.kind.code(),
        resource_name: resource.name.clone(),
        name: change.name.into(),
        value: change.value.map(Str::from),
    };
    Ok(record.into())
}

impl From<AlterError> for Refused {
    fn from(error: AlterError) -> Self {
        Self::new(error.code, error.message)
    }
}
