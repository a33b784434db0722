//! The writing side: small values go into one growing buffer, large ones are spliced in as they are.
//! The same code counts without writing, so a size can never differ from its bytes.

use bytes::{Bytes, BytesMut};

use super::frame::{Frame, FramePart, Records, RecordsPart};
use super::{Ctx, Wire};
use crate::error::EncodeError;

/// From here on, a further part costs less than the copy.
const SPLICE_BYTES: usize = 8 * 1024;

/// Collects the parts of a frame, or only their length.
#[derive(Debug, Default)]
pub struct Writer {
    /// Bytes so far, in all parts.
    len: usize,
    /// Of these, bytes that were not copied.
    spliced: usize,
    counting: bool,
    buffer: BytesMut,
    parts: Vec<FramePart>,
}

impl Writer {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn with_capacity(capacity: usize) -> Self {
        Self { buffer: BytesMut::with_capacity(capacity), ..Self::default() }
    }

    /// Counts what it is given and keeps nothing.
    pub fn counting() -> Self {
        Self { counting: true, ..Self::default() }
    }

    /// Bytes written, or counted, so far; parts that are file ranges included.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that went through the buffer: its capacity, when a counting writer tells a writing one.
    pub fn copied_len(&self) -> usize {
        self.len - self.spliced
    }

    pub fn put<T: Wire>(&mut self, value: &T, c: Ctx) -> Result<(), EncodeError> {
        value.put(self, c)
    }

    #[inline]
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.len += bytes.len();
        if !self.counting {
            self.buffer.extend_from_slice(bytes);
        }
    }

    pub fn put_i8(&mut self, value: i8) {
        self.put_slice(&value.to_be_bytes());
    }

    pub fn put_i16(&mut self, value: i16) {
        self.put_slice(&value.to_be_bytes());
    }

    pub fn put_i32(&mut self, value: i32) {
        self.put_slice(&value.to_be_bytes());
    }

    pub fn put_i64(&mut self, value: i64) {
        self.put_slice(&value.to_be_bytes());
    }

    pub fn put_uvarint(&mut self, mut value: u32) {
        let mut bytes = [0u8; 5];
        let mut count = 0;
        while value > 0x7f {
            bytes[count] = (value & 0x7f) as u8 | 0x80;
            value >>= 7;
            count += 1;
        }
        bytes[count] = value as u8;
        self.put_slice(&bytes[..=count]);
    }

    /// Splices what is large, copies what is small.
    pub fn put_bytes(&mut self, bytes: &Bytes) {
        if bytes.len() < SPLICE_BYTES {
            self.put_slice(bytes);
        } else {
            self.splice(bytes.len(), || FramePart::Bytes(bytes.clone()));
        }
    }

    /// Leaves a hole of `len` bytes for the range that `slot` names.
    pub fn put_file(&mut self, slot: u32, len: u64) {
        let size = usize::try_from(len).unwrap_or(usize::MAX);
        self.splice(size, || FramePart::File { slot, len });
    }

    pub fn put_records(&mut self, records: &Records) {
        match records {
            Records::Bytes(bytes) => self.put_bytes(bytes),
            Records::Parts(parts) => parts.iter().for_each(|part| match part {
                RecordsPart::Bytes(bytes) => self.put_bytes(bytes),
                RecordsPart::File { slot, len } => self.put_file(*slot, *len),
            }),
        }
    }

    /// What was written, as parts. Empty parts are left out.
    pub fn into_frame(mut self) -> Frame {
        self.seal();
        Frame { parts: self.parts }
    }

    /// What was written, as one buffer. File ranges have no bytes yet: `None` when there are any.
    pub fn into_bytes(self) -> Option<Bytes> {
        self.into_frame().into_bytes()
    }

    fn splice(&mut self, len: usize, part: impl FnOnce() -> FramePart) {
        self.len = self.len.saturating_add(len);
        self.spliced = self.spliced.saturating_add(len);
        if !self.counting && len > 0 {
            self.seal();
            self.parts.push(part());
        }
    }

    fn seal(&mut self) {
        if !self.buffer.is_empty() {
            self.parts.push(FramePart::Bytes(self.buffer.split().freeze()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bytes_are_spliced_and_small_ones_copied() {
        let large = Bytes::from(vec![7; SPLICE_BYTES]);
        let mut w = Writer::new();
        w.put_i16(1);
        w.put_bytes(&large);
        w.put_bytes(&Bytes::from_static(b"small"));
        assert_eq!((w.len(), w.copied_len()), (SPLICE_BYTES + 7, 7));
        let frame = w.into_frame();
        let [FramePart::Bytes(head), FramePart::Bytes(spliced), FramePart::Bytes(tail)] = &frame.parts[..]
        else {
            panic!("three parts expected: {frame:?}");
        };
        assert_eq!((&head[..], &tail[..]), (&[0u8, 1][..], &b"small"[..]));
        assert_eq!(spliced.as_ptr(), large.as_ptr());
    }

    #[test]
    fn counting_agrees_with_writing() {
        let records = Records::Parts(vec![
            RecordsPart::Bytes(Bytes::from_static(b"abc")),
            RecordsPart::File { slot: 3, len: 1 << 20 },
        ]);
        let (mut counter, mut writer) = (Writer::counting(), Writer::new());
        for w in [&mut counter, &mut writer] {
            w.put_uvarint(300);
            w.put_records(&records);
        }
        assert_eq!(counter.len(), 2 + 3 + (1 << 20));
        assert_eq!(counter.copied_len(), 5);
        assert!(counter.into_frame().parts.is_empty());
        assert_eq!(writer.into_frame().len(), 2 + 3 + (1 << 20));
    }

    #[test]
    fn varints_read_back() {
        for shift in 0..32 {
            for value in [1u32 << shift, (1u32 << shift) - 1, !0 >> shift] {
                let mut w = Writer::new();
                w.put_uvarint(value);
                let bytes = w.into_bytes().unwrap();
                assert_eq!(super::super::Reader::new(bytes, 0).get_uvarint(), Ok(value));
            }
        }
    }
}
