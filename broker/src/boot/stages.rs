//! How the shards of one broker wait for each other while it starts and stops. Holds no state of a shard.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use kring_runtime::channel::Event;

use super::dirs::Dirs;
use super::listen::Bound;
use super::{BootError, Plan, limits};
use crate::net::Limits;
use crate::shard::{Inbox, Mesh};

/// A point that all shards must reach before any goes on.
pub(super) struct Barrier {
    shards: usize,
    arrived: AtomicUsize,
    event: Event,
}

impl Barrier {
    fn new(shards: usize) -> Self {
        Self { shards, arrived: AtomicUsize::new(0), event: Event::new() }
    }

    pub(super) async fn pass(&self) {
        self.arrived.fetch_add(1, Ordering::AcqRel);
        self.event.notify_all();
        self.reached().await;
    }

    /// Waits for the others without being one of them.
    pub(super) async fn reached(&self) {
        loop {
            let listener = self.event.listen();
            if self.arrived.load(Ordering::Acquire) >= self.shards {
                return;
            }
            listener.await;
        }
    }
}

/// A value that is set once and that all wait for; whoever comes second changes nothing.
pub(super) struct Announcement<T> {
    value: OnceLock<T>,
    event: Event,
}

impl<T: Clone> Announcement<T> {
    fn new() -> Self {
        Self { value: OnceLock::new(), event: Event::new() }
    }

    pub(super) fn make(&self, value: T) {
        if self.value.set(value).is_ok() {
            self.event.notify_all();
        }
    }

    pub(super) async fn hear(&self) -> T {
        loop {
            let listener = self.event.listen();
            if let Some(value) = self.value.get() {
                return value.clone();
            }
            listener.await;
        }
    }
}

/// What the first shard found before the others may begin.
#[derive(Clone)]
pub(super) struct Found {
    pub dirs: Arc<Dirs>,
    pub bound: Arc<Vec<Bound>>,
}

/// Shared by the shards of one broker.
pub struct Stages {
    pub(super) plan: Plan,
    pub(super) mesh: Mesh,
    pub(super) limits: Limits,
    inboxes: Mutex<Vec<Option<Inbox>>>,
    /// `None` when the start failed.
    pub(super) found: Announcement<Option<Found>>,
    /// Every shard takes commands.
    pub(super) taking_commands: Barrier,
    /// Every shard accepts connections.
    pub(super) accepting: Barrier,
    /// The broker is to stop.
    pub(super) stopping: Announcement<()>,
    /// Every shard has answered its clients.
    pub(super) answered: Barrier,
    /// Every shard has closed its logs.
    pub(super) closed: Barrier,
    /// The log directories are marked; shards may end.
    pub(super) finished: Announcement<()>,
    failed: AtomicBool,
    cause: Mutex<Option<BootError>>,
}

impl Stages {
    pub(super) fn new(plan: Plan, shards: usize) -> Arc<Self> {
        let (mesh, inboxes) = Mesh::new(shards);
        Arc::new(Self {
            mesh,
            limits: limits::of_clients(&plan.config, shards),
            plan,
            inboxes: Mutex::new(inboxes.into_iter().map(Some).collect()),
            found: Announcement::new(),
            taking_commands: Barrier::new(shards),
            accepting: Barrier::new(shards),
            stopping: Announcement::new(),
            answered: Barrier::new(shards),
            closed: Barrier::new(shards),
            finished: Announcement::new(),
            failed: AtomicBool::new(false),
            cause: Mutex::new(None),
        })
    }

    /// This shard's inbox, once.
    pub(super) fn take_inbox(&self, shard: usize) -> Inbox {
        let mut inboxes = self.inboxes.lock().unwrap_or_else(PoisonError::into_inner);
        inboxes[shard].take().expect("each shard takes its inbox once")
    }

    /// Notes that a shard could not do its part; the others learn of it at the next stage.
    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// The same, with the error that the end of the process is to name.
    pub(super) fn fail_because(&self, error: BootError) {
        self.lock_cause().get_or_insert(error);
        self.fail();
    }

    /// Ends a broker that cannot go on, as cleanly as it still can. The first sentence is the one that is told.
    pub(super) fn give_up(&self, sentence: String) {
        tracing::error!("{sentence}");
        self.fail_because(BootError::Lost(sentence));
        self.stopping.make(());
    }

    /// Why the broker failed, as far as this shard is to say it: what it failed for first, rather than what that
    /// brought about at the end.
    pub(super) fn cause_of(&self, result: Result<(), BootError>) -> BootError {
        self.lock_cause().take().or(result.err()).unwrap_or(BootError::Elsewhere)
    }

    fn lock_cause(&self) -> MutexGuard<'_, Option<BootError>> {
        self.cause.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
}
