//! Latencies of one step and what is said of them. Pure.

use std::time::Duration;

/// More are not kept: a step ends there.
const MOST: usize = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Samples {
    micros: Vec<u32>,
    took: Duration,
}

/// One line of a table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// Bytes of one operation.
    pub size: u32,
    /// Operations under way at once.
    pub depth: u32,
    pub operations: u64,
    pub p50_micros: u32,
    pub p99_micros: u32,
    /// Operations a second, over all that were under way.
    pub per_second: f64,
}

impl Row {
    pub fn bytes_per_second(&self) -> f64 {
        self.per_second * f64::from(self.size)
    }
}

impl Samples {
    /// One operation after the other: the time is the sum.
    pub fn add(&mut self, latency: Duration) {
        self.micros.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
        self.took += latency;
    }

    pub fn is_empty(&self) -> bool {
        self.micros.is_empty()
    }

    /// Another run of the same.
    pub fn join(&mut self, other: Samples) {
        self.micros.extend(other.micros);
        self.took += other.took;
    }

    pub fn is_full(&self) -> bool {
        self.micros.len() >= MOST
    }

    /// Those of several that ran beside each other for this time.
    pub fn together(all: Vec<Samples>, took: Duration) -> Samples {
        Samples { micros: all.into_iter().flat_map(|samples| samples.micros).collect(), took }
    }

    pub fn row(mut self, size: u32, depth: u32) -> Row {
        self.micros.sort_unstable();
        let at = |share: usize| {
            self.micros.get((self.micros.len() * share / 100).min(self.micros.len().max(1) - 1))
        };
        Row {
            size,
            depth,
            operations: self.micros.len() as u64,
            p50_micros: at(50).copied().unwrap_or(0),
            p99_micros: at(99).copied().unwrap_or(0),
            per_second: self.micros.len() as f64 / self.took.as_secs_f64().max(1e-6),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_middle_the_hundredth_worst_and_the_rate() {
        let mut samples = Samples::default();
        (1..=200).rev().for_each(|micros| samples.add(Duration::from_micros(micros)));
        let row = Samples::together(vec![samples], Duration::from_secs(2)).row(4096, 1);
        assert_eq!((row.p50_micros, row.p99_micros, row.operations), (101, 199, 200));
        assert!((row.bytes_per_second() - 409_600.0).abs() < 1.0);
    }

    #[test]
    fn nothing_measured_is_no_rate() {
        let row = Samples::default().row(4096, 1);
        assert_eq!((row.p50_micros, row.operations, row.per_second), (0, 0, 0.0));
    }
}
