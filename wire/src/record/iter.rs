//! Reading the records of a batch, decompressing it first where needed.
//!
//! Never panics on bad bytes: an iterator yields an error and ends. Memory is bounded by the caller's limit on
//! decompressed bytes; keys, values and headers are slices of the batch.

use bytes::Bytes;

use super::compress::{Codec, decompress};
use super::error::{Malformed, RecordError};
use super::header::BatchHeader;
use super::varint::{read_varint, read_varlong};

/// A record with its own references to the batch's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Absolute offset.
    pub offset: i64,
    /// Timestamp, ms; −1 for none.
    pub timestamp: i64,
    /// The key.
    pub key: Option<Bytes>,
    /// The value.
    pub value: Option<Bytes>,
    header_count: i32,
    headers: Bytes,
}

impl Record {
    /// The headers, in order.
    pub fn headers(&self) -> Headers<'_> {
        Headers { left: self.header_count, rest: &self.headers }
    }
}

/// A record that borrows from the iterator: for scans that keep nothing.
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'a> {
    /// Absolute offset.
    pub offset: i64,
    /// Timestamp, ms; −1 for none.
    pub timestamp: i64,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    pub(crate) timestamp_delta: i64,
    pub(crate) header_count: i32,
    pub(crate) headers: &'a [u8],
}

impl<'a> RecordRef<'a> {
    /// The headers, in order.
    pub fn headers(&self) -> Headers<'a> {
        Headers { left: self.header_count, rest: self.headers }
    }
}

/// A record's header. Keys are UTF-8 by convention; nobody checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value.
    pub value: Option<&'a [u8]>,
}

/// The headers of one record.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    left: i32,
    rest: &'a [u8],
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        if self.left <= 0 {
            return None;
        }
        self.left -= 1;
        let mut fields = Fields { rest: self.rest };
        let key = fields.nullable().ok().flatten()?;
        let value = fields.nullable().ok()?;
        self.rest = fields.rest;
        Some(Header { key, value })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, usize::try_from(self.left).ok())
    }
}

/// The records of one batch.
#[derive(Clone, Debug)]
pub struct RecordsIter {
    header: BatchHeader,
    plain: Bytes,
    at: usize,
    left: i32,
}

impl RecordsIter {
    /// Over the records `body` of the batch with this header. A batch without records decompresses nothing.
    pub fn new(
        header: &BatchHeader,
        body: Bytes,
        max_decompressed_bytes: u64,
    ) -> Result<RecordsIter, RecordError> {
        let count = header.record_count;
        if count < 0 {
            return Err(RecordError::Count(count));
        }
        let codec = header.codec().map_err(RecordError::UnknownCodec)?;
        let plain = match codec {
            _ if count == 0 => Bytes::new(),
            Codec::None => body,
            _ => decompress(codec, &body, max_decompressed_bytes)?,
        };
        Ok(RecordsIter { header: *header, plain, at: 0, left: count })
    }

    /// The header of the batch.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The next record, borrowed.
    pub fn next_ref(&mut self) -> Option<Result<RecordRef<'_>, RecordError>> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let result = read_record(&self.header, &self.plain[self.at..]);
        let last = self.left == 0;
        match result {
            Ok((_, bytes)) if last && self.at + bytes != self.plain.len() => {
                Some(Err(Malformed::Trailing.into()))
            }
            Ok((record, bytes)) => {
                self.at += bytes;
                Some(Ok(record))
            }
            Err(error) => {
                self.left = 0;
                Some(Err(error))
            }
        }
    }
}

impl Iterator for RecordsIter {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let plain = self.plain.clone();
        let record = match self.next_ref()? {
            Ok(record) => record,
            Err(error) => return Some(Err(error)),
        };
        let own = |bytes: &[u8]| plain.slice_ref(bytes);
        Some(Ok(Record {
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.map(own),
            value: record.value.map(own),
            header_count: record.header_count,
            headers: own(record.headers),
        }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, usize::try_from(self.left).ok())
    }
}

/// The record at the start of `bytes`, and how many bytes it takes.
fn read_record<'a>(header: &BatchHeader, bytes: &'a [u8]) -> Result<(RecordRef<'a>, usize), RecordError> {
    let mut fields = Fields { rest: bytes };
    let length = usize::try_from(fields.varint()?).map_err(|_| Malformed::RecordLength)?;
    let length_bytes = bytes.len() - fields.rest.len();
    let mut fields = Fields { rest: fields.rest.get(..length).ok_or(Malformed::Truncated)? };
    let record = read_fields(header, &mut fields)?;
    if fields.rest.is_empty() {
        Ok((record, length_bytes + length))
    } else {
        Err(Malformed::RecordLength.into())
    }
}

fn read_fields<'a>(header: &BatchHeader, fields: &mut Fields<'a>) -> Result<RecordRef<'a>, RecordError> {
    fields.take(1)?;
    let timestamp_delta = fields.varlong()?;
    let offset_delta = fields.varint()?;
    let key = fields.nullable()?;
    let value = fields.nullable()?;
    let header_count = fields.varint()?;
    let headers = fields.headers(header_count)?;
    Ok(RecordRef {
        offset: header.base_offset.wrapping_add(i64::from(offset_delta)),
        timestamp: header.record_timestamp(timestamp_delta),
        key,
        value,
        timestamp_delta,
        header_count,
        headers,
    })
}

struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<i32, Malformed> {
        let (value, bytes) = read_varint(self.rest).ok_or(Malformed::Varint)?;
        self.rest = &self.rest[bytes..];
        Ok(value)
    }

    fn varlong(&mut self) -> Result<i64, Malformed> {
        let (value, bytes) = read_varlong(self.rest).ok_or(Malformed::Varint)?;
        self.rest = &self.rest[bytes..];
        Ok(value)
    }

    fn nullable(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        match usize::try_from(self.varint()?) {
            Ok(length) => self.take(length).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// The bytes of `count` headers, each checked.
    fn headers(&mut self, count: i32) -> Result<&'a [u8], Malformed> {
        if count < 0 {
            return Err(Malformed::HeaderCount);
        }
        let whole = self.rest;
        for _ in 0..count {
            self.nullable()?.ok_or(Malformed::HeaderKey)?;
            self.nullable()?;
        }
        Ok(&whole[..whole.len() - self.rest.len()])
    }
}
