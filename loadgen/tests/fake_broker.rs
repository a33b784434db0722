//! The load generator against a broker that stalls, drops, doubles or swaps, in a simulation: no socket, no clock,
//! one seed, one run. The broker here has one partition, which it keeps in memory.

mod common;
#[path = "common/one_broker.rs"]
mod one_broker;

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::{cut, frame, versions};
use kring_loadgen::measure::Measure;
use kring_loadgen::stats::Amount;
use kring_loadgen::text::table;
use kring_loadgen::timeline::Slot;
use kring_loadgen::{Acks, ConnectionLoad, Filler, Rate, Report, Settings, Sizes, Worker, Workload, prepare};
use kring_runtime::net::{Listener, Stream};
use kring_runtime::{Monotonic, Queue, now, sim, sleep, sleep_until, spawn, wall_ms};
use kring_wire::messages::fetch_request::FetchRequest;
use kring_wire::messages::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};
use kring_wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use kring_wire::messages::produce_request::ProduceRequest;
use kring_wire::messages::produce_response::{
    PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use kring_wire::record::{BatchHeader, Codec};
use kring_wire::{ApiKey, Message, Reader, Records, Str, decode_request_header};
use one_broker::{PORT, metadata};

/// What it offers.
const KEYS: [ApiKey; 5] =
    [ApiKey::Produce, ApiKey::Fetch, ApiKey::Metadata, ApiKey::CreateTopics, ApiKey::ListOffsets];
const SECOND: Duration = Duration::from_secs(1);

/// What the broker does to the batch with this number, counted from 0.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    Drop(u64),
    Double(u64),
    /// With the one after it.
    Swap(u64),
    /// A bit of its last record, with a new checksum.
    Change(u64),
    /// Nothing is answered for so long, once, from 2 s on.
    Stall(Duration),
    /// From 2 s on nothing that is produced is answered any more.
    Mute,
    /// From 2 s on nothing is read any more.
    Deaf,
    /// Nothing at all is answered for so long, from 2 s on.
    Freeze(Duration),
    /// At 2 s all connections end, as at a restart.
    HangUp,
    /// What was before this offset is gone, as after a while of retention.
    Trimmed(i64),
}

struct Broker {
    fault: Fault,
    batches: Cell<u64>,
    log: RefCell<Vec<Bytes>>,
    end: Cell<i64>,
    held: RefCell<Option<Bytes>>,
    stall_from: Monotonic,
}

impl Broker {
    fn take(&self, batch: &Bytes) -> i64 {
        let number = self.batches.replace(self.batches.get() + 1);
        let base = self.end.get();
        match self.fault {
            Fault::Drop(n) if n == number => {}
            Fault::Swap(n) if n == number => *self.held.borrow_mut() = Some(batch.clone()),
            Fault::Double(n) if n == number => {
                self.store(batch.clone());
                self.store(batch.clone());
            }
            Fault::Change(n) if n == number => self.store(changed(batch)),
            _ => self.store(batch.clone()),
        }
        let held = self.held.borrow_mut().take_if(|_| self.fault != Fault::Swap(number));
        if let Some(held) = held {
            self.store(held);
        }
        base
    }

    fn store(&self, batch: Bytes) {
        let mut header = BatchHeader::parse(&batch).unwrap();
        header.base_offset = self.end.get();
        self.end.set(header.last_offset() + 1);
        let mut placed = BytesMut::from(&batch[..]);
        placed[..61].copy_from_slice(&header.to_bytes());
        self.log.borrow_mut().push(placed.freeze());
    }

    fn read(&self, from: i64) -> Bytes {
        let log = self.log.borrow();
        let first = log.partition_point(|batch| BatchHeader::parse(batch).unwrap().last_offset() < from);
        log[first..].iter().take(20).flat_map(|batch| batch.to_vec()).collect()
    }

    async fn stall(&self) {
        match self.fault {
            Fault::Stall(length) if now() >= self.stall_from => sleep_until(self.stall_from + length).await,
            Fault::Mute if now() >= self.stall_from => pending().await,
            _ => {}
        }
    }

    async fn freeze(&self) {
        if let Fault::Freeze(length) = self.fault
            && now() >= self.stall_from
        {
            sleep_until(self.stall_from + length).await;
        }
    }

    fn hangs_up(&self, opened: Monotonic) -> bool {
        self.fault == Fault::HangUp && opened < self.stall_from && now() >= self.stall_from
    }

    /// Holds a connection that is not read any more.
    async fn listen(&self) {
        if self.fault == Fault::Deaf && now() >= self.stall_from {
            pending::<()>().await;
        }
    }

    async fn answer(&self, key: ApiKey, version: i16, correlation: i32, mut body: Reader) -> Vec<Bytes> {
        match key {
            ApiKey::ApiVersions => vec![frame(version, correlation, &versions(&KEYS))],
            ApiKey::Metadata => vec![frame(version, correlation, &metadata())],
            ApiKey::ListOffsets => vec![frame(version, correlation, &self.list_offsets())],
            ApiKey::Produce => {
                self.stall().await;
                let request = ProduceRequest::decode(&mut body, version).unwrap();
                let answer = self.produce(&request);
                // Nobody waits for one with acks=0.
                let answers = (request.acks != 0).then(|| frame(version, correlation, &answer));
                answers.into_iter().collect()
            }
            ApiKey::Fetch => {
                let request = FetchRequest::decode(&mut body, version).unwrap();
                sleep_until(now() + Duration::from_millis(2)).await;
                vec![frame(version, correlation, &self.fetch(&request))]
            }
            other => panic!("nobody asked for {other}"),
        }
    }

    fn produce(&self, request: &ProduceRequest) -> ProduceResponse {
        let records = request.topic_data[0].partition_data[0].records.as_ref().unwrap();
        let base_offset = self.take(records.as_bytes().unwrap());
        let partition = PartitionProduceResponse { base_offset, ..Default::default() };
        let topic = TopicProduceResponse {
            name: Str::from("t"),
            partition_responses: vec![partition],
            ..Default::default()
        };
        ProduceResponse { responses: vec![topic], ..Default::default() }
    }

    fn fetch(&self, request: &FetchRequest) -> FetchResponse {
        let from = request.topics[0].partitions[0].fetch_offset;
        if let Fault::Trimmed(start) = self.fault {
            assert!(from >= start, "offset {from} is out of range");
        }
        let partition = PartitionData {
            high_watermark: self.end.get(),
            records: Some(Records::Bytes(self.read(from))),
            ..Default::default()
        };
        let topic = FetchableTopicResponse {
            topic: Str::from("t"),
            partitions: vec![partition],
            ..Default::default()
        };
        FetchResponse { responses: vec![topic], ..Default::default() }
    }

    fn list_offsets(&self) -> ListOffsetsResponse {
        let partition = ListOffsetsPartitionResponse { offset: self.end.get(), ..Default::default() };
        let topic = ListOffsetsTopicResponse { name: Str::from("t"), partitions: vec![partition] };
        ListOffsetsResponse { topics: vec![topic], ..Default::default() }
    }

    async fn serve(self: Rc<Self>, stream: Stream) {
        let (mut read, mut write) = stream.into_split();
        let (mut buffer, opened) = (BytesMut::new(), now());
        loop {
            while let Some(mut request) = cut(&mut buffer) {
                if self.hangs_up(opened) {
                    return;
                }
                self.freeze().await;
                let (key, header) = decode_request_header(&mut request).unwrap();
                let version = header.request_api_version;
                let parts = self.answer(key, version, header.correlation_id, request).await;
                if write.write_all(parts).await.is_err() {
                    // The client has given it up.
                    return;
                }
            }
            self.listen().await;
            if !matches!(read.read(&mut buffer).await, Ok(bytes) if bytes > 0) {
                return;
            }
        }
    }
}

fn changed(batch: &Bytes) -> Bytes {
    let mut bytes = batch.to_vec();
    // The last byte is the count of headers; before it comes the value.
    let at = bytes.len() - 2;
    bytes[at] ^= 1;
    let crc = kring_wire::record::batch_crc(&bytes).unwrap();
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

/// A thousand records a second for ten seconds, through a broker with this fault.
fn run(fault: Fault) -> Report {
    run_with(fault, |_| ()).unwrap()
}

/// The same with other settings.
fn run_with(fault: Fault, change: fn(&mut Settings)) -> Result<Report, String> {
    run_until(Duration::MAX, fault, change)
}

/// The same, with an operator who ends it so long after it was asked for.
fn run_until(interrupt: Duration, fault: Fault, change: fn(&mut Settings)) -> Result<Report, String> {
    let mut reports = sim::run(sim::SimConfig::new(1, 1), move |_| async move {
        let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], PORT))).unwrap();
        let broker = Rc::new(Broker {
            fault,
            batches: Cell::new(0),
            log: RefCell::default(),
            end: Cell::new(if let Fault::Trimmed(start) = fault { start } else { 0 }),
            held: RefCell::default(),
            stall_from: now() + 2 * SECOND,
        });
        let accepting = spawn(Queue::Net, async move {
            while let Ok(stream) = listener.accept().await {
                spawn(Queue::Net, broker.clone().serve(stream)).detach();
            }
        });
        spawn(Queue::Net, async move {
            sleep(interrupt).await;
            sim::request_shutdown();
        })
        .detach();
        let mut settings = Settings {
            rate: Rate::Open(1000),
            record_size: Sizes::fixed(100),
            warm_up: Duration::ZERO,
            verify: true,
            ..Settings::of(Workload::EndToEnd, "t")
        };
        change(&mut settings);
        let plan = prepare(settings.clone()).await.map_err(|error| error.to_string())?;
        let outcome = Worker::new(plan, 1).run(0).await.map_err(|error| error.to_string())?;
        drop(accepting);
        Ok(Report::new(&settings, outcome, Default::default()))
    })
    .unwrap();
    reports.remove(0)
}

#[test]
fn an_honest_broker_is_good_and_quick() {
    let report = run(Fault::None);
    let judgement = report.judgement.unwrap();
    assert!(report.is_good(), "{}", table(&report));
    assert_eq!(judgement.acknowledged, 10_000);
    assert_eq!(report.stats.of(&Measure::Acknowledged).count(), 10_000);
    assert_eq!(report.stats.of(&Measure::Received).count(), 10_000);
    assert!(
        report.stats.of(&Measure::Received).summary().max < Duration::from_millis(500),
        "{}",
        table(&report)
    );
}

#[test]
fn what_is_produced_and_what_is_received_are_the_same_bytes_by_both_counts() {
    let compressed = |settings: &mut Settings| {
        settings.codec = Codec::Lz4;
        settings.filler = Filler::Text;
        settings.record_size = Sizes::fixed(1000);
        settings.batch_records = 20;
        settings.linger = Duration::from_millis(20);
        settings.duration = 2 * SECOND;
    };
    let report = run_with(Fault::None, compressed).unwrap();
    let bytes = |amount: Amount| (amount.records, amount.content_bytes, amount.batch_bytes);
    let total = |of: fn(&Slot) -> Amount| {
        let mut total = Amount::default();
        report.slots.iter().for_each(|slot| total.add(of(slot)));
        bytes(total)
    };
    let (records, content, batches) = total(|slot| slot.produced);
    assert_eq!((records, content), (2000, 2_000_000));
    assert!(batches < content / 2, "{batches}");
    assert_eq!(total(|slot| slot.consumed), (records, content, batches));
}

#[test]
fn a_broker_that_stalls_once_shows_in_the_percentiles_as_if_nobody_had_waited() {
    let report = run(Fault::Stall(SECOND));
    let summary = report.stats.of(&Measure::Acknowledged).summary();
    assert_eq!(summary.count, 10_000, "everybody who would have asked counts");
    // A tenth of the records were due in the stall: the 99th percentile is nine tenths of it, the median nothing.
    assert!(summary.p50 < Duration::from_millis(500), "{summary:?}");
    assert!(summary.p99 > Duration::from_millis(850), "{summary:?}");
    assert!(summary.p999 > Duration::from_millis(950), "{summary:?}");
    assert!(report.is_good(), "late is not lost");
}

#[test]
fn a_stall_is_seen_in_its_second_and_is_not_the_load_generators_fault() {
    let report = run(Fault::Stall(SECOND));
    // It begins just before second 2 of the run and ends just before second 3.
    let produced: Vec<u64> = report.slots.iter().map(|slot| slot.produced.records).collect();
    assert!(produced[1] < 1000 && produced[2] > 1000, "{produced:?}");
    assert_eq!(produced.iter().sum::<u64>(), 10_000);
    let p99 = |slot: usize| report.slots[slot].measures().get(&Measure::Acknowledged).quantile(0.99);
    assert!(p99(1) < Duration::from_millis(10) && p99(2) > Duration::from_millis(900));
    let longest = report.stats.of(&Measure::Written).summary().max;
    assert!(longest > Duration::from_millis(500), "they waited here: {longest:?}");
    assert_eq!(report.missed().late, 0, "for the broker");
}

/// Records of 10 kB, so that sockets fill, and requests that have failed after a second.
fn impatient(settings: &mut Settings) {
    settings.workload = Workload::Produce;
    settings.record_size = Sizes::fixed(10_000);
    settings.request_timeout = SECOND;
    settings.verify = false;
}

#[test]
fn a_broker_that_never_answers_ends_no_run_late_and_every_record_is_accounted_for() {
    for fault in [Fault::Mute, Fault::Deaf] {
        let report = run_with(fault, impatient).unwrap();
        let stats = &report.stats;
        let acknowledged = stats.of(&Measure::Acknowledged).count() - stats.unsent;
        assert!(acknowledged > 1000, "it answered at first: {}", table(&report));
        assert!(
            stats.errors.get("no answer in time").is_some_and(|records| *records > 0),
            "{}",
            table(&report)
        );
        assert_eq!(acknowledged + stats.error_count() + stats.unsent, 10_000, "{}", table(&report));
        // A second after the end for what was due, ten for answers, two timeouts for what was under way.
        assert!(stats.lasted < 23 * SECOND, "{:?}", stats.lasted);
        assert!(!report.is_good());
    }
}

#[test]
fn a_consumer_reads_on_after_a_freeze_that_was_longer_than_its_patience() {
    let impatient = |settings: &mut Settings| settings.request_timeout = SECOND;
    let report = run_with(Fault::Freeze(4 * SECOND), impatient).unwrap();
    let judgement = report.judgement.unwrap();
    assert_eq!((judgement.lost, judgement.doubled), (0, 0), "{}", table(&report));
    let read: Vec<u64> = report.slots[7..9].iter().map(|slot| slot.consumed.records).collect();
    assert!(read.iter().all(|records| *records > 500), "{read:?}: {}", table(&report));
}

#[test]
fn as_fast_as_the_broker_answers_goes_on_when_its_connections_have_ended() {
    let fast = |settings: &mut Settings| {
        settings.workload = Workload::Produce;
        settings.rate = Rate::Max;
        settings.record_size = Sizes::fixed(10_000);
        settings.verify = false;
    };
    let report = run_with(Fault::HangUp, fast).unwrap();
    let made: Vec<u64> = report.slots.iter().map(|slot| slot.produced.records).collect();
    assert!(made[..10].iter().all(|records| *records > 100), "{made:?}");
}

#[test]
fn without_acknowledgements_what_came_late_is_waited_for_and_what_did_not_come_is_an_error() {
    let careless = |settings: &mut Settings| {
        settings.acks = Acks::None;
        settings.verify = false;
        // So little that all of it has room in the socket meanwhile.
        settings.rate = Rate::Open(200);
        settings.duration = 3 * SECOND;
    };
    let late = run_with(Fault::Freeze(3 * SECOND), careless).unwrap();
    assert!(late.is_good(), "{}", table(&late));
    assert_eq!(late.stats.of(&Measure::Received).count(), 600, "{}", table(&late));
    let lost = run_with(Fault::Drop(100), careless).unwrap();
    let cause = "sent without acknowledgement and not received in time";
    assert!(lost.stats.errors.get(cause).is_some_and(|records| *records > 0), "{}", table(&lost));
}

#[test]
fn a_run_by_count_ends_though_what_was_acknowledged_does_not_come() {
    let counted = |settings: &mut Settings| {
        settings.count = Some(3000);
        settings.duration = 3600 * SECOND;
    };
    let report = run_with(Fault::Drop(1), counted).unwrap();
    assert!(report.slots.len() < 60 && !report.is_good(), "{}", table(&report));
}

#[test]
fn a_request_that_takes_less_than_its_timeout_is_waited_for() {
    let patient = |settings: &mut Settings| settings.request_timeout = 2 * SECOND;
    let report = run_with(Fault::Stall(SECOND), patient).unwrap();
    assert!(report.is_good(), "{}", table(&report));
    assert_eq!(report.stats.of(&Measure::Acknowledged).count(), 10_000);
}

#[test]
fn a_stall_beyond_the_timeout_is_an_error_and_the_run_goes_on_after_it() {
    let report = run_with(Fault::Stall(3 * SECOND), impatient).unwrap();
    let failed = report.stats.errors.get("no answer in time").copied().unwrap_or(0);
    assert!(failed > 0 && report.stats.error_count() == failed, "{}", table(&report));
    let after: u64 = report.slots[6..10].iter().map(|slot| slot.produced.records).sum();
    assert!(after >= 3000, "{}", table(&report));
}

#[test]
fn an_instance_starts_at_the_time_that_it_is_told() {
    let start = |settings: &mut Settings| settings.start_at = Some(wall_ms().unsigned_abs() + 3000);
    let report = run_with(Fault::None, start).unwrap();
    let soon = run_with(Fault::None, |settings| settings.start_at = None).unwrap();
    assert!(report.started_ms > soon.started_ms + 2900, "{} and {}", report.started_ms, soon.started_ms);
    assert_eq!(report.stats.of(&Measure::Received).count(), 10_000);
}

#[test]
fn an_instance_that_is_late_for_the_start_does_not_take_part() {
    let late = |settings: &mut Settings| settings.start_at = Some(wall_ms().unsigned_abs() - 20);
    let error = run_with(Fault::None, late).unwrap_err();
    assert!(error.contains("--start-at passed"), "{error}");
}

#[test]
fn a_run_that_is_interrupted_gives_what_was_measured_until_then_and_verifies_it() {
    let report = run_until(4 * SECOND, Fault::None, |_| ()).unwrap();
    assert!(report.interrupted && report.is_good(), "{}", table(&report));
    assert!((3.5..=4.0).contains(&report.measured.as_secs_f64()), "{:?}", report.measured);
    let records = report.stats.of(&Measure::Acknowledged).count();
    assert!((3500..=4000).contains(&records), "{}", table(&report));
    assert_eq!(report.stats.of(&Measure::Received).count(), records);
    assert_eq!(report.judgement.unwrap().acknowledged, records);
    assert_eq!(report.slots.iter().map(|slot| slot.produced.records).sum::<u64>(), records);
    assert!(table(&report).contains("interrupted"), "{}", table(&report));
}

#[test]
fn what_is_in_flight_when_a_run_is_interrupted_is_waited_for() {
    // From 2 s to 5 s nothing is answered.
    let report = run_until(3 * SECOND, Fault::Freeze(3 * SECOND), |_| ()).unwrap();
    assert!(report.interrupted && report.stats.error_count() == 0, "{}", table(&report));
    let (judgement, received) = (report.judgement.unwrap(), report.stats.of(&Measure::Received).summary());
    assert_eq!((judgement.lost, judgement.acknowledged), (0, received.count), "{}", table(&report));
    assert!(received.max > 2 * SECOND, "{}", table(&report));
}

#[test]
fn a_broker_that_answers_nothing_holds_up_an_interrupted_run_as_long_as_any_other_and_not_longer() {
    let report = run_until(4 * SECOND, Fault::Mute, impatient).unwrap();
    assert!(report.interrupted && report.stats.lasted < 17 * SECOND, "{:?}", report.stats.lasted);
    let stats = &report.stats;
    let acknowledged = stats.of(&Measure::Acknowledged).count() - stats.unsent;
    let due = (report.measured.as_secs_f64() * 1000.0).ceil() as u64;
    assert_eq!(acknowledged + stats.error_count() + stats.unsent, due, "{}", table(&report));
}

#[test]
fn a_run_that_waits_for_its_next_record_or_ends_by_count_or_warms_up_can_be_interrupted() {
    let rare = |settings: &mut Settings| {
        settings.rate = Rate::Open(1);
        settings.duration = 3600 * SECOND;
    };
    let counted = |settings: &mut Settings| {
        settings.count = Some(1_000_000);
        settings.duration = 3600 * SECOND;
    };
    let warming_up = |settings: &mut Settings| settings.warm_up = 60 * SECOND;
    for (change, measured_s) in [(rare as fn(&mut Settings), 4), (counted, 4), (warming_up, 0)] {
        let report = run_until(4 * SECOND, Fault::None, change).unwrap();
        assert!(report.interrupted && report.is_good(), "{}", table(&report));
        assert_eq!(report.measured.as_secs_f64().ceil() as u64, measured_s);
        assert!(report.slots.len() <= 6, "{} slots", report.slots.len());
    }
}

#[test]
fn what_is_interrupted_before_its_start_has_no_result() {
    let later = |settings: &mut Settings| {
        settings.start_at = Some(wall_ms().unsigned_abs() + 3_600_000);
    };
    let error = run_until(4 * SECOND, Fault::None, later).unwrap_err();
    assert!(error.contains("before the start"), "{error}");
}

#[test]
fn connections_that_are_interrupted_say_how_many_were_open() {
    let slow = |settings: &mut Settings| {
        settings.workload = Workload::Connections;
        settings.verify = false;
        settings.connecting =
            ConnectionLoad { connections: 1000, per_second: 10, ..ConnectionLoad::default() };
        settings.duration = 100 * SECOND;
    };
    let report = run_until(4 * SECOND, Fault::None, slow).unwrap();
    let count = |name: &str| report.stats.counts[name];
    assert!((35..=41).contains(&count("connections opened")), "{}", table(&report));
    assert_eq!(count("connections open until the end"), count("connections opened"));
    assert!(report.interrupted && report.is_good(), "{}", table(&report));
}

#[test]
fn what_is_read_slowly_is_read_from_where_its_partition_begins_and_as_slowly_as_asked() {
    let slow = |settings: &mut Settings| {
        settings.workload = Workload::Connections;
        settings.verify = false;
        settings.connecting = ConnectionLoad {
            connections: 2,
            per_second: 1000,
            read_bytes_per_s: Some(3),
            ..ConnectionLoad::default()
        };
        settings.duration = 40 * SECOND;
    };
    let report = run_with(Fault::Trimmed(5000), slow).unwrap();
    assert!(report.is_good(), "{}", table(&report));
    let bytes = report.stats.counts["bytes read slowly"];
    assert!((216..=250).contains(&bytes), "2 × 3 × 40: {}", table(&report));
}

#[test]
fn a_dropped_batch_is_caught() {
    let judgement = run(Fault::Drop(100)).judgement.unwrap();
    assert!(judgement.lost > 0, "{judgement:?}");
}

#[test]
fn a_doubled_batch_is_caught() {
    let judgement = run(Fault::Double(100)).judgement.unwrap();
    assert!(judgement.doubled > 0 && judgement.lost == 0, "{judgement:?}");
}

#[test]
fn swapped_batches_are_caught() {
    let judgement = run(Fault::Swap(100)).judgement.unwrap();
    assert!(judgement.reordered > 0 && judgement.lost == 0, "{judgement:?}");
}

#[test]
fn a_changed_record_is_caught() {
    let judgement = run(Fault::Change(100)).judgement.unwrap();
    assert_eq!((judgement.changed, judgement.lost), (1, 0), "{judgement:?}");
}
