use kring_wire::Uuid;
use kring_wire::messages::abort_transaction_record::AbortTransactionRecord;
use kring_wire::messages::begin_transaction_record::BeginTransactionRecord;
use kring_wire::messages::end_transaction_record::EndTransactionRecord;
use kring_wire::messages::topic_record::TopicRecord;
use kring_wire::record::RecordsIter;

use super::*;

fn place(base_offset: i64) -> BatchPlace {
    BatchPlace { base_offset, epoch: 3, now_ms: 1_700_000_000_000 }
}

fn topic(name: &str, number: u128) -> MetadataRecord {
    TopicRecord { name: name.into(), topic_id: Uuid::from_u128(number) }.into()
}

fn batch(base_offset: i64, records: &[MetadataRecord]) -> Bytes {
    record_batch(records, place(base_offset)).expect("small records").to_bytes()
}

fn loaded(batches: &[Bytes]) -> Loaded {
    let mut replay = Replay::new();
    batches.iter().for_each(|batch| replay.feed(batch.clone()).expect("a good log"));
    replay.finish()
}

#[test]
fn a_log_of_batches_becomes_an_image() {
    let leader = leader_batch(1, place(0)).expect("one record").to_bytes();
    let loaded = loaded(&[leader, batch(1, &[topic("a", 1), topic("b", 2)])]);
    assert_eq!((loaded.next_offset, loaded.last_epoch, loaded.image.topic_count()), (3, 3, 2));
}

#[test]
fn an_empty_log_is_an_empty_image() {
    assert_eq!(Replay::new().finish(), Loaded::default());
}

/// Bytes of Apache Kafka 4.3.1's own leader change record, voters without directories.
#[test]
fn the_leader_change_is_byte_for_byte_kafkas() {
    let batch = leader_batch(1, place(0)).expect("one record");
    let mut records = RecordsIter::new(batch.header(), batch.body().clone(), 1000).expect("plain");
    let record = records.next().expect("one").expect("well-formed");
    assert!(batch.header().is_control());
    assert_eq!(record.key.as_deref(), Some(&[0, 0, 0, 2][..]));
    let value = [0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 1, 0, 2, 0, 0, 0, 1, 0, 0];
    assert_eq!(record.value.as_deref(), Some(&value[..]));
}

#[test]
fn a_transaction_counts_when_it_ends() {
    let begin: MetadataRecord = BeginTransactionRecord::default().into();
    let end: MetadataRecord = EndTransactionRecord::default().into();
    let abort: MetadataRecord = AbortTransactionRecord::default().into();
    let open = [begin.clone(), topic("a", 1)];
    assert_eq!(loaded(&[batch(0, &open)]).image.topic_count(), 0);
    assert_eq!(loaded(&[batch(0, &open)]).unfinished_records, 1);
    assert_eq!(loaded(&[batch(0, &open), batch(2, &[end])]).image.topic_count(), 1);
    let aborted = loaded(&[batch(0, &open), batch(2, &[abort, topic("b", 2)])]);
    assert_eq!((aborted.image.topic("a"), aborted.image.topic("b").is_some()), (None, true));
}

#[test]
fn a_missing_batch_is_noticed() {
    let error = Replay::new().feed(batch(4, &[topic("a", 1)]));
    assert!(matches!(error, Err(LoadError::Gap { expected: 0, found: 4 })), "{error:?}");
}

#[test]
fn a_batch_that_is_cut_off_is_noticed() {
    let whole = batch(0, &[topic("a", 1)]);
    let error = Replay::new().feed(whole.slice(..whole.len() - 1));
    assert!(matches!(error, Err(LoadError::CutOff { offset: 0, .. })), "{error:?}");
}

#[test]
fn a_record_of_another_release_is_an_error_that_names_its_offset() {
    let mut builder = builder(place(0));
    builder.append(0, None, Some(&[1, 99, 0])).expect("small");
    let bytes = builder.build().expect("one record").to_bytes();
    let error = Replay::new().feed(bytes);
    assert!(
        matches!(error, Err(LoadError::Record { offset: 0, error: DecodeError::UnknownRecord { key: 99 } })),
        "{error:?}"
    );
}
