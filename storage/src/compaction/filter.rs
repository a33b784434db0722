//! What becomes of a batch when its log is cleaned: kept, rewritten, emptied, or gone. Rules of Kafka's `Cleaner`.
//! Decides only: no I/O. Lives on the shard that cleans.

use std::collections::BTreeMap;

use bytes::Bytes;
use kring_wire::record::control::ControlType;
use kring_wire::record::{
    DEFAULT_MAX_DECOMPRESSED_BYTES, DeleteHorizon, RecordError, RecordRef, RecordsIter, Retained,
    empty_batch, retain_records,
};

use super::key_map::KeyMap;
use super::transactions::CleanedTransactions;
use crate::batch::{BatchInfo, HEADER_BYTES};
use crate::mutation::{self, Mutation};
use crate::producer::ProducerStates;
use crate::types::{Offset, ProducerId};

/// What is written in place of a batch.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    Gone,
    Unchanged,
    /// These bytes, with this header's offsets.
    Rewritten(Bytes),
}

/// The newest thing that a producer left in the log. While the producer is remembered, it stays in some form: a log
/// that is read from its beginning must lead to the same sequences and epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastRecord {
    /// Last offset of its newest batch of records.
    pub data_offset: Option<Offset>,
    pub epoch: i16,
}

/// Of every producer that the log knows.
pub(crate) fn last_records(producers: &ProducerStates) -> BTreeMap<ProducerId, LastRecord> {
    let of = |entry: &crate::producer::ProducerEntry| LastRecord {
        data_offset: entry.last_batch().map(|batch| batch.last_offset),
        epoch: entry.epoch,
    };
    producers.iter().map(|(id, entry)| (id, of(entry))).collect()
}

/// When a cleaning runs, and how far it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub now_ms: i64,
    pub delete_retention_ms: i64,
    /// The last batch before this offset stays, empty if need be, so that the log's offsets can be told from it.
    pub upper_bound: Offset,
}

/// Judges the batches of a log, one after the other.
pub(crate) struct Filter<'a> {
    pub keys: &'a KeyMap,
    pub transactions: &'a mut CleanedTransactions,
    pub last_records: &'a BTreeMap<ProducerId, LastRecord>,
    pub terms: Terms,
}

impl Filter<'_> {
    /// Judges a whole batch whose checksum is right.
    pub fn judge(&mut self, info: &BatchInfo, whole: &Bytes) -> Result<Fate, RecordError> {
        let is_spent = meet(self.transactions, info, whole)?;
        let is_control = info.header.is_control();
        let is_dropped = is_spent && (!is_control || self.is_past_horizon(info));
        let stays_empty = self.is_last_of_producer(info) || info.end_offset() == self.terms.upper_bound;
        if is_dropped {
            return Ok(if stays_empty { emptied(info) } else { Fate::Gone });
        }
        let horizon = DeleteHorizon {
            at_ms: self.terms.now_ms.saturating_add(self.terms.delete_retention_ms),
            marker_of_empty_txn: is_spent && is_control,
        };
        let body = whole.slice(HEADER_BYTES..);
        let keep = |record: &RecordRef<'_>| is_control || self.keeps(info, record);
        let left = retain_records(&info.header, body, horizon, DEFAULT_MAX_DECOMPRESSED_BYTES, keep)?;
        Ok(match left {
            Retained::Unchanged => Fate::Unchanged,
            Retained::Rewritten(batch) => Fate::Rewritten(batch.to_bytes()),
            Retained::Nothing if stays_empty && info.header.record_count == 0 => Fate::Unchanged,
            Retained::Nothing if stays_empty => emptied(info),
            Retained::Nothing => Fate::Gone,
        })
    }

    /// The last record of its key stays, unless it is a tombstone whose time is over. Records without a key, which
    /// compacted topics do not take, go.
    fn keeps(&self, info: &BatchInfo, record: &RecordRef<'_>) -> bool {
        let offset = Offset(record.offset);
        if self.keys.latest().is_none_or(|latest| offset > latest) {
            return true;
        }
        let Some(key) = record.key else { return false };
        let is_last = self.keys.get(key).is_none_or(|last| offset >= last);
        is_last && (record.value.is_some() || !self.may_drop_tombstone(info))
    }

    fn may_drop_tombstone(&self, info: &BatchInfo) -> bool {
        if mutation::on(Mutation::DropLiveTombstone) {
            return true;
        }
        self.is_past_horizon(info)
    }

    fn is_past_horizon(&self, info: &BatchInfo) -> bool {
        info.header.delete_horizon_ms().is_some_and(|horizon| horizon <= self.terms.now_ms)
    }

    fn is_last_of_producer(&self, info: &BatchInfo) -> bool {
        if !info.producer_id.is_some() || mutation::on(Mutation::ForgetLastSequence) {
            return false;
        }
        self.last_records.get(&info.producer_id).is_some_and(|last| match last.data_offset {
            Some(offset) => info.last_offset() == offset,
            None => info.header.is_control() && info.header.producer_epoch == last.epoch,
        })
    }
}

fn emptied(info: &BatchInfo) -> Fate {
    Fate::Rewritten(empty_batch(&info.header).to_bytes())
}

/// Walks over a batch. True if its records were aborted, or if it is a marker that nothing needs any more.
pub(crate) fn meet(
    transactions: &mut CleanedTransactions,
    info: &BatchInfo,
    whole: &Bytes,
) -> Result<bool, RecordError> {
    if !info.header.is_control() {
        let producer = info.header.is_transactional().then_some(info.producer_id);
        return Ok(transactions.meet_batch(info.last_offset(), producer));
    }
    let body = whole.slice(HEADER_BYTES..);
    let mut records = RecordsIter::new(&info.header, body, DEFAULT_MAX_DECOMPRESSED_BYTES)?;
    let marker = match records.next_ref().transpose()? {
        Some(record) => Some(ControlType::parse_key(record.key.unwrap_or_default())?),
        None => None,
    };
    Ok(transactions.meet_marker(info.last_offset(), info.producer_id, marker))
}

#[cfg(test)]
mod tests {
    use kring_wire::record::control::{EndTxnMarker, append_control};
    use kring_wire::record::{BatchBuilder, Compression};

    use super::*;
    use crate::compaction::config::CleanerConfig;
    use crate::txn_index::AbortedTransaction;

    const DAY_MS: i64 = 24 * 3600 * 1000;

    type Records<'a> = &'a [(&'a str, Option<&'a str>)];

    /// Everything that the judge needs, with no key and no producer known.
    struct Bench {
        keys: KeyMap,
        transactions: CleanedTransactions,
        last_records: BTreeMap<ProducerId, LastRecord>,
        terms: Terms,
    }

    impl Bench {
        /// The map covers the log below `covered`.
        fn new(last: &[(&str, i64)], covered: i64) -> Bench {
            let config = CleanerConfig { key_map_bytes: 10_000, ..CleanerConfig::default() };
            let mut keys = KeyMap::new(&config, [1; 16]);
            for (key, offset) in last {
                keys.put(key.as_bytes(), Offset(*offset));
            }
            keys.covers(Offset(covered - 1));
            let terms =
                Terms { now_ms: 1_000_000, delete_retention_ms: DAY_MS, upper_bound: Offset(1 << 40) };
            let (transactions, last_records) = Default::default();
            Bench { keys, transactions, last_records, terms }
        }

        fn judge(&mut self, batch: &Bytes) -> Fate {
            let info = BatchInfo::parse(batch).unwrap();
            let Bench { keys, transactions, last_records, terms } = self;
            Filter { keys, transactions, last_records, terms: *terms }.judge(&info, batch).unwrap()
        }

        /// Keys that are left; `None` if no batch is.
        fn left(&mut self, batch: &Bytes) -> Option<Vec<String>> {
            match self.judge(batch) {
                Fate::Gone => None,
                Fate::Unchanged => Some(keys_of(batch)),
                Fate::Rewritten(bytes) => Some(keys_of(&bytes)),
            }
        }

        fn after(mut self, ms: i64) -> Bench {
            self.terms.now_ms += ms;
            self
        }
    }

    fn keys_of(batch: &Bytes) -> Vec<String> {
        let info = BatchInfo::parse(batch).unwrap();
        let records = RecordsIter::new(&info.header, batch.slice(HEADER_BYTES..), 1 << 20).unwrap();
        let key = |key: Option<Bytes>| String::from_utf8(key.unwrap_or_default().to_vec()).unwrap();
        records.map(|record| key(record.unwrap().key)).collect()
    }

    fn builder(base_offset: i64) -> BatchBuilder {
        BatchBuilder::new(Compression::NONE).base_offset(base_offset).leader_epoch(0)
    }

    fn filled(mut builder: BatchBuilder, records: Records<'_>) -> Bytes {
        for (key, value) in records {
            builder.append(500, Some(key.as_bytes()), value.map(str::as_bytes)).unwrap();
        }
        builder.build().unwrap().to_bytes()
    }

    fn plain(base_offset: i64, records: Records<'_>) -> Bytes {
        filled(builder(base_offset), records)
    }

    fn of_producer(base_offset: i64, id: i64, records: Records<'_>) -> Bytes {
        filled(builder(base_offset).producer(id, 3, 0).transactional(), records)
    }

    fn marker(base_offset: i64, id: i64, committed: bool) -> Bytes {
        let marker = EndTxnMarker { committed, coordinator_epoch: 0 };
        let mut builder = builder(base_offset).producer(id, 3, -1).transactional().control();
        append_control(&mut builder, 500, marker.control_type(), &marker.value()).unwrap();
        builder.build().unwrap().to_bytes()
    }

    fn rewritten(fate: Fate) -> Bytes {
        match fate {
            Fate::Rewritten(bytes) => bytes,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_last_record_of_each_key_stays() {
        let mut bench = Bench::new(&[("a", 12), ("b", 20)], 30);
        let batch = plain(10, &[("a", Some("1")), ("b", Some("1")), ("a", Some("2"))]);
        assert_eq!(bench.left(&batch).unwrap(), ["a"]);
        assert!(bench.left(&plain(13, &[("b", Some("2"))])).is_none());
        assert!(matches!(bench.judge(&plain(20, &[("b", Some("3"))])), Fate::Unchanged));
    }

    #[test]
    fn a_key_that_is_not_in_the_dirty_part_stays() {
        let mut bench = Bench::new(&[("a", 12)], 30);
        assert!(matches!(bench.judge(&plain(3, &[("c", Some("1"))])), Fate::Unchanged));
    }

    #[test]
    fn what_the_map_does_not_cover_stays() {
        let mut bench = Bench::new(&[("a", 12)], 13);
        let batch = plain(11, &[("a", Some("1")), ("a", Some("2")), ("a", Some("3"))]);
        assert_eq!(bench.left(&batch).unwrap().len(), 2, "offsets 12 and 13");
    }

    #[test]
    fn a_record_without_a_key_goes() {
        let mut bench = Bench::new(&[], 30);
        let mut builder = builder(3);
        builder.append(1, None, Some(b"value")).unwrap();
        assert!(bench.left(&builder.build().unwrap().to_bytes()).is_none());
    }

    #[test]
    fn a_tombstone_stays_for_its_time_from_the_first_cleaning_on() {
        let batch = plain(5, &[("a", None)]);
        let dated = rewritten(Bench::new(&[("a", 5)], 30).judge(&batch));
        let horizon = BatchInfo::parse(&dated).unwrap().header.delete_horizon_ms();
        assert_eq!(horizon, Some(1_000_000 + DAY_MS));
        let again = |ms| Bench::new(&[], 30).after(ms).left(&dated);
        assert_eq!(again(DAY_MS - 1).unwrap(), ["a"]);
        assert!(again(DAY_MS).is_none());
    }

    #[test]
    fn the_last_batch_of_a_producer_stays_without_its_records() {
        let last = LastRecord { data_offset: Some(Offset(11)), epoch: 3 };
        let mut bench = Bench::new(&[("a", 20)], 30);
        bench.last_records.insert(ProducerId(7), last);
        let older = filled(builder(8).producer(7, 3, 0), &[("a", Some("1"))]);
        let newest = filled(builder(10).producer(7, 3, 1), &[("a", Some("2")), ("a", Some("3"))]);
        assert!(bench.left(&older).is_none());
        let empty = rewritten(bench.judge(&newest));
        let info = BatchInfo::parse(&empty).unwrap();
        assert_eq!((info.base_offset, info.last_offset()), (Offset(10), Offset(11)));
        assert_eq!((info.header.record_count, info.header.last_sequence()), (0, 2));
        assert!(matches!(bench.judge(&empty), Fate::Unchanged), "an empty one stays as it is");
        bench.last_records.clear();
        assert!(bench.left(&empty).is_none(), "the producer is forgotten");
    }

    #[test]
    fn the_last_batch_of_a_cleaning_stays_so_that_its_offset_is_known() {
        let mut bench = Bench::new(&[("a", 20)], 30);
        bench.terms.upper_bound = Offset(12);
        assert!(bench.left(&plain(10, &[("a", Some("1"))])).is_none());
        assert_eq!(bench.left(&plain(11, &[("a", Some("1"))])), Some(Vec::new()));
    }

    #[test]
    fn records_of_an_aborted_transaction_go_whatever_their_key() {
        let mut bench = Bench::new(&[], 30);
        let (producer_id, first_offset, last_offset) = (ProducerId(7), Offset(10), Offset(12));
        let last_stable_offset = Offset(13);
        let aborted = AbortedTransaction { producer_id, first_offset, last_offset, last_stable_offset };
        bench.transactions = CleanedTransactions::expecting(&[aborted]);
        assert!(bench.left(&of_producer(10, 7, &[("x", Some("1"))])).is_none());
        assert_eq!(bench.left(&of_producer(11, 8, &[("x", Some("1"))])).unwrap(), ["x"]);
        let abort = bench.left(&marker(12, 7, false)).unwrap();
        assert_eq!(abort.len(), 1, "the marker stays as long as its records were there");
    }

    #[test]
    fn a_marker_without_records_gets_a_horizon_and_goes_after_it() {
        let dated = rewritten(Bench::new(&[], 30).judge(&marker(12, 7, true)));
        let horizon = BatchInfo::parse(&dated).unwrap().header.delete_horizon_ms();
        assert_eq!(horizon, Some(1_000_000 + DAY_MS));
        assert_eq!(keys_of(&dated).len(), 1);
        assert!(matches!(Bench::new(&[], 30).after(DAY_MS - 1).judge(&dated), Fate::Unchanged));
        assert!(matches!(Bench::new(&[], 30).after(DAY_MS).judge(&dated), Fate::Gone));
    }

    #[test]
    fn a_marker_stays_as_it_is_while_its_transaction_has_records() {
        let mut bench = Bench::new(&[("a", 5)], 30);
        assert!(matches!(bench.judge(&of_producer(5, 7, &[("a", Some("1"))])), Fate::Unchanged));
        assert!(matches!(bench.judge(&marker(6, 7, true)), Fate::Unchanged));
    }

    #[test]
    fn the_marker_of_a_producer_without_records_stays_empty_for_its_epoch() {
        let dated = rewritten(Bench::new(&[], 30).judge(&marker(12, 7, true)));
        let mut bench = Bench::new(&[], 30).after(DAY_MS);
        bench.last_records.insert(ProducerId(7), LastRecord { data_offset: None, epoch: 3 });
        let empty = rewritten(bench.judge(&dated));
        assert_eq!(BatchInfo::parse(&empty).unwrap().header.producer_epoch, 3);
        assert!(keys_of(&empty).is_empty());
    }
}
