//! What leaves by the socket: a list of buffers and holes for file ranges. Never one copied buffer.

use bytes::{Bytes, BytesMut};

/// A response, or a request, ready to be sent in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    pub parts: Vec<FramePart>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FramePart {
    Bytes(Bytes),
    /// `len` bytes of the file range that the sender keeps under `slot`.
    File {
        slot: u32,
        len: u64,
    },
}

impl FramePart {
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { len, .. } => *len,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Frame {
    pub fn len(&self) -> u64 {
        self.parts.iter().map(FramePart::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One buffer; `None` when a part is a file range.
    pub fn into_bytes(mut self) -> Option<Bytes> {
        match &mut self.parts[..] {
            [FramePart::Bytes(bytes)] => Some(std::mem::take(bytes)),
            parts => joined(parts),
        }
    }
}

fn joined(parts: &[FramePart]) -> Option<Bytes> {
    let mut whole = BytesMut::new();
    for part in parts {
        let FramePart::Bytes(bytes) = part else { return None };
        whole.extend_from_slice(bytes);
    }
    Some(whole.freeze())
}

/// Record batches inside a message: a slice of the request, or the parts of a response.
#[derive(Clone, Debug)]
pub enum Records {
    Bytes(Bytes),
    Parts(Vec<RecordsPart>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordsPart {
    Bytes(Bytes),
    /// `len` bytes of the file range that the sender keeps under `slot`.
    File {
        slot: u32,
        len: u64,
    },
}

impl Records {
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Parts(parts) => parts.iter().map(RecordsPart::len).sum(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, where they are in one buffer: always so after decoding.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Parts(_) => None,
        }
    }
}

impl RecordsPart {
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { len, .. } => *len,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for Records {
    fn default() -> Self {
        Self::Bytes(Bytes::new())
    }
}

impl From<Bytes> for Records {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl PartialEq for Records {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Parts(a), Self::Parts(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Records {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_with_a_file_has_a_length_but_no_buffer() {
        let file = FramePart::File { slot: 0, len: 10 };
        let frame = Frame { parts: vec![FramePart::Bytes(Bytes::from_static(b"ab")), file.clone()] };
        assert_eq!(frame.len(), 12);
        assert_eq!(frame.into_bytes(), None);
        assert_eq!(Frame { parts: vec![file] }.into_bytes(), None);
    }

    #[test]
    fn buffers_join_in_order() {
        let part = |text: &'static str| FramePart::Bytes(Bytes::from_static(text.as_bytes()));
        let joined = Frame { parts: vec![part("ab"), part("c")] }.into_bytes();
        assert_eq!(joined, Some(Bytes::from_static(b"abc")));
        assert_eq!(Frame::default().into_bytes(), Some(Bytes::new()));
    }
}
