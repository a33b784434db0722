//! The Kring broker.

pub mod config;
pub mod controller;
pub mod coordinator;
pub mod group;
pub mod metadata;
