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

use bytes::Bytes;
use kring_runtime::local::{Notified, Notify};
use kring_runtime::{Monotonic, Queue, Task, now, sleep_until, spawn, timeout};
use kring_wire::ErrorCode;
use kring_wire::messages::produce_response::{PartitionProduceResponse, ProduceResponse};

use super::batch::{Batch, Spare};
use super::frame::{ProduceFrame, Written};
use super::lane::{Cause, Lane, Verdict};
use crate::client::{Answers, ClientError, Connection, Layout, Requests, decode_answer};
use crate::counters::Counters;

/// What the connections of a producer share: its lanes, its counters, and how to wake it.
pub struct Desk {
    pub counters: Counters,
    layout: Arc<Layout>,
    pub lanes: RefCell<Vec<Lane>>,
    pub spare: RefCell<Spare>,
    changed: Notify,
    /// When something happened first for which the producer has waited since.
    changed_at: Cell<Option<Monotonic>>,
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
            changed_at: Cell::new(None),
            wants_room: Cell::new(false),
            stale: Cell::new(false),
            progressed: Cell::new(false),
        }
    }

    /// Until something happens that the producer waits for, from now on.
    pub fn change(&self) -> Notified {
        self.changed_at.set(None);
        self.changed.notified()
    }

    /// When it happened, if it did.
    pub fn changed_at(&self) -> Option<Monotonic> {
        self.changed_at.get()
    }

    /// Something happened that the producer waits for.
    pub fn tell_change(&self) {
        self.changed_at.set(Some(self.changed_at.get().unwrap_or_else(now)));
        self.changed.notify_all();
    }

    fn acknowledged(&self, batch: Batch, requests: u64, at: Monotonic, end: Option<i64>) {
        self.lanes.borrow_mut()[batch.stream.partition as usize].acknowledged();
        self.counters.acknowledged(&batch, requests, at, end);
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
        self.tell_change();
    }

    fn all_failed(&self, mut batches: Vec<Batch>, cause: &Cause) {
        batches.drain(..).for_each(|batch| self.failed(batch, cause));
        self.spare.borrow_mut().keep_request(batches);
    }

    /// The batch will not be acknowledged.
    pub fn give_up(&self, batch: Batch, cause: &Cause) {
        self.counters.local.failed(cause.name(), batch.records());
        self.spare.borrow_mut().keep(batch);
    }

    fn landed(&self) {
        self.counters.landed();
        if self.wants_room.get() {
            self.tell_change();
        }
    }
}

/// A request that is not answered yet, with its batches in the order of their partitions.
struct Flight {
    correlation: i32,
    sent: Monotonic,
    batches: Vec<Batch>,
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
    written: Written,
    queued_bytes: usize,
    /// Requests with `acks=0`, which nobody answers.
    unanswered: Vec<Vec<Batch>>,
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
            written: Written::default(),
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

    /// Writes a request with these batches, one for each of their partitions; it leaves with the next flush.
    pub fn push(&mut self, mut batches: Vec<Batch>, answered: bool) {
        let correlation = self.requests.take_correlation();
        batches.sort_unstable_by_key(|batch| batch.stream.partition);
        self.frame.put(&mut self.written, correlation, &self.desk.layout, &batches);
        batches.iter().for_each(|batch| {
            self.queued_bytes += batch.size_bytes();
            self.desk.lanes.borrow_mut()[batch.stream.partition as usize].departed();
        });
        self.desk.counters.departed();
        match answered {
            true => {
                let flight = Flight { correlation, sent: now(), batches };
                self.flights.queue.borrow_mut().push_back(flight);
            }
            false => self.unanswered.push(batches),
        }
    }

    /// Sends what was written; a failure ends the connection and everything in flight.
    pub async fn flush(&mut self) {
        if self.queued_bytes == 0 || self.is_broken() {
            return;
        }
        self.queued_bytes = 0;
        // A broker that does not read leaves no room in the socket.
        let sent = timeout(self.request_timeout, self.requests.send_parts(self.written.parts())).await;
        match sent.unwrap_or(Err(ClientError::Timeout)) {
            Ok(()) => self.count_unanswered(),
            Err(error) => self.end(&Cause::of(&error)),
        }
    }

    /// Without acknowledgements a record has arrived when it is in the socket.
    fn count_unanswered(&mut self) {
        let at = now();
        for mut batches in self.unanswered.drain(..) {
            self.desk.landed();
            let mut uncounted = 1;
            for batch in batches.drain(..) {
                self.desk.counters.shared.landed(batch.records());
                self.desk.acknowledged(batch, std::mem::take(&mut uncounted), at, None);
            }
            self.desk.spare.borrow_mut().keep_request(batches);
        }
    }

    /// Gives up the connection: everything in flight has failed.
    pub fn end(&mut self, cause: &Cause) {
        self.written.clear();
        self.queued_bytes = 0;
        for batches in self.unanswered.drain(..) {
            self.desk.landed();
            self.desk.all_failed(batches, cause);
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
            desk.all_failed(flight.batches, cause);
        }
        desk.stale.set(true);
        desk.tell_change();
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
    let Some(Flight { correlation, mut batches, .. }) = flight else {
        return Err(ClientError::Correlation { expected: -1, found });
    };
    desk.landed();
    let answer = decode_answer(frame, correlation, version);
    match answer.and_then(|answer| each_partition(answer, &desk.layout, &batches)) {
        Ok(partitions) => {
            let mut uncounted = 1;
            for (batch, partition) in batches.drain(..).zip(partitions) {
                judged(batch, &partition, at, desk, &mut uncounted);
            }
            desk.spare.borrow_mut().keep_request(batches);
            Ok(())
        }
        Err(error) => {
            desk.all_failed(batches, &Cause::of(&error));
            Err(error)
        }
    }
}

/// The first batch of a request that the broker has counts the request.
fn judged(
    batch: Batch,
    partition: &PartitionProduceResponse,
    at: Monotonic,
    desk: &Desk,
    uncounted: &mut u64,
) {
    let code = ErrorCode(partition.error_code);
    // The broker has it from before, and does not say where.
    let is_duplicate = code == ErrorCode::DUPLICATE_SEQUENCE_NUMBER;
    if code.is_err() && !is_duplicate {
        return desk.failed(batch, &Cause::Code(code));
    }
    let end = partition.base_offset.saturating_add_unsigned(batch.records());
    // −1: a duplicate whose place the broker does not know any more.
    let known = (!is_duplicate && partition.base_offset >= 0).then_some(end);
    desk.acknowledged(batch, std::mem::take(uncounted), at, known);
}

/// What the answer says of each batch, all of which have partitions of their own, in their order.
fn each_partition(
    answer: ProduceResponse,
    layout: &Layout,
    batches: &[Batch],
) -> Result<Vec<PartitionProduceResponse>, ClientError> {
    let mut found = Vec::with_capacity(batches.len());
    for topic in answer.responses {
        let place = |answered: &PartitionProduceResponse| layout.find(&topic.name, answered.index);
        found.extend(topic.partition_responses.into_iter().map(|answered| (place(&answered), answered)));
    }
    found.sort_by_key(|(partition, _)| *partition);
    let asked = batches.iter().map(|batch| Some(batch.stream.partition));
    if !found.iter().map(|(partition, _)| *partition).eq(asked) {
        return Err(ClientError::Missing(format!("{} alone", titles(layout, batches))));
    }
    Ok(found.into_iter().map(|(_, answered)| answered).collect())
}

fn titles(layout: &Layout, batches: &[Batch]) -> String {
    let first = layout.title(batches[0].stream.partition);
    match batches.len() {
        1 => first,
        several => format!("{first} and {} more", several - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::Stream;
    use kring_wire::Str;
    use kring_wire::messages::produce_response::TopicProduceResponse;
    use kring_wire::record::HEADER_BYTES;

    fn batch(partition: i32) -> Batch {
        Batch {
            stream: Stream { producer: 0, partition },
            first_number: 0,
            times: Vec::new(),
            head: [0; HEADER_BYTES],
            body: Bytes::new(),
            content_bytes: 0,
        }
    }

    /// The offsets that such an answer gives to batches for a-0, a-1 and b-0.
    fn offsets(answered: &[(&str, i32, i64)]) -> Result<Vec<i64>, String> {
        let layout = Layout::new([("a", 2), ("b", 1)]);
        let topic = |(name, index, base_offset): &(&str, i32, i64)| TopicProduceResponse {
            name: Str::from(*name),
            partition_responses: vec![PartitionProduceResponse {
                index: *index,
                base_offset: *base_offset,
                ..Default::default()
            }],
            ..Default::default()
        };
        let answer =
            ProduceResponse { responses: answered.iter().map(topic).collect(), ..Default::default() };
        let found = each_partition(answer, &layout, &[batch(0), batch(1), batch(2)]);
        let offsets = |found: Vec<PartitionProduceResponse>| {
            found.iter().map(|partition| partition.base_offset).collect()
        };
        found.map(offsets).map_err(|error| error.to_string())
    }

    #[test]
    fn each_batch_gets_what_the_answer_says_of_its_partition_in_whatever_order() {
        let answered = [("b", 0, 30), ("a", 1, 20), ("a", 0, 10)];
        assert_eq!(offsets(&answered), Ok(vec![10, 20, 30]));
    }

    #[test]
    fn an_answer_that_leaves_one_out_doubles_one_or_names_another_is_none() {
        let known = [("a", 0, 1), ("a", 1, 1), ("b", 0, 1)];
        assert!(offsets(&known[..2]).unwrap_err().contains("partition 0 of a and 2 more alone"));
        for more in [("b", 0, 1), ("b", 1, 1), ("c", 0, 1), ("a", -1, 1)] {
            let answered: Vec<_> = known.into_iter().chain([more]).collect();
            assert!(offsets(&answered).is_err(), "{more:?}");
        }
        assert!(offsets(&[known[0], known[1], known[1]]).is_err());
    }
}
