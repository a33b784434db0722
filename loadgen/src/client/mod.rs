//! A client of Kafka's protocol, as small as a load generator needs it.
//! Never retries and never hides an error. A connection stays on the shard that made it.

mod cluster;
mod connection;
mod error;
mod group;
mod layout;

pub use cluster::{
    EARLIEST, Endpoint, LATEST, Topics, Versions, init_producer_id, list_offsets, list_offsets_request,
    listed_offsets, no_topic, open_topics, refresh_leaders,
};
pub use connection::{Answers, CLIENT_ID, Connection, Requests, decode_answer};
pub use error::ClientError;
pub use group::{Coordinator, Membership};
pub use layout::{Layout, Place};
