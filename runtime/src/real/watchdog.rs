//! The guard against a shard that is stuck: a task that never gives up the thread, a system call that never returns.
//!
//! A thread of its own looks at every shard a few times a second. A shard that has something to run, or runs something,
//! and has begun no poll for the warning time is counted and named in the log; after a long time the process is aborted:
//! a supervisor restarts it, and a dead core is not noticed by clients. It wakes nobody and never touches an executor:
//! looking costs a few atomic loads per shard.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::config::WatchdogConfig;
use crate::real::hub::Hub;

/// Looks per warning time: a stall is noticed at most a quarter late.
const LOOKS: u32 = 4;

static STALLS: AtomicU64 = AtomicU64::new(0);

/// How often a shard was found stuck for longer than the warning time, since the process started.
pub fn stalls() -> u64 {
    STALLS.load(Ordering::Relaxed)
}

pub(crate) struct Watchdog {
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Watchdog {
    /// Starts the thread; when it cannot start, shards are not guarded.
    pub(crate) fn start(config: &WatchdogConfig, hubs: Vec<Arc<Hub>>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (config, stopped) = (config.clone(), stop.clone());
        let shards = hubs.into_iter().enumerate().map(|(shard, hub)| Watched::new(shard, hub)).collect();
        let watch = move || watch(&config, &stopped, shards);
        let thread = thread::Builder::new().name("watchdog".to_owned()).spawn(watch);
        if let Err(error) = &thread {
            tracing::error!(%error, "the watchdog could not start: a stuck shard will not be noticed");
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

struct Watched {
    hub: Arc<Hub>,
    shard: usize,
    polls: u64,
    moved_at: Instant,
    reported: bool,
}

impl Watched {
    fn new(shard: usize, hub: Arc<Hub>) -> Self {
        Self { hub, shard, polls: 0, moved_at: Instant::now(), reported: false }
    }

    fn look(&mut self, now: Instant) {
        let polls = self.hub.polls();
        if polls != self.polls || !self.hub.is_busy() {
            (self.polls, self.moved_at, self.reported) = (polls, now, false);
        }
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
    let interval = config.warn_after / LOOKS;
    let mut last = Instant::now();
    while !stop.load(Ordering::Acquire) {
        thread::park_timeout(interval);
        let now = Instant::now();
        if now.duration_since(last) > interval + config.warn_after / 2 {
            // This thread itself did not run: a suspended machine or a debugger. Nobody was stuck.
            shards.iter_mut().for_each(|shard| shard.moved_at = now);
        }
        last = now;
        for shard in &mut shards {
            shard.look(now);
            shard.judge(now, config);
        }
    }
}

impl Default for WatchdogConfig {
    fn default() -> Self {
        Self { warn_after: Duration::from_secs(1), abort_after: Some(Duration::from_secs(60)) }
    }
}
