//! JSON, as far as the commands need it. Writes only.

/// Appends a string with its quotes.
pub(in crate::cli) fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Appends `,"name":` and the bytes: as a string where they are UTF-8, else under `nameHex` in hexadecimal.
pub(in crate::cli) fn bytes(out: &mut String, name: &str, bytes: Option<&[u8]>) {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => out.push_str(&format!(",\"{name}\":null")),
        Some((_, Ok(text))) => {
            out.push_str(&format!(",\"{name}\":"));
            string(out, text);
        }
        Some((bytes, Err(_))) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            out.push_str(&format!(",\"{name}Hex\":\"{hex}\""));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_other_bytes_are_hexadecimal() {
        let mut out = String::new();
        bytes(&mut out, "key", Some(b"a\"\\\n\x01"));
        bytes(&mut out, "value", Some(&[0xff, 0]));
        bytes(&mut out, "none", None);
        assert_eq!(out, r#","key":"a\"\\\n\u0001","valueHex":"ff00","none":null"#);
    }
}
