//! The lz4 frame format, in the subset that Kafka reads and writes: one frame of independent blocks.
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | magic, `04 22 4d 18` |
//! | 4 | flags: 6–7 version 1, 5 independent blocks (must be set), 4 block checksums, 3 content size, 2 content checksum, 0–1 zero |
//! | 5 | 4–6 greatest block size (4: 64 KiB … 7: 4 MiB), the rest zero |
//! | 6..14 | content size, if flagged |
//! | next | second byte of the xxHash32 of everything since the magic |
//! | per block | length as 4 bytes little-endian (top bit: stored as is), data, checksum if flagged |
//! | end | 4 zero bytes, content checksum if flagged (not checked, as in Kafka) |
//!
//! Bytes after the end are ignored, as in Kafka. liblz4 does the blocks.

use twox_hash::XxHash32;

use super::{CompressError, room};
use crate::record::error::RecordError;

/// Kafka's default "level": not the high-compression coder, which every other level selects.
pub(super) const DEFAULT_LEVEL: i32 = 9;
const LEVELS: std::ops::RangeInclusive<i32> = 1..=17;

const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
const VERSION_BITS: u8 = 0xc0;
const VERSION_1: u8 = 0x40;
const INDEPENDENT: u8 = 0x20;
const BLOCK_CHECKSUM: u8 = 0x10;
const CONTENT_SIZE: u8 = 0x08;
const RESERVED: u8 = 0x03;
const STORED: u32 = 0x8000_0000;
const SMALLEST_BLOCK_CODE: u8 = 4;
const WRITTEN_BLOCK_BYTES: usize = 64 << 10;
/// No lz4 block gives more than 255 bytes for one; short blocks get a floor.
const GREATEST_RATIO: usize = 255;

pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
    block_checksums: bool,
    max_block_bytes: usize,
    finished: bool,
}

fn undecodable(what: &'static str) -> RecordError {
    RecordError::Undecodable { codec: "lz4", what }
}

fn cut(rest: &mut &[u8], count: usize) -> Result<(), RecordError> {
    *rest = rest.get(count..).ok_or(undecodable("cut off"))?;
    Ok(())
}

impl<'a> Decoder<'a> {
    pub(super) fn new(body: &'a [u8]) -> Result<Self, RecordError> {
        let rest = body.strip_prefix(&MAGIC).ok_or(undecodable("no magic"))?;
        let &[flags, sizes, ..] = rest else { return Err(undecodable("cut off")) };
        check_flags(flags)?;
        let max_block_bytes = block_bytes(sizes)?;
        let described = if flags & CONTENT_SIZE == 0 { 2 } else { 10 };
        let descriptor = rest.get(..described).ok_or(undecodable("cut off"))?;
        if rest.get(described) != Some(&header_checksum(descriptor)) {
            return Err(undecodable("descriptor checksum"));
        }
        Ok(Decoder {
            rest: &rest[described + 1..],
            block_checksums: flags & BLOCK_CHECKSUM != 0,
            max_block_bytes,
            finished: false,
        })
    }

    pub(super) fn read(&mut self, out: &mut Vec<u8>, at: usize) -> Result<usize, RecordError> {
        while let Some((block, stored)) = self.next_block()? {
            let count = if stored { copy(block, out, at) } else { self.decode(block, out, at)? };
            if count > 0 {
                return Ok(count);
            }
        }
        Ok(0)
    }

    fn next_block(&mut self) -> Result<Option<(&'a [u8], bool)>, RecordError> {
        if self.finished {
            return Ok(None);
        }
        let (word, rest) = self.rest.split_first_chunk::<4>().ok_or(undecodable("cut off"))?;
        let word = u32::from_le_bytes(*word);
        let length = (word & !STORED) as usize;
        if length == 0 {
            self.finished = true;
            return Ok(None);
        }
        if length > self.max_block_bytes {
            return Err(undecodable("block too long"));
        }
        let (block, rest) = rest.split_at_checked(length).ok_or(undecodable("cut off"))?;
        self.rest = rest;
        self.check_block(block)?;
        Ok(Some((block, word & STORED != 0)))
    }

    fn check_block(&mut self, block: &[u8]) -> Result<(), RecordError> {
        if !self.block_checksums {
            return Ok(());
        }
        let checksum = XxHash32::oneshot(0, block).to_le_bytes();
        if !self.rest.starts_with(&checksum) {
            return Err(undecodable("block checksum"));
        }
        cut(&mut self.rest, checksum.len())
    }

    fn decode(&self, block: &[u8], out: &mut Vec<u8>, at: usize) -> Result<usize, RecordError> {
        let most = block.len().saturating_mul(GREATEST_RATIO).min(self.max_block_bytes);
        let room = room(out, at, most);
        lz4::block::decompress_to_buffer(block, Some(most as i32), room).map_err(|_| undecodable("bad block"))
    }
}

fn copy(block: &[u8], out: &mut Vec<u8>, at: usize) -> usize {
    room(out, at, block.len()).copy_from_slice(block);
    block.len()
}

fn check_flags(flags: u8) -> Result<(), RecordError> {
    if flags & VERSION_BITS != VERSION_1 {
        return Err(undecodable("version"));
    }
    if flags & INDEPENDENT == 0 {
        return Err(undecodable("dependent blocks"));
    }
    if flags & RESERVED != 0 { Err(undecodable("reserved flags")) } else { Ok(()) }
}

fn block_bytes(sizes: u8) -> Result<usize, RecordError> {
    let code = sizes >> 4;
    if sizes & 0x8f != 0 || code < SMALLEST_BLOCK_CODE {
        return Err(undecodable("block size"));
    }
    Ok(1 << (2 * code + 8))
}

fn header_checksum(descriptor: &[u8]) -> u8 {
    (XxHash32::oneshot(0, descriptor) >> 8) as u8
}

pub(super) fn compress(plain: &[u8], level: i32) -> Result<Vec<u8>, CompressError> {
    let failed = |_| CompressError { codec: "lz4" };
    let mode = match level.clamp(*LEVELS.start(), *LEVELS.end()) {
        DEFAULT_LEVEL => lz4::block::CompressionMode::DEFAULT,
        level => lz4::block::CompressionMode::HIGHCOMPRESSION(level),
    };
    let mut out = Vec::with_capacity(16 + plain.len() / 2);
    write_header(&mut out);
    let mut buffer = vec![0; lz4::block::compress_bound(WRITTEN_BLOCK_BYTES).map_err(failed)?];
    for block in plain.chunks(WRITTEN_BLOCK_BYTES) {
        let length = lz4::block::compress_to_buffer(block, Some(mode), false, &mut buffer).map_err(failed)?;
        write_block(&mut out, block, &buffer[..length]);
    }
    out.extend_from_slice(&0u32.to_le_bytes());
    Ok(out)
}

fn write_header(out: &mut Vec<u8>) {
    let descriptor = [VERSION_1 | INDEPENDENT, SMALLEST_BLOCK_CODE << 4];
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&descriptor);
    out.push(header_checksum(&descriptor));
}

fn write_block(out: &mut Vec<u8>, plain: &[u8], compressed: &[u8]) {
    let (word, data) = if compressed.len() < plain.len() {
        (compressed.len() as u32, compressed)
    } else {
        (plain.len() as u32 | STORED, plain)
    };
    out.extend_from_slice(&word.to_le_bytes());
    out.extend_from_slice(data);
}
