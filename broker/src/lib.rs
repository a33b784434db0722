//! The Kring broker.

pub mod config;
