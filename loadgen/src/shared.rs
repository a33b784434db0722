//! What the shards of a run share: when it starts, who still produces, how far partitions are acknowledged.
//! And what the clients of one shard share: its counters.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use kring_runtime::channel::Event;
use kring_runtime::local::Notify;
use kring_runtime::{Monotonic, TimedOut, now, timeout_at, wall_ms};

use crate::client::ClientError;
use crate::interrupt::unless;
use crate::measure::Measure;
use crate::report::Thread;
use crate::settings::Settings;
use crate::stats::{Amount, Stats};
use crate::timeline::{Recorder, Slot, slot_length};
use crate::verify::{Arrivals, Ledger};

/// From the moment when everybody is ready to the first intended send time.
pub const HEAD_START: Duration = Duration::from_millis(20);

/// Across shards.
pub struct Shared {
    waiting: AtomicUsize,
    failed: AtomicBool,
    start_ns: AtomicU64,
    changed: Event,
    producing: AtomicUsize,
    /// When the last producer was done; 0 before.
    done_ns: AtomicU64,
    /// Records that nobody acknowledges (acks=0) and that went into a socket.
    landed: AtomicU64,
    /// Records of this run that came back.
    returned: AtomicU64,
    /// Somebody has told how many of those did not.
    is_told: AtomicBool,
    acknowledged_end: Vec<AtomicI64>,
    /// Wall clock in ms; as soon as everybody is ready when absent.
    start_at: Option<u64>,
    records_read: AtomicU64,
    /// When the operator ended the run before its time; 0 while nobody did.
    interrupted_ns: AtomicU64,
}

impl Shared {
    pub fn new(shards: usize, producers: usize, partitions: usize, start_at: Option<u64>) -> Arc<Shared> {
        Arc::new(Shared {
            start_at,
            waiting: AtomicUsize::new(shards),
            failed: AtomicBool::new(false),
            start_ns: AtomicU64::new(0),
            changed: Event::new(),
            producing: AtomicUsize::new(producers),
            done_ns: AtomicU64::new(0),
            landed: AtomicU64::new(0),
            returned: AtomicU64::new(0),
            is_told: AtomicBool::new(false),
            acknowledged_end: (0..partitions).map(|_| AtomicI64::new(0)).collect(),
            records_read: AtomicU64::new(0),
            interrupted_ns: AtomicU64::new(0),
        })
    }

    /// This shard cannot take part.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::SeqCst);
        self.changed.notify_all();
    }

    /// This shard is ready: waits for the others; all get the same time to start at.
    pub async fn ready(&self) -> Result<Monotonic, ClientError> {
        if self.waiting.fetch_sub(1, Ordering::SeqCst) == 1 {
            let start = self.start_time().inspect_err(|_| self.fail())?;
            self.start_ns.store(start.as_nanos(), Ordering::SeqCst);
            self.changed.notify_all();
        }
        loop {
            let changed = self.changed.listen();
            if self.failed.load(Ordering::SeqCst) {
                return Err(ClientError::Aborted);
            }
            match self.start_ns.load(Ordering::SeqCst) {
                0 => changed.await,
                start => return Ok(Monotonic::from_nanos(start)),
            }
        }
    }

    /// The instances of a run begin at the same wall clock or not at all: one that is late would be measured as if it
    /// had been there.
    fn start_time(&self) -> Result<Monotonic, ClientError> {
        let Some(start_at) = self.start_at else { return Ok(now() + HEAD_START) };
        let wall = wall_ms().unsigned_abs();
        match start_at.checked_sub(wall) {
            Some(left) => Ok(now() + Duration::from_millis(left)),
            None => Err(ClientError::Late { by: Duration::from_millis(wall - start_at) }),
        }
    }

    /// The operator ends the run now; returns when the first shard heard of it, so that it ends for all at once.
    pub fn interrupt(&self, now: Monotonic) -> Monotonic {
        let first =
            self.interrupted_ns.compare_exchange(0, now.as_nanos(), Ordering::SeqCst, Ordering::SeqCst);
        first.map_or_else(Monotonic::from_nanos, |_| now)
    }

    pub fn producer_is_done(&self) {
        self.done_ns.fetch_max(now().as_nanos(), Ordering::SeqCst);
        self.producing.fetch_sub(1, Ordering::SeqCst);
    }

    /// When all producers were done; `None` while one is not.
    pub fn producers_done(&self) -> Option<Monotonic> {
        (!self.is_producing()).then(|| Monotonic::from_nanos(self.done_ns.load(Ordering::SeqCst)))
    }

    /// So many records, which nobody acknowledges, have gone into a socket.
    pub fn landed(&self, records: u64) {
        self.landed.fetch_add(records, Ordering::SeqCst);
    }

    /// So many records of this run came back.
    pub fn returned(&self, records: u64) {
        self.returned.fetch_add(records, Ordering::SeqCst);
    }

    /// Of those that nobody acknowledges, how many have not come back.
    pub fn missing(&self) -> u64 {
        let landed = self.landed.load(Ordering::SeqCst);
        landed.saturating_sub(self.returned.load(Ordering::SeqCst))
    }

    /// The same, for the first who asks at the end.
    pub fn tell_missing(&self) -> u64 {
        if self.is_told.swap(true, Ordering::SeqCst) { 0 } else { self.missing() }
    }

    pub fn is_producing(&self) -> bool {
        self.producing.load(Ordering::SeqCst) > 0
    }

    pub fn read(&self, records: u64) {
        self.records_read.fetch_add(records, Ordering::Relaxed);
    }

    /// By all consumers together.
    pub fn records_read(&self) -> u64 {
        self.records_read.load(Ordering::Relaxed)
    }

    /// Records before `end` are acknowledged.
    pub fn acknowledge(&self, partition: i32, end: i64) {
        self.acknowledged_end[partition as usize].fetch_max(end, Ordering::SeqCst);
    }

    pub fn acknowledged_end(&self, partition: i32) -> i64 {
        self.acknowledged_end[partition as usize].load(Ordering::SeqCst)
    }
}

/// When a run begins, begins to be measured, and ends.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub start: Monotonic,
    pub measured: Monotonic,
    pub end: Monotonic,
}

impl Window {
    pub fn new(start: Monotonic, settings: &Settings) -> Window {
        let measured = start + settings.warm_up;
        Window { start, measured, end: measured + settings.duration }
    }

    pub fn covers(&self, time: Monotonic) -> bool {
        (self.measured..self.end).contains(&time)
    }
}

/// Of one shard. Never borrowed across an await.
pub struct Local {
    window: Cell<Window>,
    /// The operator has made the window shorter.
    interrupted: Cell<bool>,
    shortened: Notify,
    pub stats: RefCell<Stats>,
    pub timeline: RefCell<Recorder>,
    pub ledger: RefCell<Ledger>,
    pub arrivals: RefCell<Arrivals>,
    pub in_flight: Cell<usize>,
    /// What this thread used of its core in the measured slots.
    pub thread: Cell<Thread>,
}

impl Local {
    pub fn new(window: Window) -> Local {
        let length = slot_length(window.end.saturating_since(window.start));
        Local {
            window: Cell::new(window),
            interrupted: Cell::new(false),
            shortened: Notify::new(),
            stats: RefCell::default(),
            timeline: RefCell::new(Recorder::new(window.start, length)),
            ledger: RefCell::default(),
            arrivals: RefCell::default(),
            in_flight: Cell::new(0),
            thread: Cell::default(),
        }
    }

    pub fn window(&self) -> Window {
        self.window.get()
    }

    /// Ends the window at this time already. False when it is over by then.
    pub fn interrupt(&self, at: Monotonic) -> bool {
        let window = self.window();
        if at >= window.end {
            return false;
        }
        self.window.set(Window { end: at.max(window.start), ..window });
        self.interrupted.set(true);
        self.shortened.notify_all();
        true
    }

    /// How much was measured, where the operator ended it.
    pub fn interrupted(&self) -> Option<Duration> {
        let Window { measured, end, .. } = self.window();
        self.interrupted.get().then(|| end.saturating_since(measured))
    }

    /// Until the operator ends the run before its time.
    pub async fn until_interrupted(&self) {
        let shortened = self.shortened.notified();
        if !self.interrupted.get() {
            shortened.await;
        }
    }

    /// `future`, unless the run is over since `grace` before it is ready.
    pub async fn before_end<F: Future>(&self, grace: Duration, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        loop {
            let shortened = self.shortened.notified();
            let end = self.window().end + grace;
            match timeout_at(end, unless(future.as_mut(), shortened)).await {
                Ok(Some(output)) => return Some(output),
                // The end is another now.
                Ok(None) => {}
                Err(TimedOut) => return None,
            }
        }
    }

    /// Slot `index` has ended; `cpu` is what this thread used in `elapsed`.
    pub fn end_slot(&self, index: usize, cpu: Duration, elapsed: Duration) -> Option<Slot> {
        let used = Thread { cpu, elapsed, busiest: 0.0 };
        let mut timeline = self.timeline.borrow_mut();
        let (end, slot_length) = (timeline.end_of(index), timeline.length());
        timeline.close_before(end);
        let slot = timeline.closed_mut(index)?;
        slot.busy = used.share();
        slot.in_flight = self.in_flight.get() as u64;
        if self.window().covers(end - slot_length / 2) {
            self.thread.set(self.thread.get().and(used));
        }
        Some(slot.clone())
    }

    pub fn failed(&self, cause: &str, records: u64) {
        self.stats.borrow_mut().failed(cause, records);
        self.timeline.borrow_mut().at(now()).0.errors += records;
    }

    /// The broker acknowledged this at `at`.
    pub fn produced(&self, amount: Amount, at: Monotonic) {
        self.timeline.borrow_mut().at(at).0.produced.add(amount);
        if self.window().covers(at) {
            self.stats.borrow_mut().produced.add(amount);
        }
    }

    /// This was received at `at`.
    pub fn consumed(&self, amount: Amount, at: Monotonic) {
        self.timeline.borrow_mut().at(at).0.consumed.add(amount);
        if self.window().covers(at) {
            self.stats.borrow_mut().consumed.add(amount);
        }
    }

    /// Something lasted from `from` to `at`. The time line counts it where it ended, the result when it was begun
    /// inside the measured time.
    pub fn lasted(&self, measure: &Measure, from: Monotonic, at: Monotonic) {
        self.all_lasted(measure, at, [(from, 1)]);
    }

    /// The same for many that ended together, each a time and how often.
    pub fn all_lasted(
        &self,
        measure: &Measure,
        at: Monotonic,
        begun: impl IntoIterator<Item = (Monotonic, u64)>,
    ) {
        let mut stats = self.stats.borrow_mut();
        let mut timeline = self.timeline.borrow_mut();
        let (_, latencies) = timeline.at(at);
        for (from, count) in begun {
            let latency = at.saturating_since(from);
            latencies.record(measure, latency, count);
            if self.window().covers(from) {
                stats.latencies.record(measure, latency, count);
            }
        }
    }
}
