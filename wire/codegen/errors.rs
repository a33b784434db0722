//! `schema/errors.txt` (code, name, `retriable` or `final`, message) as constants and a table.

use std::fmt::Write;

pub fn generate(text: &str) -> String {
    let mut constants = String::new();
    let mut table = String::new();
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        let mut word = || words.next().unwrap_or_else(|| panic!("errors.txt: four words expected: {line}"));
        let (code, name, kind, message) = (word(), word(), word(), word());
        let retriable = kind == "retriable";
        assert!(retriable || kind == "final", "errors.txt: retriable or final expected: {line}");
        let _ = writeln!(constants, "    /// {code}: {}", message.replace('<', "\\<"));
        let _ = writeln!(constants, "    pub const {name}: Self = Self({code});");
        let _ = writeln!(
            table,
            "    ErrorEntry {{ code: {code}, name: {name:?}, retriable: {retriable}, message: {message:?} }},"
        );
    }
    format!("impl ErrorCode {{\n{constants}}}\n\nstatic ERRORS: &[ErrorEntry] = &[\n{table}];\n")
}
