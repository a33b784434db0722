//! SVG text: elements, escaping, and the style sheet that all charts share. Pure.
//!
//! Colours are classes, so that a chart follows the reader's light or dark setting in a page and in a file alone.

use std::fmt::Write as _;

/// The same for charts in a page and in a file of their own.
pub const STYLE: &str = "\
.paper{fill:#ffffff}.ink{fill:#1c2330}.soft{fill:#5b6473}.grid{stroke:#e3e6ea;stroke-width:1}\
.thin{stroke:#f0f2f4;stroke-width:1}.frame{stroke:#9aa3af;stroke-width:1;fill:none}.shade{fill:#5b6473;opacity:.09}\
.level{stroke:#1c2330;stroke-width:1.2;stroke-dasharray:5 4;fill:none}\
.line{fill:none;stroke-width:1.9;stroke-linejoin:round;stroke-linecap:round}.dashed{stroke-dasharray:6 4}\
.s0{stroke:#0b62c4}.s1{stroke:#d1580b}.s2{stroke:#1a8a4a}.s3{stroke:#a12d8f}.s4{stroke:#8a6d00}.s5{stroke:#c0202f}\
.d0{fill:#0b62c4}.d1{fill:#d1580b}.d2{fill:#1a8a4a}.d3{fill:#a12d8f}.d4{fill:#8a6d00}.d5{fill:#c0202f}\
text{font-family:system-ui,'DejaVu Sans',sans-serif;font-size:12px}.title{font-size:14px;font-weight:600}\
@media (prefers-color-scheme:dark){\
.paper{fill:#14181f}.ink{fill:#e8ebf0}.soft{fill:#a3acba}.grid{stroke:#2a313c}.thin{stroke:#1e242d}\
.frame{stroke:#5b6473}.shade{fill:#a3acba;opacity:.10}.level{stroke:#e8ebf0}\
.s0{stroke:#5aa9ff}.s1{stroke:#ff9a4d}.s2{stroke:#4fcf87}.s3{stroke:#e07fd2}.s4{stroke:#d9bb3f}.s5{stroke:#ff6b78}\
.d0{fill:#5aa9ff}.d1{fill:#ff9a4d}.d2{fill:#4fcf87}.d3{fill:#e07fd2}.d4{fill:#d9bb3f}.d5{fill:#ff6b78}}";

/// How many colours lines can have.
pub const COLOURS: usize = 6;

/// Text in which nothing is markup.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // XML has no form for these.
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Elements one after another.
#[derive(Debug, Default)]
pub struct Svg(String);

/// Where a text stands to its place.
#[derive(Clone, Copy, Debug)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    pub fn into_text(self) -> String {
        self.0
    }

    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{element}").expect("a String takes everything");
    }

    pub fn rect(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) {
        self.push(format_args!(
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}"/>"#
        ));
    }

    pub fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.push(format_args!(
            r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
        ));
    }

    pub fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escape(text);
        self.push(format_args!(
            r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#
        ));
    }

    /// Lines through places; `None` is a gap.
    pub fn path(&mut self, class: &str, places: impl Iterator<Item = Option<(f64, f64)>>) {
        let (mut path, mut is_gap) = (String::new(), true);
        for place in places {
            if let Some((x, y)) = place {
                let command = if is_gap { 'M' } else { 'L' };
                write!(path, "{command}{x:.1} {y:.1}").expect("a String takes everything");
            }
            is_gap = place.is_none();
        }
        if !path.is_empty() {
            self.push(format_args!(r#"<path class="{class}" d="{path}"/>"#));
        }
    }

    /// A dot that says something when it is pointed at.
    pub fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64, tip: &str) {
        let tip = escape(tip);
        self.push(format_args!(
            r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{radius}"><title>{tip}</title></circle>"#
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        assert_eq!(escape("<script>'\"&\u{1}"), "&lt;script&gt;&#39;&quot;&amp; ");
    }

    #[test]
    fn a_path_has_gaps_where_there_is_nothing() {
        let mut svg = Svg::default();
        svg.path("line", [Some((1.0, 2.0)), Some((3.0, 4.0)), None, Some((5.0, 6.0))].into_iter());
        assert_eq!(svg.into_text().trim(), r#"<path class="line" d="M1.0 2.0L3.0 4.0M5.0 6.0"/>"#);
    }
}
