//! A report as one HTML file: no scripts, nothing from elsewhere, readable in light and dark. Pure.

mod tables;

use crate::plot::svg::escape;
use crate::plot::{chart::Chart, charts};
use crate::report::Report;

const PAGE_STYLE: &str = "\
:root{color-scheme:light dark}*{box-sizing:border-box}\
body{margin:0;background:#f5f6f8;color:#1c2330;font:15px/1.5 system-ui,'DejaVu Sans',sans-serif}\
main{max-width:1000px;margin:0 auto;padding:24px 20px 60px}h1{font-size:24px;margin:0 0 4px}\
h2{font-size:17px;margin:34px 0 10px}p{margin:6px 0}.faint{color:#5b6473}\
figure{margin:14px 0;background:#fff;border:1px solid #dfe3e8;border-radius:8px;padding:10px 6px;overflow-x:auto}\
figure svg{display:block;width:100%;min-width:640px;height:auto}\
.scroll{overflow-x:auto;background:#fff;border:1px solid #dfe3e8;border-radius:8px}\
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}\
th,td{padding:6px 11px;text-align:right;border-top:1px solid #e8ebef;white-space:nowrap}\
tr:first-child th{border-top:0}th{font-weight:600}td:first-child,th:first-child{text-align:left}\
.words td,.words th{text-align:left;white-space:normal;overflow-wrap:anywhere}.differs td{font-weight:600}\
.warning{background:#fff4dc;border:1px solid #e5c36a;border-radius:8px;padding:8px 14px;margin:8px 0}\
@media (prefers-color-scheme:dark){body{background:#0d1015;color:#e8ebf0}.faint{color:#a3acba}\
figure,.scroll{background:#14181f;border-color:#2a313c}th,td{border-color:#232a34}\
.warning{background:#33290f;border-color:#7a6220}}";

/// One run, or several side by side.
pub fn of_runs(title: &str, runs: &[Report]) -> String {
    page(title, &of_runs_body(runs))
}

/// The same as a part of a page.
pub fn of_runs_body(runs: &[Report]) -> String {
    let mut body = tables::warnings(runs);
    if runs.iter().any(|run| !run.amounts().is_empty()) {
        body.push_str(&section("Result", &tables::amounts(runs)));
    }
    body.push_str(&section("Latency", &tables::latencies(runs)));
    body.push_str(&figures(&charts(runs)));
    body.push_str(&section("Errors and the load generator itself", &tables::own(runs)));
    body.push_str(&section("Settings", &tables::rows(runs, |run| &run.settings)));
    body.push_str(&section("Machine of the load generator", &tables::rows(runs, |run| &run.machine)));
    body
}

/// A whole file.
pub fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title>\n<style>{PAGE_STYLE}</style></head>\n<body><main>\n<h1>{title}</h1>\n\
         <p class=\"faint\">kring-loadgen {}. Latencies are counted from the intended send time, in HDR histograms from \
         1 µs to 1 h with three significant digits.</p>\n{body}</main></body></html>\n",
        env!("CARGO_PKG_VERSION")
    )
}

pub fn section(title: &str, body: &str) -> String {
    format!("<h2>{}</h2>\n{body}", escape(title))
}

pub fn figures(charts: &[Chart]) -> String {
    charts.iter().map(|chart| format!("<figure>{}</figure>\n", chart.to_element())).collect()
}

pub use tables::table;
