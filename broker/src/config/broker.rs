//! The broker's configuration as typed values, grouped by who uses them.
//! Never opens a file or a socket. Built at start and rebuilt on a dynamic change; then shared read-only.

use super::client_listeners::{Listener, read_listeners};
use super::sources::{ConfigError, ConfigNotice, Flags, Settings};
use super::topic::TopicConfig;
use super::typed::Typed;
use super::value::{self, Value};
use super::{ConfigMap, defs};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use kring_storage::DiskSettings;

/// All that the broker reads at run time.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    pub node: NodeConfig,
    pub listeners: Vec<Listener>,
    /// The name of the listener that is advertised to other brokers.
    pub inter_broker_listener: String,
    pub dirs: DirConfig,
    pub sockets: SocketConfig,
    pub requests: RequestLimits,
    pub topics: TopicDefaults,
    pub logs: LogConfig,
    pub classic_groups: ClassicGroupConfig,
    pub offsets: OffsetsConfig,
    pub producers: ProducerConfig,
    pub metadata_log: MetadataLogConfig,
    /// What a topic without overrides has.
    pub topic_defaults: TopicConfig,
    layers: Layers,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    pub id: i32,
    pub rack: Option<String>,
    /// `None`: one for each core.
    pub shards: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirConfig {
    /// At least one, each once.
    pub logs: Vec<PathBuf>,
    pub metadata: PathBuf,
    /// Free bytes below which produce is refused.
    pub reserve_bytes: u64,
    /// Names and values that [`kring_storage::DiskSettings::set`] takes.
    pub disk: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketConfig {
    pub request_max_bytes: u32,
    /// `None` keeps idle connections.
    pub idle_ms: Option<i64>,
    pub max_connections: u32,
    pub max_connections_per_ip: u32,
    /// By host name or address, as written.
    pub max_connections_per_ip_overrides: BTreeMap<String, u32>,
    /// New connections a second.
    pub max_creation_rate: u32,
    /// What single listeners have of their own, by name.
    pub of_listeners: BTreeMap<String, ListenerLimits>,
    /// `None` where nobody has set it, as with the buffers: what Kafka has as defaults would slow a broker down.
    pub listen_backlog: Option<u32>,
    /// `None` leaves it to the system.
    pub send_buffer_bytes: Option<u32>,
    pub receive_buffer_bytes: Option<u32>,
}

/// `listener.name.<name>.…`; `None` is no limit, as in Kafka: the broker's own holds beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenerLimits {
    pub max_connections: Option<u32>,
    /// New connections a second.
    pub max_creation_rate: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// Memory for requests that are not answered yet. `None` leaves it to the broker.
    pub queued_max_bytes: Option<u64>,
    /// Memory for responses that are not sent yet. `None` leaves it to the broker.
    pub unsent_max_bytes: Option<u64>,
    pub fetch_max_bytes: u32,
    pub fetch_session_slots: u32,
    /// Partitions in one DescribeTopicPartitions response.
    pub describe_partitions: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDefaults {
    pub num_partitions: i32,
    pub replication_factor: i32,
    pub is_auto_created: bool,
    pub is_delete_allowed: bool,
}

/// What steers all logs of the broker alike. Topics' own part is [`TopicConfig`].
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    pub cache_bytes: u64,
    /// For each core in each directory.
    pub journal_bytes: u64,
    /// Before the first round of housekeeping.
    pub initial_delay_ms: i64,
    pub retention_check_ms: i64,
    pub recovery_checkpoint_ms: i64,
    pub start_offset_checkpoint_ms: i64,
    pub cleaner: CleanerConfig,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CleanerConfig {
    pub is_enabled: bool,
    pub key_map_bytes: u64,
    pub key_map_load_factor: f64,
    pub io_buffer_bytes: u32,
    pub io_bytes_per_second: f64,
    pub backoff_ms: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicGroupConfig {
    pub min_session_timeout_ms: i32,
    pub max_session_timeout_ms: i32,
    pub max_size: u32,
    pub initial_rebalance_delay_ms: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetsConfig {
    pub metadata_max_bytes: i32,
    pub retention_ms: i64,
    pub retention_check_ms: i64,
    pub commit_timeout_ms: i32,
    pub topic_partitions: i32,
    pub topic_replication_factor: i16,
    pub topic_segment_bytes: u32,
    /// Kafka's codec number.
    pub topic_codec: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerConfig {
    pub id_expiration_ms: i64,
    pub id_expiration_check_ms: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataLogConfig {
    pub segment_bytes: u32,
    pub segment_ms: i64,
}

/// The texts that were set, the strongest layer first.
#[derive(Clone, Debug, Default)]
pub(super) struct Layers {
    /// Dynamic, for this broker.
    pub broker: Arc<ConfigMap>,
    /// Dynamic, for all brokers.
    pub cluster: Arc<ConfigMap>,
    /// From file, options and flags.
    pub fixed: Arc<ConfigMap>,
}

impl Layers {
    /// The value that holds. A dynamic text that does not parse is passed over.
    pub fn value(&self, name: &str) -> Value {
        let Some(property) = defs::broker_property(name) else {
            return Value::Null;
        };
        [&self.broker, &self.cluster, &self.fixed]
            .into_iter()
            .filter_map(|layer| layer.get(name))
            .find_map(|text| value::parse(property, text).ok())
            .unwrap_or_else(|| value::default_of(property))
    }

    /// What a listener has of its own. Kafka writes listeners' names in lower case there.
    fn count_of_listener(&self, listener: &str, name: &str) -> Option<u32> {
        let property = defs::broker_property(name)?;
        let full = format!("listener.name.{}.{name}", listener.to_lowercase());
        let texts =
            [&self.broker, &self.cluster, &self.fixed].into_iter().filter_map(|layer| layer.get(&full));
        texts.filter_map(|text| value::parse(property, text).ok()).find_map(|value| match value {
            Value::Integer(count) => u32::try_from(count).ok(),
            _ => None,
        })
    }
}

impl BrokerConfig {
    /// Merges a file (path and text), `-o` options and flags.
    ///
    /// # Errors
    /// The first thing that makes a start impossible, with the place where it stands.
    pub fn from_sources(
        file: Option<(&str, &str)>,
        options: &[(String, String)],
        flags: &Flags,
    ) -> Result<(Self, Vec<ConfigNotice>), ConfigError> {
        let settings = Settings::gather(file, options, flags)?;
        let layers = Layers { fixed: Arc::new(settings.values.clone()), ..Layers::default() };
        let typed = Typed(&|name| layers.value(name));
        check(&settings, &typed)?;
        let (listeners, inter_broker) = read_listeners(&settings, &typed)?;
        let dirs = read_dirs(&typed);
        let overrides = read_ip_overrides(&typed)
            .map_err(|message| settings.error("max.connections.per.ip.overrides", message))?;
        let config = Self::assemble(layers, listeners, inter_broker, dirs, overrides);
        Ok((config, settings.notices))
    }

    /// The same start with other dynamic values. What cannot change while running stays.
    #[must_use]
    pub fn with_dynamic(&self, cluster: &ConfigMap, broker: &ConfigMap) -> Self {
        let layers = Layers {
            broker: Arc::new(broker.clone()),
            cluster: Arc::new(cluster.clone()),
            fixed: Arc::clone(&self.layers.fixed),
        };
        let typed = Typed(&|name| layers.value(name));
        let overrides = read_ip_overrides(&typed)
            .unwrap_or_else(|_| self.sockets.max_connections_per_ip_overrides.clone());
        Self::assemble(
            layers,
            self.listeners.clone(),
            self.inter_broker_listener.clone(),
            self.dirs.clone(),
            overrides,
        )
    }

    /// The configuration of a topic with these overrides.
    #[must_use]
    pub fn topic(&self, overrides: &ConfigMap) -> TopicConfig {
        if overrides.is_empty() {
            return self.topic_defaults.clone();
        }
        TopicConfig::effective(overrides, &|name| self.layers.value(name))
    }

    /// What was set in file, options and flags, for the record.
    #[must_use]
    pub fn fixed_values(&self) -> &ConfigMap {
        &self.layers.fixed
    }

    pub(super) fn layers(&self) -> &Layers {
        &self.layers
    }

    fn assemble(
        layers: Layers,
        listeners: Vec<Listener>,
        inter_broker_listener: String,
        dirs: DirConfig,
        ip_overrides: BTreeMap<String, u32>,
    ) -> Self {
        let lookup = |name: &str| layers.value(name);
        let typed = Typed(&lookup);
        let of_listeners = listeners
            .iter()
            .map(|listener| (listener.name.clone(), read_listener_limits(&layers, &listener.name)))
            .collect();
        Self {
            node: read_node(&typed),
            listeners,
            inter_broker_listener,
            dirs,
            sockets: SocketConfig { of_listeners, ..read_sockets(&layers, &typed, ip_overrides) },
            requests: read_request_limits(&typed),
            topics: read_topic_defaults(&typed),
            logs: read_logs(&typed),
            classic_groups: read_classic_groups(&typed),
            offsets: read_offsets(&typed),
            producers: read_producers(&typed),
            metadata_log: read_metadata_log(&typed),
            topic_defaults: TopicConfig::effective(&ConfigMap::new(), &lookup),
            layers: layers.clone(),
        }
    }
}

/// What no single property's rule can say.
fn check(settings: &Settings, typed: &Typed<'_>) -> Result<(), ConfigError> {
    check_roles(settings, typed)?;
    check_quorum(settings, typed)?;
    check_authorizer(settings, typed)?;
    read_disk(typed).map_err(|message| settings.error("kring.disk.settings", message))?;
    check_times(typed).map_err(|(name, message)| settings.error(name, message))?;
    if !(0..=4).contains(&typed.i32("offsets.topic.compression.codec")) {
        let message = "the codec is 0 none, 1 gzip, 2 snappy, 3 lz4 or 4 zstd";
        return Err(settings.error("offsets.topic.compression.codec", message));
    }
    check_request_memory(settings, typed)?;
    check_cleaner_lag(settings, typed)
}

/// As Kafka's `KafkaConfig`: one request must fit, whatever its size.
fn check_request_memory(settings: &Settings, typed: &Typed<'_>) -> Result<(), ConfigError> {
    let (name, of_one) = ("queued.max.request.bytes", "socket.request.max.bytes");
    if typed.i64(name) <= 0 || typed.i64(name) >= i64::from(typed.i32(of_one)) {
        return Ok(());
    }
    Err(settings.error(name, format!("{name} must be larger or equal to {of_one}")))
}

/// The rules on several properties at once that a dynamic change must keep as well.
pub(super) fn check_dynamic(layers: &Layers) -> Result<(), (&'static str, String)> {
    let typed = Typed(&|name| layers.value(name));
    check_times(&typed)?;
    let overrides = read_ip_overrides(&typed);
    overrides.map(drop).map_err(|message| ("max.connections.per.ip.overrides", message))
}

/// Zero is a number that Kafka refuses for these by hand.
fn check_times(typed: &Typed<'_>) -> Result<(), (&'static str, String)> {
    for name in ["log.retention.ms", "log.retention.minutes", "log.retention.hours"] {
        if typed.optional_i64(name) == Some(0) {
            let message = format!("{name} must be unlimited (-1) or, greater than or equal to 1");
            return Err((name, message));
        }
    }
    for (name, least) in [("log.roll.ms", 1), ("log.roll.jitter.ms", 0)] {
        if typed.optional_i64(name).is_some_and(|number| number < least) {
            return Err((name, format!("{name} must be greater than or equal to {least}")));
        }
    }
    Ok(())
}

fn check_roles(settings: &Settings, typed: &Typed<'_>) -> Result<(), ConfigError> {
    let roles = typed.list("process.roles");
    let has = |role: &str| roles.iter().any(|word| word == role);
    if has("broker") && has("controller") {
        return Ok(());
    }
    let message = "a Kring node is broker and controller in one for now: \
                   set process.roles=broker,controller or leave it out";
    Err(settings.error("process.roles", message))
}

fn check_quorum(settings: &Settings, typed: &Typed<'_>) -> Result<(), ConfigError> {
    let voters = typed.list("controller.quorum.voters");
    let node = typed.i32("node.id").to_string();
    let is_this_node = |voter: &String| voter.split('@').next() == Some(node.as_str());
    if voters.len() <= 1 && voters.iter().all(is_this_node) {
        return Ok(());
    }
    let message =
        format!("a Kring node runs alone for now: controller.quorum.voters may name node {node} only");
    Err(settings.error("controller.quorum.voters", message))
}

/// Whoever sets one relies on being protected by it.
fn check_authorizer(settings: &Settings, typed: &Typed<'_>) -> Result<(), ConfigError> {
    let name = "authorizer.class.name";
    if typed.text(name).is_empty() {
        return Ok(());
    }
    let message =
        "Kring does not support authorization yet: without this property everybody may do everything";
    Err(settings.error(name, message))
}

fn check_cleaner_lag(settings: &Settings, typed: &Typed<'_>) -> Result<(), ConfigError> {
    let (min_name, max_name) = ("log.cleaner.min.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms");
    let (min, max) = (typed.i64(min_name), typed.i64(max_name));
    if min <= max {
        return Ok(());
    }
    let message = format!("{min_name} ({min}) is larger than {max_name} ({max})");
    Err(settings.error(min_name, message))
}

fn read_node(typed: &Typed<'_>) -> NodeConfig {
    let shards = typed.optional_i64("kring.shards");
    NodeConfig {
        id: typed.i32("node.id"),
        rack: typed.optional_text("broker.rack"),
        shards: shards.and_then(|count| usize::try_from(count).ok()),
    }
}

fn read_dirs(typed: &Typed<'_>) -> DirConfig {
    let named = typed.optional_list("log.dirs");
    let mut logs: Vec<PathBuf> = Vec::new();
    for dir in named.unwrap_or_else(|| typed.list("log.dir")) {
        let dir = PathBuf::from(dir);
        if !logs.contains(&dir) {
            logs.push(dir);
        }
    }
    assert!(!logs.is_empty(), "both rules refuse an empty list");
    let metadata = typed.optional_text("metadata.log.dir");
    DirConfig {
        metadata: metadata.map_or_else(|| logs[0].clone(), PathBuf::from),
        logs,
        reserve_bytes: typed.u64("log.dir.reserve.bytes"),
        disk: read_disk(typed).expect("it was checked before"),
    }
}

fn read_disk(typed: &Typed<'_>) -> Result<Vec<(String, String)>, String> {
    let mut tried = DiskSettings::default();
    let pair = |item: String| {
        let (name, value) = item.split_once('=').ok_or_else(|| format!("{item:?} is no name=value"))?;
        let (name, value) = (name.trim(), value.trim());
        tried.set(name, value).map(|()| (name.to_owned(), value.to_owned()))
    };
    typed.list("kring.disk.settings").into_iter().map(pair).collect()
}

fn read_listener_limits(layers: &Layers, listener: &str) -> ListenerLimits {
    ListenerLimits {
        max_connections: layers.count_of_listener(listener, "max.connections"),
        max_creation_rate: layers.count_of_listener(listener, "max.connection.creation.rate"),
    }
}

fn read_sockets(layers: &Layers, typed: &Typed<'_>, per_ip: BTreeMap<String, u32>) -> SocketConfig {
    let if_set = |name: &str| {
        let number = typed.limit(name).filter(|_| layers.fixed.contains_key(name));
        number.and_then(|number| u32::try_from(number).ok())
    };
    SocketConfig {
        request_max_bytes: typed.u32("socket.request.max.bytes"),
        idle_ms: typed.limit("connections.max.idle.ms"),
        max_connections: typed.u32("max.connections"),
        max_connections_per_ip: typed.u32("max.connections.per.ip"),
        max_connections_per_ip_overrides: per_ip,
        max_creation_rate: typed.u32("max.connection.creation.rate"),
        of_listeners: BTreeMap::new(),
        listen_backlog: if_set("socket.listen.backlog.size"),
        send_buffer_bytes: if_set("socket.send.buffer.bytes"),
        receive_buffer_bytes: if_set("socket.receive.buffer.bytes"),
    }
}

/// `host:count,…`; a host is a name or an address.
fn read_ip_overrides(typed: &Typed<'_>) -> Result<BTreeMap<String, u32>, String> {
    let text = typed.text("max.connections.per.ip.overrides");
    let entries = text.split(',').map(str::trim);
    entries
        .filter(|entry| !entry.is_empty())
        .map(|entry| {
            let parsed = entry
                .rsplit_once(':')
                .and_then(|(host, count)| Some((host.trim().to_owned(), count.trim().parse().ok()?)));
            parsed.ok_or_else(|| format!("cannot read '{entry}': an entry is host:count"))
        })
        .collect()
}

fn read_request_limits(typed: &Typed<'_>) -> RequestLimits {
    // As in Kafka: zero and less set no limit.
    let bytes = |name: &str| u64::try_from(typed.i64(name)).ok().filter(|bytes| *bytes > 0);
    RequestLimits {
        queued_max_bytes: bytes("queued.max.request.bytes"),
        unsent_max_bytes: bytes("queued.max.response.bytes"),
        fetch_max_bytes: typed.u32("fetch.max.bytes"),
        fetch_session_slots: typed.u32("max.incremental.fetch.session.cache.slots"),
        describe_partitions: typed.u32("max.request.partition.size.limit"),
    }
}

fn read_topic_defaults(typed: &Typed<'_>) -> TopicDefaults {
    TopicDefaults {
        num_partitions: typed.i32("num.partitions"),
        replication_factor: typed.i32("default.replication.factor"),
        is_auto_created: typed.bool("auto.create.topics.enable"),
        is_delete_allowed: typed.bool("delete.topic.enable"),
    }
}

fn read_logs(typed: &Typed<'_>) -> LogConfig {
    LogConfig {
        cache_bytes: typed.u64("kring.cache.bytes"),
        journal_bytes: typed.u64("kring.journal.bytes"),
        initial_delay_ms: typed.i64("log.initial.task.delay.ms"),
        retention_check_ms: typed.i64("log.retention.check.interval.ms"),
        recovery_checkpoint_ms: typed.i64("log.flush.offset.checkpoint.interval.ms"),
        start_offset_checkpoint_ms: typed.i64("log.flush.start.offset.checkpoint.interval.ms"),
        cleaner: CleanerConfig {
            is_enabled: typed.bool("log.cleaner.enable"),
            key_map_bytes: typed.limit("log.cleaner.dedupe.buffer.size").unwrap_or(0) as u64,
            key_map_load_factor: typed.f64("log.cleaner.io.buffer.load.factor"),
            io_buffer_bytes: typed.u32("log.cleaner.io.buffer.size"),
            io_bytes_per_second: typed.f64("log.cleaner.io.max.bytes.per.second"),
            backoff_ms: typed.i64("log.cleaner.backoff.ms"),
        },
    }
}

fn read_classic_groups(typed: &Typed<'_>) -> ClassicGroupConfig {
    ClassicGroupConfig {
        min_session_timeout_ms: typed.i32("group.min.session.timeout.ms"),
        max_session_timeout_ms: typed.i32("group.max.session.timeout.ms"),
        max_size: typed.u32("group.max.size"),
        initial_rebalance_delay_ms: typed.i32("group.initial.rebalance.delay.ms").max(0),
    }
}

fn read_offsets(typed: &Typed<'_>) -> OffsetsConfig {
    const MINUTE_MS: i64 = 60_000;
    OffsetsConfig {
        metadata_max_bytes: typed.i32("offset.metadata.max.bytes"),
        retention_ms: typed.i64("offsets.retention.minutes") * MINUTE_MS,
        retention_check_ms: typed.i64("offsets.retention.check.interval.ms"),
        commit_timeout_ms: typed.i32("offsets.commit.timeout.ms"),
        topic_partitions: typed.i32("offsets.topic.num.partitions"),
        topic_replication_factor: typed.i16("offsets.topic.replication.factor"),
        topic_segment_bytes: typed.u32("offsets.topic.segment.bytes"),
        topic_codec: typed.i32("offsets.topic.compression.codec"),
    }
}

fn read_producers(typed: &Typed<'_>) -> ProducerConfig {
    ProducerConfig {
        id_expiration_ms: typed.i64("producer.id.expiration.ms"),
        id_expiration_check_ms: typed.i64("producer.id.expiration.check.interval.ms"),
    }
}

fn read_metadata_log(typed: &Typed<'_>) -> MetadataLogConfig {
    MetadataLogConfig {
        segment_bytes: typed.u32("metadata.log.segment.bytes"),
        segment_ms: typed.i64("metadata.log.segment.ms").max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::property::{Kind, Rule};

    fn read(text: &str) -> Result<(BrokerConfig, Vec<ConfigNotice>), String> {
        BrokerConfig::from_sources(Some(("f", text)), &[], &Flags::default())
            .map_err(|error| error.to_string())
    }

    fn config(text: &str) -> BrokerConfig {
        read(text).unwrap().0
    }

    fn map(pairs: &[(&str, &str)]) -> ConfigMap {
        let owned = |(name, text): &(&str, &str)| (name.to_string(), text.to_string());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn nothing_at_all_is_a_durable_single_node_in_this_directory() {
        let (config, notices) = BrokerConfig::from_sources(None, &[], &Flags::default()).unwrap();
        assert_eq!(notices, []);
        assert_eq!(config.node.id, 1);
        assert_eq!(config.dirs.logs, [PathBuf::from("kring-data")]);
        assert_eq!(config.topic_defaults.flush_messages, 1);
        assert_eq!(config.offsets.topic_replication_factor, 1);
        assert_eq!(config.sockets.request_max_bytes, 104_857_600);
        assert_eq!(config.requests.fetch_max_bytes, 57_671_680);
    }

    #[test]
    fn what_is_said_of_disks_is_taken_as_it_stands_and_refused_where_it_cannot_be() {
        let said = config("kring.disk.settings = write.bytes=131072, writes.at.once = 4").dirs.disk;
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(said, [pair("write.bytes", "131072"), pair("writes.at.once", "4")]);
        assert_eq!(config("").dirs.disk, []);
        for (wrong, cause) in [
            ("write.bytes=1", "write.bytes=\"1\" is not a multiple of 4096 from 65536 to 16777216"),
            ("fast", "\"fast\" is no name=value"),
            ("luck=1", "\"luck\" is not known"),
        ] {
            let error = read(&format!("kring.disk.settings={wrong}")).unwrap_err();
            assert!(error.contains("kring.disk.settings") && error.contains(cause), "{error}");
        }
    }

    #[test]
    fn a_combined_node_file_in_kafkas_style_is_taken_as_it_is() {
        let (config, notices) = read(
            "process.roles=broker,controller\nnode.id=4\n\
             controller.quorum.bootstrap.servers=localhost:9093\n\
             controller.quorum.voters=4@localhost:9093\n\
             listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n\
             inter.broker.listener.name=PLAINTEXT\n\
             advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n\
             controller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
             num.network.threads=3\nsocket.send.buffer.bytes=-1\nsocket.receive.buffer.bytes=65536\n\
             log.dirs=/a,/b,/a\nlog.retention.hours=2\nlog.retention.minutes=\\\n  3\n",
        )
        .unwrap();
        assert_eq!(config.node.id, 4);
        assert_eq!(config.dirs.logs, [PathBuf::from("/a"), PathBuf::from("/b")]);
        let sockets = &config.sockets;
        let sizes = (sockets.send_buffer_bytes, sockets.receive_buffer_bytes, sockets.listen_backlog);
        assert_eq!(sizes, (None, Some(65536), None));
        assert_eq!(config.topic_defaults.retention_ms, Some(180_000));
        let said: Vec<_> = notices.iter().map(ToString::to_string).collect();
        let names = "controller.quorum.bootstrap.servers, controller.quorum.voters, \
                     num.network.threads";
        assert_eq!(said, [format!("known but not needed here: {names}")]);
    }

    #[test]
    fn the_listen_flag_replaces_the_files_listeners_and_keeps_what_an_option_advertises() {
        use crate::config::{Advertised, HostPort};
        let file = "listeners=A://:1\nlistener.security.protocol.map=A:PLAINTEXT,PLAINTEXT:PLAINTEXT\nadvertised.listeners=A://a:1\n";
        let flags = Flags { listen: Some("127.0.0.1:7".to_owned()), ..Flags::default() };
        let read = |options: &[(String, String)]| {
            let (config, _) = BrokerConfig::from_sources(Some(("f", file)), options, &flags).unwrap();
            config.listeners[0].advertised.clone()
        };
        assert_eq!(read(&[]), Advertised::AsBound);
        let option = ("advertised.listeners".to_owned(), "PLAINTEXT://outside:9".to_owned());
        assert_eq!(read(&[option]), Advertised::At(HostPort { host: "outside".to_owned(), port: 9 }));
    }

    #[test]
    fn roles_and_quorums_that_need_other_nodes_are_refused() {
        let role = read("process.roles=broker").unwrap_err();
        assert!(role.starts_with("f:1: a Kring node is broker and controller"), "{role}");
        let voters = "controller.quorum.voters=1@a:1,2@b:1";
        assert!(read(voters).unwrap_err().contains("runs alone for now"));
    }

    #[test]
    fn a_start_that_would_open_what_an_authorizer_protects_is_refused() {
        let class = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";
        let error = read(&format!("\nauthorizer.class.name={class}")).unwrap_err();
        assert!(
            error.starts_with("f:2: authorizer.class.name: Kring does not support authorization yet"),
            "{error}"
        );
        assert!(read("authorizer.class.name=").is_ok());
    }

    #[test]
    fn retention_of_nothing_is_refused_as_kafka_does() {
        let error = read("log.retention.hours=0").unwrap_err();
        assert!(error.contains("must be unlimited (-1) or, greater than or equal to 1"));
    }

    #[test]
    fn memory_for_less_than_the_largest_request_is_refused_as_kafka_does() {
        let error = read("queued.max.request.bytes=104857599").unwrap_err();
        assert!(
            error.contains("queued.max.request.bytes must be larger or equal to socket.request.max.bytes")
        );
        let smaller = config("queued.max.request.bytes=1000\nsocket.request.max.bytes=1000");
        assert_eq!(smaller.requests.queued_max_bytes, Some(1000));
        for unlimited in ["-1", "0"] {
            let config = config(&format!("queued.max.request.bytes={unlimited}"));
            assert_eq!(config.requests.queued_max_bytes, None);
        }
    }

    #[test]
    fn no_accepted_number_makes_the_reader_panic() {
        for property in defs::broker_properties() {
            for text in ["-1", "0", "1", "32767", "2147483647", "9223372036854775807"] {
                let is_number = matches!(property.kind, Kind::Int | Kind::Short | Kind::Long);
                if is_number && value::parse(property, text).is_ok() {
                    let _ = read(&format!("{}={text}", property.name));
                }
            }
        }
    }

    #[test]
    fn connection_overrides_are_read_and_bad_ones_named() {
        let config = config("max.connections.per.ip.overrides=10.0.0.1:5, ::1:6");
        let overrides = &config.sockets.max_connections_per_ip_overrides;
        assert_eq!((overrides["10.0.0.1"], overrides["::1"]), (5, 6));
        let error = read("max.connections.per.ip.overrides=a:b").unwrap_err();
        assert!(error.contains("'a:b'"), "{error}");
    }

    #[test]
    fn a_listener_has_limits_of_its_own_set_in_the_file_or_while_it_runs() {
        let fixed = config("listener.name.plaintext.max.connections=5");
        let of = |config: &BrokerConfig| config.sockets.of_listeners["PLAINTEXT"];
        let own = ListenerLimits { max_connections: Some(5), max_creation_rate: None };
        assert_eq!(of(&fixed), own);
        let (name, all) = ("listener.name.plaintext.max.connection.creation.rate", map(&[]));
        let changed = fixed.with_dynamic(&all, &map(&[(name, "7")]));
        assert_eq!(of(&changed), ListenerLimits { max_creation_rate: Some(7), ..own });
        assert_eq!(of(&config("")), ListenerLimits::default());
    }

    #[test]
    fn a_dynamic_value_beats_the_file_and_the_named_broker_beats_all() {
        let fixed = config("message.max.bytes=1000");
        let cluster = map(&[("message.max.bytes", "2000"), ("log.roll.ms", "5")]);
        let changed = fixed.with_dynamic(&cluster, &map(&[]));
        assert_eq!(changed.topic_defaults.max_message_bytes, 2000);
        assert_eq!(changed.topic_defaults.segment_ms, 5);
        let named = fixed.with_dynamic(&cluster, &map(&[("message.max.bytes", "3000")]));
        assert_eq!(named.topic_defaults.max_message_bytes, 3000);
        let back = changed.with_dynamic(&map(&[]), &map(&[]));
        assert_eq!(back.topic_defaults.max_message_bytes, 1000);
    }

    #[test]
    fn a_dynamic_value_that_does_not_parse_is_passed_over() {
        let changed = config("").with_dynamic(&map(&[("message.max.bytes", "x")]), &map(&[]));
        assert_eq!(changed.topic_defaults.max_message_bytes, 1_048_588);
    }

    #[test]
    fn every_list_default_has_a_rule_for_lists() {
        for property in defs::broker_properties() {
            let is_list_rule = matches!(property.rule, Rule::List { .. });
            assert!(!is_list_rule || property.kind == Kind::List, "{}", property.name);
        }
    }
}
