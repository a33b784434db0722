//! Logs whose newest batches only a journal has: they are written a little later, or sooner when the journal fills.
//! Shard that owns them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use kring_runtime::local::Notify;
use kring_runtime::{Queue, spawn, timeout};

use crate::log::Log;

/// How long a batch stays in the journal alone: long enough for a slow log to share a write, short enough to be over
/// before anybody looks.
const WRITTEN_AFTER: Duration = Duration::from_secs(1);

/// Clones are the same list.
#[derive(Clone, Default)]
pub(crate) struct WriteBehind(Rc<Shared>);

#[derive(Default)]
struct Shared {
    logs: RefCell<Vec<Log>>,
    is_running: Cell<bool>,
    hurry: Notify,
}

impl WriteBehind {
    pub fn add(&self, log: &Log) {
        self.0.logs.borrow_mut().push(log.clone());
        if !self.0.is_running.replace(true) {
            let behind = self.clone();
            spawn(Queue::Append, async move { behind.run().await }).detach();
        }
    }

    /// It has ended, and is not to be held by the list, which it holds by its shard.
    pub fn forget(&self, log: &Log) {
        self.0.logs.borrow_mut().retain(|waiting| !Rc::ptr_eq(&waiting.0, &log.0));
    }

    /// Those that have waited for longest now: half of them. They are what keeps the journal from being used again.
    pub fn hurry(&self) {
        self.0.hurry.notify_all();
    }

    #[cfg(test)]
    pub fn vanish(&self) {
        self.0.logs.take();
    }

    fn take(&self, only_half: bool) -> Vec<Log> {
        let mut logs = self.0.logs.borrow_mut();
        let taken = if only_half { logs.len().div_ceil(2) } else { logs.len() };
        logs.drain(..taken).collect()
    }

    async fn run(&self) {
        loop {
            let is_in_a_hurry = timeout(WRITTEN_AFTER, self.0.hurry.notified()).await.is_ok();
            let logs = self.take(is_in_a_hurry);
            if logs.is_empty() {
                self.0.is_running.set(false);
                return;
            }
            logs.iter().for_each(Log::no_longer_behind);
        }
    }
}
