//! Tasks of a shard: spawning, joining, cancelling. A task never leaves the shard that spawned it.
//!
//! A task's future lives in a [`TaskCore`] that both backends poll. Cancelling drops the future at once, so files
//! and locks it holds are released in order; an essential task (a log write) is never cancelled, only awaited.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::context::{self, Backend};

/// The task queues of a shard, by what they must not be kept waiting for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Queue {
    /// Connections, requests, and commands between shards.
    Net,
    /// Appending to logs and making them durable.
    Append,
    /// Reading what is no longer in memory.
    Cold,
    /// Compaction, retention, zero-filling: what nobody waits for.
    Background,
}

impl Queue {
    pub(crate) const ALL: [Self; 4] = [Self::Net, Self::Append, Self::Cold, Self::Background];
}

/// What both executors poll: the future, whether it was cancelled, and who spawned it.
pub(crate) struct TaskCore {
    future: RefCell<Option<Pin<Box<dyn Future<Output = ()>>>>>,
    cancelled: Cell<bool>,
    pub(crate) essential: bool,
    pub(crate) queue: Queue,
    pub(crate) spawned_at: &'static Location<'static>,
}

impl TaskCore {
    pub(crate) fn new(
        future: Pin<Box<dyn Future<Output = ()>>>,
        queue: Queue,
        essential: bool,
        spawned_at: &'static Location<'static>,
    ) -> Rc<Self> {
        let future = RefCell::new(Some(future));
        Rc::new(Self { future, cancelled: Cell::new(false), essential, queue, spawned_at })
    }

    /// Polls the future once; `Ready` when it has ended or was cancelled.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut slot = self.future.borrow_mut();
        let Some(future) = slot.as_mut() else { return Poll::Ready(()) };
        let ended = future.as_mut().poll(cx).is_ready() || self.cancelled.get();
        if !ended {
            return Poll::Pending;
        }
        let future = slot.take();
        drop(slot);
        drop(future);
        Poll::Ready(())
    }

    /// Drops the future now, or right after the poll that is running it.
    pub(crate) fn cancel(&self) {
        self.cancelled.set(true);
        let future = match self.future.try_borrow_mut() {
            Ok(mut slot) => slot.take(),
            Err(_) => None,
        };
        drop(future);
    }

    pub(crate) fn is_done(&self) -> bool {
        self.future.try_borrow().is_ok_and(|slot| slot.is_none())
    }
}

struct Outcome<T> {
    value: RefCell<Option<T>>,
    joiner: RefCell<Option<Waker>>,
}

impl<T> Outcome<T> {
    fn set(&self, value: T) {
        *self.value.borrow_mut() = Some(value);
        if let Some(joiner) = self.joiner.borrow_mut().take() {
            joiner.wake();
        }
    }
}

/// A spawned task. Awaiting it gives its output; dropping it cancels it; `detach` lets it run on its own.
/// Awaiting a task that the end of its shard cancelled never returns: the awaiter is being cancelled too.
#[must_use = "dropping a task cancels it; detach it to let it run"]
pub struct Task<T> {
    outcome: Rc<Outcome<T>>,
    core: Rc<TaskCore>,
    waker: Waker,
    cancel_on_drop: bool,
}

impl<T> Task<T> {
    /// Lets the task run to its end, or to the end of its shard.
    pub fn detach(mut self) {
        self.cancel_on_drop = false;
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.core.is_done()
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        if self.cancel_on_drop && !self.core.is_done() {
            self.core.cancel();
            self.waker.wake_by_ref();
        }
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Task({:?}, spawned at {})", self.core.queue, self.core.spawned_at)
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        if let Some(value) = self.outcome.value.borrow_mut().take() {
            return Poll::Ready(value);
        }
        *self.outcome.joiner.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Starts a task on the running shard. Panics off the shards.
#[track_caller]
pub fn spawn<F>(queue: Queue, future: F) -> Task<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    spawn_on(queue, false, Location::caller(), future)
}

/// A task that the end of the shard waits for instead of cancelling, and that outlives its dropped handle.
/// For what the kernel or the disk is in the middle of.
#[track_caller]
pub(crate) fn spawn_essential<F>(queue: Queue, future: F) -> Task<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    spawn_on(queue, true, Location::caller(), future)
}

fn spawn_on<F>(
    queue: Queue,
    essential: bool,
    spawned_at: &'static Location<'static>,
    future: F,
) -> Task<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let outcome = Rc::new(Outcome { value: RefCell::new(None), joiner: RefCell::new(None) });
    let sink = outcome.clone();
    let body = Box::pin(async move { sink.set(future.await) });
    let core = TaskCore::new(body, queue, essential, spawned_at);
    let waker = match context::current() {
        Backend::Real(shard) => shard.start(core.clone()),
        Backend::Sim(shard) => shard.start(core.clone()),
    };
    Task { outcome, core, waker, cancel_on_drop: !essential }
}

/// Lets every other runnable task of this queue go first.
pub async fn yield_now() {
    futures_lite::future::yield_now().await;
}

/// Lets others go first, but only when this shard has been asked to: for loops that rarely wait.
pub async fn yield_if_needed() {
    match context::current() {
        Backend::Real(_) => glommio::yield_if_needed().await,
        Backend::Sim(_) => yield_now().await,
    }
}
