//! What may be changed of a group. Every mistake is INVALID_CONFIG.
//! Never stores a change. Pure functions: any core.

use super::{AlterError, Alteration, ConfigChange, apply_all, check_request, differences};
use crate::config::value::{self, Value};
use crate::config::{BrokerConfig, ConfigMap, defs};

/// IncrementalAlterConfigs for a group. Limits come from the broker's `group.*` properties.
///
/// # Errors
/// Nothing is changed if anything is wrong with the result.
pub fn alter_group(
    config: &BrokerConfig,
    existing: &ConfigMap,
    alterations: &[Alteration],
) -> Result<Vec<ConfigChange>, AlterError> {
    check_request(alterations)?;
    let altered = apply_all(existing, alterations, defs::group_property)?;
    validate_group_overrides(config, &altered)?;
    Ok(differences(existing, &altered))
}

/// AlterConfigs for a group: these overrides and no others.
///
/// # Errors
/// As [`validate_group_overrides`].
pub fn replace_group(
    config: &BrokerConfig,
    existing: &ConfigMap,
    wanted: &ConfigMap,
) -> Result<Vec<ConfigChange>, AlterError> {
    validate_group_overrides(config, wanted)?;
    Ok(differences(existing, wanted))
}

/// Whether a group may have exactly these overrides.
///
/// # Errors
/// INVALID_CONFIG with Kafka's sentence.
pub fn validate_group_overrides(config: &BrokerConfig, overrides: &ConfigMap) -> Result<(), AlterError> {
    let unknown = overrides.keys().find(|name| defs::group_property(name).is_none());
    if let Some(name) = unknown {
        return Err(AlterError::config(format!("Unknown group config name: {name}")));
    }
    for (name, text) in overrides {
        let Some(property) = defs::group_property(name) else { continue };
        if let Value::Integer(number) = value::parse(property, text)? {
            check_group_limits(config, name, number)?;
        }
    }
    let families = ["consumer", "share", "streams"];
    families.iter().try_for_each(|family| check_session(config, overrides, family))
}

/// `consumer.x` must lie between the broker's `group.consumer.min.x` and `group.consumer.max.x`.
fn check_group_limits(config: &BrokerConfig, name: &str, number: i64) -> Result<(), AlterError> {
    let Some((family, rest)) = name.split_once('.') else {
        return Ok(());
    };
    let rest = rest.strip_prefix("num.").unwrap_or(rest);
    let (min, max) = (format!("group.{family}.min.{rest}"), format!("group.{family}.max.{rest}"));
    if integer(config, &min).is_some_and(|least| number < least) {
        return Err(AlterError::config(format!("{name} must be greater than or equal to {min}")));
    }
    if integer(config, &max).is_some_and(|most| number > most) {
        return Err(AlterError::config(format!("{name} must be less than or equal to {max}")));
    }
    Ok(())
}

fn check_session(config: &BrokerConfig, overrides: &ConfigMap, family: &str) -> Result<(), AlterError> {
    let effective = |name: &str| {
        let own = overrides.get(name).and_then(|text| text.trim().parse::<i64>().ok());
        own.or_else(|| integer(config, &format!("group.{name}")))
    };
    let session = format!("{family}.session.timeout.ms");
    let heartbeat = format!("{family}.heartbeat.interval.ms");
    if effective(&session) > effective(&heartbeat) {
        return Ok(());
    }
    Err(AlterError::config(format!("{session} must be greater than {heartbeat}")))
}

fn integer(config: &BrokerConfig, name: &str) -> Option<i64> {
    match config.layers().value(name) {
        Value::Integer(number) => Some(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::AlterOp::Set;
    use super::super::tests::{broker, map, ops, transcript};
    use super::*;

    /// What Apache Kafka 4.3.1 answered to each.
    const ANSWERS: &str = "\
set nope 5 => INVALID_CONFIG: Unknown group config name: nope
set consumer.session.timeout.ms 5 => INVALID_CONFIG: consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms
set consumer.heartbeat.interval.ms 15001 => INVALID_CONFIG: consumer.heartbeat.interval.ms must be less than or equal to group.consumer.max.heartbeat.interval.ms
set consumer.heartbeat.interval.ms x => INVALID_CONFIG: Invalid value x for configuration consumer.heartbeat.interval.ms: Not a number of type INT
set streams.num.standby.replicas 3 => INVALID_CONFIG: streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas
set share.delivery.count.limit 11 => INVALID_CONFIG: share.delivery.count.limit must be less than or equal to group.share.max.delivery.count.limit
set share.record.lock.duration.ms 1000 => INVALID_CONFIG: share.record.lock.duration.ms must be greater than or equal to group.share.min.record.lock.duration.ms";

    #[test]
    fn a_groups_values_stay_within_the_brokers_limits() {
        for (op, name, value, said) in transcript(ANSWERS) {
            let error = alter_group(&broker(), &map(&[]), &ops(&[(op, name, value)])).unwrap_err();
            assert_eq!(error.to_string(), said);
        }
        let good = ops(&[(Set, "consumer.session.timeout.ms", "50000")]);
        assert_eq!(alter_group(&broker(), &map(&[]), &good).unwrap().len(), 1);
    }
}
