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

/// All entries in the order of the file; a key may stand twice.
///
/// # Errors
/// [`BadEscape`] with its line.
pub fn parse(text: &str) -> Result<Vec<Entry>, BadEscape> {
    logical_lines(text).into_iter().map(|(line, content)| entry(line, &content)).collect()
}

/// Joins continued lines; drops blank lines and comments. A comment is never continued.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut done = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, raw) in split_lines(text).enumerate() {
        let part = raw.trim_start_matches(is_blank);
        let is_fresh = open.is_none();
        if is_fresh && (part.is_empty() || part.starts_with(['#', '!'])) {
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

fn unescape(line: usize, text: &str) -> Result<String, BadEscape> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('u') => out.push(unicode(&mut chars).ok_or(BadEscape { line })?),
            Some(escaped) => out.push(control(escaped)),
            None => {}
        }
    }
    Ok(out)
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

/// Half of a surrogate pair has no meaning alone and becomes the replacement character.
fn unicode(chars: &mut std::str::Chars<'_>) -> Option<char> {
    let mut code = 0;
    for _ in 0..4 {
        code = code * 16 + chars.next()?.to_digit(16)?;
    }
    Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
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
