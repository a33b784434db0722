//! The live line: one slot of all shards, on standard error, drawn over the one before. Nothing of it anywhere but on
//! a terminal.

use std::io::Write as _;
use std::time::Duration;

use kring_runtime::{now, process};

use crate::latencies::Summary;
use crate::shared::Window;
use crate::timeline::{Slot, slot_length};

/// Shows a slot that has just ended.
pub fn show(slot: &Slot, window: Window) {
    let (at, length) = (now(), slot_length(window.end - window.start));
    let phase = if at < window.measured {
        Phase::WarmUp(window.measured - at)
    } else {
        Phase::Measured(window.end.saturating_since(at))
    };
    let text = fitting(&text(slot, length, phase), process::terminal_columns().unwrap_or(80));
    draw(&format!("\r\x1b[K{text}"));
}

/// The operator has ended the run before its time, or did not shorten it any more.
pub fn tell_interrupted(shortened: bool) {
    let what = if shortened { "interrupted" } else { "over already" };
    if process::terminal_columns().is_some() {
        clear();
    }
    draw(&format!("kring-loadgen: {what}: waiting for what is in flight; once more ends it at once\n"));
}

/// Takes the line away: what comes next begins at the left.
pub fn clear() {
    draw("\r\x1b[K");
}

fn draw(text: &str) {
    let mut err = std::io::stderr().lock();
    // Nobody needs the line enough to end the run for it.
    let _nobody_looks = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

/// What the run does, and how long it still does it.
#[derive(Clone, Copy)]
enum Phase {
    WarmUp(Duration),
    Measured(Duration),
}

fn text(slot: &Slot, length: Duration, phase: Phase) -> String {
    let measures = slot.measures();
    let Summary { p50, p99, p999, max, .. } =
        measures.main().map(|(_, main)| main.summary()).unwrap_or_default();
    let left = match phase {
        Phase::WarmUp(left) => format!("warm-up, {} s", left.as_secs()),
        Phase::Measured(left) => format!("{} s left", left.as_secs()),
    };
    format!(
        "{left} | {} | p50 {} p99 {} p99.9 {} max {} | {} in flight, {} errors",
        rate(slot, length),
        short(p50),
        short(p99),
        short(p999),
        short(max),
        slot.in_flight,
        slot.errors,
    )
}

/// A time in three digits: room in the line is scarce.
fn short(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let (number, unit) = match seconds {
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s => (s * 1e6, "µs"),
    };
    let digits = if unit == "µs" || number >= 100.0 {
        0
    } else if number >= 10.0 {
        1
    } else {
        2
    };
    format!("{number:.digits$}{unit}")
}

fn rate(slot: &Slot, length: Duration) -> String {
    let seconds = length.as_secs_f64();
    let per_second = |records: u64| (records as f64 / seconds).round();
    let megabytes = (slot.produced.batch_bytes + slot.consumed.batch_bytes) as f64 / seconds / 1e6;
    let records = match (slot.produced.records, slot.consumed.records) {
        (produced, 0) => format!("{}", per_second(produced)),
        (0, consumed) => format!("{}", per_second(consumed)),
        (produced, consumed) => format!("{} in, {} out", per_second(produced), per_second(consumed)),
    };
    format!("{records} rec/s, {megabytes:.1} MB/s")
}

/// A line that wraps cannot be drawn over.
fn fitting(text: &str, columns: usize) -> String {
    text.chars().take(columns.saturating_sub(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Measure, Measures};
    use crate::stats::Amount;
    use crate::timeline::pack;

    fn slot() -> Slot {
        let mut measures = Measures::default();
        measures.record(&Measure::Acknowledged, Duration::from_millis(2), 100);
        measures.record(&Measure::OwnDelay, Duration::from_secs(9), 100);
        let produced = Amount { records: 2000, batch_bytes: 2_000_000, requests: 20, ..Amount::default() };
        Slot { produced, errors: 3, in_flight: 4, latencies: pack(&measures), ..Slot::default() }
    }

    #[test]
    fn the_line_says_rate_percentiles_in_flight_errors_and_what_is_left() {
        let text = text(&slot(), Duration::from_secs(2), Phase::Measured(Duration::from_secs(7)));
        let expected = "7 s left | 1000 rec/s, 1.0 MB/s | p50 2.00ms p99 2.00ms p99.9 2.00ms max 2.00ms | 4 in \
                        flight, 3 errors";
        assert_eq!(text, expected);
        let times = [999_600, 12_340_000, 123_400_000, 1_234_000_000].map(Duration::from_nanos).map(short);
        assert_eq!(times, ["1000µs", "12.3ms", "123ms", "1.23s"]);
    }

    #[test]
    fn the_line_fits_the_terminal() {
        assert_eq!(fitting("p50 7 µs and more", 9), "p50 7 µs");
        assert_eq!(fitting("short", 80), "short");
    }
}
