//! One simulated file: what is in the cache, what is durable, and what a power cut makes of both.
//! Decides only: no delays, no failures; `disk` brings those. One thread, that of the simulation.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use bytes::Bytes;

use crate::sim::faults::Grain;
use crate::sim::image::{Image, PAGE, Page, Sectors, differing, touched};
use crate::sim::rng::Rng;

/// Contents of a page that its medium may still hold beside the newest: writes reach it in any order.
const OLDER_KEPT: usize = 4;

/// What was there before a change, and how many syncs had begun by then.
type Before<T> = (u64, T);

/// A page of which the medium may not hold the newest content.
#[derive(Default)]
struct DirtyPage {
    sectors: Sectors,
    /// A sync of these has failed: no later one covers them, as after a failed fdatasync of the kernel.
    given_up: Sectors,
    older: Vec<Before<Page>>,
}

#[derive(Default)]
pub(crate) struct FileState {
    pub path: PathBuf,
    live: Image,
    durable: Image,
    dirty: BTreeMap<u64, DirtyPage>,
    /// Lengths that the file had since the last sync.
    older_lengths: Vec<Before<u64>>,
    in_flight: BTreeMap<u64, (u64, Bytes)>,
    next_write: u64,
    syncs_begun: u64,
    /// The youngest sync of all that has ended, by when it began.
    synced: u64,
    /// The youngest sync that has ended, of those that covered this page alone or with its neighbours.
    pages_synced: BTreeMap<u64, u64>,
    /// The youngest sync that has ended of any kind: each covers the length.
    length_synced: u64,
    /// By the wall clock.
    pub modified_ms: i64,
}

/// What a sync found when it began.
pub(crate) struct Synced {
    number: u64,
    len: u64,
    is_whole: bool,
    pages: Vec<(u64, Sectors, Page)>,
}

impl FileState {
    pub fn at(path: PathBuf) -> FileState {
        FileState { path, ..FileState::default() }
    }

    pub fn len(&self) -> u64 {
        self.live.len()
    }

    pub fn allocated_bytes(&self) -> u64 {
        self.live.allocated_bytes()
    }

    /// Bytes of the disk that a write of these would newly take.
    pub fn new_bytes(&self, pos: u64, len: usize) -> u64 {
        self.live.missing_pages(pos, len) * PAGE as u64
    }

    pub fn read(&self, pos: u64, len: usize) -> Vec<u8> {
        self.live.read(pos, len)
    }

    /// Changes bytes in the cache and on the medium alike.
    pub fn rot(&mut self, pos: u64, bytes: &[u8]) {
        self.live.write(pos, bytes);
        self.durable.write(pos, bytes);
    }

    /// Remembers what the pages of a range hold now, because they are about to change.
    fn keep_older(&mut self, pos: u64, len: usize) {
        for (page, _) in touched(pos, len) {
            let dirty = self.dirty.entry(page).or_default();
            if dirty.sectors != 0 {
                dirty.older.push((self.syncs_begun, self.live.page(page)));
            }
            if dirty.older.len() > OLDER_KEPT {
                dirty.older.remove(0);
            }
        }
    }

    fn mark_dirty(&mut self, pos: u64, len: usize) {
        for (page, sectors) in touched(pos, len) {
            let dirty = self.dirty.entry(page).or_default();
            dirty.sectors |= sectors;
            dirty.given_up &= !sectors;
        }
    }

    fn note_length(&mut self) {
        let len = self.live.len();
        if self.older_lengths.last().is_none_or(|(_, last)| *last != len) {
            self.older_lengths.push((self.syncs_begun, len));
        }
    }

    fn apply(&mut self, pos: u64, bytes: &[u8]) {
        self.keep_older(pos, bytes.len());
        self.note_length();
        self.live.write(pos, bytes);
        self.mark_dirty(pos, bytes.len());
    }

    pub fn begin_write(&mut self, pos: u64, bytes: Bytes) -> u64 {
        let id = self.next_write;
        self.next_write += 1;
        self.in_flight.insert(id, (pos, bytes));
        id
    }

    /// The write ends after so many of its bytes.
    pub fn complete_write(&mut self, id: u64, taken: usize) {
        let (pos, bytes) = self.in_flight.remove(&id).expect("a write completes once");
        if taken > 0 {
            self.apply(pos, &bytes[..taken]);
        }
    }

    pub fn set_len(&mut self, len: u64) {
        self.note_length();
        self.live.set_len(len);
        self.dirty.retain(|page, _| page * (PAGE as u64) < len);
        let last = PAGE - usize::try_from(len % PAGE as u64).expect("less than a page");
        if last < PAGE {
            self.mark_dirty(len, last);
        }
    }

    /// What a sync that begins now makes durable: the cache as it is, without the writes in flight.
    pub fn sync_begins(&mut self) -> Synced {
        self.begin_sync(true, 0..u64::MAX)
    }

    /// As [`FileState::sync_begins`], for the length and the pages of a range: the other half of a write that is durable
    /// when it ends.
    pub fn sync_of_begins(&mut self, pos: u64, len: usize) -> Synced {
        let page = PAGE as u64;
        self.begin_sync(false, pos / page..(pos + len as u64).div_ceil(page))
    }

    fn begin_sync(&mut self, is_whole: bool, pages: Range<u64>) -> Synced {
        self.syncs_begun += 1;
        let covered = |dirty: &DirtyPage| dirty.sectors & !dirty.given_up;
        let dirty = self.dirty.range(pages);
        let pages = dirty.map(|(page, dirty)| (*page, covered(dirty), self.live.page(*page))).collect();
        Synced { number: self.syncs_begun, len: self.live.len(), is_whole, pages }
    }

    pub fn sync_ends(&mut self, synced: Synced) {
        let Synced { number, len, is_whole, pages } = synced;
        if number > self.length_synced {
            self.length_synced = number;
            self.durable.set_len(len);
            self.older_lengths.retain(|(begun, _)| *begun >= number);
        }
        for (page, sectors, bytes) in pages {
            // One that began later may have ended before: it covered all this one covers of a page, and newer bytes.
            if number > self.synced && self.pages_synced.get(&page).is_none_or(|later| number > *later) {
                self.page_synced(number, page, sectors, &bytes);
                self.pages_synced.insert(page, number);
            }
        }
        if is_whole && number > self.synced {
            self.synced = number;
            self.pages_synced.retain(|_, by| *by > number);
        }
        self.dirty.retain(|_, dirty| dirty.sectors != 0);
    }

    fn page_synced(&mut self, number: u64, page: u64, sectors: Sectors, bytes: &Page) {
        self.durable.put(page, sectors, bytes);
        let changed = differing(&self.live.page(page), bytes, sectors);
        if let Some(dirty) = self.dirty.get_mut(&page) {
            dirty.sectors = (dirty.sectors & !sectors) | changed;
            dirty.older.retain(|(begun, _)| *begun >= number);
        }
    }

    /// The sync has failed: what it covered reaches the medium by chance alone, whatever is synced later.
    pub fn sync_fails(&mut self, synced: Synced) {
        for (page, sectors, _) in synced.pages {
            if let Some(dirty) = self.dirty.get_mut(&page) {
                dirty.given_up |= sectors & dirty.sectors;
            }
        }
    }

    /// The next process finds a disk that works again: what it can read, it can make durable.
    pub fn repaired(&mut self) {
        self.dirty.values_mut().for_each(|dirty| dirty.given_up = 0);
    }

    /// A power cut. Writes in flight have come as far as chance will have it, in any order; of what was not synced
    /// each grain is kept or lost by itself, or is an older content of it; the length is any it had since the sync.
    pub fn crash(&mut self, rng: &mut Rng, grain: Grain) {
        self.land_in_flight(rng);
        let keep_percent = [0, 10, 50, 90, 100][usize::try_from(rng.below(5)).expect("small")];
        let lengths = self.possible_lengths();
        let longest = lengths.iter().copied().max().expect("it has a length");
        self.durable.set_len(longest);
        for (page, dirty) in std::mem::take(&mut self.dirty) {
            let newest = self.live.page(page);
            for sectors in grain.pieces() {
                let content = match dirty.older.len() {
                    _ if rng.chance(keep_percent) => &newest,
                    0 => continue,
                    _ if rng.chance(50) => continue,
                    older => &dirty.older[index(rng, older)].1,
                };
                self.durable.put(page, sectors & dirty.sectors, content);
            }
        }
        self.durable.set_len(lengths[index(rng, lengths.len())]);
        self.live = self.durable.clone();
        self.older_lengths.clear();
    }

    fn land_in_flight(&mut self, rng: &mut Rng) {
        let mut writes: Vec<_> = std::mem::take(&mut self.in_flight).into_values().collect();
        while !writes.is_empty() {
            let (pos, bytes) = writes.swap_remove(index(rng, writes.len()));
            self.apply(pos, &bytes);
        }
    }

    /// The durable one and the newest, each as likely as all between them together.
    fn possible_lengths(&self) -> Vec<u64> {
        let (old, new) = (self.durable.len(), self.live.len());
        let between: Vec<u64> = self.older_lengths.iter().map(|(_, len)| *len).collect();
        let weight = between.len().max(1);
        let ends = std::iter::repeat_n(old, weight).chain(std::iter::repeat_n(new, weight));
        ends.chain(between).collect()
    }
}

fn index(rng: &mut Rng, len: usize) -> usize {
    usize::try_from(rng.below(len as u64)).expect("below a length")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(file: &mut FileState, pos: u64, bytes: &'static [u8]) {
        let id = file.begin_write(pos, Bytes::from_static(bytes));
        file.complete_write(id, bytes.len());
    }

    /// What a crash may leave of a file that `make` makes, over many crashes.
    fn outcomes(make: impl Fn(&mut FileState), grain: Grain) -> std::collections::BTreeSet<Vec<u8>> {
        let crash = |seed| {
            let mut file = FileState::default();
            make(&mut file);
            file.crash(&mut Rng::new(seed), grain);
            file.read(0, usize::MAX)
        };
        (0..300).map(crash).collect()
    }

    #[test]
    fn an_overwritten_write_may_reach_the_medium_and_the_newer_one_not() {
        let twice = |file: &mut FileState| {
            write(file, 0, &[0; 4096]);
            let synced = file.sync_begins();
            file.sync_ends(synced);
            write(file, 0, &[1; 512]);
            write(file, 0, &[2; 512]);
        };
        let first: Vec<u8> = outcomes(twice, Grain::Sector).iter().map(|bytes| bytes[0]).collect();
        assert_eq!(first, [0, 1, 2]);
    }

    #[test]
    fn a_block_is_torn_at_512_bytes_or_not_at_all_as_the_grain_says() {
        let one = |file: &mut FileState| write(file, 0, &[1; 4096]);
        let torn = |bytes: &Vec<u8>| bytes.contains(&0) && bytes.contains(&1);
        assert!(outcomes(one, Grain::Sector).iter().any(torn));
        assert!(!outcomes(one, Grain::Block).iter().any(torn));
    }

    #[test]
    fn what_a_failed_sync_covered_is_not_made_durable_by_the_next() {
        let failed = |file: &mut FileState| {
            write(file, 0, &[1; 4096]);
            let synced = file.sync_begins();
            file.sync_fails(synced);
            let synced = file.sync_begins();
            file.sync_ends(synced);
        };
        assert!(outcomes(failed, Grain::Block).iter().any(|bytes| bytes.contains(&0)));
    }

    #[test]
    fn what_was_synced_is_there_whatever_was_overwritten_before() {
        let synced = |file: &mut FileState| {
            write(file, 0, &[1; 4096]);
            write(file, 0, &[2; 4096]);
            let synced = file.sync_begins();
            file.sync_ends(synced);
        };
        assert_eq!(outcomes(synced, Grain::Sector), [vec![2; 4096]].into());
    }
}
