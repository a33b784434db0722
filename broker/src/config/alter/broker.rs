//! What may be changed of a running broker, or of all. Mistakes are mostly INVALID_REQUEST.
//! Never stores a change. Pure functions: any core.

use super::{AlterError, AlterOp, Alteration, ConfigChange, apply, check_request, differences};
use crate::config::broker::check_dynamic;
use crate::config::property::{Kind, Property, Update};
use crate::config::{BrokerConfig, ConfigMap, defs, value};

/// Which brokers a dynamic broker property is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerScope {
    ThisBroker,
    AllBrokers,
}

/// IncrementalAlterConfigs for this broker or for all. Every alteration is a change, as in Kafka,
/// where writing the same value again makes brokers read their key stores anew.
///
/// # Errors
/// Nothing is changed if anything is wrong with the result.
pub fn alter_broker(
    config: &BrokerConfig,
    scope: BrokerScope,
    alterations: &[Alteration],
) -> Result<Vec<ConfigChange>, AlterError> {
    check_request(alterations)?;
    let existing = existing_of(config, scope);
    let mut altered = existing.clone();
    for alteration in alterations {
        check_splittable(alteration)?;
        apply(&mut altered, alteration, defs::broker_property(&alteration.name));
    }
    validate_broker_overrides(config, scope, &altered)?;
    let change = |alteration: &Alteration| ConfigChange {
        value: altered.get(&alteration.name).cloned(),
        name: alteration.name.clone(),
    };
    Ok(alterations.iter().map(change).collect())
}

/// AlterConfigs for this broker or for all: these dynamic values and no others.
///
/// # Errors
/// As [`validate_broker_overrides`].
pub fn replace_broker(
    config: &BrokerConfig,
    scope: BrokerScope,
    wanted: &ConfigMap,
) -> Result<Vec<ConfigChange>, AlterError> {
    validate_broker_overrides(config, scope, wanted)?;
    Ok(differences(existing_of(config, scope), wanted))
}

fn existing_of(config: &BrokerConfig, scope: BrokerScope) -> &ConfigMap {
    match scope {
        BrokerScope::ThisBroker => &config.layers().broker,
        BrokerScope::AllBrokers => &config.layers().cluster,
    }
}

fn check_splittable(alteration: &Alteration) -> Result<(), AlterError> {
    let name = &alteration.name;
    let verb = match alteration.op {
        AlterOp::Set | AlterOp::Delete => return Ok(()),
        AlterOp::Append => "append",
        AlterOp::Subtract => "subtract",
    };
    match defs::broker_property(name) {
        None => Err(AlterError::config(format!("Unknown config name: {name}"))),
        Some(property) if property.kind == Kind::List => Ok(()),
        Some(_) => {
            Err(AlterError::config(format!("Config value {verb} is not allowed for config key: {name}")))
        }
    }
}

/// Whether the broker may have exactly these dynamic values. Names that nobody knows are let
/// through, as Kafka does for its plug-ins.
///
/// # Errors
/// INVALID_REQUEST with Kafka's sentence.
pub fn validate_broker_overrides(
    config: &BrokerConfig,
    scope: BrokerScope,
    overrides: &ConfigMap,
) -> Result<(), AlterError> {
    let is_fixed = |name: &str| defs::broker_property(name).is_some_and(|p| !p.is_dynamic());
    refuse_any(overrides, is_fixed, "Cannot update these configs dynamically")?;
    refuse_any(
        overrides,
        |name| name.starts_with("ssl.") && defs::broker_property(name).is_some(),
        "These security configs can be dynamically updated only per-listener using the listener prefix",
    )?;
    for (name, text) in overrides {
        if let Some(property) = dynamic_row(name) {
            value::parse(property, text).map_err(|error| AlterError::request(error.0))?;
        }
    }
    if scope == BrokerScope::AllBrokers {
        let sentence = "Cannot update these configs at default cluster level, broker id must be specified";
        refuse_any(overrides, is_per_broker, sentence)?;
    }
    check_result(config, scope, overrides)
}

/// The row that a dynamic name is checked by.
fn dynamic_row(name: &str) -> Option<&'static Property> {
    defs::broker_property(name)
        .or_else(|| defs::dynamic_only_property(name))
        .or_else(|| defs::broker_property(defs::without_listener_prefix(name)?))
}

fn is_per_broker(name: &str) -> bool {
    const FOR_ALL: [&str; 3] = ["max.connections", "max.connection.creation.rate", "num.network.threads"];
    match defs::without_listener_prefix(name) {
        Some(plain) => !FOR_ALL.contains(&plain),
        None => defs::broker_property(name).is_some_and(|property| property.update == Update::PerBroker),
    }
}

fn refuse_any(
    overrides: &ConfigMap,
    is_refused: impl Fn(&str) -> bool,
    sentence: &str,
) -> Result<(), AlterError> {
    let names: Vec<_> = overrides.keys().map(String::as_str).filter(|name| is_refused(name)).collect();
    if names.is_empty() {
        return Ok(());
    }
    Err(AlterError::request(format!("{sentence}: [{}]", names.join(", "))))
}

/// The rules that concern the whole configuration, on what it would be.
fn check_result(config: &BrokerConfig, scope: BrokerScope, overrides: &ConfigMap) -> Result<(), AlterError> {
    let mut layers = config.layers().clone();
    match scope {
        BrokerScope::ThisBroker => layers.broker = overrides.clone().into(),
        BrokerScope::AllBrokers => layers.cluster = overrides.clone().into(),
    }
    check_dynamic(&layers)
        .map_err(|(_, message)| AlterError::request(format!("requirement failed: {message}")))
}

#[cfg(test)]
mod tests {
    use super::super::AlterOp::{self, Delete, Set};
    use super::super::tests::{broker, map, ops, transcript};
    use super::*;

    fn of_broker(scope: BrokerScope, list: &[(AlterOp, &str, &str)]) -> String {
        match alter_broker(&broker(), scope, &ops(list)) {
            Ok(changes) => format!("{} changes", changes.len()),
            Err(error) => error.to_string(),
        }
    }

    /// What Apache Kafka 4.3.1 answered to each.
    const ANSWERS: &str = "\
set num.partitions 3 => INVALID_REQUEST: Cannot update these configs dynamically: [num.partitions]
append nope 3 => INVALID_CONFIG: Unknown config name: nope
append num.io.threads 5 => INVALID_CONFIG: Config value append is not allowed for config key: num.io.threads
subtract num.io.threads 5 => INVALID_CONFIG: Config value subtract is not allowed for config key: num.io.threads
set log.retention.ms x => INVALID_REQUEST: Invalid value x for configuration log.retention.ms: Not a number of type LONG
set log.retention.ms 0 => INVALID_REQUEST: requirement failed: log.retention.ms must be unlimited (-1) or, greater than or equal to 1
set log.roll.ms -1 => INVALID_REQUEST: requirement failed: log.roll.ms must be greater than or equal to 1
set log.segment.bytes 5 => INVALID_REQUEST: Invalid value 5 for configuration log.segment.bytes: Value must be at least 1048576
set ssl.keystore.password x => INVALID_REQUEST: These security configs can be dynamically updated only per-listener using the listener prefix: [ssl.keystore.password]
set leader.replication.throttled.rate -1 => INVALID_REQUEST: Invalid value -1 for configuration leader.replication.throttled.rate: Value must be at least 0
set listener.name.plaintext.max.connections x => INVALID_REQUEST: Invalid value x for configuration max.connections: Not a number of type INT";

    #[test]
    fn a_brokers_mistakes_get_kafkas_answers() {
        for (op, name, value, said) in transcript(ANSWERS) {
            assert_eq!(of_broker(BrokerScope::ThisBroker, &[(op, name, value)]), said);
        }
    }

    #[test]
    fn what_belongs_to_one_broker_is_refused_for_all() {
        let sentence = "INVALID_REQUEST: Cannot update these configs at default cluster level, \
                        broker id must be specified";
        for name in ["principal.builder.class", "listener.name.a.ssl.keystore.location"] {
            let answer = of_broker(BrokerScope::AllBrokers, &[(Set, name, "x")]);
            assert_eq!(answer, format!("{sentence}: [{name}]"));
        }
        let shared = [(Set, "listener.name.a.max.connections", "5")];
        assert_eq!(of_broker(BrokerScope::AllBrokers, &shared), "1 changes");
    }

    #[test]
    fn listeners_stay_while_the_broker_runs() {
        let list = [(Set, "listeners", "PLAINTEXT://:1")];
        assert_eq!(
            of_broker(BrokerScope::ThisBroker, &list),
            "INVALID_REQUEST: Cannot update these configs dynamically: [listeners]"
        );
    }

    #[test]
    fn several_refused_names_stand_in_one_answer() {
        let list = [(Set, "log.dirs", "5"), (Set, "log.dir", "5")];
        assert_eq!(
            of_broker(BrokerScope::ThisBroker, &list),
            "INVALID_REQUEST: Cannot update these configs dynamically: [log.dir, log.dirs]"
        );
    }

    #[test]
    fn a_broker_takes_unknown_names_and_writes_the_same_value_again() {
        assert_eq!(of_broker(BrokerScope::ThisBroker, &[(Set, "nope", "1")]), "1 changes");
        let config = broker().with_dynamic(&map(&[]), &map(&[("log.retention.ms", "5")]));
        let again = ops(&[(Set, "log.retention.ms", "5"), (Delete, "num.partitions", "")]);
        let changes = alter_broker(&config, BrokerScope::ThisBroker, &again).unwrap();
        assert_eq!(changes.len(), 2);
        assert_eq!(changes[1].value, None);
    }
}
