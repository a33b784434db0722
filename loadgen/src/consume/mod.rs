//! A consumer: fetches its partitions of one leader without a group and without fetch sessions. Lives on one shard.
//!
//! What it reads, and when it is done, is said by its [`Role`]. Partitions that move to another leader go on in a
//! consumer of their own.

mod reading;
mod role;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kring_runtime::{Monotonic, Queue, Task, now, sleep, sleep_until, spawn, yield_if_needed};
use kring_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kring_wire::messages::fetch_response::FetchResponse;
use kring_wire::{ErrorCode, Str};

pub use role::Role;

use crate::backoff::Backoff;
use crate::client::{ClientError, Connection, EARLIEST, Endpoint, LATEST, list_offsets, refresh_leaders};
use crate::counters::Counters;
use crate::measure::Measure;
use crate::payload::Payload;
use crate::stats::Amount;
use crate::work::Plan;
use role::Cursor;

const MAX_WAIT_MS: i32 = 100;
const RESPONSE_BYTES: i32 = 50 << 20;
/// Until a partition that was refused is asked for again; the others are read on.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);
/// How long after the end an answer that was asked for before may come.
const GRACE: Duration = Duration::from_secs(1);

/// A consumer of some partitions of one leader, before the run starts.
pub struct Connected {
    role: Role,
    endpoint: Endpoint,
    connection: Connection,
    cursors: Vec<Cursor>,
}

/// The partitions of consumer `index` by leader, each with a connection and its starting offsets.
pub async fn connect(plan: &Plan, role: Role, index: u32) -> Result<Vec<Connected>, ClientError> {
    let (endpoints, routes) = plan.endpoints();
    let consumers = role.consumers(&plan.settings) as usize;
    let mut connected = Vec::new();
    for (at, endpoint) in endpoints.into_iter().enumerate() {
        let own = |partition: &usize| partition % consumers == index as usize && routes[*partition] == at;
        let partitions: Vec<i32> = (0..routes.len()).filter(own).map(|partition| partition as i32).collect();
        if partitions.is_empty() {
            continue;
        }
        let mut connection = Connection::open(&endpoint).await?;
        let cursors = starting_offsets(plan, role, &mut connection, &partitions).await?;
        connected.push(Connected { role, endpoint, connection, cursors });
    }
    Ok(connected)
}

async fn starting_offsets(
    plan: &Plan,
    role: Role,
    connection: &mut Connection,
    partitions: &[i32],
) -> Result<Vec<Cursor>, ClientError> {
    let starts = list_offsets(connection, &plan.topics, partitions, EARLIEST).await?;
    let ends = list_offsets(connection, &plan.topics, partitions, LATEST).await?;
    let cursor = |((partition, start), end): ((&i32, &i64), &i64)| role.cursor(*partition, *start, *end);
    Ok(partitions.iter().zip(&starts).zip(&ends).map(cursor).collect())
}

/// A consumer at work.
pub struct Consumer {
    plan: Arc<Plan>,
    counters: Counters,
    role: Role,
    endpoint: Endpoint,
    connection: Connection,
    cursors: Vec<Cursor>,
    payload: Rc<Payload>,
    round_trip: Measure,
    backoff: Backoff,
    /// Those of partitions that have another leader now.
    others: Vec<Task<()>>,
}

impl Consumer {
    pub fn new(plan: Arc<Plan>, connected: Connected, counters: Counters, payload: Rc<Payload>) -> Consumer {
        let Connected { role, endpoint, connection, cursors } = connected;
        Consumer {
            plan,
            counters,
            role,
            endpoint,
            connection,
            cursors,
            payload,
            round_trip: role.round_trip(),
            backoff: Backoff::default(),
            others: Vec::new(),
        }
    }

    pub async fn run(mut self) {
        sleep_until(self.counters.local.window().start).await;
        let began = now();
        while !self.is_done() {
            if !self.turn_in_time().await {
                break;
            }
            yield_if_needed().await;
        }
        self.count_unread();
        for other in std::mem::take(&mut self.others) {
            other.await;
        }
        let mut stats = self.counters.local.stats.borrow_mut();
        // What was read is counted up to the end.
        let end = now().min(self.counters.local.window().end);
        stats.reading = stats.reading.max(end.saturating_since(began));
    }

    /// False when the run was over before the turn was. A broker that hangs does not keep a run that ends by the clock.
    async fn turn_in_time(&mut self) -> bool {
        let local = self.counters.local.clone();
        match self.role {
            Role::Whole | Role::History => local.before_end(GRACE, self.turn()).await.is_some(),
            Role::Tail => {
                self.turn().await;
                true
            }
        }
    }

    async fn turn(&mut self) {
        match self.fetch().await {
            Ok(()) => self.backoff.reset(),
            Err(error) => self.recover(error).await,
        }
    }

    /// Some partitions were refused a moment ago, and not all of them.
    fn is_partly_served(&self) -> bool {
        let (now, refused) = (now(), |at: Monotonic| move |cursor: &Cursor| cursor.not_before > at);
        self.cursors.iter().any(refused(now)) && !self.cursors.iter().all(refused(now))
    }

    fn is_done(&self) -> bool {
        self.role.is_done(&self.cursors, &self.counters, &self.plan.settings, now())
    }

    /// Who follows the producers has read all that they were promised, or says so.
    fn count_unread(&self) {
        let end = |cursor: &Cursor| self.counters.shared.acknowledged_end(cursor.partition);
        let left = |cursor: &Cursor| u64::try_from(end(cursor) - cursor.position).unwrap_or(0);
        let local = &self.counters.local;
        match self.role {
            Role::Tail => {
                let unread = self.cursors.iter().map(left).sum();
                local.failed("acknowledged and not received in time", unread);
                let missing = self.counters.shared.tell_missing();
                local.failed("sent without acknowledgement and not received in time", missing);
            }
            // What is unread because the time is over is no fault of the broker.
            Role::Whole if self.backoff.is_waiting() => {
                let left = |cursor: &Cursor| cursor.end.unwrap_or(cursor.position) - cursor.position;
                let unread = self.cursors.iter().map(left).sum::<i64>();
                local.failed("not read: the broker did not answer any more", unread.unsigned_abs());
            }
            Role::Whole | Role::History => {}
        }
    }

    /// What passes is tried again, and counted; everything else is an error each time.
    async fn recover(&mut self, error: ClientError) {
        if !self.is_partly_served() {
            sleep(self.backoff.next()).await;
        }
        let mended = match &error {
            ClientError::Refused { code: ErrorCode::OFFSET_OUT_OF_RANGE, .. } => self.reset().await,
            passing if passing.is_passing() => self.reconnect().await,
            _ => Ok(()),
        };
        let local = &self.counters.local;
        match error.is_passing() {
            true => local.stats.borrow_mut().count(&format!("fetches tried again ({error})"), 1),
            false => local.failed(&error.to_string(), 1),
        }
        if let Err(error) = mended {
            local.stats.borrow_mut().count(&format!("leaders asked for in vain ({error})"), 1);
        }
    }

    /// Positions that are not there any more begin again where the partition does, or go on where it ends.
    async fn reset(&mut self) -> Result<(), ClientError> {
        let partitions: Vec<_> = self.cursors.iter().map(|cursor| cursor.partition).collect();
        let starts = list_offsets(&mut self.connection, &self.plan.topics, &partitions, EARLIEST).await?;
        let ends = list_offsets(&mut self.connection, &self.plan.topics, &partitions, LATEST).await?;
        for ((cursor, start), end) in self.cursors.iter_mut().zip(starts).zip(ends) {
            cursor.position = cursor.position.clamp(start, end.max(start));
            cursor.start = start;
        }
        Ok(())
    }

    async fn reconnect(&mut self) -> Result<(), ClientError> {
        let mut brokers = self.plan.endpoints().0;
        brokers.push(self.endpoint.clone());
        let leaders = refresh_leaders(&brokers, &self.plan.topics).await?;
        let leader = |cursor: &Cursor| leaders[cursor.partition as usize].clone();
        let Some(first) = self.cursors.first().map(leader) else { return Ok(()) };
        // Another comes first the next time: a leader that cannot be reached holds up nobody else's partitions.
        self.cursors.rotate_left(1);
        self.connection = Connection::open(&first).await?;
        self.endpoint = first;
        let own = |cursor: &Cursor| leader(cursor).name == self.endpoint.name;
        let (own, moved): (Vec<_>, Vec<_>) = self.cursors.iter().copied().partition(own);
        self.cursors = own;
        let mut outcome = Ok(());
        for cursor in moved {
            if let Err(error) = self.hand_over(leader(&cursor), cursor).await {
                // It stays until its leader can be reached: that it is refused here leads to the next try.
                self.cursors.push(cursor);
                outcome = Err(error);
            }
        }
        outcome
    }

    /// Partitions that moved elsewhere are fetched from there.
    async fn hand_over(&mut self, endpoint: Endpoint, cursor: Cursor) -> Result<(), ClientError> {
        let connection = Connection::open(&endpoint).await?;
        let connected = Connected { role: self.role, endpoint, connection, cursors: vec![cursor] };
        let (counters, payload) = (self.counters.clone(), self.payload.clone());
        let other = Consumer::new(self.plan.clone(), connected, counters, payload);
        self.others.push(spawn(Queue::Net, Box::pin(other.run())));
        Ok(())
    }

    async fn fetch(&mut self) -> Result<(), ClientError> {
        let request = self.request();
        if request.topics.is_empty() {
            // All are refused.
            sleep(REFUSED_PAUSE).await;
            return Ok(());
        }
        let asked = now();
        let version = self.plan.topics.versions.fetch;
        let answer: FetchResponse = self.connection.call(version, &request).await?;
        let at = now();
        let code = ErrorCode(answer.error_code);
        if code.is_err() {
            return Err(ClientError::refused("Fetch", code));
        }
        self.counters.local.lasted(&self.round_trip, asked, at);
        let mut amount = Amount { requests: 1, ..Amount::default() };
        let mut refused = None;
        for topic in answer.responses {
            for data in topic.partitions {
                match self.partition(&topic.topic, data, at) {
                    Ok(more) => amount.add(more),
                    Err(error) => refused = Some(error),
                }
            }
        }
        // The broker fills its answer in the order of the request.
        self.cursors.rotate_left(1);
        self.count(amount, at);
        self.cursors.iter_mut().for_each(|cursor| self.role.turn_round(cursor));
        refused.map_or(Ok(()), Err)
    }

    fn count(&self, amount: Amount, at: Monotonic) {
        let Counters { local, shared, .. } = &self.counters;
        match self.role {
            Role::History if local.window().covers(at) => {
                local.stats.borrow_mut().amount("history").add(amount);
            }
            Role::History => {}
            Role::Whole | Role::Tail => local.consumed(amount, at),
        }
        shared.read(amount.records);
    }

    fn request(&self) -> FetchRequest {
        let layout = &self.plan.topics.layout;
        let at = now();
        let is_wanted = |cursor: &&Cursor| !cursor.is_at_end() && cursor.not_before <= at;
        let unread: Vec<Cursor> = self.cursors.iter().filter(is_wanted).copied().collect();
        let partition = |cursor: &Cursor| FetchPartition {
            partition: layout.index(cursor.partition),
            fetch_offset: cursor.position,
            partition_max_bytes: self.plan.settings.fetch_bytes,
            ..FetchPartition::default()
        };
        let topic = |(name, cursors): (&str, &[Cursor])| FetchTopic {
            topic: Str::from(name),
            partitions: cursors.iter().map(partition).collect(),
            ..FetchTopic::default()
        };
        FetchRequest {
            max_wait_ms: MAX_WAIT_MS,
            min_bytes: 1,
            max_bytes: RESPONSE_BYTES,
            topics: layout.stretches(&unread, |cursor| cursor.partition).map(topic).collect(),
            ..FetchRequest::default()
        }
    }
}
