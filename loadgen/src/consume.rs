//! A consumer: fetches its partitions of one leader without a group and without fetch sessions. Lives on one shard.
//!
//! It stops at the offsets that were the end when it started (`consume`), or when everything that was acknowledged
//! has come back (`e2e`).

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kring_runtime::{Monotonic, now, sleep, sleep_until, yield_if_needed};
use kring_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kring_wire::messages::fetch_response::{FetchResponse, PartitionData};
use kring_wire::record::split_batches;
use kring_wire::{ErrorCode, Str};

use crate::client::{ClientError, Connection, Endpoint, list_offsets};
use crate::counters::Counters;
use crate::measure::Measure;
use crate::payload::Payload;
use crate::settings::Start;
use crate::stamp::Stamp;
use crate::stats::Amount;
use crate::verify::Stream;
use crate::work::Plan;

const MAX_WAIT_MS: i32 = 100;
const RESPONSE_BYTES: i32 = 50 << 20;
const MAX_BATCH_BYTES: u64 = 256 << 20;
const RETRY_DELAY: Duration = Duration::from_millis(50);
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// How far one partition is read.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    partition: i32,
    position: i64,
    high_watermark: i64,
    /// Where to stop; absent while it depends on what is produced.
    end: Option<i64>,
}

/// A consumer of some partitions of one leader, before the run starts.
pub struct Connected {
    endpoint: Endpoint,
    connection: Connection,
    cursors: Vec<Cursor>,
}

/// The partitions of consumer `index` by leader, each with a connection and its starting offsets.
pub async fn connect(plan: &Plan, index: u32) -> Result<Vec<Connected>, ClientError> {
    let (endpoints, routes) = plan.endpoints();
    let consumers = plan.settings.consumers as usize;
    let mut connected = Vec::new();
    for (at, endpoint) in endpoints.into_iter().enumerate() {
        let own = |partition: &usize| partition % consumers == index as usize && routes[*partition] == at;
        let partitions: Vec<i32> = (0..routes.len()).filter(own).map(|partition| partition as i32).collect();
        if partitions.is_empty() {
            continue;
        }
        let mut connection = Connection::open(&endpoint).await?;
        let cursors = starting_offsets(plan, &mut connection, &partitions).await?;
        connected.push(Connected { endpoint, connection, cursors });
    }
    Ok(connected)
}

async fn starting_offsets(
    plan: &Plan,
    connection: &mut Connection,
    partitions: &[i32],
) -> Result<Vec<Cursor>, ClientError> {
    let ends = list_offsets(connection, &plan.topic, partitions, LATEST).await?;
    let from_start = plan.settings.start() == Start::Earliest;
    let positions = match plan.settings.start() {
        Start::Earliest => list_offsets(connection, &plan.topic, partitions, EARLIEST).await?,
        Start::Latest => ends.clone(),
    };
    let cursor = |((partition, position), end): ((&i32, &i64), &i64)| Cursor {
        partition: *partition,
        position: *position,
        high_watermark: *end,
        end: from_start.then_some(*end),
    };
    Ok(partitions.iter().zip(&positions).zip(&ends).map(cursor).collect())
}

/// A consumer at work.
pub struct Consumer {
    plan: Arc<Plan>,
    counters: Counters,
    endpoint: Endpoint,
    connection: Connection,
    cursors: Vec<Cursor>,
    payload: Rc<Payload>,
}

impl Consumer {
    pub fn new(plan: Arc<Plan>, connected: Connected, counters: Counters, payload: Rc<Payload>) -> Consumer {
        let Connected { endpoint, connection, cursors } = connected;
        Consumer { plan, counters, endpoint, connection, cursors, payload }
    }

    pub async fn run(mut self) {
        sleep_until(self.counters.local.window.start).await;
        let began = now();
        while !self.is_done() {
            if let Err(error) = self.fetch().await {
                self.counters.local.failed(&error.to_string(), 1);
                self.recover(&error).await;
            }
            yield_if_needed().await;
        }
        let mut stats = self.counters.local.stats.borrow_mut();
        stats.reading = stats.reading.max(began.elapsed());
    }

    fn is_done(&self) -> bool {
        let window = self.counters.local.window;
        if !self.plan.settings.produces() {
            return now() >= window.end
                || self.cursors.iter().all(|cursor| Some(cursor.position) >= cursor.end);
        }
        let caught_up = |cursor: &Cursor| {
            cursor.position >= cursor.high_watermark
                && cursor.position >= self.counters.shared.acknowledged_end(cursor.partition)
        };
        // The producers themselves give up when `drain` is over, then so much more for the consumers.
        let too_late = now() >= window.end + 2 * self.plan.settings.drain;
        too_late || (!self.counters.shared.is_producing() && self.cursors.iter().all(caught_up))
    }

    /// A lost connection is made again; a refused partition is tried again.
    async fn recover(&mut self, error: &ClientError) {
        sleep(RETRY_DELAY).await;
        if matches!(error, ClientError::Refused { .. }) {
            return;
        }
        if let Ok(connection) = Connection::open(&self.endpoint).await {
            self.connection = connection;
        }
    }

    async fn fetch(&mut self) -> Result<(), ClientError> {
        let request = self.request();
        let asked = now();
        let version = self.plan.topic.versions.fetch;
        let answer: FetchResponse = self.connection.call(version, &request).await?;
        let at = now();
        let code = ErrorCode(answer.error_code);
        if code.is_err() {
            return Err(ClientError::refused("Fetch", code));
        }
        self.counters.local.lasted(&Measure::Fetched, asked, at);
        let mut amount = Amount { requests: 1, ..Amount::default() };
        for data in answer.responses.into_iter().flat_map(|topic| topic.partitions) {
            amount.add(self.partition(data, at)?);
        }
        // The broker fills its answer in the order of the request.
        self.cursors.rotate_left(1);
        self.counters.local.consumed(amount, at);
        Ok(())
    }

    fn request(&self) -> FetchRequest {
        let unread = self.cursors.iter().filter(|cursor| cursor.end.is_none_or(|end| cursor.position < end));
        let partitions = unread.map(|cursor| FetchPartition {
            partition: cursor.partition,
            fetch_offset: cursor.position,
            partition_max_bytes: self.plan.settings.fetch_bytes,
            ..FetchPartition::default()
        });
        let topic = FetchTopic {
            topic: Str::from(self.plan.topic.name.as_str()),
            partitions: partitions.collect(),
            ..FetchTopic::default()
        };
        FetchRequest {
            max_wait_ms: MAX_WAIT_MS,
            min_bytes: 1,
            max_bytes: RESPONSE_BYTES,
            topics: vec![topic],
            ..FetchRequest::default()
        }
    }

    fn partition(&mut self, data: PartitionData, at: Monotonic) -> Result<Amount, ClientError> {
        let code = ErrorCode(data.error_code);
        if code.is_err() {
            return Err(ClientError::refused(format!("partition {}", data.partition_index), code));
        }
        let records = data.records.as_ref().and_then(|records| records.as_bytes()).cloned();
        let Some(slot) = self.cursors.iter().position(|cursor| cursor.partition == data.partition_index)
        else {
            return Err(ClientError::Missing(format!("what was asked, but of {}", data.partition_index)));
        };
        self.cursors[slot].high_watermark = data.high_watermark;
        self.batches(slot, records.unwrap_or_default(), at)
    }

    fn batches(&mut self, slot: usize, records: Bytes, at: Monotonic) -> Result<Amount, ClientError> {
        let mut amount = Amount::default();
        for batch in split_batches(&records) {
            let batch = batch?;
            let Cursor { partition, position, .. } = self.cursors[slot];
            if batch.header.last_offset() < position {
                continue;
            }
            amount.bytes += batch.bytes.len() as u64;
            amount.records += u64::from(batch.header.record_count.max(0).unsigned_abs());
            if self.plan.settings.produces() && !batch.header.is_control() {
                if self.counters.verify {
                    batch.check_crc()?;
                }
                self.records(partition, position, batch.records(MAX_BATCH_BYTES)?, at)?;
            }
            self.cursors[slot].position = batch.header.last_offset() + 1;
        }
        Ok(amount)
    }

    fn records(
        &self,
        partition: i32,
        position: i64,
        mut records: kring_wire::record::RecordsIter,
        at: Monotonic,
    ) -> Result<(), ClientError> {
        while let Some(record) = records.next_ref() {
            let record = record?;
            let value = record.value.unwrap_or_default();
            let stamp = Stamp::read(value).filter(|stamp| stamp.run == self.plan.run);
            if let Some(stamp) = stamp.filter(|_| record.offset >= position) {
                self.received(partition, &stamp, value, at);
            }
        }
        Ok(())
    }

    fn received(&self, partition: i32, stamp: &Stamp, value: &[u8], at: Monotonic) {
        let local = &self.counters.local;
        local.lasted(&Measure::Received, stamp.intended, at);
        if self.counters.verify {
            let mut arrivals = local.arrivals.borrow_mut();
            arrivals.arrived(Stream { producer: stamp.producer, partition }, stamp.number);
            if !self.payload.is_unchanged(partition, stamp, value) {
                arrivals.changed();
            }
        }
    }
}
