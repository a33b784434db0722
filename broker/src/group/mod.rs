//! Groups: who consumes what together, and how far they got.
//!
//! One `GroupCoordinator` is the state of one partition of `__consumer_offsets`; which group belongs to which
//! partition is `partition_for`. Everything here is a synchronous state machine: values and the time in, records
//! and replies out. The rules are those of Apache Kafka 4.3's classic groups.

mod admin;
mod classic;
mod codec;
mod commit;
mod ids;
mod join;
mod machine;
mod member;
mod membership;
pub mod messages;
mod offsets;
mod rebalance;
mod record;
mod refusal;
mod settings;
mod state;
mod subscription;
mod timers;
mod turn;

pub use classic::ClassicGroup;
pub use ids::{GroupId, InstanceId, MemberId, partition_for};
pub use machine::GroupCoordinator;
pub use offsets::{Committed, Offsets, TopicOffsets};
pub use record::{OffsetKey, Record, StoredGroup, StoredMember, StoredOffset};
pub use settings::GroupSettings;
pub use state::GroupState;
