//! What the journals of an earlier process hold, read once when a directory is opened. Believes nothing that a checksum
//! does not vouch for: a power cut leaves any mixture of old and new pages. Any core.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use kring_runtime::fs;

use super::BLOCK_BYTES;
use super::entry::{self, BLOCK_HEADER_BYTES, KeptBatch, Owner};
use super::layout::Layout;
use crate::checkpoint::LogName;
use crate::error::LogError;
use crate::types::Offset;

/// What is written together begins at a multiple of this, counted from its block.
pub(super) const GROUP_ALIGN: usize = kring_runtime::disk::BLOCK;
/// A longer file is none that this crate has made.
const LONGEST_BYTES: u64 = 1 << 30;
const PREFIX: &str = "kring-";
const SUFFIX: &str = ".journal";

/// The journals of earlier processes, and what they hold for the logs that there are.
#[derive(Default)]
pub(crate) struct Kept {
    /// In the order in which they were kept.
    batches: BTreeMap<LogName, Vec<KeptBatch>>,
    /// Each with the logs that have not taken over yet what it holds for them.
    files: BTreeMap<PathBuf, BTreeSet<LogName>>,
    /// Of the newest file.
    pub generation: u64,
}

pub(crate) fn file_name(generation: u64, unique: u64) -> String {
    format!("{PREFIX}{generation:020}-{unique:016x}{SUFFIX}")
}

pub(crate) fn is_journal(name: &str) -> bool {
    generation_of(name).is_some()
}

fn generation_of(name: &str) -> Option<u64> {
    let (generation, unique) = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.split_once('-')?;
    let is_ours = generation.len() == 20 && unique.len() == 16;
    is_ours.then(|| generation.parse().ok()).flatten()
}

impl Kept {
    /// Reads the journals of these names. What belongs to no log of `partitions` is of no use.
    pub async fn read(dir: &Path, mut names: Vec<String>, partitions: &[LogName]) -> Result<Kept, LogError> {
        names.sort_unstable();
        let partitions: BTreeSet<&LogName> = partitions.iter().collect();
        let mut kept = Kept::default();
        for name in names {
            kept.generation = kept.generation.max(generation_of(&name).unwrap_or(0));
            let path = dir.join(name);
            let mut found = entries(read(&path).await?);
            let before = found.len();
            found.retain(|(log, _)| partitions.contains(log));
            if found.len() < before {
                let batches = before - found.len();
                tracing::warn!(path = %path.display(), batches, "the journal holds batches of partitions that are not in this directory any more: they are given up");
            }
            kept.files.insert(path, found.iter().map(|(log, _)| log.clone()).collect());
            found.into_iter().for_each(|(log, batch)| kept.batches.entry(log).or_default().push(batch));
        }
        Ok(kept)
    }

    pub fn of(&self, log: &LogName) -> Vec<KeptBatch> {
        self.batches.get(log).cloned().unwrap_or_default()
    }

    pub fn has_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// This log needs them no longer, or is gone.
    pub fn forget(&mut self, log: &LogName) {
        self.batches.remove(log);
        self.files.values_mut().for_each(|owners| {
            owners.remove(log);
        });
    }

    /// Files that no log needs any more.
    pub fn take_unneeded(&mut self) -> Vec<PathBuf> {
        let unneeded = self.files.extract_if(.., |_, owners| owners.is_empty());
        unneeded.map(|(path, _)| path).collect()
    }

    /// What the files hold that is still needed, as one journal.
    pub fn encode(&self) -> Vec<u8> {
        let of_one = |(log, batches)| std::iter::repeat(log).zip(batches);
        let all: Vec<(&LogName, &KeptBatch)> = self.batches.iter().flat_map(of_one).collect();
        encode(&all, BLOCK_BYTES)
    }

    /// The files are now this one, which holds what [`Kept::encode`] said. Returns those that it replaces.
    pub fn replace_files(&mut self, path: PathBuf) -> Vec<PathBuf> {
        let owners = self.batches.keys().cloned().collect();
        std::mem::replace(&mut self.files, BTreeMap::from([(path, owners)])).into_keys().collect()
    }
}

async fn read(path: &Path) -> Result<Bytes, LogError> {
    let failed = |e: std::io::Error| LogError::io(path, "reading", &e);
    if fs::len(path).await.map_err(failed)? > LONGEST_BYTES {
        return Err(LogError::corrupt(path, LONGEST_BYTES, "no journal is so long"));
    }
    fs::read(path).await.map(Bytes::from).map_err(failed)
}

/// A journal of these batches and no others.
fn encode(batches: &[(&LogName, &KeptBatch)], block_bytes: usize) -> Vec<u8> {
    // In the worst case each takes a block.
    let mut layout = Layout::new(0, batches.len().max(2), block_bytes);
    let mut out = Vec::new();
    for (name, batch) in batches {
        let bytes = entry::entry_bytes(&name.topic, batch.bytes.len());
        let spot = layout.place(bytes).expect("there is a block for it");
        if spot.begins {
            out.resize(spot.at - BLOCK_HEADER_BYTES, 0);
            out.extend_from_slice(&entry::block_header(spot.block));
        }
        out.resize(spot.at, 0);
        let owner = Owner { name, topic_id: batch.topic_id };
        let header = entry::header(spot.block, owner, batch.previous_crc, &batch.info, &batch.bytes);
        [&header[..], name.topic.as_bytes(), &batch.bytes]
            .iter()
            .for_each(|part| out.extend_from_slice(part));
    }
    out
}

/// All entries of a journal, in the order in which they were made.
fn entries(journal: Bytes) -> Vec<(LogName, KeptBatch)> {
    let starts = (0..journal.len()).step_by(BLOCK_BYTES);
    let blocks = starts.map(|at| journal.slice(at..journal.len().min(at + BLOCK_BYTES)));
    let mut blocks: Vec<(u64, Bytes)> =
        blocks.filter_map(|block| Some((entry::block_number(&block)?, block))).collect();
    blocks.sort_unstable_by_key(|(number, _)| *number);
    blocks.into_iter().flat_map(|(number, block)| entries_of(number, block)).collect()
}

/// Entries lie back to back, or begin with a group, behind the end of the one before it.
fn entries_of(number: u64, block: Bytes) -> impl Iterator<Item = (LogName, KeptBatch)> {
    let mut at = BLOCK_HEADER_BYTES;
    std::iter::from_fn(move || {
        while at < block.len() {
            if let Some((log, batch, bytes)) = entry::parse(number, &block.slice(at..)) {
                at += bytes;
                return Some((log, batch));
            }
            at = (at + 1).next_multiple_of(GROUP_ALIGN);
        }
        None
    })
}

/// Those that go on where a log ends. `last_crc` is the checksum of the log's last batch: one that was kept behind
/// another batch is of another history.
pub(super) fn following(batches: &[KeptBatch], end: Offset, last_crc: Option<u32>) -> Vec<KeptBatch> {
    let follows = |batch: &KeptBatch, end: Offset, crc: Option<u32>| {
        let is_known = batch.previous_crc != 0 && crc.is_some();
        batch.info.base_offset == end && !(is_known && crc != Some(batch.previous_crc))
    };
    let Some(first) = batches.iter().rposition(|batch| follows(batch, end, last_crc)) else {
        return Vec::new();
    };
    let (mut end, mut crc) = (end, last_crc);
    let mut taken = Vec::new();
    for batch in &batches[first..] {
        if follows(batch, end, crc) {
            (end, crc) = (batch.info.end_offset(), Some(batch.info.header.crc));
            taken.push(batch.clone());
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::BatchInfo;
    use crate::testing::batch_of;

    fn kept(base: i64, records: i32) -> KeptBatch {
        let batch = batch_of(base, records, 20);
        let bytes = Bytes::from([&batch.header[..], &batch.body[..]].concat());
        KeptBatch { topic_id: None, previous_crc: 0, info: BatchInfo::parse(&bytes).unwrap(), bytes }
    }

    fn after(previous: &KeptBatch, records: i32) -> KeptBatch {
        KeptBatch { previous_crc: previous.info.header.crc, ..kept(previous.info.end_offset().0, records) }
    }

    fn crc(batch: &KeptBatch) -> Option<u32> {
        Some(batch.info.header.crc)
    }

    /// A block of one log's batches, with room behind them.
    fn block(number: u64, log: &LogName, batches: &[KeptBatch]) -> Vec<u8> {
        let owner = Owner { name: log, topic_id: None };
        let mut block = entry::block_header(number).to_vec();
        for batch in batches {
            block.extend_from_slice(&entry::header(number, owner, 0, &batch.info, &batch.bytes));
            block.extend_from_slice(log.topic.as_bytes());
            block.extend_from_slice(&batch.bytes);
            block.resize(block.len().next_multiple_of(entry::ALIGN), 0);
        }
        block.resize(BLOCK_BYTES, 0);
        block
    }

    fn bases(journal: Vec<u8>) -> Vec<i64> {
        entries(journal.into()).into_iter().map(|(_, batch)| batch.info.base_offset.0).collect()
    }

    #[test]
    fn names_are_recognised_and_in_order() {
        assert!(is_journal(&file_name(7, 9)) && file_name(9, 1) < file_name(10, 0));
        for other in ["kring-1.journal", "kring-disk.properties", "kring-00000000000000000007-x.journal"] {
            assert!(!is_journal(other), "{other}");
        }
    }

    #[test]
    fn blocks_are_read_by_their_numbers_wherever_they_lie() {
        let log = LogName::new("orders", 3);
        let journal =
            [block(8, &log, &[kept(4, 1)]), vec![7; BLOCK_BYTES], block(6, &log, &[kept(1, 2), kept(3, 1)])];
        assert_eq!(bases(journal.concat()), [1, 3, 4]);
    }

    #[test]
    fn a_flipped_bit_ends_its_block_and_no_other() {
        let log = LogName::new("orders", 3);
        let whole = [block(1, &log, &[kept(0, 1), kept(1, 1)]), block(2, &log, &[kept(2, 1)])].concat();
        let entry = entry::entry_bytes(&log.topic, kept(0, 1).bytes.len());
        for bit in BLOCK_HEADER_BYTES * 8..(BLOCK_HEADER_BYTES + entry) * 8 {
            let mut journal = whole.clone();
            journal[bit / 8] ^= 1 << (bit % 8);
            let found = bases(journal);
            // The padding of the entry means nothing.
            assert!(found == [2] || found == [0, 1, 2], "bit {bit}: {found:?}");
        }
    }

    #[test]
    fn an_entry_of_an_earlier_use_of_its_block_is_not_read() {
        let log = LogName::new("orders", 3);
        let mut journal = block(1, &log, &[kept(0, 1), kept(1, 1)]);
        let newer = block(9, &log, &[kept(7, 1)]);
        let used = BLOCK_HEADER_BYTES + entry::entry_bytes(&log.topic, kept(7, 1).bytes.len());
        journal[..used].copy_from_slice(&newer[..used]);
        assert_eq!(bases(journal), [7]);
    }

    #[test]
    fn a_log_goes_on_where_it_ends_and_only_with_what_follows() {
        let first = kept(0, 2);
        let second = after(&first, 1);
        let third = after(&second, 2);
        let batches = [first, second, third, kept(9, 1)];
        let follow = |end, last| -> Vec<i64> {
            following(&batches, Offset(end), last).iter().map(|batch| batch.info.base_offset.0).collect()
        };
        assert_eq!(follow(2, crc(&batches[0])), [2, 3]);
        assert_eq!(follow(0, None), [0, 2, 3]);
        assert_eq!(follow(5, crc(&batches[2])), [0; 0]);
        assert_eq!(follow(1, None), [0; 0], "it ends inside a batch");
        assert_eq!(follow(2, Some(77)), [0; 0], "it is of another history");
    }

    #[test]
    fn a_batch_of_another_history_in_the_midst_ends_what_is_taken_over() {
        let first = kept(0, 2);
        let other = KeptBatch { previous_crc: 77, ..kept(2, 1) };
        assert_eq!(following(&[first.clone(), other], Offset(0), None), [first]);
    }

    #[test]
    fn what_is_written_anew_is_read_again() {
        let logs = [LogName::new("orders", 0), LogName::new("clicks", 7)];
        let batches: Vec<KeptBatch> = (0..40).map(|base| kept(base, 1)).collect();
        let all = || logs.iter().flat_map(|log| batches.iter().map(move |batch| (log, batch)));
        for block_bytes in [400, 1000, BLOCK_BYTES] {
            let journal = encode(&all().collect::<Vec<_>>(), block_bytes);
            let blocks = journal.chunks(block_bytes);
            let read = blocks.flat_map(|block| {
                let block = Bytes::copy_from_slice(block);
                entries_of(entry::block_number(&block).unwrap(), block)
            });
            let read: Vec<_> = read.map(|(log, batch)| (log, batch.info.base_offset.0)).collect();
            let expected: Vec<_> =
                all().map(|(log, batch)| (log.clone(), batch.info.base_offset.0)).collect();
            assert_eq!(read, expected, "in blocks of {block_bytes}");
        }
    }

    #[test]
    fn a_file_is_needed_until_the_last_of_its_logs_has_taken_over() {
        let (a, b) = (LogName::new("a", 0), LogName::new("b", 0));
        let owners = |names: &[&LogName]| names.iter().map(|name| (*name).clone()).collect();
        let mut all = Kept::default();
        all.files.insert("first".into(), owners(&[&a, &b]));
        all.files.insert("second".into(), owners(&[&a]));
        all.forget(&a);
        assert_eq!(all.take_unneeded(), [PathBuf::from("second")]);
        all.forget(&b);
        assert_eq!(all.take_unneeded(), [PathBuf::from("first")]);
        assert!(!all.has_files());
    }
}
