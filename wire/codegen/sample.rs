//! Random values of every message, for tests and examples: they include this output, the library does not.
//! Expects `Sample`, `Gen`, `Ctx` and `messages` in scope.

use std::fmt::Write;

use crate::names;
use crate::schema::{Field, Message, Struct};
use crate::structs::{condition, is_nullable, nullable_now};

pub fn generate(messages: &[Message]) -> String {
    let mut out = String::new();
    let mut list = String::new();
    for message in messages.iter().filter(|m| !m.versions.is_empty()) {
        let module = names::snake(&message.name);
        let _ = writeln!(list, "            kring_wire::messages::{module}::{},", message.name);
        for structure in &message.structs {
            sample(&mut out, message, structure);
        }
    }
    let _ = writeln!(
        out,
        "/// Hands every message to a macro.\n#[allow(unused_macros)]\nmacro_rules! for_each_message {{\n    \
         ($callback:ident) => {{\n        $callback! {{\n{list}        }}\n    }};\n}}\n"
    );
    out
}

fn sample(out: &mut String, message: &Message, structure: &Struct) {
    let module = names::snake(&message.name);
    let _ = writeln!(out, "impl Sample for messages::{module}::{} {{", structure.name);
    let live: Vec<_> =
        structure.fields.iter().filter(|f| !f.versions.and(message.versions).is_empty()).collect();
    out.push_str(
        "    #[allow(unused, clippy::let_and_return)]\n    fn sample(g: &mut Gen, c: Ctx) -> Self {\n",
    );
    out.push_str("        let mut m = Self::default();\n");
    for field in live {
        field_sample(out, message, field);
    }
    out.push_str("        m\n    }\n}\n\n");
}

fn field_sample(out: &mut String, message: &Message, field: &Field) {
    let name = names::field(&field.name);
    let value = match is_nullable(message, field) {
        true => format!("g.nullable(c, {})", nullable_now(message, field)),
        false => "Sample::sample(g, c)".to_owned(),
    };
    let guard = condition(message, field.versions).map(|condition| condition + " && ");
    let guard = guard.unwrap_or_default();
    let _ = writeln!(out, "        if {guard}g.deviates() {{\n            m.{name} = {value};\n        }}");
}
