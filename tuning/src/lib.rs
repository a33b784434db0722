//! Looks at the host and says, point by point, what was found, what is wanted, and why.
//! Never changes anything and is never needed to run the broker. Pure: the caller reads the files.

mod points;

/// The text of a host file such as `/proc/self/limits`, or `None` when it is not there.
pub type ReadFile<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What a check thinks of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Good,
    /// It runs, but slower or with less room than it could.
    CouldBeBetter,
    /// The broker does not start like this.
    Stops,
    /// The host does not tell.
    Unknown,
}

/// One point of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub point: &'static str,
    pub found: String,
    pub wanted: &'static str,
    pub why: &'static str,
    pub verdict: Verdict,
}

/// Checks every point; `read` gives the text of a file of `/proc` or `/sys`.
pub fn check(read: ReadFile<'_>) -> Vec<Finding> {
    points::ALL.iter().map(|point| point(read)).collect()
}

/// The report as lines for a terminal.
pub fn render(findings: &[Finding]) -> String {
    findings.iter().map(render_one).collect()
}

fn render_one(finding: &Finding) -> String {
    let mark = match finding.verdict {
        Verdict::Good => "ok    ",
        Verdict::CouldBeBetter => "tune  ",
        Verdict::Stops => "stops ",
        Verdict::Unknown => "?     ",
    };
    let line = format!("{mark} {}: {}", finding.point, finding.found);
    match finding.verdict {
        Verdict::Good => format!("{line}\n"),
        _ => format!("{line}\n         wanted: {}; {}\n", finding.wanted, finding.why),
    }
}
