//! The record walk: every record of a batch once, structure checked, bodies skipped.
//!
//! Never allocates. Each step consumes at least one byte of the source, so the source's length bounds it.
//!
//! | part of a record | form |
//! |---|---|
//! | length of what follows | varint |
//! | attributes | 1 byte, unused |
//! | timestamp delta | varlong |
//! | offset delta | varint |
//! | key length (negative: none), key | varint, bytes |
//! | value length (negative: none), value | varint, bytes |
//! | header count | varint |
//! | per header: key length, key, value length (negative: none), value | varint, bytes, varint, bytes |

use super::error::{Malformed, RecordError};
use super::varint::{MAX_VARINT_BYTES, MAX_VARLONG_BYTES, read_varint, read_varlong};

/// Most bytes from a record's start to its key.
const MAX_HEAD_BYTES: usize = 3 * MAX_VARINT_BYTES + 1 + MAX_VARLONG_BYTES;

/// Where the walk takes its bytes from.
pub(crate) trait Source {
    /// The bytes at hand: at least `least` unless the records end sooner.
    fn window(&mut self, least: usize) -> Result<&[u8], RecordError>;
    /// Steps over bytes of the last window.
    fn consume(&mut self, count: usize);
    /// Steps over `count` bytes, window or not.
    fn skip(&mut self, count: usize) -> Result<(), RecordError>;
    /// Bytes stepped over so far.
    fn position(&self) -> u64;
}

/// A source that is all there.
pub(crate) struct SliceSource<'a> {
    rest: &'a [u8],
    position: u64,
}

impl<'a> SliceSource<'a> {
    pub(crate) fn new(records: &'a [u8]) -> Self {
        SliceSource { rest: records, position: 0 }
    }
}

impl Source for SliceSource<'_> {
    #[inline(always)]
    fn window(&mut self, _least: usize) -> Result<&[u8], RecordError> {
        Ok(self.rest)
    }

    #[inline(always)]
    fn consume(&mut self, count: usize) {
        self.rest = &self.rest[count..];
        self.position += count as u64;
    }

    #[inline(always)]
    fn skip(&mut self, count: usize) -> Result<(), RecordError> {
        self.rest = self.rest.get(count..).ok_or(Malformed::Truncated)?;
        self.position += count as u64;
        Ok(())
    }

    #[inline(always)]
    fn position(&self) -> u64 {
        self.position
    }
}

/// What the walk tells of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) timestamp_delta: i64,
    pub(crate) offset_delta: i32,
    /// Negative: no key.
    pub(crate) key_bytes: i32,
    /// Negative: no value.
    pub(crate) value_bytes: i32,
}

struct Head {
    body_bytes: i32,
    timestamp_delta: i64,
    offset_delta: i32,
    key_bytes: i32,
    /// Bytes of the length, and of all four fields.
    length_bytes: usize,
    bytes: usize,
}

/// Calls `visit` with each of `count` records, and fails unless they are exactly what `source` holds.
pub(crate) fn walk<S: Source>(
    source: &mut S,
    count: i32,
    mut visit: impl FnMut(i32, Shape),
) -> Result<(), RecordError> {
    for index in 0..count {
        visit(index, step(source)?);
    }
    if source.window(1)?.is_empty() { Ok(()) } else { Err(Malformed::Trailing.into()) }
}

#[inline(always)]
fn step<S: Source>(source: &mut S) -> Result<Shape, RecordError> {
    let head = read_head(source.window(MAX_HEAD_BYTES)?)?;
    let start = source.position() + head.length_bytes as u64;
    source.consume(head.bytes);
    skip_nullable(source, head.key_bytes)?;
    let value_bytes = take_varint(source)?;
    skip_nullable(source, value_bytes)?;
    let header_count = take_varint(source)?;
    if header_count != 0 {
        skip_headers(source, header_count)?;
    }
    if source.position() - start != u64::from(head.body_bytes as u32) || head.body_bytes < 0 {
        return Err(Malformed::RecordLength.into());
    }
    let Head { timestamp_delta, offset_delta, key_bytes, .. } = head;
    Ok(Shape { timestamp_delta, offset_delta, key_bytes, value_bytes })
}

#[inline(always)]
fn read_head(window: &[u8]) -> Result<Head, RecordError> {
    let (body_bytes, length_bytes) = varint_at(window, 0)?;
    // one byte of attributes, which no version uses
    let at = length_bytes + 1;
    let rest = window.get(at..).ok_or(Malformed::Truncated)?;
    let (timestamp_delta, timestamp_bytes) = read_varlong(rest).ok_or_else(|| bad_varlong(rest))?;
    let at = at + timestamp_bytes;
    let (offset_delta, offset_bytes) = varint_at(window, at)?;
    let at = at + offset_bytes;
    let (key_bytes, key_length_bytes) = varint_at(window, at)?;
    Ok(Head {
        body_bytes,
        timestamp_delta,
        offset_delta,
        key_bytes,
        length_bytes,
        bytes: at + key_length_bytes,
    })
}

#[inline(always)]
fn varint_at(window: &[u8], at: usize) -> Result<(i32, usize), RecordError> {
    let rest = window.get(at..).ok_or(Malformed::Truncated)?;
    read_varint(rest).ok_or_else(|| bad_varint(rest))
}

#[inline(always)]
fn take_varint<S: Source>(source: &mut S) -> Result<i32, RecordError> {
    let (value, bytes) = varint_at(source.window(MAX_VARINT_BYTES)?, 0)?;
    source.consume(bytes);
    Ok(value)
}

#[inline(always)]
fn skip_nullable<S: Source>(source: &mut S, count: i32) -> Result<(), RecordError> {
    if count > 0 { source.skip(count as usize) } else { Ok(()) }
}

fn skip_headers<S: Source>(source: &mut S, count: i32) -> Result<(), RecordError> {
    if count < 0 {
        return Err(Malformed::HeaderCount.into());
    }
    for _ in 0..count {
        let key_bytes = take_varint(source)?;
        if key_bytes < 0 {
            return Err(Malformed::HeaderKey.into());
        }
        source.skip(key_bytes as usize)?;
        let value_bytes = take_varint(source)?;
        skip_nullable(source, value_bytes)?;
    }
    Ok(())
}

#[cold]
fn bad_varint(rest: &[u8]) -> RecordError {
    if rest.len() < MAX_VARINT_BYTES { Malformed::Truncated.into() } else { Malformed::Varint.into() }
}

#[cold]
fn bad_varlong(rest: &[u8]) -> RecordError {
    if rest.len() < MAX_VARLONG_BYTES { Malformed::Truncated.into() } else { Malformed::Varint.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes(records: &[u8], count: i32) -> Result<Vec<Shape>, RecordError> {
        let mut seen = Vec::new();
        walk(&mut SliceSource::new(records), count, |_, shape| seen.push(shape))?;
        Ok(seen)
    }

    /// length 10, attributes, ts delta 1, offset delta 0, key "k", value none, one header "h" = none
    const RECORD: [u8; 10] = [18, 0, 2, 0, 2, b'k', 1, 2, 2, b'h'];

    fn record() -> Vec<u8> {
        let mut bytes = RECORD.to_vec();
        bytes[0] = 20;
        bytes.push(1);
        bytes
    }

    #[test]
    fn a_record_is_read_field_by_field() {
        let shape = Shape { timestamp_delta: 1, offset_delta: 0, key_bytes: 1, value_bytes: -1 };
        assert_eq!(shapes(&record(), 1), Ok(vec![shape]));
    }

    #[test]
    fn every_cut_is_refused() {
        for end in 0..record().len() {
            assert!(shapes(&record()[..end], 1).is_err(), "{end}");
        }
    }

    #[test]
    fn bytes_after_the_last_record_are_refused() {
        let mut bytes = record();
        bytes.push(0);
        assert_eq!(shapes(&bytes, 1), Err(Malformed::Trailing.into()));
    }

    #[test]
    fn a_wrong_record_length_is_refused() {
        for length in [0u8, 1, 18, 22, 21] {
            let mut bytes = record();
            bytes[0] = length;
            assert_eq!(shapes(&bytes, 1), Err(Malformed::RecordLength.into()));
        }
    }
}
