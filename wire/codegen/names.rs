//! Kafka's names in Rust's spelling.

/// `ISRNodes` and `IsrNodes` both become `isr_nodes`.
pub fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (i, c) in chars.iter().enumerate() {
        let after_lower = i > 0 && !chars[i - 1].is_ascii_uppercase();
        let before_lower = i > 0 && chars.get(i + 1).is_some_and(|next| next.is_ascii_lowercase());
        if c.is_ascii_uppercase() && (after_lower || before_lower) {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// A field's name; Rust's keywords get an underscore.
pub fn field(name: &str) -> String {
    let name = snake(name);
    match name.as_str() {
        "type" | "match" | "move" | "ref" | "self" | "use" | "where" | "async" | "loop" | "in" => name + "_",
        _ => name,
    }
}
