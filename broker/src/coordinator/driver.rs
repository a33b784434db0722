//! Runs a coordinator over the partition that holds its state: loads it, hands it requests and the time, appends
//! what it decides and tells it when that is durable.
//!
//! Knows nothing of what the machine decides. Lives on the shard that owns the partition; several tasks, one
//! machine, which is never borrowed across an await.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::select;
use kring_runtime::channel::ReplySender;
use kring_runtime::local::Notify;
use kring_runtime::{Monotonic, Queue, sleep_until, spawn, wall_ms};
use kring_storage::Offset;
use kring_wire::ErrorCode;
use kring_wire::record::{BatchBuilder, Compression, ValidatedBatch};

use super::load::{LoadError, load};
use super::{Coordinator, CoordinatorRecord, Now, Step, Token, WriteId};
use crate::partition::{Acks, Appended, Partition};

/// A running coordinator. Clones are the same one.
pub struct Driver<M: Coordinator>(Rc<Inner<M>>);

impl<M: Coordinator> Clone for Driver<M> {
    fn clone(&self) -> Self {
        Driver(self.0.clone())
    }
}

/// ```text
/// Loading ──▶ Active ──▶ Gone: closed, or its log failed
///    └──────────────────▶ Gone: closed, or its log could not be read
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Loading,
    Active,
    Gone,
}

struct Inner<M: Coordinator> {
    partition: Rc<Partition>,
    compression: Compression,
    phase: Cell<Phase>,
    machine: RefCell<M>,
    waiting: RefCell<BTreeMap<Token, ReplySender<M::Reply>>>,
    next_token: Cell<u64>,
    /// Appended and not yet known to be durable, with the offset that each waits for.
    undurable: RefCell<VecDeque<(WriteId, Offset)>>,
    /// A task waits for the newest of them.
    is_awaiting: Cell<bool>,
    /// The deadline for which the timer sleeps.
    armed_ms: Cell<i64>,
    /// The deadline came closer, or this is over.
    rearm: Notify,
}

impl<M: Coordinator + 'static> Driver<M> {
    /// Starts to load; requests are refused until that is done.
    pub fn start(partition: Rc<Partition>, machine: M, compression: Compression) -> Self {
        let inner = Rc::new(Inner {
            partition,
            compression,
            phase: Cell::new(Phase::Loading),
            machine: RefCell::new(machine),
            waiting: RefCell::default(),
            next_token: Cell::new(0),
            undurable: RefCell::default(),
            is_awaiting: Cell::new(false),
            armed_ms: Cell::new(i64::MAX),
            rearm: Notify::new(),
        });
        spawn(Queue::Cold, inner.clone().run()).detach();
        Driver(inner)
    }

    /// Decides on a request; the reply comes when what it depends on is durable.
    pub fn submit(&self, request: M::Request, reply_to: ReplySender<M::Reply>) {
        match self.0.phase.get() {
            Phase::Active => self.0.decide(request, reply_to),
            Phase::Loading => give(reply_to, M::refuse(&request, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS)),
            Phase::Gone => give(reply_to, M::refuse(&request, ErrorCode::NOT_COORDINATOR)),
        }
    }

    /// Ends it: everyone who waits is told to look elsewhere.
    pub fn close(&self) {
        self.0.end();
    }

    pub fn partition(&self) -> &Rc<Partition> {
        &self.0.partition
    }
}

impl<M: Coordinator + 'static> Inner<M> {
    async fn run(self: Rc<Self>) {
        match self.load().await {
            Ok(()) if self.phase.get() == Phase::Loading => {
                self.phase.set(Phase::Active);
                let step = self.machine.borrow_mut().loaded(now());
                self.follow(step);
                self.keep_time().await;
            }
            Ok(()) => {}
            Err(error) => {
                tracing::error!(partition = self.partition.name(), %error, "this coordinator cannot be loaded");
                self.end();
            }
        }
    }

    async fn load(&self) -> Result<(), LoadError> {
        let is_wanted = || self.phase.get() == Phase::Loading;
        load(self.partition.log(), &self.machine, is_wanted).await
    }

    fn decide(self: &Rc<Self>, request: M::Request, reply_to: ReplySender<M::Reply>) {
        let token = Token(self.next_token.get());
        self.next_token.set(token.0 + 1);
        self.waiting.borrow_mut().insert(token, reply_to);
        let step = self.machine.borrow_mut().handle(token, request, now());
        self.follow(step);
    }

    /// Does what a step asks for, and what follows from it, without a pause in which others could decide.
    fn follow(self: &Rc<Self>, step: Step<M::Reply>) {
        let mut steps = VecDeque::from([step]);
        while let Some(step) = steps.pop_front() {
            for (token, reply) in step.replies {
                self.release(token, reply);
            }
            for write in step.writes {
                match self.append(&write.records) {
                    Ok(appended) => {
                        self.machine.borrow_mut().appended(write.id, appended.produced.base_offset);
                        self.undurable.borrow_mut().push_back((write.id, appended.end));
                    }
                    Err(error) => {
                        steps.push_back(self.machine.borrow_mut().append_failed(write.id, error, now()))
                    }
                }
            }
        }
        self.await_durability();
        let next_ms = self.machine.borrow().next_deadline_ms().unwrap_or(i64::MAX);
        if next_ms < self.armed_ms.get() {
            self.rearm.notify_all();
        }
    }

    fn release(&self, token: Token, reply: M::Reply) {
        let reply_to = self.waiting.borrow_mut().remove(&token);
        give(reply_to.expect("a machine answers a token once"), reply);
    }

    fn append(&self, records: &[CoordinatorRecord]) -> Result<Appended, ErrorCode> {
        let batch = build(records, self.compression)?;
        if batch.size_bytes() > u64::from(self.partition.config().max_message_bytes) {
            return Err(ErrorCode::RECORD_LIST_TOO_LARGE);
        }
        self.partition.append(batch, Acks::All).map_err(|refusal| refusal.code)
    }

    fn await_durability(self: &Rc<Self>) {
        if !self.undurable.borrow().is_empty() && !self.is_awaiting.replace(true) {
            spawn(Queue::Net, self.clone().report_durable()).detach();
        }
    }

    /// Waits for the newest write again and again until there is none; those before it are durable with it.
    async fn report_durable(self: Rc<Self>) {
        while let Some((newest, end)) = self.newest_write() {
            if let Err(refusal) = self.partition.clone().committed(end).await {
                let (partition, error) = (self.partition.name(), refusal.code.name());
                tracing::error!(partition, error, "this coordinator stops: its log failed");
                return self.end();
            }
            if self.phase.get() != Phase::Active {
                return;
            }
            self.undurable.borrow_mut().retain(|(write, _)| *write > newest);
            let step = self.machine.borrow_mut().durable(newest, now());
            self.follow(step);
        }
        self.is_awaiting.set(false);
    }

    fn newest_write(&self) -> Option<(WriteId, Offset)> {
        self.undurable.borrow().back().copied()
    }

    async fn keep_time(self: Rc<Self>) {
        while self.phase.get() == Phase::Active {
            let rearmed = self.rearm.notified();
            let next_ms = self.machine.borrow().next_deadline_ms().unwrap_or(i64::MAX);
            self.armed_ms.set(next_ms);
            select(pin!(sleep_until(at(next_ms))), pin!(rearmed)).await;
            if self.phase.get() == Phase::Active && now().steady_ms >= next_ms {
                let step = self.machine.borrow_mut().tick(now());
                self.follow(step);
            }
        }
    }

    fn end(&self) {
        let was_active = self.phase.replace(Phase::Gone) == Phase::Active;
        if was_active {
            let step = self.machine.borrow_mut().unload();
            for (token, reply) in step.replies {
                self.release(token, reply);
            }
        }
        // Whoever is left sees the reply end, which means the same.
        self.waiting.borrow_mut().clear();
        self.undurable.borrow_mut().clear();
        self.rearm.notify_all();
    }
}

/// One batch, so that the records of one decision are there together or not at all.
fn build(records: &[CoordinatorRecord], compression: Compression) -> Result<ValidatedBatch, ErrorCode> {
    let timestamp = wall_ms();
    let mut batch = BatchBuilder::new(compression);
    for record in records {
        let appended = batch.append(timestamp, Some(&record.key), record.value.as_deref());
        appended.map_err(|_| ErrorCode::RECORD_LIST_TOO_LARGE)?;
    }
    batch.build().map_err(|_| ErrorCode::RECORD_LIST_TOO_LARGE)
}

fn give<T>(reply_to: ReplySender<T>, reply: T) {
    if reply_to.send(reply).is_err() {
        tracing::trace!("nobody waits for a coordinator's reply any more");
    }
}

fn now() -> Now {
    Now { wall_ms: wall_ms(), steady_ms: i64::try_from(kring_runtime::now().as_millis()).unwrap_or(i64::MAX) }
}

/// The point in time at `steady_ms`, where `i64::MAX` stands for never.
fn at(steady_ms: i64) -> Monotonic {
    match u64::try_from(steady_ms) {
        Ok(ms) if steady_ms < i64::MAX => Monotonic::ZERO + Duration::from_millis(ms),
        Ok(_) => Monotonic::MAX,
        Err(_) => Monotonic::ZERO,
    }
}
