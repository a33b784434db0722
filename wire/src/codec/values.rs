//! The schema language's own types, one `impl` each. Structs are generated; nothing here knows them.

use bytes::Bytes;

use super::frame::Records;
use super::reader::{Length, Reader};
use super::writer::Writer;
use super::{Ctx, Wire, WireOption};
use crate::error::{DecodeError, EncodeError};
use crate::{Str, Uuid};

macro_rules! numbers {
    ($($number:ty),*) => { $(
        impl Wire for $number {
            #[inline]
            fn get(r: &mut Reader, _: Ctx) -> Result<Self, DecodeError> {
                r.array().map(Self::from_be_bytes)
            }

            #[inline]
            fn put(&self, w: &mut Writer, _: Ctx) -> Result<(), EncodeError> {
                w.put_slice(&self.to_be_bytes());
                Ok(())
            }
        }
    )* };
}

numbers!(i8, i16, u16, i32, u32, i64, f64);

impl Wire for bool {
    fn get(r: &mut Reader, _: Ctx) -> Result<Self, DecodeError> {
        r.get_i8().map(|byte| byte != 0)
    }

    fn put(&self, w: &mut Writer, _: Ctx) -> Result<(), EncodeError> {
        w.put_i8(i8::from(*self));
        Ok(())
    }
}

impl Wire for Uuid {
    fn get(r: &mut Reader, _: Ctx) -> Result<Self, DecodeError> {
        r.array().map(Uuid)
    }

    fn put(&self, w: &mut Writer, _: Ctx) -> Result<(), EncodeError> {
        w.put_slice(&self.0);
        Ok(())
    }
}

fn required<T>(value: Option<T>) -> Result<T, DecodeError> {
    value.ok_or(DecodeError::UnexpectedNull)
}

/// Writes a length field; `None` is null.
fn put_length(length: Option<usize>, plain: Length, w: &mut Writer, c: Ctx) -> Result<(), EncodeError> {
    let too_long = |_| EncodeError::TooLong(length.unwrap_or(0));
    let signed = length.map_or(Ok(-1), i32::try_from).map_err(too_long)?;
    let short = i16::try_from(signed);
    match plain {
        // A string keeps its limit in the compact form, although the field could hold more.
        Length::Short if short.is_err() => return short.map(drop).map_err(too_long),
        _ if c.flexible => w.put_uvarint((signed as u32).wrapping_add(1)),
        Length::Short => w.put_slice(&short.map_err(too_long)?.to_be_bytes()),
        Length::Int => w.put_i32(signed),
    }
    Ok(())
}

impl Wire for Str {
    fn get(r: &mut Reader, c: Ctx) -> Result<Self, DecodeError> {
        required(Self::get_option(r, c)?)
    }

    fn put(&self, w: &mut Writer, c: Ctx) -> Result<(), EncodeError> {
        Self::put_option(Some(self), w, c)
    }
}

impl WireOption for Str {
    fn get_option(r: &mut Reader, c: Ctx) -> Result<Option<Self>, DecodeError> {
        let Some(length) = r.length(Length::Short, c)? else { return Ok(None) };
        if length > i16::MAX as usize {
            return Err(DecodeError::TooLong(length));
        }
        match Self::from_utf8(r.take(length)?) {
            Ok(text) => Ok(Some(text)),
            Err(bytes) => repaired(r, &bytes).map(Some),
        }
    }

    fn put_option(this: Option<&Self>, w: &mut Writer, c: Ctx) -> Result<(), EncodeError> {
        put_length(this.map(|text| text.len()), Length::Short, w, c)?;
        this.into_iter().for_each(|text| w.put_bytes(text.as_bytes()));
        Ok(())
    }
}

/// Kafka does not refuse text that is not UTF-8: each bad sequence becomes U+FFFD.
fn repaired(r: &mut Reader, bytes: &[u8]) -> Result<Str, DecodeError> {
    r.charge(bytes.len().saturating_mul(3))?;
    let text = Str::from(String::from_utf8_lossy(bytes).into_owned());
    // It may have grown past what could be written again, into an answer or a record.
    if text.len() > i16::MAX as usize { Err(DecodeError::TooLong(text.len())) } else { Ok(text) }
}

impl Wire for Bytes {
    fn get(r: &mut Reader, c: Ctx) -> Result<Self, DecodeError> {
        required(Self::get_option(r, c)?)
    }

    fn put(&self, w: &mut Writer, c: Ctx) -> Result<(), EncodeError> {
        Self::put_option(Some(self), w, c)
    }
}

impl WireOption for Bytes {
    fn get_option(r: &mut Reader, c: Ctx) -> Result<Option<Self>, DecodeError> {
        let length = r.length(Length::Int, c)?;
        length.map(|length| r.take(length)).transpose()
    }

    fn put_option(this: Option<&Self>, w: &mut Writer, c: Ctx) -> Result<(), EncodeError> {
        put_length(this.map(Bytes::len), Length::Int, w, c)?;
        this.into_iter().for_each(|bytes| w.put_bytes(bytes));
        Ok(())
    }
}

impl Wire for Records {
    fn get(r: &mut Reader, c: Ctx) -> Result<Self, DecodeError> {
        Bytes::get(r, c).map(Records::Bytes)
    }

    fn put(&self, w: &mut Writer, c: Ctx) -> Result<(), EncodeError> {
        Self::put_option(Some(self), w, c)
    }
}

impl WireOption for Records {
    fn get_option(r: &mut Reader, c: Ctx) -> Result<Option<Self>, DecodeError> {
        Ok(Bytes::get_option(r, c)?.map(Records::Bytes))
    }

    fn put_option(this: Option<&Self>, w: &mut Writer, c: Ctx) -> Result<(), EncodeError> {
        let length = this.map(|records| usize::try_from(records.len()).unwrap_or(usize::MAX));
        put_length(length, Length::Int, w, c)?;
        this.into_iter().for_each(|records| w.put_records(records));
        Ok(())
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn get(r: &mut Reader, c: Ctx) -> Result<Self, DecodeError> {
        required(Self::get_option(r, c)?)
    }

    fn put(&self, w: &mut Writer, c: Ctx) -> Result<(), EncodeError> {
        Self::put_option(Some(self), w, c)
    }
}

impl<T: Wire> WireOption for Vec<T> {
    fn get_option(r: &mut Reader, c: Ctx) -> Result<Option<Self>, DecodeError> {
        let Some(count) = r.length(Length::Int, c)? else { return Ok(None) };
        r.admit_elements(count, size_of::<T>())?;
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(T::get(r, c)?);
        }
        Ok(Some(elements))
    }

    fn put_option(this: Option<&Self>, w: &mut Writer, c: Ctx) -> Result<(), EncodeError> {
        put_length(this.map(Vec::len), Length::Int, w, c)?;
        this.into_iter().flatten().try_for_each(|element| element.put(w, c))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Ctx = Ctx { version: 0, flexible: false };
    const FLEXIBLE: Ctx = Ctx { version: 0, flexible: true };

    fn bytes_of<T: Wire>(value: &T, c: Ctx) -> Vec<u8> {
        let mut w = Writer::new();
        value.put(&mut w, c).unwrap();
        w.into_bytes().unwrap().to_vec()
    }

    fn read<T: Wire>(bytes: &[u8], c: Ctx) -> Result<T, DecodeError> {
        T::get(&mut Reader::new(Bytes::copy_from_slice(bytes), 1000), c)
    }

    #[test]
    fn strings_have_two_byte_or_compact_lengths() {
        let text = Str::from("hé");
        assert_eq!(bytes_of(&text, PLAIN), b"\0\x03h\xc3\xa9");
        assert_eq!(bytes_of(&text, FLEXIBLE), b"\x04h\xc3\xa9");
        assert_eq!(read(b"\0\x03h\xc3\xa9", PLAIN), Ok(text.clone()));
        assert_eq!(read(b"\x04h\xc3\xa9", FLEXIBLE), Ok(text));
    }

    #[test]
    fn null_is_refused_where_a_value_must_be() {
        assert_eq!(read::<Str>(&[0xff, 0xff], PLAIN), Err(DecodeError::UnexpectedNull));
        assert_eq!(read::<Vec<i32>>(&[0], FLEXIBLE), Err(DecodeError::UnexpectedNull));
        assert_eq!(read::<Str>(&[0xff, 0xfe], PLAIN), Err(DecodeError::UnexpectedNull));
    }

    #[test]
    fn every_negative_length_is_null_as_in_kafka() {
        for length in [-1i16, -2, i16::MIN] {
            let mut r = Reader::new(Bytes::copy_from_slice(&length.to_be_bytes()), 0);
            assert_eq!(Str::get_option(&mut r, PLAIN), Ok(None));
        }
    }

    #[test]
    fn text_that_is_not_utf8_is_repaired_as_kafka_does() {
        assert_eq!(read(&[0, 3, b'a', 0xff, b'b'], PLAIN), Ok(Str::from("a\u{fffd}b")));
    }

    #[test]
    fn strings_keep_their_limit_in_the_compact_form() {
        let long = Str::from("x".repeat(32_768));
        let mut w = Writer::new();
        assert_eq!(long.put(&mut w, FLEXIBLE), Err(EncodeError::TooLong(32_768)));
        assert_eq!(long.put(&mut w, PLAIN), Err(EncodeError::TooLong(32_768)));
        assert!(w.is_empty());
        let claimed = [&[0x81, 0x80, 0x02][..], long.as_bytes().as_ref()].concat();
        assert_eq!(read::<Str>(&claimed, FLEXIBLE), Err(DecodeError::TooLong(32_768)));
    }

    #[test]
    fn records_of_a_file_count_in_the_length() {
        let mut w = Writer::new();
        let records = Records::Parts(vec![super::super::RecordsPart::File { slot: 9, len: 300 }]);
        records.put(&mut w, FLEXIBLE).unwrap();
        let parts = w.into_frame().parts;
        assert_eq!(parts[0], super::super::FramePart::Bytes(Bytes::from_static(&[0xad, 0x02])));
        assert_eq!(parts[1], super::super::FramePart::File { slot: 9, len: 300 });
    }
}
