//! What was measured and chosen, as lines for a terminal. Pure.

use super::{Chosen, Measured, Row};

/// Tables, then settings with their reasons.
pub fn text(measured: &Measured, chosen: &Chosen) -> String {
    let pairs = chosen.settings.pairs();
    let lines = pairs.iter().zip(&chosen.reasons);
    let settings: String =
        lines.map(|((name, value), why)| format!("  {name:16} {value:>8}  {why}\n")).collect();
    format!("{}\nsettings\n{settings}", tables(measured))
}

pub(super) fn tables(measured: &Measured) -> String {
    let (within, longer) = ([measured.within], [measured.longer]);
    let tables: [(&str, &[Row]); 6] = [
        ("durable writes, one at a time, within a file", &measured.durable),
        ("durable writes, into several files at once", &measured.together),
        ("durable writes within a file, in turn with the next", &within),
        ("durable writes that make a file longer", &longer),
        ("sequential reads", &measured.sequential),
        ("random reads", &measured.random),
    ];
    tables.iter().map(|(title, rows)| table(title, rows)).collect::<Vec<_>>().join("\n")
}

fn table(title: &str, rows: &[Row]) -> String {
    let head = format!(
        "{title}\n  {:>8} {:>7} {:>9} {:>9} {:>9} {:>9}\n",
        "size", "at once", "p50 us", "p99 us", "a second", "MB/s"
    );
    head + &rows.iter().map(line).collect::<String>()
}

fn line(row: &Row) -> String {
    format!(
        "  {:>8} {:>7} {:>9} {:>9} {:>9.0} {:>9.1}\n",
        crate::text::bytes(row.size.into()),
        row.depth,
        row.p50_micros,
        row.p99_micros,
        row.per_second,
        row.bytes_per_second() / 1e6
    )
}
