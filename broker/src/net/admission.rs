//! Places for connections, counted over the whole process as Kafka counts them: at `max.connections` the next
//! connection waits for a place, beyond `max.connections.per.ip` it is closed.
//! Crosses cores: counters behind a lock that is held for one look-up, when a connection comes and when it goes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::select;
use kring_runtime::channel::Event;
use kring_runtime::sleep;

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
    by_ip: HashMap<IpAddr, usize>,
}

/// The limits that hold for one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub total: usize,
    pub per_ip: usize,
}

/// A connection's place; dropping it frees the place.
pub struct Place {
    admission: Arc<Admission>,
    ip: IpAddr,
}

enum Answer {
    Admitted,
    /// Until a place is free.
    Wait,
    Refused,
}

impl Admission {
    /// Waits for a place. `None` when the peer's address has all of its own.
    pub async fn admit(self: &Arc<Self>, ip: IpAddr, bounds: impl Fn() -> Bounds) -> Option<Place> {
        loop {
            let freed = self.freed.listen();
            match self.counts().take(ip, bounds()) {
                Answer::Admitted => return Some(Place { admission: self.clone(), ip }),
                Answer::Refused => return None,
                Answer::Wait => {}
            }
            select(freed, Box::pin(sleep(LOOK_AGAIN))).await;
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // A panic elsewhere ends the process; the counts are never left half changed.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Kafka's order: first a place among all, then one among those of the address.
    fn take(&mut self, ip: IpAddr, bounds: Bounds) -> Answer {
        if self.total >= bounds.total {
            return Answer::Wait;
        }
        if self.by_ip.get(&ip).copied().unwrap_or(0) >= bounds.per_ip {
            return Answer::Refused;
        }
        *self.by_ip.entry(ip).or_insert(0) += 1;
        self.total += 1;
        Answer::Admitted
    }

    fn give_back(&mut self, ip: IpAddr) {
        self.total -= 1;
        let left = self.by_ip.get_mut(&ip).expect("the address has a place to give back");
        *left -= 1;
        if *left == 0 {
            self.by_ip.remove(&ip);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admission.counts().give_back(self.ip);
        self.admission.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn take(admission: &Arc<Admission>, last: u8, bounds: Bounds) -> Option<Option<Place>> {
        admission.admit([10, 0, 0, last].into(), || bounds).now_or_never()
    }

    #[test]
    fn places_of_an_address_and_of_all_are_given_back() {
        kring_runtime::sim::run(kring_runtime::sim::SimConfig::new(1, 1), |_| async {
            let admission = Arc::new(Admission::default());
            let bounds = Bounds { total: 3, per_ip: 2 };
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
            let bounds = || Bounds { total: total.get(), per_ip: 9 };
            let first = admission.admit(ip, bounds).await.expect("a place");
            let (second, ()) = futures_util::join!(admission.admit(ip, bounds), async { drop(first) });
            assert!(second.is_some());
            let (third, ()) = futures_util::join!(admission.admit(ip, bounds), async { total.set(2) });
            assert!(third.is_some());
        })
        .expect("a run");
    }
}
