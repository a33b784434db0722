//! Text to typed values and back: Kafka's parsing, Kafka's rules, Kafka's error sentences.
//! Never looks at where a value came from. Pure functions: any core.

use super::property::{Kind, Property, Rule};
use std::fmt;

/// A parsed value. INT, SHORT and LONG share one variant, their width being checked on the way in.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    Double(f64),
    /// STRING, CLASS and PASSWORD.
    Text(String),
    List(Vec<String>),
}

impl Value {
    /// The text that Kafka shows for the value; `None` for null.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Boolean(value) => Some(value.to_string()),
            Self::Integer(value) => Some(value.to_string()),
            Self::Double(value) => Some(double_text(*value)),
            Self::Text(value) => Some(value.clone()),
            Self::List(items) => Some(items.join(",")),
        }
    }
}

/// Why a value was refused: the whole sentence, as a client of Kafka would read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidValue(pub String);

impl InvalidValue {
    fn new(name: &str, value: &str, reason: &str) -> Self {
        Self(format!("Invalid value {value} for configuration {name}: {reason}"))
    }
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidValue {}

/// Parses `text` as `property`'s type and applies its rule.
///
/// # Errors
/// Kafka's sentence for the first thing wrong.
pub fn parse(property: &Property, text: &str) -> Result<Value, InvalidValue> {
    let value = parse_kind(property.name, property.kind, text)?;
    check(property, &value)?;
    Ok(match (value, property.rule) {
        (Value::List(items), Rule::List { .. }) => Value::List(without_repeats(items)),
        (value, _) => value,
    })
}

fn without_repeats(items: Vec<String>) -> Vec<String> {
    let mut kept = Vec::with_capacity(items.len());
    for item in items {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    kept
}

/// The parsed default, `Null` where there is none.
///
/// # Panics
/// When a table row has a default that breaks its own rule; a test walks every row.
#[must_use]
pub fn default_of(property: &Property) -> Value {
    match property.default_text() {
        None => Value::Null,
        Some(text) => match parse(property, text) {
            Ok(value) => value,
            Err(error) => panic!("the table's own default is wrong: {error}"),
        },
    }
}

/// Parses without the rule.
///
/// # Errors
/// When the text is not of the type.
pub fn parse_kind(name: &str, kind: Kind, text: &str) -> Result<Value, InvalidValue> {
    let trimmed = text.trim();
    let not_a_number = || InvalidValue::new(name, text, &format!("Not a number of type {}", kind.name()));
    match kind {
        Kind::Boolean => boolean(trimmed)
            .map(Value::Boolean)
            .ok_or_else(|| InvalidValue::new(name, text, "Expected value to be either true or false")),
        Kind::Int => {
            trimmed.parse::<i32>().map(|number| Value::Integer(number.into())).map_err(|_| not_a_number())
        }
        Kind::Short => {
            trimmed.parse::<i16>().map(|number| Value::Integer(number.into())).map_err(|_| not_a_number())
        }
        Kind::Long => trimmed.parse().map(Value::Integer).map_err(|_| not_a_number()),
        Kind::Double => java_double(trimmed).map(Value::Double).ok_or_else(not_a_number),
        Kind::String | Kind::Class | Kind::Password => Ok(Value::Text(trimmed.to_owned())),
        Kind::List => Ok(Value::List(split_list(trimmed))),
    }
}

fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// Java also takes a type suffix, spells infinity out, and knows no `inf`.
fn java_double(text: &str) -> Option<f64> {
    match text {
        "NaN" | "+NaN" | "-NaN" => return Some(f64::NAN),
        "Infinity" | "+Infinity" => return Some(f64::INFINITY),
        "-Infinity" => return Some(f64::NEG_INFINITY),
        _ => {}
    }
    let digits = text.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(text);
    let plain = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    if !digits.bytes().all(plain) {
        return None;
    }
    digits.parse().ok()
}

/// Java's shortest decimal: plain from 0.001 up to ten million, else with an exponent.
fn double_text(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        format!("{}Infinity", if value < 0.0 { "-" } else { "" })
    } else if size == 0.0 || (1e-3..1e7).contains(&size) {
        format!("{value:?}")
    } else {
        scientific_text(value)
    }
}

fn scientific_text(value: f64) -> String {
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if digits.contains('.') => format!("{digits}E{exponent}"),
        Some((digits, exponent)) => format!("{digits}.0E{exponent}"),
        None => text,
    }
}

/// Splits at commas and trims; an empty text is an empty list.
fn split_list(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    text.split(',').map(|item| item.trim().to_owned()).collect()
}

fn check(property: &Property, value: &Value) -> Result<(), InvalidValue> {
    let name = property.name;
    match (value, property.rule) {
        (_, Rule::Any) | (Value::Null, _) => Ok(()),
        (Value::Integer(number), Rule::AtLeast(least)) => at_least(name, *number, least),
        (Value::Integer(number), Rule::Between(least, most)) => {
            at_least(name, *number, least)?;
            at_most(name, *number, most)
        }
        (Value::Integer(number), Rule::GzipLevel) => gzip_level(name, *number),
        (Value::Double(number), Rule::AtLeast(least)) => up_to(name, *number, least, f64::INFINITY),
        (Value::Double(number), Rule::UpTo(most)) => up_to(name, *number, 0, most),
        (Value::Text(text), rule) => check_text(name, text, rule),
        (Value::List(items), rule) => check_list(name, items, rule),
        (_, rule) => unreachable!("{name}: {rule:?} does not fit {value:?}"),
    }
}

fn at_least(name: &str, number: i64, least: i64) -> Result<(), InvalidValue> {
    if number >= least {
        return Ok(());
    }
    let reason = format!("Value must be at least {least}");
    Err(InvalidValue::new(name, &number.to_string(), &reason))
}

fn at_most(name: &str, number: i64, most: i64) -> Result<(), InvalidValue> {
    if number <= most {
        return Ok(());
    }
    let reason = format!("Value must be no more than {most}");
    Err(InvalidValue::new(name, &number.to_string(), &reason))
}

/// NaN passes, as it does in Kafka: neither comparison holds.
#[allow(clippy::cast_precision_loss)]
fn up_to(name: &str, number: f64, least: i64, most: f64) -> Result<(), InvalidValue> {
    let refuse = |reason: String| Err(InvalidValue::new(name, &double_text(number), &reason));
    if number < least as f64 {
        refuse(format!("Value must be at least {least}"))
    } else if number > most {
        refuse(format!("Value must be no more than {most}"))
    } else {
        Ok(())
    }
}

fn gzip_level(name: &str, number: i64) -> Result<(), InvalidValue> {
    if number == -1 || (1..=9).contains(&number) {
        return Ok(());
    }
    let reason = "Value must be between 1 and 9 or equal to -1";
    Err(InvalidValue::new(name, &number.to_string(), reason))
}

fn check_text(name: &str, text: &str, rule: Rule) -> Result<(), InvalidValue> {
    match rule {
        Rule::OneOf(words) => one_of(name, text, words),
        Rule::OneOfAnyCase(words) => one_of_any_case(name, text, words),
        Rule::NonEmpty if text.is_empty() => Err(InvalidValue::new(name, text, "String must be non-empty")),
        Rule::ShareOffsetReset => share_offset_reset(name, text),
        _ => Ok(()),
    }
}

fn one_of(name: &str, text: &str, words: &[&str]) -> Result<(), InvalidValue> {
    if words.contains(&text) {
        return Ok(());
    }
    let reason = format!("String must be one of: {}", words.join(", "));
    Err(InvalidValue::new(name, text, &reason))
}

fn one_of_any_case(name: &str, text: &str, words: &[&str]) -> Result<(), InvalidValue> {
    if words.iter().any(|word| word.eq_ignore_ascii_case(text)) {
        return Ok(());
    }
    let words = words.join(", ");
    let reason = format!("String must be one of (case insensitive): {words}");
    Err(InvalidValue::new(name, text, &reason))
}

fn share_offset_reset(name: &str, text: &str) -> Result<(), InvalidValue> {
    let duration = text.strip_prefix("by_duration:");
    if matches!(text, "earliest" | "latest") || duration.is_some_and(is_iso_duration) {
        return Ok(());
    }
    let reason = format!(
        "Invalid value `{text}` for configuration {name}. The value must be either 'earliest', \
         'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'."
    );
    Err(InvalidValue::new(name, text, &reason))
}

/// `PnDTnHnMn.nS`, at least one part, none twice, in this order.
fn is_iso_duration(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('P') else {
        return false;
    };
    let (days, time) = match rest.split_once('T') {
        Some((_, "")) => return false,
        Some((days, time)) => (days, time),
        None => (rest, ""),
    };
    !rest.is_empty() && duration_parts(days, "D") && duration_parts(time, "HMS")
}

fn duration_parts(text: &str, units: &str) -> bool {
    let mut units = units.chars();
    let mut rest = text;
    while let Some(end) = rest.find(|c: char| c.is_ascii_uppercase()) {
        let unit = rest.as_bytes()[end] as char;
        let digits = &rest[..end];
        let fraction_fits = unit == 'S' || !digits.contains('.');
        if !units.any(|known| known == unit) || !fraction_fits || digits.parse::<f64>().is_err() {
            return false;
        }
        rest = &rest[end + 1..];
    }
    rest.is_empty()
}

fn check_list(name: &str, items: &[String], rule: Rule) -> Result<(), InvalidValue> {
    match rule {
        Rule::List { of, may_be_empty } => word_list(name, items, of, may_be_empty),
        Rule::ThrottledReplicas => throttled_replicas(name, items),
        Rule::QuorumVoters => items.iter().try_for_each(|item| voter(name, item)),
        Rule::HostPorts => items.iter().try_for_each(|item| host_port(name, item)),
        _ => Ok(()),
    }
}

fn word_list(name: &str, items: &[String], of: &[&str], may_be_empty: bool) -> Result<(), InvalidValue> {
    if items.is_empty() && !may_be_empty {
        let valid = match of {
            [] => "any non-empty value".to_owned(),
            words => format!("[{}]", words.join(", ")),
        };
        return Err(InvalidValue(format!(
            "Configuration '{name}' must not be empty. Valid values include: {valid}"
        )));
    }
    if items.iter().any(String::is_empty) {
        return Err(InvalidValue(format!("Configuration '{name}' values must not be empty.")));
    }
    if of.is_empty() {
        return Ok(());
    }
    items.iter().try_for_each(|item| one_of(name, item, of))
}

fn throttled_replicas(name: &str, items: &[String]) -> Result<(), InvalidValue> {
    let is_pair = |item: &String| {
        item.split_once(':').is_some_and(|(partition, broker)| is_digits(partition) && is_digits(broker))
    };
    if matches!(items, [only] if only == "*") || items.iter().all(is_pair) {
        return Ok(());
    }
    let shown = format!("[{}]", items.join(", "));
    let reason = format!(
        "{name} must be the literal '*' or a list of replicas in the following format: \
         [partitionId]:[brokerId],[partitionId]:[brokerId],..."
    );
    Err(InvalidValue::new(name, &shown, &reason))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn voter(name: &str, item: &str) -> Result<(), InvalidValue> {
    let Some((id, address)) = item.split_once('@') else {
        return Err(InvalidValue(format!(
            "Invalid configuration value for {name}. Each entry should be in the form \
             `{{id}}@{{host}}:{{port}}`."
        )));
    };
    if is_digits(id) && has_port(address) {
        return Ok(());
    }
    Err(InvalidValue(format!(
        "Failed to parse host name from entry {item} for the configuration {name}. \
         Each entry should be in the form `{{id}}@{{host}}:{{port}}`."
    )))
}

fn host_port(name: &str, item: &str) -> Result<(), InvalidValue> {
    if has_port(item) {
        return Ok(());
    }
    Err(InvalidValue(format!(
        "Failed to parse host name from {item} for the configuration {name}. \
         Each entry should be in the form \"{{host}}:{{port}}\""
    )))
}

fn has_port(address: &str) -> bool {
    address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::defs;

    fn topic_says(name: &str, text: &str) -> String {
        let property = defs::topic_property(name).unwrap();
        match parse(property, text) {
            Ok(value) => value.text().unwrap_or_default(),
            Err(error) => error.0,
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused_in_kafkas_words() {
        for (name, text, said) in [
            ("segment.bytes", "-1", "Value must be at least 1048576"),
            ("compression.lz4.level", "18", "Value must be no more than 17"),
            ("compression.zstd.level", "23", "Value must be no more than 22"),
            ("min.cleanable.dirty.ratio", "1.5", "Value must be no more than 1"),
            ("min.cleanable.dirty.ratio", "-0.1", "Value must be at least 0"),
            ("compression.gzip.level", "0", "Value must be between 1 and 9 or equal to -1"),
        ] {
            let whole = format!("Invalid value {text} for configuration {name}: {said}");
            assert_eq!(topic_says(name, text), whole);
        }
    }

    #[test]
    fn texts_of_another_type_are_refused_in_kafkas_words() {
        for (name, text, said) in [
            ("segment.bytes", "x", "Not a number of type INT"),
            ("segment.bytes", "", "Not a number of type INT"),
            ("segment.bytes", "99999999999", "Not a number of type INT"),
            ("retention.ms", "abc", "Not a number of type LONG"),
            ("min.cleanable.dirty.ratio", "x", "Not a number of type DOUBLE"),
            ("min.cleanable.dirty.ratio", "inf", "Not a number of type DOUBLE"),
            ("preallocate", "yes", "Expected value to be either true or false"),
            ("message.timestamp.type", "create", "String must be one of: CreateTime, LogAppendTime"),
            (
                "compression.type",
                "GZIP",
                "String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer",
            ),
            ("cleanup.policy", "foo", "String must be one of: compact, delete"),
        ] {
            let whole = format!("Invalid value {text} for configuration {name}: {said}");
            assert_eq!(topic_says(name, text), whole);
        }
    }

    #[test]
    fn lists_may_not_have_holes() {
        for text in ["compact,", ","] {
            assert_eq!(
                topic_says("cleanup.policy", text),
                "Configuration 'cleanup.policy' values must not be empty."
            );
        }
        let listeners = defs::broker_property("listeners").unwrap();
        assert_eq!(
            parse(listeners, "").unwrap_err().0,
            "Configuration 'listeners' must not be empty. Valid values include: any non-empty value"
        );
    }

    #[test]
    fn word_lists_lose_repeats_and_blanks() {
        let said = topic_says("cleanup.policy", "compact, compact,delete");
        assert_eq!(said, "compact,delete");
    }

    #[test]
    fn throttled_replicas_are_pairs_or_a_star() {
        let name = "leader.replication.throttled.replicas";
        for good in ["*", "1:2,3:4", ""] {
            assert_eq!(topic_says(name, good), good);
        }
        assert_eq!(
            topic_says(name, "*,1:1"),
            format!(
                "Invalid value [*, 1:1] for configuration {name}: {name} must be the literal '*' \
                 or a list of replicas in the following format: \
                 [partitionId]:[brokerId],[partitionId]:[brokerId],..."
            )
        );
    }

    #[test]
    fn blanks_signs_and_case_are_forgiven() {
        assert_eq!(topic_says("segment.bytes", " +1048577 "), "1048577");
        assert_eq!(topic_says("preallocate", "TRUE"), "true");
        assert_eq!(topic_says("min.cleanable.dirty.ratio", "0.5f"), "0.5");
    }

    #[test]
    fn doubles_are_written_as_java_writes_them() {
        for (value, text) in [
            (0.5, "0.5"),
            (1.0, "1.0"),
            (1e-5, "1.0E-5"),
            (1e7, "1.0E7"),
            (9_999_999.0, "9999999.0"),
            (f64::MAX, "1.7976931348623157E308"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(double_text(value), text);
        }
    }

    #[test]
    fn share_offset_reset_takes_durations() {
        let property = defs::group_property("share.auto.offset.reset").unwrap();
        for good in ["latest", "earliest", "by_duration:P1DT2H3M4.5S", "by_duration:PT1H"] {
            assert!(parse(property, good).is_ok(), "{good}");
        }
        for bad in ["foo", "by_duration:PT", "by_duration:P", "by_duration:P1H", "by_duration:PT1M1H"] {
            assert!(parse(property, bad).is_err(), "{bad}");
        }
    }
}
