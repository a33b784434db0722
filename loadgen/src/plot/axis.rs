//! Axes: from values to places along a line, and where the ticks are. Pure.

use std::time::Duration;

use crate::text::time;

/// A mark on an axis; without a label it is a thin line only.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    pub at: f64,
    pub label: Option<String>,
}

/// From the values `from..=to` to the places `0..=1`.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    pub title: String,
    from: f64,
    to: f64,
    logarithmic: bool,
    pub ticks: Vec<Tick>,
}

/// What a logarithmic axis shows when it has nothing to show: 1 ms to 10 ms.
const NO_LATENCY_S: (f64, f64) = (1e-3, 1e-2);

impl Axis {
    /// Where a value lies; values outside lie at the ends.
    pub fn place(&self, value: f64) -> f64 {
        let (from, to, value) = match self.logarithmic {
            true => (self.from.log10(), self.to.log10(), value.max(f64::MIN_POSITIVE).log10()),
            false => (self.from, self.to, value),
        };
        ((value - from) / (to - from)).clamp(0.0, 1.0)
    }

    /// From zero to at least `highest`, with round numbers.
    pub fn linear(title: &str, highest: f64, label: impl Fn(f64) -> String) -> Axis {
        let highest = if highest > 0.0 { highest } else { 1.0 };
        let step = round_step(highest / 5.0);
        let steps = (highest / step).ceil();
        let tick = |n: f64| Tick { at: n * step, label: Some(label(n * step)) };
        let ticks = (0..=steps as u32).map(|n| tick(f64::from(n))).collect();
        Axis { title: title.to_owned(), from: 0.0, to: steps * step, logarithmic: false, ticks }
    }

    /// Latencies in seconds, logarithmic, around all of `values`.
    pub fn latency(title: &str, values: impl Iterator<Item = f64>) -> Axis {
        let positive = values.filter(|value| *value > 0.0);
        let (low, high) =
            positive.fold((f64::MAX, 0.0), |(low, high), value| (value.min(low), value.max(high)));
        let (low, high) = if high > 0.0 { (low, high) } else { NO_LATENCY_S };
        let (from, to) = (step_below(low), step_above(high));
        let decades = (to / from).log10();
        let ticks = log_steps(from, to).map(|(at, lead)| {
            let named = lead == 1 || decades < 2.5;
            Tick { at, label: named.then(|| round_time(at)) }
        });
        let ticks = ticks.collect();
        Axis { title: title.to_owned(), from, to, logarithmic: true, ticks }
    }

    /// Parts of all values by the number of their nines: 0, 50, 90, 99 %, …
    pub fn nines(title: &str, nines: u32) -> Axis {
        let named = (1..=nines).map(|n| 1.0 - 0.1f64.powi(n as i32));
        let ticks = [0.0, 0.5]
            .into_iter()
            .chain(named)
            .map(|quantile| Tick { at: nines_of(quantile), label: Some(percentile(quantile)) });
        let ticks = ticks.collect();
        Axis { title: title.to_owned(), from: 0.0, to: f64::from(nines.max(1)), logarithmic: false, ticks }
    }

    /// Seconds from `from` to `to`.
    pub fn seconds(title: &str, from: f64, to: f64) -> Axis {
        let step = round_step((to - from).max(1.0) / 12.0);
        let (first, last) = ((from / step).ceil() as i64, (to / step).floor() as i64);
        let tick = |n: i64| Tick { at: n as f64 * step, label: Some(format!("{}", n as f64 * step)) };
        let ticks = (first..=last).map(tick).collect();
        Axis { title: title.to_owned(), from, to: to.max(from + 1e-3), logarithmic: false, ticks }
    }
}

/// How many nines a part of all values has: 0.99 has two.
pub fn nines_of(quantile: f64) -> f64 {
    -(1.0 - quantile).log10()
}

/// A part of all values as people write it.
pub fn percentile(quantile: f64) -> String {
    let digits = (nines_of(quantile).round() - 2.0).max(0.0) as usize;
    format!("{:.digits$} %", quantile * 100.0)
}

/// 1, 2 or 5 times a power of ten, not less than `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let lead = [1.0, 2.0, 5.0].into_iter().find(|lead| lead * power >= step * 0.999_999);
    lead.unwrap_or(10.0) * power
}

fn step_above(value: f64) -> f64 {
    round_step(value)
}

fn step_below(value: f64) -> f64 {
    let above = round_step(value);
    if above <= value * 1.000_001 {
        return above;
    }
    let power = 10f64.powf(above.log10().floor() - 1.0);
    let steps = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0].map(|lead| lead * power);
    steps.into_iter().rfind(|step| *step <= value * 1.000_001).unwrap_or(power)
}

/// 1, 2 and 5 times each power of ten inside, with that lead.
fn log_steps(from: f64, to: f64) -> impl Iterator<Item = (f64, u32)> {
    let decades = from.log10().floor() as i32..=to.log10().ceil() as i32;
    let all = decades.flat_map(|decade| [1, 2, 5].map(|lead| (f64::from(lead) * 10f64.powi(decade), lead)));
    all.filter(move |(at, _)| (from * 0.999..=to * 1.001).contains(at)).map(|(at, lead)| (at, lead as u32))
}

/// A round time without zeros behind the point.
fn round_time(seconds: f64) -> String {
    let text = time(Duration::from_secs_f64(seconds + 1e-10));
    let (number, unit) = text.split_once(' ').unwrap_or((&text, ""));
    let number =
        if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number };
    format!("{number} {unit}")
}

/// A count in thousands or millions.
pub fn count(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        v if v >= 1e6 => (value / 1e6, " M"),
        v if v >= 1e3 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let text = format!("{scaled:.2}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().filter_map(|tick| tick.label.as_deref()).collect()
    }

    #[test]
    fn a_linear_axis_ends_at_a_round_number() {
        let axis = Axis::linear("", 43_000.0, count);
        assert_eq!(labels(&axis), ["0", "10 k", "20 k", "30 k", "40 k", "50 k"]);
        assert_eq!((axis.place(0.0), axis.place(25_000.0), axis.place(1e9)), (0.0, 0.5, 1.0));
        assert_eq!(labels(&Axis::linear("", 0.0, count)).first(), Some(&"0"));
    }

    #[test]
    fn a_latency_axis_is_logarithmic_and_holds_all_values() {
        let axis = Axis::latency("", [0.0011, 0.0008, 0.045].into_iter());
        assert_eq!(labels(&axis), ["500 µs", "1 ms", "2 ms", "5 ms", "10 ms", "20 ms", "50 ms"]);
        assert!((axis.place(0.005) - 0.5).abs() < 1e-9);
        let wide = Axis::latency("", [0.000_001, 100.0].into_iter());
        assert_eq!(
            labels(&wide),
            ["1 µs", "10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s", "10 s", "100 s"]
        );
        assert!(wide.ticks.len() > labels(&wide).len(), "with thin lines between");
        assert_eq!(labels(&Axis::latency("", std::iter::empty())), ["1 ms", "2 ms", "5 ms", "10 ms"]);
    }

    #[test]
    fn each_nine_is_as_wide_as_the_one_before() {
        let axis = Axis::nines("", 4);
        assert_eq!(labels(&axis), ["0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
        assert!((axis.place(nines_of(0.99)) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn seconds_are_round_and_may_begin_before_zero() {
        assert_eq!(labels(&Axis::seconds("", -5.0, 30.0)), ["-5", "0", "5", "10", "15", "20", "25", "30"]);
    }

    #[test]
    fn every_value_lies_between_the_steps_around_it() {
        for n in 1..2000 {
            let value = f64::from(n) * 3.7e-6;
            let (below, above) = (step_below(value), step_above(value));
            assert!(below <= value * 1.001 && value <= above * 1.001, "{below} {value} {above}");
            assert!(above / below < 2.6, "{below} {above}");
        }
    }
}
