//! One cleaning of one log: the dirty part is read for its keys, then every segment below the point reached is written
//! anew, group by group, and swapped in. As Kafka's `Cleaner.doClean`. Keeps to a rate, and lets others run between
//! batches. Shard that owns the log, task queue `Background`.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use kring_runtime::{now, sleep, yield_if_needed};
use kring_wire::record::{DEFAULT_MAX_DECOMPRESSED_BYTES, RecordsIter};

use super::filter::{Fate, Filter, LastRecord, Terms, last_records, meet};
use super::key_map::KeyMap;
use super::plan::{Cleanable, GroupLimits, Grouped, group};
use super::source::{Batches, Met};
use super::target::{Target, TargetConfig, remove_cleaned};
use super::throttle::Throttle;
use super::transactions::CleanedTransactions;
use crate::batch::{BatchInfo, HEADER_BYTES};
use crate::error::LogError;
use crate::log::Log;
use crate::segment::Segment;
use crate::txn_index::AbortedTransaction;
use crate::types::{Offset, ProducerId};

/// How late a cleaning notices that it is not wanted any more.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);

/// Why a cleaning came to no end. The log is as it was, apart from what had been swapped in.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The log is being closed or deleted, or is offline.
    Aborted,
    /// Something in the log cannot be read.
    Unreadable(LogError),
    /// The cleaned segment cannot be written.
    Unwritable(LogError),
    /// An exchange of segments failed halfway.
    Torn(LogError),
}

/// What a cleaning has read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    pub keys: usize,
    pub bytes_read: u64,
    pub bytes_before: u64,
    pub bytes_after: u64,
}

/// What a cleaning works with.
pub(crate) struct Round<'a> {
    pub log: &'a Log,
    pub keys: KeyMap,
    pub throttle: &'a mut Throttle,
    /// Read, and written, at once.
    pub piece_bytes: u32,
    pub now_ms: i64,
    pub work: Work,
}

impl Round<'_> {
    /// Cleans; returns where the dirty part begins now.
    pub async fn run(&mut self, plan: &Cleanable) -> Result<Offset, Stop> {
        let aborted = self.log.aborted_transactions(Offset::ZERO, plan.first_uncleanable).await;
        let aborted = aborted.map_err(Stop::Unreadable)?;
        self.take_in_keys(plan, &aborted).await?;
        let Some(reached) = self.keys.latest().map(Offset::next) else { return Ok(plan.first_dirty) };
        let segments = self.segments_between(Offset::ZERO, reached);
        let mut transactions = CleanedTransactions::expecting(&aborted);
        for group in self.groups(&segments, plan.first_uncleanable).await? {
            self.clean_group(&segments[group], plan, &mut transactions).await?;
        }
        Ok(reached)
    }

    /// Reads the dirty part until it ends or the map is full.
    async fn take_in_keys(&mut self, plan: &Cleanable, aborted: &[AbortedTransaction]) -> Result<(), Stop> {
        let (from, upto) = (plan.first_dirty, plan.first_uncleanable);
        let mut transactions = CleanedTransactions::expecting(aborted);
        let segments = self.segments_between(from, upto);
        for (number, segment) in segments.iter().enumerate() {
            if !self.take_in_segment(segment, from, &mut transactions).await? {
                return Ok(());
            }
            // The offsets at a segment's end may have no batch any more.
            let end = segments.get(number + 1).map_or(upto, |next| next.base);
            self.keys.covers(end + -1);
        }
        Ok(())
    }

    /// False if the map is full.
    async fn take_in_segment(
        &mut self,
        segment: &Rc<Segment>,
        from: Offset,
        transactions: &mut CleanedTransactions,
    ) -> Result<bool, Stop> {
        let opened = Batches::open(self.log, segment, from, self.piece_bytes).await;
        let mut batches = opened.map_err(Stop::Unreadable)?;
        while let Some(met) = self.next(&mut batches).await? {
            let is_aborted = meet(transactions, &met.info, &met.whole);
            let is_aborted = is_aborted.map_err(|bad| Stop::Unreadable(batches.damaged(bad)))?;
            if !met.info.header.is_control() && !is_aborted {
                let taken = take_in_batch(&mut self.keys, &met, from);
                if !taken.map_err(|bad| Stop::Unreadable(batches.damaged(bad)))? {
                    return Ok(false);
                }
            }
            if met.info.last_offset() >= from {
                self.keys.covers(met.info.last_offset());
            }
        }
        Ok(true)
    }

    /// The segments from the one that holds `from` on that begin below `upto`; never the newest.
    fn segments_between(&self, from: Offset, upto: Offset) -> Vec<Rc<Segment>> {
        let state = self.log.state();
        let segments = &state.segments[..state.segments.len().saturating_sub(1)];
        let first = segments.partition_point(|segment| segment.base <= from).saturating_sub(1);
        segments[first..].iter().take_while(|segment| segment.base < upto).cloned().collect()
    }

    async fn groups(
        &self,
        segments: &[Rc<Segment>],
        first_uncleanable: Offset,
    ) -> Result<Vec<std::ops::Range<usize>>, Stop> {
        let config = self.log.config();
        let mut facts = Vec::with_capacity(segments.len());
        for segment in segments {
            let (index_bytes, time_index_bytes) =
                segment.index_file_bytes().await.map_err(Stop::Unreadable)?;
            let bytes = u64::from(segment.size());
            facts.push(Grouped { base: segment.base, bytes, index_bytes, time_index_bytes });
        }
        let (bytes, index_bytes) = (u64::from(config.segment_bytes), u64::from(config.segment_index_bytes));
        Ok(group(&facts, GroupLimits { bytes, index_bytes, first_uncleanable }))
    }

    /// Writes a group anew and puts it in its place.
    async fn clean_group(
        &mut self,
        group: &[Rc<Segment>],
        plan: &Cleanable,
        transactions: &mut CleanedTransactions,
    ) -> Result<(), Stop> {
        let written = self.write_group(group, plan, transactions).await;
        let size = match written {
            Ok(size) => size,
            Err(stop) => {
                // What is left of it goes at the latest when the log is opened again.
                remove_cleaned(&self.log.0.path, group[0].base).await.ok();
                return Err(stop);
            }
        };
        for segment in group {
            segment.hold(&self.log.0.shard).await.map_err(Stop::Unreadable)?;
        }
        self.work.bytes_before += group.iter().map(|segment| u64::from(segment.size())).sum::<u64>();
        self.work.bytes_after += u64::from(size);
        self.log.swap_in(group, size).await.map_err(Stop::Torn)
    }

    async fn write_group(
        &mut self,
        group: &[Rc<Segment>],
        plan: &Cleanable,
        transactions: &mut CleanedTransactions,
    ) -> Result<u32, Stop> {
        self.check_wanted()?;
        let config = self.log.config();
        let (write_bytes, index_interval_bytes) = (self.piece_bytes, config.index_interval_bytes);
        let target_config = TargetConfig { write_bytes, index_interval_bytes };
        let created = Target::create(&self.log.0.path, group[0].base, target_config).await;
        let mut target = created.map_err(Stop::Unwritable)?;
        let (now_ms, upper_bound) = (self.now_ms, plan.first_uncleanable);
        let delete_retention_ms = config.compaction.delete_retention_ms;
        let terms = Terms { now_ms, delete_retention_ms, upper_bound };
        let last_records = self.log.producers(last_records);
        for segment in group {
            self.copy_segment(segment, &mut target, transactions, &last_records, terms).await?;
        }
        let size = target.finish(&transactions.take_retained()).await.map_err(Stop::Unwritable)?;
        self.check_wanted().map(|()| size)
    }

    async fn copy_segment(
        &mut self,
        segment: &Rc<Segment>,
        target: &mut Target,
        transactions: &mut CleanedTransactions,
        last_records: &BTreeMap<ProducerId, LastRecord>,
        terms: Terms,
    ) -> Result<(), Stop> {
        let opened = Batches::open(self.log, segment, segment.base, self.piece_bytes).await;
        let mut batches = opened.map_err(Stop::Unreadable)?;
        while let Some(met) = self.next(&mut batches).await? {
            let mut filter = Filter { keys: &self.keys, transactions, last_records, terms };
            let fate = filter.judge(&met.info, &met.whole);
            let fate = fate.map_err(|bad| Stop::Unreadable(batches.damaged(bad)))?;
            if let Some((info, whole)) = left_of(met, fate) {
                let written = target.append(&info, &whole).await.map_err(Stop::Unwritable)?;
                self.pace(written).await;
            }
        }
        Ok(())
    }

    /// The next batch, unless the cleaning is not wanted any more.
    async fn next(&mut self, batches: &mut Batches) -> Result<Option<Met>, Stop> {
        self.check_wanted()?;
        yield_if_needed().await;
        let met = batches.next().await.map_err(Stop::Unreadable)?;
        if let Some(met) = &met {
            self.work.bytes_read += u64::from(met.read);
            self.pace(met.read).await;
        }
        Ok(met)
    }

    async fn pace(&mut self, bytes: u32) {
        let pause = if bytes > 0 { self.throttle.spent(u64::from(bytes), now()) } else { None };
        let until = now() + pause.unwrap_or_default();
        // A log that is being closed or truncated does not wait for a low rate.
        while now() < until && self.log.may_go_on_cleaning() {
            sleep(until.saturating_since(now()).min(LONGEST_SLEEP)).await;
        }
    }

    fn check_wanted(&self) -> Result<(), Stop> {
        if self.log.may_go_on_cleaning() { Ok(()) } else { Err(Stop::Aborted) }
    }
}

/// Takes in the keys of a batch from the offset `from` on. False if the map is full.
fn take_in_batch(
    keys: &mut KeyMap,
    met: &Met,
    from: Offset,
) -> Result<bool, kring_wire::record::RecordError> {
    let body = met.whole.slice(HEADER_BYTES..);
    let mut records = RecordsIter::new(&met.info.header, body, DEFAULT_MAX_DECOMPRESSED_BYTES)?;
    while let Some(record) = records.next_ref() {
        let record = record?;
        let Some(key) = record.key.filter(|_| record.offset >= from.0) else { continue };
        if keys.is_full() {
            return Ok(false);
        }
        keys.put(key, Offset(record.offset));
    }
    Ok(true)
}

/// What is written for a batch.
fn left_of(met: Met, fate: Fate) -> Option<(BatchInfo, Bytes)> {
    match fate {
        Fate::Gone => None,
        Fate::Unchanged => Some((met.info, met.whole)),
        Fate::Rewritten(whole) => {
            let info = BatchInfo::parse(&whole).expect("a batch that was just written");
            Some((info, whole))
        }
    }
}
