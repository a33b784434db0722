//! Whole files of each kind for `fuzz/run` to begin with: `cargo run -p kring-storage --features fuzzing --example
//! fuzz_corpus -- <dir>` writes them into a folder for each target.

#![allow(clippy::print_stderr, reason = "an example reports to whoever runs it")]
#![allow(clippy::disallowed_methods, reason = "it runs outside the simulation")]

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use kring_storage::hostile;
use kring_wire::record::{BatchBuilder, Codec, Compression};

fn main() -> ExitCode {
    let Some(dir) = std::env::args_os().nth(1) else {
        eprintln!("usage: fuzz_corpus <dir>");
        return ExitCode::from(2);
    };
    let dir = Path::new(&dir);
    for target in hostile::targets() {
        write(&dir.join(target.name), &target.corpus);
    }
    let codecs = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
    write(&dir.join("batch"), &codecs.map(batch));
    ExitCode::SUCCESS
}

fn write(dir: &Path, files: &[Vec<u8>]) {
    fs::create_dir_all(dir).expect("a writable directory");
    for (number, bytes) in files.iter().enumerate() {
        fs::write(dir.join(format!("whole-{number}")), bytes).expect("a writable directory");
    }
}

fn batch(codec: Codec) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Compression::default_of(codec));
    for record in 0..5 {
        builder.append(1_700_000_000_000 + record, Some(b"key"), Some(&[7; 20])).expect("it is small");
    }
    builder.build().expect("it has records").to_bytes().to_vec()
}
