//! The Kring broker: Kafka's protocol on a shard per core.
//!
//! `ARCHITECTURE.md` maps the modules and their levels; a module uses only lower ones.

pub mod api;
pub mod boot;
pub mod cli;
pub mod config;
pub mod controller;
pub mod coordinator;
pub mod group;
pub mod metadata;
pub mod net;
pub mod partition;
pub mod shard;
