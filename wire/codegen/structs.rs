//! One Rust module per message: its structs, their defaults, how each version reads and writes them.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::api::{api_name, flexible_from, response_of};
use crate::names;
use crate::schema::{Field, Kind, Message, Struct, Type, Versions};

pub fn generate(messages: &[Message]) -> String {
    let mut out = String::new();
    for message in messages.iter().filter(|m| !m.versions.is_empty()) {
        let _ = writeln!(out, "pub mod {} {{\nuse super::*;\n", names::snake(&message.name));
        let nullable = nullable_structs(message);
        for structure in &message.structs {
            definition(&mut out, message, structure);
            wire(&mut out, message, structure);
            if nullable.contains(structure.name.as_str()) {
                let _ = writeln!(out, "impl WireOption for {} {{}}\n", structure.name);
            }
        }
        traits(&mut out, messages, message);
        out.push_str("}\n\n");
    }
    out
}

/// Structs that are null in a field somewhere; an array's own null needs nothing of its elements.
fn nullable_structs(message: &Message) -> BTreeSet<&str> {
    let fields = message.structs.iter().flat_map(|s| &s.fields);
    let nullable = fields.filter(|f| f.ty.is_struct() && !f.ty.array && is_nullable(message, f));
    nullable.map(|f| f.ty.base.as_str()).collect()
}

/// Whether the field is `Option`: some version that the message has allows null.
pub fn is_nullable(message: &Message, field: &Field) -> bool {
    !field.nullable.and(message.versions).is_empty()
}

fn definition(out: &mut String, message: &Message, structure: &Struct) {
    let trivial = structure.fields.iter().all(|f| has_zero_default(message, f));
    let default = if trivial { ", Default" } else { "" };
    let _ = writeln!(out, "#[derive(Clone, Debug, PartialEq{default})]\npub struct {} {{", structure.name);
    for field in &structure.fields {
        let _ = writeln!(out, "    pub {}: {},", names::field(&field.name), rust_type(message, field));
    }
    out.push_str("}\n\n");
    if !trivial {
        defaults(out, message, structure);
    }
}

fn defaults(out: &mut String, message: &Message, structure: &Struct) {
    let _ =
        writeln!(out, "impl Default for {} {{\n    fn default() -> Self {{\n        Self {{", structure.name);
    for field in &structure.fields {
        let value = default_value(message, field);
        let _ = writeln!(out, "            {}: {value},", names::field(&field.name));
    }
    out.push_str("        }\n    }\n}\n\n");
}

fn rust_type(message: &Message, field: &Field) -> String {
    let base = base_type(&field.ty);
    let whole = if field.ty.array { format!("Vec<{base}>") } else { base.to_owned() };
    if is_nullable(message, field) { format!("Option<{whole}>") } else { whole }
}

fn base_type(ty: &Type) -> &str {
    match ty.base.as_str() {
        "bool" => "bool",
        "int8" => "i8",
        "int16" => "i16",
        "uint16" => "u16",
        "int32" => "i32",
        "uint32" => "u32",
        "int64" => "i64",
        "float64" => "f64",
        "uuid" => "Uuid",
        "string" => "Str",
        "bytes" => "bytes::Bytes",
        "records" => "Records",
        name if ty.is_struct() => name,
        name => panic!("unknown type {name}"),
    }
}

/// Whether the default is what `Default` gives for the Rust type. A nullable field without a default of null
/// starts out empty, not null, as in Kafka; only records start out null.
fn has_zero_default(message: &Message, field: &Field) -> bool {
    match field.default.as_deref() {
        None => !is_nullable(message, field) || field.ty.base == "records",
        Some(default) => default == "null",
    }
}

fn default_value(message: &Message, field: &Field) -> String {
    match field.default.as_deref() {
        _ if has_zero_default(message, field) => "Default::default()".to_owned(),
        None => "Some(Default::default())".to_owned(),
        Some("-2147483648") => "i32::MIN".to_owned(),
        Some("2147483647") => "i32::MAX".to_owned(),
        Some("9223372036854775807") => "i64::MAX".to_owned(),
        Some(default) => default.to_owned(),
    }
}

/// An expression for "this field has its default".
pub fn is_default(message: &Message, field: &Field) -> String {
    let name = format!("self.{}", names::field(&field.name));
    let zero = has_zero_default(message, field);
    match field.ty.base.as_str() {
        _ if is_nullable(message, field) && zero => format!("{name}.is_none()"),
        _ if is_nullable(message, field) => format!("{name} == {}", default_value(message, field)),
        _ if field.ty.array => format!("{name}.is_empty()"),
        "string" | "bytes" | "records" => format!("{name}.is_empty()"),
        "uuid" => format!("{name}.is_zero()"),
        "bool" if zero => format!("!{name}"),
        "bool" => name,
        "float64" if zero => format!("{name}.to_bits() == 0"),
        _ if field.ty.is_struct() => format!("{name} == Default::default()"),
        _ if zero => format!("{name} == 0"),
        _ => format!("{name} == {}", default_value(message, field)),
    }
}

/// An expression for "the version is one of these", or none when every version of the message is.
pub fn condition(message: &Message, versions: Versions) -> Option<String> {
    let versions = versions.and(message.versions);
    let from = versions.min > message.versions.min;
    let until = versions.max < message.versions.max;
    match (from, until) {
        (false, false) => None,
        (true, false) => Some(format!("c.version >= {}", versions.min)),
        (false, true) => Some(format!("c.version <= {}", versions.max)),
        (true, true) if versions.min == versions.max => Some(format!("c.version == {}", versions.min)),
        (true, true) => Some(format!("({}..={}).contains(&c.version)", versions.min, versions.max)),
    }
}

fn wire(out: &mut String, message: &Message, structure: &Struct) {
    let _ = writeln!(out, "impl Wire for {} {{", structure.name);
    get(out, message, structure);
    put(out, message, structure);
    out.push_str("}\n\n");
}

/// Fields of some version that the message has, in the order they are written: tagged ones last, by tag.
fn live_fields<'a>(message: &Message, structure: &'a Struct) -> (Vec<&'a Field>, Vec<(u32, &'a Field)>) {
    let live = || structure.fields.iter().filter(|f| !f.versions.and(message.versions).is_empty());
    let mut tagged: Vec<_> = live().filter_map(|f| f.tag.map(|tag| (tag, f))).collect();
    tagged.sort_by_key(|(tag, _)| *tag);
    (live().filter(|f| f.tag.is_none()).collect(), tagged)
}

fn never_flexible(message: &Message) -> bool {
    message.flexible.and(message.versions).is_empty()
}

fn get(out: &mut String, message: &Message, structure: &Struct) {
    let (untagged, tagged) = live_fields(message, structure);
    out.push_str("    fn get(r: &mut Reader, c: Ctx) -> Result<Self, DecodeError> {\n");
    if untagged.is_empty() && tagged.is_empty() {
        out.push_str("        let m = Self::default();\n");
    } else {
        out.push_str("        let mut m = Self::default();\n");
    }
    for field in untagged {
        let read = format!("m.{} = {}?;", names::field(&field.name), get_value(message, field));
        let _ = match condition(message, field.versions) {
            None => writeln!(out, "        {read}"),
            Some(condition) => writeln!(out, "        if {condition} {{\n            {read}\n        }}"),
        };
    }
    if tagged.is_empty() {
        out.push_str(if never_flexible(message) { "" } else { "        r.skip_tagged(c)?;\n" });
    } else {
        get_tagged(out, message, &tagged);
    }
    out.push_str("        Ok(m)\n    }\n\n");
}

fn get_tagged(out: &mut String, message: &Message, tagged: &[(u32, &Field)]) {
    out.push_str("        r.tagged(c, &mut |r, tag| {\n            match tag {\n");
    for (tag, field) in tagged {
        let guard = condition(message, field.versions.and(message.flexible));
        let guard = guard.map(|condition| format!(" if {condition}")).unwrap_or_default();
        let name = names::field(&field.name);
        let _ = writeln!(out, "                {tag}{guard} => m.{name} = {}?,", get_value(message, field));
    }
    out.push_str(
        "                _ => return Ok(false),\n            }\n            Ok(true)\n        })?;\n",
    );
}

fn get_value(message: &Message, field: &Field) -> String {
    let c = if field.plain { "c.plain()" } else { "c" };
    if !is_nullable(message, field) {
        return format!("r.get({c})");
    }
    if is_tagged_struct(field) {
        return "codec::get_tagged_struct(r, c)".to_owned();
    }
    format!("codec::get_nullable(r, {c}, {})", nullable_now(message, field))
}

/// A single struct in a tagged field, which has a form of null of its own.
fn is_tagged_struct(field: &Field) -> bool {
    field.tag.is_some() && field.ty.is_struct() && !field.ty.array
}

/// An expression for "this version allows null here".
pub fn nullable_now(message: &Message, field: &Field) -> String {
    let present = field.versions.and(message.versions);
    if field.nullable.contains(present) {
        return "true".to_owned();
    }
    condition(message, field.nullable).unwrap_or_else(|| "true".to_owned())
}

fn put(out: &mut String, message: &Message, structure: &Struct) {
    out.push_str("    fn put(&self, w: &mut Writer, c: Ctx) -> Result<(), EncodeError> {\n");
    for field in structure.fields.iter().filter(|f| f.tag.is_none()) {
        put_untagged(out, message, field);
    }
    if !never_flexible(message) {
        put_tagged(out, message, structure);
    }
    out.push_str(if uses_writer(message, structure) { "" } else { "        let _ = (w, c);\n" });
    out.push_str("        Ok(())\n    }\n");
}

fn uses_writer(message: &Message, structure: &Struct) -> bool {
    !never_flexible(message) || !live_fields(message, structure).0.is_empty()
}

fn put_untagged(out: &mut String, message: &Message, field: &Field) {
    let write = format!("{}?;", put_value(message, field, "w"));
    let absent = absent(message, field);
    if field.versions.and(message.versions).is_empty() {
        let _ = writeln!(out, "        {}", absent.unwrap_or_default());
        return;
    }
    let _ = match (condition(message, field.versions), absent) {
        (None, _) => writeln!(out, "        {write}"),
        (Some(condition), None) => {
            writeln!(out, "        if {condition} {{\n            {write}\n        }}")
        }
        (Some(condition), Some(absent)) => writeln!(
            out,
            "        if {condition} {{\n            {write}\n        }} else {{\n            {absent}\n        }}"
        ),
    };
}

/// The statement that refuses to lose a value; ignorable fields may be lost.
fn absent(message: &Message, field: &Field) -> Option<String> {
    let check = || format!("codec::absent({}, {:?}, c)?;", is_default(message, field), field.name);
    (!field.ignorable).then(check)
}

fn put_value(message: &Message, field: &Field, writer: &str) -> String {
    let name = names::field(&field.name);
    let c = if field.plain { "c.plain()" } else { "c" };
    if !is_nullable(message, field) {
        return format!("self.{name}.put({writer}, {c})");
    }
    if is_tagged_struct(field) {
        return format!("codec::put_tagged_struct(&self.{name}, {writer}, c)");
    }
    let nullable = nullable_now(message, field);
    format!("codec::put_nullable(&self.{name}, {writer}, {c}, {nullable}, {:?})", field.name)
}

fn put_tagged(out: &mut String, message: &Message, structure: &Struct) {
    let (_, tagged) = live_fields(message, structure);
    if tagged.is_empty() {
        out.push_str("        if c.flexible {\n            w.put_uvarint(0);\n        }\n");
        return;
    }
    for (tag, field) in &tagged {
        let in_version = condition(message, field.versions);
        let versions = in_version.as_ref().map(|c| format!("{c} && ")).unwrap_or_default();
        let default = is_default(message, field);
        let _ = writeln!(out, "        let tag_{tag} = {versions}!({default});");
        if let (Some(condition), Some(absent)) = (in_version, absent(message, field)) {
            let _ = writeln!(out, "        if !({condition}) {{\n            {absent}\n        }}");
        }
    }
    let count: Vec<_> = tagged.iter().map(|(tag, _)| format!("u32::from(tag_{tag})")).collect();
    let _ = writeln!(
        out,
        "        if c.flexible {{\n            w.put_uvarint({});\n        }}",
        count.join(" + ")
    );
    for (tag, field) in tagged {
        let value = put_value(message, field, "w");
        let _ = writeln!(
            out,
            "        if tag_{tag} {{\n            codec::put_tag(w, {tag}, &|w| {value})?;\n        }}"
        );
    }
}

fn traits(out: &mut String, messages: &[Message], message: &Message) {
    let name = &message.name;
    let _ = writeln!(
        out,
        "impl Message for {name} {{\n    const NAME: &'static str = {name:?};\n    \
         const MIN_VERSION: i16 = {};\n    const MAX_VERSION: i16 = {};\n    \
         const FLEXIBLE_FROM: i16 = {};\n}}\n",
        message.versions.min,
        message.versions.max,
        flexible_from(message)
    );
    match (message.kind, message.key) {
        (Kind::Request | Kind::Response, _) => api_traits(out, messages, message),
        (_, Some(key)) => {
            let _ =
                writeln!(out, "impl RecordMessage for {name} {{\n    const RECORD_KEY: i16 = {key};\n}}\n");
        }
        (_, None) => {}
    }
}

fn api_traits(out: &mut String, messages: &[Message], message: &Message) {
    let (name, api) = (&message.name, api_name(message));
    let _ = writeln!(out, "impl ApiMessage for {name} {{\n    const API_KEY: ApiKey = ApiKey::{api};\n}}\n");
    if message.kind == Kind::Request {
        let response = &response_of(messages, message).name;
        let module = names::snake(response);
        let _ = writeln!(
            out,
            "impl Request for {name} {{\n    type Response = super::{module}::{response};\n}}\n"
        );
    }
}
