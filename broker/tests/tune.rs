//! `kring tune`, as a user runs it, on whatever host the test runs on.
#![allow(clippy::disallowed_methods, reason = "a test process is outside the simulation")]

mod kit;

use std::process::{Command, Output};

fn kring(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kring")).args(words).output().expect("kring runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

#[test]
fn check_reports_every_group_and_its_exit_code_says_the_worst() {
    let output = kring(&["tune", "check", "--data-dir", "/tmp"]);
    let shown = text(&output.stdout);
    for group in ["kernel", "limits", "container", "cpu", "memory", "disk", "network"] {
        assert!(shown.lines().any(|line| line == group), "{group}: {shown}");
    }
    let has = |word: &str| shown.lines().any(|line| line.starts_with(&format!("  {word} ")));
    let expected = if has("stops") || has("unsafe") { 3 } else { i32::from(has("tune")) };
    assert_eq!(code(&output), expected, "{shown}");
}

#[test]
fn the_json_of_check_has_a_line_for_each_point_that_the_terminal_shows() {
    let json = text(&kring(&["tune", "check", "--json"]).stdout);
    let points: Vec<&str> = json.lines().filter(|line| line.starts_with("{\"group\":")).collect();
    assert!(json.starts_with("{\"host\":\"Linux ") && json.ends_with("\n]}\n"), "{json}");
    assert!(points.len() >= 20 && points.iter().all(|line| line.contains("\"verdict\":\"")), "{json}");
    let shown = text(&kring(&["tune", "check"]).stdout);
    assert_eq!(
        shown.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")).count(),
        points.len()
    );
}

#[test]
fn a_dry_run_of_apply_needs_no_root_and_writes_no_script() {
    let undo = std::env::temp_dir().join(format!("kring-tune-undo-{}", std::process::id()));
    let output = kring(&["tune", "apply", "--dry-run", "--undo", undo.to_str().expect("a name")]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert!(!undo.exists());
}

#[test]
fn an_error_is_one_sentence_and_exit_code_2() {
    for words in
        [&["tune", "apply", "--dry-run", "--only", "luck"][..], &["tune", "check", "--pid", "4294967295"]]
    {
        let output = kring(words);
        let complaint = text(&output.stderr);
        assert_eq!((code(&output), complaint.lines().count()), (2, 1), "{complaint}");
        assert!(complaint.starts_with("kring: there is no "), "{complaint}");
    }
}

#[test]
fn a_data_directory_is_looked_for_where_the_process_runs() {
    let dir = kit::TempDir::new("tune-cwd");
    let mut child = Command::new("sleep").arg("60").current_dir(&dir.0).spawn().expect("sleep runs");
    let output =
        kring(&["tune", "check", "--json", "--pid", &child.id().to_string(), "--data-dir", "./data"]);
    child.kill().expect("it can be killed");
    child.wait().expect("it can be reaped");
    let data = dir.0.canonicalize().expect("its own name").join("data");
    let shown = text(&output.stdout);
    assert!(shown.contains(&format!("data in {}", data.display())), "{shown}");
}

#[test]
fn the_next_measurement_or_start_removes_what_a_killed_one_left() {
    let dir = kit::TempDir::new("tune-left");
    let data = dir.0.join("data");
    std::fs::create_dir(&data).expect("a directory");
    let left = data.join("kring-disk-large.tmp");
    std::fs::write(&left, "bytes").expect("a file");
    let path = data.to_str().expect("a name");
    let output = kring(&["tune", "disk", path, "--seconds", "1", "--space", "64", "--dry-run"]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert!(!left.exists());
    std::fs::write(&left, "bytes").expect("a file");
    kit::Broker::start(&dir.0, &["--shards", "1"]).stop();
    assert!(!left.exists());
}

#[test]
fn disk_measures_writes_its_settings_and_the_broker_says_that_it_read_them() {
    let dir = kit::TempDir::new("tune-disk");
    let data = dir.0.join("data");
    std::fs::create_dir(&data).expect("a directory");
    let path = data.to_str().expect("a name");
    let output = kring(&["tune", "disk", path, "--seconds", "1", "--space", "64"]);
    let shown = text(&output.stdout);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    for line in ["durable writes, one at a time, within a file", "sequential reads", "settings"] {
        assert!(shown.lines().any(|have| have == line), "{shown}");
    }
    assert!(data.join("kring-disk.properties").exists(), "{shown}");
    kit::Broker::start(&dir.0, &[]).stop();
    let log = std::fs::read_to_string(dir.0.join("log")).expect("its log");
    assert!(log.contains("disk settings read") && log.contains("write.bytes="), "{log}");
}
