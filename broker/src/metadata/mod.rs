//! The cluster's metadata: an immutable image that every core reads, replayed from KRaft records.
//! Never decides what is allowed: that is the controller's part. Images are shared by reference count.
//!
//! | file | holds |
//! |---|---|
//! | `image` | the image and the one way to change it |
//! | `partition`, `broker`, `resource` | what is in it |
//! | `features` | the levels that this release can follow |
//! | `shared_map` | maps that are cheap to copy and cheap to change after a copy |
//! | `names` | which topic names are allowed, and what some of them mean |
//! | `replay` | batches of the metadata log, written and read |
//! | `snapshot` | snapshots of that log, read |
//!
//! Snapshots of the log are read where Apache Kafka left some, and not written yet.

mod broker;
pub mod features;
mod image;
pub mod names;
mod partition;
mod replay;
mod resource;
mod shared_map;
mod snapshot;

pub use broker::{Broker, Endpoint, FeatureRange};
pub use image::{Image, ReplayError};
pub use partition::{NO_LEADER, Partition, Topic, is_reserved_directory};
pub use replay::{BatchError, BatchPlace, LoadError, Loaded, Replay, leader_batch, record_batch};
pub use resource::{ConfigResource, ResourceKind};
pub use shared_map::SharedMap;
pub use snapshot::{SnapshotId, bootstrap_records};
