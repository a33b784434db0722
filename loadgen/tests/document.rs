//! Results as JSON: what is written is read back, adds up exactly, and has the names that others rely on.

use std::time::Duration;

use kring_loadgen::measure::Measure;
use kring_loadgen::report::Thread;
use kring_loadgen::stats::Amount;
use kring_loadgen::timeline::Recorder;
use kring_loadgen::{Cpu, Document, Outcome, Report, Settings, Workload};
use kring_runtime::Monotonic;
use serde_json::Value;

const SECOND: Duration = Duration::from_secs(1);

/// A run of three seconds, the first of them warm-up; record `n` took `n` µs, and those of `mine` are in it.
fn report(mine: impl Fn(u64) -> bool) -> Report {
    let start = Monotonic::from_nanos(5_000_000_000);
    let mut outcome = Outcome { started_ms: 1_700_000_000_000, ..Outcome::default() };
    let mut recorder = Recorder::new(start, SECOND);
    for n in (0..3000).filter(|n| mine(*n)) {
        let amount = Amount { records: 1, content_bytes: 100, batch_bytes: 40, requests: 1 };
        let latency = Duration::from_micros(n);
        let (slot, latencies) = recorder.at(start + Duration::from_millis(n));
        slot.produced.add(amount);
        latencies.record(&Measure::Acknowledged, latency, 1);
        outcome.stats.produced.add(amount);
        outcome.stats.latencies.record(&Measure::Acknowledged, latency, 1);
        outcome.stats.latencies.record(&Measure::OwnDelay, latency / 1000, 1);
    }
    outcome.stats.failed("NOT_LEADER_OR_FOLLOWER", 2);
    outcome.slots = recorder.finish();
    outcome.threads = vec![Thread { cpu: SECOND, elapsed: 4 * SECOND, busiest: 0.5 }];
    let settings = Settings { warm_up: SECOND, duration: 2 * SECOND, ..Settings::of(Workload::Produce, "t") };
    let cpu = Cpu { own: Some(SECOND), other: None };
    Report { label: "a".to_owned(), ..Report::new(&settings, outcome, cpu) }
}

fn json(report: &Report) -> String {
    Document::of(report).to_json()
}

#[test]
fn what_is_written_is_read_back_whole() {
    let written = json(&report(|_| true));
    let read = Document::parse(&written).unwrap().into_report().unwrap();
    assert_eq!(json(&read), written);
    assert_eq!(read.stats.of(&Measure::Acknowledged), report(|_| true).stats.of(&Measure::Acknowledged));
}

#[test]
fn instances_add_up_to_what_one_would_have_measured() {
    let mut merged = report(|n| n % 3 == 0);
    merged.merge(&report(|n| n % 3 != 0)).unwrap();
    let whole = report(|_| true);
    assert_eq!(merged.stats.latencies, whole.stats.latencies);
    assert_eq!(merged.stats.produced, whole.stats.produced);
    assert_eq!(merged.slots, whole.slots);
    assert_eq!((merged.instances, merged.stats.error_count()), (2, 4));
    assert_eq!((merged.threads.len(), merged.cpu.own), (2, Some(2 * SECOND)));
}

/// Why this run and one that differs from it so do not add up.
fn apart(change: impl FnOnce(&mut Report)) -> String {
    let mut other = report(|_| true);
    change(&mut other);
    report(|_| true).merge(&other).unwrap_err()
}

#[test]
fn runs_that_were_not_together_do_not_add_up_and_the_reason_is_said() {
    let error = apart(|later| later.started_ms += 1000);
    assert!(error.contains("started 1.000 s apart"), "{error}");
    let error = apart(|shorter| shorter.warm_up = Duration::ZERO);
    assert!(error.contains("warm-up is 1 s and 0 s"), "{error}");
    let error = apart(|longer| {
        let settings = Settings { duration: 30 * SECOND, ..Settings::of(Workload::Produce, "t") };
        longer.settings = Report::new(&settings, Outcome::default(), Cpu::default()).settings;
    });
    assert!(error.contains("duration is 2 s and 30 s"), "{error}");
    let error = apart(|cut| (cut.interrupted, cut.measured) = (true, SECOND));
    assert!(error.contains("interrupted is 2 s and 1 s"), "{error}");
}

#[test]
fn instances_that_were_interrupted_together_add_up_and_say_so() {
    let cut = || Report { interrupted: true, measured: SECOND, ..report(|_| true) };
    let mut merged = cut();
    merged.merge(&Report { measured: SECOND + SECOND / 10, ..cut() }).unwrap();
    assert!(merged.interrupted && merged.warnings()[0].contains("interrupted"), "{:?}", merged.warnings());
}

#[test]
fn the_names_in_it_are_these() {
    let value: Value = serde_json::from_str(&json(&report(|_| true))).unwrap();
    for (path, expected) in [
        ("/schema", "\"kring-loadgen run 1\""),
        ("/settings/workload", "\"produce\""),
        ("/histogram/digits", "3"),
        ("/warm_up_s", "1.0"),
        ("/measured_s", "2.0"),
        ("/interrupted", "false"),
        ("/amounts/produced/records", "3000"),
        ("/amounts/produced/records_per_s", "1500.0"),
        ("/amounts/produced/bytes", "300000"),
        ("/amounts/produced/megabytes_per_s", "0.15"),
        ("/amounts/produced/content_megabytes_per_s", "0.15"),
        ("/amounts/produced/batch_bytes", "120000"),
        ("/amounts/produced/batch_megabytes_per_s", "0.06"),
        ("/latencies/acknowledged/count", "3000"),
        ("/timeline/slot_s", "1.0"),
        ("/timeline/first_measured", "1"),
        ("/timeline/end_measured", "3"),
        ("/timeline/slots/1/produced/records_per_s", "1000.0"),
        ("/timeline/slots/2/latencies/acknowledged/count", "1000"),
        ("/errors/NOT_LEADER_OR_FOLLOWER", "2"),
        ("/unsent", "0"),
        ("/missed_send_times/batches", "3000"),
        ("/missed_send_times/late", "0"),
        ("/threads/0/share", "0.25"),
        ("/own_cpu_s", "1.0"),
        ("/other_cpu_s", "null"),
        ("/warnings", "[]"),
    ] {
        let found = value.pointer(path).unwrap_or_else(|| panic!("{path} is missing"));
        assert_eq!(found.to_string(), expected, "{path}");
    }
    for name in ["mean_ms", "p50_ms", "p90_ms", "p99_ms", "p99_9_ms", "p99_99_ms", "max_ms"] {
        assert!(value["latencies"]["acknowledged"][name].is_number(), "{name}");
    }
}

#[test]
fn a_result_that_knows_one_kind_of_bytes_is_read_as_what_it_was() {
    let mut value: Value = serde_json::from_str(&json(&report(|_| true))).unwrap();
    let produced = value["amounts"]["produced"].as_object_mut().unwrap();
    for name in ["content_bytes", "content_megabytes_per_s", "batch_bytes", "batch_megabytes_per_s"] {
        produced.remove(name).unwrap();
    }
    let amounts = value["amounts"].as_object_mut().unwrap();
    let consumed = amounts["produced"].clone();
    amounts.insert("consumed".to_owned(), consumed);
    let read = Document::parse(&value.to_string()).unwrap().into_report().unwrap();
    let bytes = |amount: Amount| (amount.content_bytes, amount.batch_bytes);
    assert_eq!((bytes(read.stats.produced), bytes(read.stats.consumed)), ((300_000, 0), (0, 300_000)));
}

#[test]
fn what_is_not_a_result_is_refused() {
    let written = json(&report(|_| true));
    assert!(Document::parse("{}").is_err());
    assert!(Document::parse(&written.replace("run 1", "run 2")).is_err());
    let no_histogram = |text: &str| text.replacen("HISTFAAA", "AISTFAAA", 1);
    assert!(Document::parse(&no_histogram(&written)).unwrap().into_report().is_err());
}
