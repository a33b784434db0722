//! Random values of every message, for tests and examples: they include this output, the library does not.

use crate::schema::Message;

pub fn generate(_messages: &[Message]) -> String {
    String::new()
}
