//! How long rebalances take: from what caused one until all members have their assignment and have fetched with it.
//! Pure: times are arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kring_runtime::Monotonic;

/// What made the group rebalance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// All members joined a new group.
    First,
    Joined,
    Left,
}

impl Trigger {
    /// The name of its latency: before all others in the order of names, so that plots show it.
    pub fn name(self) -> &'static str {
        match self {
            Trigger::First => "all members join: rebalance",
            Trigger::Joined => "a member joins: rebalance",
            Trigger::Left => "a member leaves: rebalance",
        }
    }
}

/// The members of one group, and the generation in which each of them works.
#[derive(Debug, Default)]
pub struct Rebalances {
    members: BTreeSet<usize>,
    working: BTreeMap<usize, i32>,
    generation: i32,
    open: Option<(Trigger, Monotonic)>,
}

impl Rebalances {
    /// A group that so many members are about to join.
    pub fn new(members: usize, now: Monotonic) -> Rebalances {
        let members = (0..members).collect();
        Rebalances { members, open: Some((Trigger::First, now)), ..Rebalances::default() }
    }

    /// Whether a rebalance is under way that a trigger began.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Nothing is waited for any more. Returns what was under way, and since when.
    pub fn give_up(&mut self) -> Option<(Trigger, Monotonic)> {
        self.open.take()
    }

    /// A member joins or leaves now.
    pub fn begin(&mut self, trigger: Trigger, member: usize, now: Monotonic) {
        match trigger {
            Trigger::First | Trigger::Joined => self.members.insert(member),
            Trigger::Left => self.members.remove(&member),
        };
        self.working.remove(&member);
        // A group without members has nothing to rebalance.
        self.open = Some((trigger, now)).filter(|_| !self.members.is_empty());
    }

    /// A member has its assignment in this generation and has fetched with it. Returns what that completes.
    pub fn working(&mut self, member: usize, generation: i32, now: Monotonic) -> Option<Done> {
        self.working.insert(member, generation);
        let together = self.members.iter().all(|member| self.working.get(member) == Some(&generation));
        if !together || generation <= self.generation {
            return None;
        }
        self.generation = generation;
        Some(match self.open.take() {
            Some((trigger, began)) => Done::Planned(trigger, began, now.saturating_since(began)),
            None => Done::Unplanned,
        })
    }
}

/// A rebalance that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// What caused it, when, and how long it took.
    Planned(Trigger, Monotonic, Duration),
    /// Nobody joined or left.
    Unplanned,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_nanos(ms * 1_000_000)
    }

    fn done(trigger: Trigger, from: u64, to: u64) -> Option<Done> {
        Some(Done::Planned(trigger, at(from), Duration::from_millis(to - from)))
    }

    #[test]
    fn a_rebalance_is_over_when_the_last_member_works_in_the_same_generation() {
        let mut group = Rebalances::new(3, at(0));
        assert_eq!(group.working(0, 1, at(5)), None);
        assert_eq!(group.working(0, 2, at(6)), None);
        assert_eq!(group.working(1, 2, at(7)), None);
        assert!(group.is_open());
        assert_eq!(group.working(2, 2, at(9)), done(Trigger::First, 0, 9));
        assert!(!group.is_open());
    }

    #[test]
    fn who_left_is_not_waited_for_and_who_joins_is() {
        let mut group = Rebalances::new(2, at(0));
        group.working(0, 1, at(1));
        group.working(1, 1, at(2));
        group.begin(Trigger::Left, 1, at(10));
        assert_eq!(group.working(0, 2, at(14)), done(Trigger::Left, 10, 14));
        group.begin(Trigger::Joined, 1, at(20));
        assert_eq!(group.working(0, 3, at(23)), None);
        assert_eq!(group.working(1, 3, at(25)), done(Trigger::Joined, 20, 25));
    }

    #[test]
    fn a_group_that_the_last_member_left_does_not_rebalance() {
        let mut group = Rebalances::new(1, at(0));
        group.working(0, 1, at(1));
        group.begin(Trigger::Left, 0, at(5));
        assert!(!group.is_open());
    }

    #[test]
    fn an_old_generation_completes_nothing_and_one_that_nobody_caused_is_told_apart() {
        let mut group = Rebalances::new(1, at(0));
        group.working(0, 4, at(1));
        group.begin(Trigger::Joined, 1, at(10));
        assert_eq!(group.working(1, 4, at(11)), None, "of before");
        group.working(0, 5, at(12));
        assert_eq!(group.working(1, 5, at(13)), done(Trigger::Joined, 10, 13));
        group.working(0, 6, at(20));
        assert_eq!(group.working(1, 6, at(21)), Some(Done::Unplanned));
    }
}
