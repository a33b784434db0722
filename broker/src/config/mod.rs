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
//! | `describe`, `alter` | what clients may read and change |
//! | `list` | the tables as text |

mod alter;
mod broker;
mod client_listeners;
pub mod defs;
mod describe;
mod list;
mod listeners;
pub mod properties_file;
pub mod property;
mod sources;
mod topic;
mod typed;
pub mod value;

pub use alter::{
    AlterError, AlterOp, Alteration, BrokerScope, ConfigChange, alter_broker, alter_group, alter_topic,
    check_request, new_topic_overrides, replace_broker, replace_group, replace_topic,
    validate_broker_overrides, validate_group_overrides, validate_topic_overrides,
};
pub use broker::{
    BrokerConfig, ClassicGroupConfig, CleanerConfig, DirConfig, ListenerLimits, LogConfig, MetadataLogConfig,
    NodeConfig, OffsetsConfig, ProducerConfig, RequestLimits, SocketConfig, TopicDefaults,
};
pub use client_listeners::{Advertised, Listener};
pub use describe::{
    ConfigEntry, ConfigSource, ConfigSynonym, describe_broker, describe_cluster_default, describe_group,
    describe_topic,
};
pub use list::{list_json, list_text};
pub use listeners::{Endpoint, HostPort, SecurityProtocol};
pub use sources::{ConfigError, ConfigNotice, Flags, Origin, nearest};
pub use topic::{BrokerCompression, TimestampType, TopicConfig};

/// Properties as they are set, stored and sent: name to text.
pub type ConfigMap = std::collections::BTreeMap<String, String>;
