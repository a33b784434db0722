//! Places for connections, counted over the whole process as Kafka's `ConnectionQuotas` counts them: at
//! `max.connections`, of the broker or of the listener, the next connection waits for a place; beyond
//! `max.connections.per.ip` it is closed; faster than `max.connection.creation.rate` it waits for its time.
//! Crosses cores: counters behind a lock that is held for one look-up, when a connection comes and when it goes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::select;
use kring_runtime::channel::Event;
use kring_runtime::{now, sleep};

use super::rate::Rate;

/// How long a waiting connection goes without looking at the limits: an operator may have raised them.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Shared by all shards of a broker.
#[derive(Default)]
pub struct Admission {
    counts: Mutex<Counts>,
    freed: Event,
}

#[derive(Default)]
struct Counts {
    total: usize,
    rate: Rate,
    by_ip: HashMap<IpAddr, usize>,
    by_listener: HashMap<Arc<str>, Listener>,
}

#[derive(Default)]
struct Listener {
    total: usize,
    rate: Rate,
}

/// The limits that hold for one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub total: usize,
    pub per_ip: usize,
    pub of_listener: usize,
    /// New connections a second; of the broker and of the listener.
    pub rate: u32,
    pub rate_of_listener: u32,
}

/// A connection's place; dropping it frees the place.
pub struct Place {
    admission: Arc<Admission>,
    listener: Arc<str>,
    ip: IpAddr,
}

enum Answer {
    /// With the time that it comes too early.
    Admitted(Duration),
    /// Until a place is free.
    Wait,
    Refused,
}

impl Admission {
    /// Waits for a place. `None` when the peer's address has all of its own.
    pub async fn admit(
        self: &Arc<Self>,
        listener: &Arc<str>,
        ip: IpAddr,
        bounds: impl Fn() -> Bounds,
    ) -> Option<Place> {
        loop {
            let freed = self.freed.listen();
            let answer = self.counts().take(listener, ip, bounds());
            match answer {
                Answer::Admitted(early) => return Some(self.place(listener, ip, early).await),
                Answer::Refused => return None,
                Answer::Wait => {}
            }
            select(freed, Box::pin(sleep(LOOK_AGAIN))).await;
        }
    }

    async fn place(self: &Arc<Self>, listener: &Arc<str>, ip: IpAddr, early: Duration) -> Place {
        let place = Place { admission: self.clone(), listener: listener.clone(), ip };
        if !early.is_zero() {
            sleep(early).await;
        }
        place
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // A panic elsewhere ends the process; the counts are never left half changed.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Kafka's order: first a place among all, then one among those of the address.
    fn take(&mut self, listener: &Arc<str>, ip: IpAddr, bounds: Bounds) -> Answer {
        let own = self.by_listener.entry(listener.clone()).or_default();
        if self.total >= bounds.total || own.total >= bounds.of_listener {
            return Answer::Wait;
        }
        if self.by_ip.get(&ip).copied().unwrap_or(0) >= bounds.per_ip {
            return Answer::Refused;
        }
        *self.by_ip.entry(ip).or_insert(0) += 1;
        self.total += 1;
        own.total += 1;
        let now = now();
        let early = self.rate.take(bounds.rate, now).max(own.rate.take(bounds.rate_of_listener, now));
        Answer::Admitted(early)
    }

    fn give_back(&mut self, listener: &Arc<str>, ip: IpAddr) {
        self.total -= 1;
        self.by_listener.get_mut(listener).expect("the listener has a place to give back").total -= 1;
        let left = self.by_ip.get_mut(&ip).expect("the address has a place to give back");
        *left -= 1;
        if *left == 0 {
            self.by_ip.remove(&ip);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admission.counts().give_back(&self.listener, self.ip);
        self.admission.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const FREE: Bounds =
        Bounds { total: 9, per_ip: 9, of_listener: 9, rate: Rate::NONE, rate_of_listener: Rate::NONE };

    fn take(admission: &Arc<Admission>, last: u8, bounds: Bounds) -> Option<Option<Place>> {
        take_at(admission, "A", last, bounds)
    }

    fn take_at(
        admission: &Arc<Admission>,
        listener: &str,
        last: u8,
        bounds: Bounds,
    ) -> Option<Option<Place>> {
        admission.admit(&listener.into(), [10, 0, 0, last].into(), || bounds).now_or_never()
    }

    #[test]
    fn a_full_listener_keeps_no_place_from_another() {
        kring_runtime::sim::run(kring_runtime::sim::SimConfig::new(1, 1), |_| async {
            let admission = Arc::new(Admission::default());
            let bounds = Bounds { of_listener: 1, ..FREE };
            let one = take_at(&admission, "A", 1, bounds).flatten().expect("the first");
            assert!(take_at(&admission, "A", 1, bounds).is_none(), "it waits");
            let _other = take_at(&admission, "B", 1, bounds).flatten().expect("of another listener");
            drop(one);
            assert!(take_at(&admission, "A", 1, bounds).flatten().is_some());
        })
        .expect("a run");
    }

    #[test]
    fn connections_come_in_at_the_lower_of_both_rates_after_a_first_second_of_them() {
        kring_runtime::sim::run(kring_runtime::sim::SimConfig::new(1, 1), |_| async {
            let admission = Arc::new(Admission::default());
            let bounds = Bounds { total: 99, per_ip: 99, of_listener: 99, rate: 50, rate_of_listener: 10 };
            let begun = now();
            let other = admission.admit(&"B".into(), [10, 0, 0, 2].into(), || bounds).await;
            let mut places = Vec::new();
            let admitting = async {
                for _ in 0..30 {
                    places.push(admission.admit(&"A".into(), [10, 0, 0, 1].into(), || bounds).await);
                }
            };
            futures_util::join!(admitting, async {
                sleep(Duration::from_millis(1500)).await;
                drop(other);
            });
            let took = now() - begun;
            assert!((Duration::from_millis(1900)..Duration::from_millis(2200)).contains(&took), "{took:?}");
        })
        .expect("a run");
    }

    #[test]
    fn places_of_an_address_and_of_all_are_given_back() {
        kring_runtime::sim::run(kring_runtime::sim::SimConfig::new(1, 1), |_| async {
            let admission = Arc::new(Admission::default());
            let bounds = Bounds { total: 3, per_ip: 2, ..FREE };
            let _one = take(&admission, 1, bounds).flatten().expect("the first");
            let two = take(&admission, 1, bounds).flatten().expect("the second");
            assert!(take(&admission, 1, bounds).expect("an answer").is_none(), "the address has its two");
            let _three = take(&admission, 2, bounds).flatten().expect("another address");
            assert!(take(&admission, 3, bounds).is_none(), "it waits");
            drop(two);
            assert!(take(&admission, 1, bounds).flatten().is_some());
        })
        .expect("a run");
    }

    #[test]
    fn a_connection_that_waits_comes_in_when_a_place_is_free_or_the_limit_is_raised() {
        kring_runtime::sim::run(kring_runtime::sim::SimConfig::new(1, 1), |_| async {
            let admission = Arc::new(Admission::default());
            let ip = IpAddr::from([10, 0, 0, 1]);
            let total = std::rc::Rc::new(std::cell::Cell::new(1));
            let bounds = || Bounds { total: total.get(), ..FREE };
            let listener = "A".into();
            let first = admission.admit(&listener, ip, bounds).await.expect("a place");
            let (second, ()) =
                futures_util::join!(admission.admit(&listener, ip, bounds), async { drop(first) });
            assert!(second.is_some());
            let (third, ()) =
                futures_util::join!(admission.admit(&listener, ip, bounds), async { total.set(2) });
            assert!(third.is_some());
        })
        .expect("a run");
    }
}
