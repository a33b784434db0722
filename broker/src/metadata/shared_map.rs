//! A sorted map that is cheap to copy and cheap to change after a copy: chunks behind reference counts.
//! Never locks, never shrinks its chunks by merging. Any core; copies are read on all of them.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

/// A change after a copy clones one chunk and the list of chunks: a few microseconds at 10,000 entries.
const CHUNK_ENTRIES: usize = 128;

type Chunk<K, V> = Arc<Vec<(K, V)>>;

/// Keys in order. Every chunk has at least one entry and at most [`CHUNK_ENTRIES`].
pub struct SharedMap<K, V> {
    chunks: Arc<Vec<Chunk<K, V>>>,
    len: usize,
}

impl<K: Ord + Clone, V: Clone> SharedMap<K, V> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let chunk = self.chunks.get(self.chunk_of(key)?)?;
        let at = position(chunk, key).ok()?;
        Some(&chunk[at].1)
    }

    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// The value, for a change. Clones what other copies of the map still hold.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let index = self.chunk_of(key)?;
        let at = position(&self.chunks[index], key).ok()?;
        let chunk = &mut Arc::make_mut(&mut self.chunks)[index];
        Some(&mut Arc::make_mut(chunk)[at].1)
    }

    /// The value that was there before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let Some(index) = self.chunk_of(&key) else {
            Arc::make_mut(&mut self.chunks).push(Arc::new(vec![(key, value)]));
            self.len += 1;
            return None;
        };
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(&mut chunks[index]);
        match position(chunk, &key) {
            Ok(at) => Some(std::mem::replace(&mut chunk[at].1, value)),
            Err(at) => {
                chunk.insert(at, (key, value));
                self.len += 1;
                split_if_full(chunks, index);
                None
            }
        }
    }

    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let index = self.chunk_of(key)?;
        let at = position(&self.chunks[index], key).ok()?;
        let chunks = Arc::make_mut(&mut self.chunks);
        let (_, value) = Arc::make_mut(&mut chunks[index]).remove(at);
        if chunks[index].is_empty() {
            chunks.remove(index);
        }
        self.len -= 1;
        Some(value)
    }

    /// In the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.chunks.iter().flat_map(|chunk| chunk.iter().map(|(key, value)| (key, value)))
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// All entries that are new or changed since `before`, of which this is a copy with changes, in the order of the
    /// keys; and some that are not: those beside them in a chunk. Takes no time for what both share.
    pub fn not_shared_with(&self, before: &Self) -> impl Iterator<Item = (&K, &V)> {
        let shared: BTreeSet<_> = before.chunks.iter().map(Arc::as_ptr).collect();
        let own = self.chunks.iter().filter(move |chunk| !shared.contains(&Arc::as_ptr(chunk)));
        own.flat_map(|chunk| chunk.iter().map(|(key, value)| (key, value)))
    }

    /// From a key on, in the order of the keys.
    pub fn iter_from<Q: Ord + ?Sized>(&self, start: Bound<&Q>) -> impl Iterator<Item = (&K, &V)>
    where
        K: Borrow<Q>,
    {
        let (chunk, at) = self.start_of(start);
        let first = self.chunks.get(chunk).map_or(&[][..], |chunk| &chunk[at..]);
        let rest = self.chunks.iter().skip(chunk + 1).flat_map(|chunk| chunk.iter());
        first.iter().chain(rest).map(|(key, value)| (key, value))
    }

    fn start_of<Q: Ord + ?Sized>(&self, start: Bound<&Q>) -> (usize, usize)
    where
        K: Borrow<Q>,
    {
        let (Bound::Included(key) | Bound::Excluded(key)) = start else { return (0, 0) };
        let Some(index) = self.chunk_of(key) else { return (0, 0) };
        match position(&self.chunks[index], key) {
            Ok(at) if matches!(start, Bound::Excluded(_)) => (index, at + 1),
            Ok(at) | Err(at) => (index, at),
        }
    }

    /// The only chunk that can hold the key; `None` when there are no chunks.
    fn chunk_of<Q: Ord + ?Sized>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
    {
        let after = self.chunks.partition_point(|chunk| chunk[0].0.borrow() <= key);
        (!self.chunks.is_empty()).then(|| after.saturating_sub(1))
    }
}

fn position<K: Borrow<Q>, V, Q: Ord + ?Sized>(chunk: &[(K, V)], key: &Q) -> Result<usize, usize> {
    chunk.binary_search_by(|(candidate, _)| candidate.borrow().cmp(key))
}

fn split_if_full<K: Clone, V: Clone>(chunks: &mut Vec<Chunk<K, V>>, index: usize) {
    if chunks[index].len() <= CHUNK_ENTRIES {
        return;
    }
    // Replays append in order as a rule: a full last chunk is left full.
    let is_last = index + 1 == chunks.len();
    let at = if is_last { CHUNK_ENTRIES } else { CHUNK_ENTRIES / 2 };
    let tail = Arc::make_mut(&mut chunks[index]).split_off(at);
    chunks.insert(index + 1, Arc::new(tail));
}

impl<K, V> Clone for SharedMap<K, V> {
    fn clone(&self) -> Self {
        Self { chunks: Arc::clone(&self.chunks), len: self.len }
    }
}

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self { chunks: Arc::default(), len: 0 }
    }
}

/// Equal when the entries are, however they are cut into chunks.
impl<K: Ord + Clone, V: Clone + PartialEq> PartialEq for SharedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<K: Ord + Clone + fmt::Debug, V: Clone + fmt::Debug> fmt::Debug for SharedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A walk over few keys, so that all of insert, replace and remove meet full and empty chunks.
    fn walk(steps: u64, mut each: impl FnMut(u64, u64)) {
        let mut state = 7u64;
        for step in 0..steps {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            each(step, state >> 33);
        }
    }

    fn filled<V: Clone, K: Ord + Clone>(entries: impl Iterator<Item = (K, V)>) -> SharedMap<K, V> {
        let mut map = SharedMap::default();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }

    #[test]
    fn it_agrees_with_a_tree_after_every_change() {
        let (mut map, mut tree) = (SharedMap::default(), BTreeMap::new());
        walk(20_000, |step, random| {
            let key = random % 1500;
            if step % 16 < 10 {
                assert_eq!(map.insert(key, step), tree.insert(key, step));
            } else {
                assert_eq!(map.remove(&key), tree.remove(&key));
            }
            assert_eq!(map.len(), tree.len());
            assert_eq!(map.get(&random), tree.get(&random));
        });
        assert!(map.iter().eq(tree.iter()));
        assert!(map.chunks.iter().all(|chunk| (1..=CHUNK_ENTRIES).contains(&chunk.len())));
    }

    #[test]
    fn iteration_starts_at_or_after_any_key() {
        let map = filled((0..1000u64).map(|i| (i * 2, i)));
        for key in 0..2001u64 {
            let included = map.iter_from(Bound::Included(&key)).next().map(|(k, _)| *k);
            let excluded = map.iter_from(Bound::Excluded(&key)).next().map(|(k, _)| *k);
            let bounded = |k: u64| (k < 2000).then_some(k);
            assert_eq!((included, excluded), (bounded(key.next_multiple_of(2)), bounded((key / 2 + 1) * 2)));
        }
        assert_eq!(map.iter_from::<u64>(Bound::Unbounded).count(), 1000);
    }

    #[test]
    fn a_copy_keeps_what_it_was_copied_from() {
        let mut map = filled((0..500).map(|i| (i, "old")));
        let copy = map.clone();
        *map.get_mut(&3).expect("there") = "new";
        map.remove(&4);
        assert_eq!((copy.get(&3), copy.get(&4), copy.len()), (Some(&"old"), Some(&"old"), 500));
        assert_eq!((map.get(&3), map.get(&4), map.len()), (Some(&"new"), None, 499));
    }

    #[test]
    fn what_has_changed_since_a_copy_is_found_without_what_is_shared() {
        let mut map = filled((0..1500).map(|key| (key, key)));
        walk(500, |step, random| {
            let before = map.clone();
            let key = random % 1600;
            let removed = if step % 3 == 0 { map.remove(&key).is_some() } else { false };
            if step % 3 != 0 {
                map.insert(key, step + 10_000);
                assert!(map.not_shared_with(&before).any(|(k, v)| (*k, *v) == (key, step + 10_000)));
            }
            assert_eq!(removed, before.not_shared_with(&map).any(|(k, _)| *k == key && !map.contains_key(k)));
            assert!(map.not_shared_with(&before).count() <= 2 * CHUNK_ENTRIES);
        });
    }

    #[test]
    fn a_change_after_a_copy_leaves_the_other_chunks_shared() {
        let mut map = filled((0..10_000).map(|i| (i, i)));
        let copy = map.clone();
        map.insert(5000, 0);
        let shared = map.chunks.iter().zip(copy.chunks.iter()).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
        assert_eq!(shared, map.chunks.len() - 1);
    }
}
