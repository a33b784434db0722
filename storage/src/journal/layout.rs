//! Where entries go in a journal: into numbered blocks, which are used again in their order once nothing in the oldest
//! is needed any more. Decides only. Shard that owns the journal.
//!
//! In this order, so that a journal holds the newest entries of each log without a gap.

use std::collections::VecDeque;

use super::entry::BLOCK_HEADER_BYTES;

/// A place for one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    /// Number of its block, to be given back.
    pub block: u64,
    /// Byte of the file.
    pub at: usize,
    /// It is the first of its block, whose header is to be written before.
    pub begins: bool,
}

pub(super) struct Layout {
    block_bytes: usize,
    blocks: usize,
    /// Number of the oldest block in use.
    oldest: u64,
    /// Entries that are needed, of each block in use. The newest is being filled.
    needed: VecDeque<usize>,
    filled: usize,
}

impl Layout {
    /// `first` is the number of the first block.
    pub fn new(first: u64, blocks: usize, block_bytes: usize) -> Layout {
        assert!(blocks > 1 && block_bytes > BLOCK_HEADER_BYTES, "there is room");
        Layout { block_bytes, blocks, oldest: first, needed: VecDeque::with_capacity(blocks), filled: 0 }
    }

    /// `None` while there is no room: too much of what is old is still needed, or the entry is longer than a block.
    pub fn place(&mut self, bytes: usize) -> Option<Spot> {
        let is_fresh = self.needed.is_empty() || self.filled + bytes > self.block_bytes;
        if is_fresh && !self.begin(bytes) {
            return None;
        }
        let block = self.oldest + self.needed.len() as u64 - 1;
        let at = (block % self.blocks as u64) as usize * self.block_bytes + self.filled;
        self.filled += bytes;
        *self.needed.back_mut().expect("a block has begun") += 1;
        Some(Spot { block, at, begins: is_fresh })
    }

    /// The next entry begins at a multiple of `bytes` of its block, or in the next block.
    pub fn align(&mut self, bytes: usize) {
        self.filled = self.filled.next_multiple_of(bytes).min(self.block_bytes);
    }

    fn begin(&mut self, bytes: usize) -> bool {
        self.forget_unneeded();
        let fits = BLOCK_HEADER_BYTES + bytes <= self.block_bytes && self.needed.len() < self.blocks;
        if fits {
            self.needed.push_back(0);
            self.filled = BLOCK_HEADER_BYTES;
        }
        fits
    }

    /// An entry of this block is no longer needed.
    pub fn release(&mut self, block: u64) {
        let needed = &mut self.needed[(block - self.oldest) as usize];
        assert!(*needed > 0, "an entry is given back once");
        *needed -= 1;
        self.forget_unneeded();
    }

    fn forget_unneeded(&mut self) {
        while self.needed.len() > 1 && self.needed[0] == 0 {
            self.needed.pop_front();
            self.oldest += 1;
        }
    }

    /// The file is a new one, without a block in it.
    pub fn begin_anew(&mut self) {
        assert!(!self.is_needed(), "what is needed is in the old file");
        self.oldest += self.needed.len() as u64;
        self.needed.clear();
    }

    /// Some entry is needed.
    pub fn is_needed(&self) -> bool {
        self.needed.iter().any(|needed| *needed > 0)
    }

    /// From the oldest that is needed to the newest, it is more than half of all.
    pub fn is_pressed(&self) -> bool {
        self.needed.len() * 2 > self.blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: usize = BLOCK_HEADER_BYTES + 100;

    fn place(layout: &mut Layout, bytes: usize) -> Option<(u64, usize, bool)> {
        layout.place(bytes).map(|spot| (spot.block, spot.at, spot.begins))
    }

    #[test]
    fn entries_lie_back_to_back_and_one_that_does_not_fit_begins_a_block() {
        let mut layout = Layout::new(0, 2, BLOCK);
        assert_eq!(place(&mut layout, 60), Some((0, 32, true)));
        assert_eq!(place(&mut layout, 40), Some((0, 92, false)));
        assert_eq!(place(&mut layout, 8), Some((1, BLOCK + 32, true)));
    }

    #[test]
    fn a_block_is_used_again_when_it_and_all_before_it_are_not_needed() {
        let mut layout = Layout::new(0, 3, BLOCK);
        for block in 0..3 {
            assert_eq!(place(&mut layout, 100).map(|spot| spot.0), Some(block));
        }
        assert_eq!(place(&mut layout, 100), None);
        layout.release(1);
        assert_eq!(place(&mut layout, 100), None, "the oldest is needed");
        layout.release(0);
        assert_eq!(place(&mut layout, 100), Some((3, 32, true)));
        assert_eq!(place(&mut layout, 100), Some((4, BLOCK + 32, true)));
        assert_eq!(place(&mut layout, 100), None);
    }

    #[test]
    fn the_block_that_is_being_filled_is_filled_on_though_nothing_in_it_is_needed() {
        let mut layout = Layout::new(0, 2, BLOCK);
        place(&mut layout, 20);
        layout.release(0);
        assert_eq!(place(&mut layout, 20), Some((0, 52, false)));
    }

    #[test]
    fn it_is_pressed_with_more_than_half_in_use() {
        let mut layout = Layout::new(0, 4, BLOCK);
        let pressed: Vec<bool> = (0..4)
            .map(|_| {
                place(&mut layout, 100);
                layout.is_pressed()
            })
            .collect();
        assert_eq!(pressed, [false, false, true, true]);
    }

    #[test]
    fn what_is_longer_than_a_block_has_no_place() {
        assert_eq!(place(&mut Layout::new(0, 2, BLOCK), 101), None);
    }
}
