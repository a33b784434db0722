//! Configuration: what can be set, what was set, and what follows from it, as typed values.
//! Never opens a file and never reads a clock: texts come in, values go out. Any core.
//!
//! | file | holds |
//! |---|---|
//! | `property`, `defs` | the tables: every property with type, default, rule, meaning |
//! | `value` | parsing and checking one value, with the sentences clients know from Kafka |
//! | `properties_file`, `sources` | a `server.properties`, options and flags, merged and checked |
//! | `listeners`, `client_listeners` | listener strings; which listeners open and what is advertised |
//! | `broker`, `topic` | the typed results |

mod broker;
mod client_listeners;
pub mod defs;
mod listeners;
pub mod properties_file;
pub mod property;
mod sources;
mod topic;
mod typed;
pub mod value;

pub use broker::{
    BrokerConfig, ClassicGroupConfig, CleanerConfig, DirConfig, LogConfig, MetadataLogConfig, NodeConfig,
    OffsetsConfig, ProducerConfig, RequestLimits, SocketConfig, TopicDefaults,
};
pub use client_listeners::{Advertised, Listener};
pub use listeners::{Endpoint, HostPort, SecurityProtocol};
pub use sources::{ConfigError, ConfigNotice, Flags, Origin, nearest};
pub use topic::{BrokerCompression, TimestampType, TopicConfig};

/// Properties as they are set, stored and sent: name to text.
pub type ConfigMap = std::collections::BTreeMap<String, String>;
