//! The tables as text, for `kring config list`.
//! Never prints: returns strings. Pure functions: any core.

use super::defs;
use super::property::{Importance, Need, Property, Update};
use std::fmt::Write;

/// Columns that every line keeps to, but for a single word that is longer.
const WIDTH: usize = 100;
const NAME_WIDTH: usize = 58;
const KIND_WIDTH: usize = 9;
const INDENT: &str = "    ";

/// Every property with type, default and meaning, in groups, for reading.
#[must_use]
pub fn list_text() -> String {
    let mut out = String::new();
    for section in sections() {
        let _ = writeln!(out, "{}\n{}\n", section.title, "=".repeat(section.title.len()));
        for property in section.properties {
            render(&mut out, property);
        }
    }
    out
}

struct Section {
    title: &'static str,
    properties: Vec<&'static Property>,
}

fn sections() -> [Section; 4] {
    let broker = |is_needed: bool| {
        let all = defs::broker_properties().iter().copied();
        all.filter(|property| (property.need != Need::Known) == is_needed).collect()
    };
    [
        Section { title: "Broker: what Kring uses", properties: broker(true) },
        Section { title: "Topic", properties: defs::topic_properties().iter().collect() },
        Section { title: "Group", properties: defs::group_properties().iter().collect() },
        Section { title: "Broker: what Kafka has and Kring does not need", properties: broker(false) },
    ]
}

fn render(out: &mut String, property: &Property) {
    let default = default_words(property);
    let first = format!("{:NAME_WIDTH$} {:KIND_WIDTH$}", property.name, property.kind.name());
    let change = match property.update {
        Update::ReadOnly => "",
        Update::PerBroker => " Changes live, one broker at a time.",
        Update::ClusterWide => " Changes live.",
    };
    let mut meaning = format!("{}{change}{}", property.meaning, difference(property));
    if first.len() + 1 + default.len() <= WIDTH {
        let _ = writeln!(out, "{first} {default}");
    } else {
        let _ = writeln!(out, "{}", first.trim_end());
        meaning = format!("Default {default}. {meaning}");
    }
    for line in wrapped(&meaning, WIDTH - INDENT.len()) {
        let _ = writeln!(out, "{INDENT}{line}");
    }
}

fn difference(property: &Property) -> String {
    match defs::other_kafka_default(property.name) {
        None => String::new(),
        Some(kafkas) => format!(" Kafka's default: {}.", words_of(kafkas)),
    }
}

fn default_words(property: &Property) -> &'static str {
    words_of(property.default_text())
}

fn words_of(default: Option<&'static str>) -> &'static str {
    match default {
        None => "none",
        Some("") => "empty",
        Some("9223372036854775807") => "no limit",
        Some("1.7976931348623157E308") => "no limit",
        Some(text) => text,
    }
}

/// Breaks at blanks so that no line is longer than `width`, unless one word is.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.len() + 1 + word.len() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// The same as a JSON array of objects, for programs.
#[must_use]
pub fn list_json() -> String {
    let rows = [
        ("broker", defs::broker_properties().to_vec()),
        ("topic", defs::topic_properties().iter().collect()),
        ("group", defs::group_properties().iter().collect()),
    ];
    let objects: Vec<String> = rows
        .into_iter()
        .flat_map(|(of, properties)| properties.into_iter().map(move |property| object(of, property)))
        .collect();
    format!("[\n{}\n]\n", objects.join(",\n"))
}

fn object(of: &str, property: &Property) -> String {
    let json = |default: Option<&str>| default.map_or("null".to_owned(), quoted);
    let default = property.default_text();
    let kafkas = defs::other_kafka_default(property.name).unwrap_or(default);
    let fields = [
        ("of", quoted(of)),
        ("name", quoted(property.name)),
        ("type", quoted(property.kind.name())),
        ("default", json(default)),
        ("kafka_default", json(kafkas)),
        ("importance", quoted(importance_word(property.importance))),
        ("update", quoted(update_word(property.update))),
        ("used", (property.need != Need::Known).to_string()),
        ("kafka", (property.need != Need::Own).to_string()),
        ("sensitive", property.is_sensitive().to_string()),
        ("meaning", quoted(property.meaning)),
    ];
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}: {value}", quoted(name))).collect();
    format!("  {{{}}}", fields.join(", "))
}

const fn importance_word(importance: Importance) -> &'static str {
    match importance {
        Importance::High => "high",
        Importance::Medium => "medium",
        Importance::Low => "low",
    }
}

const fn update_word(update: Update) -> &'static str {
    match update {
        Update::ReadOnly => "read-only",
        Update::PerBroker => "per-broker",
        Update::ClusterWide => "cluster-wide",
    }
}

/// The tables hold no control characters (a test looks), so two escapes are all.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_stands_in_the_list_once() {
        let text = list_text();
        let starts = |name: &str| text.lines().filter(|line| line.split(' ').next() == Some(name)).count();
        for property in defs::broker_properties() {
            let shared = usize::from(defs::topic_property(property.name).is_some());
            assert_eq!(starts(property.name), 1 + shared, "{}", property.name);
        }
    }

    #[test]
    fn no_line_is_wider_than_a_hundred_columns_but_for_one_long_word() {
        for line in list_text().lines() {
            let words = line.split_whitespace().count();
            assert!(line.len() <= WIDTH || words == 1, "{line}");
        }
    }

    #[test]
    fn a_row_reads_name_type_default_meaning() {
        let text = list_text();
        let row = text.lines().position(|line| line.starts_with("log.segment.bytes ")).unwrap();
        let lines: Vec<_> = text.lines().skip(row).take(2).collect();
        let words: Vec<_> = lines[0].split_whitespace().collect();
        assert_eq!(words, ["log.segment.bytes", "INT", "1073741824"]);
        assert!(lines[1].starts_with("    The size at which") && lines[1].ends_with("Changes live."));
    }

    #[test]
    fn a_default_of_krings_own_names_kafkas() {
        let text = list_text().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("Kafka's default: /tmp/kafka-logs."));
        assert!(!text.contains("Kafka's default: 104857600."));
    }

    #[test]
    fn the_json_has_one_object_a_line_and_nothing_to_escape_but_quotes() {
        let json = list_json();
        assert_eq!(json.lines().count(), 2 + 364 + 34 + 19);
        assert!(json.chars().all(|c| !c.is_control() || c == '\n'));
        assert!(
            json.contains(
                r#""name": "broker.rack", "type": "STRING", "default": null, "kafka_default": null"#
            )
        );
    }
}
