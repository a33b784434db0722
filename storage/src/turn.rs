//! A turn that one task of a shard has at a time: for the small files of a log, which its writer, its close and its
//! recovery point all replace. Does no I/O. Lives on its shard, single-threaded.

use std::cell::Cell;

use kring_runtime::local::Notify;

#[derive(Default)]
pub(crate) struct Turn {
    taken: Cell<bool>,
    ended: Notify,
}

/// Held by whoever has the turn.
pub(crate) struct HeldTurn<'a>(&'a Turn);

impl Turn {
    /// Waits until nobody else has it.
    pub async fn take(&self) -> HeldTurn<'_> {
        loop {
            let ended = self.ended.notified();
            if !self.taken.replace(true) {
                return HeldTurn(self);
            }
            ended.await;
        }
    }
}

impl Drop for HeldTurn<'_> {
    fn drop(&mut self) {
        self.0.taken.set(false);
        self.0.ended.notify_all();
    }
}
