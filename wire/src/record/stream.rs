//! The record walk over compressed records: decodes into one reused buffer, a piece at a time.
//!
//! Never holds more than one decoded piece and the few bytes left of the piece before it, and never decodes
//! more than the caller's limit in all.

use super::compress::{Codec, Decoder, DecoderState};
use super::error::{Malformed, RecordError};
use super::walk::Source;

/// The buffer is kept up to this size: one greatest lz4 block and what is left of the one before.
const MAX_KEPT_BYTES: usize = 5 << 20;

/// Buffers that outlive a batch.
#[derive(Default)]
pub(crate) struct Scratch {
    buffer: Vec<u8>,
    state: DecoderState,
}

impl Scratch {
    /// Gives back memory that one unusual batch needed.
    pub(crate) fn trim(&mut self) {
        if self.buffer.len() > MAX_KEPT_BYTES {
            self.buffer = Vec::new();
        }
        self.state.trim();
    }
}

/// Decoded records, as the walk wants them.
pub(crate) struct StreamSource<'a> {
    decoder: Decoder<'a>,
    buffer: &'a mut Vec<u8>,
    /// The unread part of `buffer`.
    start: usize,
    end: usize,
    position: u64,
    decoded: u64,
    max_decoded: u64,
    finished: bool,
}

impl<'a> StreamSource<'a> {
    pub(crate) fn new(
        codec: Codec,
        body: &'a [u8],
        max_decoded: u64,
        scratch: &'a mut Scratch,
    ) -> Result<Self, RecordError> {
        let decoder = Decoder::new(codec, body, max_decoded, &mut scratch.state)?;
        let buffer = &mut scratch.buffer;
        Ok(StreamSource {
            decoder,
            buffer,
            start: 0,
            end: 0,
            position: 0,
            decoded: 0,
            max_decoded,
            finished: false,
        })
    }

    /// Moves what is left to the front and decodes one more piece behind it.
    fn refill(&mut self) -> Result<(), RecordError> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let count = self.decoder.read(self.buffer, self.end)?;
        self.finished = count == 0;
        self.end += count;
        self.decoded += count as u64;
        let max = self.max_decoded;
        if self.decoded > max { Err(RecordError::Bomb { max }) } else { Ok(()) }
    }

    fn available(&self) -> usize {
        self.end - self.start
    }
}

impl Source for StreamSource<'_> {
    #[inline(always)]
    fn window(&mut self, least: usize) -> Result<&[u8], RecordError> {
        while self.available() < least && !self.finished {
            self.refill()?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    #[inline(always)]
    fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.available());
        self.start += count;
        self.position += count as u64;
    }

    fn skip(&mut self, count: usize) -> Result<(), RecordError> {
        let mut left = count;
        while left > self.available() {
            left -= self.available();
            self.start = self.end;
            if self.finished {
                return Err(Malformed::Truncated.into());
            }
            self.refill()?;
        }
        self.start += left;
        self.position += count as u64;
        Ok(())
    }

    #[inline(always)]
    fn position(&self) -> u64 {
        self.position
    }
}
