//! When a flushed write is worth a wait for company, and when what follows each other has earned something. Every flush
//! costs the same for one batch and for ten. Waits for what the shard has to do now, and for no time. Shard that owns
//! what is written.

use std::time::Duration;

use kring_runtime::{Monotonic, Queue, spawn};

/// A longer pause begins a new row.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How many have followed each other without a pause.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Row {
    length: u32,
    last: Option<Monotonic>,
}

impl Row {
    /// One more, or one that breaks it. Returns how many came before, in the row that it is in.
    pub fn next(&mut self, goes_on: bool, now: Monotonic) -> u32 {
        let follows = self.last.replace(now).is_some_and(|last| now - last < LONGEST_PAUSE);
        self.length = if follows && goes_on { self.length.saturating_add(1) } else { 0 };
        self.length
    }

    /// The next one begins anew.
    pub fn end(&mut self) {
        self.length = 0;
    }
}

/// Who was answered by a write that is flushed appends again at once, or never. While that brings something, and up to as
/// much as was answered, the next write waits for it: otherwise two halves of the producers would take turns for ever,
/// each waiting for a flush of the other.
pub(crate) async fn await_return(answered_bytes: u64, queued: impl Fn() -> u64) {
    let mut before = queued();
    while before < answered_bytes {
        spawn(Queue::Net, async {}).await;
        if queued() == before {
            return;
        }
        before = queued();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_ends_with_a_pause_and_with_what_does_not_belong_to_it() {
        let mut row = Row::default();
        let at = |millis: u64| Monotonic::ZERO + Duration::from_millis(millis);
        let lengths = [(0, true), (10, true), (1009, true), (2009, true), (2010, true), (2011, false)]
            .map(|(millis, goes_on)| row.next(goes_on, at(millis)));
        assert_eq!(lengths, [0, 1, 2, 0, 1, 0]);
    }
}
