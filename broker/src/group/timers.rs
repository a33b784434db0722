//! The deadlines of one coordinator: set, moved, cancelled by key, taken when they are due.
//!
//! Holds no clock; the caller says what time it is.

use std::collections::BTreeMap;

use super::ids::{GroupId, MemberId};

/// A key has one deadline at most.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerKey {
    /// The member must have been heard of.
    Session(GroupId, MemberId),
    /// The join phase of the group ends.
    Join(GroupId),
    /// The members must have asked for their assignments.
    Sync(GroupId),
    /// Old offsets are looked for.
    Expiry,
}

/// What to do when the deadline of the key has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    EndSession,
    /// The initial delay is over, and may be followed by another out of what remains.
    EndInitialDelay {
        delay_ms: i32,
        remaining_ms: i32,
    },
    EndJoin,
    EndSync {
        generation_id: i32,
    },
    ExpireOffsets,
}

#[derive(Debug, Default)]
pub struct Timers {
    /// Due time and sequence number, so that equal times fire in the order they were set.
    due: BTreeMap<(i64, u64), (TimerKey, Alarm)>,
    of_key: BTreeMap<TimerKey, (i64, u64)>,
    next_sequence: u64,
}

impl Timers {
    pub fn set(&mut self, key: TimerKey, at_ms: i64, alarm: Alarm) {
        self.cancel(&key);
        let at = (at_ms, self.next_sequence);
        self.next_sequence += 1;
        self.due.insert(at, (key.clone(), alarm));
        self.of_key.insert(key, at);
    }

    pub fn cancel(&mut self, key: &TimerKey) {
        if let Some(at) = self.of_key.remove(key) {
            self.due.remove(&at);
        }
    }

    pub fn next_ms(&self) -> Option<i64> {
        self.due.first_key_value().map(|((at_ms, _), _)| *at_ms)
    }

    /// The earliest deadline that has passed, which is thereby gone.
    pub fn take_due(&mut self, now_ms: i64) -> Option<(TimerKey, Alarm)> {
        if self.next_ms()? > now_ms {
            return None;
        }
        let (_, (key, alarm)) = self.due.pop_first()?;
        self.of_key.remove(&key);
        Some((key, alarm))
    }

    pub fn clear(&mut self) {
        self.due.clear();
        self.of_key.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_set_again_fires_once_and_later() {
        let mut timers = Timers::default();
        timers.set(TimerKey::Expiry, 10, Alarm::ExpireOffsets);
        timers.set(TimerKey::Expiry, 20, Alarm::ExpireOffsets);
        assert_eq!(timers.next_ms(), Some(20));
        assert_eq!(timers.take_due(19), None);
        assert_eq!(timers.take_due(20), Some((TimerKey::Expiry, Alarm::ExpireOffsets)));
        assert_eq!(timers.take_due(1_000), None);
    }

    #[test]
    fn equal_deadlines_fire_in_the_order_they_were_set() {
        let mut timers = Timers::default();
        let key = |name: &str| TimerKey::Join(GroupId::from(name));
        timers.set(key("b"), 5, Alarm::EndJoin);
        timers.set(key("a"), 5, Alarm::EndJoin);
        timers.cancel(&key("c"));
        assert_eq!(timers.take_due(5).unwrap().0, key("b"));
        assert_eq!(timers.take_due(5).unwrap().0, key("a"));
    }
}
