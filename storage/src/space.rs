//! How much room a log directory has left, and who may still write: a full disk is a state, not an end.
//! Decides from numbers; asks no file system itself but in [`LogDir::measure_space`]. Shared by every shard.
//!
//! ```text
//!          room < reserve            room < reserve / 4
//!   Open ──────────────────▶ Low ───────────────────────▶ Spent
//!        ◀────────────────── ◀──────────────────────────
//!          room ≥ 9/8 reserve        room ≥ 9/8 of a quarter
//! ```
//! Tightening happens with any append, by count; loosening only by a measurement.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use kring_runtime::fs;

use crate::dir::LogDir;
use crate::error::LogError;

/// No reserve is more than this share of its file system: a small disk would be all reserve.
const LARGEST_SHARE: u64 = 20;
/// What coordinators must leave is this share of the reserve.
const LOWER_FLOOR: u64 = 4;

/// On whose behalf something is appended: each may use the room down to a floor of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Records of clients: down to the reserve.
    Records,
    /// What coordinators keep, offset commits above all: down to a quarter of the reserve. The rest is for the
    /// metadata log, checkpoints and indexes, without which nothing could be deleted.
    Coordination,
}

/// How tight the room is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Open,
    Low,
    Spent,
}

const LEVELS: [Level; 3] = [Level::Open, Level::Low, Level::Spent];

/// Between two measurements every appended byte counts as gone, so no producer outruns the next one.
#[derive(Debug)]
pub(crate) struct Space {
    /// Zero until the first measurement, and for no reserve at all.
    reserve: AtomicU64,
    /// The value of `appended` at which nothing is left.
    horizon: AtomicU64,
    /// Bytes of all batches accepted, and of those that have been written since: their difference is under way.
    appended: AtomicU64,
    written: AtomicU64,
    level: AtomicU8,
}

impl Default for Space {
    fn default() -> Space {
        Space {
            reserve: AtomicU64::new(0),
            horizon: AtomicU64::new(u64::MAX),
            appended: AtomicU64::new(0),
            written: AtomicU64::new(0),
            level: AtomicU8::new(Level::Open as u8),
        }
    }
}

impl Space {
    pub fn appended(&self, bytes: u64) {
        self.appended.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Written, or given up: in either case a measurement that begins now sees it.
    pub fn settled(&self, bytes: u64) {
        self.written.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that are appended and not written yet.
    #[cfg(test)]
    pub fn under_way(&self) -> u64 {
        self.appended.load(Ordering::Relaxed) - self.written.load(Ordering::Relaxed)
    }

    /// Whether nothing is refused for want of room.
    pub fn is_ample(&self) -> bool {
        self.level.load(Ordering::Relaxed) == Level::Open as u8
    }

    fn room(&self) -> u64 {
        self.horizon.load(Ordering::Relaxed).saturating_sub(self.appended.load(Ordering::Relaxed))
    }

    fn level(&self) -> Level {
        LEVELS[usize::from(self.level.load(Ordering::Relaxed))]
    }

    /// The level before and after a look at the room. A mere look does not loosen.
    fn tighten(&self) -> (Level, Level) {
        let (reserve, room) = (self.reserve.load(Ordering::Relaxed), self.room());
        let tight = level_at(room, reserve, Level::Open);
        let before = self.level.fetch_max(tight as u8, Ordering::Relaxed);
        (LEVELS[usize::from(before)], self.level())
    }

    /// Takes a measurement: `available` of `total` bytes, begun when `written` was as given.
    fn measured(&self, available: u64, total: u64, written: u64, reserve: u64) -> (Level, Level) {
        let reserve = reserve.min(total / LARGEST_SHARE);
        self.reserve.store(reserve, Ordering::Relaxed);
        self.horizon.store(available.saturating_add(written), Ordering::Relaxed);
        let before = self.level();
        let after = level_at(self.room(), reserve, before);
        self.level.store(after as u8, Ordering::Relaxed);
        (before, after)
    }
}

/// The level for this much room, where `held` is kept until an eighth more than its floor is there.
fn level_at(room: u64, reserve: u64, held: Level) -> Level {
    let is_below = |floor: u64, level: Level| {
        let floor = if held >= level { floor.saturating_add(floor / 8) } else { floor };
        room < floor
    };
    if is_below(reserve / LOWER_FLOOR, Level::Spent) {
        Level::Spent
    } else if is_below(reserve, Level::Low) {
        Level::Low
    } else {
        Level::Open
    }
}

impl Claim {
    fn is_met_at(self, level: Level) -> bool {
        match self {
            Claim::Records => level == Level::Open,
            Claim::Coordination => level < Level::Spent,
        }
    }
}

impl LogDir {
    /// Refuses an append when the disk has no room for its kind.
    pub(crate) fn check_room(&self, claim: Claim) -> Result<(), LogError> {
        let (before, level) = self.space().tighten();
        self.tell(before, level);
        if claim.is_met_at(level) {
            return Ok(());
        }
        let reserve = self.space().reserve.load(Ordering::Relaxed);
        let cause = format!("less than log.dir.reserve.bytes ({reserve} bytes here) is free").into();
        Err(LogError::Full { path: self.path().to_path_buf(), cause })
    }

    /// Asks the file system what is free. Call it at short intervals: only this lets produce go on again.
    pub async fn measure_space(&self, reserve_bytes: u64) -> Result<(), LogError> {
        let written = self.space().written.load(Ordering::Relaxed);
        let found = fs::disk_free(self.path()).await;
        let found = found.map_err(|error| LogError::io(self.path(), "measuring the room of", &error))?;
        let (before, after) =
            self.space().measured(found.available_bytes, found.total_bytes, written, reserve_bytes);
        self.tell(before, after);
        Ok(())
    }

    /// Bounded: one line more needs a measurement that found an eighth more than the floor.
    fn tell(&self, before: Level, after: Level) {
        let (room, dir) = (self.space().room(), self.path().display());
        let reserve = self.space().reserve.load(Ordering::Relaxed);
        match (before, after) {
            (Level::Open, Level::Low | Level::Spent) => tracing::error!(
                %dir, free_bytes = room, reserve_bytes = reserve,
                "the disk is full: produce is refused until space returns; delete records or topics, or add space"
            ),
            (Level::Low, Level::Spent) => tracing::error!(
                %dir, free_bytes = room, reserve_bytes = reserve,
                "the disk is full: offset commits are refused, too"
            ),
            (Level::Spent, Level::Low) => {
                tracing::warn!(%dir, free_bytes = room, "offset commits are accepted again");
            }
            (Level::Low | Level::Spent, Level::Open) => {
                tracing::warn!(%dir, free_bytes = room, "space has returned: produce is accepted again");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn measured(space: &Space, available: u64) -> Level {
        let written = space.written.load(Ordering::Relaxed);
        space.measured(available, 1 << 40, written, 80 * MIB).1
    }

    #[test]
    fn each_kind_of_append_has_its_floor() {
        let space = Space::default();
        assert_eq!(measured(&space, 80 * MIB), Level::Open);
        assert_eq!(measured(&space, 80 * MIB - 1), Level::Low);
        assert!(!Claim::Records.is_met_at(Level::Low));
        assert!(Claim::Coordination.is_met_at(Level::Low));
        assert_eq!(measured(&space, 20 * MIB - 1), Level::Spent);
        assert!(!Claim::Coordination.is_met_at(Level::Spent));
    }

    #[test]
    fn service_resumes_only_an_eighth_above_the_floor() {
        let space = Space::default();
        measured(&space, MIB);
        assert_eq!(measured(&space, 20 * MIB), Level::Spent);
        assert_eq!(measured(&space, 23 * MIB), Level::Low);
        assert_eq!(measured(&space, 89 * MIB), Level::Low);
        assert_eq!(measured(&space, 90 * MIB), Level::Open);
        assert_eq!(measured(&space, 80 * MIB), Level::Open, "and ends again only at the floor itself");
    }

    #[test]
    fn appended_bytes_count_before_the_next_measurement() {
        let space = Space::default();
        measured(&space, 100 * MIB);
        space.appended(20 * MIB);
        assert_eq!(space.tighten().1, Level::Open);
        space.appended(1);
        assert_eq!(space.tighten(), (Level::Open, Level::Low));
        assert_eq!(space.tighten(), (Level::Low, Level::Low), "the change is told once");
    }

    #[test]
    fn bytes_under_way_are_no_room_to_a_measurement() {
        let space = Space::default();
        space.appended(50 * MIB);
        assert_eq!(measured(&space, 100 * MIB), Level::Low, "50 MiB of the 100 are spoken for");
        space.settled(50 * MIB);
        assert_eq!(measured(&space, 100 * MIB), Level::Open);
    }

    #[test]
    fn a_small_disk_is_not_all_reserve() {
        let space = Space::default();
        assert_eq!(space.measured(6 * MIB, 100 * MIB, 0, 1 << 30).1, Level::Open);
        assert_eq!(space.measured(5 * MIB - 1, 100 * MIB, 0, 1 << 30).1, Level::Low);
    }

    #[test]
    fn without_a_reserve_nothing_is_refused() {
        let space = Space::default();
        assert_eq!(space.tighten().1, Level::Open, "nor before the first measurement");
        assert_eq!(space.measured(0, 1 << 40, 0, 0).1, Level::Open);
    }
}
