//! Scheduler, clock and randomness of a simulated machine. One thread; nothing here blocks or looks at real time.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::context::{self, Backend, ShardId};
use crate::local::Notify;
use crate::sim::disk::{Disk, SimFiles};
use crate::sim::net::SimNet;
use crate::sim::rng::Rng;
use crate::sim::{RunEnd, SimConfig, SimError};
use crate::task::{Queue, TaskCore};
use crate::time::Monotonic;

/// Where the virtual clock starts, so that a deadline minus a timeout stays a time.
const CLOCK_START: u64 = 3600 * 1_000_000_000;
/// What a poll costs at most, in nanoseconds.
const POLL_COST: u64 = 2_000;

/// Why a run is to end before its mains do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    Crash,
}

type TaskId = u64;

/// The tasks that may be polled. Wakers are `Send`, so this is a lock, though only one thread ever takes it.
#[derive(Default)]
struct Ready(Mutex<Vec<TaskId>>);

impl Ready {
    fn with<R>(&self, f: impl FnOnce(&mut Vec<TaskId>) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct SimWaker {
    task: TaskId,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for SimWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.ready.with(|ready| ready.push(self.task));
        }
    }
}

#[derive(Clone)]
struct SimTask {
    core: Rc<TaskCore>,
    shard: Rc<SimShard>,
    waker: Arc<SimWaker>,
}

pub(crate) struct World {
    config: SimConfig,
    rng: RefCell<Rng>,
    now: Cell<u64>,
    polls: Cell<u64>,
    tasks: RefCell<BTreeMap<TaskId, SimTask>>,
    next_id: Cell<u64>,
    ready: Arc<Ready>,
    timers: RefCell<BTreeMap<(u64, u64), Waker>>,
    stop: Cell<Option<Stop>>,
    stop_at: Cell<Option<u64>>,
    shutdown: Cell<bool>,
    shutdown_asked: Notify,
    disk: Disk,
    net: SimNet,
}

impl World {
    pub(crate) fn new(config: SimConfig) -> Rc<Self> {
        let disk = Disk::new(config.disk_bytes);
        Rc::new(Self {
            rng: RefCell::new(Rng::new(config.seed)),
            now: Cell::new(CLOCK_START),
            polls: Cell::new(0),
            tasks: RefCell::default(),
            next_id: Cell::new(0),
            ready: Arc::default(),
            timers: RefCell::default(),
            stop: Cell::new(None),
            stop_at: Cell::new(None),
            shutdown: Cell::new(false),
            shutdown_asked: Notify::new(),
            disk,
            net: SimNet::default(),
            config,
        })
    }

    pub(crate) fn seed(&self) -> u64 {
        self.config.seed
    }

    pub(crate) fn now(&self) -> Monotonic {
        Monotonic::from_nanos(self.now.get())
    }

    pub(crate) fn disk(&self) -> Disk {
        self.disk.clone()
    }

    pub(crate) fn net(&self) -> &SimNet {
        &self.net
    }

    pub(crate) fn random<R>(&self, f: impl FnOnce(&mut Rng) -> R) -> R {
        f(&mut self.rng.borrow_mut())
    }

    pub(crate) fn stop(&self, why: Stop) {
        self.stop.set(Some(why));
    }

    pub(crate) fn stop_at(&self, time: Monotonic) {
        self.stop_at.set(Some(time.as_nanos()));
    }

    pub(crate) fn request_shutdown(&self) {
        self.shutdown.set(true);
        self.shutdown_asked.notify_all();
    }

    fn unique(&self) -> u64 {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        id
    }

    fn start(&self, shard: &Rc<SimShard>, core: Rc<TaskCore>) -> Waker {
        let id = self.unique();
        let waker =
            Arc::new(SimWaker { task: id, queued: AtomicBool::new(false), ready: self.ready.clone() });
        self.tasks.borrow_mut().insert(id, SimTask { core, shard: shard.clone(), waker: waker.clone() });
        waker.wake_by_ref();
        Waker::from(waker)
    }

    /// Runs until `done`, a crash, a deadlock, or the limits.
    fn drive(&self, done: impl Fn() -> bool) -> Result<Option<Stop>, SimError> {
        let limit = self.now.get().saturating_add(nanos(self.config.max_time));
        while !done() {
            if let Some(stop) = self.due_stop() {
                return Ok(Some(stop));
            }
            self.fire_timers();
            if !self.poll_one() && !self.jump() {
                return Err(self.deadlock());
            }
            if self.polls.get() > self.config.max_polls || self.now.get() > limit {
                return Err(SimError::Endless { seed: self.config.seed, polls: self.polls.get() });
            }
        }
        Ok(None)
    }

    fn due_stop(&self) -> Option<Stop> {
        if self.stop_at.get().is_some_and(|at| self.now.get() >= at) {
            self.stop_at.set(None);
            return Some(Stop::Crash);
        }
        self.stop.take()
    }

    fn fire_timers(&self) {
        let later = self.timers.borrow_mut().split_off(&(self.now.get() + 1, 0));
        let due = self.timers.replace(later);
        due.into_values().for_each(Waker::wake);
    }

    /// Polls a task chosen by the seed; false when none is ready.
    fn poll_one(&self) -> bool {
        let count = self.ready.with(|ready| ready.len());
        if count == 0 {
            return false;
        }
        let (index, cost) = self.random(|rng| (rng.below(count as u64), rng.below(POLL_COST)));
        let index = usize::try_from(index).expect("below a length");
        let id = self.ready.with(|ready| ready.swap_remove(index));
        self.now.set(self.now.get() + cost);
        self.polls.set(self.polls.get() + 1);
        let Some(task) = self.tasks.borrow().get(&id).cloned() else { return true };
        task.waker.queued.store(false, Ordering::Relaxed);
        context::set(Some(Backend::Sim(task.shard.clone())));
        let waker = Waker::from(task.waker.clone());
        if task.core.poll(&mut Context::from_waker(&waker)).is_ready() {
            self.tasks.borrow_mut().remove(&id);
        }
        true
    }

    /// Moves the clock to the next timer; false when there is none.
    fn jump(&self) -> bool {
        let next = self.timers.borrow().keys().next().map(|(at, _)| *at);
        let next = match (next, self.stop_at.get()) {
            (Some(timer), Some(stop)) => Some(timer.min(stop)),
            (timer, stop) => timer.or(stop),
        };
        if let Some(at) = next {
            self.now.set(self.now.get().max(at));
        }
        next.is_some()
    }

    fn deadlock(&self) -> SimError {
        let describe = |task: &SimTask| {
            let at: &Location<'_> = task.core.spawned_at;
            format!("shard {} {:?} task of {}:{}", task.shard.id, task.core.queue, at.file(), at.line())
        };
        let waiting = self.tasks.borrow().values().map(describe).collect();
        SimError::Deadlock { seed: self.config.seed, waiting }
    }

    /// Drops the tasks that `which` chooses, each in the context of its shard.
    fn cancel(&self, which: impl Fn(&SimTask) -> bool) {
        let tasks = self.tasks.borrow();
        let chosen: Vec<_> =
            tasks.iter().filter(|(_, task)| which(task)).map(|(id, task)| (*id, task.clone())).collect();
        drop(tasks);
        for (id, task) in chosen {
            context::set(Some(Backend::Sim(task.shard.clone())));
            task.core.cancel();
            self.tasks.borrow_mut().remove(&id);
        }
    }

    /// Ends a run: nothing of it is left but the disk.
    fn clear(&self) {
        while !self.tasks.borrow().is_empty() {
            self.cancel(|_| true);
        }
        self.timers.borrow_mut().clear();
        self.ready.with(Vec::clear);
        self.net.clear();
        self.stop.set(None);
        self.stop_at.set(None);
        self.shutdown.set(false);
    }
}

fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

pub(crate) fn boot<F, Fut, T>(world: &Rc<World>, f: F) -> Result<RunEnd<T>, SimError>
where
    F: Fn(ShardId) -> Fut,
    Fut: Future<Output = T> + 'static,
    T: 'static,
{
    let count = world.config.shards;
    assert!(count > 0 && count <= usize::from(u16::MAX), "a machine has at least one shard");
    world.polls.set(0);
    let results: Rc<RefCell<BTreeMap<usize, T>>> = Rc::default();
    for index in 0..count {
        let id = ShardId(u16::try_from(index).expect("checked above"));
        let shard = Rc::new(SimShard { id, count, world: world.clone() });
        context::set(Some(Backend::Sim(shard.clone())));
        let (main, results) = (f(id), results.clone());
        let body = Box::pin(async move {
            let value = main.await;
            results.borrow_mut().insert(index, value);
            if let Backend::Sim(shard) = context::current() {
                shard.world.cancel(|task| task.shard.id == id && !task.core.essential);
            }
        });
        world.start(&shard, TaskCore::new(body, Queue::Net, false, Location::caller()));
    }
    let stopped = world.drive(|| results.borrow().len() == count);
    let stopped = match stopped {
        Ok(None) => finish_writes(world),
        other => other,
    };
    world.clear();
    match stopped? {
        Some(Stop::Crash) => {
            world.random(|rng| world.disk.crash(rng));
            Ok(RunEnd::Crashed)
        }
        None => {
            world.disk.process_ends();
            Ok(RunEnd::Finished(std::mem::take(&mut *results.borrow_mut()).into_values().collect()))
        }
    }
}

/// The orderly end: cancels what may be cancelled and lets writes in flight arrive.
fn finish_writes(world: &Rc<World>) -> Result<Option<Stop>, SimError> {
    world.cancel(|task| !task.core.essential);
    world.drive(|| world.tasks.borrow().is_empty())
}

/// One simulated shard: an identity; all state is the machine's.
pub(crate) struct SimShard {
    pub(crate) id: ShardId,
    pub(crate) count: usize,
    world: Rc<World>,
}

impl SimShard {
    pub(crate) fn world(&self) -> &Rc<World> {
        &self.world
    }

    pub(crate) fn now(&self) -> Monotonic {
        self.world.now()
    }

    pub(crate) fn wall_ms(&self) -> i64 {
        let since_start = (self.world.now.get() - CLOCK_START) / 1_000_000;
        self.world.config.wall_start_ms.saturating_add(i64::try_from(since_start).unwrap_or(i64::MAX))
    }

    pub(crate) fn start(self: &Rc<Self>, core: Rc<TaskCore>) -> Waker {
        self.world.start(self, core)
    }

    pub(crate) fn fill_random(&self, out: &mut [u8]) {
        self.world.random(|rng| rng.fill(out));
    }

    pub(crate) async fn shutdown_requested(&self) {
        let asked = self.world.shutdown_asked.notified();
        if !self.world.shutdown.get() {
            asked.await;
        }
    }

    pub(crate) fn files(&self) -> SimFiles {
        SimFiles::new(self.world.disk())
    }

    /// Waits a random time of `low..=high` nanoseconds.
    pub(crate) async fn delay(self: Rc<Self>, low: u64, high: u64) {
        let nanos = self.world.random(|rng| rng.between(low, high));
        let deadline = Monotonic::from_nanos(self.world.now.get() + nanos);
        sleep_until(self, deadline).await;
    }
}

/// A timer of the virtual clock.
struct Sleep {
    world: Rc<World>,
    key: (u64, u64),
}

pub(crate) async fn sleep_until(shard: Rc<SimShard>, deadline: Monotonic) {
    let world = shard.world.clone();
    let key = (deadline.as_nanos(), world.unique());
    drop(shard);
    Sleep { world, key }.await;
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.world.now.get() >= self.key.0 {
            return Poll::Ready(());
        }
        self.world.timers.borrow_mut().insert(self.key, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let waker = self.world.timers.borrow_mut().remove(&self.key);
        drop(waker);
    }
}

/// Takes the thread out of the simulation; when a test fails by a panic inside, says how to see it again.
pub(crate) struct LeaveMachine(pub(crate) u64);

impl Drop for LeaveMachine {
    fn drop(&mut self) {
        context::set(None);
        if std::thread::panicking() {
            let thread = std::thread::current();
            let test = thread.name().unwrap_or("the test");
            #[allow(clippy::print_stderr)]
            {
                eprintln!("to repeat: KRING_SEED={} cargo test {test}", self.0);
            }
        }
    }
}
