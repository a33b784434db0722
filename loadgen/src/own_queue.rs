//! How late the load generator itself is: the queue in front of a producer if the broker took everything at once.
//! Pure: times are arguments.
//!
//! Each batch is ready at a time that the schedule gives, and costs the producer its own time: waking late, building,
//! other clients on the same thread. Own time that does not fit between the batches piles up (Lindley's recursion):
//!
//! ```text
//! backlog = max(0, backlog before − time between the batches' ready times) + own time since the last departure
//! ```
//!
//! Time in which the schedule gave nothing to do, or the broker left no room, is excused: it is not own time.

use std::time::Duration;

use kring_runtime::Monotonic;

/// Of one producer.
#[derive(Clone, Copy, Debug)]
pub struct OwnQueue {
    backlog: Duration,
    last_ready: Monotonic,
    last_departure: Monotonic,
    excused: Duration,
}

impl OwnQueue {
    pub fn new(start: Monotonic) -> OwnQueue {
        OwnQueue {
            backlog: Duration::ZERO,
            last_ready: start,
            last_departure: start,
            excused: Duration::ZERO,
        }
    }

    /// For so long since the last departure there was nothing to do, or the broker was in the way.
    pub fn excuse(&mut self, time: Duration) {
        self.excused += time;
    }

    /// The broker was in the way from `from` on: until it `answered`, or until there was something else to do at `due`.
    /// What passed from then until the producer woke up at `now`, behind others on its thread, is its own.
    pub fn excuse_wait(
        &mut self,
        from: Monotonic,
        answered: Option<Monotonic>,
        due: Monotonic,
        now: Monotonic,
    ) {
        self.excuse(answered.unwrap_or(now).min(due).saturating_since(from));
    }

    /// The broker was in the way of everything until `now`.
    pub fn excuse_until(&mut self, now: Monotonic) {
        self.last_departure = now;
        self.excused = Duration::ZERO;
    }

    /// A batch that was ready at `ready` begins to be written at `now`: how long it waited for the producer alone.
    pub fn depart(&mut self, ready: Monotonic, now: Monotonic) -> Duration {
        let own = now.saturating_since(self.last_departure).saturating_sub(self.excused);
        let between = ready.saturating_since(self.last_ready);
        self.backlog = self.backlog.saturating_sub(between) + own;
        self.last_ready = ready.max(self.last_ready);
        self.excuse_until(now);
        self.backlog
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_nanos(1_000_000_000 + ms * 1_000_000)
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn waking_late_is_own_delay() {
        let mut queue = OwnQueue::new(at(0));
        queue.excuse(ms(10));
        assert_eq!(queue.depart(at(10), at(13)), ms(3));
        queue.excuse(ms(7));
        assert_eq!(queue.depart(at(20), at(20)), ms(0), "in time again");
    }

    #[test]
    fn waiting_for_the_broker_is_no_own_delay() {
        let mut queue = OwnQueue::new(at(0));
        assert_eq!(queue.depart(at(0), at(1)), ms(1));
        queue.excuse(ms(500));
        assert_eq!(queue.depart(at(10), at(503)), ms(2), "of 493 ms");
        assert_eq!(queue.depart(at(20), at(504)), ms(1));
        queue.excuse_until(at(900));
        assert_eq!(queue.depart(at(30), at(901)), ms(1));
    }

    #[test]
    fn waking_late_for_an_answer_or_for_what_is_due_meanwhile_is_own_delay() {
        let departing = |answered: Option<u64>, due| {
            let mut queue = OwnQueue::new(at(0));
            queue.excuse_wait(at(0), answered.map(at), at(due), at(50));
            queue.depart(at(0), at(50))
        };
        assert_eq!(departing(Some(50), 1000), ms(0), "at once");
        assert_eq!(departing(Some(10), 1000), ms(40));
        assert_eq!(departing(None, 20), ms(30));
        assert_eq!(departing(Some(30), 20), ms(30));
    }

    #[test]
    fn a_producer_that_needs_longer_than_its_schedule_allows_falls_behind_without_end() {
        let mut queue = OwnQueue::new(at(0));
        let delays: Vec<_> = (0..5).map(|n| queue.depart(at(10 * n), at(15 * (n + 1)))).collect();
        assert_eq!(delays, [ms(15), ms(20), ms(25), ms(30), ms(35)]);
    }

    #[test]
    fn with_a_broker_that_is_never_in_the_way_own_delay_is_all_delay() {
        let mut queue = OwnQueue::new(at(0));
        let (ready, costs) = ([0, 5, 6, 7, 30, 31], [3, 1, 9, 1, 2, 5]);
        let mut free = 0;
        for (ready, cost) in ready.into_iter().zip(costs) {
            queue.excuse(ms(u64::saturating_sub(ready, free)));
            free = free.max(ready) + cost;
            assert_eq!(queue.depart(at(ready), at(free)), ms(free - ready));
        }
    }
}
