//! The guard against glommio 0.9's hang, and against a shard that is stuck.
//!
//! glommio's `run_task_queues` returns false both for "nothing to run" and for "preempted before anything ran", and
//! the executor then parks, with runnable tasks, until some event arrives. This thread looks at every shard each few
//! milliseconds; one that has something runnable and has polled nothing since the last look gets its bell rung from
//! here, which is an event. A shard at work or idle is only looked at. A shard that stays stuck is counted and named in the log, and
//! after a long time the process is aborted: a supervisor restarts it, and a dead core is not noticed by clients.
//! A shard that has not hung its bell yet, right after its start, is woken by a signal instead.
//! Looking costs two atomic loads per shard; asleep shards are looked at less often.

#![allow(unsafe_code)]

use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::config::WatchdogConfig;
use crate::real::hub::Hub;

/// After this many unanswered rings in a row ring only at every fiftieth look: a ring that is not answered is kept
/// in a queue of the executor.
const EAGER_RINGS: u64 = 1000;

/// A shard that seems idle is rung this often all the same: a timer that is due, or a request to the kernel that was
/// prepared and not sent when the executor parked, cannot be seen from here and is not "runnable". Timers a second
/// late and a connection that was not read for 30 s were seen without it.
const HEARTBEAT: Duration = Duration::from_millis(50);

/// Means "urgent data on a socket" and is ignored by default: nobody who is sent it by mistake minds.
const NUDGE: i32 = libc::SIGURG;

static STALLS: AtomicU64 = AtomicU64::new(0);
static RESCUES: AtomicU64 = AtomicU64::new(0);

/// How often a shard was found stuck for longer than the warning time, since the process started.
pub fn stalls() -> u64 {
    STALLS.load(Ordering::Relaxed)
}

/// How often a shard went on after a ring, having had something to run and run nothing. An upper bound on the hangs
/// that were ended: a shard whose CPU the kernel gave to others looks the same.
pub fn rescues() -> u64 {
    RESCUES.load(Ordering::Relaxed)
}

pub(crate) struct Watchdog {
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Watchdog {
    /// Starts the thread; without one (it is off, or the thread could not start) shards are not guarded.
    pub(crate) fn start(config: &WatchdogConfig, hubs: Vec<Arc<Hub>>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        if !config.enabled {
            return Self { thread: None, stop };
        }
        catch_nudges();
        let (config, stopped) = (config.clone(), stop.clone());
        let watch = move || watch(&config, &stopped, hubs.into_iter().map(Watched::new).collect());
        let thread = thread::Builder::new().name("watchdog".to_owned()).spawn(watch);
        if let Err(error) = &thread {
            tracing::error!(%error, "the watchdog could not start: a shard may hang");
        }
        Self { thread: thread.ok(), stop }
    }

    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the watchdog died");
            }
        }
    }
}

/// Makes the signal of a nudge interrupt system calls instead of being ignored. It needs no other effect.
fn catch_nudges() {
    static CAUGHT: Once = Once::new();
    CAUGHT.call_once(|| {
        if let Err(error) = signal_hook::flag::register(NUDGE, Arc::new(AtomicBool::new(false))) {
            tracing::error!(%error, "a shard that hangs while it starts cannot be woken");
        }
    });
}

fn nudge(thread: i32) {
    // SAFETY: tgkill(2) takes three integers. Should the thread be gone and its number be another's of this process,
    // that one is interrupted for nothing.
    let code = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, NUDGE) };
    if code != 0 {
        tracing::debug!(thread, "a starting shard could not be nudged");
    }
}

struct Watched {
    hub: Arc<Hub>,
    shard: usize,
    polls: u64,
    moved_at: Instant,
    rings: u64,
    reported: bool,
    starting: Option<i32>,
    rung_at: Instant,
    /// The last ring was a heartbeat: what it makes the shard poll is no sign of work.
    echo: bool,
}

impl Watched {
    fn new(hub: Arc<Hub>) -> Self {
        let now = Instant::now();
        Self {
            hub,
            shard: 0,
            polls: 0,
            moved_at: now,
            rings: 0,
            reported: false,
            starting: None,
            rung_at: now,
            echo: false,
        }
    }

    /// Looks once; true when the shard has done or has to do something.
    fn look(&mut self, now: Instant) -> bool {
        let starting = self.hub.starting_thread();
        if let Some(thread) = starting.filter(|_| starting == self.starting) {
            nudge(thread);
        }
        self.starting = starting;
        let polls = self.hub.polls();
        let moved = polls != self.polls;
        let busy = self.hub.is_busy();
        if moved || !busy {
            self.note_progress(polls, now);
        } else if self.hub.is_waiting() {
            self.rings += 1;
            if self.rings < EAGER_RINGS || self.rings.is_multiple_of(50) {
                self.hub.ring_again();
            }
        }
        let echo = std::mem::take(&mut self.echo);
        if !busy && starting.is_none() {
            self.beat(now);
        }
        (moved && !echo) || busy || starting.is_some()
    }

    fn beat(&mut self, now: Instant) {
        if now.duration_since(self.rung_at) >= HEARTBEAT {
            self.rung_at = now;
            self.echo = true;
            self.hub.ring_again();
        }
    }

    fn note_progress(&mut self, polls: u64, now: Instant) {
        if self.rings > 0 {
            RESCUES.fetch_add(1, Ordering::Relaxed);
        }
        (self.polls, self.moved_at, self.rings, self.reported) = (polls, now, 0, false);
    }

    fn judge(&mut self, now: Instant, config: &WatchdogConfig) {
        let stuck = now.duration_since(self.moved_at);
        if stuck >= config.warn_after && !self.reported {
            self.reported = true;
            STALLS.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                shard = self.shard,
                stuck_ms = stuck.as_millis() as u64,
                "a shard makes no progress"
            );
        }
        if config.abort_after.is_some_and(|limit| stuck >= limit) {
            let seconds = stuck.as_secs();
            tracing::error!(
                shard = self.shard,
                seconds,
                "a shard has made no progress for too long; aborting so that a supervisor can restart it"
            );
            std::process::abort();
        }
    }
}

fn watch(config: &WatchdogConfig, stop: &AtomicBool, mut shards: Vec<Watched>) {
    for (index, shard) in shards.iter_mut().enumerate() {
        shard.shard = index;
    }
    let mut last = Instant::now();
    let mut quiet = 0_u32;
    while !stop.load(Ordering::Acquire) {
        let interval = if quiet >= config.quiet_looks { config.slow_beat } else { config.beat };
        thread::park_timeout(interval);
        let now = Instant::now();
        if now.duration_since(last) > interval + config.warn_after / 2 {
            // This thread itself did not run: a suspended machine or a debugger. Nobody was stuck.
            shards.iter_mut().for_each(|shard| shard.moved_at = now);
        }
        last = now;
        let active = shards.iter_mut().filter_map(|shard| shard.look(now).then_some(())).count() > 0;
        quiet = if active { 0 } else { quiet.saturating_add(1) };
        shards.iter_mut().for_each(|shard| shard.judge(now, config));
    }
}

impl Default for WatchdogConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            beat: Duration::from_millis(2),
            slow_beat: Duration::from_millis(10),
            quiet_looks: 50,
            warn_after: Duration::from_secs(1),
            abort_after: Some(Duration::from_secs(60)),
        }
    }
}
