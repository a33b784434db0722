//! How many direct writes of one shard are under way in a log directory at once: what its disk carries best, where that
//! is less than one of each log. Does no I/O. Lives on its shard; clones are the same.

use std::num::NonZeroUsize;

use kring_runtime::channel::{Receiver, Sender, bounded};

/// Unbounded unless said otherwise.
#[derive(Clone, Default)]
pub(crate) struct Slots(Option<(Sender<()>, Receiver<()>)>);

/// Held while a write is under way.
pub(crate) struct Slot(Option<Sender<()>>);

impl Slots {
    pub fn new(at_once: Option<NonZeroUsize>) -> Slots {
        Slots(at_once.map(|number| {
            let (put, take) = bounded(number.get());
            (0..number.get()).for_each(|_| put.try_send(()).expect("there is room for each"));
            (put, take)
        }))
    }

    /// Waits until there is a free one.
    pub async fn take(&self) -> Slot {
        let Some((put, take)) = &self.0 else { return Slot(None) };
        take.recv().await.expect("both ends are here");
        Slot(Some(put.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(put) = &self.0 {
            put.try_send(()).expect("there is room for what was taken");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn now<F: Future>(future: F) -> Option<F::Output> {
        match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    #[test]
    fn as_many_are_out_as_there_are_and_one_that_comes_back_goes_out_again() {
        let slots = Slots::new(NonZeroUsize::new(2));
        let (first, second) = (now(slots.take()), now(slots.clone().take()));
        assert!(first.is_some() && second.is_some() && now(slots.take()).is_none());
        drop(first);
        assert!(now(slots.take()).is_some());
    }

    #[test]
    fn without_a_bound_nobody_waits() {
        let slots = Slots::new(None);
        let out: Vec<_> = (0..5000).map(|_| now(slots.take())).collect();
        assert!(out.iter().all(Option::is_some));
    }
}
