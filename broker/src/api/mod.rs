//! From a request frame to a response frame: one file per API family, one exhaustive dispatch.
//! Never touches a socket or a log: handlers authorise, plan, ask the owning shards, and assemble.
//! Lives on the core that accepted the connection.

mod dispatch;
mod fetch_session;
mod request;
mod response;
pub mod versions;

use std::rc::Rc;

use futures_util::future::LocalBoxFuture;

pub use dispatch::start;
pub use request::{PeerFault, Request};
pub use response::{Outgoing, Part, Response};

/// What is left to do for a request after its first stage: wait, and assemble the response.
pub type Pending = LocalBoxFuture<'static, Result<Response, PeerFault>>;
