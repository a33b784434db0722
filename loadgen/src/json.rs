//! JSON text out of values. Pure; reads none.

use std::fmt;

pub enum Json {
    Number(f64),
    Count(u64),
    Bool(bool),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    pub fn object<const N: usize>(fields: [(&str, Json); N]) -> Json {
        Json::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // JSON has no infinities and no NaN.
            Json::Number(number) if !number.is_finite() => f.write_str("null"),
            Json::Number(number) => write!(f, "{number}"),
            Json::Count(count) => write!(f, "{count}"),
            Json::Bool(value) => write!(f, "{value}"),
            Json::Text(text) => quoted(f, text),
            Json::List(items) => joined(f, ('[', ']'), items, |f, item| write!(f, "{item}")),
            Json::Object(fields) => joined(f, ('{', '}'), fields, |f, (name, value)| {
                quoted(f, name)?;
                write!(f, ":{value}")
            }),
        }
    }
}

fn joined<T>(
    f: &mut fmt::Formatter<'_>,
    (open, close): (char, char),
    items: &[T],
    one: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    write!(f, "{open}")?;
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            f.write_str(",")?;
        }
        one(f, item)?;
    }
    write!(f, "{close}")
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            c if (c as u32) < 0x20 => write!(f, "\\u{:04x}", c as u32)?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_json() {
        let value = Json::object([
            ("a\"b", Json::List(vec![Json::Count(1), Json::Number(0.5), Json::Number(f64::NAN)])),
            ("c", Json::Text("line\nback\\slash".to_owned())),
            ("d", Json::Bool(true)),
        ]);
        let expected = r#"{"a\"b":[1,0.5,null],"c":"line\u000aback\\slash","d":true}"#;
        assert_eq!(value.to_string(), expected);
    }
}
