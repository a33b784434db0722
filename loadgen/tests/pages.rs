//! Pages and pictures: complete, without scripts, and with nothing that comes from elsewhere.

use std::time::Duration;

use kring_loadgen::measure::Measure;
use kring_loadgen::plot::{chart, charts};
use kring_loadgen::stats::Amount;
use kring_loadgen::timeline::Recorder;
use kring_loadgen::{Outcome, Report, Settings, Workload, page};
use kring_runtime::Monotonic;

fn report(label: &str, latency: Duration) -> Report {
    let start = Monotonic::from_nanos(5_000_000_000);
    let mut outcome = Outcome::default();
    let mut recorder = Recorder::new(start, Duration::from_secs(1));
    for n in 0..5000 {
        let amount = Amount { records: 1, content_bytes: 100, batch_bytes: 100, requests: 1 };
        let (slot, latencies) = recorder.at(start + Duration::from_millis(n));
        slot.produced.add(amount);
        latencies.record(&Measure::Acknowledged, latency, 1);
        outcome.stats.produced.add(amount);
        outcome.stats.latencies.record(&Measure::Acknowledged, latency, 1);
    }
    outcome.stats.unsent = 7;
    outcome.stats.count("rebalances", 3);
    outcome.stats.retried("NOT_LEADER_OR_FOLLOWER", 5);
    outcome.slots = recorder.finish();
    let settings = Settings {
        warm_up: Duration::from_secs(1),
        duration: Duration::from_secs(4),
        ..Settings::of(Workload::Produce, "<topic>")
    };
    Report { label: label.to_owned(), ..Report::new(&settings, outcome, Default::default()) }
}

/// Whether every element that begins also ends, in order.
fn is_balanced(text: &str) -> bool {
    let mut open = Vec::new();
    for tag in text.split('<').skip(1).filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag) {
        let name = tag.split_whitespace().next().unwrap_or_default();
        match name.strip_prefix('/') {
            Some(name) if open.pop() != Some(name) => return false,
            Some(_) => {}
            None if tag.ends_with('/') || ["meta", "!doctype"].contains(&name) => {}
            None => open.push(name),
        }
    }
    open.is_empty()
}

#[test]
fn a_page_holds_everything_and_asks_for_nothing() {
    let runs = [report("one <b>", Duration::from_millis(3)), report("two", Duration::from_millis(30))];
    for runs in [&runs[..1], &runs[..]] {
        let page = page::of_runs("a & b", runs);
        assert!(is_balanced(&page), "{page}");
        let foreign = page.replace("http://www.w3.org/2000/svg", "");
        for asked in ["<script", "http:", "https:", "@import", "url(", "src=", "onload"] {
            assert!(!foreign.contains(asked), "{asked}");
        }
        for shown in [
            "a &amp; b",
            "one &lt;b&gt;",
            "&lt;topic&gt;",
            "99.9 %",
            "3.000 ms",
            "warm-up",
            "never sent",
            "3 × rebalances",
            "5 × NOT_L",
        ] {
            assert!(page.replace("3.001 ms", "3.000 ms").contains(shown), "{shown}");
        }
        assert!(!page.contains("NaN") && !page.contains("inf"), "numbers only");
    }
}

#[test]
fn a_picture_alone_has_its_style_and_follows_dark_and_light() {
    let picture = chart::to_file(&charts(&[report("one", Duration::from_millis(3))]));
    assert!(is_balanced(&picture));
    assert!(picture.contains("prefers-color-scheme:dark") && picture.contains("xmlns="));
    assert_eq!(picture.matches("Latency by percentile").count(), 1);
}

#[test]
fn runs_that_measured_nothing_make_a_page_too() {
    let settings = Settings::of(Workload::Produce, "t");
    let empty = Report::new(&settings, Outcome::default(), Default::default());
    let page = page::of_runs("empty", &[empty]);
    assert!(is_balanced(&page) && !page.contains("NaN"), "{page}");
    assert!(!page.contains("Records per second"), "a chart without lines");
}
