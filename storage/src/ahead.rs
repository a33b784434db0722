//! How far beyond its batches the file of a segment is written, with zeros. A write that lies within the file changes
//! nothing but bytes: it needs no thread that waits for it, and its flush no commit of the file system's journal. Only a
//! log that is written to again and again in small pieces earns it. Decides only; lives with the segment.

use kring_runtime::Monotonic;

use crate::company::Row;
use crate::segment::block_ceil;

/// Small writes in a row before the first zeros.
const EARNED_AFTER: u32 = 16;
/// A write of so many bytes costs more than what it would save.
const LARGE_BYTES: u32 = 128 << 10;
/// As many zeros as there are batches, from here to what the disk's settings allow: what a log takes on disk at most
/// doubles.
const LEAST_BYTES: u32 = 16 << 10;

/// The bounds of zeros.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Zeros stay below this byte of the file.
    pub limit: u32,
    /// So many at once; zero for none.
    pub most: u32,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ahead {
    /// The file has been written up to here.
    reaches: u32,
    small: Row,
}

impl Ahead {
    /// Up to which byte a write of `at..end` goes, in whole blocks.
    pub fn plan(&mut self, at: u32, end: u32, bounds: Bounds, now: Monotonic) -> u32 {
        let in_a_row = self.small.next(end - at < LARGE_BYTES, now);
        let blocks = block_ceil(end);
        if blocks <= self.reaches || in_a_row < EARNED_AFTER || bounds.most < LEAST_BYTES {
            return blocks;
        }
        let zeros = block_ceil(end.clamp(LEAST_BYTES, bounds.most));
        blocks.max(blocks.saturating_add(zeros).min(bounds.limit))
    }

    /// The file reaches this far.
    pub fn wrote(&mut self, to: u32) {
        self.reaches = self.reaches.max(to);
    }

    /// A write failed, perhaps for want of room: the next one is no longer than it must be.
    pub fn failed(&mut self) {
        self.small.end();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMIT: u32 = 1 << 30;
    const MOST_BYTES: u32 = 1 << 20;

    fn below(limit: u32) -> Bounds {
        Bounds { limit, most: MOST_BYTES }
    }

    /// Writes of `bytes` each, back to back; returns how far each one went beyond its own blocks.
    fn zeros(ahead: &mut Ahead, from: u32, bytes: u32, count: u32, pause: Duration, limit: u32) -> Vec<u32> {
        let mut now = Monotonic::ZERO;
        (0..count)
            .map(|number| {
                now = now + pause;
                let at = from + number * bytes;
                let to = ahead.plan(at, at + bytes, below(limit), now);
                ahead.wrote(to);
                to - block_ceil(at + bytes)
            })
            .collect()
    }

    #[test]
    fn zeros_come_after_a_row_of_small_writes_and_again_when_they_are_used_up() {
        let zeros = zeros(&mut Ahead::default(), 0, 4096, 100, Duration::from_millis(10), LIMIT);
        let at: Vec<usize> = (0..100).filter(|&number| zeros[number] > 0).collect();
        assert_eq!(at, [16, 34, 70]);
        assert_eq!((zeros[16], zeros[34], zeros[70]), (17 * 4096, 35 * 4096, 71 * 4096));
    }

    #[test]
    fn slow_traffic_and_large_writes_earn_none() {
        let slow = zeros(&mut Ahead::default(), 0, 4096, 100, Duration::from_secs(1), LIMIT);
        let large = zeros(&mut Ahead::default(), 0, LARGE_BYTES, 100, Duration::ZERO, LIMIT);
        assert_eq!(slow.iter().chain(&large).sum::<u32>(), 0);
    }

    #[test]
    fn zeros_are_bounded_by_a_mebibyte_and_by_the_limit() {
        let from = 64 << 20;
        let many = zeros(&mut Ahead::default(), from, 8192, 20, Duration::ZERO, LIMIT);
        assert_eq!(many.iter().max(), Some(&MOST_BYTES));
        let near = zeros(&mut Ahead::default(), from, 8192, 20, Duration::ZERO, from + 18 * 8192);
        assert_eq!((near[16], near[17], near[18]), (8192, 0, 0));
    }

    #[test]
    fn a_disk_that_gains_nothing_by_zeros_gets_none() {
        let mut ahead = Ahead::default();
        zeros(&mut ahead, 0, 4096, 20, Duration::ZERO, 0);
        let bounds = Bounds { limit: LIMIT, most: 0 };
        assert_eq!(ahead.plan(81920, 81930, bounds, Monotonic::ZERO), 81920 + 4096);
    }

    #[test]
    fn after_a_failure_the_next_write_is_no_longer_than_it_must_be() {
        let mut ahead = Ahead::default();
        zeros(&mut ahead, 0, 4096, 16, Duration::ZERO, LIMIT);
        ahead.failed();
        assert_eq!(ahead.plan(65536, 65636, below(LIMIT), Monotonic::ZERO), 65536 + 4096);
    }
}
