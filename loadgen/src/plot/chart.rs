//! One chart: axes, lines, a legend. Pure.

use super::axis::Axis;
use super::svg::{Anchor, COLOURS, STYLE, Svg};

pub const WIDTH: f64 = 900.0;
const LEFT: f64 = 68.0;
const RIGHT: f64 = 34.0;
const TITLE: f64 = 26.0;
const LEGEND_ROW: f64 = 18.0;
const BOTTOM: f64 = 44.0;
/// Of a letter, on average.
const LETTER: f64 = 7.2;
const DOT: f64 = 2.6;
/// In a lower chart a label would lie on the lines.
const MIN_LABELLED: f64 = 120.0;

/// A value of a line; not a number where there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    pub x: f64,
    pub y: f64,
    /// What its dot says; it has none when it says nothing.
    pub tip: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Series {
    pub name: String,
    pub colour: usize,
    pub dashed: bool,
    pub points: Vec<Point>,
}

/// A part of the x axis that is set off.
#[derive(Clone, Debug)]
pub struct Shade {
    pub from: f64,
    pub to: f64,
    pub label: String,
}

/// A level that lines are to be compared with.
#[derive(Clone, Debug)]
pub struct Level {
    pub y: f64,
    pub label: String,
}

#[derive(Clone, Debug)]
pub struct Chart {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
    pub shades: Vec<Shade>,
    pub levels: Vec<Level>,
    /// Of the part inside the axes.
    pub height: f64,
}

impl Chart {
    /// As an element of a page. It brings its style sheet, so that it can be taken out of the page.
    pub fn to_element(&self) -> String {
        let height = self.total_height();
        let title = super::svg::escape(&self.title);
        let body = self.body();
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" \
             aria-label=\"{title}\">\n<style>{STYLE}</style>\n{body}</svg>\n"
        )
    }

    fn body(&self) -> String {
        let mut svg = Svg::default();
        svg.rect("paper", (0.0, 0.0), (WIDTH, self.total_height()));
        svg.text("ink title", (LEFT, 18.0), Anchor::Start, &self.title);
        self.write_legend(&mut svg);
        self.write_shades(&mut svg);
        self.write_x(&mut svg);
        self.write_y(&mut svg);
        self.write_series(&mut svg);
        self.write_levels(&mut svg);
        svg.into_text()
    }

    /// Lines without a name belong to others.
    fn named(&self) -> impl Iterator<Item = &Series> {
        self.series.iter().filter(|series| !series.name.is_empty())
    }

    /// The places of the legend's entries, in rows.
    fn legend(&self) -> Vec<(f64, f64)> {
        let (mut x, mut y) = (LEFT, TITLE + 10.0);
        let mut places = Vec::new();
        for series in self.named() {
            let width = 34.0 + LETTER * series.name.chars().count() as f64;
            if x > LEFT && x + width > WIDTH - RIGHT {
                (x, y) = (LEFT, y + LEGEND_ROW);
            }
            places.push((x, y));
            x += width;
        }
        places
    }

    fn top(&self) -> f64 {
        self.legend().last().map_or(TITLE, |(_, y)| y + 4.0) + 10.0
    }

    fn bottom(&self) -> f64 {
        self.top() + self.height
    }

    pub fn total_height(&self) -> f64 {
        self.bottom() + BOTTOM
    }

    fn x_of(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y_of(&self, value: f64) -> f64 {
        self.bottom() - self.y.place(value) * self.height
    }

    fn place(&self, point: &Point) -> Option<(f64, f64)> {
        (point.x.is_finite() && point.y.is_finite()).then(|| (self.x_of(point.x), self.y_of(point.y)))
    }

    fn write_legend(&self, svg: &mut Svg) {
        for (series, (x, y)) in self.named().zip(self.legend()) {
            svg.path(&line_class(series), [Some((x, y - 4.0)), Some((x + 20.0, y - 4.0))].into_iter());
            svg.text("ink", (x + 25.0, y), Anchor::Start, &series.name);
        }
    }

    fn write_shades(&self, svg: &mut Svg) {
        for shade in &self.shades {
            let (from, to) = (self.x_of(shade.from), self.x_of(shade.to));
            svg.rect("shade", (from, self.top()), (to - from, self.height));
            if self.height > MIN_LABELLED && to - from > LETTER * shade.label.chars().count() as f64 {
                svg.text("soft", ((from + to) / 2.0, self.top() + 14.0), Anchor::Middle, &shade.label);
            }
        }
    }

    fn write_x(&self, svg: &mut Svg) {
        for tick in &self.x.ticks {
            let x = self.x_of(tick.at);
            svg.line("grid", (x, self.top()), (x, self.bottom()));
            if let Some(label) = &tick.label {
                svg.text("soft", (x, self.bottom() + 16.0), Anchor::Middle, label);
            }
        }
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        svg.text("soft", (middle, self.bottom() + 34.0), Anchor::Middle, &self.x.title);
    }

    fn write_y(&self, svg: &mut Svg) {
        for tick in &self.y.ticks {
            let y = self.y_of(tick.at);
            let class = if tick.label.is_some() { "grid" } else { "thin" };
            svg.line(class, (LEFT, y), (WIDTH - RIGHT, y));
            if let Some(label) = &tick.label {
                svg.text("soft", (LEFT - 7.0, y + 4.0), Anchor::End, label);
            }
        }
        svg.line("frame", (LEFT, self.bottom()), (WIDTH - RIGHT, self.bottom()));
        svg.line("frame", (LEFT, self.top()), (LEFT, self.bottom()));
    }

    fn write_series(&self, svg: &mut Svg) {
        // The first line is what a chart is about: it is drawn over the others.
        for series in self.series.iter().rev() {
            svg.path(&line_class(series), series.points.iter().map(|point| self.place(point)));
        }
        for series in self.series.iter().rev() {
            let class = format!("d{}", series.colour % COLOURS);
            for point in &series.points {
                if let (Some(place), Some(tip)) = (self.place(point), &point.tip) {
                    svg.dot(&class, place, DOT, tip);
                }
            }
        }
    }

    fn write_levels(&self, svg: &mut Svg) {
        for level in &self.levels {
            let y = self.y_of(level.y);
            svg.line("level", (LEFT, y), (WIDTH - RIGHT, y));
            svg.text("ink", (WIDTH - RIGHT - 4.0, y - 5.0), Anchor::End, &level.label);
        }
    }
}

fn line_class(series: &Series) -> String {
    format!("line s{}{}", series.colour % COLOURS, if series.dashed { " dashed" } else { "" })
}

/// Charts one below another, as a file of its own.
pub fn to_file(charts: &[Chart]) -> String {
    let height: f64 = charts.iter().map(Chart::total_height).sum();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" \
         height=\"{height:.0}\">\n<style>{STYLE}</style>\n"
    );
    let mut y = 0.0;
    for chart in charts {
        out.push_str(&format!("<g transform=\"translate(0 {y:.1})\">\n{}</g>\n", chart.body()));
        y += chart.total_height();
    }
    out.push_str("</svg>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::axis::count;

    fn series(name: &str, points: &[(f64, f64)]) -> Series {
        let points = points.iter().map(|&(x, y)| Point { x, y, tip: Some(format!("{y}")) }).collect();
        Series { name: name.to_owned(), colour: 0, dashed: false, points }
    }

    fn chart(series: Vec<Series>) -> Chart {
        Chart {
            title: "a < b".to_owned(),
            x: Axis::seconds("s", 0.0, 10.0),
            y: Axis::linear("records", 100.0, count),
            series,
            shades: Vec::new(),
            levels: Vec::new(),
            height: 200.0,
        }
    }

    #[test]
    fn values_lie_where_the_axes_say() {
        let chart = chart(vec![series("one", &[(0.0, 0.0), (10.0, 100.0)])]);
        let (from, to) = ((LEFT, chart.bottom()), (WIDTH - RIGHT, chart.top()));
        let text = chart.to_element();
        let path = format!("M{:.1} {:.1}L{:.1} {:.1}", from.0, from.1, to.0, to.1);
        assert!(text.contains(&path), "{path} in {text}");
        assert!(text.contains("a &lt; b"));
    }

    #[test]
    fn a_long_legend_wraps_and_makes_room() {
        let name = "a run with quite a long name of its own";
        let few = chart(vec![series(name, &[])]);
        let many = chart(vec![series(name, &[]); 6]);
        assert!(many.legend().iter().all(|(x, _)| *x < WIDTH / 1.2));
        assert!(many.total_height() > few.total_height());
    }

    #[test]
    fn what_is_not_a_number_is_not_drawn() {
        let text = chart(vec![series("one", &[(0.0, f64::NAN), (1.0, 5.0)])]).to_element();
        assert!(!text.contains("NaN"), "{text}");
        assert_eq!(text.matches("<circle").count(), 1);
    }
}
