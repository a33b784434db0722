//! What a consumer reads, and when it is done. Pure.

use kring_runtime::Monotonic;

use crate::counters::Counters;
use crate::measure::Measure;
use crate::settings::{Settings, Workload};

/// What a consumer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads everything that was there at the start, once.
    Whole,
    /// Follows the producers, until all that was acknowledged has come back.
    Tail,
    /// Reads from the beginning, again and again.
    History,
}

/// How far one partition is read.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    pub partition: i32,
    pub start: i64,
    pub position: i64,
    pub high_watermark: i64,
    /// It was refused, and is not asked for again before.
    pub not_before: Monotonic,
    /// Where to stop; absent while it depends on what is produced.
    pub end: Option<i64>,
}

impl Cursor {
    pub fn is_at_end(&self) -> bool {
        self.end.is_some_and(|end| self.position >= end)
    }
}

impl Role {
    /// What the consumers of a workload do, and how many there are of each.
    pub fn all(settings: &Settings) -> Vec<(Role, u32)> {
        let roles = match settings.workload {
            Workload::Produce | Workload::Groups | Workload::Connections => Vec::new(),
            Workload::Consume => vec![Role::Whole],
            Workload::EndToEnd => vec![Role::Tail],
            Workload::Mixed => vec![Role::Tail, Role::History],
        };
        roles.into_iter().map(|role| (role, role.consumers(settings))).collect()
    }

    pub fn consumers(self, settings: &Settings) -> u32 {
        match self {
            Role::Whole | Role::Tail => settings.consumers,
            Role::History => settings.history_readers,
        }
    }

    /// Where a partition from `start` to `end` is read first.
    pub fn cursor(self, partition: i32, start: i64, end: i64) -> Cursor {
        let position = if self == Role::Tail { end } else { start };
        let stop = (self == Role::Whole).then_some(end);
        Cursor {
            partition,
            start,
            position,
            high_watermark: end,
            not_before: Monotonic::from_nanos(0),
            end: stop,
        }
    }

    /// After an answer: history begins again where it ends.
    pub fn turn_round(self, cursor: &mut Cursor) {
        if self == Role::History && cursor.position >= cursor.high_watermark {
            cursor.position = cursor.start;
        }
    }

    pub fn round_trip(self) -> Measure {
        match self {
            Role::Whole | Role::Tail => Measure::Fetched,
            Role::History => Measure::from_key("history fetch round trip"),
        }
    }

    pub fn is_done(
        self,
        cursors: &[Cursor],
        counters: &Counters,
        settings: &Settings,
        now: Monotonic,
    ) -> bool {
        let Counters { local, shared, .. } = counters;
        match self {
            Role::Whole => {
                let enough = settings.count.is_some_and(|count| shared.records_read() >= count);
                enough || now >= local.window().end || cursors.iter().all(Cursor::is_at_end)
            }
            Role::History => !shared.is_producing(),
            Role::Tail => {
                let caught_up = |cursor: &Cursor| {
                    cursor.position >= cursor.high_watermark.max(shared.acknowledged_end(cursor.partition))
                };
                // The producers themselves give up when `drain` is over, then so much more for the consumers.
                let done = shared.producers_done();
                let end = done.map_or(local.window().end, |done| done.min(local.window().end));
                let is_whole = done.is_some() && shared.missing() == 0 && cursors.iter().all(caught_up);
                is_whole || now >= end + 2 * settings.drain
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_begins_and_stops_where_it_should() {
        let whole = Role::Whole.cursor(0, 5, 9);
        assert_eq!((whole.position, whole.end, whole.is_at_end()), (5, Some(9), false));
        assert!(Role::Whole.cursor(0, 9, 9).is_at_end());
        let tail = Role::Tail.cursor(0, 5, 9);
        assert_eq!((tail.position, tail.end, tail.is_at_end()), (9, None, false));
    }

    #[test]
    fn history_is_read_again_from_where_it_began() {
        let mut cursor = Role::History.cursor(0, 5, 9);
        (cursor.position, cursor.high_watermark) = (11, 12);
        Role::History.turn_round(&mut cursor);
        assert_eq!(cursor.position, 11, "there is more");
        cursor.position = 12;
        Role::Tail.turn_round(&mut cursor);
        assert_eq!(cursor.position, 12);
        Role::History.turn_round(&mut cursor);
        assert_eq!(cursor.position, 5);
    }
}
