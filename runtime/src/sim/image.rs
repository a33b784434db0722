//! The bytes of a simulated file, sparse: what was never written is zero and takes no memory.
//! Pages are shared until they change, so that remembering what a sync saw is cheap.

use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const PAGE: usize = 4096;
const PAGE_BYTES: u64 = PAGE as u64;

/// The unit in which a crash keeps or loses what was not synced: a sector is never torn.
const SECTOR: usize = 512;

pub(crate) type Page = Arc<[u8; PAGE]>;

/// Which of a page's eight sectors are meant.
pub(crate) type Sectors = u8;
pub(crate) const SECTORS_OF_A_PAGE: u32 = Sectors::BITS;

#[derive(Clone, Default)]
pub(crate) struct Image {
    len: u64,
    pages: BTreeMap<u64, Page>,
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

fn each_sector(sectors: Sectors) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..8).filter(move |bit| sectors & (1 << bit) != 0).map(|bit| bit * SECTOR..(bit + 1) * SECTOR)
}

/// The sectors that a range touches, by page.
pub(crate) fn touched(pos: u64, len: usize) -> impl Iterator<Item = (u64, Sectors)> {
    pieces(pos, len).map(|(page, offset, _, count)| {
        let (first, last) = (offset / SECTOR, (offset + count - 1) / SECTOR);
        (page, (first..=last).fold(0, |sectors, bit| sectors | 1 << bit))
    })
}

/// Which of these sectors differ between two pages.
pub(crate) fn differing(a: &Page, b: &Page, sectors: Sectors) -> Sectors {
    if Arc::ptr_eq(a, b) {
        return 0;
    }
    let differ = |range: &std::ops::Range<usize>| a[range.clone()] != b[range.clone()];
    each_sector(sectors).filter(differ).fold(0, |found, range| found | 1 << (range.start / SECTOR))
}

impl Image {
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn allocated_bytes(&self) -> u64 {
        self.pages.len() as u64 * PAGE_BYTES
    }

    /// How many pages a write of this range would add.
    pub(crate) fn missing_pages(&self, pos: u64, len: usize) -> u64 {
        pieces(pos, len).filter(|(page, ..)| !self.pages.contains_key(page)).count() as u64
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
            let target = self.pages.entry(page).or_insert_with(|| Arc::new([0; PAGE]));
            Arc::make_mut(target)[offset..offset + count].copy_from_slice(&bytes[at..at + count]);
        }
        self.len = self.len.max(pos + bytes.len() as u64);
    }

    /// Cuts or extends; what comes back by a later extension is zero.
    pub(crate) fn set_len(&mut self, len: u64) {
        if len < self.len {
            let last = self.pages.split_off(&len.div_ceil(PAGE_BYTES));
            drop(last);
            if let Some(page) = self.pages.get_mut(&(len / PAGE_BYTES)) {
                let from = usize::try_from(len % PAGE_BYTES).expect("less than a page");
                Arc::make_mut(page)[from..].fill(0);
            }
        }
        self.len = len;
    }

    /// A page as it is now, also one that was never written.
    pub(crate) fn page(&self, page: u64) -> Page {
        self.pages.get(&page).cloned().unwrap_or_else(|| Arc::new([0; PAGE]))
    }

    /// Takes these sectors over from a page of another image, as far as this one is long.
    pub(crate) fn put(&mut self, page: u64, sectors: Sectors, from: &Page) {
        if page * PAGE_BYTES >= self.len {
            return;
        }
        let target = self.pages.entry(page).or_insert_with(|| Arc::new([0; PAGE]));
        if sectors == Sectors::MAX {
            *target = from.clone();
        } else {
            let target = Arc::make_mut(target);
            each_sector(sectors).for_each(|range| target[range.clone()].copy_from_slice(&from[range]));
        }
        if page == self.len / PAGE_BYTES {
            let end = usize::try_from(self.len % PAGE_BYTES).expect("less than a page");
            let target = self.pages.get_mut(&page).expect("it was just put there");
            Arc::make_mut(target)[end..].fill(0);
        }
    }
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
