//! ARCHITECTURE.md tells the truth: its paths exist, and the broker's modules use only lower levels.
#![allow(clippy::disallowed_methods, reason = "a test of the source tree reads the source tree")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_path_buf()
}

fn document() -> String {
    fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is there")
}

/// The rows below `heading`, as lists of trimmed cells, without the header and the rule.
fn table(document: &str, heading: &str) -> Vec<Vec<String>> {
    let section = document.split(heading).nth(1).unwrap_or_else(|| panic!("no section {heading}"));
    let section = section.split("\n## ").next().unwrap_or(section);
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_string()).collect()).collect()
}

fn levels() -> BTreeMap<String, u32> {
    let mut levels = BTreeMap::new();
    for row in table(&document(), "## Levels inside the broker") {
        let level = row[0].parse().expect("a level is a number");
        levels.extend(row[1].split(',').map(|module| (module.trim().to_string(), level)));
    }
    levels
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a source folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Every `crate::module` that a source text names, outside comments.
fn named_modules(source: &str) -> Vec<String> {
    let code = source.lines().map(|line| line.split("//").next().unwrap_or(""));
    let mut names = Vec::new();
    for line in code {
        for after in line.split("crate::").skip(1) {
            let grouped = after.strip_prefix('{').map(|g| g.split('}').next().unwrap_or(g));
            let parts: Vec<&str> = grouped.map_or_else(|| vec![after], |g| g.split(',').collect());
            names.extend(parts.iter().map(|p| first_word(p)).filter(|w| !w.is_empty()));
        }
    }
    names
}

fn first_word(text: &str) -> String {
    text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn module_of(file: &Path, src: &Path) -> String {
    let inside = file.strip_prefix(src).expect("below src");
    let first = inside.components().next().expect("a file name").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_string()
}

#[test]
fn every_path_of_the_code_map_exists() {
    let rows = table(&document(), "## Code map");
    assert!(rows.len() > 10, "the code map has its rows");
    for row in rows {
        let path = row[0].trim_matches('`');
        assert!(root().join(path).exists(), "ARCHITECTURE.md names {path}, which is not there");
    }
}

/// The documents for people, without the records of decisions, which speak of their own day.
fn documents() -> Vec<PathBuf> {
    let markdown = |dir: &str| {
        let entries = fs::read_dir(root().join(dir)).expect("a folder").map(|e| e.expect("an entry").path());
        entries.filter(|path| path.extension().is_some_and(|e| e == "md")).collect::<Vec<_>>()
    };
    [markdown(""), markdown("docs")].concat()
}

/// What stands in backticks and begins with a folder of this tree, but for what is made there.
fn named_paths(text: &str) -> Vec<String> {
    let quoted = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let words = quoted.flat_map(str::split_whitespace);
    let is_path = |word: &&str| {
        let first = word.split('/').next().unwrap_or_default();
        word.contains('/')
            && !matches!(first, "" | ".")
            && root().join(first).is_dir()
            && !word.contains(['*', '…'])
    };
    words.filter(is_path).filter(|word| !word.starts_with("interop/.cache")).map(str::to_owned).collect()
}

#[test]
fn every_path_that_a_document_names_exists() {
    let mut count = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).expect("a document");
        for path in named_paths(&text) {
            assert!(root().join(&path).exists(), "{} names {path}, which is not there", document.display());
            count += 1;
        }
    }
    assert!(count > 50, "the documents name paths: {count}");
}

#[test]
fn modules_use_only_lower_levels() {
    let (levels, src) = (levels(), root().join("broker/src"));
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let mut broken = Vec::new();
    for file in files {
        let module = module_of(&file, &src);
        if module == "lib" {
            continue;
        }
        let own = *levels.get(&module).unwrap_or_else(|| panic!("module {module} has no level"));
        for used in named_modules(&fs::read_to_string(&file).expect("a source file")) {
            let Some(level) = levels.get(&used) else { continue };
            if used != module && *level >= own && own < 9 {
                broken
                    .push(format!("{} ({module}, level {own}) uses {used} (level {level})", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "uses that point upwards:\n{}", broken.join("\n"));
}

#[test]
fn a_use_that_points_upwards_would_be_seen() {
    assert_eq!(named_modules("use crate::net::frame; // crate::boot"), ["net"]);
    assert_eq!(named_modules("use crate::{api::Pending, shard};"), ["api", "shard"]);
}

#[test]
fn only_the_runtime_names_glommio() {
    for krate in ["wire", "storage", "broker", "loadgen", "tuning", "benches"] {
        let manifest = fs::read_to_string(root().join(krate).join("Cargo.toml")).expect("a manifest");
        assert!(!manifest.contains("glommio"), "{krate} depends on glommio");
    }
}

/// The fields of all structs in a file of settings.
fn fields(file: &Path) -> Vec<String> {
    let source = fs::read_to_string(file).expect("a source file");
    let fields = source.lines().filter_map(|line| line.strip_prefix("    pub ")?.split_once(": "));
    fields.map(|(name, _)| name.to_string()).filter(|name| first_word(name) == *name).collect()
}

/// A property that is read and used nowhere would be a promise that nobody keeps: its row has to say `Known`.
#[test]
fn every_setting_that_is_read_is_used() {
    let src = root().join("broker/src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let users = files.iter().filter(|file| !file.starts_with(src.join("config")));
    let code: Vec<String> = users.map(|file| fs::read_to_string(file).expect("a source file")).collect();
    let names = ["broker.rs", "topic.rs"].map(|file| fields(&src.join("config").join(file))).concat();
    assert!(names.len() > 50, "the settings were found");
    // For other brokers, of which there are none yet.
    let unused = names.iter().filter(|name| *name != "inter_broker_listener");
    let unused: Vec<_> = unused.filter(|name| !code.iter().any(|code| code.contains(*name))).collect();
    assert!(unused.is_empty(), "read and not used: {unused:?}");
}
