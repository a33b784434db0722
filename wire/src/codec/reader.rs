//! The reading side: a cursor over one request, with a budget for what the decoded form may allocate.
//! Never copies strings, bytes or records: they are slices of the request.

use bytes::{Buf, Bytes};

use super::{Ctx, Wire};
use crate::error::DecodeError;

/// Bytes still to be decoded, and how many bytes of vectors they may turn into.
#[derive(Clone, Debug)]
pub struct Reader {
    bytes: Bytes,
    budget: usize,
}

/// Lists of names with three letters come to 8, of longer ones to less; what is shorter lives off the base.
const BUDGET_PER_BYTE: usize = 16;
const BUDGET_BASE: usize = 64 * 1024;

impl Reader {
    /// `budget` is the number of bytes that vectors in the decoded message may take.
    pub fn new(bytes: Bytes, budget: usize) -> Self {
        Self { bytes, budget }
    }

    /// With a budget that every honest message keeps.
    pub fn with_default_budget(bytes: Bytes) -> Self {
        let budget = bytes.len().saturating_mul(BUDGET_PER_BYTE).saturating_add(BUDGET_BASE);
        Self::new(bytes, budget)
    }

    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    pub fn budget(&self) -> usize {
        self.budget
    }

    /// Everything that is left.
    pub fn into_rest(self) -> Bytes {
        self.bytes
    }

    /// The whole input must have been used.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            count => Err(DecodeError::TrailingBytes(count)),
        }
    }

    pub fn get<T: Wire>(&mut self, c: Ctx) -> Result<T, DecodeError> {
        T::get(self, c)
    }

    /// The next two bytes, left where they are.
    pub fn peek_i16(&self, at: usize) -> Result<i16, DecodeError> {
        let remaining = self.remaining();
        let pair = at.checked_add(2).and_then(|end| self.bytes.get(at..end));
        let pair = pair.ok_or(DecodeError::Truncated { needed: at.saturating_add(2), remaining })?;
        Ok(i16::from_be_bytes([pair[0], pair[1]]))
    }

    pub fn get_i8(&mut self) -> Result<i8, DecodeError> {
        self.array::<1>().map(i8::from_be_bytes)
    }

    pub fn get_i16(&mut self) -> Result<i16, DecodeError> {
        self.array().map(i16::from_be_bytes)
    }

    pub fn get_i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_be_bytes)
    }

    pub fn get_i64(&mut self) -> Result<i64, DecodeError> {
        self.array().map(i64::from_be_bytes)
    }

    /// An unsigned varint of at most 5 bytes.
    pub fn get_uvarint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.array::<1>()?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| DecodeError::BadVarint);
            }
        }
        Err(DecodeError::BadVarint)
    }

    /// The next `length` bytes, not copied.
    pub fn take(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        self.require(length)?;
        Ok(self.bytes.split_to(length))
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let remaining = self.bytes.len();
        let value = *self.bytes.first_chunk().ok_or(DecodeError::Truncated { needed: N, remaining })?;
        self.bytes.advance(N);
        Ok(value)
    }

    fn require(&self, needed: usize) -> Result<(), DecodeError> {
        let remaining = self.remaining();
        if needed > remaining { Err(DecodeError::Truncated { needed, remaining }) } else { Ok(()) }
    }

    /// Takes `bytes` out of the budget before they are allocated.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.budget = self.budget.checked_sub(bytes).ok_or(DecodeError::OverBudget)?;
        Ok(())
    }

    /// Allows a vector of `count` elements: each takes a byte of input at least, as Kafka also demands.
    pub(super) fn admit_elements(&mut self, count: usize, element_size: usize) -> Result<(), DecodeError> {
        self.require(count)?;
        self.charge(count.checked_mul(element_size).ok_or(DecodeError::OverBudget)?)
    }

    /// A length field: `None` is null. Kafka takes every length below zero for null, so this does too.
    pub(super) fn length(&mut self, plain: Length, c: Ctx) -> Result<Option<usize>, DecodeError> {
        if c.flexible {
            return Ok((self.get_uvarint()? as usize).checked_sub(1));
        }
        let length = match plain {
            Length::Short => i32::from(self.get_i16()?),
            Length::Int => self.get_i32()?,
        };
        Ok(usize::try_from(length).ok())
    }

    /// Reads the tagged fields that end a flexible struct. `field` gets each tag with its value, and answers
    /// whether it has read it; what it leaves is skipped.
    pub(crate) fn tagged(
        &mut self,
        c: Ctx,
        field: &mut dyn FnMut(&mut Self, u32) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        let count = if c.flexible { self.get_uvarint()? } else { 0 };
        for _ in 0..count {
            let tag = self.get_uvarint()?;
            let size = self.get_uvarint()? as usize;
            let value = self.take(size)?;
            self.within(value, tag, field)?;
        }
        Ok(())
    }

    fn within(
        &mut self,
        value: Bytes,
        tag: u32,
        field: &mut dyn FnMut(&mut Self, u32) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        let rest = std::mem::replace(&mut self.bytes, value);
        let known = field(self, tag)?;
        let left = std::mem::replace(&mut self.bytes, rest);
        if known && !left.is_empty() { Err(DecodeError::BadTaggedField { tag }) } else { Ok(()) }
    }

    /// Passes over the tagged fields of a struct that has none of its own.
    pub(crate) fn skip_tagged(&mut self, c: Ctx) -> Result<(), DecodeError> {
        self.tagged(c, &mut |_, _| Ok(false))
    }
}

/// The width of a length outside flexible versions.
#[derive(Clone, Copy, Debug)]
pub(super) enum Length {
    Short,
    Int,
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLEXIBLE: Ctx = Ctx { version: 0, flexible: true };

    fn reader(bytes: &'static [u8]) -> Reader {
        Reader::new(Bytes::from_static(bytes), 1000)
    }

    #[test]
    fn varints_end_after_five_bytes_and_32_bits() {
        assert_eq!(reader(&[0xff, 0xff, 0xff, 0xff, 0x0f]).get_uvarint(), Ok(u32::MAX));
        assert_eq!(reader(&[0xff, 0xff, 0xff, 0xff, 0x1f]).get_uvarint(), Err(DecodeError::BadVarint));
        assert_eq!(reader(&[0x80, 0x80, 0x80, 0x80, 0x80, 0]).get_uvarint(), Err(DecodeError::BadVarint));
        assert_eq!(reader(&[0x80]).get_uvarint(), Err(DecodeError::Truncated { needed: 1, remaining: 0 }));
    }

    #[test]
    fn unknown_tags_are_skipped_and_known_ones_must_fit() {
        let bytes = &[2, 7, 2, 1, 2, 9, 1, 5, 42];
        let mut seen = Vec::new();
        let mut r = reader(bytes);
        r.tagged(FLEXIBLE, &mut |r, tag| {
            seen.push(tag);
            if tag == 9 {
                assert_eq!(r.get_i8(), Ok(5));
            }
            Ok(tag == 9)
        })
        .unwrap();
        assert_eq!((seen, r.remaining()), (vec![7, 9], 1));
        let misfit = reader(bytes).tagged(FLEXIBLE, &mut |_, _| Ok(true));
        assert_eq!(misfit, Err(DecodeError::BadTaggedField { tag: 7 }));
    }

    #[test]
    fn a_claimed_length_beyond_the_input_is_refused_before_any_allocation() {
        let mut r = reader(&[0x7f, 0xff, 0xff, 0xff, 1, 2]);
        let error = r.get::<Vec<i64>>(Ctx { version: 0, flexible: false });
        assert_eq!(error, Err(DecodeError::Truncated { needed: 0x7fff_ffff, remaining: 2 }));
    }

    #[test]
    fn the_budget_counts_memory_not_input() {
        let mut r = Reader::new(Bytes::from_static(&[0, 0, 0, 4, 0, 0, 0, 0]), 31);
        let error = r.get::<Vec<i64>>(Ctx { version: 0, flexible: false });
        assert_eq!(error, Err(DecodeError::OverBudget));
    }
}
