//! Notification between tasks of one shard: no atomics, no locks, never leaves its shard.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

#[derive(Default)]
struct State {
    /// How often everyone was notified.
    generation: u64,
    next_waiter: u64,
    waiters: BTreeMap<u64, Waker>,
}

/// Wakes everyone who waits. Clones are the same notifier.
#[derive(Clone, Default)]
pub struct Notify(Rc<RefCell<State>>);

impl Notify {
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes all that were made by [`Notify::notified`] before now.
    pub fn notify_all(&self) {
        let waiters = {
            let mut state = self.0.borrow_mut();
            state.generation += 1;
            std::mem::take(&mut state.waiters)
        };
        waiters.into_values().for_each(Waker::wake);
    }

    /// A future that ends with the next notification after this call, awaited or not.
    pub fn notified(&self) -> Notified {
        let mut state = self.0.borrow_mut();
        let id = state.next_waiter;
        state.next_waiter += 1;
        Notified { notify: self.0.clone(), generation: state.generation, id }
    }

    /// How many wait now.
    pub fn waiters(&self) -> usize {
        self.0.borrow().waiters.len()
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Notify({} waiting)", self.waiters())
    }
}

/// Waits for the notification after its making.
#[must_use = "it waits only when awaited"]
pub struct Notified {
    notify: Rc<RefCell<State>>,
    generation: u64,
    id: u64,
}

impl Future for Notified {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.notify.borrow_mut();
        if state.generation != self.generation {
            return Poll::Ready(());
        }
        state.waiters.insert(self.id, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Notified {
    fn drop(&mut self) {
        let waker = self.notify.borrow_mut().waiters.remove(&self.id);
        drop(waker);
    }
}
