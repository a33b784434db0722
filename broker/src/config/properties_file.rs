//! Reads the syntax of Java's property files: comments, continued lines, escapes, three separators.
//! Knows no property and opens no file. A pure function: any core.

use std::fmt;

/// One `key = value`, with the line it starts on (from 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub line: usize,
    pub key: String,
    pub value: String,
}

/// The only thing that can be wrong with such a file: a `\u` without four hex digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadEscape {
    pub line: usize,
}

impl fmt::Display for BadEscape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\\u must be followed by four hexadecimal digits")
    }
}

/// The text of such a file: Java reads its bytes as ISO-8859-1, whatever they were meant to be.
#[must_use]
pub fn decode(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// All entries in the order of the file; a key may stand twice.
///
/// # Errors
/// [`BadEscape`] with its line.
pub fn parse(text: &str) -> Result<Vec<Entry>, BadEscape> {
    logical_lines(text).into_iter().map(|(line, content)| entry(line, &content)).collect()
}

/// Joins continued lines; drops blank lines and comments. A comment is never continued, and begins wherever its line
/// has nothing before it.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut done = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, raw) in split_lines(text).enumerate() {
        let part = raw.trim_start_matches(is_blank);
        let is_fresh = open.as_ref().is_none_or(|(_, joined)| joined.is_empty());
        if is_fresh && (part.is_empty() || part.starts_with(['#', '!'])) {
            open = None;
            continue;
        }
        let (start, mut joined) = open.take().unwrap_or((index + 1, String::new()));
        if is_continued(part) {
            joined.push_str(&part[..part.len() - 1]);
            open = Some((start, joined));
        } else {
            joined.push_str(part);
            done.push((start, joined));
        }
    }
    done.extend(open);
    done
}

/// Lines end with `\n`, `\r\n` or a lone `\r`.
fn split_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).flat_map(|line| line.split('\r'))
}

/// An odd number of backslashes at the end: the last one is not itself escaped.
fn is_continued(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0c')
}

fn entry(line: usize, content: &str) -> Result<Entry, BadEscape> {
    let (key, value) = split_key(content);
    Ok(Entry { line, key: unescape(line, key)?, value: unescape(line, value)? })
}

/// The key ends at the first unescaped `=`, `:` or blank; blanks and one separator follow it.
fn split_key(content: &str) -> (&str, &str) {
    let mut is_escaped = false;
    let ends_key = |c: char| {
        let ends = !is_escaped && (is_blank(c) || c == '=' || c == ':');
        is_escaped = c == '\\' && !is_escaped;
        ends
    };
    let end = content.find(ends_key).unwrap_or(content.len());
    let (key, rest) = content.split_at(end);
    let rest = rest.trim_start_matches(is_blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(is_blank))
}

/// Escapes are of UTF-16: two of them may make one character. Half of a pair has no meaning alone and becomes the
/// replacement character.
fn unescape(line: usize, text: &str) -> Result<String, BadEscape> {
    let mut out: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let escaped = if c == '\\' { chars.next() } else { None };
        match escaped {
            Some('u') => out.push(unicode(&mut chars).ok_or(BadEscape { line })?),
            Some(escaped) => push(&mut out, control(escaped)),
            // A backslash at the very end stands for nothing.
            None if c == '\\' => {}
            None => push(&mut out, c),
        }
    }
    Ok(String::from_utf16_lossy(&out))
}

fn push(out: &mut Vec<u16>, c: char) {
    out.extend_from_slice(c.encode_utf16(&mut [0; 2]));
}

fn control(escaped: char) -> char {
    match escaped {
        't' => '\t',
        'n' => '\n',
        'r' => '\r',
        'f' => '\x0c',
        other => other,
    }
}

fn unicode(chars: &mut std::str::Chars<'_>) -> Option<u16> {
    let mut code = 0;
    for _ in 0..4 {
        code = code * 16 + chars.next()?.to_digit(16)?;
    }
    u16::try_from(code).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let entries = parse(text).unwrap();
        entries.into_iter().map(|e| (e.key, e.value)).collect()
    }

    fn one(text: &str) -> (String, String) {
        let mut all = pairs(text);
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    /// What `java.util.Properties` made of these bytes (OpenJDK 17); `None` where it threw.
    #[test]
    fn tricky_files_are_read_as_java_reads_them() {
        type Pairs = &'static [(&'static str, &'static str)];
        let cases: &[(&[u8], Option<Pairs>)] = &[
            (b"a=b\n", Some(&[("a", "b")])),
            (b"a:b\n", Some(&[("a", "b")])),
            (b"a b\n", Some(&[("a", "b")])),
            (b"a = b\n", Some(&[("a", "b")])),
            (b"a\t:\tb", Some(&[("a", "b")])),
            (b" \x0c a  = : b", Some(&[("a", ": b")])),
            (b"a==b", Some(&[("a", "=b")])),
            (b"a : = b", Some(&[("a", "= b")])),
            (b"a =: b", Some(&[("a", ": b")])),
            (b"!c\n#d\na=b", Some(&[("a", "b")])),
            (b"a=1\\\n  2\\\n\n3=4", Some(&[("a", "12"), ("3", "4")])),
            (b"a=1\\\n#2\n", Some(&[("a", "1#2")])),
            (b"#c\\\na=b", Some(&[("a", "b")])),
            (b"a=\\u0041\\u00e9\\u20AC", Some(&[("a", "A\u{e9}\u{20ac}")])),
            (b"a=\\u00g1", None),
            (b"a=\\u12", None),
            (b"a=\\\\u0041", Some(&[("a", "\\u0041")])),
            (b"\\=a=b", Some(&[("=a", "b")])),
            (b"a\\ b=c", Some(&[("a b", "c")])),
            (b"a\\:b:c", Some(&[("a:b", "c")])),
            (b"caf\xe9=\xfc\xff", Some(&[("caf\u{e9}", "\u{fc}\u{ff}")])),
            (b"a=caf\xc3\xa9", Some(&[("a", "caf\u{c3}\u{a9}")])),
            (b"a=b\r\nc=d\re=f", Some(&[("a", "b"), ("c", "d"), ("e", "f")])),
            (b"a=b\\\r\n c\r\n", Some(&[("a", "bc")])),
            (b"a=b\\\r c", Some(&[("a", "bc")])),
            (b"a=b  \n", Some(&[("a", "b  ")])),
            (b"a", Some(&[("a", "")])),
            (b"a=", Some(&[("a", "")])),
            (b"=b", Some(&[("", "b")])),
            (b":b", Some(&[("", "b")])),
            (b"  =  ", Some(&[("", "")])),
            (b"\\", Some(&[("", "")])),
            (b"a=\\", Some(&[("a", "")])),
            (b"a=b\\", Some(&[("a", "b")])),
            (b"a\\", Some(&[("a", "")])),
            (b"a=x\\qy\\tz\\n\\r\\f", Some(&[("a", "xqy\tz\n\r\u{c}")])),
            (b"a=\\ud83d\\ude00", Some(&[("a", "\u{1f600}")])),
            (b"a=1\na=2", Some(&[("a", "2")])),
            (b"a=\xa0b", Some(&[("a", "\u{a0}b")])),
            (b"a\xa0=b", Some(&[("a\u{a0}", "b")])),
            (b"a=b\\\n\\\n c", Some(&[("a", "bc")])),
            (b"a=b\\\n   \nc=d", Some(&[("a", "b"), ("c", "d")])),
            (b"a=b\\\n\r\nc=d", Some(&[("a", "b"), ("c", "d")])),
            (b"\\#a=b", Some(&[("#a", "b")])),
            (b"\\!a=b", Some(&[("!a", "b")])),
            (b"a=b\\\n!c", Some(&[("a", "b!c")])),
            (b"a\\\n=b", Some(&[("a", "b")])),
            (b"a\\\n  b=c", Some(&[("ab", "c")])),
            (b"a\\\n:b", Some(&[("a", "b")])),
            (b"a \\\n b", Some(&[("a", "b")])),
            (b"a \\\n = b", Some(&[("a", "b")])),
            (b"a=\\\n b", Some(&[("a", "b")])),
            (b"a=\\\n  \\\n  b", Some(&[("a", "b")])),
            (b"\x0ba=b", Some(&[("\u{b}a", "b")])),
            (b"a\x0bb=c", Some(&[("a\u{b}b", "c")])),
            (b"a=b\x85c=d", Some(&[("a", "b\u{85}c=d")])),
            (b"a=b\x00c", Some(&[("a", "b\u{0}c")])),
            (b"\xef\xbb\xbfa=b", Some(&[("\u{ef}\u{bb}\u{bf}a", "b")])),
            (b"a\\u003db=c", Some(&[("a=b", "c")])),
            (b"a=\\u000Ab", Some(&[("a", "\nb")])),
            (b"a=\\U0041", Some(&[("a", "U0041")])),
            (b"a=b\\\\\nc=d", Some(&[("a", "b\\"), ("c", "d")])),
            (b"a=b\\\\\\\n c", Some(&[("a", "b\\c")])),
            (b"#a\rb=c", Some(&[("b", "c")])),
            (b"#\\u000ab=c", Some(&[])),
            (b"a=b\n\n\n c = d # e", Some(&[("a", "b"), ("c", "d # e")])),
            (b"\\u=b", None),
            (b"a\\u=b", None),
            (b"a=\\uuuu0041", None),
            (b"a=\\u0041\\", Some(&[("a", "A")])),
            (b"a=1\\\n", Some(&[("a", "1")])),
            (b"a=1\\\n  ", Some(&[("a", "1")])),
            (b"  \\\na=b", Some(&[("a", "b")])),
            (b"\\\n a=b", Some(&[("a", "b")])),
            (b"#a\n  \\\n #b\nc=d", Some(&[("c", "d")])),
            (b"a=\\u004\n1", None),
        ];
        for (bytes, expected) in cases {
            let read = parse(&decode(bytes)).ok().map(|entries| {
                let all: std::collections::BTreeMap<_, _> =
                    entries.into_iter().map(|entry| (entry.key, entry.value)).collect();
                all
            });
            let owned = |pairs: &Pairs| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
            assert_eq!(read, expected.as_ref().map(owned), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn equals_colon_and_blank_all_separate() {
        for text in ["a=b", "a:b", "a b", "a = b", "a\t:\tb", "  a   b"] {
            assert_eq!(one(text), ("a".into(), "b".into()), "{text:?}");
        }
    }

    #[test]
    fn only_the_first_separator_counts() {
        assert_eq!(one("listeners=PLAINTEXT://:9092"), ("listeners".into(), "PLAINTEXT://:9092".into()));
        assert_eq!(one("a = = b"), ("a".into(), "= b".into()));
    }

    #[test]
    fn comments_and_blank_lines_are_skipped() {
        assert_eq!(pairs("# a=b\n\n  ! c=d\n \t\n"), []);
        assert_eq!(one("a=b # not a comment").1, "b # not a comment");
    }

    #[test]
    fn a_backslash_at_the_end_continues_the_line() {
        assert_eq!(one("a=b,\\\n   c,\\\n\td").1, "b,c,d");
        assert_eq!(pairs("a=b\\\\\nc=d").len(), 2);
        assert_eq!(pairs("# a\\\nb=c").len(), 1);
    }

    #[test]
    fn a_continued_line_may_start_like_a_comment() {
        assert_eq!(one("a=b\\\n#c").1, "b#c");
    }

    #[test]
    fn escapes_are_taken_off() {
        assert_eq!(one("a\\ b\\=c=\\t\\u0041\\:\\q"), ("a b=c".into(), "\tA:q".into()));
    }

    #[test]
    fn trailing_blanks_belong_to_the_value() {
        assert_eq!(one("a=b ").1, "b ");
    }

    #[test]
    fn a_key_alone_has_an_empty_value() {
        assert_eq!(one("alone"), ("alone".into(), String::new()));
    }

    #[test]
    fn lines_are_counted_where_an_entry_starts() {
        let entries = parse("\r\n# x\r\na=1\\\r\n2\r\nb=3").unwrap();
        let lines: Vec<_> = entries.iter().map(|e| (e.line, e.value.as_str())).collect();
        assert_eq!(lines, [(3, "12"), (5, "3")]);
    }

    #[test]
    fn a_broken_unicode_escape_names_its_line() {
        assert_eq!(parse("a=1\nb=\\u12x4"), Err(BadEscape { line: 2 }));
        assert_eq!(parse("b=\\u12"), Err(BadEscape { line: 1 }));
    }
}
