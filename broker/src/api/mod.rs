//! From a request frame to a response frame: one file per API family, one dispatch.
//! Never touches a socket or a log: handlers authorise, plan, ask the owning shards, and assemble.
//! Lives on the core that accepted the connection.

mod ask_group;
mod classic_group;
mod client;
mod cluster;
mod configs;
mod delete_records;
mod dispatch;
mod fan_out;
mod fetch;
mod fetch_response;
mod fetch_session;
mod find_coordinator;
mod group_admin;
mod group_offsets;
mod leader_hints;
mod list_offsets;
mod log_dirs;
mod metadata;
mod operations;
mod produce;
mod producer_id;
mod request;
mod response;
mod topic_partitions;
mod topics;
pub mod versions;

use futures_util::future::LocalBoxFuture;

pub use client::{ApiState, Client};
pub use dispatch::start;
pub use request::{PeerFault, Request};
pub use response::{Outgoing, Part, Response};

/// What is left to do for a request after its first stage: wait, and assemble the response.
pub type Pending = LocalBoxFuture<'static, Result<Response, PeerFault>>;
