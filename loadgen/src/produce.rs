//! A producer: sends what is due, never waits for answers except for room in flight. Lives on one shard.
//!
//! ```text
//!  pacer: what is due ──► batch ──► connection of the partition's leader ──► flights ──► answers ──► counters
//! ```

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kring_runtime::{
    Monotonic, Queue, Task, now, sleep, sleep_until, spawn, timeout_at, wall_ms, yield_if_needed,
};
use kring_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kring_wire::record::{Compression, ValidatedBatch};
use kring_wire::{Records, RecordsPart, Str};

use crate::client::{ClientError, Connection, Endpoint, Requests};
use crate::flight::{Counters, Flight, Flights, Intended, receive};
use crate::measure::Measure;
use crate::own_queue::OwnQueue;
use crate::pace::{Pacer, Schedule, Step};
use crate::payload::Payload;
use crate::settings::{Acks, Rate};
use crate::shared::Window;
use crate::stamp::Stamp;
use crate::stats::{Amount, LATE};
use crate::verify::Stream;
use crate::work::Plan;

const REQUEST_TIMEOUT_MS: i32 = 30_000;
/// How long after the end what was due before it may still be sent: a broker that keeps up needs a moment.
const GRACE: Duration = Duration::from_secs(1);
const RECONNECT_DELAY: Duration = Duration::from_millis(100);

/// A connection to one leader.
struct Pipe {
    requests: Requests,
    flights: Rc<Flights>,
    _receiver: Task<()>,
}

/// Where the next batch comes from.
enum Source {
    Open(Pacer),
    Max { batch: u64, end: Monotonic },
}

impl Source {
    fn new(plan: &Plan, index: u32, window: Window) -> Source {
        let settings = &plan.settings;
        let Rate::Open(rate) = settings.rate else {
            return Source::Max { batch: settings.batch_records, end: window.end };
        };
        let schedule = Schedule {
            start: window.start,
            rate,
            index: u64::from(index),
            producers: u64::from(settings.producers),
        };
        Source::Open(Pacer::new(schedule, settings.batch_records, settings.linger, window.end))
    }

    fn step(&self, now: Monotonic) -> Step {
        match self {
            Source::Open(pacer) => pacer.step(now),
            Source::Max { end, .. } if now >= *end => Step::Done,
            Source::Max { batch, .. } => Step::Send { count: *batch, ready: now },
        }
    }

    /// The intended times of what is sent next, at `now`.
    fn intended(&self, now: Monotonic) -> Intended {
        match self {
            Source::Open(pacer) => {
                Intended::Scheduled { schedule: *pacer.schedule(), first: pacer.next_record() }
            }
            Source::Max { .. } => Intended::At(now),
        }
    }

    fn sent(&mut self, count: u64) {
        if let Source::Open(pacer) = self {
            pacer.sent(count);
        }
    }

    fn left(&self) -> u64 {
        match self {
            Source::Open(pacer) => pacer.left(),
            Source::Max { .. } => 0,
        }
    }
}

/// The connections of a producer, one for each leader, before the run starts.
pub struct Connected {
    index: u32,
    connections: Vec<Connection>,
}

/// Connects producer `index`.
pub async fn connect(plan: &Plan, index: u32) -> Result<Connected, ClientError> {
    let connections = open_all(&plan.endpoints().0).await?;
    Ok(Connected { index, connections })
}

/// A producer at work.
pub struct Producer {
    plan: Arc<Plan>,
    index: u32,
    counters: Counters,
    source: Source,
    payload: Payload,
    endpoints: Vec<Endpoint>,
    /// By partition, the pipe to its leader.
    routes: Vec<usize>,
    pipes: Vec<Pipe>,
    /// By partition, the number of the next record.
    numbers: Vec<u64>,
    partition: usize,
    own: OwnQueue,
}

impl Producer {
    pub fn new(plan: Arc<Plan>, connected: Connected, counters: Counters) -> Producer {
        let window = counters.local.window;
        let (endpoints, routes) = plan.endpoints();
        let mut producer = Producer {
            index: connected.index,
            source: Source::new(&plan, connected.index, window),
            payload: Payload::new(plan.settings.record_bytes, plan.settings.filler),
            numbers: vec![0; routes.len()],
            partition: connected.index as usize % routes.len(),
            pipes: Vec::new(),
            own: OwnQueue::new(window.start),
            endpoints,
            routes,
            counters,
            plan,
        };
        producer.pipes = connected.connections.into_iter().map(|c| producer.pipe(c)).collect();
        producer
    }

    fn pipe(&self, connection: Connection) -> Pipe {
        let (requests, answers) = connection.into_split();
        let flights = Rc::new(Flights::default());
        let version = self.plan.topic.versions.produce;
        let receiving = receive(answers, flights.clone(), self.counters.clone(), version);
        Pipe { requests, flights, _receiver: spawn(Queue::Net, receiving) }
    }

    /// Until the end of the window, and then until everything is answered.
    pub async fn run(mut self) {
        sleep_until(self.counters.local.window.start).await;
        loop {
            match self.drive().await {
                Ok(()) => break,
                Err(error) => self.break_off(&error),
            }
            if !self.reconnect().await {
                break;
            }
        }
        self.count_unsent();
        self.drain().await;
        self.counters.shared.producer_is_done();
    }

    /// Returns when there is nothing more to send, or the broker leaves no room even after the end.
    async fn drive(&mut self) -> Result<(), ClientError> {
        loop {
            match self.source.step(now()) {
                Step::Done => return Ok(()),
                Step::Wait(until) => {
                    self.own.excuse(until.saturating_since(now()));
                    sleep_until(until).await;
                }
                Step::Send { count, ready } => {
                    if self.has_room() {
                        self.send(count, ready).await?;
                        yield_if_needed().await;
                    } else if !self.wait_for_room().await? {
                        return Ok(());
                    }
                }
            }
            self.check_pipes()?;
        }
    }

    fn flights(&self) -> &Rc<Flights> {
        &self.pipes[self.routes[self.partition]].flights
    }

    fn has_room(&self) -> bool {
        self.flights().len() < self.plan.settings.in_flight
    }

    /// False when there was none until some time after the end.
    async fn wait_for_room(&mut self) -> Result<bool, ClientError> {
        let (began, end) = (now(), self.counters.local.window.end + GRACE);
        while !self.has_room() {
            let changed = self.flights().changed.notified();
            self.check_pipes()?;
            if timeout_at(end, changed).await.is_err() && !self.has_room() {
                return Ok(false);
            }
        }
        self.own.excuse(began.elapsed());
        Ok(true)
    }

    fn check_pipes(&self) -> Result<(), ClientError> {
        let broken = self.pipes.iter().any(|pipe| pipe.flights.is_broken());
        if broken { Err(ClientError::Closed) } else { Ok(()) }
    }

    /// A batch that was ready at `ready` begins to be written.
    fn note_departure(&mut self, ready: Monotonic, intended: &Intended) {
        if let Intended::Scheduled { .. } = intended {
            let at = now();
            let delay = self.own.depart(ready, at);
            self.counters.local.lasted(&Measure::Written, intended.of(0), at);
            self.counters.local.lasted(&Measure::OwnDelay, at - delay, at);
        }
    }

    /// A write that took long has waited for room in the socket.
    fn note_written(&mut self, began: Monotonic) {
        let took = began.elapsed();
        if took > LATE {
            self.own.excuse(took);
        }
    }

    async fn send(&mut self, count: u64, ready: Monotonic) -> Result<(), ClientError> {
        let intended = self.source.intended(now());
        let batch = self.batch(&intended, count)?;
        self.note_departure(ready, &intended);
        let bytes = count * self.payload.record_bytes() as u64;
        let pipe = &mut self.pipes[self.routes[self.partition]];
        let flight = Flight {
            correlation: pipe.requests.next_correlation(),
            stream: Stream { producer: self.index, partition: self.partition as i32 },
            first_number: self.numbers[self.partition],
            intended,
            amount: Amount { records: count, bytes, requests: 1 },
        };
        let request = produce_request(&self.plan, self.partition as i32, batch);
        self.source.sent(count);
        self.numbers[self.partition] += count;
        self.partition = (self.partition + 1) % self.routes.len();
        let version = self.plan.topic.versions.produce;
        let began = now();
        if self.plan.settings.acks == Acks::None {
            pipe.requests.send(version, &request).await?;
            self.counters.acknowledged(&flight, now(), None);
        } else {
            self.counters.departed();
            pipe.flights.push(flight);
            pipe.requests.send(version, &request).await?;
        }
        self.note_written(began);
        Ok(())
    }

    fn batch(&mut self, intended: &Intended, count: u64) -> Result<ValidatedBatch, ClientError> {
        let (run, producer) = (self.plan.run, self.index);
        let first = self.numbers[self.partition];
        let stamp = |record| Stamp { run, producer, number: first + record, intended: intended.of(record) };
        let compression = Compression::default_of(self.plan.settings.codec);
        Ok(self.payload.batch(compression, wall_ms(), (0..count).map(stamp))?)
    }

    /// The connections are given up; what was in flight on them has failed.
    fn break_off(&mut self, error: &ClientError) {
        for pipe in self.pipes.drain(..) {
            self.counters.lost(&pipe.flights.end(), error);
        }
    }

    /// False when no connection could be made until the end.
    async fn reconnect(&mut self) -> bool {
        while now() < self.counters.local.window.end {
            match open_all(&self.endpoints).await {
                Ok(connections) => {
                    self.pipes = connections.into_iter().map(|c| self.pipe(c)).collect();
                    self.own.excuse_until(now());
                    return true;
                }
                Err(_) => sleep(RECONNECT_DELAY).await,
            }
        }
        false
    }

    /// What was due and not sent has waited until now at least.
    fn count_unsent(&self) {
        let left = self.source.left();
        if left > 0 {
            self.counters.waited(&self.source.intended(now()), left, now());
            self.counters.local.stats.borrow_mut().unsent += left;
        }
    }

    async fn drain(&mut self) {
        let deadline = self.counters.local.window.end.max(now()) + self.plan.settings.drain;
        for pipe in std::mem::take(&mut self.pipes) {
            while pipe.flights.len() > 0 {
                let changed = pipe.flights.changed.notified();
                if timeout_at(deadline, changed).await.is_err() {
                    self.counters.lost(&pipe.flights.end(), &ClientError::Timeout);
                }
            }
        }
    }
}

async fn open_all(endpoints: &[Endpoint]) -> Result<Vec<Connection>, ClientError> {
    let mut connections = Vec::with_capacity(endpoints.len());
    for endpoint in endpoints {
        connections.push(Connection::open(endpoint).await?);
    }
    Ok(connections)
}

fn produce_request(plan: &Plan, partition: i32, batch: ValidatedBatch) -> ProduceRequest {
    let (header, body) = batch.into_parts();
    let header = RecordsPart::Bytes(bytes::Bytes::copy_from_slice(&header));
    let records = Records::Parts(vec![header, RecordsPart::Bytes(body)]);
    let partition_data = vec![PartitionProduceData { index: partition, records: Some(records) }];
    let name = Str::from(plan.topic.name.as_str());
    ProduceRequest {
        acks: plan.settings.acks.as_i16(),
        timeout_ms: REQUEST_TIMEOUT_MS,
        topic_data: vec![TopicProduceData { name, partition_data, ..TopicProduceData::default() }],
        ..ProduceRequest::default()
    }
}
