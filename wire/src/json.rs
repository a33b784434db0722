//! Stored messages as JSON, as Kafka's `JsonConverter` classes make it and Jackson writes it.
//! Shows what was decoded; reads no JSON. Any core.

use std::fmt::{self, Write};

use bytes::Bytes;

use crate::codec::{Ctx, Message};
use crate::{Str, Uuid};

/// A tree of values. Its text has no spaces.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    /// Standard base64 with padding.
    Binary(Bytes),
    Array(Vec<Json>),
    Object(Vec<(&'static str, Json)>),
}

impl Json {
    /// A field of an object.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Json> {
        let Json::Object(fields) = self else { return None };
        fields.iter_mut().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    pub fn text(text: impl fmt::Display) -> Json {
        Json::Text(text.to_string())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(value) => value.fmt(f),
            Json::Int(value) => value.fmt(f),
            Json::Double(value) => f.write_str(&double(*value)),
            Json::Text(text) => write_text(f, text),
            Json::Binary(bytes) => write_binary(f, bytes),
            Json::Array(values) => write_between(f, ['[', ']'], values, |f, value| value.fmt(f)),
            Json::Object(fields) => write_between(f, ['{', '}'], fields, |f, (name, value)| {
                write_text(f, name)?;
                f.write_char(':')?;
                value.fmt(f)
            }),
        }
    }
}

fn write_between<T>(
    f: &mut fmt::Formatter<'_>,
    [open, close]: [char; 2],
    values: &[T],
    each: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    f.write_char(open)?;
    for (number, value) in values.iter().enumerate() {
        if number > 0 {
            f.write_char(',')?;
        }
        each(f, value)?;
    }
    f.write_char(close)
}

/// With Jackson's escapes.
fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\""),
            '\\' => f.write_str("\\\\"),
            '\n' => f.write_str("\\n"),
            '\r' => f.write_str("\\r"),
            '\t' => f.write_str("\\t"),
            '\u{8}' => f.write_str("\\b"),
            '\u{c}' => f.write_str("\\f"),
            c if u32::from(c) < 0x20 => write!(f, "\\u{:04X}", u32::from(c)),
            c => f.write_char(c),
        }?;
    }
    f.write_char('"')
}

fn write_binary(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    f.write_char('"')?;
    for three in bytes.chunks(3) {
        let word = (0..3).fold(0u32, |word, at| (word << 8) | u32::from(three.get(at).copied().unwrap_or(0)));
        for digit in 0..4 {
            let letter = char::from(ALPHABET[((word >> (18 - 6 * digit)) & 0x3f) as usize]);
            f.write_char(if digit <= three.len() { letter } else { '=' })?;
        }
    }
    f.write_char('"')
}

/// Java's `Double.toString`.
fn double(value: f64) -> String {
    if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
        return format!("{value:?}");
    }
    let scientific = format!("{value:E}");
    match scientific.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => scientific,
    }
}

/// A message of the given version.
pub(crate) fn of<M: Message + ToJson>(message: &M, version: i16) -> Json {
    message.to_json(Ctx { version, flexible: M::is_flexible(version) })
}

/// A value of Kafka's schema language, or a struct made of them.
pub(crate) trait ToJson {
    fn to_json(&self, c: Ctx) -> Json;
}

impl ToJson for bool {
    fn to_json(&self, _: Ctx) -> Json {
        Json::Bool(*self)
    }
}

macro_rules! whole_numbers {
    ($($number:ty)*) => {
        $(impl ToJson for $number {
            fn to_json(&self, _: Ctx) -> Json {
                Json::Int(i64::from(*self))
            }
        })*
    };
}

whole_numbers!(i8 i16 u16 i32 u32 i64);

impl ToJson for f64 {
    fn to_json(&self, _: Ctx) -> Json {
        Json::Double(*self)
    }
}

impl ToJson for Uuid {
    fn to_json(&self, _: Ctx) -> Json {
        Json::text(self)
    }
}

impl ToJson for Str {
    fn to_json(&self, _: Ctx) -> Json {
        Json::Text(self.to_string())
    }
}

impl ToJson for Bytes {
    fn to_json(&self, _: Ctx) -> Json {
        Json::Binary(self.clone())
    }
}

impl<T: ToJson> ToJson for Option<T> {
    fn to_json(&self, c: Ctx) -> Json {
        self.as_ref().map_or(Json::Null, |value| value.to_json(c))
    }
}

impl<T: ToJson> ToJson for Vec<T> {
    fn to_json(&self, c: Ctx) -> Json {
        Json::Array(self.iter().map(|value| value.to_json(c)).collect())
    }
}

#[allow(clippy::nonminimal_bool, clippy::vec_init_then_push, reason = "made from the schema")]
mod generated {
    use super::{Json, ToJson};
    use crate::codec::Ctx;
    use crate::messages;

    include!(concat!(env!("OUT_DIR"), "/json.rs"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_jackson_writes_them() {
        assert_eq!(Json::text("a\"\\\n\u{1f}\u{8}ä").to_string(), r#""a\"\\\n\u001F\bä""#);
        let binary = ["", "a", "ab", "abc", "abcd", "\u{3ff}?"].map(|text| Json::Binary(Bytes::from(text)));
        assert_eq!(
            Json::Array(binary.to_vec()).to_string(),
            r#"["","YQ==","YWI=","YWJj","YWJjZA==","z78/"]"#
        );
        let doubles = [0.0, 1000.0, 0.5, 1e7, 1.5e-4, 12_345_678.9].map(double);
        assert_eq!(doubles, ["0.0", "1000.0", "0.5", "1.0E7", "1.5E-4", "1.23456789E7"]);
        let object = Json::Object(vec![("a", Json::Null), ("b", Json::Bool(true)), ("c", Json::Int(-1))]);
        assert_eq!(object.to_string(), r#"{"a":null,"b":true,"c":-1}"#);
    }
}
