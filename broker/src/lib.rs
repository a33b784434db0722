//! The Kring broker.

pub mod config;
pub mod coordinator;
pub mod group;
pub mod metadata;
