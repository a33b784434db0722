//! Reports as JSON, one object. Writes only.

use kring_tuning::disk::{Chosen, Measured, Row};
use kring_tuning::{Finding, Remedy, Report, Setting};

use crate::cli::json::string;

/// `{"host":…,"exit_code":…,"points":[…]}` and a line break.
pub(super) fn report(report: &Report) -> String {
    let mut out = String::from("{");
    field(&mut out, "host", &report.summary);
    out.push_str(&format!(",\"exit_code\":{},\"points\":[", report.exit_code()));
    for (place, finding) in report.findings.iter().enumerate() {
        out.push_str(if place == 0 { "\n" } else { ",\n" });
        point(&mut out, finding);
    }
    out + "\n]}\n"
}

fn point(out: &mut String, finding: &Finding) {
    out.push('{');
    field(out, "group", finding.group);
    let fields = [
        ("point", finding.point),
        ("verdict", finding.verdict.word()),
        ("found", finding.found.as_str()),
        ("wanted", finding.wanted.as_str()),
        ("why", finding.why),
        ("cost", finding.cost),
    ];
    for (name, text) in fields {
        out.push(',');
        field(out, name, text);
    }
    remedy(out, &finding.remedy);
    out.push('}');
}

fn remedy(out: &mut String, remedy: &Remedy) {
    match remedy {
        Remedy::None => {}
        Remedy::By(who, what) => {
            out.push_str(",\"by\":");
            string(out, who.word());
            out.push(',');
            field(out, "do", what);
        }
        Remedy::Settings(settings) => {
            out.push_str(",\"by\":\"apply\",\"settings\":[");
            for (place, one) in settings.iter().enumerate() {
                out.push_str(if place == 0 { "{" } else { ",{" });
                setting(out, one);
            }
            out.push(']');
        }
    }
}

fn setting(out: &mut String, setting: &Setting) {
    field(out, "path", &setting.path);
    out.push(',');
    field(out, "found", &setting.found);
    out.push(',');
    field(out, "wanted", &setting.wanted);
    out.push('}');
}

fn field(out: &mut String, name: &str, text: &str) {
    out.push_str(&format!("\"{name}\":"));
    string(out, text);
}

/// `{"durable":[…],…,"settings":{…}}` and a line break. Latencies are in microseconds.
pub(super) fn disk(measured: &Measured, chosen: &Chosen) -> String {
    let rows = |rows: &[Row]| rows.iter().map(row).collect::<Vec<_>>().join(",\n");
    let tables = measured.tables().map(|table| format!("\"{}\":[\n{}]", table.name, rows(table.rows)));
    let mut out = format!("{{{},\n\"settings\":{{", tables.join(",\n"));
    for (place, (name, value)) in chosen.settings.pairs().iter().enumerate() {
        out.push_str(if place == 0 { "" } else { "," });
        field(&mut out, name, value);
    }
    out + "}}\n"
}

fn row(row: &Row) -> String {
    format!(
        "{{\"size\":{},\"depth\":{},\"operations\":{},\"p50\":{},\"p99\":{},\"per_second\":{:.1},\"bytes_per_second\":{:.0}}}",
        row.size,
        row.depth,
        row.operations,
        row.p50_micros,
        row.p99_micros,
        row.per_second,
        row.bytes_per_second()
    )
}
