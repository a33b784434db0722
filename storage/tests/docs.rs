//! What `docs/storage.md` says of the tests is so.

use std::path::{Path, PathBuf};

/// All Rust sources below a directory, as one text.
fn sources(dir: &Path) -> String {
    #[expect(clippy::disallowed_methods, reason = "outside of a shard")]
    let entries = std::fs::read_dir(dir).unwrap();
    let paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.iter().map(|path| if path.is_dir() { sources(path) } else { text(path) }).collect()
}

fn text(path: &Path) -> String {
    #[expect(clippy::disallowed_methods, reason = "outside of a shard")]
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn every_test_that_the_storage_document_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = text(&root.join("../docs/storage.md"));
    let all = ["src", "tests", "../broker/tests"].map(|dir| sources(&root.join(dir))).concat();
    let quoted = document.split('`').skip(1).step_by(2);
    let tests: Vec<&str> =
        quoted.filter(|name| name.matches('_').count() > 3 && !name.contains('/')).collect();
    assert!(tests.len() > 20, "{tests:?}");
    for name in tests {
        assert!(
            all.contains(&format!("#[test]\nfn {name}(")) || all.contains(&format!("    fn {name}(")),
            "{name}"
        );
    }
}
