//! What was measured and chosen, as lines for a terminal. Pure.

use super::{Chosen, Measured, Row, Table};

/// Tables, then settings with their reasons.
pub fn text(measured: &Measured, chosen: &Chosen) -> String {
    let pairs = chosen.settings.pairs();
    let lines = pairs.iter().zip(&chosen.reasons);
    let settings: String =
        lines.map(|((name, value), why)| format!("  {name:16} {value:>8}  {why}\n")).collect();
    format!("{}\nsettings\n{settings}", tables(measured))
}

pub(super) fn tables(measured: &Measured) -> String {
    measured.tables().map(|table| text_of(&table)).join("\n")
}

fn text_of(table: &Table<'_>) -> String {
    let head = format!(
        "{}\n  {:>8} {:>7} {:>9} {:>9} {:>9} {:>9}\n",
        table.title, "size", "at once", "p50 us", "p99 us", "a second", "MB/s"
    );
    head + &table.rows.iter().map(line).collect::<String>()
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
