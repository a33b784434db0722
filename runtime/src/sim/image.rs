//! The bytes of a simulated file, sparse: what was never written is zero and takes no memory.

use std::collections::BTreeMap;

const PAGE: usize = 4096;
const PAGE_BYTES: u64 = PAGE as u64;

/// The unit in which a crash keeps or loses what was not synced: a sector is never torn.
pub(crate) const SECTOR: u64 = 512;

#[derive(Clone, Default)]
pub(crate) struct Image {
    len: u64,
    pages: BTreeMap<u64, Box<[u8; PAGE]>>,
}

/// The pieces of `pos..pos + len` that lie in one page each: page, offset in the page, offset in the range, length.
fn pieces(pos: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let at = pos + done as u64;
        let within = usize::try_from(at % PAGE_BYTES).expect("less than a page");
        let count = (PAGE - within).min(len - done);
        let piece = (at / PAGE_BYTES, within, done, count);
        done += count;
        Some(piece)
    })
}

impl Image {
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn allocated_bytes(&self) -> u64 {
        self.pages.len() as u64 * PAGE_BYTES
    }

    /// Up to `len` bytes, fewer where the file ends.
    pub(crate) fn read(&self, pos: u64, len: usize) -> Vec<u8> {
        let within = usize::try_from(self.len.saturating_sub(pos)).unwrap_or(usize::MAX);
        let mut out = vec![0; len.min(within)];
        for (page, offset, at, count) in pieces(pos, out.len()) {
            if let Some(bytes) = self.pages.get(&page) {
                out[at..at + count].copy_from_slice(&bytes[offset..offset + count]);
            }
        }
        out
    }

    pub(crate) fn write(&mut self, pos: u64, bytes: &[u8]) {
        for (page, offset, at, count) in pieces(pos, bytes.len()) {
            let target = self.pages.entry(page).or_insert_with(|| Box::new([0; PAGE]));
            target[offset..offset + count].copy_from_slice(&bytes[at..at + count]);
        }
        self.len = self.len.max(pos + bytes.len() as u64);
    }

    /// Cuts or extends; what comes back by a later extension is zero.
    pub(crate) fn set_len(&mut self, len: u64) {
        if len < self.len {
            let last = self.pages.split_off(&len.div_ceil(PAGE_BYTES));
            drop(last);
            if let Some(page) = self.pages.get_mut(&(len / PAGE_BYTES)) {
                page[usize::try_from(len % PAGE_BYTES).expect("less than a page")..].fill(0);
            }
        }
        self.len = len;
    }

    /// The bytes of a sector, zero beyond the end.
    pub(crate) fn sector(&self, sector: u64) -> Vec<u8> {
        let mut bytes = self.read(sector * SECTOR, 512);
        bytes.resize(512, 0);
        bytes
    }

    /// Writes a sector without changing the length.
    pub(crate) fn put_sector(&mut self, sector: u64, bytes: &[u8]) {
        let len = self.len;
        self.write(sector * SECTOR, bytes);
        self.len = len;
    }
}

/// The sectors that a range touches.
pub(crate) fn sectors(pos: u64, len: u64) -> std::ops::Range<u64> {
    pos / SECTOR..(pos + len).div_ceil(SECTOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_sparse_and_reads_what_was_written() {
        let mut image = Image::default();
        image.write(10_000, b"abc");
        assert_eq!(image.len(), 10_003);
        assert_eq!(image.allocated_bytes(), 4096);
        assert_eq!(image.read(9_999, 100), b"\0abc");
        image.set_len(10_001);
        image.set_len(10_003);
        assert_eq!(image.read(10_000, 3), b"a\0\0");
    }
}
