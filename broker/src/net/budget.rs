//! A number of units that are taken and given back, by strict order of arrival: what does not fit waits, and all that
//! came later waits behind it, so that small takers never starve a large one.
//! Crosses cores where it is shared: a lock that is held for one look. Never blocks, never wakes anyone under its lock.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use kring_runtime::channel::{ReplyReceiver, ReplySender, oneshot};

/// The units and those who wait for some. As many wait as there are connections.
pub(super) struct Budget {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    used: usize,
    waiting: VecDeque<Waiter>,
}

struct Waiter {
    units: usize,
    reply: ReplySender<Permit>,
}

/// Units that were taken; dropping it gives them back.
pub(super) struct Permit {
    budget: Arc<Budget>,
    units: usize,
}

/// Waits for its turn. Dropping it gives the turn up.
pub(super) struct Taking {
    budget: Arc<Budget>,
    turn: Turn,
}

enum Turn {
    /// The permit, until it is handed over.
    Come(Option<Permit>),
    Waiting(ReplyReceiver<Permit>),
}

impl Budget {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, state: Mutex::default() })
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Whether nobody waits and half of all is there.
    pub(super) fn is_ample(&self) -> bool {
        let state = self.lock();
        state.waiting.is_empty() && state.used <= self.limit / 2
    }

    pub(super) fn is_wanted(&self) -> bool {
        !self.lock().waiting.is_empty()
    }

    /// Takes units as soon as all who came before have theirs. Who asks for more than there is gets all there is.
    pub(super) fn take(self: &Arc<Self>, units: usize) -> Taking {
        let units = units.min(self.limit);
        let mut state = self.lock();
        let turn = if state.waiting.is_empty() && state.has_room(units, self.limit) {
            state.used += units;
            Turn::Come(Some(self.permit(units)))
        } else {
            let (reply, receiver) = oneshot();
            state.waiting.push_back(Waiter { units, reply });
            Turn::Waiting(receiver)
        };
        Taking { budget: self.clone(), turn }
    }

    fn permit(self: &Arc<Self>, units: usize) -> Permit {
        Permit { budget: self.clone(), units }
    }

    /// Lets in all whose turn it is.
    fn admit(self: &Arc<Self>) {
        while let Some(waiter) = self.next() {
            // Who went away after the look gives the units back as every other permit does.
            if let Err(refused) = waiter.reply.send(self.permit(waiter.units)) {
                drop(refused);
            }
        }
    }

    /// The first that waits, if its units are there: they are its own from now on.
    fn next(&self) -> Option<Waiter> {
        let mut state = self.lock();
        while state.waiting.pop_front_if(|waiter| waiter.reply.is_closed()).is_some() {}
        let units = state.waiting.front()?.units;
        if !state.has_room(units, self.limit) {
            return None;
        }
        state.used += units;
        state.waiting.pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere ends the process; the state is never left half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&self, units: usize, limit: usize) -> bool {
        units <= limit - self.used
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.lock().used -= self.units;
        self.budget.admit();
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        if matches!(self.turn, Turn::Waiting(_)) {
            // Closes the receiver, so that those behind it are looked at.
            self.turn = Turn::Come(None);
            self.budget.admit();
        }
    }
}

impl Future for Taking {
    type Output = Permit;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Permit> {
        match &mut self.turn {
            Turn::Come(permit) => Poll::Ready(permit.take().expect("a permit is taken once")),
            Turn::Waiting(receiver) => {
                let permit = ready!(Pin::new(receiver).poll(cx));
                self.turn = Turn::Come(None);
                Poll::Ready(permit.expect("the budget keeps those who wait for it"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn now(taking: &mut Taking) -> Option<Permit> {
        taking.now_or_never()
    }

    #[test]
    fn a_large_taker_is_not_overtaken_by_small_ones() {
        let budget = Budget::new(10);
        let small = budget.take(4).now_or_never().expect("there is room");
        let (mut large, mut late) = (budget.take(7), budget.take(1));
        assert!(now(&mut large).is_none());
        assert!(now(&mut late).is_none(), "one unit is there, but the large one came before");
        drop(small);
        let large = now(&mut large).expect("its turn");
        let late = now(&mut late).expect("there is room beside it");
        assert_eq!(budget.lock().used, 8);
        drop((large, late));
        assert_eq!(budget.lock().used, 0);
    }

    #[test]
    fn who_asks_for_more_than_there_is_gets_all_alone() {
        let budget = Budget::new(10);
        let one = budget.take(1).now_or_never().expect("there is room");
        let mut all = budget.take(usize::MAX);
        assert!(now(&mut all).is_none());
        drop(one);
        let all = now(&mut all).expect("its turn");
        assert!(now(&mut budget.take(1)).is_none());
        drop(all);
        assert!(now(&mut budget.take(10)).is_some());
    }

    #[test]
    fn a_taker_that_gives_up_holds_up_nobody_and_loses_nothing() {
        let budget = Budget::new(10);
        let most = budget.take(8).now_or_never().expect("there is room");
        let (gone, mut behind, granted) = (budget.take(10), budget.take(2), budget.take(8));
        drop(gone);
        let behind = now(&mut behind).expect("room that the one who went had kept from it");
        drop(most);
        assert_eq!(budget.lock().used, 10);
        drop(granted);
        assert_eq!(budget.lock().used, 2, "a permit that nobody fetched is given back");
        drop(behind);
        assert!(budget.is_ample());
    }

    #[test]
    fn ten_thousand_that_gave_up_are_passed_over_without_depth() {
        let budget = Budget::new(1);
        let one = budget.take(1).now_or_never().expect("there is room");
        let gone: Vec<Taking> = (0..10_000).map(|_| budget.take(1)).collect();
        let mut last = budget.take(1);
        drop(gone);
        drop(one);
        assert!(now(&mut last).is_some());
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "threads are what it is about")]
    fn takers_of_many_threads_never_hold_more_than_there_is() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        const LIMIT: usize = 10;
        let (budget, held) = (Budget::new(LIMIT), Arc::new(AtomicUsize::new(0)));
        let takers: Vec<_> = (1..=8)
            .map(|units| {
                let (budget, held) = (budget.clone(), held.clone());
                std::thread::spawn(move || {
                    for _ in 0..2_000 {
                        let permit = futures_lite::future::block_on(budget.take(units));
                        assert!(held.fetch_add(units, Ordering::SeqCst) + units <= LIMIT);
                        held.fetch_sub(units, Ordering::SeqCst);
                        drop(permit);
                    }
                })
            })
            .collect();
        takers.into_iter().for_each(|taker| taker.join().expect("a taker"));
        assert_eq!(budget.lock().used, 0);
    }
}
