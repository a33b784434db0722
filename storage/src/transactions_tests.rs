//! Transactions in logs on the simulated disk, through crash after crash, read as a consumer of committed records reads
//! them, against every batch that was ever appended. Tests only.
//!
//! A failing seed prints the command that repeats it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bytes::Bytes;
use kring_runtime::sim::{Sim, SimConfig, crash};
use kring_runtime::{fs, random_below, wall_ms};
use kring_wire::record::control::{EndTxnMarker, append_control};
use kring_wire::record::{BatchBuilder, Compression};

use crate::batch::{BatchInfo, LogBatch};
use crate::checkpoint::LogName;
use crate::config::LogConfig;
use crate::dir::LogDir;
use crate::inspect::Inspection;
use crate::log::Log;
use crate::mutation::Mutation;
use crate::read::{ReadChunk, ReadRequest};
use crate::seeds;
use crate::shard::{ShardConfig, ShardStorage};
use crate::txn_index::AbortedTransaction;
use crate::types::Offset;

const BOOTS: usize = 5;
const STEPS: u64 = 80;
/// The first of them never opens a transaction.
const PRODUCERS: u64 = 4;
const LOG: &str = "/data/ledger-0";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Plain,
    Transactional,
    Marker { is_abort: bool },
}

#[derive(Clone, Copy, Debug)]
struct Batch {
    producer: i64,
    kind: Kind,
    last: i64,
}

/// Every batch that was ever appended and may have survived, by first offset.
#[derive(Default)]
struct Model {
    batches: BTreeMap<i64, Batch>,
    durable: i64,
    /// What a reader was told last.
    stable: i64,
}

/// What the batches of a model mean.
#[derive(Default)]
struct Meaning {
    /// First offsets by producer.
    open: BTreeMap<i64, i64>,
    /// First offset and marker.
    ended: Vec<(i64, i64)>,
    /// Producer and first offset.
    aborted: BTreeSet<(i64, i64)>,
    committed: BTreeSet<i64>,
    pending: BTreeMap<i64, Vec<i64>>,
}

impl Model {
    fn meaning(&self) -> Meaning {
        let mut meaning = Meaning::default();
        self.batches.iter().for_each(|(&first, batch)| meaning.take(first, batch));
        meaning
    }

    fn is_open(&self, producer: i64) -> bool {
        self.meaning().open.contains_key(&producer)
    }

    fn cut(&mut self, log: &Log) {
        let end = log.offsets().end().0;
        assert!(end >= self.durable, "records below {} were durable; the log ends at {end}", self.durable);
        self.batches.split_off(&end);
        self.durable = end;
    }
}

impl Meaning {
    fn take(&mut self, first: i64, batch: &Batch) {
        let producer = batch.producer;
        match batch.kind {
            Kind::Plain => self.committed.extend(first..=batch.last),
            Kind::Transactional => {
                self.open.entry(producer).or_insert(first);
                self.pending.entry(producer).or_default().extend(first..=batch.last);
            }
            Kind::Marker { is_abort } => {
                let Some(began) = self.open.remove(&producer) else { return };
                self.ended.push((began, first));
                let records = self.pending.remove(&producer).unwrap_or_default();
                if is_abort {
                    self.aborted.insert((producer, began));
                } else {
                    self.committed.extend(records);
                }
            }
        }
    }

    fn last_stable_offset(&self, high_watermark: i64) -> i64 {
        let unseen =
            self.ended.iter().filter(|(_, marker)| *marker >= high_watermark).map(|(first, _)| first);
        self.open.values().chain(unseen).copied().min().unwrap_or(high_watermark).min(high_watermark)
    }
}

type Shared = Rc<RefCell<Model>>;

fn append(log: &Log, model: &Shared) {
    let producer = random_below(PRODUCERS) as i64;
    let is_open = model.borrow().is_open(producer);
    let kind = match random_below(3) {
        _ if producer == 0 => Kind::Plain,
        0 if is_open || random_below(8) == 0 => Kind::Marker { is_abort: random_below(2) == 0 },
        _ => Kind::Transactional,
    };
    append_batch(log, model, producer, kind, 1 + random_below(3));
}

fn append_batch(log: &Log, model: &Shared, producer: i64, kind: Kind, records: u64) {
    let base = log.offsets().end().0;
    let mut builder = BatchBuilder::new(Compression::NONE).base_offset(base).leader_epoch(0);
    if let Kind::Marker { is_abort } = kind {
        let marker = EndTxnMarker { committed: !is_abort, coordinator_epoch: 0 };
        builder = builder.producer(producer, 0, -1).transactional().control();
        append_control(&mut builder, wall_ms(), marker.control_type(), &marker.value()).unwrap();
    } else {
        if kind == Kind::Transactional {
            let known = log.producers(|states| {
                states.get(crate::types::ProducerId(producer)).map_or(-1, |entry| entry.last_sequence())
            });
            builder = builder.producer(producer, 0, known + 1).transactional();
        }
        for _ in 0..records {
            builder.append(wall_ms(), None, Some(&vec![7; random_below(300) as usize])).unwrap();
        }
    }
    let last = base + i64::from(builder.record_count()) - 1;
    let (header, body) = builder.build().unwrap().into_parts();
    log.append(LogBatch { header, body }).unwrap();
    model.borrow_mut().batches.insert(base, Batch { producer, kind, last });
}

/// The offsets that a consumer of committed records is given, by Kafka's rules: each answer for itself.
fn given(bytes: &Bytes, aborted: &[AbortedTransaction], from: i64) -> (Vec<i64>, i64) {
    let mut ahead: Vec<(i64, i64)> = aborted.iter().map(|a| (a.first_offset.0, a.producer_id.0)).collect();
    ahead.sort_unstable();
    ahead.reverse();
    let (mut skipped, mut found, mut at, mut next) = (BTreeSet::new(), Vec::new(), 0, from);
    while let Ok(info) = BatchInfo::parse(&bytes[at..])
        && at + info.bytes as usize <= bytes.len()
    {
        while let Some(&(first, producer)) = ahead.last()
            && first <= info.last_offset().0
        {
            skipped.insert(producer);
            ahead.pop();
        }
        let (producer, is_transactional) = (info.producer_id.0, info.header.is_transactional());
        if info.header.is_control() {
            skipped.remove(&producer);
        } else if !(is_transactional && skipped.contains(&producer)) {
            found.extend((info.base_offset.0..=info.last_offset().0).filter(|offset| *offset >= from));
        }
        at += info.bytes as usize;
        next = info.end_offset().0;
    }
    (found, next)
}

/// A consumer of committed records, from anywhere to the end, gets those and no others.
async fn verify(log: &Log, model: &Shared) {
    let stable = verify_stable(log, model);
    let from = random_below(1 + stable.unsigned_abs()) as i64;
    let (mut offset, mut found, meaning) = (from, Vec::new(), model.borrow().meaning());
    while offset < stable {
        let max_bytes = 1 + random_below(4000) as usize;
        let request =
            ReadRequest { offset: Offset(offset), upto: Offset(stable), max_bytes, min_one_batch: true };
        let (chunk, aborted) = log.read_committed(request).await.unwrap();
        verify_aborted(&aborted, &meaning);
        let (records, next) = given(&bytes_of(chunk).await, &aborted, offset);
        assert!(next > offset, "nothing at {offset} of {stable}");
        found.extend(records);
        offset = next;
    }
    let expected: Vec<i64> = meaning.committed.range(from..stable.max(from)).copied().collect();
    assert_eq!(found, expected, "from {from} to {stable}");
}

async fn bytes_of(chunk: ReadChunk) -> Bytes {
    chunk.into_bytes().await.unwrap()
}

fn verify_stable(log: &Log, model: &Shared) -> i64 {
    let (stable, high_watermark) = (log.last_stable_offset().0, log.high_watermark().0);
    let mut model = model.borrow_mut();
    assert_eq!(stable, model.meaning().last_stable_offset(high_watermark));
    assert!(stable >= model.stable, "the last stable offset falls from {} to {stable}", model.stable);
    model.stable = stable;
    stable
}

fn verify_aborted(aborted: &[AbortedTransaction], meaning: &Meaning) {
    for transaction in aborted {
        let named = (transaction.producer_id.0, transaction.first_offset.0);
        assert!(meaning.aborted.contains(&named), "{transaction:?} was not aborted");
    }
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 1000 + 3000 * random_below(3) as u32,
        index_interval_bytes: [1, 500][random_below(2) as usize],
        segment_ms: i64::MAX,
        deletes: false,
        producer_id_expiration_ms: i64::MAX,
        ..LogConfig::default()
    }
}

async fn open(config: LogConfig) -> (LogDir, Log) {
    let shard = ShardStorage::new(ShardConfig {
        tail_cache_bytes: [0, 5_000][random_below(2) as usize],
        open_files: 2,
        index_cache_bytes: 100,
        ..ShardConfig::default()
    });
    let dir = LogDir::open(Path::new("/data")).await.unwrap().dir;
    let opened = Log::open(&shard, &dir, LogName::new("ledger", 0), Rc::new(config), None).await;
    let (log, _) = opened.unwrap_or_else(|error| panic!("the log does not open: {error}"));
    (dir, log)
}

async fn boot(model: Shared) {
    damage_an_index().await;
    let (dir, log) = open(config()).await;
    model.borrow_mut().cut(&log);
    verify(&log, &model).await;
    for _ in 0..random_below(STEPS) {
        step(&dir, &log, &model).await;
    }
    if random_below(3) == 0 {
        log.close().await.unwrap();
        assert!(dir.mark_clean(7).await.unwrap());
        model.borrow_mut().durable = log.offsets().durable().0;
    }
    crash().await;
}

async fn step(dir: &LogDir, log: &Log, model: &Shared) {
    match random_below(12) {
        0..=7 => append(log, model),
        8 => {
            log.flush().await.unwrap();
            model.borrow_mut().durable = log.offsets().durable().0;
        }
        9 => {
            log.save_recovery_point().await.unwrap();
            dir.write_checkpoints().await.unwrap();
        }
        _ => verify(log, model).await,
    }
}

async fn txn_indexes() -> Vec<PathBuf> {
    let entries = fs::read_dir(LOG).await.unwrap_or_default();
    let paths = entries.iter().filter(|entry| entry.name.ends_with(".txnindex"));
    paths.map(|entry| Path::new(LOG).join(&entry.name)).collect()
}

/// Cuts an index of aborted transactions in the middle of an entry, now and then.
async fn damage_an_index() {
    let indexes = txn_indexes().await;
    let Some(path) = indexes.get(random_below(3 * indexes.len() as u64 + 1) as usize) else { return };
    let bytes = fs::read(path).await.unwrap();
    let cut = 34 * random_below(bytes.len() as u64 / 34) as usize + 1 + random_below(33) as usize;
    fs::write_atomic(path, &bytes[..cut]).await.unwrap();
}

fn live_through(seed: u64) {
    seeds::crash_through(seed, BOOTS, boot);
}

#[test]
fn readers_of_committed_records_get_those_and_no_others_through_any_crash() {
    seeds::hold(40, "readers_of_committed", live_through);
}

#[test]
fn a_transaction_that_ends_before_readers_see_its_marker_is_noticed() {
    seeds::catch(Mutation::ForgetUnseenMarkers, 200, live_through);
}

#[test]
fn a_recovery_that_learns_no_aborted_transaction_is_noticed() {
    seeds::catch(Mutation::ForgetAborted, 200, live_through);
}

#[test]
fn an_abort_marker_that_is_overlooked_in_a_later_segment_is_noticed() {
    seeds::catch(Mutation::AbortedOfOneSegment, 200, live_through);
}

/// One producer aborts, another commits, the last leaves its transaction open; then what is left of the log is opened
/// `again`.
fn after_three_transactions(again: impl AsyncFn(LogDir, Log) + Copy + 'static) {
    let sim = Sim::new(SimConfig::new(1, 1));
    let written = move |_| async move {
        let (dir, log) = open(LogConfig { segment_bytes: 1000, ..config() }).await;
        let model = Shared::default();
        for kind in [Kind::Transactional, Kind::Marker { is_abort: true }] {
            (0..20).for_each(|_| append_batch(&log, &model, 1, Kind::Plain, 1));
            append_batch(&log, &model, 1, kind, 1);
            append_batch(&log, &model, 2, Kind::Transactional, 1);
        }
        append_batch(&log, &model, 2, Kind::Marker { is_abort: false }, 1);
        append_batch(&log, &model, 3, Kind::Transactional, 1);
        log.flush().await.unwrap();
        again(dir, log).await;
    };
    sim.run(written).unwrap_or_else(|error| panic!("{error}"));
    let reopened = |_| async {
        let (_, log) = open(config()).await;
        assert_eq!(log.last_stable_offset(), log.offsets().end() + -1, "the last record is undecided");
        let aborted = log.aborted_transactions(Offset::ZERO, Offset::MAX).await.unwrap();
        assert_eq!(aborted.iter().map(|a| a.producer_id.0).collect::<Vec<_>>(), [1]);
        log.close().await.unwrap();
    };
    sim.run(reopened).unwrap_or_else(|error| panic!("{error}")).finished();
}

#[test]
fn an_open_transaction_holds_the_last_stable_offset_after_an_orderly_end() {
    after_three_transactions(async |dir, log| {
        log.close().await.unwrap();
        assert!(dir.mark_clean(1).await.unwrap());
    });
}

#[test]
fn an_open_transaction_holds_the_last_stable_offset_after_a_crash() {
    after_three_transactions(async |_, _| crash().await);
}

#[test]
fn a_damaged_index_of_aborted_transactions_is_rebuilt_from_its_segment() {
    after_three_transactions(async |dir, log| {
        log.close().await.unwrap();
        assert!(dir.mark_clean(1).await.unwrap());
        let paths = txn_indexes().await;
        assert_eq!(paths.len(), 1);
        fs::write_atomic(&paths[0], &[0; 40]).await.unwrap();
    });
}

#[test]
fn a_repair_makes_an_index_of_aborted_transactions_what_it_was() {
    after_three_transactions(async |dir, log| {
        log.close().await.unwrap();
        assert!(dir.mark_clean(1).await.unwrap());
        drop((dir, log));
        let path = txn_indexes().await.remove(0);
        let good = fs::read(&path).await.unwrap();
        fs::write_atomic(&path, &[0; 40]).await.unwrap();
        let inspection = Inspection::open(Path::new(LOG)).await.unwrap();
        let report = inspection.verify(Path::new(LOG)).await.unwrap();
        assert_eq!(report.findings.iter().map(|found| &found.path).collect::<Vec<_>>(), [&path]);
        inspection.plan(&report).carry_out().await.unwrap();
        assert_eq!(fs::read(&path).await.unwrap(), good);
    });
}
