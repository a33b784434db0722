//! Lines out of chunks of bytes, and keys out of lines. Pure.

use bytes::{Bytes, BytesMut};

/// A longer line is no record that any broker would take.
const MAX_LINE_BYTES: usize = 64 << 20;

pub(super) struct Lines {
    separator: Option<Vec<u8>>,
    /// The beginning of a line whose end has not come.
    begun: BytesMut,
    chunk: Bytes,
}

impl Lines {
    pub(super) fn new(separator: Option<Vec<u8>>) -> Self {
        let separator = separator.filter(|separator| !separator.is_empty());
        Self { separator, begun: BytesMut::new(), chunk: Bytes::new() }
    }

    /// Adds input; take the lines out of it before the next.
    pub(super) fn push(&mut self, chunk: Bytes) -> Result<(), String> {
        assert!(self.chunk.is_empty(), "the lines of the chunk before were taken");
        if self.begun.len() > MAX_LINE_BYTES {
            return Err(format!("a line is longer than {MAX_LINE_BYTES} bytes"));
        }
        self.chunk = chunk;
        Ok(())
    }

    /// The next whole line, without its end.
    pub(super) fn next_line(&mut self) -> Option<Bytes> {
        let Some(end) = self.chunk.iter().position(|byte| *byte == b'\n') else {
            self.begun.extend_from_slice(&std::mem::take(&mut self.chunk));
            return None;
        };
        let rest = self.chunk.split_to(end + 1).slice(..end);
        if self.begun.is_empty() {
            return Some(rest);
        }
        self.begun.extend_from_slice(&rest);
        Some(self.begun.split().freeze())
    }

    /// What came after the last line end.
    pub(super) fn finish(&mut self) -> Option<Bytes> {
        Some(self.begun.split().freeze()).filter(|line| !line.is_empty())
    }

    /// Key and value of a line. A line without the separator has no key.
    pub(super) fn split(&self, line: Bytes) -> (Option<Bytes>, Bytes) {
        let Some(separator) = &self.separator else { return (None, line) };
        match line.windows(separator.len()).position(|window| window == separator) {
            Some(at) => (Some(line.slice(..at)), line.slice(at + separator.len()..)),
            None => (None, line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&'static str]) -> Vec<String> {
        let mut lines = Lines::new(None);
        let mut found = Vec::new();
        for chunk in chunks {
            lines.push(Bytes::from_static(chunk.as_bytes())).unwrap();
            found.extend(std::iter::from_fn(|| lines.next_line()));
        }
        found.extend(lines.finish());
        found.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }

    #[test]
    fn lines_do_not_depend_on_how_the_input_is_cut() {
        let text = "one\n\nthree\nlast";
        let expected = ["one", "", "three", "last"];
        assert_eq!(lines(&[text]), expected);
        for at in 0..=text.len() {
            assert_eq!(lines(&[&text[..at], &text[at..]]), expected, "cut at {at}");
        }
    }

    #[test]
    fn an_end_of_line_at_the_end_begins_no_record() {
        assert_eq!(lines(&["one\n"]), ["one"]);
        assert_eq!(lines(&[]), [""; 0]);
        assert_eq!(lines(&["\n"]), [""]);
    }

    #[test]
    fn the_first_separator_splits_and_a_line_without_one_has_no_key() {
        let lines = Lines::new(Some(b"::".to_vec()));
        let split = |text: &'static str| lines.split(Bytes::from_static(text.as_bytes()));
        assert_eq!(split("k::a::b"), (Some("k".into()), "a::b".into()));
        assert_eq!(split("::v"), (Some("".into()), "v".into()));
        assert_eq!(split("plain"), (None, "plain".into()));
        assert_eq!(split(""), (None, "".into()));
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut lines = Lines::new(None);
        let piece = Bytes::from(vec![b'x'; 16 << 20]);
        let pushed: Vec<bool> = (0..8)
            .map(|_| {
                let taken = lines.push(piece.clone()).is_ok();
                taken && lines.next_line().is_none()
            })
            .take_while(|taken| *taken)
            .collect();
        assert!(pushed.len() < 8);
    }
}
