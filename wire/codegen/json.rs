//! How the messages that Kafka stores are shown as JSON, as the `JsonConverter` classes of Kafka's generator do it.
//! Requests and responses have none.

use std::fmt::Write;

use crate::names;
use crate::schema::{Field, Kind, Message, Struct};
use crate::structs::{condition, is_default};

/// Whether it is stored somewhere, or part of something that is.
fn is_stored(message: &Message) -> bool {
    let kinds = [Kind::Record, Kind::Key, Kind::Value, Kind::Data];
    kinds.contains(&message.kind) && !message.versions.is_empty()
}

pub fn generate(messages: &[Message]) -> String {
    let mut out = String::new();
    for message in messages.iter().filter(|message| is_stored(message)) {
        let module = names::snake(&message.name);
        for structure in &message.structs {
            show(&mut out, &module, message, structure);
        }
    }
    out
}

fn show(out: &mut String, module: &str, message: &Message, structure: &Struct) {
    let live: Vec<_> =
        structure.fields.iter().filter(|f| !f.versions.and(message.versions).is_empty()).collect();
    let (object, c) = if live.is_empty() { ("object", "_") } else { ("mut object", "c") };
    let _ = writeln!(
        out,
        "impl ToJson for messages::{module}::{} {{\n    fn to_json(&self, {c}: Ctx) -> Json {{\n        \
         let {object} = Vec::new();",
        structure.name
    );
    for field in live {
        show_field(out, message, field);
    }
    out.push_str("        Json::Object(object)\n    }\n}\n\n");
}

/// In the versions that have it; a tagged one unless it has its default.
fn show_field(out: &mut String, message: &Message, field: &Field) {
    let write = format!(
        "object.push(({:?}, self.{}.to_json(c)));",
        json_name(&field.name),
        names::field(&field.name)
    );
    let in_version = condition(message, field.versions);
    let differs = field.tag.map(|_| format!("!({})", is_default(message, field)));
    let conditions: Vec<_> = [in_version, differs].into_iter().flatten().collect();
    let _ = match conditions[..] {
        [] => writeln!(out, "        {write}"),
        _ => writeln!(out, "        if {} {{\n            {write}\n        }}", conditions.join(" && ")),
    };
}

/// `MessageGenerator.lowerCaseFirst`.
fn json_name(name: &str) -> String {
    name[..1].to_lowercase() + &name[1..]
}
