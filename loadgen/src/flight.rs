//! Requests in flight on one connection, and what their answers mean for the counters.
//! Answers come in order; whatever is in flight when the connection ends counts as failed.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use kring_runtime::local::Notify;
use kring_runtime::{Monotonic, now};
use kring_wire::ErrorCode;
use kring_wire::messages::produce_response::{PartitionProduceResponse, ProduceResponse};

use crate::client::{Answers, ClientError, decode_answer};
use crate::measure::Measure;
use crate::pace::Schedule;
use crate::shared::{Local, Shared};
use crate::stats::Amount;
use crate::verify::Stream;

/// When the records of a batch were meant to be sent.
#[derive(Clone, Copy, Debug)]
pub enum Intended {
    /// By a schedule, from its record `first` on.
    Scheduled { schedule: Schedule, first: u64 },
    /// All at once.
    At(Monotonic),
}

impl Intended {
    pub fn of(&self, record: u64) -> Monotonic {
        match self {
            Intended::Scheduled { schedule, first } => schedule.intended(first + record),
            Intended::At(time) => *time,
        }
    }
}

/// One request: a batch for a partition.
#[derive(Clone, Debug)]
pub struct Flight {
    pub correlation: i32,
    pub stream: Stream,
    /// Number of its first record in the stream.
    pub first_number: u64,
    pub intended: Intended,
    pub amount: Amount,
}

/// The requests in flight of one connection, oldest first.
#[derive(Default)]
pub struct Flights {
    queue: RefCell<VecDeque<Flight>>,
    pub changed: Notify,
    broken: Cell<bool>,
}

impl Flights {
    pub fn len(&self) -> usize {
        self.queue.borrow().len()
    }

    pub fn is_broken(&self) -> bool {
        self.broken.get()
    }

    pub fn push(&self, flight: Flight) {
        self.queue.borrow_mut().push_back(flight);
    }

    fn pop(&self) -> Option<Flight> {
        self.queue.borrow_mut().pop_front()
    }

    /// The connection is of no use any more; what was in flight comes out.
    pub fn end(&self) -> Vec<Flight> {
        self.broken.set(true);
        let flights = self.queue.borrow_mut().drain(..).collect();
        self.changed.notify_all();
        flights
    }
}

/// What flights count into.
#[derive(Clone)]
pub struct Counters {
    pub local: Rc<Local>,
    pub shared: Arc<Shared>,
    pub verify: bool,
}

impl Counters {
    pub fn departed(&self) {
        self.local.in_flight.set(self.local.in_flight.get() + 1);
    }

    pub fn landed(&self) {
        self.local.in_flight.set(self.local.in_flight.get() - 1);
    }

    /// The broker has the batch; `end` is the offset after it, where it says.
    pub fn acknowledged(&self, flight: &Flight, at: Monotonic, end: Option<i64>) {
        self.local.produced(flight.amount, at);
        self.waited(&flight.intended, flight.amount.records, at);
        let Some(end) = end else { return };
        self.shared.acknowledge(flight.stream.partition, end);
        if self.verify {
            let to = flight.first_number + flight.amount.records;
            self.local.ledger.borrow_mut().acknowledged(flight.stream, flight.first_number, to);
        }
    }

    /// Records have waited until `at`.
    pub fn waited(&self, intended: &Intended, records: u64, at: Monotonic) {
        match intended {
            Intended::At(time) => self.local.all_lasted(&Measure::Acknowledged, at, [(*time, records)]),
            Intended::Scheduled { .. } => {
                let begun = (0..records).map(|record| (intended.of(record), 1));
                self.local.all_lasted(&Measure::Acknowledged, at, begun);
            }
        }
    }

    /// These will not be answered.
    pub fn lost(&self, flights: &[Flight], cause: &ClientError) {
        for flight in flights {
            self.landed();
            self.local.failed(&cause.to_string(), flight.amount.records);
        }
    }
}

/// Reads answers until the connection ends.
pub async fn receive(mut answers: Answers, flights: Rc<Flights>, counters: Counters, version: i16) {
    loop {
        let frame = match answers.next().await {
            Ok(frame) => frame,
            Err(error) => return counters.lost(&flights.end(), &error),
        };
        let at = now();
        let Some(flight) = flights.pop() else {
            let found = frame.first_chunk().map_or(0, |id| i32::from_be_bytes(*id));
            let error = ClientError::Correlation { expected: -1, found };
            return counters.lost(&flights.end(), &error);
        };
        counters.landed();
        if let Err(error) =
            answered(decode_answer(frame, flight.correlation, version), &flight, at, &counters)
        {
            counters.local.failed(&error.to_string(), flight.amount.records);
            return counters.lost(&flights.end(), &error);
        }
        flights.changed.notify_all();
    }
}

fn answered(
    answer: Result<ProduceResponse, ClientError>,
    flight: &Flight,
    at: Monotonic,
    counters: &Counters,
) -> Result<(), ClientError> {
    let answer = answer?;
    let partition = only_partition(&answer, flight.stream.partition)?;
    let code = ErrorCode(partition.error_code);
    if code.is_err() {
        counters.local.failed(code.name(), flight.amount.records);
        return Ok(());
    }
    let end = partition.base_offset.saturating_add_unsigned(flight.amount.records);
    counters.acknowledged(flight, at, Some(end));
    Ok(())
}

fn only_partition(answer: &ProduceResponse, index: i32) -> Result<&PartitionProduceResponse, ClientError> {
    let mut partitions = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
    match (partitions.next(), partitions.next()) {
        (Some(partition), None) if partition.index == index => Ok(partition),
        _ => Err(ClientError::Missing(format!("partition {index} alone"))),
    }
}
