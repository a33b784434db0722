//! Zig-zag variable-length integers, as records use them.
//!
//! Reading accepts what Kafka accepts: up to 5 bytes for an `i32` and 10 for an `i64`, non-canonical forms
//! included, surplus high bits dropped. Never reads past its slice.

use bytes::{BufMut, BytesMut};

/// Most bytes of an `i32`.
pub const MAX_VARINT_BYTES: usize = 5;
/// Most bytes of an `i64`.
pub const MAX_VARLONG_BYTES: usize = 10;

/// An `i32` at the start of `bytes`, and its length. `None`: cut short, or longer than 5 bytes.
#[inline(always)]
pub fn read_varint(bytes: &[u8]) -> Option<(i32, usize)> {
    match bytes.first() {
        Some(&first) if first < 0x80 => Some((zigzag32(u32::from(first)), 1)),
        _ => read_long_varint(bytes),
    }
}

/// An `i64` at the start of `bytes`, and its length. `None`: cut short, or longer than 10 bytes.
#[inline(always)]
pub fn read_varlong(bytes: &[u8]) -> Option<(i64, usize)> {
    match bytes.first() {
        Some(&first) if first < 0x80 => Some((zigzag64(u64::from(first)), 1)),
        _ => read_long_varlong(bytes),
    }
}

fn read_long_varint(bytes: &[u8]) -> Option<(i32, usize)> {
    let mut raw = 0u32;
    for (index, &byte) in bytes.iter().take(MAX_VARINT_BYTES).enumerate() {
        raw |= u32::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Some((zigzag32(raw), index + 1));
        }
    }
    None
}

fn read_long_varlong(bytes: &[u8]) -> Option<(i64, usize)> {
    let mut raw = 0u64;
    for (index, &byte) in bytes.iter().take(MAX_VARLONG_BYTES).enumerate() {
        raw |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Some((zigzag64(raw), index + 1));
        }
    }
    None
}

#[inline(always)]
fn zigzag32(raw: u32) -> i32 {
    (raw >> 1) as i32 ^ -((raw & 1) as i32)
}

#[inline(always)]
fn zigzag64(raw: u64) -> i64 {
    (raw >> 1) as i64 ^ -((raw & 1) as i64)
}

/// Appends an `i32`.
pub fn write_varint(out: &mut BytesMut, value: i32) {
    write_raw(out, u64::from(((value << 1) ^ (value >> 31)) as u32));
}

/// Appends an `i64`.
pub fn write_varlong(out: &mut BytesMut, value: i64) {
    write_raw(out, ((value << 1) ^ (value >> 63)) as u64);
}

fn write_raw(out: &mut BytesMut, mut raw: u64) {
    while raw >= 0x80 {
        out.put_u8(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.put_u8(raw as u8);
}

/// Bytes that [`write_varint`] writes.
pub fn varint_bytes(value: i32) -> usize {
    raw_bytes(u64::from(((value << 1) ^ (value >> 31)) as u32))
}

/// Bytes that [`write_varlong`] writes.
pub fn varlong_bytes(value: i64) -> usize {
    raw_bytes(((value << 1) ^ (value >> 63)) as u64)
}

fn raw_bytes(raw: u64) -> usize {
    (64 - (raw | 1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERESTING: [i64; 13] =
        [0, 1, -1, 63, 64, -64, -65, 8191, -8193, i32::MAX as i64, i32::MIN as i64, i64::MAX, i64::MIN];

    #[test]
    fn values_survive_and_sizes_are_right() {
        for value in INTERESTING {
            let mut out = BytesMut::new();
            write_varlong(&mut out, value);
            assert_eq!(read_varlong(&out), Some((value, varlong_bytes(value))));
            let value = value as i32;
            let mut out = BytesMut::new();
            write_varint(&mut out, value);
            assert_eq!(read_varint(&out), Some((value, varint_bytes(value))));
        }
    }

    #[test]
    fn cut_and_overlong_forms_are_refused() {
        assert_eq!(read_varint(&[]), None);
        assert_eq!(read_varint(&[0x80, 0x80]), None);
        assert_eq!(read_varint(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]), None);
        assert_eq!(read_varlong(&[0x80; 11]), None);
    }

    #[test]
    fn padded_forms_are_accepted_as_in_kafka() {
        assert_eq!(read_varint(&[0x82, 0x00]), Some((1, 2)));
        assert_eq!(read_varint(&[0x80, 0x80, 0x80, 0x80, 0x70]), Some((0, 5)));
        assert_eq!(read_varlong(&[0x82, 0x80, 0x00]), Some((1, 3)));
    }
}
