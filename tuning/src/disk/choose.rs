//! From what was measured to how the broker should use the disk. Pure.
//!
//! A setting departs from its default only where the difference is clear: on a disk that likes both, what was tested
//! most holds.

use std::num::NonZeroUsize;

use kring_storage::DiskSettings;

use super::{Measured, Row};

/// Sizes that a write of the broker may have.
const LEAST_WRITE: u32 = 256 << 10;
/// A rate within so much of the best is as good: runs differ by as much.
const AS_GOOD: f64 = 0.9;
const CLEARLY_LESS: f64 = 0.7;
/// Fewer operations than that tell nothing: the default holds.
const ENOUGH: u64 = 30;
const TOO_FEW: &str = "the default: too few operations to tell, measure for longer";

/// Settings, and a sentence about each.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    pub settings: DiskSettings,
    /// In the order of [`DiskSettings::pairs`].
    pub reasons: [String; 5],
}

/// How the broker should use a disk that was measured so.
pub fn choose(measured: &Measured) -> Chosen {
    let (write_bytes, write) = write_bytes(measured);
    let (writes_at_once, writes) = writes_at_once(measured);
    let (zeros_bytes, zeros) = zeros_bytes(measured);
    let ((read_bytes, reads_at_once), reads) = reads(measured);
    Chosen {
        settings: DiskSettings { write_bytes, writes_at_once, zeros_bytes, read_bytes, reads_at_once },
        reasons: [write, writes, zeros, reads.clone(), reads],
    }
}

fn are_enough<'a>(rows: impl IntoIterator<Item = &'a Row>) -> bool {
    let mut rows = rows.into_iter().peekable();
    rows.peek().is_some() && rows.all(|row| row.operations >= ENOUGH)
}

/// Bytes a second in the middle of the runs, with one operation after the other: a stall of the machine counts little.
fn usual_rate(row: &Row) -> f64 {
    f64::from(row.size) / f64::from(row.p50_micros.max(1)) * 1e6
}

/// The default, unless it carries clearly less than the best; then the smallest size that is as good.
fn write_bytes(measured: &Measured) -> (u32, String) {
    let default = DiskSettings::default().write_bytes;
    if !are_enough(&measured.durable) {
        return (default, TOO_FEW.to_owned());
    }
    let rows = measured.durable.iter().filter(|row| row.size >= LEAST_WRITE);
    let best = rows.clone().map(usual_rate).fold(0.0, f64::max);
    let good: Vec<u32> = rows.filter(|row| usual_rate(row) >= AS_GOOD * best).map(|row| row.size).collect();
    let smallest = good.first().copied().filter(|_| !good.contains(&default));
    (smallest.unwrap_or(default), format!("at most {:.0} MB/s with any size, each write durable", best / 1e6))
}

/// A bound only where more at once carry clearly less, at the two largest depths.
fn writes_at_once(measured: &Measured) -> (Option<NonZeroUsize>, String) {
    let best = measured.together.iter().max_by(|a, b| a.per_second.total_cmp(&b.per_second));
    let Some((best, deepest)) = best.zip(measured.together.last()).filter(|_| are_enough(&measured.together))
    else {
        return (None, TOO_FEW.to_owned());
    };
    let deep = measured.together.iter().rev().take(2);
    let loses = deep.map(|row| row.per_second).all(|rate| rate < CLEARLY_LESS * best.per_second);
    let bound = NonZeroUsize::new(best.depth as usize).filter(|_| loses);
    let (most, last) = (best.per_second, deepest.per_second);
    (bound, format!("{most:.0} a second with {} at once, {last:.0} with {}", best.depth, deepest.depth))
}

fn zeros_bytes(measured: &Measured) -> (u32, String) {
    if !are_enough([&measured.within, &measured.longer]) {
        return (DiskSettings::default().zeros_bytes, TOO_FEW.to_owned());
    }
    let (within, longer) = (measured.within.p50_micros, measured.longer.p50_micros);
    let gains = f64::from(within) < AS_GOOD * f64::from(longer);
    let bytes = if gains { DiskSettings::default().zeros_bytes } else { 0 };
    (bytes, format!("a write takes {within} us within a file, {longer} us at its end"))
}

/// The default, unless it carries clearly less than the best; then what is as good with the fewest bytes under way.
fn reads(measured: &Measured) -> ((u32, NonZeroUsize), String) {
    let defaults = DiskSettings::default();
    let default = (defaults.read_bytes, defaults.reads_at_once);
    if !are_enough(&measured.sequential) {
        return (default, TOO_FEW.to_owned());
    }
    let best = measured.sequential.iter().map(Row::bytes_per_second).fold(0.0, f64::max);
    let good = measured.sequential.iter().filter(|row| row.bytes_per_second() >= AS_GOOD * best);
    let mut pairs: Vec<_> = good.filter_map(pair).collect();
    pairs.sort_by_key(|(bytes, pieces)| (u64::from(*bytes) * pieces.get() as u64, *bytes));
    let fewest = pairs.first().copied().filter(|_| !pairs.contains(&default));
    (fewest.unwrap_or(default), format!("at most {:.0} MB/s in order", best / 1e6))
}

fn pair(row: &Row) -> Option<(u32, NonZeroUsize)> {
    Some((row.size, NonZeroUsize::new(row.depth as usize)?))
}

#[cfg(test)]
mod tests {
    use super::super::steps::SMALL_WRITE;
    use super::*;

    fn row(size: u32, depth: u32, p50_micros: u32, per_second: f64) -> Row {
        Row { size, depth, operations: 1000, p50_micros, p99_micros: 2 * p50_micros, per_second }
    }

    /// A disk that flushes in `flush` microseconds and moves `rate` bytes a second.
    fn disk(flush: f64, rate: f64) -> Measured {
        let micros = |size: u32| flush + f64::from(size) / rate * 1e6;
        let durable = |size: u32| row(size, 1, micros(size) as u32, 1e6 / micros(size));
        Measured {
            durable: [4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20].map(durable).to_vec(),
            together: [1, 2, 4, 8, 16, 32].map(|d| row(SMALL_WRITE, d, 100, 1000.0 * f64::from(d))).to_vec(),
            within: durable(SMALL_WRITE),
            longer: row(SMALL_WRITE, 1, 3 * micros(SMALL_WRITE) as u32, 100.0),
            sequential: [(1 << 20, 1), (1 << 20, 3), (4 << 20, 8)]
                .map(|(size, depth)| read(size, depth, 500e6))
                .to_vec(),
            random: Vec::new(),
        }
    }

    fn read(size: u32, depth: u32, rate: f64) -> Row {
        row(size, depth, 1000, rate / f64::from(size))
    }

    #[test]
    fn every_choice_can_be_written_and_read() {
        for (flush, rate) in [(20.0, 5e9), (100.0, 2e9), (9000.0, 150e6), (0.0, 1e5), (1e6, 1e10)] {
            let settings = choose(&disk(flush, rate)).settings;
            assert_eq!(DiskSettings::parse(&settings.encode("")), Ok(settings), "{flush} {rate}");
        }
        let nothing = Measured {
            durable: Vec::new(),
            together: Vec::new(),
            within: row(SMALL_WRITE, 1, 0, 0.0),
            longer: row(SMALL_WRITE, 1, 0, 0.0),
            sequential: Vec::new(),
            random: Vec::new(),
        };
        let settings = choose(&nothing).settings;
        assert_eq!(DiskSettings::parse(&settings.encode("")), Ok(settings));
    }

    #[test]
    fn slow_flushes_want_larger_writes() {
        let (fast, slow) = (choose(&disk(20.0, 2e9)).settings, choose(&disk(9000.0, 2e9)).settings);
        assert_eq!((fast.write_bytes, slow.write_bytes), (1 << 20, 4 << 20));
    }

    #[test]
    fn a_disk_that_stumbles_over_long_writes_gets_short_ones() {
        let mut measured = disk(20.0, 2e9);
        for row in measured.durable.iter_mut().filter(|row| row.size > 256 << 10) {
            row.p50_micros *= 2;
        }
        assert_eq!(choose(&measured).settings.write_bytes, 256 << 10);
    }

    #[test]
    fn reading_ahead_is_as_deep_as_it_gains_and_no_deeper() {
        let mut measured = disk(20.0, 2e9);
        let chosen = |measured: &Measured| {
            let settings = choose(measured).settings;
            (settings.read_bytes, settings.reads_at_once.get())
        };
        assert_eq!(chosen(&measured), (1 << 20, 3), "all the same: the default");
        measured.sequential = vec![read(1 << 20, 3, 500e6), read(1 << 20, 8, 990e6), read(4 << 20, 8, 1e9)];
        assert_eq!(chosen(&measured), (1 << 20, 8), "as good, with fewer bytes");
        measured.sequential = vec![read(1 << 20, 1, 800e6), read(1 << 20, 3, 500e6), read(1 << 20, 8, 400e6)];
        assert_eq!(chosen(&measured), (1 << 20, 1), "a disk that wants to be asked for one at a time");
    }

    #[test]
    fn zeros_are_written_only_where_they_gain() {
        let mut measured = disk(100.0, 2e9);
        assert_eq!(choose(&measured).settings.zeros_bytes, 1 << 20);
        measured.longer.p50_micros = measured.within.p50_micros;
        assert_eq!(choose(&measured).settings.zeros_bytes, 0);
    }

    #[test]
    fn writes_are_bounded_only_where_more_carry_less() {
        let mut measured = disk(100.0, 2e9);
        assert_eq!(choose(&measured).settings.writes_at_once, None);
        measured.together[5].per_second = 12_000.0;
        assert_eq!(choose(&measured).settings.writes_at_once, None, "within what runs differ by");
        measured.together[5].per_second = 4_000.0;
        assert_eq!(choose(&measured).settings.writes_at_once, None, "one depth may be chance");
        measured.together[4].per_second = 5_000.0;
        assert_eq!(choose(&measured).settings.writes_at_once, NonZeroUsize::new(8));
    }

    #[test]
    fn what_was_measured_too_little_changes_nothing() {
        let mut measured = disk(9000.0, 2e9);
        measured.longer.p50_micros = 0;
        let all = [&mut measured.durable, &mut measured.together, &mut measured.sequential];
        for row in all.into_iter().flatten().chain([&mut measured.longer]) {
            row.operations = ENOUGH - 1;
        }
        assert_eq!(choose(&measured).settings, DiskSettings::default());
    }
}
