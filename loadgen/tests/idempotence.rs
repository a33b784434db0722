//! Idempotent producers against a cluster of two brokers that loses answers, connections, leaders and memory, in a
//! simulation: no socket, no clock, one seed, one run. The cluster has one partition, whose log both brokers see, and
//! numbers of producers are checked as Kafka's `ProducerStateManager` does.

mod common;
#[path = "common/two_brokers.rs"]
mod two_brokers;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::{cut, frame, versions};
use kring_loadgen::text::table;
use kring_loadgen::{KeySpace, Rate, Report, Settings, Sizes, Worker, Workload, prepare};
use kring_runtime::net::{Listener, Stream};
use kring_runtime::{Monotonic, Queue, now, sim, sleep_until, spawn};
use kring_wire::messages::fetch_request::FetchRequest;
use kring_wire::messages::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};
use kring_wire::messages::init_producer_id_response::InitProducerIdResponse;
use kring_wire::messages::list_offsets_request::ListOffsetsRequest;
use kring_wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use kring_wire::messages::metadata_response::{
    MetadataResponse, MetadataResponsePartition, MetadataResponseTopic,
};
use kring_wire::messages::produce_request::ProduceRequest;
use kring_wire::messages::produce_response::{
    PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use kring_wire::record::BatchHeader;
use kring_wire::{ApiKey, ErrorCode, Message, Reader, Records, Str, decode_request_header};
use two_brokers::{BatchLog, KEYS, PORTS, SECOND, brokers};

/// Brokers remember so many batches of a producer.
const REMEMBERED: usize = 5;

#[derive(Clone, Copy, PartialEq)]
enum Trouble {
    None,
    /// Every so many batches the connection is lost after the append, before the answer.
    LosesAnswers(u64),
    /// The same, with a cluster that does not check numbers.
    LosesAnswersAndDoubles(u64),
    /// After two seconds the other broker leads.
    MovesLeader,
    /// After two seconds no broker takes connections for so long, and all are closed.
    IsDown(Duration),
    /// The batch with this number is refused for good.
    Refuses(u64),
    /// Every fiftieth batch is refused for good, and no producer has an epoch left.
    RefusesMany,
    /// After two seconds the producers' numbers are forgotten.
    Forgets,
}

/// What a producer's numbers say.
#[derive(Default)]
struct Producer {
    epoch: i16,
    next: i32,
    /// First number and base offset of the last batches.
    batches: Vec<(i32, i64)>,
}

struct Cluster {
    trouble: Trouble,
    trouble_from: Monotonic,
    forgotten: Cell<bool>,
    batches: Cell<u64>,
    log: RefCell<BatchLog>,
    producers: RefCell<BTreeMap<i64, Producer>>,
    next_producer_id: Cell<i64>,
    /// Of new producers.
    first_epoch: i16,
}

impl Cluster {
    fn is_troubled(&self) -> bool {
        now() >= self.trouble_from
    }

    fn leader(&self) -> usize {
        usize::from(self.trouble == Trouble::MovesLeader && self.is_troubled())
    }

    fn is_down(&self) -> bool {
        matches!(self.trouble, Trouble::IsDown(length)
            if self.is_troubled() && now() < self.trouble_from + length)
    }

    /// The base offset, or why the batch is refused.
    fn take(&self, batch: &Bytes) -> Result<i64, ErrorCode> {
        let header = BatchHeader::parse(batch).unwrap();
        let refused = match self.trouble {
            Trouble::Refuses(number) => number == self.batches.get(),
            Trouble::RefusesMany => self.batches.get() % 50 == 49,
            _ => false,
        };
        if refused {
            return Err(ErrorCode::MESSAGE_TOO_LARGE);
        }
        if self.trouble == Trouble::Forgets && self.is_troubled() && !self.forgotten.replace(true) {
            self.producers.borrow_mut().clear();
        }
        let mut producers = self.producers.borrow_mut();
        if header.producer_id < 0 || matches!(self.trouble, Trouble::LosesAnswersAndDoubles(_)) {
            return Ok(self.log.borrow_mut().store(batch));
        }
        let producer = match producers.get_mut(&header.producer_id) {
            Some(producer) => producer,
            None if header.base_sequence != 0 => return Err(ErrorCode::UNKNOWN_PRODUCER_ID),
            None => producers.entry(header.producer_id).or_default(),
        };
        if header.producer_epoch > producer.epoch {
            *producer = Producer { epoch: header.producer_epoch, ..Producer::default() };
        }
        let first = header.base_sequence;
        if let Some((_, base)) = producer.batches.iter().find(|(sequence, _)| *sequence == first) {
            return Ok(*base);
        }
        if header.producer_epoch < producer.epoch || first != producer.next {
            return Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
        }
        producer.next += header.record_count;
        let base = self.log.borrow_mut().store(batch);
        producer.batches.push((first, base));
        producer.batches.drain(..producer.batches.len().saturating_sub(REMEMBERED));
        Ok(base)
    }

    /// Absent where the connection is lost instead.
    async fn answer(
        &self,
        broker: usize,
        key: ApiKey,
        version: i16,
        correlation: i32,
        mut body: Reader,
    ) -> Option<Bytes> {
        let leads = self.leader() == broker;
        Some(match key {
            ApiKey::ApiVersions => frame(version, correlation, &versions(&KEYS)),
            ApiKey::Metadata => frame(version, correlation, &self.metadata()),
            ApiKey::ListOffsets => {
                let request = ListOffsetsRequest::decode(&mut body, version).unwrap();
                frame(version, correlation, &self.list_offsets(&request))
            }
            ApiKey::InitProducerId => {
                let producer_id = self.next_producer_id.replace(self.next_producer_id.get() + 1);
                let producer_epoch = self.first_epoch;
                let answer = InitProducerIdResponse { producer_id, producer_epoch, ..Default::default() };
                frame(version, correlation, &answer)
            }
            ApiKey::Produce => {
                let request = ProduceRequest::decode(&mut body, version).unwrap();
                let answer = self.produce(leads, &request);
                let number = self.batches.replace(self.batches.get() + 1);
                match self.trouble {
                    Trouble::LosesAnswers(every) | Trouble::LosesAnswersAndDoubles(every)
                        if number % every == every - 1 =>
                    {
                        return None;
                    }
                    _ => frame(version, correlation, &answer),
                }
            }
            ApiKey::Fetch => {
                let request = FetchRequest::decode(&mut body, version).unwrap();
                sleep_until(now() + Duration::from_millis(2)).await;
                frame(version, correlation, &self.fetch(leads, &request))
            }
            other => panic!("nobody asked for {other}"),
        })
    }

    fn produce(&self, leads: bool, request: &ProduceRequest) -> ProduceResponse {
        let records = request.topic_data[0].partition_data[0].records.as_ref().unwrap();
        let taken = match leads {
            true => self.take(records.as_bytes().unwrap()),
            false => Err(ErrorCode::NOT_LEADER_OR_FOLLOWER),
        };
        let (error_code, base_offset) = taken.map_or_else(|code| (code.0, -1), |base| (0, base));
        let partition = PartitionProduceResponse { error_code, base_offset, ..Default::default() };
        let topic = TopicProduceResponse {
            name: Str::from("t"),
            partition_responses: vec![partition],
            ..Default::default()
        };
        ProduceResponse { responses: vec![topic], ..Default::default() }
    }

    fn fetch(&self, leads: bool, request: &FetchRequest) -> FetchResponse {
        let from = request.topics[0].partitions[0].fetch_offset;
        let records = if leads { self.log.borrow().read(from) } else { Bytes::new() };
        let partition = PartitionData {
            error_code: if leads { 0 } else { ErrorCode::NOT_LEADER_OR_FOLLOWER.0 },
            high_watermark: self.log.borrow().end,
            records: Some(Records::Bytes(records)),
            ..Default::default()
        };
        let topic = FetchableTopicResponse {
            topic: Str::from("t"),
            partitions: vec![partition],
            ..Default::default()
        };
        FetchResponse { responses: vec![topic], ..Default::default() }
    }

    fn list_offsets(&self, request: &ListOffsetsRequest) -> ListOffsetsResponse {
        let earliest = request.topics[0].partitions[0].timestamp == -2;
        let offset = if earliest { 0 } else { self.log.borrow().end };
        let partition = ListOffsetsPartitionResponse { offset, ..Default::default() };
        let topic = ListOffsetsTopicResponse { name: Str::from("t"), partitions: vec![partition] };
        ListOffsetsResponse { topics: vec![topic], ..Default::default() }
    }

    fn metadata(&self) -> MetadataResponse {
        let partition = MetadataResponsePartition { leader_id: self.leader() as i32, ..Default::default() };
        let topic = MetadataResponseTopic {
            name: Some(Str::from("t")),
            partitions: vec![partition],
            ..Default::default()
        };
        MetadataResponse { brokers: brokers(), topics: vec![topic], controller_id: 0, ..Default::default() }
    }

    async fn serve(self: Rc<Self>, broker: usize, stream: Stream) {
        let (mut read, mut write) = stream.into_split();
        let mut buffer = BytesMut::new();
        loop {
            while let Some(mut request) = cut(&mut buffer) {
                let (key, header) = decode_request_header(&mut request).unwrap();
                let version = header.request_api_version;
                let answer = self.answer(broker, key, version, header.correlation_id, request).await;
                let Some(answer) = answer.filter(|_| !self.is_down()) else { return };
                if write.write_all(vec![answer]).await.is_err() {
                    return;
                }
            }
            if !matches!(read.read(&mut buffer).await, Ok(bytes) if bytes > 0) || self.is_down() {
                return;
            }
        }
    }
}

/// A thousand records a second for four seconds, through a cluster with this trouble.
fn run(trouble: Trouble) -> Report {
    run_with(trouble, |_| ())
}

fn run_with(trouble: Trouble, change: fn(&mut Settings)) -> Report {
    let mut reports = sim::run(sim::SimConfig::new(1, 1), move |_| async move {
        let cluster = Rc::new(Cluster {
            trouble,
            trouble_from: now() + 2 * SECOND,
            forgotten: Cell::new(false),
            batches: Cell::new(0),
            log: RefCell::default(),
            producers: RefCell::default(),
            next_producer_id: Cell::new(7),
            first_epoch: if trouble == Trouble::RefusesMany { i16::MAX } else { 0 },
        });
        let accepting = PORTS.map(|port| {
            let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
            let (cluster, broker) = (cluster.clone(), usize::from(port - PORTS[0]));
            spawn(Queue::Net, async move {
                while let Ok(stream) = listener.accept().await {
                    if !cluster.is_down() {
                        spawn(Queue::Net, cluster.clone().serve(broker, stream)).detach();
                    }
                }
            })
        });
        let mut settings = Settings {
            rate: Rate::Open(1000),
            record_size: Sizes::fixed(100),
            warm_up: Duration::ZERO,
            duration: 4 * SECOND,
            idempotence: true,
            producers: 2,
            verify: true,
            ..Settings::of(Workload::EndToEnd, "t")
        };
        change(&mut settings);
        let plan = prepare(settings.clone()).await.unwrap();
        let outcome = Worker::new(plan, 1).run(0).await.unwrap();
        drop(accepting);
        Report::new(&settings, outcome, Default::default())
    })
    .unwrap();
    reports.remove(0)
}

/// Every record was acknowledged and came back once, in order, unchanged; and what went wrong was counted.
fn assert_whole(report: &Report) {
    assert!(report.is_good(), "{}", table(report));
    assert_eq!(report.judgement.unwrap().acknowledged, 4_000, "{}", table(report));
}

#[test]
fn without_trouble_nothing_is_sent_again() {
    let report = run(Trouble::None);
    assert_whole(&report);
    assert!(report.stats.retries.is_empty(), "{}", table(&report));
}

#[test]
fn lost_answers_double_nothing_and_lose_nothing() {
    let report = run(Trouble::LosesAnswers(50));
    assert_whole(&report);
    assert!(report.stats.retries.values().sum::<u64>() > 20, "{}", table(&report));
}

#[test]
fn a_cluster_that_takes_batches_again_is_caught() {
    let judgement = run(Trouble::LosesAnswersAndDoubles(50)).judgement.unwrap();
    assert!(judgement.doubled > 0 && judgement.lost == 0, "{judgement:?}");
}

#[test]
fn without_idempotence_a_lost_answer_is_an_error_and_nothing_is_sent_again() {
    let report = run_with(Trouble::LosesAnswers(50), |settings| settings.idempotence = false);
    assert!(report.stats.retries.is_empty() && report.stats.error_count() > 20, "{}", table(&report));
    let judgement = report.judgement.unwrap();
    assert!(judgement.is_good(), "{judgement:?}");
    assert_eq!(judgement.acknowledged + report.stats.error_count(), 4_000);
}

#[test]
fn producers_and_consumers_follow_the_leader() {
    let report = run(Trouble::MovesLeader);
    assert_whole(&report);
    assert!(report.stats.retries.contains_key("NOT_LEADER_OR_FOLLOWER"), "{}", table(&report));
}

#[test]
fn without_idempotence_a_run_survives_a_new_leader_and_says_what_it_lost() {
    let report = run_with(Trouble::MovesLeader, |settings| settings.idempotence = false);
    let refused = report.stats.errors["NOT_LEADER_OR_FOLLOWER"];
    let judgement = report.judgement.unwrap();
    assert!(judgement.is_good(), "{judgement:?}");
    assert_eq!(judgement.acknowledged + refused, 4_000);
}

#[test]
fn a_cluster_that_is_down_for_a_second_loses_nothing_and_shows_in_the_latency() {
    let report = run(Trouble::IsDown(SECOND));
    assert_whole(&report);
    let longest = report.latencies()[0].1.max;
    assert!(longest > Duration::from_millis(900), "{longest:?}");
}

#[test]
fn one_batch_that_is_refused_for_good_costs_no_other() {
    let report = run(Trouble::Refuses(300));
    let refused = report.stats.errors["MESSAGE_TOO_LARGE"];
    let judgement = report.judgement.unwrap();
    assert!(judgement.is_good(), "{judgement:?}");
    assert_eq!(judgement.acknowledged + refused, 4_000, "{}", table(&report));
    assert_eq!(report.stats.errors.len(), 1, "{}", table(&report));
}

#[test]
fn producers_without_an_epoch_left_get_another_id() {
    let report = run(Trouble::RefusesMany);
    let refused = report.stats.errors["MESSAGE_TOO_LARGE"];
    let judgement = report.judgement.unwrap();
    assert!(refused > 5 && judgement.is_good(), "{}", table(&report));
    assert_eq!(judgement.acknowledged + refused, 4_000, "{}", table(&report));
}

#[test]
fn history_is_read_beside_the_tail_and_measured_apart_through_a_change_of_leader() {
    let report = run_with(Trouble::MovesLeader, |settings| settings.workload = Workload::Mixed);
    assert_whole(&report);
    let history = report.stats.amounts["history"];
    assert!(history.records > 4_000, "read again and again: {}", table(&report));
    let measured: Vec<_> =
        report.latencies().into_iter().map(|(measure, _)| measure.key().to_owned()).collect();
    assert!(measured.contains(&"history fetch round trip".to_owned()), "{measured:?}");
    assert!(report.stats.consumed.records <= 4_000, "the tail is read once");
}

#[test]
fn a_cluster_that_forgot_the_producers_gets_new_numbers() {
    let report = run(Trouble::Forgets);
    assert_whole(&report);
    assert!(report.stats.retries.contains_key("UNKNOWN_PRODUCER_ID"), "{}", table(&report));
}

#[test]
fn keys_sizes_poisson_arrivals_and_linger_change_nothing_of_it() {
    let report = run_with(Trouble::LosesAnswers(20), |settings| {
        settings.keys = Some(KeySpace { count: 50, skew: 1.0, bytes: 8 });
        settings.record_size = "50..3000".parse().unwrap();
        settings.linger = Duration::from_millis(5);
        settings.batch_bytes = 4096;
        settings.spacing = kring_loadgen::pace::Spacing::Poisson;
    });
    assert!(report.is_good(), "{}", table(&report));
    let acknowledged = report.judgement.unwrap().acknowledged;
    assert!((3_700..4_300).contains(&acknowledged), "{acknowledged} of about 4000");
}

#[test]
fn a_run_by_count_sends_so_many_records_and_ends() {
    let report = run_with(Trouble::None, |settings| {
        settings.count = Some(1_001);
        settings.duration = 3600 * SECOND;
    });
    assert!(report.is_good(), "{}", table(&report));
    assert_eq!(report.judgement.unwrap().acknowledged, 1_001);
    assert!((Duration::from_millis(900)..2 * SECOND).contains(&report.measured), "{:?}", report.measured);
}

#[test]
fn producers_that_send_every_seventy_seconds_wait_in_between() {
    let report = run_with(Trouble::None, |settings| {
        (settings.workload, settings.verify) = (Workload::Produce, false);
        (settings.rate, settings.producers) = (Rate::Open(1), 70);
        settings.count = Some(75);
        settings.duration = 3600 * SECOND;
    });
    assert!(report.is_good(), "{}", table(&report));
    assert_eq!(report.stats.produced.records, 75);
}

#[test]
fn as_fast_as_the_broker_answers_is_in_order_too() {
    let report = run_with(Trouble::LosesAnswers(20), |settings| {
        settings.rate = Rate::Max;
        settings.count = Some(2_000);
        settings.keys = Some(KeySpace { count: 50, skew: 0.0, bytes: 8 });
    });
    assert!(report.is_good(), "{}", table(&report));
    assert_eq!(report.judgement.unwrap().acknowledged, 2_000);
}
