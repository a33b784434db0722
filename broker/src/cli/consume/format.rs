//! How a record is printed: the format string of `--format`. Pure.

use kring_wire::record::Record;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Timestamp,
    Key,
    Value,
    Headers,
}

/// A parsed format string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Format(Vec<Piece>);

impl Format {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text.chars();
        while let Some(next) = rest.next() {
            let piece = match next {
                '%' => field(rest.next())?,
                '\\' => Piece::Text(vec![escaped(rest.next())?]),
                plain => Piece::Text(plain.to_string().into_bytes()),
            };
            push(&mut pieces, piece);
        }
        Ok(Self(pieces))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>, topic: &str, partition: i32, record: &Record) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Topic => out.extend_from_slice(topic.as_bytes()),
                Piece::Partition => out.extend_from_slice(partition.to_string().as_bytes()),
                Piece::Offset => out.extend_from_slice(record.offset.to_string().as_bytes()),
                Piece::Timestamp => out.extend_from_slice(record.timestamp.to_string().as_bytes()),
                Piece::Key => out.extend_from_slice(record.key.as_deref().unwrap_or_default()),
                Piece::Value => out.extend_from_slice(record.value.as_deref().unwrap_or_default()),
                Piece::Headers => headers(out, record),
            }
        }
    }
}

/// Neighbouring texts become one.
fn push(pieces: &mut Vec<Piece>, piece: Piece) {
    match (pieces.last_mut(), piece) {
        (Some(Piece::Text(before)), Piece::Text(text)) => before.extend(text),
        (_, piece) => pieces.push(piece),
    }
}

fn field(letter: Option<char>) -> Result<Piece, String> {
    Ok(match letter {
        Some('t') => Piece::Topic,
        Some('p') => Piece::Partition,
        Some('o') => Piece::Offset,
        Some('T') => Piece::Timestamp,
        Some('k') => Piece::Key,
        Some('v') => Piece::Value,
        Some('h') => Piece::Headers,
        Some('%') => Piece::Text(b"%".to_vec()),
        Some(other) => {
            return Err(format!("--format knows no %{other}; it knows %t %p %o %T %k %v %h and %%"));
        }
        None => return Err("--format ends in the middle of a field; %% stands for one %".to_string()),
    })
}

fn escaped(letter: Option<char>) -> Result<u8, String> {
    Ok(match letter {
        Some('n') => b'\n',
        Some('t') => b'\t',
        Some('r') => b'\r',
        Some('0') => 0,
        Some('\\') => b'\\',
        Some(other) => {
            return Err(format!("--format knows no \\{other}; it knows \\n \\t \\r \\0 and \\\\"));
        }
        None => return Err("--format ends with a lone \\; \\\\ stands for one".to_string()),
    })
}

/// `name=value`, with commas between.
fn headers(out: &mut Vec<u8>, record: &Record) {
    for (number, header) in record.headers().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        out.extend_from_slice(header.key);
        out.push(b'=');
        out.extend_from_slice(header.value.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use kring_wire::record::{BatchBuilder, Compression, Header};

    use super::*;

    fn printed(format: &str) -> String {
        let mut builder = BatchBuilder::new(Compression::NONE).base_offset(41);
        builder.append(5, None, None).unwrap();
        let headers = [Header { key: b"a", value: Some(b"1") }, Header { key: b"b", value: None }];
        builder.append_with_headers(7, Some(b"key"), Some(b"value"), &headers).unwrap();
        let batch = builder.build().unwrap();
        let mut out = Vec::new();
        for record in batch.records(1 << 20).unwrap() {
            Format::parse(format).unwrap().write(&mut out, "top", 3, &record.unwrap());
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_field_has_its_letter() {
        assert_eq!(printed("%t-%p@%o %T\\t%k=%v;\\n"), "top-3@41 5\t=;\ntop-3@42 7\tkey=value;\n");
        assert_eq!(printed("[%h]"), "[][a=1,b=]");
    }

    #[test]
    fn signs_stand_for_themselves_when_doubled() {
        assert_eq!(printed("100%% \\\\ é|"), "100% \\ é|100% \\ é|");
    }

    #[test]
    fn what_is_unknown_is_named() {
        assert!(Format::parse("%x").unwrap_err().contains("%x"));
        assert!(Format::parse("\\q").unwrap_err().contains("\\q"));
        assert!(Format::parse("a%").is_err());
        assert!(Format::parse("a\\").is_err());
    }
}
