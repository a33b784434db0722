//! The last offset of each key of a log's dirty part, in memory that is fixed from the start: 24 bytes a key, whatever
//! its length, because only a hash of it is kept, as in Kafka's `SkimpyOffsetMap`.
//! Does no I/O. Lives on the shard that cleans.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::config::CleanerConfig;
use crate::types::Offset;

/// Hash of the key, and its offset plus one; all zero when free.
type Slot = [u64; 3];

const SLOT_BYTES: u64 = size_of::<Slot>() as u64;
/// Less makes no progress: a round takes in at least one key.
const SLOTS_AT_LEAST: u64 = 4;

/// Keys and offsets, open addressing, no deletion.
pub(crate) struct KeyMap {
    slots: Vec<Slot>,
    keys: usize,
    limit: usize,
    latest: Option<Offset>,
    secret: [u8; 16],
}

impl KeyMap {
    /// `secret` must be unknown to whoever writes keys: two keys of one hash would lose a record.
    pub fn new(config: &CleanerConfig, secret: [u8; 16]) -> KeyMap {
        let wanted = (config.key_map_bytes / SLOT_BYTES).max(SLOTS_AT_LEAST);
        let slots = usize::try_from(wanted).expect("a map fits the address space");
        let limit = (slots as f64 * config.key_map_load_factor) as usize;
        // Zeroed pages come from the kernel as they are touched: a small log takes little of a large map.
        KeyMap { slots: vec![[0; 3]; slots], keys: 0, limit: limit.clamp(1, slots - 1), latest: None, secret }
    }

    /// No further key is taken in.
    pub fn is_full(&self) -> bool {
        self.keys >= self.limit
    }

    /// Keys in it.
    pub fn len(&self) -> usize {
        self.keys
    }

    /// Remembers the offset as the key's last one.
    pub fn put(&mut self, key: &[u8], offset: Offset) {
        assert!(!self.is_full(), "a full map takes no key");
        let hash = self.hash(key);
        let at = self.find(hash);
        self.keys += usize::from(self.slots[at][2] == 0);
        self.slots[at] = [hash[0], hash[1], offset.0 as u64 + 1];
        self.latest = Some(offset);
    }

    /// The key's last offset, if it is known.
    pub fn get(&self, key: &[u8]) -> Option<Offset> {
        let offset_and_one = self.slots[self.find(self.hash(key))][2];
        offset_and_one.checked_sub(1).map(|offset| Offset(offset as i64))
    }

    /// Everything up to this offset has been taken in.
    pub fn covers(&mut self, offset: Offset) {
        self.latest = self.latest.max(Some(offset));
    }

    /// The last offset taken in.
    pub fn latest(&self) -> Option<Offset> {
        self.latest
    }

    /// The slot of this hash, or the free one where it would go: the limit leaves one free.
    fn find(&self, hash: [u64; 2]) -> usize {
        let mut at = (hash[0] % self.slots.len() as u64) as usize;
        loop {
            let slot = &self.slots[at];
            if slot[2] == 0 || (slot[0], slot[1]) == (hash[0], hash[1]) {
                return at;
            }
            at = (at + 1) % self.slots.len();
        }
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        let mut hasher = SipHasher13::new_with_key(&self.secret);
        hasher.write(key);
        let hash = hasher.finish128();
        [hash.h1, hash.h2]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(slots: u64, load_factor: f64) -> KeyMap {
        let config = CleanerConfig {
            key_map_bytes: slots * SLOT_BYTES,
            key_map_load_factor: load_factor,
            ..CleanerConfig::default()
        };
        KeyMap::new(&config, [7; 16])
    }

    #[test]
    fn the_last_offset_of_each_key_is_found_even_in_a_crowded_map() {
        let mut map = map(1000, 0.99);
        for round in 0..3i64 {
            for key in 0..300i64 {
                map.put(&key.to_be_bytes(), Offset(round * 300 + key));
            }
        }
        assert_eq!((map.len(), map.latest()), (300, Some(Offset(899))));
        for key in 0..300i64 {
            assert_eq!(map.get(&key.to_be_bytes()), Some(Offset(600 + key)));
        }
        assert_eq!(map.get(b"unknown"), None);
    }

    #[test]
    fn an_empty_key_is_a_key_and_offset_zero_an_offset() {
        let mut map = map(10, 0.9);
        map.put(b"", Offset(0));
        assert_eq!(map.get(b""), Some(Offset(0)));
    }

    #[test]
    fn a_map_is_full_at_its_load_factor_and_its_memory_never_grows() {
        let mut map = map(100, 0.9);
        let before = map.slots.capacity();
        let mut taken = 0i64;
        while !map.is_full() {
            map.put(&taken.to_be_bytes(), Offset(taken));
            taken += 1;
        }
        assert_eq!((taken, map.slots.capacity()), (90, before));
        assert_eq!(map.get(b"another"), None, "a search of a full map ends");
    }

    #[test]
    fn the_smallest_map_still_takes_a_key() {
        let mut map = map(0, 0.0);
        assert!(!map.is_full());
        map.put(b"key", Offset(5));
        assert!(map.is_full());
    }

    #[test]
    fn what_is_covered_only_rises() {
        let mut map = map(10, 0.9);
        map.covers(Offset(8));
        map.covers(Offset(3));
        assert_eq!(map.latest(), Some(Offset(8)));
    }
}
