//! The open connections of one shard, each with its place among those of the broker, and one sweep that ends the
//! idle ones.
//! Never reads or writes a socket. Lives on its shard's core.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use kring_runtime::{Monotonic, Task, now};

use super::admission::Place;

/// A peer that has been answered within this time may not have read the answer yet.
const LATELY: Duration = Duration::from_secs(10);

/// When a connection was last used, and who is to go on.
pub struct Activity {
    last: Cell<Monotonic>,
    waits_for_peer: Cell<bool>,
    /// Requests of its peer have begun and are not answered.
    is_owing: Cell<bool>,
    /// No request is to begin any more.
    is_ending: Cell<bool>,
    /// Of a connection that has answered everything and waits for a request.
    waiting: RefCell<Option<Waker>>,
}

impl Activity {
    pub fn new() -> Rc<Self> {
        Rc::new(Self {
            last: Cell::new(now()),
            waits_for_peer: Cell::new(false),
            is_owing: Cell::new(false),
            is_ending: Cell::new(false),
            waiting: RefCell::default(),
        })
    }

    pub fn touch(&self) {
        self.last.set(now());
    }

    /// Whether the connection keeps memory until its peer sends or takes something.
    pub fn waits_for_peer(&self, waits: bool) {
        self.waits_for_peer.set(waits);
    }

    /// Whether the connection has to answer what has begun.
    pub fn owes(&self, owes: bool) {
        self.is_owing.set(owes);
    }

    pub fn is_ending(&self) -> bool {
        self.is_ending.get()
    }

    /// The connection waits for a request, and is woken when none is to begin any more.
    pub fn waits(&self, waker: &Waker) {
        let mut waiting = self.waiting.borrow_mut();
        match &mut *waiting {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    pub fn waits_no_more(&self) {
        self.waiting.borrow_mut().take();
    }

    /// Whether the connection ends by itself: it has to answer what has begun, or to let its peer read the last answer.
    fn ends(&self, now: Monotonic) -> bool {
        self.is_ending.set(true);
        let waiting = self.waiting.take().filter(|_| self.idle_for(now) < LATELY);
        if let Some(waker) = &waiting {
            waker.wake_by_ref();
        }
        waiting.is_some() || self.is_owing.get()
    }

    fn idle_for(&self, now: Monotonic) -> Duration {
        now.saturating_since(self.last.get())
    }
}

struct Open {
    activity: Rc<Activity>,
    _place: Place,
    /// Dropping the task closes the connection.
    _task: Option<Task<()>>,
}

/// All connections that a shard has accepted and not yet closed.
#[derive(Default)]
pub struct Registry {
    next_id: Cell<u64>,
    open: RefCell<BTreeMap<u64, Open>>,
}

impl Registry {
    /// Enters a connection that has its place.
    pub fn enter(&self, activity: Rc<Activity>, place: Place) -> u64 {
        let id = self.next_id.replace(self.next_id.get() + 1);
        self.open.borrow_mut().insert(id, Open { activity, _place: place, _task: None });
        id
    }

    /// Hands over the connection's task. One that ended at once is gone already.
    pub fn keep(&self, id: u64, task: Task<()>) {
        if let Some(open) = self.open.borrow_mut().get_mut(&id) {
            open._task = Some(task);
        }
    }

    /// Called by a connection's own task as its last act; the task must not be dropped while it runs.
    pub fn leave(&self, id: u64) {
        let left = self.open.borrow_mut().remove(&id);
        if let Some(task) = left.and_then(|open| open._task) {
            task.detach();
        }
    }

    /// Ends one connection, by another one's task.
    pub fn end(&self, id: u64) {
        let ended = self.open.borrow_mut().remove(&id);
        drop(ended);
    }

    /// Ends the connections that have been idle for longer than `limit`; returns how many.
    pub fn sweep(&self, limit: Duration) -> usize {
        let now = now();
        self.end_all(|activity| activity.idle_for(now) > limit)
    }

    /// Ends the connections that keep memory for a peer which has done nothing for longer than `limit`; returns how
    /// many.
    pub fn end_stalled(&self, limit: Duration) -> usize {
        let now = now();
        self.end_all(|activity| activity.waits_for_peer.get() && activity.idle_for(now) > limit)
    }

    fn end_all(&self, is_over: impl Fn(&Activity) -> bool) -> usize {
        let over: Vec<u64> = {
            let open = self.open.borrow();
            open.iter().filter(|(_, c)| is_over(&c.activity)).map(|(id, _)| *id).collect()
        };
        over.iter().for_each(|id| self.end(*id));
        over.len()
    }

    /// Ends the connections whose peers wait for nothing that was written; the others begin nothing more, and end when they
    /// have answered and their peers have had a moment to read it.
    pub fn begin_end(&self) {
        let now = now();
        self.end_all(|activity| !activity.ends(now));
    }

    pub fn is_empty(&self) -> bool {
        self.open.borrow().is_empty()
    }

    /// Ends all connections.
    pub fn close_all(&self) {
        let all = std::mem::take(&mut *self.open.borrow_mut());
        drop(all);
    }
}
