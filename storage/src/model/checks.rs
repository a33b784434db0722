//! What must hold of a log at any time, and what must hold when it comes back.

use std::cell::RefCell;

use bytes::Bytes;
use kring_runtime::random_below;

use crate::batch::BatchInfo;
use crate::error::LogError;
use crate::log::Log;
use crate::model::reference::{Reference, Wrong};
use crate::producer::{BatchMetadata, ProducerVerdict};
use crate::read::ReadRequest;
use crate::types::{LeaderEpoch, Offset};

type Checked = Result<(), LogError>;

/// After every boot: nothing acknowledged is missing or changed, offsets did not go back, and all that is kept beside
/// the batches says what the batches say.
pub(super) async fn recovered(log: &Log, model: &RefCell<Reference>) -> Checked {
    take_over_ends(log, &mut model.borrow_mut());
    whole(log, model).await
}

/// The log, with nothing appended meanwhile, is what the reference says.
pub(super) async fn whole(log: &Log, model: &RefCell<Reference>) -> Checked {
    let (start, end) = (log.offsets().start().0, log.offsets().end().0);
    let found = Bytes::from(everything(log).await?);
    let held = model.borrow().judge(start, Some(end), found.clone());
    assert_eq!(held.and_then(|()| model.borrow().judge_keys(&found)), Ok(()), "from {start} to {end}");
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
    model.start = start;
    model.forget_older_batches();
    model.cut(end);
    model.clean_below(end);
    // What recovery serves must outlive the next crash, too.
    model.durable = end;
}

/// The start never falls, and is believed as soon as it was seen; the end is where the last append has put it.
pub(super) fn ends(log: &Log, model: &mut Reference) {
    let start = log.offsets().start().0;
    assert!(start >= model.start, "the log started at {}; now at {start}", model.start);
    model.start = start;
    assert_eq!(log.offsets().end().0, model.log_end(), "where the log ends");
    model.clean_below(first_unsealed(log));
}

/// Where the segments begin that no cleaning touches.
pub(super) fn first_unsealed(log: &Log) -> i64 {
    let state = log.state();
    state.segments.iter().find(|segment| !segment.is_sealed()).map_or(0, |segment| segment.base.0)
}

fn producers(log: &Log, model: &Reference) {
    for (id, entry) in model.producer_states().iter() {
        let last = entry.last_batch().expect("it has written");
        let found = log.producers(|states| states.get(id).cloned());
        let batch = model.batches.iter().find(|batch| batch.info.last_offset() == last.last_offset);
        let batch = batch.expect("it has been appended");
        if batch.may_be_forgotten {
            // The later one, which was kept, has been lost or cut off.
            continue;
        }
        // A producer whose records were all deleted may be forgotten.
        let Some(found) = found else {
            assert!(last.last_offset.0 < model.start, "producer {id:?} is forgotten");
            continue;
        };
        let place = |batch: &BatchMetadata| (batch.last_sequence, batch.last_offset, batch.offset_delta);
        let known = (found.epoch, found.last_batch().map(place));
        assert_eq!(known, (entry.epoch, Some(place(last))), "producer {id:?}");
        let retry = batch.info.producer().expect("it is there");
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
    log.wait_kept(log.offsets().end()).await?;
    by_time(log, model).await
}

/// The first record at or after a random time.
async fn by_time(log: &Log, model: &RefCell<Reference>) -> Checked {
    let times: Vec<i64> = model.borrow().records().map(|record| record.timestamp).collect();
    let Some(&near) = times.get(random_below(times.len().max(1) as u64) as usize) else { return Ok(()) };
    let time = near + random_below(3) as i64 - 1;
    let found = log.offset_for_timestamp(time).await?;
    let found = found.map(|found| (found.timestamp, found.offset.0));
    model.borrow_mut().clean_below(first_unsealed(log));
    let model = model.borrow();
    let late = || model.records().filter(|record| record.timestamp >= time);
    let is_known = found.is_none_or(|found| late().any(|record| (record.timestamp, record.offset) == found));
    let end = found.map_or(i64::MAX, |(_, offset)| offset);
    let missed = late().find(|record| record.offset < end && !record.may_go());
    assert!(is_known && missed.is_none(), "the first at or after {time}: {found:?}, before it {missed:?}");
    Ok(())
}

async fn newest_time(log: &Log, model: &RefCell<Reference>) -> Checked {
    let found = log.max_timestamp().await?.map(|found| found.timestamp);
    let model = model.borrow();
    // As in Kafka, a segment is asked as a whole, also for what lies below the log's start.
    let mut of_all = model.batches.iter().flat_map(|batch| &batch.records).map(|record| record.timestamp);
    let newest = model.records().filter(|record| !record.may_go()).map(|record| record.timestamp).max();
    // A batch that compaction has emptied keeps its largest timestamp, and then nothing is found, as in Kafka.
    let may_be_emptied = || model.records().any(|record| record.may_go() && Some(record.timestamp) >= newest);
    let is_right = match found {
        None => newest.is_none() || may_be_emptied(),
        found => found >= newest && of_all.any(|time| found == Some(time)),
    };
    assert!(is_right, "newest: {found:?}");
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
    let cuts = model.borrow().cuts;
    let from = start + random_below((end - start) as u64) as i64;
    let max_bytes = [1, 1000, 100_000][random_below(3) as usize];
    let request = ReadRequest { offset: Offset(from), upto: Offset(end), max_bytes, min_one_batch: true };
    let read = match log.read(request).await {
        Ok(chunk) => chunk.into_bytes().await,
        Err(error) => Err(error),
    };
    let mut model = model.borrow_mut();
    if cuts % 2 == 1 || model.cuts != cuts {
        // Truncated meanwhile: a reader may have got what is gone, a clean end, or be cut off.
        let is_clean =
            |error: &LogError| matches!(error, LogError::OffsetOutOfRange { .. } | LogError::Corrupt { .. });
        return read.map(|_| ()).or_else(|error| if is_clean(&error) { Ok(()) } else { Err(error) });
    }
    let read = match read {
        // Deleted meanwhile.
        Err(LogError::OffsetOutOfRange { .. }) if log.offsets().start().0 > from => return Ok(()),
        read => read?,
    };
    model.clean_below(first_unsealed(log));
    let is_empty = read.is_empty() && model.judge(from, Some(end), Bytes::new()).is_err();
    assert!(!is_empty, "a read below the high watermark returns something");
    assert_eq!(model.judge(from, None, read), Ok::<(), Wrong>(()), "a read at {from} up to {end}");
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
        if read.is_empty() {
            // The rest may have been cleaned away; the reference judges that.
            break;
        }
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
