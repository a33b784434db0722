//! The codecs of record batches, read as Kafka's clients and brokers read them and written as they write them.
//!
//! Never trusts a length that a stream claims further than the format's greatest ratio, and never decodes past
//! the caller's limit by more than one piece (at most 4 MiB).
//!
//! | id | codec | written | read |
//! |---|---|---|---|
//! | 1 | gzip | one member | any number of members |
//! | 2 | snappy | snappy-java's framing, blocks of 32 KiB | that framing, or one bare snappy block |
//! | 3 | lz4 | frame of independent 64 KiB blocks, no checksums | frames of independent blocks, any block size |
//! | 4 | zstd | one frame | any number of frames |

mod gzip;
mod lz4_frame;
mod snappy;
mod zstd;

use std::fmt;

use bytes::Bytes;

use super::error::RecordError;

/// Output of gzip and zstd is taken in pieces of this size.
const PIECE_BYTES: usize = 64 << 10;
/// What decompression into one buffer starts with, at most.
const FIRST_GUESS_BYTES: usize = 1 << 20;

/// A codec, numbered as in a batch's attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Codec {
    /// Not compressed.
    #[default]
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// snappy.
    Snappy,
    /// The lz4 frame format.
    Lz4,
    /// zstd (RFC 8878).
    Zstd,
}

impl Codec {
    /// The number in the attributes.
    pub fn id(self) -> u8 {
        match self {
            Codec::None => 0,
            Codec::Gzip => 1,
            Codec::Snappy => 2,
            Codec::Lz4 => 3,
            Codec::Zstd => 4,
        }
    }

    /// The codec with this number.
    pub fn from_id(id: u8) -> Option<Codec> {
        [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd].get(usize::from(id)).copied()
    }

    /// The name in configs.
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }

    /// The codec with this name; `uncompressed` is what topics call `none`.
    pub fn from_name(name: &str) -> Option<Codec> {
        match name {
            "none" | "uncompressed" => Some(Codec::None),
            "gzip" => Some(Codec::Gzip),
            "snappy" => Some(Codec::Snappy),
            "lz4" => Some(Codec::Lz4),
            "zstd" => Some(Codec::Zstd),
            _ => None,
        }
    }

    /// The level that Kafka uses unless told otherwise; 0 where there are no levels.
    pub fn default_level(self) -> i32 {
        match self {
            Codec::None | Codec::Snappy => 0,
            Codec::Gzip => gzip::DEFAULT_LEVEL,
            Codec::Lz4 => lz4_frame::DEFAULT_LEVEL,
            Codec::Zstd => zstd::DEFAULT_LEVEL,
        }
    }
}

/// A codec and its level, in the codec's own scale (`compression.gzip.level` and so on).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Compression {
    /// Which codec.
    pub codec: Codec,
    /// Its level; out of range is brought into range.
    pub level: i32,
}

impl Compression {
    /// No compression.
    pub const NONE: Compression = Compression { codec: Codec::None, level: 0 };

    /// The codec at its default level.
    pub fn default_of(codec: Codec) -> Compression {
        Compression { codec, level: codec.default_level() }
    }
}

/// A codec that failed to compress: out of memory, in practice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompressError {
    /// Which one.
    pub codec: &'static str,
}

impl fmt::Display for CompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed to compress", self.codec)
    }
}

impl std::error::Error for CompressError {}

/// Compresses encoded records. Without a codec it is the same bytes.
pub fn compress(compression: Compression, plain: &Bytes) -> Result<Bytes, CompressError> {
    let level = compression.level;
    let compressed = match compression.codec {
        Codec::None => return Ok(plain.clone()),
        Codec::Gzip => gzip::compress(plain, level),
        Codec::Snappy => snappy::compress(plain),
        Codec::Lz4 => lz4_frame::compress(plain, level),
        Codec::Zstd => zstd::compress(plain, level),
    };
    compressed.map(Bytes::from)
}

/// Decompresses into one buffer of at most `max_decoded` bytes.
pub fn decompress(codec: Codec, body: &Bytes, max_decoded: u64) -> Result<Bytes, RecordError> {
    if codec == Codec::None {
        return Ok(body.clone());
    }
    let mut state = DecoderState::default();
    let mut decoder = Decoder::new(codec, body, max_decoded, &mut state)?;
    let mut out = Vec::with_capacity(body.len().saturating_mul(4).min(FIRST_GUESS_BYTES));
    let mut end = 0;
    loop {
        let count = decoder.read(&mut out, end)?;
        end += count;
        if end as u64 > max_decoded {
            return Err(RecordError::Bomb { max: max_decoded });
        }
        if count == 0 {
            out.truncate(end);
            return Ok(Bytes::from(out));
        }
    }
}

/// What decoders keep between batches.
#[derive(Default)]
pub(crate) struct DecoderState {
    zstd: zstd::Context,
}

impl DecoderState {
    /// Gives back memory that one unusual batch needed.
    pub(crate) fn trim(&mut self) {
        self.zstd.trim();
    }
}

/// Decodes one batch's records, piece by piece.
pub(crate) enum Decoder<'a> {
    Gzip(gzip::Decoder<'a>),
    Snappy(snappy::Decoder<'a>),
    Lz4(lz4_frame::Decoder<'a>),
    Zstd(zstd::Decoder<'a>),
}

impl<'a> Decoder<'a> {
    /// For a codec other than none.
    pub(crate) fn new(
        codec: Codec,
        body: &'a [u8],
        max_decoded: u64,
        state: &'a mut DecoderState,
    ) -> Result<Decoder<'a>, RecordError> {
        Ok(match codec {
            Codec::None => unreachable!("plain records need no decoder"),
            Codec::Gzip => Decoder::Gzip(gzip::Decoder::new(body)),
            Codec::Snappy => Decoder::Snappy(snappy::Decoder::new(body, max_decoded)?),
            Codec::Lz4 => Decoder::Lz4(lz4_frame::Decoder::new(body)?),
            Codec::Zstd => Decoder::Zstd(zstd::Decoder::new(body, max_decoded, &mut state.zstd)?),
        })
    }

    /// Decodes at least one byte into `out` at `at`, growing it as needed; returns how many. 0 at the end.
    pub(crate) fn read(&mut self, out: &mut Vec<u8>, at: usize) -> Result<usize, RecordError> {
        match self {
            Decoder::Gzip(decoder) => decoder.read(room(out, at, PIECE_BYTES)),
            Decoder::Snappy(decoder) => decoder.read(out, at),
            Decoder::Lz4(decoder) => decoder.read(out, at),
            Decoder::Zstd(decoder) => decoder.read(room(out, at, PIECE_BYTES)),
        }
    }
}

/// `count` bytes of `out` from `at`, which has been grown to hold them.
fn room(out: &mut Vec<u8>, at: usize, count: usize) -> &mut [u8] {
    let end = at + count;
    if out.len() < end {
        out.resize(end, 0);
    }
    &mut out[at..end]
}
