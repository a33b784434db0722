//! A run: what is found out before it, what each shard does, and how the parts become one result.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kring_runtime::channel::{Receiver, Sender};
use kring_runtime::process::thread_cpu;
use kring_runtime::{Monotonic, Queue, Task, now, random_u64, signal, sleep, sleep_until, spawn, wall_ms};

use crate::client::{ClientError, Endpoint, Topics, no_topic, open_topics};
use crate::connections;
use crate::consume::{self, Consumer, Role};
use crate::counters::Counters;
use crate::groups::{self, Stage};
use crate::interrupt::unless_interrupted;
use crate::live;
use crate::measure::Measure;
use crate::payload::Payload;
use crate::produce::{self, Producer};
use crate::report::Thread;
use crate::settings::{Settings, Workload};
use crate::shared::{HEAD_START, Local, Shared, Window};
use crate::stats::Stats;
use crate::timeline::{self, Gather, Recorder, Slot};
use crate::verify::{Arrivals, Ledger};

/// Rare enough to cost nothing, and often enough for a percentile in a short run.
const WAKES_EVERY: Duration = Duration::from_millis(10);

/// A run that can begin.
#[derive(Debug)]
pub struct Plan {
    pub settings: Settings,
    /// The broker that was named.
    pub server: Endpoint,
    /// None where none was named.
    pub topics: Topics,
    /// What records say of the run, with the number of their topic added.
    pub run: u64,
}

impl Plan {
    /// The brokers that led partitions before the run, and for each partition which of them.
    pub fn endpoints(&self) -> (Vec<Endpoint>, Vec<usize>) {
        routes(&self.topics.leaders)
    }
}

/// The brokers among these leaders of partitions, and for each partition which of them.
pub fn routes(leaders: &[Endpoint]) -> (Vec<Endpoint>, Vec<usize>) {
    let mut endpoints = Vec::new();
    let mut places = BTreeMap::new();
    let route = |leader: &Endpoint| {
        *places.entry(leader.name.clone()).or_insert_with(|| {
            endpoints.push(leader.clone());
            endpoints.len() - 1
        })
    };
    let routes = leaders.iter().map(route).collect();
    (endpoints, routes)
}

impl Plan {
    /// What records of this partition's topic say, so that those of other runs, and of other topics, are told apart.
    pub fn run_of(&self, partition: i32) -> u64 {
        self.run.wrapping_add(self.topics.layout.place(partition).topic as u64)
    }

    /// The topic that a record was sent to; `None` when it is of another run.
    pub fn sent_to(&self, run: u64) -> Option<usize> {
        let topic = run.wrapping_sub(self.run);
        usize::try_from(topic).ok().filter(|topic| *topic < self.topics.layout.count())
    }

    /// How many partitions each topic has; absent without a topic.
    pub fn partitions_text(&self) -> Option<String> {
        let counts = || self.topics.layout.topics().map(|(_, partitions)| partitions.len());
        let (least, most) = (counts().min()?, counts().max()?);
        Some(if least == most { most.to_string() } else { format!("{least} to {most}") })
    }

    /// What makes and checks the values of this run.
    pub fn payload(&self) -> Payload {
        Payload::new(self.settings.record_size.clone(), self.settings.filler, self.settings.seed)
    }
}

/// Finds, or makes, what the run needs.
pub async fn prepare(settings: Settings) -> Result<Plan, ClientError> {
    unless_interrupted(find(settings)).await
}

async fn find(settings: Settings) -> Result<Plan, ClientError> {
    let server = Endpoint::resolve(&settings.host, settings.port, settings.request_timeout).await?;
    let topics = match settings.topic_names().as_slice() {
        [] => no_topic(&server).await?,
        names => open_topics(&server, names, settings.partitions).await?,
    };
    let mut plan = Plan { settings, server, topics, run: random_u64() };
    if plan.settings.group.name.is_empty() {
        plan.settings.group.name = format!("kring-loadgen-{:016x}", plan.run);
    }
    Ok(plan)
}

/// What a shard, or all of them, brought home.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub stats: Stats,
    pub ledger: Ledger,
    pub arrivals: Arrivals,
    pub slots: Vec<Slot>,
    pub threads: Vec<Thread>,
    /// Wall clock at the start of the run.
    pub started_ms: u64,
    /// How much was measured, where the operator ended the run before its time.
    pub interrupted: Option<Duration>,
}

impl Outcome {
    pub fn merge(&mut self, other: Outcome) {
        timeline::merge(&mut self.slots, &other.slots);
        self.threads.extend(other.threads);
        self.started_ms = self.started_ms.max(other.started_ms);
        self.interrupted = self.interrupted.or(other.interrupted);
        self.stats.merge(&other.stats);
        self.ledger.merge(other.ledger);
        self.arrivals.merge(other.arrivals);
    }
}

/// The clients of one shard connected, and waiting for the start.
#[derive(Default)]
struct Crew {
    producers: Vec<produce::Connected>,
    consumers: Vec<consume::Connected>,
}

/// The part of one shard in a run; clones are for the other shards.
#[derive(Clone)]
pub struct Worker {
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    stage: Arc<Stage>,
    shards: usize,
    /// To whom every shard tells each second what happened.
    live: Option<(Sender<Told>, Receiver<Told>)>,
}

/// A slot that a shard has closed, and its number.
type Told = (usize, Slot);

impl Worker {
    pub fn new(plan: Plan, shards: usize) -> Worker {
        let producers = if plan.settings.produces() { plan.settings.producers as usize } else { 0 };
        let partitions = plan.topics.layout.partitions();
        let shared = Shared::new(shards, producers, partitions, plan.settings.start_at);
        Worker { plan: Arc::new(plan), shared, stage: Arc::default(), shards, live: None }
    }

    /// Shows a live line on standard error.
    pub fn with_live_line(mut self) -> Worker {
        self.live = Some(kring_runtime::channel::bounded(4 * self.shards));
        self
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Runs the clients of shard `shard`.
    pub async fn run(self, shard: usize) -> Result<Outcome, ClientError> {
        let begun = unless_interrupted(self.begin(shard)).await;
        let (crew, start) = begun.inspect_err(|_| self.shared.fail())?;
        let started_ms = wall_at(start);
        let local = Rc::new(Local::new(Window::new(start, &self.plan.settings)));
        let watching =
            spawn(Queue::Background, watch(local.clone(), self.live.clone().map(|(sender, _)| sender)));
        let waking = spawn(Queue::Net, watch_waking(local.clone()));
        let showing = self.show(shard, local.window());
        let heeding = spawn(Queue::Background, heed(self.shared.clone(), local.clone(), shard == 0));
        for task in self.spawn_crew(crew, &local, shard) {
            task.await;
        }
        drop((watching, waking, showing, heeding));
        let recorder = Recorder::new(start, Duration::from_secs(1));
        Ok(Outcome {
            stats: local.stats.take(),
            ledger: local.ledger.take(),
            arrivals: local.arrivals.take(),
            slots: local.timeline.replace(recorder).finish(),
            threads: vec![local.thread.get()],
            started_ms,
            interrupted: local.interrupted(),
        })
    }

    /// Connects, waits for the others, and nearly until the start, which may be far off.
    async fn begin(&self, shard: usize) -> Result<(Crew, Monotonic), ClientError> {
        let crew = self.connect(shard).await.inspect_err(|_| self.shared.fail())?;
        let start = self.shared.ready().await?;
        sleep(start.saturating_since(now()).saturating_sub(HEAD_START)).await;
        Ok((crew, start))
    }

    /// Shard 0 shows what all of them tell.
    fn show(&self, shard: usize, window: Window) -> Option<Task<()>> {
        let (_, receiver) = self.live.clone().filter(|_| shard == 0)?;
        let shards = self.shards;
        Some(spawn(Queue::Background, async move {
            let mut gather = Gather::new(shards);
            while let Ok((index, slot)) = receiver.recv().await {
                if let Some(slot) = gather.add(index, &slot) {
                    live::show(&slot, window);
                }
            }
        }))
    }

    async fn connect(&self, shard: usize) -> Result<Crew, ClientError> {
        let settings = &self.plan.settings;
        let own = |clients: u32| (0..clients).filter(|index| *index as usize % self.shards == shard);
        let mut crew = Crew::default();
        for (role, consumers) in Role::all(settings) {
            for index in own(consumers) {
                crew.consumers.extend(consume::connect(&self.plan, role, index).await?);
            }
        }
        if settings.produces() {
            for index in own(settings.producers) {
                crew.producers.push(produce::connect(&self.plan, index).await?);
            }
        }
        Ok(crew)
    }

    fn spawn_crew(&self, crew: Crew, local: &Rc<Local>, shard: usize) -> Vec<Task<()>> {
        let settings = &self.plan.settings;
        let counters =
            Counters { local: local.clone(), shared: self.shared.clone(), verify: settings.verify };
        let payload = Rc::new(self.plan.payload());
        let mut tasks = Vec::new();
        for connected in crew.consumers {
            let consumer = Consumer::new(self.plan.clone(), connected, counters.clone(), payload.clone());
            tasks.push(spawn(Queue::Net, consumer.run()));
        }
        for connected in crew.producers {
            let producer = Producer::new(self.plan.clone(), connected, counters.clone());
            tasks.push(spawn(Queue::Net, producer.run()));
        }
        tasks.extend(self.spawn_others(local, shard));
        tasks
    }

    /// Clients that are neither producers nor consumers of their own.
    fn spawn_others(&self, local: &Rc<Local>, shard: usize) -> Option<Task<()>> {
        let (plan, local, shards) = (self.plan.clone(), local.clone(), self.shards);
        match self.plan.settings.workload {
            Workload::Groups => {
                let running = groups::run(plan, self.stage.clone(), local, shard, shards);
                Some(spawn(Queue::Net, running))
            }
            Workload::Connections => Some(spawn(Queue::Net, connections::run(plan, local, shard, shards))),
            Workload::Produce | Workload::Consume | Workload::EndToEnd | Workload::Mixed => None,
        }
    }
}

/// The wall clock at this time.
fn wall_at(time: Monotonic) -> u64 {
    let wall = wall_ms() + time.saturating_since(now()).as_millis() as i64;
    wall.unsigned_abs()
}

/// Wants to wake up a hundred times a second, and notes how late it is. All clients of the thread are as late for what
/// they wait for, also where that is an answer, of which nobody knows when it came.
async fn watch_waking(local: Rc<Local>) {
    let mut due = local.window().start;
    loop {
        sleep_until(due).await;
        let at = now();
        // Whoever would have waited for a time that was slept through has waited since.
        while due <= at {
            local.lasted(&Measure::WokenLate, due, at);
            due = due + WAKES_EVERY;
        }
    }
}

/// When the operator wants it, the run ends; what is in flight then is waited for as at any end.
async fn heed(shared: Arc<Shared>, local: Rc<Local>, tells: bool) {
    signal::shutdown().await;
    let shortened = local.interrupt(shared.interrupt(now()));
    if tells {
        live::tell_interrupted(shortened);
    }
}

/// At the end of each slot: closes it, adds what is only known then, and tells it to whom it may concern.
async fn watch(local: Rc<Local>, live: Option<Sender<Told>>) {
    sleep_until(local.window().start).await;
    let (mut at, mut cpu) = (now(), thread_cpu());
    for index in 0.. {
        let end = local.timeline.borrow().end_of(index);
        sleep_until(end).await;
        let (then, used) = (std::mem::replace(&mut at, now()), std::mem::replace(&mut cpu, thread_cpu()));
        if let Some(slot) = local.end_slot(index, cpu.saturating_sub(used), at - then)
            && let Some(live) = &live
        {
            // A line that is shown late is of no use: what does not fit is left out.
            let _full = live.try_send((index, slot));
        }
    }
}
