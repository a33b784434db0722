//! Several topics in one run, against a cluster of two brokers that drops, swaps, copies or moves, in a simulation: no
//! socket, no clock, one seed, one run. The cluster keeps a log for each partition, takes batches only where their
//! partition is led, and only in the order of their producer's numbers.

mod common;
#[path = "common/two_brokers.rs"]
mod two_brokers;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::{cut, frame, versions};
use kring_loadgen::measure::Measure;
use kring_loadgen::text::table;
use kring_loadgen::verify::Judgement;
use kring_loadgen::{Document, KeySpace, Rate, Report, Settings, Sizes, Worker, Workload, prepare};
use kring_runtime::net::{Listener, Stream};
use kring_runtime::{Monotonic, Queue, Task, now, sim, sleep_until, spawn, timeout_at};
use kring_wire::messages::create_topics_request::CreateTopicsRequest;
use kring_wire::messages::create_topics_response::{CreatableTopicResult, CreateTopicsResponse};
use kring_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kring_wire::messages::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};
use kring_wire::messages::init_producer_id_response::InitProducerIdResponse;
use kring_wire::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use kring_wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use kring_wire::messages::metadata_request::MetadataRequest;
use kring_wire::messages::metadata_response::{
    MetadataResponse, MetadataResponsePartition, MetadataResponseTopic,
};
use kring_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kring_wire::messages::produce_response::{
    PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use kring_wire::record::{BatchHeader, split_batches};
use kring_wire::{ApiKey, ErrorCode, Message, Reader, Records, Str, decode_request_header};
use two_brokers::{BatchLog, KEYS, PORTS, SECOND, brokers};

/// Which batch of the second topic is treated in another way.
const CHOSEN: u64 = 100;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// One batch of the second topic is acknowledged and gone.
    DropsOne,
    /// All batches of the second topic are.
    DropsAll,
    /// What is for the first topic goes to the second, and the other way round.
    Swaps,
    /// One batch of the second topic comes to the first as well.
    CopiesOne,
    /// After two seconds the partitions of the second topic have other leaders.
    MovesSecond,
    /// The same, and for a second the first broker takes no new connections.
    MovesSecondAndRefuses,
    /// For a second the brokers name leaders that do not know yet that they are.
    StartsLate,
    /// Each Produce request takes its time.
    TakesLong,
}

/// A topic and an index in it.
type Partition = (String, i32);

struct Cluster {
    fault: Fault,
    started: Monotonic,
    /// How many partitions each topic has.
    topics: RefCell<BTreeMap<String, i32>>,
    logs: RefCell<BTreeMap<Partition, BatchLog>>,
    /// The next number of each producer in each partition.
    sequences: RefCell<BTreeMap<(Partition, i64), i32>>,
    batches_of_second: Cell<u64>,
    next_producer_id: Cell<i64>,
    /// The most topics and partitions that one Produce request had.
    widest: Cell<(usize, usize)>,
}

impl Cluster {
    fn new(fault: Fault, existing: &[(&str, i32)]) -> Rc<Cluster> {
        let topics = existing.iter().map(|(name, partitions)| ((*name).to_owned(), *partitions));
        Rc::new(Cluster {
            fault,
            started: now(),
            topics: RefCell::new(topics.collect()),
            logs: RefCell::default(),
            sequences: RefCell::default(),
            batches_of_second: Cell::new(0),
            next_producer_id: Cell::new(7),
            widest: Cell::default(),
        })
    }

    /// Both brokers lead partitions of every topic.
    fn leader(&self, topic: &str, index: i32) -> usize {
        let moves = matches!(self.fault, Fault::MovesSecond | Fault::MovesSecondAndRefuses);
        let moved = moves && is_second(topic) && self.started.elapsed() >= 2 * SECOND;
        (topic.len() + index as usize + usize::from(moved)) % PORTS.len()
    }

    fn take(&self, broker: usize, to: &Partition, batch: &Bytes) -> Result<i64, ErrorCode> {
        if self.leader(&to.0, to.1) != broker {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        self.count_sequence(to, &BatchHeader::parse(batch).unwrap())?;
        let chosen =
            is_second(&to.0) && self.batches_of_second.replace(self.batches_of_second.get() + 1) == CHOSEN;
        match self.fault {
            Fault::DropsOne if chosen => Ok(self.end(to)),
            Fault::DropsAll if is_second(&to.0) => Ok(self.end(to)),
            Fault::Swaps => Ok(self.store(&twin(to), batch)),
            Fault::CopiesOne if chosen => {
                self.store(&twin(to), batch);
                Ok(self.store(to, batch))
            }
            _ => Ok(self.store(to, batch)),
        }
    }

    fn count_sequence(&self, to: &Partition, header: &BatchHeader) -> Result<(), ErrorCode> {
        let mut sequences = self.sequences.borrow_mut();
        let next = sequences.entry((to.clone(), header.producer_id)).or_default();
        if header.base_sequence != *next {
            return Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
        }
        *next += header.record_count;
        Ok(())
    }

    fn end(&self, partition: &Partition) -> i64 {
        self.logs.borrow().get(partition).map_or(0, |log| log.end)
    }

    fn store(&self, to: &Partition, batch: &Bytes) -> i64 {
        self.logs.borrow_mut().entry(to.clone()).or_default().store(batch)
    }

    fn read(&self, partition: &Partition, from: i64) -> Bytes {
        self.logs.borrow().get(partition).map_or_else(Bytes::new, |log| log.read(from))
    }

    async fn answer(
        &self,
        broker: usize,
        key: ApiKey,
        version: i16,
        correlation: i32,
        mut body: Reader,
    ) -> Bytes {
        macro_rules! answer {
            ($request:ty, $made:expr) => {
                frame(version, correlation, &$made(<$request>::decode(&mut body, version).unwrap()))
            };
        }
        match key {
            ApiKey::ApiVersions => frame(version, correlation, &versions(&KEYS)),
            ApiKey::InitProducerId => frame(version, correlation, &self.init_producer_id()),
            ApiKey::Metadata => answer!(MetadataRequest, |request| self.metadata(request)),
            ApiKey::CreateTopics => answer!(CreateTopicsRequest, |request| self.create(request)),
            ApiKey::ListOffsets => answer!(ListOffsetsRequest, |request| self.list_offsets(broker, request)),
            ApiKey::Produce => {
                if self.fault == Fault::TakesLong {
                    sleep_until(now() + Duration::from_millis(20)).await;
                }
                answer!(ProduceRequest, |request| self.produce(broker, request))
            }
            ApiKey::Fetch => {
                sleep_until(now() + Duration::from_millis(2)).await;
                answer!(FetchRequest, |request| self.fetch(broker, request))
            }
            other => panic!("nobody asked for {other}"),
        }
    }

    fn init_producer_id(&self) -> InitProducerIdResponse {
        let producer_id = self.next_producer_id.replace(self.next_producer_id.get() + 1);
        InitProducerIdResponse { producer_id, ..Default::default() }
    }

    fn produce(&self, broker: usize, request: ProduceRequest) -> ProduceResponse {
        let partitions = request.topic_data.iter().map(|topic| topic.partition_data.len()).sum();
        let (most_topics, most_partitions) = self.widest.get();
        self.widest.set((most_topics.max(request.topic_data.len()), most_partitions.max(partitions)));
        let mut responses: Vec<_> =
            request.topic_data.iter().map(|topic| self.produce_to(broker, topic)).collect();
        // Nothing says that the answer keeps the order of the request.
        responses.reverse();
        ProduceResponse { responses, ..Default::default() }
    }

    fn produce_to(&self, broker: usize, topic: &TopicProduceData) -> TopicProduceResponse {
        let partition = |data: &PartitionProduceData| {
            let batch = data.records.as_ref().unwrap().as_bytes().unwrap();
            let taken = self.take(broker, &(topic.name.to_string(), data.index), batch);
            let (error_code, base_offset) = taken.map_or_else(|code| (code.0, -1), |base| (0, base));
            PartitionProduceResponse { index: data.index, error_code, base_offset, ..Default::default() }
        };
        let partition_responses = topic.partition_data.iter().rev().map(partition).collect();
        TopicProduceResponse { name: topic.name.clone(), partition_responses, ..Default::default() }
    }

    fn fetch(&self, broker: usize, request: FetchRequest) -> FetchResponse {
        let topic = |topic: FetchTopic| {
            let partition = |asked: &FetchPartition| self.fetched(broker, topic.topic.as_str(), asked);
            let partitions = topic.partitions.iter().map(partition).collect();
            FetchableTopicResponse { topic: topic.topic.clone(), partitions, ..Default::default() }
        };
        FetchResponse { responses: request.topics.into_iter().map(topic).collect(), ..Default::default() }
    }

    fn fetched(&self, broker: usize, topic: &str, asked: &FetchPartition) -> PartitionData {
        let leads = self.leader(topic, asked.partition) == broker;
        let partition = (topic.to_owned(), asked.partition);
        let records = if leads { self.read(&partition, asked.fetch_offset) } else { Bytes::new() };
        PartitionData {
            partition_index: asked.partition,
            error_code: if leads { 0 } else { ErrorCode::NOT_LEADER_OR_FOLLOWER.0 },
            high_watermark: self.end(&partition),
            records: Some(Records::Bytes(records)),
            ..Default::default()
        }
    }

    fn list_offsets(&self, broker: usize, request: ListOffsetsRequest) -> ListOffsetsResponse {
        let topic = |topic: ListOffsetsTopic| {
            let partition = |asked: &ListOffsetsPartition| {
                assert_eq!(self.leader(&topic.name, asked.partition_index), broker, "who leads is asked");
                let late = self.fault == Fault::StartsLate && self.started.elapsed() < SECOND;
                let end = self.end(&(topic.name.to_string(), asked.partition_index));
                ListOffsetsPartitionResponse {
                    partition_index: asked.partition_index,
                    error_code: if late { ErrorCode::NOT_LEADER_OR_FOLLOWER.0 } else { 0 },
                    offset: if asked.timestamp == -2 { 0 } else { end },
                    ..Default::default()
                }
            };
            let partitions = topic.partitions.iter().map(partition).collect();
            ListOffsetsTopicResponse { name: topic.name.clone(), partitions }
        };
        ListOffsetsResponse { topics: request.topics.into_iter().map(topic).collect(), ..Default::default() }
    }

    fn create(&self, request: CreateTopicsRequest) -> CreateTopicsResponse {
        let mut topics = Vec::new();
        for topic in request.topics {
            let before = self.topics.borrow_mut().insert(topic.name.to_string(), topic.num_partitions);
            assert_eq!(before, None, "only what is not there is made");
            topics.push(CreatableTopicResult { name: topic.name, ..Default::default() });
        }
        CreateTopicsResponse { topics, ..Default::default() }
    }

    fn metadata(&self, request: MetadataRequest) -> MetadataResponse {
        let mut topics: Vec<_> = request
            .topics
            .unwrap()
            .iter()
            .map(|topic| self.described(topic.name.as_ref().unwrap()))
            .collect();
        // Nothing says that the answer keeps the order of the request.
        topics.reverse();
        MetadataResponse { brokers: brokers(), topics, ..Default::default() }
    }

    fn described(&self, name: &Str) -> MetadataResponseTopic {
        let found = self.topics.borrow().get(name.as_str()).copied();
        let partition = |index| MetadataResponsePartition {
            partition_index: index,
            leader_id: self.leader(name, index) as i32,
            ..Default::default()
        };
        MetadataResponseTopic {
            error_code: if found.is_some() { 0 } else { ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0 },
            name: Some(name.clone()),
            partitions: (0..found.unwrap_or(0)).map(partition).collect(),
            ..Default::default()
        }
    }

    async fn serve(self: Rc<Self>, broker: usize, stream: Stream) {
        let (mut read, mut write) = stream.into_split();
        let mut buffer = BytesMut::new();
        loop {
            while let Some(mut request) = cut(&mut buffer) {
                let (key, header) = decode_request_header(&mut request).unwrap();
                let (version, correlation) = (header.request_api_version, header.correlation_id);
                let answer = self.answer(broker, key, version, correlation, request).await;
                if write.write_all(vec![answer]).await.is_err() {
                    return;
                }
            }
            if !matches!(read.read(&mut buffer).await, Ok(bytes) if bytes > 0) {
                return;
            }
        }
    }

    fn listen(self: &Rc<Self>, broker: usize) -> Task<()> {
        let (cluster, refuses_from) = (self.clone(), self.started + 2 * SECOND);
        let refuses = self.fault == Fault::MovesSecondAndRefuses && broker == 0;
        let first = self.bind(broker);
        spawn(Queue::Net, async move {
            cluster.accept(broker, first, if refuses { refuses_from } else { Monotonic::MAX }).await;
            sleep_until(refuses_from + SECOND).await;
            cluster.accept(broker, cluster.bind(broker), Monotonic::MAX).await;
        })
    }

    fn bind(&self, broker: usize) -> Listener {
        Listener::bind(SocketAddr::from(([127, 0, 0, 1], PORTS[broker]))).unwrap()
    }

    async fn accept(self: &Rc<Self>, broker: usize, listener: Listener, until: Monotonic) {
        while let Ok(accepted) = timeout_at(until, listener.accept()).await {
            spawn(Queue::Net, self.clone().serve(broker, accepted.unwrap())).detach();
        }
    }

    /// The key of each record in each partition.
    fn contents(&self) -> Contents {
        let logs = self.logs.borrow();
        logs.iter().map(|(partition, log)| (partition.clone(), keys_of(&log.batches))).collect()
    }
}

type Contents = BTreeMap<Partition, Vec<Option<Bytes>>>;

fn keys_of(batches: &[Bytes]) -> Vec<Option<Bytes>> {
    let mut keys = Vec::new();
    for batch in split_batches(&batches.concat().into()) {
        let mut records = batch.unwrap().records(1 << 20).unwrap();
        while let Some(record) = records.next_ref() {
            keys.push(record.unwrap().key.map(Bytes::copy_from_slice));
        }
    }
    keys
}

fn is_second(topic: &str) -> bool {
    topic == "t-1"
}

/// The same partition of the other topic.
fn twin((topic, index): &Partition) -> Partition {
    ((if is_second(topic) { "t-0" } else { "t-1" }).to_owned(), *index)
}

/// A thousand records a second for four seconds to two topics of three partitions each.
fn settings() -> Settings {
    Settings {
        topics: 2,
        partitions: Some(3),
        rate: Rate::Open(1000),
        record_size: Sizes::fixed(100),
        warm_up: Duration::ZERO,
        duration: 4 * SECOND,
        idempotence: true,
        producers: 2,
        consumers: 2,
        verify: true,
        ..Settings::of(Workload::EndToEnd, "t")
    }
}

fn run(fault: Fault) -> (Report, Contents) {
    run_with(fault, &[], |_| ()).unwrap()
}

/// Through a cluster with this fault, which has these topics already.
fn run_with(
    fault: Fault,
    existing: &'static [(&str, i32)],
    change: fn(&mut Settings),
) -> Result<(Report, Contents), String> {
    let mut results = sim::run(sim::SimConfig::new(1, 1), move |_| async move {
        let cluster = Cluster::new(fault, existing);
        let accepting = [0, 1].map(|broker| cluster.listen(broker));
        let mut settings = settings();
        change(&mut settings);
        let report = load(&settings).await;
        drop(accepting);
        Ok((report?, cluster.contents()))
    })
    .unwrap();
    results.remove(0)
}

async fn load(settings: &Settings) -> Result<Report, String> {
    let plan = prepare(settings.clone()).await.map_err(|error| error.to_string())?;
    let outcome = Worker::new(plan, 1).run(0).await.map_err(|error| error.to_string())?;
    Ok(Report::new(settings, outcome, Default::default()))
}

fn judgement(report: &Report) -> Judgement {
    report.judgement.unwrap()
}

/// Every record was acknowledged and came back once, in order, unchanged.
fn assert_whole(report: &Report) {
    assert!(report.is_good(), "{}", table(report));
    assert_eq!(judgement(report).acknowledged, 4_000, "{}", table(report));
}

#[test]
fn records_are_spread_over_all_partitions_of_all_topics_and_all_are_verified() {
    let (report, contents) = run(Fault::None);
    assert_whole(&report);
    let sizes: Vec<_> =
        contents.iter().map(|((topic, index), keys)| (topic.as_str(), *index, keys.len())).collect();
    let places: Vec<_> = sizes.iter().map(|(topic, index, _)| (*topic, *index)).collect();
    assert_eq!(places, [("t-0", 0), ("t-0", 1), ("t-0", 2), ("t-1", 0), ("t-1", 1), ("t-1", 2)]);
    assert!(sizes.iter().all(|(.., records)| (600..=730).contains(records)), "{sizes:?}");
    assert_eq!(report.stats.of(&Measure::Received).count(), 4_000, "each is received once");
}

#[test]
fn a_batch_that_the_second_topic_lost_is_caught() {
    let (report, _) = run(Fault::DropsOne);
    let judgement = judgement(&report);
    assert!(judgement.lost > 0 && judgement.lost < 100, "{judgement:?}");
    assert_eq!((judgement.doubled, judgement.reordered, judgement.changed), (0, 0, 0));
}

#[test]
fn a_second_topic_that_loses_everything_is_caught_whole() {
    let (report, contents) = run(Fault::DropsAll);
    let kept: usize = contents.values().map(Vec::len).sum();
    let judgement = judgement(&report);
    assert!(contents.keys().all(|(topic, _)| topic == "t-0") && kept > 1_500, "{kept}");
    assert_eq!((judgement.acknowledged, judgement.lost), (4_000, 4_000 - kept as u64));
}

#[test]
fn topics_that_are_swapped_are_caught_even_where_records_hold_nothing_but_their_stamp() {
    for keyed in [false, true] {
        let change = match keyed {
            false => |settings: &mut Settings| settings.record_size = Sizes::fixed(28),
            true => {
                |settings: &mut Settings| settings.keys = Some(KeySpace { count: 50, skew: 0.0, bytes: 8 })
            }
        };
        let (report, _) = run_with(Fault::Swaps, &[], change).unwrap();
        let judgement = judgement(&report);
        assert_eq!((judgement.lost, judgement.changed), (4_000, 4_000), "{judgement:?}");
        assert!(!report.is_good());
    }
}

#[test]
fn a_batch_that_comes_to_another_topic_as_well_is_caught() {
    let (report, contents) = run(Fault::CopiesOne);
    let judgement = judgement(&report);
    let copied = contents.values().map(Vec::len).sum::<usize>() as u64 - 4_000;
    assert!(copied > 0);
    assert_eq!((judgement.changed, judgement.lost, judgement.doubled), (copied, 0, 0));
}

#[test]
fn one_topic_that_gets_other_leaders_is_followed_there() {
    let (report, _) = run(Fault::MovesSecond);
    assert_whole(&report);
    assert!(report.stats.retries.contains_key("NOT_LEADER_OR_FOLLOWER"), "{}", table(&report));
}

#[test]
fn partitions_whose_new_leader_takes_no_connections_at_first_are_read_on_when_it_does() {
    let one_consumer = |settings: &mut Settings| settings.consumers = 1;
    let (report, _) = run_with(Fault::MovesSecondAndRefuses, &[], one_consumer).unwrap();
    assert_whole(&report);
    let refused = report.stats.counts.keys().any(|name| name.contains("leaders asked for in vain"));
    assert!(refused, "{}", table(&report));
}

#[test]
fn a_key_has_the_same_partition_in_each_topic_and_topics_have_the_same_load() {
    let (report, contents) = run_with(Fault::None, &[], |settings| {
        settings.keys = Some(KeySpace { count: 50, skew: 1.0, bytes: 8 })
    })
    .unwrap();
    assert_whole(&report);
    let keys = |topic: &str, index| -> BTreeSet<_> { contents[&(topic.to_owned(), index)].iter().collect() };
    let load = |topic: &str| (0..3).map(|index| contents[&(topic.to_owned(), index)].len()).sum::<usize>();
    for index in 0..3 {
        assert_eq!(keys("t-0", index), keys("t-1", index));
        assert!(keys("t-0", index).is_disjoint(&keys("t-1", (index + 1) % 3)));
    }
    assert_eq!((load("t-0"), load("t-1")), (2_000, 2_000));
}

#[test]
fn as_fast_as_the_broker_answers_reaches_every_partition_too() {
    let (report, contents) = run_with(Fault::None, &[], |settings| {
        settings.rate = Rate::Max;
        settings.count = Some(20_000);
    })
    .unwrap();
    assert!(report.is_good(), "{}", table(&report));
    assert_eq!((judgement(&report).acknowledged, contents.len()), (20_000, 6));
}

#[test]
fn topics_may_differ_in_their_partitions_when_they_are_there() {
    let existing = &[("t-0", 1), ("t-1", 4), ("t-2", 2)];
    let (report, contents) = run_with(Fault::None, existing, |settings| {
        (settings.topics, settings.partitions) = (3, None);
        settings.record_size = "50..900".parse().unwrap();
    })
    .unwrap();
    assert_whole(&report);
    assert_eq!(contents.len(), 7);
    assert!(contents.values().all(|keys| keys.len() > 400), "{:?}", contents.values().map(Vec::len));
}

#[test]
fn leaders_that_do_not_know_yet_that_they_are_are_waited_for_before_the_run() {
    for existing in [&[][..], &[("t-0", 3), ("t-1", 3)]] {
        let (report, _) = run_with(Fault::StartsLate, existing, |_| ()).unwrap();
        assert_whole(&report);
        assert!(report.stats.retries.is_empty(), "{}", table(&report));
    }
}

/// Through brokers that take 20 ms for each request, one in flight and four records a batch.
fn run_slowly(change: fn(&mut Settings)) -> (Report, (usize, usize)) {
    let mut results = sim::run(sim::SimConfig::new(1, 1), move |_| async move {
        let cluster = Cluster::new(Fault::TakesLong, &[]);
        let accepting = [0, 1].map(|broker| cluster.listen(broker));
        let mut settings = Settings { in_flight: 1, batch_records: 4, ..settings() };
        change(&mut settings);
        let report = load(&settings).await.unwrap();
        drop(accepting);
        (report, cluster.widest.get())
    })
    .unwrap();
    results.remove(0)
}

#[test]
fn batches_that_wait_for_room_share_a_request_whatever_their_topic() {
    for keyed in [false, true] {
        let change = match keyed {
            false => |_: &mut Settings| (),
            true => {
                |settings: &mut Settings| settings.keys = Some(KeySpace { count: 50, skew: 0.0, bytes: 8 })
            }
        };
        let (report, widest) = run_slowly(change);
        assert_whole(&report);
        assert!(widest >= (2, 2), "topics and partitions of a request: {widest:?}");
        let late = report.stats.of(&Measure::Acknowledged).count_above(Duration::from_millis(250));
        assert_eq!(late, 0, "nothing piles up: {}", table(&report));
    }
}

#[test]
fn a_request_too_small_for_two_batches_has_one() {
    let (report, widest) = run_slowly(|settings| settings.request_bytes = 1);
    assert_eq!(widest, (1, 1));
    assert!(report.stats.unsent > 0, "400 of 500 records a second fit: {}", table(&report));
}

#[test]
fn only_topics_that_are_not_there_are_made() {
    let (report, contents) = run_with(Fault::None, &[("t-1", 3)], |_| ()).unwrap();
    assert_whole(&report);
    assert_eq!(contents.len(), 6);
}

#[test]
fn a_topic_that_is_missing_or_has_other_partitions_is_named() {
    let error = run_with(Fault::None, &[("t-1", 4)], |_| ()).unwrap_err();
    assert_eq!(error, "topic t-1 has 4 partitions, not 3");
    let missing = |settings: &mut Settings| settings.partitions = None;
    let error = run_with(Fault::None, &[("t-0", 3)], missing).unwrap_err();
    assert_eq!(error, "there is no topic t-1; --partitions N makes it");
}

#[test]
fn one_topic_keeps_the_name_that_was_given() {
    let (report, contents) = run_with(Fault::None, &[], |settings| settings.topics = 1).unwrap();
    assert_whole(&report);
    let places: Vec<_> = contents.keys().map(|(topic, index)| (topic.as_str(), *index)).collect();
    assert_eq!(places, [("t", 0), ("t", 1), ("t", 2)]);
}

#[test]
fn history_of_all_topics_is_read_beside_their_tails() {
    let mixed = |settings: &mut Settings| settings.workload = Workload::Mixed;
    let (report, _) = run_with(Fault::None, &[], mixed).unwrap();
    assert_whole(&report);
    assert!(report.stats.amounts["history"].records > 4_000, "read again and again: {}", table(&report));
}

#[test]
fn all_topics_are_read_to_the_end_that_they_had_at_the_start() {
    let mut results = sim::run(sim::SimConfig::new(1, 1), move |_| async move {
        let cluster = Cluster::new(Fault::None, &[]);
        let accepting = [0, 1].map(|broker| cluster.listen(broker));
        let produce = Settings { workload: Workload::Produce, verify: false, ..settings() };
        load(&produce).await.unwrap();
        let report = load(&Settings { workload: Workload::Consume, ..produce }).await.unwrap();
        drop(accepting);
        report
    })
    .unwrap();
    let report = results.remove(0);
    assert!(report.is_good(), "{}", table(&report));
    assert_eq!(report.stats.consumed.records, 4_000);
}

#[test]
fn the_result_says_how_many_topics_there_were() {
    let (report, _) = run(Fault::None);
    let json: serde_json::Value = serde_json::from_str(&Document::of(&report).to_json()).unwrap();
    assert_eq!(
        (&json["settings"]["topics"], &json["settings"]["topic"]),
        (&"2".into(), &"t-0 to t-1".into())
    );
    let page = kring_loadgen::page::of_runs("title", &[report]);
    assert!(page.contains("<td>topics</td><td>2</td>") && page.contains("t-0 to t-1"));
}
