//! Which messages lie in which internal topic: the invocations of the macros of `src/stored.rs`.

use std::fmt::Write;

use crate::names::snake;
use crate::schema::{Kind, Message};

/// Schema file, enum, doc comment.
const COORDINATORS: [(&str, &str, &str); 3] = [
    ("group_records", "GroupRecord", "Any record of `__consumer_offsets`."),
    ("transaction_records", "TransactionRecord", "Any record of `__transaction_state`."),
    ("share_records", "ShareRecord", "Any record of `__share_group_state`."),
];

pub fn generate(messages: &[Message]) -> String {
    let mut out = metadata(messages);
    for (family, name, doc) in COORDINATORS {
        let _ = writeln!(out, "coordinator_records! {{\n    /// {doc}\n    {name}:");
        for key in messages.iter().filter(|m| m.family == family && m.kind == Kind::Key) {
            let _ = writeln!(out, "    {};", pair(messages, key));
        }
        out.push_str("}\n\n");
    }
    out
}

fn metadata(messages: &[Message]) -> String {
    let mut out = "metadata_records! {\n".to_owned();
    for record in messages.iter().filter(|m| m.family == "metadata_records") {
        let variant = record.name.strip_suffix("Record").expect("metadata records are named so");
        let _ = writeln!(out, "    {variant} = {},", path(record));
    }
    out + "}\n\n"
}

fn pair(messages: &[Message], key: &Message) -> String {
    let same = |m: &&Message| m.family == key.family && m.kind == Kind::Value && m.key == key.key;
    let value = messages.iter().find(same).unwrap_or_else(|| panic!("{} has no value", key.name));
    let variant = key.name.strip_suffix("Key").expect("keys are named so");
    format!("{variant} = {}, {}", path(key), path(value))
}

fn path(message: &Message) -> String {
    format!("{}::{}", snake(&message.name), message.name)
}
