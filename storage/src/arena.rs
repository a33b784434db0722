//! Memory for small batches, cut from larger pieces, so that a batch costs no allocation of its own. A piece lives for
//! as long as a batch in it does: they come and go in nearly the same order. Lives on its shard, single-threaded.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};

const PIECE_BYTES: usize = 64 << 10;

#[derive(Debug, Default)]
pub(crate) struct Arena {
    piece: RefCell<BytesMut>,
}

impl Arena {
    /// A copy of the parts, one behind the other.
    pub fn copy(&self, parts: &[&[u8]]) -> Bytes {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let mut piece = self.piece.borrow_mut();
        if piece.capacity() < len {
            *piece = BytesMut::with_capacity(PIECE_BYTES.max(len));
        }
        parts.iter().for_each(|part| piece.extend_from_slice(part));
        piece.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_their_parts_whatever_was_cut_before() {
        let arena = Arena::default();
        let copies: Vec<Bytes> = (0..300).map(|i| arena.copy(&[&[i as u8; 61], &[7; 900]])).collect();
        for (number, copy) in copies.iter().enumerate() {
            assert_eq!(copy[..61], [number as u8; 61]);
            assert_eq!(copy[61..], [7; 900]);
        }
        assert_eq!(arena.copy(&[&[1; 2 * PIECE_BYTES]]).len(), 2 * PIECE_BYTES);
    }
}
