//! The sparse indexes of one segment, in memory and in Kafka's file formats (`docs/storage.md`).
//! Does no I/O: bytes in, bytes out. Lives on the shard that owns the segment.

use std::fmt;

use crate::batch::HEADER_BYTES;

pub(crate) const OFFSET_ENTRY_BYTES: usize = 8;
pub(crate) const TIME_ENTRY_BYTES: usize = 12;

/// Bytes of an index file: an entry for each batch of the segment, or what Kafka makes the file of a growing one.
pub(crate) fn longest_index(segment_bytes: u32) -> u64 {
    const MADE_BY_KAFKA: u64 = 10 << 20;
    let batches = u64::from(segment_bytes) / HEADER_BYTES as u64;
    MADE_BY_KAFKA.max((batches + 1) * TIME_ENTRY_BYTES as u64)
}

/// Why index bytes were not accepted. The index is then rebuilt from the log, so the reason is for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadIndex {
    PartialEntry { bytes: usize },
    NotRising { entry: usize },
    BeyondLog { entry: usize },
}

impl fmt::Display for BadIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadIndex::PartialEntry { bytes } => write!(f, "{bytes} bytes are no whole number of entries"),
            BadIndex::NotRising { entry } => write!(f, "entry {entry} does not rise above the one before"),
            BadIndex::BeyondLog { entry } => write!(f, "entry {entry} points beyond the log file"),
        }
    }
}

/// How the entries that were asked for ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With the file.
    WithFile,
    /// Before one that was not asked for, or where the file was never filled.
    Before,
    /// Before one that makes no sense.
    InDamage,
}

/// `.index`: the last offset of a batch, relative to the segment, and the byte where that batch begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetIndex {
    entries: Vec<(u32, u32)>,
}

impl OffsetIndex {
    /// Byte position to scan from so as to meet the batch that holds `relative`. Zero without a better answer.
    pub fn lookup(&self, relative: u32) -> u32 {
        let after = self.entries.partition_point(|&(offset, _)| offset <= relative);
        if after == 0 { 0 } else { self.entries[after - 1].1 }
    }

    /// The relative offset of the first entry at byte `position` or after it.
    pub fn first_from(&self, position: u32) -> Option<u32> {
        let before = self.entries.partition_point(|&(_, at)| at < position);
        self.entries.get(before).map(|&(relative, _)| relative)
    }

    pub fn push(&mut self, relative: u32, position: u32) {
        if let Some(&(offset, _)) = self.entries.last() {
            assert!(relative > offset, "index offset {relative} after {offset}");
        }
        self.entries.push((relative, position));
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn last(&self) -> Option<(u32, u32)> {
        self.entries.last().copied()
    }

    pub fn entries(&self) -> &[(u32, u32)] {
        &self.entries
    }

    pub fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<(u32, u32)>()
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.entries.len() * OFFSET_ENTRY_BYTES);
        for &(relative, position) in &self.entries {
            out.extend_from_slice(&relative.to_be_bytes());
            out.extend_from_slice(&position.to_be_bytes());
        }
        out
    }

    /// The entry that an index file ends with; `None` for a slot that was never filled.
    pub fn decode_last(bytes: &[u8; OFFSET_ENTRY_BYTES]) -> Option<(u32, u32)> {
        let entry = (be_u32(&bytes[..4]), be_u32(&bytes[4..]));
        (entry != (0, 0)).then_some(entry)
    }

    /// The entries of a file that was not closed in order, up to the first that makes no sense or is of no offset
    /// below `below`.
    pub fn decode_below(bytes: &[u8], below: u32) -> (OffsetIndex, Ended) {
        let mut index = OffsetIndex::default();
        for (number, entry) in bytes.chunks_exact(OFFSET_ENTRY_BYTES).enumerate() {
            let (relative, position) = (be_u32(&entry[..4]), be_u32(&entry[4..]));
            let rises = index.last().is_none_or(|(offset, place)| relative > offset && position > place);
            if relative >= below || !rises || position == 0 {
                let is_end = relative >= below || is_unfilled(&bytes[number * OFFSET_ENTRY_BYTES..]);
                return (index, if is_end { Ended::Before } else { Ended::InDamage });
            }
            index.entries.push((relative, position));
        }
        let ended = ended_with_file(bytes, OFFSET_ENTRY_BYTES);
        (index, ended)
    }

    /// Entries of a file of a log `log_bytes` long. Kafka preallocates index files: zero entries after the
    /// first slot end the list, as they do for Kafka.
    pub fn decode(bytes: &[u8], log_bytes: u64) -> Result<OffsetIndex, BadIndex> {
        check_whole(bytes, OFFSET_ENTRY_BYTES)?;
        let mut index = OffsetIndex::default();
        for (number, entry) in bytes.chunks_exact(OFFSET_ENTRY_BYTES).enumerate() {
            let (relative, position) = (be_u32(&entry[..4]), be_u32(&entry[4..]));
            if relative == 0 && position == 0 {
                break;
            }
            if index.last().is_some_and(|(offset, place)| relative <= offset || position <= place) {
                return Err(BadIndex::NotRising { entry: number });
            }
            if u64::from(position) >= log_bytes {
                return Err(BadIndex::BeyondLog { entry: number });
            }
            index.entries.push((relative, position));
        }
        Ok(index)
    }
}

/// `.timeindex`: rising timestamps, each the largest so far, with an offset relative to the segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimeIndex {
    entries: Vec<(i64, u32)>,
}

impl TimeIndex {
    /// The relative offset of the first entry that is at least this late.
    fn first_at(&self, timestamp: i64) -> Option<u32> {
        let before = self.entries.partition_point(|&(time, _)| time < timestamp);
        self.entries.get(before).map(|&(_, relative)| relative)
    }

    /// Adds an entry, unless the timestamp is no news.
    pub fn push(&mut self, timestamp: i64, relative: u32) {
        match self.entries.last() {
            Some(&(time, _)) if timestamp <= time => {}
            Some(&(_, offset)) if relative < offset => {
                panic!("time index offset {relative} after {offset}")
            }
            _ if timestamp < 0 => {}
            _ => self.entries.push((timestamp, relative)),
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn last(&self) -> Option<(i64, u32)> {
        self.entries.last().copied()
    }

    pub fn entries(&self) -> &[(i64, u32)] {
        &self.entries
    }

    pub fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<(i64, u32)>()
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.entries.len() * TIME_ENTRY_BYTES);
        for &(timestamp, relative) in &self.entries {
            out.extend_from_slice(&timestamp.to_be_bytes());
            out.extend_from_slice(&relative.to_be_bytes());
        }
        out
    }

    /// The entry that an index file ends with; `None` where it takes the whole file to know.
    pub fn decode_last(bytes: &[u8; TIME_ENTRY_BYTES]) -> Option<(i64, u32)> {
        let entry = (be_i64(&bytes[..8]), be_u32(&bytes[8..]));
        (entry != (0, 0)).then_some(entry)
    }

    /// Forgets what lies after this relative offset.
    pub fn truncate_after(&mut self, last: u32) {
        self.entries.retain(|&(_, relative)| relative <= last);
    }

    /// As [`OffsetIndex::decode_below`].
    pub fn decode_below(bytes: &[u8], below: u32) -> (TimeIndex, Ended) {
        let mut index = TimeIndex::default();
        for (number, entry) in bytes.chunks_exact(TIME_ENTRY_BYTES).enumerate() {
            let (timestamp, relative) = (be_i64(&entry[..8]), be_u32(&entry[8..]));
            let rises = index.last().is_none_or(|(time, offset)| timestamp > time && relative >= offset);
            if relative >= below || !rises || (timestamp == 0 && relative == 0) {
                let is_end = relative >= below || is_unfilled(&bytes[number * TIME_ENTRY_BYTES..]);
                return (index, if is_end { Ended::Before } else { Ended::InDamage });
            }
            index.entries.push((timestamp, relative));
        }
        let ended = ended_with_file(bytes, TIME_ENTRY_BYTES);
        (index, ended)
    }

    pub fn decode(bytes: &[u8]) -> Result<TimeIndex, BadIndex> {
        check_whole(bytes, TIME_ENTRY_BYTES)?;
        let mut index = TimeIndex::default();
        for (number, entry) in bytes.chunks_exact(TIME_ENTRY_BYTES).enumerate() {
            let (timestamp, relative) = (be_i64(&entry[..8]), be_u32(&entry[8..]));
            if timestamp == 0 && relative == 0 && number > 0 {
                break;
            }
            if index.last().is_some_and(|(time, offset)| timestamp <= time || relative < offset) {
                return Err(BadIndex::NotRising { entry: number });
            }
            index.entries.push((timestamp, relative));
        }
        Ok(index)
    }
}

/// Byte to scan from so as to meet the first batch that is at least as late as `timestamp`, if there is one. It is
/// less than the distance of two entries away: times rise from one time entry to the next, and with each of them
/// comes an offset entry, so that batch lies between the offset entry before the first late time entry and this.
pub(crate) fn position_of_time(offsets: &OffsetIndex, times: &TimeIndex, timestamp: i64) -> u32 {
    match times.first_at(timestamp) {
        Some(relative) => relative.checked_sub(1).map_or(0, |before| offsets.lookup(before)),
        None => offsets.last().map_or(0, |(_, position)| position),
    }
}

/// Decides which batches of a segment get an entry, exactly as often as Kafka does: the first batch that
/// starts more than `interval_bytes` after the last indexed one.
#[derive(Clone, Debug)]
pub(crate) struct Indexer {
    pub offsets: OffsetIndex,
    pub times: TimeIndex,
    max: Option<(i64, u32)>,
    bytes_since_entry: u64,
}

impl Indexer {
    pub fn new() -> Indexer {
        Indexer::resume(OffsetIndex::default(), TimeIndex::default())
    }

    /// Goes on from loaded indexes; `noticed` must then be told of what they do not cover.
    pub fn resume(offsets: OffsetIndex, times: TimeIndex) -> Indexer {
        let max = times.last();
        Indexer { offsets, times, max, bytes_since_entry: 0 }
    }

    /// A batch of `bytes` with this last offset begins at `position`.
    pub fn noticed(&mut self, batch: IndexedBatch, interval_bytes: u32) {
        if self.max.is_none_or(|(timestamp, _)| batch.max_timestamp > timestamp) && batch.max_timestamp >= 0 {
            self.max = Some((batch.max_timestamp, batch.last_relative));
        }
        if self.bytes_since_entry > u64::from(interval_bytes) && !self.is_covered(batch) {
            self.offsets.push(batch.last_relative, batch.position);
            if let Some((timestamp, relative)) = self.max {
                self.times.push(timestamp, relative);
            }
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += u64::from(batch.bytes);
    }

    /// The time entry of an orderly end stands for batches up to a later one than this. An entry for this one would
    /// have no time beside it, and a search by time would begin behind the record that it looks for.
    fn is_covered(&self, batch: IndexedBatch) -> bool {
        self.max.is_some_and(|(_, relative)| relative > batch.last_relative)
    }

    /// The batch that the last entry points at: the distance to the next entry counts from here.
    pub fn resumed_at(&mut self, batch: IndexedBatch) {
        self.bytes_since_entry = u64::from(batch.bytes);
    }

    /// The segment takes no more batches: the largest timestamp gets its entry even off the beat.
    pub fn finish(&mut self) {
        if let Some((timestamp, relative)) = self.max {
            self.times.push(timestamp, relative);
        }
    }

    /// Largest timestamp so far with the relative last offset of its batch.
    pub fn max_timestamp(&self) -> Option<(i64, u32)> {
        self.max
    }

    pub fn is_full(&self, max_index_bytes: u32) -> bool {
        let max = max_index_bytes as usize;
        // One time entry is kept back for `finish`.
        self.offsets.len() >= max / OFFSET_ENTRY_BYTES || self.times.len() + 1 >= max / TIME_ENTRY_BYTES
    }
}

/// What the indexes need to know of one batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexedBatch {
    pub last_relative: u32,
    pub position: u32,
    pub bytes: u32,
    pub max_timestamp: i64,
}

/// Kafka makes index files longer than their entries.
fn is_unfilled(rest: &[u8]) -> bool {
    rest.iter().all(|&byte| byte == 0)
}

fn ended_with_file(bytes: &[u8], entry: usize) -> Ended {
    if bytes.len().is_multiple_of(entry) { Ended::WithFile } else { Ended::InDamage }
}

fn check_whole(bytes: &[u8], entry: usize) -> Result<(), BadIndex> {
    if bytes.len().is_multiple_of(entry) {
        Ok(())
    } else {
        Err(BadIndex::PartialEntry { bytes: bytes.len() })
    }
}

fn be_u32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn be_i64(bytes: &[u8]) -> i64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[..8]);
    i64::from_be_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(last_relative: u32, position: u32, bytes: u32, max_timestamp: i64) -> IndexedBatch {
        IndexedBatch { last_relative, position, bytes, max_timestamp }
    }

    #[test]
    fn an_offset_between_entries_starts_at_the_entry_before() {
        let mut index = OffsetIndex::default();
        index.push(10, 5000);
        index.push(20, 9000);
        let found: Vec<u32> = [0, 9, 10, 15, 20, 99].iter().map(|&o| index.lookup(o)).collect();
        assert_eq!(found, [0, 0, 5000, 5000, 9000, 9000]);
    }

    #[test]
    fn indexes_survive_their_file_format() {
        let mut offsets = OffsetIndex::default();
        let mut times = TimeIndex::default();
        for i in 1..100u32 {
            offsets.push(i * 3, i * 4500);
            times.push(1_000 + i64::from(i), i * 3);
        }
        assert_eq!(OffsetIndex::decode(&offsets.encode(), 1 << 20).unwrap(), offsets);
        assert_eq!(TimeIndex::decode(&times.encode()).unwrap(), times);
    }

    #[test]
    fn a_preallocated_index_ends_at_its_first_empty_slot() {
        let mut index = OffsetIndex::default();
        index.push(4, 4200);
        let mut bytes = index.encode();
        bytes.resize(800, 0);
        assert_eq!(OffsetIndex::decode(&bytes, 9000).unwrap(), index);
    }

    #[test]
    fn damaged_index_bytes_are_refused() {
        let mut index = OffsetIndex::default();
        index.push(4, 4200);
        index.push(9, 9000);
        let bytes = index.encode();
        assert_eq!(OffsetIndex::decode(&bytes[..15], 9001), Err(BadIndex::PartialEntry { bytes: 15 }));
        assert_eq!(OffsetIndex::decode(&bytes, 9000), Err(BadIndex::BeyondLog { entry: 1 }));
        let swapped: Vec<u8> = [&bytes[8..], &bytes[..8]].concat();
        assert_eq!(OffsetIndex::decode(&swapped, 9001), Err(BadIndex::NotRising { entry: 1 }));
    }

    #[test]
    fn of_a_file_that_was_not_closed_the_entries_below_an_offset_are_taken() {
        let (mut offsets, mut times) = (OffsetIndex::default(), TimeIndex::default());
        for i in 1..10u32 {
            offsets.push(i * 10, i * 5000);
            times.push(i64::from(i), i * 10);
        }
        let (offset_bytes, time_bytes) = (offsets.encode(), times.encode());
        assert_eq!(OffsetIndex::decode_below(&offset_bytes, u32::MAX), (offsets.clone(), Ended::WithFile));
        let (some, ended) = OffsetIndex::decode_below(&offset_bytes, 40);
        assert_eq!((some.last(), ended), (Some((30, 15_000)), Ended::Before));
        let (mut some, ended) = TimeIndex::decode_below(&time_bytes, 41);
        assert_eq!((some.last(), ended), (Some((4, 40)), Ended::Before));
        some.truncate_after(39);
        assert_eq!(some.last(), Some((3, 30)));
        let unfilled = [&offset_bytes[..16], &[0; 32]].concat();
        assert_eq!(OffsetIndex::decode_below(&unfilled, 1000).1, Ended::Before);
        let hole = [&time_bytes[..24], &[0; 12], &time_bytes[36..]].concat();
        assert_eq!(TimeIndex::decode_below(&hole, 1000).1, Ended::InDamage);
        for torn in [
            [&offset_bytes[..20], &[0; 28]].concat(),
            [&offset_bytes[..16], &[0, 0, 0, 1, 0, 0, 0, 9]].concat(),
        ] {
            let (some, ended) = OffsetIndex::decode_below(&torn, 1000);
            assert_eq!((some.last(), ended), (Some((20, 10_000)), Ended::InDamage));
        }
    }

    #[test]
    fn an_entry_is_made_once_more_than_the_interval_has_passed() {
        let mut indexer = Indexer::new();
        for i in 0..6u32 {
            indexer.noticed(batch(i, i * 2048, 2048, 100 + i64::from(i)), 4096);
        }
        assert_eq!(indexer.offsets.entries, [(3, 3 * 2048)]);
        assert_eq!(indexer.times.entries, [(103, 3)]);
        indexer.finish();
        assert_eq!(indexer.times.entries, [(103, 3), (105, 5)]);
    }

    #[test]
    fn a_time_is_looked_for_within_one_interval_however_long_the_times_before_did_not_rise() {
        let mut indexer = Indexer::new();
        // One spike, a thousand older batches, and then three that are later and rise.
        let times = [50].into_iter().chain([10; 1000]).chain([60, 70, 80]).chain([5; 3]);
        for (i, timestamp) in times.enumerate() {
            indexer.noticed(batch(i as u32, i as u32 * 100, 100, timestamp), 350);
        }
        let first_late = |t| if t <= 50 { 0 } else { 1001 + (t as u32 - 51) / 10 };
        for timestamp in [0, 10, 11, 50, 51, 60, 61, 70, 71, 80] {
            let from = position_of_time(&indexer.offsets, &indexer.times, timestamp);
            let wanted = first_late(timestamp) * 100;
            assert!(from <= wanted, "{timestamp}: begins at {from}, behind {wanted}");
            assert!(wanted - from <= 500, "{timestamp}: {} bytes to scan", wanted - from);
        }
    }

    #[test]
    fn what_an_orderly_end_left_gets_no_entries_without_times() {
        let mut before = Indexer::new();
        let batches: Vec<_> = (0..9).map(|i| batch(i, i * 500, 500, 100 + i64::from(i))).collect();
        batches.iter().for_each(|&batch| before.noticed(batch, 4096));
        before.finish();
        let mut resumed = Indexer::resume(before.offsets, before.times);
        batches.iter().for_each(|&batch| resumed.noticed(batch, 100));
        for (number, batch) in batches.iter().enumerate() {
            let from = position_of_time(&resumed.offsets, &resumed.times, 100 + number as i64);
            assert!(from <= batch.position, "begins at {from}, behind {}", batch.position);
        }
    }

    #[test]
    fn a_falling_timestamp_makes_no_time_entry() {
        let mut indexer = Indexer::new();
        for (i, timestamp) in [50, 40, 30, 60].into_iter().enumerate() {
            indexer.noticed(batch(i as u32, i as u32 * 100, 100, timestamp), 0);
        }
        assert_eq!(indexer.times.entries, [(50, 0), (60, 3)]);
    }
}
