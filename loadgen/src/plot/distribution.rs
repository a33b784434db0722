//! Latency by percentile, each nine as wide as the one before. Pure.

use super::axis::{Axis, nines_of, percentile};
use super::chart::{Chart, Point, Series};
use crate::latencies::Latencies;
use crate::measure::Measure;
use crate::report::Report;
use crate::text::time;

const POINTS_PER_NINE: u32 = 40;
/// More nines than this need more values than a day of work gives.
const MOST_NINES: u32 = 9;

/// A chart for each kind of latency that is about the broker; one line for each run.
/// One run alone has all its kinds in one chart.
pub fn charts(runs: &[Report]) -> Vec<Chart> {
    match runs {
        [] => Vec::new(),
        [run] => {
            let kinds = run.stats.latencies.iter().enumerate();
            let lines = kinds.map(|(at, (measure, latencies))| {
                let line = line(measure.title(), at, latencies);
                Series { dashed: measure.is_own(), ..line }
            });
            chart("Latency by percentile", lines.collect()).into_iter().collect()
        }
        runs => kinds(runs).iter().filter_map(|measure| compared(runs, measure)).collect(),
    }
}

fn kinds(runs: &[Report]) -> Vec<Measure> {
    let mut kinds: Vec<Measure> = Vec::new();
    for (measure, _) in runs.iter().flat_map(|run| run.stats.latencies.iter()) {
        if !measure.is_own() && !kinds.contains(&measure) {
            kinds.push(measure);
        }
    }
    kinds
}

fn compared(runs: &[Report], measure: &Measure) -> Option<Chart> {
    let lines = runs.iter().enumerate().map(|(at, run)| line(&run.label, at, run.stats.of(measure)));
    let lines = lines.filter(|line| !line.points.is_empty()).collect();
    chart(&format!("Latency by percentile: {}", measure.title()), lines)
}

fn chart(title: &str, series: Vec<Series>) -> Option<Chart> {
    let points = || series.iter().flat_map(|line| &line.points);
    let nines = points().map(|point| point.x.ceil() as u32).max()?.max(1);
    let y = Axis::latency("", points().map(|point| point.y));
    let x = Axis::nines("part of all, each nine as wide as the one before", nines);
    Some(Chart {
        title: title.to_owned(),
        x,
        y,
        series,
        shades: Vec::new(),
        levels: Vec::new(),
        height: 320.0,
    })
}

/// Ends where one value is left: there is the highest.
fn line(name: &str, colour: usize, latencies: &Latencies) -> Series {
    let count = latencies.count();
    let last = (count as f64).log10().min(f64::from(MOST_NINES));
    let steps = (last * f64::from(POINTS_PER_NINE)).floor() as u32;
    let mut points: Vec<Point> = (0..=steps).map(|step| point(name, latencies, step)).collect();
    let max = latencies.summary().max;
    let tip = format!("{name}: the highest of {count}: {}", time(max));
    points.push(Point { x: last, y: max.as_secs_f64(), tip: Some(tip) });
    if count == 0 {
        points.clear();
    }
    Series { name: name.to_owned(), colour, dashed: false, points }
}

/// Whole nines have a dot.
fn point(name: &str, latencies: &Latencies, step: u32) -> Point {
    let quantile = 1.0 - 10f64.powf(-f64::from(step) / f64::from(POINTS_PER_NINE));
    let value = latencies.quantile(quantile);
    let is_whole = step > 0 && step.is_multiple_of(POINTS_PER_NINE);
    let tip = is_whole.then(|| format!("{name}: {} within {}", percentile(quantile), time(value)));
    Point { x: nines_of(quantile), y: value.as_secs_f64(), tip }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_line_goes_through_the_percentiles_and_ends_at_the_highest() {
        let mut latencies = Latencies::default();
        (1..=1000u64).for_each(|n| latencies.record(Duration::from_millis(n), 1));
        let line = line("a", 0, &latencies);
        let at = |x: f64| line.points.iter().find(|point| (point.x - x).abs() < 1e-9).unwrap().y;
        assert!((at(1.0) - 0.9).abs() < 0.002, "{}", at(1.0));
        assert!((at(2.0) - 0.99).abs() < 0.002);
        let last = line.points.last().unwrap();
        assert!((last.x - 3.0).abs() < 1e-9 && (last.y - 1.0).abs() < 0.002);
        assert_eq!(line.points.iter().filter(|point| point.tip.is_some()).count(), 4);
    }

    #[test]
    fn without_values_there_is_no_line() {
        assert!(line("a", 0, &Latencies::default()).points.is_empty());
        assert!(charts(&[]).is_empty());
    }
}
