//! What a log must hold, kept in memory: every batch that may be in it, and what was promised about them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kring_runtime::wall_ms;
use kring_wire::record::{DEFAULT_MAX_DECOMPRESSED_BYTES, RecordsIter};

use crate::batch::{BatchInfo, HEADER_BYTES};
use crate::epochs::LeaderEpochs;
use crate::model::batches::{Appended, FromProducer, Made};
use crate::producer::ProducerStates;
use crate::types::{Offset, ProducerId};

pub(super) const PRODUCERS: usize = 3;
pub(super) const DELETE_RETENTION_MS: i64 = 40;

/// One batch as it was appended.
pub(super) struct Batch {
    pub info: BatchInfo,
    pub bytes: Bytes,
    pub records: Vec<Appended>,
    /// A cleaning may have rewritten it.
    pub may_differ: bool,
    /// A cleaning may have met a later one of its producer.
    pub may_be_forgotten: bool,
}

impl Batch {
    pub fn base(&self) -> i64 {
        self.info.base_offset.0
    }

    pub fn end(&self) -> i64 {
        self.info.end_offset().0
    }

    /// Whether a cleaning may have left nothing of it from this offset on.
    pub fn may_go_from(&self, offset: i64) -> bool {
        self.records.iter().all(|record| record.offset < offset || record.may_go())
    }
}

/// What is wrong with bytes that were read.
pub(super) type Wrong = String;

/// A cleaning that is under way, or may have come to its end before a crash.
#[derive(Clone, Copy)]
struct Cleaning {
    running: u32,
    began_ms: i64,
}

/// What one log must hold.
#[derive(Default)]
pub(super) struct Reference {
    /// Every batch appended and not known to be lost.
    pub batches: Vec<Batch>,
    /// Records below were acknowledged as durable.
    pub durable: i64,
    /// Records below were served to a reader who was told that they are committed.
    pub seen: i64,
    /// The log was seen to start here.
    pub start: i64,
    pub leader_epoch: i32,
    /// How often the log was truncated, twice: odd while it is. Who waited meanwhile for what is gone learns nothing.
    pub cuts: u32,
    cleaning: Option<Cleaning>,
    /// Epoch and next sequence of each producer.
    producers: [(i16, i32); PRODUCERS],
}

impl Reference {
    pub fn end(&self) -> i64 {
        self.batches.last().map_or(0, Batch::end)
    }

    /// The offset that the log must end at.
    pub fn log_end(&self) -> i64 {
        self.end().max(self.start)
    }

    /// Judges what was read from the batch that holds `from` on: whole batches as they were appended, or what a
    /// cleaning leaves of them, and nothing in between missing; the last one may be cut short. `to` is where the
    /// reading ended, if it was to be complete.
    pub fn judge(&self, from: i64, to: Option<i64>, mut found: Bytes) -> Result<(), Wrong> {
        let mut at = self.at(from);
        while !found.is_empty() {
            let Ok(info) = BatchInfo::parse(&found) else { return self.judge_beginning(at, &found) };
            let next = self.at(info.base_offset.0);
            self.may_be_missing(at..next, from)?;
            let batch = self.batches.get(next).filter(|batch| batch.base() == info.base_offset.0);
            let batch = batch.ok_or_else(|| format!("a batch at {} was never appended", info.base_offset))?;
            if found.len() < info.bytes as usize {
                return self.judge_beginning(next, &found);
            }
            batch.judge(&found.split_to(info.bytes as usize))?;
            at = next + 1;
        }
        let last = to.map_or(at, |to| self.batches.partition_point(|batch| batch.base() < to));
        self.may_be_missing(at..last.max(at), from)
    }

    /// The read ended within a batch.
    fn judge_beginning(&self, at: usize, found: &[u8]) -> Result<(), Wrong> {
        let Some(batch) = self.batches.get(at) else { return Err("bytes after the last batch".to_string()) };
        let fits = batch.may_differ || batch.bytes.starts_with(found);
        if fits { Ok(()) } else { Err(format!("not the beginning of the batch at {}", batch.base())) }
    }

    fn may_be_missing(&self, batches: std::ops::Range<usize>, from: i64) -> Result<(), Wrong> {
        match self.batches[batches].iter().find(|batch| !batch.may_go_from(from)) {
            None => Ok(()),
            Some(batch) => Err(format!("the batch at {} is missing", batch.base())),
        }
    }

    /// The last value of each key is there, and a deletion is not undone: `found` is the whole log.
    pub fn judge_keys(&self, found: &Bytes) -> Result<(), Wrong> {
        let found = records_of(found.clone());
        let last: BTreeMap<&[u8], &Appended> =
            self.records().map(|record| (&record.key[..], record)).collect();
        for (key, last) in last {
            let is_there = found.contains_key(&last.offset);
            let earlier = found.values().find(|(found_key, _)| found_key == key);
            let is_wrong = !is_there && (last.value.is_some() || earlier.is_some());
            // What superseded it may have been cut off since.
            if is_wrong && !last.superseded {
                let key = String::from_utf8_lossy(key);
                return Err(format!(
                    "{key} at {} is gone; the first of that key is {earlier:?}",
                    last.offset
                ));
            }
        }
        Ok(())
    }

    /// The first batch that ends behind this offset.
    fn at(&self, offset: i64) -> usize {
        self.batches.partition_point(|batch| batch.end() <= offset)
    }

    pub fn records(&self) -> impl Iterator<Item = &Appended> {
        self.batches.iter().flat_map(|batch| &batch.records).filter(|record| record.offset >= self.start)
    }

    pub fn appended(&mut self, made: Made) {
        let bytes = Bytes::from([&made.batch.header[..], &made.batch.body[..]].concat());
        let info = BatchInfo::parse(&bytes).expect("it was made whole");
        self.batches.push(Batch {
            info,
            bytes,
            records: made.records,
            may_differ: false,
            may_be_forgotten: false,
        });
    }

    pub fn acknowledged(&mut self, end: i64) {
        self.durable = self.durable.max(end);
    }

    /// What this producer sends next.
    pub fn next_of(&mut self, producer: usize, records: i32) -> FromProducer {
        let (epoch, sequence) = &mut self.producers[producer];
        let from = FromProducer { id: producer as i64, epoch: *epoch, sequence: *sequence };
        *sequence += records;
        from
    }

    pub fn bump_producer(&mut self, producer: usize) {
        let (epoch, sequence) = &mut self.producers[producer];
        (*epoch, *sequence) = (*epoch + 1, 0);
    }

    /// The log is about to be truncated: from here on it may end anywhere from the last batch before `offset` that no
    /// cleaning may have taken. Returns that.
    pub fn truncating(&mut self, offset: i64) -> i64 {
        self.cuts += 1;
        let stays = |batch: &&Batch| batch.end() <= offset && !batch.may_go_from(self.start);
        let least = self.batches.iter().rev().find(stays).map_or(self.start, Batch::end).max(self.start);
        (self.durable, self.seen) = (self.durable.min(least), self.seen.min(least));
        least
    }

    /// The log ends here now: whatever had been appended beyond is gone.
    pub fn cut(&mut self, end: i64) {
        self.cuts += self.cuts % 2;
        self.batches.retain(|batch| batch.end() <= end);
        assert_eq!(self.log_end(), end, "the log ends in a batch");
        let states = self.producer_states();
        for (id, next) in self.producers.iter_mut().enumerate() {
            let known = states.get(ProducerId(id as i64));
            *next = known.map_or((next.0, 0), |entry| (entry.epoch, entry.last_sequence() + 1));
        }
    }

    pub fn cleaning_begins(&mut self) {
        let cleaning = self.cleaning.get_or_insert(Cleaning { running: 0, began_ms: wall_ms() });
        cleaning.running += 1;
    }

    pub fn cleaning_ended(&mut self, first_unsealed: i64) {
        self.clean_below(first_unsealed);
        if let Some(cleaning) = &mut self.cleaning {
            cleaning.running -= 1;
        }
        self.cleaning = self.cleaning.filter(|cleaning| cleaning.running > 0);
    }

    /// The process that was cleaning has ended.
    pub fn nobody_cleans(&mut self) {
        self.cleaning = None;
    }

    /// Lets go, if a cleaning is or was under way, of what it may have removed below this offset.
    pub fn clean_below(&mut self, offset: i64) {
        let Some(Cleaning { began_ms, .. }) = self.cleaning else { return };
        self.forget_older_batches();
        let mut later = BTreeSet::new();
        for batch in self.batches.iter_mut().rev().filter(|batch| batch.end() <= offset) {
            batch.may_differ = true;
            for record in batch.records.iter_mut().rev() {
                record.superseded |= !later.insert(record.key.clone());
                record.horizon_ms.get_or_insert(began_ms + DELETE_RETENTION_MS);
            }
        }
    }

    /// A cleaning keeps the last batch of each producer, which may be lost later.
    pub fn forget_older_batches(&mut self) {
        let mut later = BTreeSet::new();
        for batch in self.batches.iter_mut().rev().filter(|_| self.cleaning.is_some()) {
            batch.may_be_forgotten |= !later.insert(batch.info.producer_id.0);
        }
    }

    pub fn producer_states(&self) -> ProducerStates {
        let mut states = ProducerStates::default();
        for batch in &self.batches {
            if let Some(producer) = batch.info.producer() {
                states.record(&producer, batch.info.base_offset);
            }
        }
        states
    }

    pub fn epochs(&self) -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        for batch in &self.batches {
            epochs.assign(batch.info.leader_epoch, batch.info.base_offset);
        }
        epochs.truncate_start(Offset(self.start));
        epochs
    }
}

impl Batch {
    /// A batch that was found whole in this one's place.
    fn judge(&self, found: &Bytes) -> Result<(), Wrong> {
        if *found == self.bytes {
            return Ok(());
        }
        let base = self.base();
        if !self.may_differ {
            return Err(format!("the batch at {base} is another one than was appended"));
        }
        let left = records_of(found.clone());
        let lost = self.records.iter().find(|record| !left.contains_key(&record.offset) && !record.may_go());
        if let Some(lost) = lost {
            return Err(format!("the record at {} is missing in its batch", lost.offset));
        }
        let is_known = |(offset, (key, value)): (&i64, &(Vec<u8>, Option<Bytes>))| {
            self.records.iter().any(|r| r.offset == *offset && r.key == *key && r.value == *value)
        };
        if left.iter().all(is_known) {
            Ok(())
        } else {
            Err(format!("the batch at {base} has records that were never appended"))
        }
    }
}

/// Key and value by offset.
fn records_of(mut batches: Bytes) -> BTreeMap<i64, (Vec<u8>, Option<Bytes>)> {
    let mut all = BTreeMap::new();
    while let Ok(info) = BatchInfo::parse(&batches) {
        let batch = batches.split_to(info.bytes as usize);
        let records =
            RecordsIter::new(&info.header, batch.slice(HEADER_BYTES..), DEFAULT_MAX_DECOMPRESSED_BYTES);
        for record in records.expect("a batch of records") {
            let record = record.expect("a whole record");
            all.insert(record.offset, (record.key.unwrap_or_default().to_vec(), record.value));
        }
    }
    all
}
