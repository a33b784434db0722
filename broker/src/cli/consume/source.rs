//! Record batches as they come, from all leaders of a topic's partitions: long polls in a task of its own, which
//! follows leaders when they move and goes on where records are gone. Never prints records.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::try_join_all;
use kring_runtime::channel::{self, Receiver, Sender};
use kring_runtime::{Queue, Task, spawn};
use kring_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kring_wire::messages::fetch_response::{FetchResponse, PartitionData};
use kring_wire::record::{Batch, split_batches};
use kring_wire::{ErrorCode, Str};

use crate::cli::client::offsets::{self, Edge, LIST_OFFSETS_NEWEST, Offsets, by_leader};
use crate::cli::client::{ANSWER_TIME, Client, ClientError, Connection, Patience, RETRY_TIME, Result};
use crate::cli::complain;

/// Later versions name topics by their ids.
const FETCH_NEWEST: i16 = 12;
/// How long a broker waits for the first record.
const LONG_POLL: Duration = Duration::from_millis(500);
const MAX_BYTES: i32 = 16 << 20;
const MAX_PARTITION_BYTES: i32 = 2 << 20;
/// Answers that wait for printing.
const ANSWERS_AHEAD: usize = 4;
/// "No session" in the protocol (KIP-227).
const NO_SESSION_EPOCH: i32 = -1;

/// Batches of one partition. The first may begin before `from`.
pub(super) struct Fetched {
    pub(super) partition: i32,
    pub(super) from: i64,
    /// Where the partition is read next.
    pub(super) next: i64,
    pub(super) batches: Vec<Batch>,
}

pub(super) struct Source {
    fetched: Receiver<Result<Fetched>>,
    _task: Task<()>,
}

impl Source {
    pub(super) fn start(servers: &str, topic: &Str, positions: Offsets) -> Self {
        let (sender, fetched) = channel::bounded(ANSWERS_AHEAD);
        let feed = Feed {
            servers: servers.to_string(),
            topic: topic.clone(),
            positions: RefCell::new(positions),
            has_progressed: Cell::new(false),
            sender,
        };
        Self { fetched, _task: spawn(Queue::Net, follow(Rc::new(feed))) }
    }

    /// What comes next. Never ends when there are no partitions.
    pub(super) async fn next(&self) -> Result<Fetched> {
        match self.fetched.recv().await {
            Ok(fetched) => fetched,
            Err(_ended_before) => std::future::pending().await,
        }
    }

    pub(super) fn next_now(&self) -> Option<Result<Fetched>> {
        self.fetched.try_recv().ok()
    }
}

struct Feed {
    servers: String,
    topic: Str,
    positions: RefCell<Offsets>,
    has_progressed: Cell<bool>,
    sender: Sender<Result<Fetched>>,
}

async fn follow(feed: Rc<Feed>) {
    if feed.positions.borrow().is_empty() {
        return std::future::pending().await;
    }
    let mut patience = Patience::new(RETRY_TIME);
    loop {
        let Err(error) = feed.fetch_from_all().await;
        if feed.has_progressed.take() {
            patience.renew();
        }
        if let Err(error) = patience.again(error).await {
            let _nobody_reads = feed.sender.send(Err(error)).await;
            return;
        }
    }
}

impl Feed {
    /// Until anything fails: then all leaders are asked for again.
    async fn fetch_from_all(&self) -> Result<Infallible> {
        let mut client = Client::reconnect(&self.servers).await?;
        let topic = client.topic(&self.topic, false).await?;
        let partitions: Vec<i32> = self.positions.borrow().keys().copied().collect();
        let mut fetches = Vec::new();
        for (leader, partitions) in by_leader(&topic, partitions.into_iter())? {
            fetches.push(self.fetch_from(client.take(leader).await?, partitions));
        }
        let Err(error) = try_join_all(fetches).await.map(|never| never.into_iter().next()) else {
            return Err(ClientError::Plain(format!("topic '{}' has no partitions", self.topic)));
        };
        Err(error)
    }

    async fn fetch_from(&self, mut leader: Connection, mut partitions: Vec<i32>) -> Result<Infallible> {
        loop {
            let request = self.request(&partitions);
            let answer = leader.ask(LONG_POLL + ANSWER_TIME, FETCH_NEWEST, |_| request.clone()).await?;
            self.take(&mut leader, answer).await?;
            // Another partition is the first to fill the next answer.
            partitions.rotate_left(1);
        }
    }

    fn request(&self, partitions: &[i32]) -> FetchRequest {
        let positions = self.positions.borrow();
        let one = |index: &i32| FetchPartition {
            partition: *index,
            fetch_offset: positions.get(index).copied().unwrap_or(0),
            partition_max_bytes: MAX_PARTITION_BYTES,
            ..FetchPartition::default()
        };
        let topic = FetchTopic {
            topic: self.topic.clone(),
            partitions: partitions.iter().map(one).collect(),
            ..FetchTopic::default()
        };
        FetchRequest {
            max_wait_ms: LONG_POLL.as_millis() as i32,
            min_bytes: 1,
            max_bytes: MAX_BYTES,
            session_epoch: NO_SESSION_EPOCH,
            topics: vec![topic],
            ..FetchRequest::default()
        }
    }

    async fn take(&self, leader: &mut Connection, answer: FetchResponse) -> Result<()> {
        ClientError::check(answer.error_code, None, || format!("topic '{}' cannot be read", self.topic))?;
        for data in answer.responses.into_iter().flat_map(|topic| topic.partitions) {
            match ErrorCode(data.error_code) {
                ErrorCode::OFFSET_OUT_OF_RANGE => self.go_on_elsewhere(leader, data.partition_index).await?,
                _ => self.take_partition(data).await?,
            }
        }
        Ok(())
    }

    async fn take_partition(&self, data: PartitionData) -> Result<()> {
        let index = data.partition_index;
        ClientError::check(data.error_code, None, || format!("{}-{index} cannot be read", self.topic))?;
        self.has_progressed.set(true);
        let Some(from) = self.positions.borrow().get(&index).copied() else { return Ok(()) };
        let batches = self.batches(&data)?;
        let Some(last) = batches.last() else { return Ok(()) };
        let next = last.header.end_offset().max(from);
        // The source may have been dropped: then this task is about to be.
        let _nobody_reads = self.sender.send(Ok(Fetched { partition: index, from, next, batches })).await;
        self.positions.borrow_mut().insert(index, next);
        Ok(())
    }

    fn batches(&self, data: &PartitionData) -> Result<Vec<Batch>> {
        let Some(bytes) = data.records.as_ref().and_then(|records| records.as_bytes()) else {
            return Ok(Vec::new());
        };
        let checked =
            split_batches(bytes).map(|batch| batch.and_then(|batch| batch.check_crc().map(|()| batch)));
        checked.collect::<std::result::Result<_, _>>().map_err(|error| {
            let index = data.partition_index;
            ClientError::Plain(format!("{}-{index} holds a batch that cannot be read: {error}", self.topic))
        })
    }

    /// The position is no longer, or not yet, in the partition.
    async fn go_on_elsewhere(&self, leader: &mut Connection, index: i32) -> Result<()> {
        let oldest = self.edge(leader, index, Edge::Start).await?;
        let end = self.edge(leader, index, Edge::End).await?;
        let before = self.positions.borrow().get(&index).copied().unwrap_or(oldest);
        let position = before.clamp(oldest, end.max(oldest));
        if position != before {
            complain(&format!(
                "{}-{index} has no offset {before} any more; going on at {position}",
                self.topic
            ));
        }
        self.positions.borrow_mut().insert(index, position);
        Ok(())
    }

    async fn edge(&self, leader: &mut Connection, index: i32, edge: Edge) -> Result<i64> {
        let ask = |_| offsets::request(&self.topic, &[index], edge);
        let answer = leader.ask(ANSWER_TIME, LIST_OFFSETS_NEWEST, ask).await?;
        Ok(offsets::found(&answer)?.get(&index).copied().unwrap_or(0))
    }
}
