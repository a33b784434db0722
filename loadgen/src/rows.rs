//! Names and values in an order that means something, as JSON an object in this order. Pure.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Settings of a run, or facts of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows(Vec<(String, String)>);

impl Rows {
    pub fn new<N: Into<String>>(rows: impl IntoIterator<Item = (N, String)>) -> Rows {
        Rows(rows.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// Values that differ stand side by side.
    pub fn merge(&mut self, other: &Rows) {
        for (name, value) in other.iter() {
            match self.0.iter_mut().find(|(found, _)| found == name) {
                Some((_, own)) if own.split(BESIDE).any(|part| part == value) => {}
                Some((_, own)) => *own = format!("{own}{BESIDE}{value}"),
                None => self.0.push((name.to_owned(), value.to_owned())),
            }
        }
    }
}

const BESIDE: &str = " | ";

impl Serialize for Rows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rows, D::Error> {
        deserializer.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Rows;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Rows, A::Error> {
        let mut rows = Vec::new();
        while let Some(row) = map.next_entry()? {
            rows.push(row);
        }
        Ok(Rows(rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_order_through_json() {
        let rows = Rows::new([("z", "1".to_owned()), ("a", "2\n".to_owned())]);
        let json = serde_json::to_string(&rows).unwrap();
        assert_eq!(json, r#"{"z":"1","a":"2\n"}"#);
        assert_eq!(serde_json::from_str::<Rows>(&json).unwrap(), rows);
    }

    #[test]
    fn merged_rows_show_what_differs() {
        let rows = |topic: &str| Rows::new([("workload", "produce".to_owned()), ("topic", topic.to_owned())]);
        let mut merged = rows("a");
        merged.merge(&rows("b"));
        merged.merge(&rows("b"));
        assert_eq!((merged.get("workload"), merged.get("topic")), (Some("produce"), Some("a | b")));
    }
}
