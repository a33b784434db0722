//! A producer: sends what is due, never waits for answers except for room in flight. Lives on one shard.
//!
//! ```text
//!  source: what is due ──► gather: a batch for each partition ──► lane ──► pipe to the leader ──► answers
//!                                                                  ▲                                │
//!                                                                  └── failed, where idempotent ◄───┴──► counters
//! ```

mod batch;
mod frame;
mod gather;
mod lane;
mod pipe;
mod router;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kring_runtime::{Monotonic, Queue, now, sleep_until, spawn, timeout_at, wall_ms, yield_if_needed};
use kring_wire::record::{BuildError, Compression};

pub use batch::Batch;

use crate::backoff::Backoff;
use crate::client::{ClientError, Connection, Endpoint, init_producer_id, refresh_leaders};
use crate::counters::Counters;
use crate::measure::Measure;
use crate::own_queue::OwnQueue;
use crate::pace::{Arrivals, Share, Source, Until};
use crate::payload::Payload;
use crate::settings::{Acks, Rate};
use crate::shared::Window;
use crate::stamp::Stamp;
use crate::stats::LATE;
use crate::work::Plan;
use frame::ProduceFrame;
use gather::{Bounds, Gather, Record, record_bytes};
use lane::{Cause, Lane};
use pipe::{Desk, Pipe};
use router::{Draw, Router};

/// How long after the end what was due before it may still be sent: a broker that keeps up needs a moment.
const GRACE: Duration = Duration::from_secs(1);
/// How long a run by count goes on without sending anything.
const STUCK: Duration = Duration::from_secs(60);
/// So much is written before it is sent: more would wait for no reason.
const FLUSH_BYTES: usize = 64 << 10;
/// Without a rate, batches of keyed records wait for others as long as Kafka's producer lets them by default.
const CLOSED_LOOP_LINGER: Duration = Duration::from_millis(5);
/// While lingering the producer looks at what is due in steps of so much at most.
const LONGEST_STEP: Duration = Duration::from_micros(200);
const STEPS_OF_A_LINGER: u32 = 16;
/// Records that were due and not sent are counted in pieces of so many.
const UNSENT_AT_ONCE: usize = 4096;

/// A producer before the run starts.
pub struct Connected {
    index: u32,
    connections: Vec<Connection>,
    producer_id: Option<(i64, i16)>,
}

/// Connects producer `index` to the leaders of all partitions.
pub async fn connect(plan: &Plan, index: u32) -> Result<Connected, ClientError> {
    let mut connections = Vec::new();
    for endpoint in plan.endpoints().0 {
        connections.push(Connection::open(&endpoint).await?);
    }
    let producer_id = match (plan.settings.idempotence, connections.first_mut()) {
        (true, Some(connection)) => Some(init_producer_id(connection, &plan.topics.versions).await?),
        _ => None,
    };
    Ok(Connected { index, connections, producer_id })
}

/// A record that is due and has no place yet.
#[derive(Clone, Copy)]
struct Due {
    intended: Monotonic,
    key: Option<Draw>,
}

/// A producer at work.
pub struct Producer {
    plan: Arc<Plan>,
    desk: Rc<Desk>,
    source: Source,
    router: Router,
    gather: Gather,
    payload: Payload,
    pending: Option<Due>,
    frame: Rc<ProduceFrame>,
    endpoints: Vec<Endpoint>,
    pipes: Vec<Option<Pipe>>,
    /// By partition, the pipe to its leader.
    routes: Vec<usize>,
    backoff: Backoff,
    /// When what is broken is looked at next, while something is.
    mends_at: Option<Monotonic>,
    own: OwnQueue,
    /// Since when nothing but ourselves kept a batch that was due.
    departed_at: Monotonic,
    sent_at: Monotonic,
}

impl Producer {
    pub fn new(plan: Arc<Plan>, connected: Connected, counters: Counters) -> Producer {
        let Connected { index, connections, producer_id } = connected;
        let settings = &plan.settings;
        let window = counters.local.window();
        let (endpoints, routes) = plan.endpoints();
        let lanes = routes.iter().map(|_| Lane::new(producer_id)).collect();
        let mut producer = Producer {
            desk: Rc::new(Desk::new(counters, plan.topics.layout.clone(), lanes)),
            source: source(&plan, index, window),
            router: Router::new(settings, index, &plan.topics.layout),
            gather: Gather::new(index, routes.len(), bounds(&plan), Compression::default_of(settings.codec)),
            payload: plan.payload(),
            pending: None,
            frame: Rc::new(ProduceFrame::new(
                plan.topics.versions.produce,
                plan.topics.layout.names(),
                settings.acks.as_i16(),
            )),
            pipes: Vec::new(),
            backoff: Backoff::default(),
            mends_at: None,
            own: OwnQueue::new(window.start),
            departed_at: window.start,
            sent_at: window.start,
            endpoints,
            routes,
            plan,
        };
        producer.pipes = connections.into_iter().map(|connection| Some(producer.pipe(connection))).collect();
        producer
    }

    fn pipe(&self, connection: Connection) -> Pipe {
        Pipe::new(connection, &self.desk, &self.frame, self.plan.topics.versions.produce)
    }

    fn window(&self) -> Window {
        self.desk.counters.local.window()
    }

    /// Until the end of the window, and then until everything is answered.
    pub async fn run(mut self) {
        sleep_until(self.window().start).await;
        let _waking = spawn(Queue::Net, wake_early(self.desk.clone()));
        while !self.has_sent_all() {
            self.source.end_by(self.window().end);
            self.fill();
            self.turn(self.gives_up_at()).await;
        }
        self.count_unsent().await;
        let deadline = now() + self.plan.settings.drain;
        while !self.is_idle() && now() < deadline {
            self.turn(deadline).await;
        }
        self.give_up();
        self.note_end();
        self.desk.counters.shared.producer_is_done();
    }

    fn gives_up_at(&self) -> Monotonic {
        let end = self.window().end + GRACE;
        if self.plan.settings.count.is_some() { end.min(self.sent_at + STUCK) } else { end }
    }

    fn has_sent_all(&self) -> bool {
        let at = now();
        let nothing_left = self.source.next(at).is_none() && self.pending.is_none() && self.gather.is_empty();
        nothing_left || (at >= self.gives_up_at() && self.is_blocked(at))
    }

    /// Whether everything that was sent was answered.
    fn is_idle(&self) -> bool {
        self.desk.lanes.borrow().iter().all(Lane::is_idle)
    }

    /// Sends what is written, mends what is broken, and waits until there is something to do; for the broker until
    /// `limit` at most.
    async fn turn(&mut self, limit: Monotonic) {
        self.flush().await;
        self.resend();
        if self.is_to_be_mended() {
            // What is due may have room now.
            return self.repair(limit).await;
        }
        self.wait(limit).await;
    }

    /// Something is broken, and it is time to look at it. Until then what is not goes on.
    fn is_to_be_mended(&mut self) -> bool {
        if !self.desk.stale.get() {
            return false;
        }
        if self.desk.progressed.replace(false) && self.mends_at.is_none() {
            self.backoff.reset();
        }
        let at = *self.mends_at.get_or_insert_with(|| now() + self.backoff.next());
        at <= now()
    }

    async fn flush(&mut self) {
        if self.queued_bytes() == 0 {
            return;
        }
        let began = now();
        for pipe in self.pipes.iter_mut().flatten() {
            pipe.flush().await;
        }
        let took = began.elapsed();
        // A write that took long has waited for room in the socket.
        if took > LATE {
            self.own.excuse(took);
        }
    }

    async fn wait(&mut self, limit: Monotonic) {
        let changed = self.desk.change();
        let at = now();
        let blocked = self.is_blocked(at);
        let for_the_broker = blocked || self.source.next(at).is_none();
        let until = if for_the_broker { limit } else { Monotonic::MAX };
        let wake = self.wakes_at(at).min(until).min(self.mends_at.unwrap_or(Monotonic::MAX));
        let breaks = self.desk.stale.get() && self.mends_at.is_none();
        if wake <= at || breaks || self.queued_bytes() > 0 {
            return yield_if_needed().await;
        }
        self.desk.wants_room.set(for_the_broker);
        let _time_or_change = timeout_at(wake, changed).await;
        self.desk.wants_room.set(false);
        if blocked {
            self.own.excuse_wait(at, self.desk.changed_at(), wake, now());
        }
    }

    /// When the next record or batch is due that can be sent.
    fn wakes_at(&self, at: Monotonic) -> Monotonic {
        let batch = self.gather.next_due(|partition| self.has_room(partition));
        let record = match self.pending {
            None => self.source.next(at).map(|due| (due + self.step()).max(at + self.half_filled())),
            Some(_) => None,
        };
        batch.into_iter().chain(record).min().unwrap_or(Monotonic::MAX)
    }

    fn step(&self) -> Duration {
        if self.source.is_open() {
            (self.plan.settings.linger / STEPS_OF_A_LINGER).min(LONGEST_STEP)
        } else {
            Duration::ZERO
        }
    }

    /// Half the time in which an open batch may become full, or in which a record that comes now has lingered: before
    /// there is nothing new to send.
    fn half_filled(&self) -> Duration {
        let records = u32::try_from(self.gather.certain_room()).unwrap_or(u32::MAX);
        let filling = self.source.mean_distance().saturating_mul(records / 2);
        filling.min(self.plan.settings.linger / 2)
    }

    /// Whether something is due and cannot be sent.
    fn is_blocked(&self, at: Monotonic) -> bool {
        self.pending.is_some() || self.gather.ready(at, |partition| !self.has_room(partition)).is_some()
    }

    fn has_room(&self, partition: usize) -> bool {
        let room = |pipe: &Pipe| !pipe.is_broken() && pipe.in_flight() < self.plan.settings.in_flight;
        self.flows(partition) && self.pipes[self.routes[partition]].as_ref().is_some_and(room)
    }

    /// Whether nothing of the partition has to be sent again before anything new.
    fn flows(&self, partition: usize) -> bool {
        self.desk.lanes.borrow()[partition].is_flowing()
    }

    fn queued_bytes(&self) -> usize {
        self.pipes.iter().flatten().map(Pipe::queued_bytes).sum()
    }

    /// Takes what is due into batches, and writes those that are due themselves.
    fn fill(&mut self) {
        let (at, wall_ms) = (now(), wall_ms());
        while self.queued_bytes() < FLUSH_BYTES {
            let Some(due) = self.pending.take().or_else(|| self.take(at)) else { break };
            if !self.place(due, at, wall_ms) {
                self.pending = Some(due);
                break;
            }
        }
        let last = self.pending.is_none() && self.source.next(at).is_none();
        let until = if last { Monotonic::MAX } else { at };
        while let Some(partition) = self.gather.ready(until, |partition| self.has_room(partition)) {
            self.dispatch(partition, until);
        }
    }

    fn take(&mut self, at: Monotonic) -> Option<Due> {
        let intended = self.source.take(at)?;
        Some(Due { intended, key: self.router.draw() })
    }

    /// False when the record has no place until there is room in flight.
    fn place(&mut self, due: Due, at: Monotonic, wall_ms: i64) -> bool {
        let Some(partition) = self.partition_for(due.key, at) else { return false };
        // Where the broker sets the pace, a record is meant to be sent when there is room for it.
        let closed = !self.source.is_open();
        if closed && !self.gather.is_open(partition) && !self.has_room(partition) {
            return false;
        }
        let due = if closed { Due { intended: at, ..due } } else { due };
        if let Err(error) = self.append(partition, due, wall_ms) {
            self.desk.counters.local.failed(&error.to_string(), 1);
        }
        if closed && self.gather.is_full(partition) && self.has_room(partition) {
            self.dispatch(partition, at);
        }
        true
    }

    /// The partition of the next record. Where the batch that would get it is full, those of other partitions get what is
    /// due by the rate: they leave together, as when Kafka's producer has gathered more than one batch.
    fn partition_for(&mut self, key: Option<Draw>, at: Monotonic) -> Option<usize> {
        let partition = self.router.partition(key);
        if self.takes_next(partition) {
            return Some(partition);
        }
        let other = if self.source.is_open() { self.pass() } else { None };
        if other.is_some() {
            return other;
        }
        if self.has_room(partition) {
            self.dispatch(partition, at);
            let partition = self.router.partition(key);
            if self.takes_next(partition) {
                return Some(partition);
            }
        }
        self.pass()
    }

    /// Another partition whose batch takes what comes.
    fn pass(&mut self) -> Option<usize> {
        let Producer { plan, gather, payload, router, .. } = self;
        router.pass(|partition| takes_next(plan, gather, payload, partition))
    }

    /// Whether the partition's batch takes the next record that would go there.
    fn takes_next(&self, partition: usize) -> bool {
        takes_next(&self.plan, &self.gather, &self.payload, partition)
    }

    fn append(&mut self, partition: usize, due: Due, wall_ms: i64) -> Result<(), BuildError> {
        let stream = self.gather.stream(partition);
        let number = self.gather.next_number(partition);
        let stamp = Stamp {
            run: self.plan.run_of(stream.partition),
            producer: stream.producer,
            number,
            intended: due.intended,
        };
        let bytes = self.payload.size(stream, number);
        let value = self.payload.value(&stamp, bytes);
        let record = Record { intended: due.intended, wall_ms, key: self.router.text(due.key), value };
        self.gather.append(partition, record, &mut self.desk.spare.borrow_mut())
    }

    /// Writes the partition's batch to the pipe of its leader, in one request with the others there that are due until
    /// then, as Kafka's `RecordAccumulator.drain` puts them together.
    fn dispatch(&mut self, partition: usize, until: Monotonic) {
        let route = self.routes[partition];
        let mut request = self.desk.spare.borrow_mut().request();
        let mut bytes = 0;
        let mut next = Some(partition);
        while let Some(partition) = next {
            bytes += self.gather.size_bytes(partition);
            request.extend(self.close(partition));
            next = self.gather.ready(until, |other| self.routes[other] == route && self.flows(other));
            next = next
                .filter(|other| bytes + self.gather.size_bytes(*other) <= self.plan.settings.request_bytes);
        }
        self.push(route, request);
    }

    /// The partition's batch, on its way.
    fn close(&mut self, partition: usize) -> Option<Batch> {
        let lanes = &self.desk.lanes;
        let number = |records| lanes.borrow_mut()[partition].number(records);
        let (batch, due) = self.gather.close(partition, number)?;
        self.router.sent(partition);
        match batch {
            Ok(batch) => {
                self.note_departure(&batch, due);
                Some(batch)
            }
            Err(error) => {
                self.desk.counters.local.failed(&error.to_string(), 1);
                None
            }
        }
    }

    fn push(&mut self, route: usize, request: Vec<Batch>) {
        if request.is_empty() {
            return self.desk.spare.borrow_mut().keep_request(request);
        }
        let answered = self.plan.settings.acks != Acks::None;
        self.sent_at = now();
        match self.pipes[route].as_mut() {
            Some(pipe) => pipe.push(request, answered),
            None => unreachable!("there was room in the pipe"),
        }
    }

    /// A batch that was due at `due` begins to be written.
    fn note_departure(&mut self, batch: &Batch, due: Monotonic) {
        if self.source.is_open() {
            let at = now();
            // Until the batch was due there was nothing that had to be done.
            self.own.excuse(due.saturating_since(self.departed_at));
            self.departed_at = at;
            let delay = self.own.depart(due, at);
            let local = &self.desk.counters.local;
            local.lasted(&Measure::Written, batch.times[0], at);
            local.lasted(&Measure::OwnDelay, at - delay, at);
        }
    }

    /// What failed goes again, where nothing of its partition is in flight any more.
    fn resend(&mut self) {
        for partition in 0..self.routes.len() {
            let usable = |pipe: &Option<Pipe>| pipe.as_ref().is_some_and(|pipe| !pipe.is_broken());
            if !usable(&self.pipes[self.routes[partition]]) {
                continue;
            }
            let again = self.desk.lanes.borrow_mut()[partition].resend();
            if self.desk.lanes.borrow()[partition].needs_producer_id() {
                self.desk.stale.set(true);
            }
            again.into_iter().for_each(|batch| self.push(self.routes[partition], vec![batch]));
        }
    }

    /// Asks who leads the partitions now, and connects to those that have no connection.
    async fn repair(&mut self, limit: Monotonic) {
        self.mends_at = None;
        let mended = timeout_at(limit.max(now() + GRACE), self.reconnect()).await;
        let mut stats = self.desk.counters.local.stats.borrow_mut();
        match mended.unwrap_or(Err(ClientError::Timeout)) {
            Ok(()) => {
                stats.count("leaders asked for again", 1);
                self.departed_at = now();
                self.own.excuse_until(self.departed_at);
            }
            Err(error) => {
                self.desk.stale.set(true);
                stats.count(&format!("leaders asked for in vain ({error})"), 1);
            }
        }
    }

    async fn reconnect(&mut self) -> Result<(), ClientError> {
        // Set again by what fails from here on.
        self.desk.stale.set(false);
        let leaders = refresh_leaders(&self.endpoints, &self.plan.topics).await?;
        for (partition, leader) in leaders.into_iter().enumerate() {
            let known = self.endpoints.iter().position(|endpoint| endpoint.name == leader.name);
            let place = known.unwrap_or(self.endpoints.len());
            if known.is_none() {
                self.endpoints.push(leader);
                self.pipes.push(None);
            }
            if self.pipes[place].as_ref().is_none_or(Pipe::is_broken) {
                let connection = Connection::open(&self.endpoints[place]).await?;
                self.pipes[place] = Some(self.pipe(connection));
            }
            self.routes[partition] = place;
        }
        self.renew_producer_id().await
    }

    async fn renew_producer_id(&mut self) -> Result<(), ClientError> {
        if !self.desk.lanes.borrow().iter().any(Lane::needs_producer_id) {
            return Ok(());
        }
        let mut connection = Connection::open(&self.endpoints[self.routes[0]]).await?;
        let producer = init_producer_id(&mut connection, &self.plan.topics.versions).await?;
        let mut lanes = self.desk.lanes.borrow_mut();
        lanes.iter_mut().filter(|lane| lane.needs_producer_id()).for_each(|lane| lane.renew(producer));
        Ok(())
    }

    /// What was due and not sent has waited until now at least.
    async fn count_unsent(&mut self) {
        let at = now();
        let mut times = self.gather.unsent();
        times.extend(self.pending.take().map(|due| due.intended));
        while self.source.is_open() && !times.is_empty() {
            self.desk.counters.waited(&times, at);
            self.desk.counters.local.stats.borrow_mut().unsent += times.len() as u64;
            // There may be millions, and answers to what was sent are coming in.
            yield_if_needed().await;
            times.clear();
            times.extend(std::iter::from_fn(|| self.source.take(at)).take(UNSENT_AT_ONCE));
        }
        self.source.close();
    }

    /// What is not answered by now has failed.
    fn give_up(&mut self) {
        let cause = Cause::of(&ClientError::Timeout);
        for pipe in self.pipes.iter_mut().flatten() {
            pipe.end(&cause);
        }
        let mut lanes = self.desk.lanes.borrow_mut();
        let returned: Vec<_> = lanes.iter_mut().flat_map(Lane::give_up).collect();
        returned.into_iter().for_each(|batch| self.desk.give_up(batch, &cause));
    }

    fn note_end(&self) {
        let lasted = now().saturating_since(self.window().measured);
        let mut stats = self.desk.counters.local.stats.borrow_mut();
        stats.lasted = stats.lasted.max(lasted);
    }
}

/// A producer that waits for its next record looks again when the run ends before its time.
async fn wake_early(desk: Rc<Desk>) {
    desk.counters.local.until_interrupted().await;
    desk.tell_change();
}

fn source(plan: &Plan, index: u32, window: Window) -> Source {
    let settings = &plan.settings;
    let share = Share { index: u64::from(index), producers: u64::from(settings.producers) };
    let arrivals = match settings.rate {
        Rate::Open(rate) => Some(Arrivals::new(window.start, rate, share, settings.spacing, settings.seed)),
        Rate::Max => None,
    };
    let until = match settings.count {
        None => Until::Time(window.end),
        Some(count) => {
            let own = count / share.producers + u64::from(share.index < count % share.producers);
            Until::Count { measured: window.measured, left: own, end: window.end }
        }
    };
    Source::new(arrivals, until)
}

fn takes_next(plan: &Plan, gather: &Gather, payload: &Payload, partition: usize) -> bool {
    let key_bytes = plan.settings.keys.map(|keys| keys.bytes);
    let value_bytes = payload.size(gather.stream(partition), gather.next_number(partition));
    gather.takes(partition, record_bytes(key_bytes, value_bytes))
}

fn bounds(plan: &Plan) -> Bounds {
    let settings = &plan.settings;
    let key_bytes = settings.keys.map(|keys| keys.bytes);
    let closed_and_keyed = settings.rate == Rate::Max && key_bytes.is_some();
    let least = if closed_and_keyed { CLOSED_LOOP_LINGER } else { Duration::ZERO };
    Bounds {
        records: settings.batch_records,
        bytes: settings.batch_bytes,
        linger: settings.linger.max(least),
        smallest_record: record_bytes(key_bytes, settings.record_size.smallest()),
        largest_record: record_bytes(key_bytes, settings.record_size.largest()),
    }
}
