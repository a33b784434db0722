//! Waking tasks of a shard from other threads.
//!
//! glommio 0.9 counts a task's references with an atomic, but drops one on a foreign thread in several steps: the
//! last foreign waker and the join handle can race for who frees the task, and the count is an `i16` that a storm
//! of foreign wakes overflows. So no foreign thread ever holds a glommio waker here. A task is polled with a waker
//! of our own; woken from its own shard it passes the wake on, woken from elsewhere it queues itself here and
//! rings the shard's one bell: the glommio waker of a task that lives as long as the shard.
#![allow(unsafe_code)]

use std::cell::{Cell, UnsafeCell};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

thread_local! {
    static OWN_HUB: Cell<u64> = const { Cell::new(0) };
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// What the watchdog reads. Written by the owning shard only, so plain loads and stores do.
#[derive(Default)]
pub(crate) struct Pulse {
    runnable: AtomicU64,
    polls: AtomicU64,
    polling: AtomicBool,
}

impl Pulse {
    fn became_runnable(&self) {
        self.runnable.store(self.runnable.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    fn no_longer_runnable(&self) {
        let runnable = self.runnable.load(Ordering::Relaxed);
        assert!(runnable > 0, "a task was counted runnable less often than it was taken");
        self.runnable.store(runnable - 1, Ordering::Release);
    }

    fn poll_begins(&self) {
        self.polls.store(self.polls.load(Ordering::Relaxed) + 1, Ordering::Release);
        self.polling.store(true, Ordering::Release);
    }

    fn poll_ends(&self) {
        self.polling.store(false, Ordering::Release);
    }
}

/// One shard's meeting point with the other threads.
pub(crate) struct Hub {
    id: u64,
    pulse: Pulse,
    ready: Mutex<Vec<Arc<TaskWaker>>>,
    rung: AtomicBool,
    bell: Mutex<Option<Waker>>,
    /// The shard's own work outside every counted task: its winding down.
    winding_down: AtomicBool,
}

/// The guarded values stay whole whatever panics around them.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            pulse: Pulse::default(),
            ready: Mutex::default(),
            rung: AtomicBool::new(false),
            bell: Mutex::default(),
            winding_down: AtomicBool::new(false),
        })
    }

    /// Makes the calling thread the owner. Returns the previous owner mark, to be put back by `disown`.
    pub(crate) fn own(&self) -> u64 {
        OWN_HUB.with(|own| own.replace(self.id))
    }

    pub(crate) fn disown(previous: u64) {
        OWN_HUB.with(|own| own.set(previous));
    }

    /// One step of winding down, which no task counts.
    pub(crate) fn winds_down(&self) {
        self.winding_down.store(true, Ordering::Release);
        self.pulse.polls.store(self.polls() + 1, Ordering::Release);
    }

    fn is_own(&self) -> bool {
        OWN_HUB.with(Cell::get) == self.id
    }

    fn ring(&self) {
        if self.rung.swap(true, Ordering::AcqRel) {
            return;
        }
        // The lock keeps the owner from taking the bell meanwhile.
        if let Some(bell) = lock(&self.bell).as_ref() {
            bell.wake_by_ref();
        }
    }

    /// Whether something here waits to run, or runs.
    pub(crate) fn is_busy(&self) -> bool {
        self.pulse.runnable.load(Ordering::Acquire) > 0
            || self.pulse.polling.load(Ordering::Acquire)
            || self.rung.load(Ordering::Acquire)
            || self.winding_down.load(Ordering::Acquire)
    }

    /// Grows with every poll of a task.
    pub(crate) fn polls(&self) -> u64 {
        self.pulse.polls.load(Ordering::Acquire)
    }

    /// The task behind the bell; ends when the bell is taken away.
    pub(crate) async fn answer(self: Arc<Self>) {
        std::future::poll_fn(|cx| {
            self.hang_bell(cx.waker());
            self.rung.store(false, Ordering::Release);
            self.pulse.polls.store(self.polls() + 1, Ordering::Release);
            let ready = std::mem::take(&mut *lock(&self.ready));
            for task in ready {
                task.queued.store(false, Ordering::Release);
                task.wake_local();
            }
            Poll::<()>::Pending
        })
        .await;
    }

    fn hang_bell(&self, waker: &Waker) {
        let mut bell = lock(&self.bell);
        if bell.is_none() {
            *bell = Some(waker.clone());
        }
    }

    /// Takes the bell away, on the owner's thread; later wakes from elsewhere do nothing.
    pub(crate) fn close(&self) {
        assert!(self.is_own(), "a hub is closed by its own shard");
        let bell = lock(&self.bell).take();
        drop(bell);
        self.winding_down.store(false, Ordering::Release);
        self.rung.store(false, Ordering::Release);
        lock(&self.ready).clear();
    }
}

/// The waker of one task: safe to clone, wake and drop on any thread.
pub(crate) struct TaskWaker {
    hub: Arc<Hub>,
    queued: AtomicBool,
    own: OwnSide,
}

/// What only the owning thread touches.
struct OwnSide {
    glommio: UnsafeCell<Option<Waker>>,
    runnable: Cell<bool>,
}

// SAFETY: `OwnSide` is reached only through `wake_local`, `arm`, `begin_poll` and `retire`, each of which asserts
// that the calling thread owns the hub; all other fields of `TaskWaker` are Send and Sync by themselves. The glommio
// waker inside is taken out by `retire` on the owning thread before the last Arc can be dropped elsewhere.
unsafe impl Send for OwnSide {}
// SAFETY: as above, no two threads ever reach an `OwnSide`.
unsafe impl Sync for OwnSide {}

impl TaskWaker {
    /// A waker for a task that is about to be scheduled for its first poll.
    pub(crate) fn new(hub: Arc<Hub>) -> Arc<Self> {
        assert!(hub.is_own(), "a task starts on its own shard");
        hub.pulse.became_runnable();
        let own = OwnSide { glommio: UnsafeCell::new(None), runnable: Cell::new(true) };
        Arc::new(Self { hub, queued: AtomicBool::new(false), own })
    }

    fn wake_local(&self) {
        assert!(self.hub.is_own(), "only the owner wakes directly");
        // SAFETY: this is the owning thread, and nobody holds a mutable reference: `arm` and `retire` end theirs
        // before they return, and waking a glommio task runs none of our code.
        let Some(waker) = (unsafe { &*self.own.glommio.get() }) else { return };
        if !self.own.runnable.replace(true) {
            self.hub.pulse.became_runnable();
        }
        waker.wake_by_ref();
    }

    /// Remembers, once, the glommio waker behind this one.
    fn arm(&self, waker: &Waker) {
        assert!(self.hub.is_own(), "a task is polled by its owner");
        // SAFETY: the owning thread, and no other reference is alive: see `wake_local`.
        let slot = unsafe { &mut *self.own.glommio.get() };
        if slot.is_none() {
            *slot = Some(waker.clone());
        }
    }

    fn begin_poll(&self) {
        if self.own.runnable.replace(false) {
            self.hub.pulse.no_longer_runnable();
        }
        self.hub.pulse.poll_begins();
    }

    fn retire(&self) {
        assert!(self.hub.is_own(), "a task ends on its own shard");
        // SAFETY: the owning thread, and no other reference is alive: see `wake_local`.
        let waker = unsafe { (*self.own.glommio.get()).take() };
        drop(waker);
        if self.own.runnable.replace(false) {
            self.hub.pulse.no_longer_runnable();
        }
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.hub.is_own() {
            self.wake_local();
        } else if !self.queued.swap(true, Ordering::AcqRel) {
            lock(&self.hub.ready).push(self.clone());
            self.hub.ring();
        }
    }
}

/// Polls something inside a glommio task with a waker that any thread may use.
pub(crate) struct Guarded<F> {
    poll: F,
    waker: Arc<TaskWaker>,
    safe: Waker,
    ended: bool,
}

impl<F: FnMut(&mut Context<'_>) -> Poll<()> + Unpin> Guarded<F> {
    pub(crate) fn new(hub: &Arc<Hub>, poll: F) -> Self {
        let waker = TaskWaker::new(hub.clone());
        Self { poll, safe: Waker::from(waker.clone()), waker, ended: false }
    }

    pub(crate) fn waker(&self) -> Waker {
        self.safe.clone()
    }
}

impl<F: FnMut(&mut Context<'_>) -> Poll<()> + Unpin> Future for Guarded<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.waker.arm(cx.waker());
        this.waker.begin_poll();
        let polled = (this.poll)(&mut Context::from_waker(&this.safe));
        this.waker.hub.pulse.poll_ends();
        if polled.is_ready() && !this.ended {
            this.ended = true;
            this.waker.retire();
        }
        polled
    }
}

impl<F> Drop for Guarded<F> {
    fn drop(&mut self) {
        // A thread that is ending by a panic has given up its hub; its wakers are leaked with the executor.
        if !self.ended && self.waker.hub.is_own() {
            self.waker.retire();
        }
    }
}
