//! What must hold of a log at any time, and what must hold when it comes back.

use std::cell::RefCell;

use bytes::Bytes;
use kring_runtime::random_below;

use crate::batch::BatchInfo;
use crate::error::LogError;
use crate::log::Log;
use crate::model::reference::{Compared, Reference};
use crate::producer::ProducerVerdict;
use crate::read::ReadRequest;
use crate::types::{LeaderEpoch, Offset};

type Checked = Result<(), LogError>;

/// After every boot: nothing acknowledged is missing or changed, offsets did not go back, and all that is kept beside
/// the batches says what the batches say.
pub(super) async fn recovered(log: &Log, model: &RefCell<Reference>) -> Checked {
    take_over_ends(log, &mut model.borrow_mut());
    let (start, end) = (log.offsets().start().0, log.offsets().end().0);
    let found = everything(log).await?;
    assert_eq!(model.borrow().compare(start, end, &found), Compared::All, "what lies from {start} to {end}");
    producers(log, &model.borrow());
    epochs(log, &model.borrow());
    newest_time(log, model).await?;
    for _ in 0..3 {
        by_time(log, model).await?;
    }
    Ok(())
}

fn take_over_ends(log: &Log, model: &mut Reference) {
    let (start, end) = (log.offsets().start().0, log.offsets().end().0);
    assert!(end >= model.durable, "records below {} were durable; the log ends at {end}", model.durable);
    assert!(end >= model.seen, "a reader saw up to {}; the log ends at {end}", model.seen);
    assert!(start >= model.start, "the log started at {}; now at {start}", model.start);
    model.cut(end);
    model.start = start;
    // What recovery serves must outlive the next crash, too.
    model.durable = end;
}

/// The start never falls, and is believed as soon as it was seen.
pub(super) fn start(log: &Log, model: &mut Reference) {
    let start = log.offsets().start().0;
    assert!(start >= model.start, "the log started at {}; now at {start}", model.start);
    model.start = start;
}

fn producers(log: &Log, model: &Reference) {
    for (id, entry) in model.producer_states().iter() {
        let last = entry.last_batch().expect("it has written");
        let found = log.producers(|states| states.get(id).cloned());
        // A producer whose records were all deleted may be forgotten.
        let Some(found) = found else {
            assert!(last.last_offset.0 < model.start, "producer {id:?} is forgotten");
            continue;
        };
        assert_eq!((found.epoch, found.last_batch()), (entry.epoch, Some(last)), "producer {id:?}");
        let batch = model.batches.iter().find(|batch| batch.info.last_offset() == last.last_offset);
        let retry = batch.and_then(|batch| batch.info.producer()).expect("it is there");
        let verdict = log.check_producer(&retry);
        let known = matches!(verdict, Ok(ProducerVerdict::Duplicate { last_offset, .. }) if last_offset == last.last_offset);
        assert!(known, "a retry of the last batch of {id:?}: {verdict:?}");
    }
}

fn epochs(log: &Log, model: &Reference) {
    let expected = model.epochs();
    let end = log.offsets().end();
    if log.offsets().start() == end {
        // As in Kafka, a restart forgets the epoch in which a log without records was last written.
        return;
    }
    for epoch in (0..=model.leader_epoch).map(LeaderEpoch) {
        let (found, wanted) = (log.end_offset_for_epoch(epoch), expected.end_offset_for(epoch, end));
        assert_eq!(found, wanted, "where epoch {epoch} ends");
    }
}

/// [`by_time`], with nothing appended meanwhile.
pub(super) async fn by_time_settled(log: &Log, model: &RefCell<Reference>) -> Checked {
    log.wait_written(log.offsets().end()).await?;
    by_time(log, model).await
}

/// The first record at or after a random time.
async fn by_time(log: &Log, model: &RefCell<Reference>) -> Checked {
    let times: Vec<i64> = model.borrow().records().map(|record| record.timestamp).collect();
    let Some(&near) = times.get(random_below(times.len().max(1) as u64) as usize) else { return Ok(()) };
    let time = near + random_below(3) as i64 - 1;
    let found = log.offset_for_timestamp(time).await?;
    let model = model.borrow();
    let expected = model.records().find(|record| record.timestamp >= time);
    let found = found.map(|found| (found.timestamp, found.offset.0));
    assert_eq!(
        found,
        expected.map(|record| (record.timestamp, record.offset)),
        "the first at or after {time}"
    );
    Ok(())
}

async fn newest_time(log: &Log, model: &RefCell<Reference>) -> Checked {
    let found = log.max_timestamp().await?.map(|found| found.timestamp);
    let model = model.borrow();
    // As in Kafka, a segment is asked as a whole, also for what lies below the log's start.
    let of_all = model.batches.iter().map(|batch| batch.info.max_timestamp);
    let readable = model.batches.iter().filter(|batch| batch.end() > model.start);
    let newest = readable.map(|batch| batch.info.max_timestamp).max();
    assert!(
        found >= newest && (found.is_none() || of_all.into_iter().any(|time| found == Some(time))),
        "newest: {found:?}"
    );
    Ok(())
}

/// A read from a random offset returns what was appended there, also while the log is written to.
pub(super) async fn read_somewhere(log: &Log, model: &RefCell<Reference>) -> Checked {
    let (start, end) = (log.offsets().start().0, log.high_watermark().0);
    // What was shown before flushes were waited for is not taken back when they are.
    let outlives_crashes = log.config().commits_on_flush() && end > log.state().shown.0;
    if start >= end {
        return Ok(());
    }
    let from = start + random_below((end - start) as u64) as i64;
    let max_bytes = [1, 1000, 100_000][random_below(3) as usize];
    let request = ReadRequest { offset: Offset(from), upto: Offset(end), max_bytes, min_one_batch: true };
    let read = match log.read(request).await {
        Ok(chunk) => chunk.into_bytes().await?,
        // Deleted meanwhile.
        Err(LogError::OffsetOutOfRange { .. }) if log.offsets().start().0 > from => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut model = model.borrow_mut();
    assert!(!read.is_empty(), "a read below the high watermark returns something");
    let compared = model.compare(from, end, &read);
    assert!(!matches!(compared, Compared::Other { .. }), "a read at {from} up to {end}: {compared:?}");
    if outlives_crashes {
        model.seen = model.seen.max(end);
    }
    Ok(())
}

/// All whole batches from start to end, read in pieces of random length.
pub(super) async fn everything(log: &Log) -> Result<Vec<u8>, LogError> {
    let (mut offset, end) = (log.offsets().start(), log.offsets().end());
    let mut all = Vec::new();
    while offset < end {
        let max_bytes = 1 + random_below(50_000) as usize;
        let request = ReadRequest { offset, upto: end, max_bytes, min_one_batch: true };
        let read = log.read(request).await?.into_bytes().await?;
        assert!(!read.is_empty(), "nothing at {offset} of {end}");
        let (bytes, next) = whole_batches(&read);
        all.extend_from_slice(&read[..bytes]);
        offset = next;
    }
    Ok(all)
}

fn whole_batches(read: &Bytes) -> (usize, Offset) {
    let (mut at, mut next) = (0, Offset::ZERO);
    while let Ok(info) = BatchInfo::parse(&read[at..])
        && at + info.bytes as usize <= read.len()
    {
        (at, next) = (at + info.bytes as usize, info.end_offset());
    }
    (at, next)
}
