//! What happened over time: rate, latency, and how busy the load generator was. Pure.

use std::time::Duration;

use super::axis::{Axis, count};
use super::chart::{Chart, Level, Point, Series, Shade};
use crate::latencies::{Latencies, Summary};
use crate::report::Report;
use crate::text::time;
use crate::timeline::Slot;

/// Dots that can be pointed at stay apart; with more slots than this they would not.
const MOST_DOTS: usize = 150;

type Count = fn(&Slot) -> u64;
type Figure = fn(&Summary) -> Duration;

/// Rate, latency and own CPU of these runs, in seconds since each began to measure.
pub fn charts(runs: &[Report]) -> Vec<Chart> {
    if runs.iter().all(|run| run.slots.is_empty()) {
        return Vec::new();
    }
    // Not every workload sends records, or measures latencies.
    [rate(runs), latency(runs), busy(runs)].into_iter().filter(has_lines).collect()
}

fn has_lines(chart: &Chart) -> bool {
    chart.series.iter().flat_map(|line| &line.points).any(|point| point.y.is_finite())
}

/// The value of each slot, at its middle.
fn series(
    run: &Report,
    name: &str,
    colour: usize,
    value: impl Fn(&Slot) -> f64,
    label: fn(f64) -> String,
) -> Series {
    let with_dots = run.slots.len() <= MOST_DOTS;
    let slot = run.slot.as_secs_f64();
    let point = |(at, each): (usize, &Slot)| {
        let (x, y) = ((at as f64 + 0.5) * slot - run.warm_up.as_secs_f64(), value(each));
        let (from, to) = (x - slot / 2.0, x + slot / 2.0);
        let tip = with_dots.then(|| format!("{name}: {} from second {from} to {to}", label(y)));
        Point { x, y, tip }
    };
    // The last slot is cut short: its rate would look like a fall.
    let whole = run.slots.len().saturating_sub(1).max(run.measured_slots().end);
    let points = run.slots[..whole].iter().enumerate().map(point).collect();
    Series { name: name.to_owned(), colour, dashed: false, points }
}

fn chart(runs: &[Report], title: &str, y: Axis, series: Vec<Series>, height: f64) -> Chart {
    let xs = || series.iter().flat_map(|line| &line.points).map(|point| point.x);
    let warm_up = runs.iter().map(|run| run.warm_up.as_secs_f64()).fold(0.0, f64::max);
    let measured = runs.iter().map(|run| run.measured.as_secs_f64()).fold(0.0, f64::max);
    let end = xs().fold(measured, f64::max);
    let shade = |from: f64, to: f64, label: &str| Shade { from, to, label: label.to_owned() };
    let shades = [shade(-warm_up, 0.0, "warm-up"), shade(measured, end, "draining")];
    Chart {
        title: title.to_owned(),
        x: Axis::seconds("seconds since measuring began", -warm_up, end),
        y,
        shades: shades.into_iter().filter(|shade| shade.to > shade.from).collect(),
        series,
        levels: Vec::new(),
        height,
    }
}

fn rate(runs: &[Report]) -> Chart {
    let mut lines = Vec::new();
    let directions: [(&str, Count); 2] =
        [("produced", |slot| slot.produced.records), ("consumed", |slot| slot.consumed.records)];
    for (at, run) in runs.iter().enumerate() {
        for (direction, (name, records)) in directions.into_iter().enumerate() {
            if run.slots.iter().any(|slot| records(slot) > 0) {
                let name = named(runs, run, name);
                let colour = if runs.len() == 1 { direction } else { at };
                let per_second = |slot: &Slot| records(slot) as f64 / run.slot.as_secs_f64();
                let line = series(run, &name, colour, per_second, count);
                lines.push(Series { dashed: direction == 1, ..line });
            }
        }
    }
    let y = Axis::linear("records/s", highest(&lines), count);
    chart(runs, "Records per second", y, lines, 180.0)
}

fn named(runs: &[Report], run: &Report, name: &str) -> String {
    if runs.len() == 1 { name.to_owned() } else { format!("{}, {name}", run.label) }
}

fn highest(lines: &[Series]) -> f64 {
    lines.iter().flat_map(|line| &line.points).map(|point| point.y).fold(0.0, f64::max)
}

fn latency(runs: &[Report]) -> Chart {
    let lines: Vec<Series> = match runs {
        [run] => {
            let figures: [(&str, Figure); 4] =
                [("p50", |s| s.p50), ("p99", |s| s.p99), ("p99.9", |s| s.p999), ("max", |s| s.max)];
            let figures = figures.into_iter().enumerate();
            figures.map(|(at, (name, figure))| latency_line(run, name, at, figure)).collect()
        }
        runs => {
            let runs = runs.iter().enumerate();
            runs.map(|(at, run)| latency_line(run, &format!("{}, p99", run.label), at, |s| s.p99)).collect()
        }
    };
    let y = Axis::latency("", lines.iter().flat_map(|line| &line.points).map(|point| point.y));
    let what = runs.iter().find_map(|run| run.stats.latencies.main());
    let what = what.map_or(String::new(), |(measure, _)| format!(": {}", measure.title()));
    chart(runs, &format!("Latency over time{what}"), y, lines, 220.0)
}

fn latency_line(run: &Report, name: &str, colour: usize, figure: Figure) -> Series {
    let main = run.stats.latencies.main().map(|(measure, _)| measure);
    let value = |slot: &Slot| {
        let packed =
            main.as_ref().and_then(|main| slot.latencies.iter().find(|(measure, _)| measure == main));
        packed.map_or(f64::NAN, |(_, bytes)| figure(&Latencies::unpack(bytes).summary()).as_secs_f64())
    };
    series(run, name, colour, value, |seconds| time(Duration::try_from_secs_f64(seconds).unwrap_or_default()))
}

fn busy(runs: &[Report]) -> Chart {
    let percent = |value: f64| format!("{value:.0} %");
    let runs_with = runs.iter().enumerate();
    let lines = runs_with.map(|(at, run)| {
        let name = named(runs, run, "busiest thread");
        series(run, &name, at, |slot| 100.0 * slot.busy, |value| format!("{value:.0} %"))
    });
    let lines: Vec<Series> = lines.collect();
    let y = Axis::linear("", highest(&lines).max(100.0), percent);
    let level = Level { y: 85.0, label: "above this it may be the bottleneck".to_owned() };
    let chart = chart(runs, "The load generator's own CPU, of one core", y, lines, 100.0);
    Chart { levels: vec![level], ..chart }
}
