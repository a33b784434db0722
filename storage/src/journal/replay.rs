//! What the journals of an earlier process hold, read once when a directory is opened. Believes nothing that a checksum
//! does not vouch for: a power cut leaves any mixture of old and new pages. Any core.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use kring_runtime::fs;

use super::BLOCK_BYTES;
use super::entry::{self, BLOCK_HEADER_BYTES, Entry, KeptBatch};
use crate::checkpoint::LogName;
use crate::error::LogError;
use crate::types::Offset;

/// A longer file is none that this crate has made.
const LONGEST_BYTES: u64 = 1 << 30;
const PREFIX: &str = "kring-";
const SUFFIX: &str = ".journal";

/// The journals of earlier processes, and what they hold for the logs that there are.
#[derive(Default)]
pub(crate) struct Kept {
    /// In the order in which they were kept.
    pub batches: BTreeMap<LogName, Vec<KeptBatch>>,
    pub files: Vec<PathBuf>,
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
        let mut kept = Kept::default();
        for name in names {
            kept.generation = kept.generation.max(generation_of(&name).unwrap_or(0));
            let path = dir.join(name);
            entries(read(&path).await?).into_iter().for_each(|(log, entry)| kept.note(log, entry));
            kept.files.push(path);
        }
        kept.batches.retain(|log, batches| !batches.is_empty() && partitions.contains(log));
        Ok(kept)
    }

    fn note(&mut self, log: LogName, entry: Entry) {
        let batches = self.batches.entry(log).or_default();
        match entry {
            Entry::Batch(batch) => batches.push(batch),
            Entry::Cut(at) => batches.retain(|batch| batch.info.end_offset() <= at),
        }
    }
}

async fn read(path: &Path) -> Result<Bytes, LogError> {
    let failed = |e: std::io::Error| LogError::io(path, "reading", &e);
    if fs::len(path).await.map_err(failed)? > LONGEST_BYTES {
        return Err(LogError::corrupt(path, LONGEST_BYTES, "no journal is so long"));
    }
    fs::read(path).await.map(Bytes::from).map_err(failed)
}

/// All entries of a journal, in the order in which they were made.
fn entries(journal: Bytes) -> Vec<(LogName, Entry)> {
    let starts = (0..journal.len()).step_by(BLOCK_BYTES);
    let blocks = starts.map(|at| journal.slice(at..journal.len().min(at + BLOCK_BYTES)));
    let mut blocks: Vec<(u64, Bytes)> =
        blocks.filter_map(|block| Some((entry::block_number(&block)?, block))).collect();
    blocks.sort_unstable_by_key(|(number, _)| *number);
    blocks.into_iter().flat_map(|(number, block)| entries_of(number, block)).collect()
}

fn entries_of(number: u64, block: Bytes) -> impl Iterator<Item = (LogName, Entry)> {
    let mut at = BLOCK_HEADER_BYTES;
    std::iter::from_fn(move || {
        let (log, entry, bytes) = entry::parse(number, &block.slice(at.min(block.len())..))?;
        at += bytes;
        Some((log, entry))
    })
}

/// Those that go on where a log ends. `last` is the log's last batch: base offset and checksum. A journal that knows
/// another one there is of another history, of which nothing is taken.
pub(super) fn following(batches: &[KeptBatch], end: Offset, last: Option<(Offset, u32)>) -> Vec<KeptBatch> {
    let Some(first) = batches.iter().rposition(|batch| batch.info.base_offset == end) else {
        return Vec::new();
    };
    let before = first.checked_sub(1).map(|before| &batches[before].info);
    let known =
        before.filter(|info| info.end_offset() == end).map(|info| (info.base_offset, info.header.crc));
    if known.is_some() && last.is_some() && known != last {
        return Vec::new();
    }
    let mut next = end;
    let follows = |batch: &&KeptBatch| {
        let follows = batch.info.base_offset == next;
        next = if follows { batch.info.end_offset() } else { next };
        follows
    };
    batches[first..].iter().filter(follows).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::super::entry::{Owner, block_header};
    use super::*;
    use crate::batch::BatchInfo;
    use crate::testing::batch_of;

    fn kept(base: i64, records: i32) -> KeptBatch {
        let batch = batch_of(base, records, 20);
        let bytes = Bytes::from([&batch.header[..], &batch.body[..]].concat());
        KeptBatch { topic_id: None, info: BatchInfo::parse(&bytes).unwrap(), bytes }
    }

    fn last_of(batch: &KeptBatch) -> Option<(Offset, u32)> {
        Some((batch.info.base_offset, batch.info.header.crc))
    }

    /// A block of one log's batches, with room behind them.
    fn block(number: u64, log: &LogName, batches: &[KeptBatch]) -> Vec<u8> {
        let owner = Owner { name: log, topic_id: None };
        let mut block = block_header(number).to_vec();
        for batch in batches {
            block.extend_from_slice(&entry::batch_entry(number, owner, &batch.info, &batch.bytes));
            block.extend_from_slice(log.topic.as_bytes());
            block.extend_from_slice(&batch.bytes);
            block.resize(block.len().next_multiple_of(entry::ALIGN), 0);
        }
        block.resize(BLOCK_BYTES, 0);
        block
    }

    fn bases(journal: Vec<u8>) -> Vec<i64> {
        let base = |(_, entry)| match entry {
            Entry::Batch(batch) => batch.info.base_offset.0,
            Entry::Cut(at) => -at.0,
        };
        entries(journal.into()).into_iter().map(base).collect()
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
        let batches = [kept(0, 2), kept(2, 1), kept(3, 2), kept(9, 1)];
        let follow = |end, last| -> Vec<i64> {
            following(&batches, Offset(end), last).iter().map(|batch| batch.info.base_offset.0).collect()
        };
        assert_eq!(follow(2, last_of(&batches[0])), [2, 3]);
        assert_eq!(follow(0, None), [0, 2, 3]);
        assert_eq!(follow(5, last_of(&batches[2])), [0; 0]);
        assert_eq!(follow(1, None), [0; 0], "it ends inside a batch");
        assert_eq!(follow(2, Some((Offset(1), 77))), [0; 0], "it is of another history");
    }

    #[test]
    fn what_was_cut_does_not_come_back() {
        let (mut all, log) = (Kept::default(), LogName::new("orders", 0));
        for base in 0..4 {
            all.note(log.clone(), Entry::Batch(kept(base, 1)));
        }
        all.note(log.clone(), Entry::Cut(Offset(2)));
        all.note(log.clone(), Entry::Batch(kept(2, 5)));
        let left: Vec<_> = all.batches[&log].iter().map(|batch| batch.info.end_offset().0).collect();
        assert_eq!(left, [1, 2, 7]);
    }
}
