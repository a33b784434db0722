//! The tables of a page. Pure.

use crate::latencies::Summary;
use crate::plot::svg::escape;
use crate::report::{Report, Thread};
use crate::rows::Rows;
use crate::text::{AMOUNT_COLUMNS, amount_cells, time};

/// A table; the first of the rows is its head.
pub fn table(class: &str, rows: &[Vec<String>]) -> String {
    let mut out = format!("<div class=\"scroll\"><table class=\"{class}\">\n");
    for (at, row) in rows.iter().enumerate() {
        let tag = if at == 0 { "th" } else { "td" };
        let cells: String = row.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect();
        let class = if class == "words" && at > 0 && differs(&row[1..]) { " class=\"differs\"" } else { "" };
        out.push_str(&format!("<tr{class}>{cells}</tr>\n"));
    }
    out.push_str("</table></div>\n");
    out
}

fn differs(cells: &[String]) -> bool {
    cells.windows(2).any(|pair| pair[0] != pair[1])
}

fn head(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub fn warnings(runs: &[Report]) -> String {
    let each = |run: &Report| -> String {
        let label = if runs.len() > 1 { format!("<b>{}</b>: ", escape(&run.label)) } else { String::new() };
        let boxed = |warning: String| format!("<p class=\"warning\">{label}{}</p>\n", escape(&warning));
        run.warnings().into_iter().map(boxed).collect()
    };
    runs.iter().map(each).collect()
}

pub fn amounts(runs: &[Report]) -> String {
    let mut rows =
        vec![[&["run", ""][..], &AMOUNT_COLUMNS].concat().into_iter().map(str::to_owned).collect()];
    for run in runs {
        for (name, amount) in run.amounts() {
            let mut row = vec![run.label.clone(), name.to_owned()];
            row.extend(amount_cells(amount, run.measured));
            rows.push(row);
        }
    }
    table("", &rows)
}

pub fn latencies(runs: &[Report]) -> String {
    let mut rows = vec![head(&["latency", "run", "p50", "p90", "p99", "p99.9", "p99.99", "max", "count"])];
    let mut all: Vec<_> = runs
        .iter()
        .flat_map(|run| {
            run.latencies().into_iter().map(|(measure, summary)| (measure, run.label.clone(), summary))
        })
        .collect();
    all.sort_by(|(one, ..), (two, ..)| one.cmp(two));
    for (measure, label, summary) in all {
        let Summary { count, mean: _, p50, p90, p99, p999, p9999, max } = summary;
        let mut row = vec![measure.title().to_owned(), label];
        row.extend([p50, p90, p99, p999, p9999, max].map(time));
        row.push(count.to_string());
        rows.push(row);
    }
    table("", &rows)
}

type Figure = fn(&Report) -> String;

/// Errors, and what the load generator says of itself.
pub fn own(runs: &[Report]) -> String {
    let mut rows = vec![head(&["", "", ""])];
    rows[0] = std::iter::once(String::new()).chain(runs.iter().map(|run| run.label.clone())).collect();
    let figures: [(&str, Figure); 9] = [
        ("counted", |run| listed(run.stats.counts.iter())),
        ("records sent again", |run| listed(run.stats.retries.iter())),
        ("records with errors", |run| run.stats.error_count().to_string()),
        ("errors", |run| listed(run.stats.errors.iter())),
        ("due and never sent", |run| run.stats.unsent.to_string()),
        ("missed send times", |run| {
            let missed = run.missed();
            format!("{} of {} batches ({:.2} %)", missed.late, missed.batches, 100.0 * missed.share())
        }),
        ("own CPU of each thread's core", |run| run.threads.iter().map(share).collect::<Vec<_>>().join(", ")),
        ("CPU seconds of the process asked for", |run| {
            run.cpu.other.map_or("not asked".to_owned(), |time| format!("{:.2}", time.as_secs_f64()))
        }),
        ("verified", verdict),
    ];
    for (name, figure) in figures {
        rows.push(std::iter::once(name.to_owned()).chain(runs.iter().map(figure)).collect());
    }
    table("words", &rows)
}

fn share(thread: &Thread) -> String {
    format!("{:.0} % (at most {:.0} %)", 100.0 * thread.share(), 100.0 * thread.busiest)
}

fn listed<'a>(counts: impl Iterator<Item = (&'a String, &'a u64)>) -> String {
    let all: Vec<String> = counts.map(|(cause, records)| format!("{records} × {cause}")).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

fn verdict(run: &Report) -> String {
    match run.judgement {
        None => "not asked".to_owned(),
        Some(judgement) if judgement.is_good() => format!("good: {} acknowledged", judgement.acknowledged),
        Some(judgement) => format!(
            "NOT GOOD: {} lost, {} doubled, {} out of order, {} changed",
            judgement.lost, judgement.doubled, judgement.reordered, judgement.changed
        ),
    }
}

/// Names and values of all runs; those that differ stand out.
pub fn rows(runs: &[Report], of: fn(&Report) -> &Rows) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in runs.iter().flat_map(|run| of(run).iter()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut rows: Vec<Vec<String>> =
        vec![std::iter::once(String::new()).chain(runs.iter().map(|run| run.label.clone())).collect()];
    for name in names {
        let values = runs.iter().map(|run| of(run).get(name).unwrap_or("").to_owned());
        rows.push(std::iter::once(name.to_owned()).chain(values).collect());
    }
    table("words", &rows)
}
