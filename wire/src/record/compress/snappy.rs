//! snappy in snappy-java's framing, or bare.
//!
//! | bytes | field |
//! |---|---|
//! | 0..8 | magic, `82 53 4e 41 50 50 59 00` |
//! | 8..12 | version, 1 |
//! | 12..16 | least version that can read it, 1 |
//! | then per chunk | length as 4 bytes, one snappy block |
//!
//! The versions are not checked: there has only been one. A chunk length that equals the first 4 magic bytes starts another header (concatenated streams). Records
//! without the magic are one snappy block: librdkafka and Go clients write it so.

use super::{CompressError, room};
use crate::record::error::RecordError;

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const HEADER_BYTES: usize = 16;
const VERSION: u32 = 1;
const BLOCK_BYTES: usize = 32 << 10;
/// No snappy element gives more than 64 bytes for 3.
const GREATEST_RATIO: u64 = 22;

pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
    framed: bool,
    max_decoded: u64,
    inner: snap::raw::Decoder,
}

fn undecodable(what: &'static str) -> RecordError {
    RecordError::Undecodable { codec: "snappy", what }
}

impl<'a> Decoder<'a> {
    pub(super) fn new(body: &'a [u8], max_decoded: u64) -> Result<Self, RecordError> {
        if body.is_empty() {
            return Err(undecodable("empty"));
        }
        let framed = body.len() >= HEADER_BYTES && body.starts_with(&MAGIC);
        let rest = if framed { &body[HEADER_BYTES..] } else { body };
        Ok(Decoder { rest, framed, max_decoded, inner: snap::raw::Decoder::new() })
    }

    pub(super) fn read(&mut self, out: &mut Vec<u8>, at: usize) -> Result<usize, RecordError> {
        while let Some(block) = self.next_block()? {
            let length = self.decoded_length(block)?;
            let decoded = self.inner.decompress(block, room(out, at, length));
            match decoded.map_err(|_| undecodable("bad block"))? {
                0 => continue,
                count => return Ok(count),
            }
        }
        Ok(0)
    }

    fn next_block(&mut self) -> Result<Option<&'a [u8]>, RecordError> {
        if !self.framed {
            let block = std::mem::take(&mut self.rest);
            return Ok((!block.is_empty()).then_some(block));
        }
        while self.rest.len() >= HEADER_BYTES && self.rest.starts_with(&MAGIC) {
            self.rest = &self.rest[HEADER_BYTES..];
        }
        let Some((length, rest)) = self.rest.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        let (block, rest) = rest.split_at_checked(length).ok_or(undecodable("cut off"))?;
        self.rest = rest;
        Ok(Some(block))
    }

    /// The length that a block claims, if its bytes could give it and the limit allows it.
    fn decoded_length(&self, block: &[u8]) -> Result<usize, RecordError> {
        let length = snap::raw::decompress_len(block).map_err(|_| undecodable("bad length"))?;
        if length as u64 > self.max_decoded {
            return Err(RecordError::Bomb { max: self.max_decoded });
        }
        if length as u64 > block.len() as u64 * GREATEST_RATIO {
            return Err(undecodable("impossible length"));
        }
        Ok(length)
    }
}

pub(super) fn compress(plain: &[u8]) -> Result<Vec<u8>, CompressError> {
    let mut out = Vec::with_capacity(HEADER_BYTES + plain.len() / 2);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&VERSION.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    let mut block = vec![0; snap::raw::max_compress_len(BLOCK_BYTES)];
    for piece in plain.chunks(BLOCK_BYTES) {
        let length = encoder.compress(piece, &mut block).map_err(|_| CompressError { codec: "snappy" })?;
        out.extend_from_slice(&(length as u32).to_be_bytes());
        out.extend_from_slice(&block[..length]);
    }
    Ok(out)
}
