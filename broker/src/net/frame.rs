//! Cuts a connection's byte stream into request frames (4-byte length, then the request).
//! Never decodes a request, never trusts a claimed length with memory: room grows with the bytes that arrive.
//! Lives on the core that accepted the connection.

use bytes::{Buf, Bytes, BytesMut};

/// The smallest request: api key, api version and correlation id.
const SMALLEST_REQUEST_BYTES: i32 = 8;
/// Read size for connections that send small requests, and what is read of a request before it has its memory.
const ROOM_BYTES: usize = 16 << 10;
/// A claimed length up to this is believed at once, so that a full produce request arrives in one buffer.
const BELIEVED_BYTES: usize = 1 << 20;

/// A length prefix that no client of Kafka's protocol sends; the connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadLength {
    Negative(i32),
    TooSmall(i32),
    TooLarge { claimed: i32, limit: usize },
}

impl std::fmt::Display for BadLength {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Negative(n) => write!(f, "a negative request length ({n})"),
            Self::TooSmall(n) => write!(f, "a request length of {n} bytes, below the smallest request"),
            Self::TooLarge { claimed, limit } => {
                write!(f, "a request length of {claimed} bytes, above socket.request.max.bytes={limit}")
            }
        }
    }
}

/// Collects bytes and hands out whole frames as refcounted slices of them.
pub struct FrameReader {
    buffer: BytesMut,
    max_bytes: usize,
    /// What the last frame took, prefix included. The next is often as long, and then arrives by one read.
    last_bytes: usize,
}

impl FrameReader {
    /// `max_bytes` is `socket.request.max.bytes`.
    pub fn new(max_bytes: usize) -> Self {
        Self { buffer: BytesMut::new(), max_bytes, last_bytes: 0 }
    }

    /// The next whole frame without its length prefix, or `None` while bytes are missing.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, BadLength> {
        let Some(len) = self.claimed()? else { return Ok(None) };
        if self.buffer.len() < 4 + len {
            return Ok(None);
        }
        self.last_bytes = 4 + len;
        self.buffer.advance(4);
        Ok(Some(self.buffer.split_to(len).freeze()))
    }

    /// Whether enough of a frame of this length has come for it to be given its memory: all of it, or 16 KiB with the
    /// prefix.
    pub fn is_in_earnest(&self, len: usize) -> bool {
        self.buffer.len() >= (4 + len).min(ROOM_BYTES)
    }

    /// The buffer to read into, with room for at least one more byte, and where memory is `ample` for a next frame
    /// that is not known yet.
    pub fn room(&mut self, ample: bool) -> &mut BytesMut {
        let missing = match self.claimed() {
            Ok(Some(len)) if !self.is_in_earnest(len) => (4 + len).min(ROOM_BYTES) - self.buffer.len(),
            Ok(Some(len)) => (4 + len).saturating_sub(self.buffer.len()),
            _ if ample => self.last_bytes.max(ROOM_BYTES),
            _ => ROOM_BYTES,
        };
        let believed = missing.min(BELIEVED_BYTES.max(self.buffer.len()));
        if self.buffer.capacity() - self.buffer.len() < believed.max(1) {
            self.buffer.reserve(believed.max(ROOM_BYTES));
        }
        &mut self.buffer
    }

    /// Gives memory back between requests, so that an idle connection costs little.
    pub fn release_memory(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }

    /// The length of the next frame without its prefix, once that is here.
    pub fn claimed(&self) -> Result<Option<usize>, BadLength> {
        let Some(prefix) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let claimed = i32::from_be_bytes(*prefix);
        match claimed {
            n if n < 0 => Err(BadLength::Negative(n)),
            n if n < SMALLEST_REQUEST_BYTES => Err(BadLength::TooSmall(n)),
            n if n as usize > self.max_bytes => {
                Err(BadLength::TooLarge { claimed: n, limit: self.max_bytes })
            }
            n => Ok(Some(n as usize)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader_with(bytes: &[u8]) -> FrameReader {
        let mut reader = FrameReader::new(1 << 20);
        reader.room(true).extend_from_slice(bytes);
        reader
    }

    #[test]
    fn frames_come_out_whole_and_in_order() {
        let mut reader = reader_with(b"\0\0\0\x08abcdefgh\0\0\0\x09ABCDEFGHI\0\0");
        assert_eq!(reader.next_frame().unwrap().unwrap(), "abcdefgh");
        assert_eq!(reader.next_frame().unwrap().unwrap(), "ABCDEFGHI");
        assert_eq!(reader.next_frame(), Ok(None));
        assert_eq!(reader.buffer.len(), 2, "the beginning of the next frame is kept");
    }

    #[test]
    fn a_frame_cut_anywhere_is_put_together() {
        let wire = b"\0\0\0\x0aabcdefghij";
        for cut in 0..wire.len() {
            let mut reader = reader_with(&wire[..cut]);
            assert_eq!(reader.next_frame(), Ok(None), "cut at {cut}");
            reader.room(true).extend_from_slice(&wire[cut..]);
            assert_eq!(reader.next_frame().unwrap().unwrap(), "abcdefghij");
        }
    }

    #[test]
    fn impossible_lengths_are_refused() {
        assert_eq!(reader_with(b"\xff\xff\xff\xff").next_frame(), Err(BadLength::Negative(-1)));
        assert_eq!(reader_with(b"\0\0\0\x07").next_frame(), Err(BadLength::TooSmall(7)));
        let huge = reader_with(b"\x7f\xff\xff\xff").next_frame();
        assert_eq!(huge, Err(BadLength::TooLarge { claimed: i32::MAX, limit: 1 << 20 }));
    }

    #[test]
    fn a_frame_as_long_as_the_last_has_room_in_advance_where_memory_is_ample_only() {
        let mut reader = FrameReader::new(1 << 20);
        reader.room(true).extend_from_slice(&(500i32 << 10).to_be_bytes());
        reader.room(true).extend_from_slice(&vec![0; 500 << 10]);
        drop(reader.next_frame().expect("a good length").expect("a whole frame"));
        reader.release_memory();
        assert!(reader.room(false).capacity() <= 2 * ROOM_BYTES);
        assert!(reader.room(true).capacity() >= 500 << 10);
    }

    #[test]
    fn a_frame_is_in_earnest_with_all_of_it_or_its_first_16_kib() {
        let mut reader = FrameReader::new(100 << 20);
        reader.room(true).extend_from_slice(&(90i32 << 20).to_be_bytes());
        assert!(!reader.is_in_earnest(90 << 20));
        reader.room(true).extend_from_slice(&vec![0; ROOM_BYTES - 5]);
        assert!(!reader.is_in_earnest(90 << 20));
        reader.room(true).extend_from_slice(&[0]);
        assert!(reader.is_in_earnest(90 << 20));
        assert!(reader_with(b"\0\0\0\x08abcdefgh").is_in_earnest(8));
        assert!(!reader_with(b"\0\0\0\x08abcdefg").is_in_earnest(8));
    }

    #[test]
    fn a_large_claim_does_not_reserve_memory_before_its_bytes_arrive() {
        let mut reader = FrameReader::new(100 << 20);
        reader.room(true).extend_from_slice(&(90i32 << 20).to_be_bytes());
        assert!(reader.room(true).capacity() <= 2 * BELIEVED_BYTES);
    }
}
