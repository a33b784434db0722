//! How values become bytes and bytes become values, for every type of Kafka's schema language.
//! Never panics on what a peer sent, never allocates by a claimed length. Runs on any core.

mod frame;
mod reader;
mod values;
mod writer;

pub use frame::{Frame, FramePart, Records, RecordsPart};
pub use reader::Reader;
pub use writer::Writer;

use crate::error::{DecodeError, EncodeError};

/// What a value must know about the message around it.
#[derive(Clone, Copy, Debug)]
pub struct Ctx {
    pub version: i16,
    /// Compact lengths and tagged fields (KIP-482).
    pub flexible: bool,
}

impl Ctx {
    /// The one field of the request header that stays in the old form in a flexible version.
    #[must_use]
    pub fn plain(self) -> Self {
        Self { flexible: false, ..self }
    }
}

/// A type of the schema language, or a struct made of them.
pub trait Wire: Sized {
    fn get(r: &mut Reader, c: Ctx) -> Result<Self, DecodeError>;
    fn put(&self, w: &mut Writer, c: Ctx) -> Result<(), EncodeError>;
}

/// A type that can be null. The provided form is that of structs: one byte, -1 for null and 1 otherwise.
pub trait WireOption: Wire {
    fn get_option(r: &mut Reader, c: Ctx) -> Result<Option<Self>, DecodeError> {
        if i8::get(r, c)? < 0 { Ok(None) } else { Self::get(r, c).map(Some) }
    }

    fn put_option(this: Option<&Self>, w: &mut Writer, c: Ctx) -> Result<(), EncodeError> {
        match this {
            None => (-1i8).put(w, c),
            Some(value) => 1i8.put(w, c).and_then(|()| value.put(w, c)),
        }
    }
}

pub(crate) fn get_nullable<T: WireOption>(
    r: &mut Reader,
    c: Ctx,
    nullable: bool,
) -> Result<Option<T>, DecodeError> {
    if nullable { T::get_option(r, c) } else { T::get(r, c).map(Some) }
}

/// `field` is the name for the error when the version has no null.
pub(crate) fn put_nullable<T: WireOption>(
    value: &Option<T>,
    w: &mut Writer,
    c: Ctx,
    nullable: bool,
    field: &'static str,
) -> Result<(), EncodeError> {
    match value {
        _ if nullable => T::put_option(value.as_ref(), w, c),
        Some(value) => value.put(w, c),
        None => Err(EncodeError::UnexpectedNull { field }),
    }
}

/// A tagged struct that may be null: an unsigned varint, 0 for null and 1 otherwise, unlike everywhere else.
pub(crate) fn get_tagged_struct<T: WireOption>(r: &mut Reader, c: Ctx) -> Result<Option<T>, DecodeError> {
    if r.get_uvarint()? == 0 { Ok(None) } else { T::get(r, c).map(Some) }
}

pub(crate) fn put_tagged_struct<T: WireOption>(
    value: &Option<T>,
    w: &mut Writer,
    c: Ctx,
) -> Result<(), EncodeError> {
    w.put_uvarint(u32::from(value.is_some()));
    value.as_ref().map_or(Ok(()), |value| value.put(w, c))
}

/// Refuses to drop a value on the floor because the version has no field for it.
pub(crate) fn absent(is_default: bool, field: &'static str, c: Ctx) -> Result<(), EncodeError> {
    if is_default { Ok(()) } else { Err(EncodeError::FieldNotInVersion { field, version: c.version }) }
}

/// Writes one tagged field: tag, size, value.
pub(crate) fn put_tag(
    w: &mut Writer,
    tag: u32,
    value: &dyn Fn(&mut Writer) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let mut size = Writer::counting();
    value(&mut size)?;
    w.put_uvarint(tag);
    w.put_uvarint(u32::try_from(size.len()).map_err(|_| EncodeError::TooLong(size.len()))?);
    value(w)
}

/// A whole message of the protocol.
pub trait Message: Wire + Default + Clone + PartialEq + std::fmt::Debug {
    /// Kafka's name, as in `FetchRequest`.
    const NAME: &'static str;
    const MIN_VERSION: i16;
    const MAX_VERSION: i16;
    /// The first flexible version; above `MAX_VERSION` when none is.
    const FLEXIBLE_FROM: i16;

    fn is_flexible(version: i16) -> bool {
        version >= Self::FLEXIBLE_FROM
    }

    fn has_version(version: i16) -> bool {
        (Self::MIN_VERSION..=Self::MAX_VERSION).contains(&version)
    }

    /// Leaves what follows the message in the reader: see [`Reader::finish`].
    fn decode(r: &mut Reader, version: i16) -> Result<Self, DecodeError> {
        if !Self::has_version(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        Self::get(r, Ctx { version, flexible: Self::is_flexible(version) })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::has_version(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        self.put(w, Ctx { version, flexible: Self::is_flexible(version) })
    }

    fn encoded_size(&self, version: i16) -> Result<usize, EncodeError> {
        let mut counter = Writer::counting();
        self.encode(&mut counter, version)?;
        Ok(counter.len())
    }
}

/// A message that is stored: a metadata record, or the key or value of a coordinator's record.
pub trait RecordMessage: Message {
    /// The number before the message that says what it is; a key and its value share it.
    const RECORD_KEY: i16;
}
