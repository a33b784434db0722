//! The `kring` command line.
pub mod args;
