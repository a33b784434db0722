//! The `kring` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    kring_broker::cli::run()
}
