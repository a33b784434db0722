//! One connection of a producer to a leader: requests out, gathered into few writes, and their answers, which come
//! in order. Lives on one shard.
//!
//! Whatever is in flight when the connection ends has failed: its lane decides whether it is sent again. A connection
//! whose oldest request is not answered in time is given up, as Kafka's `NetworkClient` does.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kring_runtime::local::Notify;
use kring_runtime::{Monotonic, Queue, Task, now, sleep_until, spawn, timeout};
use kring_wire::ErrorCode;
use kring_wire::messages::produce_response::{PartitionProduceResponse, ProduceResponse};

use super::batch::{Batch, Spare};
use super::frame::ProduceFrame;
use super::lane::{Cause, Lane, Verdict};
use crate::client::{Answers, ClientError, Connection, Layout, Requests, decode_answer};
use crate::counters::Counters;

/// Bodies from this size on are sent from where they are; copying smaller ones is cheaper than another part.
const COPIED_BYTES: usize = 8 << 10;

/// What the connections of a producer share: its lanes, its counters, and how to wake it.
pub struct Desk {
    pub counters: Counters,
    layout: Arc<Layout>,
    pub lanes: RefCell<Vec<Lane>>,
    pub spare: RefCell<Spare>,
    /// Something happened that the producer waits for.
    pub changed: Notify,
    /// The producer waits for room in flight.
    pub wants_room: Cell<bool>,
    /// Leaders may have changed.
    pub stale: Cell<bool>,
    /// A batch was acknowledged since the last trouble.
    pub progressed: Cell<bool>,
}

impl Desk {
    pub fn new(counters: Counters, layout: Arc<Layout>, lanes: Vec<Lane>) -> Desk {
        Desk {
            counters,
            layout,
            lanes: RefCell::new(lanes),
            spare: RefCell::default(),
            changed: Notify::new(),
            wants_room: Cell::new(false),
            stale: Cell::new(false),
            progressed: Cell::new(false),
        }
    }

    fn acknowledged(&self, batch: Batch, at: Monotonic, end: Option<i64>) {
        self.lanes.borrow_mut()[batch.stream.partition as usize].acknowledged();
        self.counters.acknowledged(&batch, at, end);
        self.progressed.set(true);
        self.spare.borrow_mut().keep(batch);
    }

    fn failed(&self, batch: Batch, cause: &Cause) {
        let records = batch.records();
        let verdict = self.lanes.borrow_mut()[batch.stream.partition as usize].failed(batch, cause);
        match verdict {
            Verdict::Again => self.counters.local.stats.borrow_mut().retried(cause.name(), records),
            Verdict::GivenUp(batch) => self.give_up(batch, cause),
        }
        self.stale.set(self.stale.get() || cause.is_stale());
        self.changed.notify_all();
    }

    /// The batch will not be acknowledged.
    pub fn give_up(&self, batch: Batch, cause: &Cause) {
        self.counters.local.failed(cause.name(), batch.records());
        self.spare.borrow_mut().keep(batch);
    }

    fn landed(&self) {
        self.counters.landed();
        if self.wants_room.get() {
            self.changed.notify_all();
        }
    }
}

/// A request that is not answered yet.
struct Flight {
    correlation: i32,
    sent: Monotonic,
    batch: Batch,
}

/// The requests in flight of one connection, oldest first.
#[derive(Default)]
struct Flights {
    queue: RefCell<VecDeque<Flight>>,
    broken: Cell<bool>,
}

/// A connection to a leader.
pub struct Pipe {
    requests: Requests,
    flights: Rc<Flights>,
    desk: Rc<Desk>,
    frame: Rc<ProduceFrame>,
    /// Written, not sent yet.
    parts: VecDeque<Bytes>,
    tail: BytesMut,
    queued_bytes: usize,
    /// Those of `acks=0`, which nobody answers.
    unanswered: Vec<Batch>,
    request_timeout: Duration,
    _tasks: [Task<()>; 2],
}

impl Pipe {
    pub fn new(connection: Connection, desk: &Rc<Desk>, frame: &Rc<ProduceFrame>, version: i16) -> Pipe {
        let request_timeout = connection.request_timeout();
        let (requests, answers) = connection.into_split();
        let flights = Rc::new(Flights::default());
        let receiving = receive(answers, flights.clone(), desk.clone(), version);
        let watching = watch(flights.clone(), desk.clone(), request_timeout);
        Pipe {
            requests,
            flights,
            desk: desk.clone(),
            frame: frame.clone(),
            parts: VecDeque::new(),
            tail: BytesMut::new(),
            queued_bytes: 0,
            unanswered: Vec::new(),
            request_timeout,
            _tasks: [spawn(Queue::Net, receiving), spawn(Queue::Net, watching)],
        }
    }

    pub fn in_flight(&self) -> usize {
        self.flights.queue.borrow().len() + self.unanswered.len()
    }

    pub fn is_broken(&self) -> bool {
        self.flights.broken.get()
    }

    /// Bytes that [`Pipe::flush`] would send.
    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Writes a request for the batch; it leaves with the next flush.
    pub fn push(&mut self, batch: Batch, answered: bool) {
        let correlation = self.requests.take_correlation();
        let to = self.desk.layout.place(batch.stream.partition);
        self.frame.put_head(&mut self.tail, correlation, to, batch.size_bytes());
        self.tail.put_slice(&batch.head);
        if batch.body.len() < COPIED_BYTES {
            self.tail.put_slice(&batch.body);
        } else {
            self.parts.push_back(self.tail.split().freeze());
            self.parts.push_back(batch.body.clone());
        }
        self.tail.put_slice(self.frame.tail());
        self.queued_bytes += batch.size_bytes();
        self.desk.lanes.borrow_mut()[batch.stream.partition as usize].departed();
        self.desk.counters.departed();
        match answered {
            true => {
                let flight = Flight { correlation, sent: now(), batch };
                self.flights.queue.borrow_mut().push_back(flight);
            }
            false => self.unanswered.push(batch),
        }
    }

    /// Sends what was written; a failure ends the connection and everything in flight.
    pub async fn flush(&mut self) {
        if self.queued_bytes == 0 || self.is_broken() {
            return;
        }
        self.parts.push_back(self.tail.split().freeze());
        self.queued_bytes = 0;
        // A broker that does not read leaves no room in the socket.
        let sent = timeout(self.request_timeout, self.requests.send_parts(&mut self.parts)).await;
        match sent.unwrap_or(Err(ClientError::Timeout)) {
            Ok(()) => self.count_unanswered(),
            Err(error) => self.end(&Cause::of(&error)),
        }
    }

    /// Without acknowledgements a record has arrived when it is in the socket.
    fn count_unanswered(&mut self) {
        let at = now();
        for batch in self.unanswered.drain(..) {
            self.desk.landed();
            self.desk.counters.shared.landed(batch.records());
            self.desk.acknowledged(batch, at, None);
        }
    }

    /// Gives up the connection: everything in flight has failed.
    pub fn end(&mut self, cause: &Cause) {
        self.parts.clear();
        self.tail.clear();
        self.queued_bytes = 0;
        for batch in self.unanswered.drain(..) {
            self.desk.landed();
            self.desk.failed(batch, cause);
        }
        self.flights.end(&self.desk, cause);
    }
}

impl Flights {
    fn end(&self, desk: &Desk, cause: &Cause) {
        self.broken.set(true);
        let flights = std::mem::take(&mut *self.queue.borrow_mut());
        for flight in flights {
            desk.landed();
            desk.failed(flight.batch, cause);
        }
        desk.stale.set(true);
        desk.changed.notify_all();
    }

    /// When the oldest request was sent.
    fn oldest(&self) -> Option<Monotonic> {
        self.queue.borrow().front().map(|flight| flight.sent)
    }
}

/// Gives up the connection when its oldest request is not answered in time. Wakes about once in that time.
async fn watch(flights: Rc<Flights>, desk: Rc<Desk>, request_timeout: Duration) {
    while !flights.broken.get() {
        let due = flights.oldest().unwrap_or_else(now) + request_timeout;
        if due <= now() {
            return flights.end(&desk, &Cause::of(&ClientError::Timeout));
        }
        sleep_until(due).await;
    }
}

/// Reads answers until the connection ends.
async fn receive(mut answers: Answers, flights: Rc<Flights>, desk: Rc<Desk>, version: i16) {
    loop {
        let next = answers.next().await;
        if flights.broken.get() {
            return;
        }
        let outcome = match next {
            Ok(frame) => answered(frame, &flights, &desk, version),
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            return flights.end(&desk, &Cause::of(&error));
        }
    }
}

fn answered(frame: Bytes, flights: &Flights, desk: &Desk, version: i16) -> Result<(), ClientError> {
    let at = now();
    let found = frame.first_chunk().map_or(0, |id| i32::from_be_bytes(*id));
    let flight = flights.queue.borrow_mut().pop_front();
    let Some(Flight { correlation, batch, .. }) = flight else {
        return Err(ClientError::Correlation { expected: -1, found });
    };
    desk.landed();
    let answer = decode_answer(frame, correlation, version);
    match answer.and_then(|answer| only_partition(answer, &desk.layout, batch.stream.partition)) {
        Ok(partition) => judged(batch, &partition, at, desk),
        Err(error) => {
            desk.failed(batch, &Cause::of(&error));
            return Err(error);
        }
    }
    Ok(())
}

fn judged(batch: Batch, partition: &PartitionProduceResponse, at: Monotonic, desk: &Desk) {
    match ErrorCode(partition.error_code) {
        // The broker has it from before, and does not say where.
        ErrorCode::DUPLICATE_SEQUENCE_NUMBER => desk.acknowledged(batch, at, None),
        code if code.is_err() => desk.failed(batch, &Cause::Code(code)),
        _ => {
            let end = partition.base_offset.saturating_add_unsigned(batch.records());
            // −1: a duplicate whose place the broker does not know any more.
            let known = (partition.base_offset >= 0).then_some(end);
            desk.acknowledged(batch, at, known);
        }
    }
}

fn only_partition(
    answer: ProduceResponse,
    layout: &Layout,
    partition: i32,
) -> Result<PartitionProduceResponse, ClientError> {
    let mut all = answer.responses.into_iter().flat_map(|topic| {
        let name = topic.name;
        topic.partition_responses.into_iter().map(move |found| (layout.find(&name, found.index), found))
    });
    match (all.next(), all.next()) {
        (Some((found, answered)), None) if found == Some(partition) => Ok(answered),
        _ => Err(ClientError::Missing(format!("{} alone", layout.title(partition)))),
    }
}
