//! Turns `schema/*.kring` and `schema/errors.txt` into the Rust of `messages`, `api` and `error`.
//! Runs before there is a runtime, so it reads and writes files itself.
#![allow(clippy::disallowed_methods)]

#[path = "codegen/api.rs"]
mod api;
#[path = "codegen/errors.rs"]
mod errors;
#[path = "codegen/json.rs"]
mod json;
#[path = "codegen/names.rs"]
mod names;
#[path = "codegen/sample.rs"]
mod sample;
#[path = "codegen/schema.rs"]
mod schema;
#[path = "codegen/stored.rs"]
mod stored;
#[path = "codegen/structs.rs"]
mod structs;

use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=schema");
    println!("cargo::rerun-if-changed=codegen");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let messages = read_messages(Path::new("schema"));
    let errors = fs::read_to_string("schema/errors.txt").expect("schema/errors.txt is readable");
    let files = [
        ("messages.rs", structs::generate(&messages)),
        ("api_keys.rs", api::generate(&messages)),
        ("error_codes.rs", errors::generate(&errors)),
        ("json.rs", json::generate(&messages)),
        ("stored.rs", stored::generate(&messages)),
        ("sample.rs", sample::generate(&messages)),
    ];
    for (name, text) in files {
        fs::write(out.join(name), text).expect("OUT_DIR is writable");
    }
}

/// Messages in the order of their names, so that the output does not depend on the directory.
fn read_messages(directory: &Path) -> Vec<schema::Message> {
    let entries = fs::read_dir(directory).expect("the schema directory is readable");
    let mut messages: Vec<_> = entries
        .map(|entry| entry.expect("the schema directory is readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "kring"))
        .flat_map(|path| {
            let text = fs::read_to_string(&path).expect("a schema file is readable");
            schema::parse(&text, &path.file_stem().expect("it has an extension").to_string_lossy())
        })
        .collect();
    messages.sort_by(|a, b| a.name.cmp(&b.name));
    for pair in messages.windows(2) {
        assert_ne!(pair[0].name, pair[1].name, "two messages of one name");
    }
    messages
}
