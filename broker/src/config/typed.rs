//! Takes typed values out of a lookup by name.
//! Never parses: whatever comes in was checked against its property's type and rule. Any core.

use super::value::Value;

/// A lookup whose answers have the type that their property's row states.
pub(super) struct Typed<'a>(pub &'a dyn Fn(&str) -> Value);

impl Typed<'_> {
    /// # Panics
    /// All methods: when the row's type is another one, a mistake in this crate.
    pub fn i64(&self, name: &str) -> i64 {
        match (self.0)(name) {
            Value::Integer(number) => number,
            other => wrong(name, &other),
        }
    }

    pub fn i32(&self, name: &str) -> i32 {
        narrow(name, self.i64(name))
    }

    pub fn i16(&self, name: &str) -> i16 {
        narrow(name, self.i64(name))
    }

    pub fn u32(&self, name: &str) -> u32 {
        narrow(name, self.i64(name))
    }

    pub fn u64(&self, name: &str) -> u64 {
        narrow(name, self.i64(name))
    }

    /// A number of which every negative one means "no limit".
    pub fn limit(&self, name: &str) -> Option<i64> {
        Some(self.i64(name)).filter(|number| *number >= 0)
    }

    pub fn optional_i64(&self, name: &str) -> Option<i64> {
        match (self.0)(name) {
            Value::Null => None,
            Value::Integer(number) => Some(number),
            other => wrong(name, &other),
        }
    }

    pub fn bool(&self, name: &str) -> bool {
        match (self.0)(name) {
            Value::Boolean(value) => value,
            other => wrong(name, &other),
        }
    }

    pub fn f64(&self, name: &str) -> f64 {
        match (self.0)(name) {
            Value::Double(number) => number,
            other => wrong(name, &other),
        }
    }

    pub fn text(&self, name: &str) -> String {
        self.optional_text(name).unwrap_or_default()
    }

    pub fn optional_text(&self, name: &str) -> Option<String> {
        match (self.0)(name) {
            Value::Null => None,
            Value::Text(text) => Some(text),
            other => wrong(name, &other),
        }
    }

    pub fn list(&self, name: &str) -> Vec<String> {
        self.optional_list(name).unwrap_or_default()
    }

    pub fn optional_list(&self, name: &str) -> Option<Vec<String>> {
        match (self.0)(name) {
            Value::Null => None,
            Value::List(items) => Some(items),
            other => wrong(name, &other),
        }
    }
}

fn narrow<T: TryFrom<i64>>(name: &str, number: i64) -> T {
    T::try_from(number).unwrap_or_else(|_| wrong(name, &Value::Integer(number)))
}

fn wrong(name: &str, value: &Value) -> ! {
    panic!("{name} is read as another type than its row states: {value:?}")
}
