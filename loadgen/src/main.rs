//! The `kring-loadgen` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    kring_loadgen::cli::run()
}
