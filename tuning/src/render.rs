//! The report for a terminal: groups with the worst first, one line for what is well, a few for what is not.
//! Pure.

use crate::check::{Report, sysctl};
use crate::finding::{Finding, Remedy, Setting, Verdict};

const WIDTH: usize = 100;
/// Two spaces, the word, two spaces, the name of the point.
const WORDS: usize = 9;
const NAMES: usize = 15;
/// Where the lines below a bad point begin, and how wide their first words are.
const INDENT: usize = 2 + WORDS + 2;
const LABELS: usize = 8;

/// The whole report.
pub fn render(report: &Report) -> String {
    let mut out = format!("{}\n{}\n", report.summary, totals(report));
    let mut groups: Vec<Vec<&Finding>> = Vec::new();
    for finding in &report.findings {
        match groups.last_mut().filter(|group| group[0].group == finding.group) {
            Some(group) => group.push(finding),
            None => groups.push(vec![finding]),
        }
    }
    groups.iter_mut().for_each(|group| group.sort_by_key(|finding| finding.verdict));
    groups.sort_by_key(|group| group[0].verdict);
    for group in groups {
        out.push_str(&format!("\n{}\n", group[0].group));
        group.iter().for_each(|finding| out.push_str(&one(finding)));
    }
    out
}

fn totals(report: &Report) -> String {
    let counts = Verdict::ALL.map(|verdict| (report.count(verdict), verdict.word()));
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    counts.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}

fn one(finding: &Finding) -> String {
    let head = format!("  {:WORDS$}  {:NAMES$}  ", finding.verdict.word(), finding.point);
    let mut out = wrapped(&head, &finding.found);
    if finding.verdict.is_bad() {
        let lines = [("wanted", finding.wanted.as_str()), ("why", finding.why), ("costs", finding.cost)];
        let lines = lines.iter().filter(|(_, text)| !text.is_empty());
        lines.for_each(|(label, text)| out.push_str(&labelled(label, text)));
        out.push_str(&remedy(&finding.remedy));
    }
    out
}

fn labelled(label: &str, text: &str) -> String {
    wrapped(&format!("{:INDENT$}{label:LABELS$}", ""), text)
}

fn remedy(remedy: &Remedy) -> String {
    match remedy {
        Remedy::None => String::new(),
        Remedy::Settings(settings) => labelled("do", &format!("kring tune apply ({})", short(settings))),
        Remedy::By(who, what) => labelled("do", &format!("{what} ({})", who.word())),
    }
}

/// The first of several that are alike.
fn short(settings: &[Setting]) -> String {
    let Some(first) = settings.first() else { return String::new() };
    let name = if first.path.starts_with("/proc/sys/") { sysctl(first) } else { first.path.clone() };
    match settings.len() {
        1 => format!("{name} = {}", first.wanted),
        more => format!("{name} = {}, and {} more", first.wanted, more - 1),
    }
}

/// Text behind `head`, its further lines below its first; no line is wider than a terminal unless a word is.
pub(crate) fn wrapped(head: &str, text: &str) -> String {
    let indent = head.chars().count();
    let (mut out, mut column) = (head.to_string(), indent);
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let width = word.chars().count();
        if column > indent && column + 1 + width > WIDTH {
            out.push_str(&format!("\n{:indent$}", ""));
            column = indent;
        } else if column > indent {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}
