//! Many connections: opened at a rate, then idle, asking something now and then, or reading slowly, until the end.
//! Each shard has its share of them. A connection that ends is not opened again: how it ended is counted.

mod fate;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kring_runtime::{Monotonic, Queue, Task, TimedOut, now, sleep_until, spawn, timeout, timeout_at};
use kring_wire::messages::api_versions_request::ApiVersionsRequest;
use kring_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kring_wire::{ErrorCode, Request, Str};

use crate::client::{
    Answers, ClientError, Connection, EARLIEST, Endpoint, Requests, decode_answer, list_offsets_request,
    listed_offsets,
};
use crate::measure::Measure;
use crate::pace::{Arrivals, Share, Spacing};
use crate::settings::ConnectionLoad;
use crate::shared::Local;
use crate::work::Plan;
use fate::{Fate, fate};

/// A version that all brokers since 2.4 have, and whose answer is small.
const API_VERSIONS: i16 = 3;
/// Of a fetch that is read slowly: more than sockets hold.
const SLOW_BYTES: i32 = 50 << 20;
/// Pieces of a second in which what is read slowly is read.
const PIECES: u32 = 10;

/// All connections of one shard; ends with the run.
pub async fn run(plan: Arc<Plan>, local: Rc<Local>, shard: usize, shards: usize) {
    let load = plan.settings.connecting.clone();
    let share = Share { index: shard as u64, producers: shards as u64 };
    let mut due = Arrivals::new(local.window().start, load.per_second, share, Spacing::Constant, 0);
    let own = (shard..load.connections as usize).step_by(shards);
    let mut tasks: Vec<Task<()>> = Vec::new();
    for index in own {
        // What was not to be opened before an end that came early is not opened.
        if local.before_end(Duration::ZERO, sleep_until(due.next())).await.is_none() {
            break;
        }
        let client = Client { plan: plan.clone(), local: local.clone(), index };
        tasks.push(spawn(Queue::Net, client.run(due.next())));
        due.advance();
    }
    for task in tasks {
        task.await;
    }
}

/// One connection, and what it is used for.
struct Client {
    plan: Arc<Plan>,
    local: Rc<Local>,
    index: usize,
}

impl Client {
    async fn run(self, due: Monotonic) {
        let mut opened = false;
        let ended = match self.in_time(self.open(due)).await {
            // Opened before the end, and not answered by then.
            None => Err(ClientError::Timeout),
            Some(Err(error)) => Err(error),
            Some(Ok((requests, answers))) => {
                opened = true;
                self.count("connections opened");
                self.live(requests, answers).await
            }
        };
        let Err(error) = ended else { return self.count("connections open until the end") };
        match fate(&error, opened) {
            Fate::Named(name) => self.local.failed(name, 1),
            Fate::Other => self.local.failed(&error.to_string(), 1),
        }
    }

    /// `None` when the run ends before.
    async fn in_time<F: Future>(&self, future: F) -> Option<F::Output> {
        self.local.before_end(Duration::ZERO, future).await
    }

    fn end(&self) -> Monotonic {
        self.local.window().end
    }

    fn count(&self, name: &str) {
        self.local.stats.borrow_mut().count(name, 1);
    }

    fn load(&self) -> &ConnectionLoad {
        &self.plan.settings.connecting
    }

    /// Partitions take turns; without a topic all go to the server that was named.
    fn endpoint(&self) -> &Endpoint {
        let leaders = &self.plan.topics.leaders;
        if leaders.is_empty() { &self.plan.server } else { &leaders[self.index % leaders.len()] }
    }

    async fn open(&self, due: Monotonic) -> Result<(Requests, Answers), ClientError> {
        let connection = Connection::open(self.endpoint()).await?;
        let connected = now();
        self.local.lasted(&Measure::from_key("connect"), due, connected);
        let (mut requests, mut answers) = connection.into_split();
        self.ask(&mut requests, &mut answers).await?;
        self.local.lasted(&Measure::from_key("first answer (ApiVersions)"), connected, now());
        Ok((requests, answers))
    }

    async fn ask(&self, requests: &mut Requests, answers: &mut Answers) -> Result<(), ClientError> {
        let request = ApiVersionsRequest {
            client_software_name: Str::from_static("kring-loadgen"),
            client_software_version: Str::from_static(env!("CARGO_PKG_VERSION")),
        };
        let answer = self.call(requests, answers, API_VERSIONS, &request).await?;
        match ErrorCode(answer.error_code) {
            code if code.is_err() => Err(ClientError::refused("ApiVersions", code)),
            _ => Ok(()),
        }
    }

    async fn call<R: Request>(
        &self,
        requests: &mut Requests,
        answers: &mut Answers,
        version: i16,
        request: &R,
    ) -> Result<R::Response, ClientError> {
        let correlation = requests.send(version, request).await?;
        let frame = timeout(self.plan.settings.request_timeout, answers.next()).await;
        decode_answer(frame.unwrap_or(Err(ClientError::Timeout))?, correlation, version)
    }

    /// Until the end of the run, or of the connection.
    async fn live(&self, mut requests: Requests, mut answers: Answers) -> Result<(), ClientError> {
        if let Some(bytes_per_s) = self.load().read_bytes_per_s {
            return self.read_slowly(&mut requests, &mut answers, bytes_per_s).await;
        }
        let mut due = now();
        loop {
            due = self.load().every.map_or(Monotonic::MAX, |every| due + every);
            match self.in_time(timeout_at(due, answers.next())).await {
                None => return Ok(()),
                Some(Err(TimedOut)) => {}
                // Nothing was asked.
                Some(Ok(Ok(_))) => return Err(ClientError::Correlation { expected: -1, found: -1 }),
                Some(Ok(Err(error))) => return Err(error),
            }
            let Some(asked) = self.in_time(self.ask(&mut requests, &mut answers)).await else {
                self.wait_unanswered(due);
                return Ok(());
            };
            asked?;
            self.local.lasted(&Measure::from_key("later answers (ApiVersions)"), due, now());
        }
    }

    /// What was due and is not answered at the end has waited until then, and so has what was due behind it.
    fn wait_unanswered(&self, mut due: Monotonic) {
        let Some(every) = self.load().every.filter(|every| !every.is_zero()) else { return };
        while due < self.end() {
            self.local.lasted(&Measure::from_key("later answers (ApiVersions)"), due, self.end());
            due = due + every;
        }
    }

    /// Asks for more than sockets hold, and takes a little of it at a time.
    async fn read_slowly(
        &self,
        requests: &mut Requests,
        answers: &mut Answers,
        bytes_per_s: u32,
    ) -> Result<(), ClientError> {
        let piece = bytes_per_s.div_ceil(PIECES) as usize;
        let (mut left, mut due) = (0, now());
        while now() < self.end() {
            if left == 0 {
                let Some(asked) = self.in_time(self.ask_for_much(requests, answers)).await else {
                    return Ok(());
                };
                asked?;
            }
            let Some(taken) = self.in_time(answers.take_some(&mut left, piece)).await else { return Ok(()) };
            let taken = taken?;
            self.local.stats.borrow_mut().count("bytes read slowly", taken as u64);
            // Waking late is made up for; a longer wait for the broker is not, by haste.
            due = (due + Duration::from_secs_f64(taken as f64 / f64::from(bytes_per_s))).max(now());
            if self.in_time(sleep_until(due)).await.is_none() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Fetches from where the partition begins now.
    async fn ask_for_much(&self, requests: &mut Requests, answers: &mut Answers) -> Result<(), ClientError> {
        let (layout, versions) = (&self.plan.topics.layout, &self.plan.topics.versions);
        let own = [(self.index % layout.partitions()) as i32];
        let listing = list_offsets_request(layout, &own, EARLIEST);
        let listed = self.call(requests, answers, versions.list_offsets, &listing).await?;
        let from = listed_offsets(&listed, layout, &own)?[0];
        requests.send(versions.fetch, &self.fetch(own[0], from)).await?;
        Ok(())
    }

    fn fetch(&self, partition: i32, fetch_offset: i64) -> FetchRequest {
        let layout = &self.plan.topics.layout;
        let name = Str::from(layout.name(partition));
        let partition = FetchPartition {
            partition: layout.index(partition),
            fetch_offset,
            partition_max_bytes: SLOW_BYTES,
            ..FetchPartition::default()
        };
        let topic = FetchTopic { topic: name, partitions: vec![partition], ..FetchTopic::default() };
        FetchRequest {
            max_wait_ms: 500,
            min_bytes: 1,
            max_bytes: SLOW_BYTES,
            topics: vec![topic],
            ..FetchRequest::default()
        }
    }
}
