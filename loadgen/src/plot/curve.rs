//! Latency against rate: what a sweep saw. Pure.

use std::time::Duration;

use super::axis::{Axis, count};
use super::chart::{Chart, Level, Point, Series, Shade};
use crate::latencies::Summary;
use crate::sweep::result::{Step, Sweep};
use crate::text::time;

type Figure = fn(&Summary) -> Duration;

const FIGURES: [(&str, Figure); 3] = [("p50", |s| s.p50), ("p99", |s| s.p99), ("p99.9", |s| s.p999)];

/// A line through the median of each rate's runs, and a dot for each run.
pub fn chart(sweep: &Sweep) -> Option<Chart> {
    let highest = sweep.steps.iter().map(|step| step.rate).max()? as f64;
    let figures = FIGURES.into_iter().enumerate();
    let series: Vec<Series> =
        figures.flat_map(|(at, (name, figure))| lines(sweep, name, at, figure)).collect();
    let limits = sweep.target.0.iter();
    let levels: Vec<Level> = limits
        .map(|limit| Level {
            y: limit.at_most.as_secs_f64(),
            label: format!("target: {} within {}", limit.name, time(limit.at_most)),
        })
        .collect();
    let values = series.iter().flat_map(|line| &line.points).map(|point| point.y);
    let y = Axis::latency("", values.chain(levels.iter().map(|level| level.y)));
    let x = Axis::linear("records per second that were due", highest, count);
    let found = sweep.found().map(|rate| rate as f64);
    let shade = found.filter(|rate| *rate < highest).map(|from| Shade {
        from,
        to: f64::MAX,
        label: "does not hold".to_owned(),
    });
    let title = format!("Latency against rate: {}", sweep.what);
    Some(Chart { title, x, y, series, shades: shade.into_iter().collect(), levels, height: 340.0 })
}

fn lines(sweep: &Sweep, name: &str, colour: usize, figure: Figure) -> [Series; 2] {
    let mut rates: Vec<u64> = sweep.steps.iter().map(|step| step.rate).collect();
    rates.sort_unstable();
    rates.dedup();
    let medians =
        rates.iter().map(|rate| Point { x: *rate as f64, y: median(sweep, *rate, figure), tip: None });
    let runs = sweep.steps.iter().flat_map(|step| [run(step, name, figure), gap()]);
    let series =
        |name: &str, points: Vec<Point>| Series { name: name.to_owned(), colour, dashed: false, points };
    [series(name, medians.collect()), series("", runs.collect())]
}

fn median(sweep: &Sweep, rate: u64, figure: Figure) -> f64 {
    let runs = sweep.steps.iter().filter(|step| step.rate == rate);
    let mut values: Vec<Duration> = runs.map(|step| figure(&step.latency)).collect();
    values.sort_unstable();
    seconds(values[(values.len() - 1) / 2])
}

fn run(step: &Step, name: &str, figure: Figure) -> Point {
    let value = figure(&step.latency);
    let tip = format!("{} records/s, {name} {}: {}", step.rate, time(value), step.verdict_name());
    Point { x: step.rate as f64, y: seconds(value), tip: Some(tip) }
}

/// Dots are not joined.
fn gap() -> Point {
    Point { x: f64::NAN, y: f64::NAN, tip: None }
}

/// Nothing was measured where the latency is zero.
fn seconds(value: Duration) -> f64 {
    if value.is_zero() { f64::NAN } else { value.as_secs_f64() }
}
