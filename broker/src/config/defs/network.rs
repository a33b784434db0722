//! Properties of listeners, sockets, connections and limits on requests.
//! Facts of Apache Kafka 4.3.1 and Kring's own defaults; never code. Constants: every core reads them.
//!
//! Kafka lets a running broker change its listeners; Kring does not, so they are read-only here.

use super::{LIST, LIST_NOT_EMPTY};
use crate::config::property::properties;

properties! {
    /// Properties of listeners, sockets, connections and limits on requests.
    pub NETWORK =
    "advertised.listeners": List = null, LIST_NOT_EMPTY;
        High ReadOnly Used
        "The addresses that clients are told to connect to. Without it they are told the listeners themselves.";
    "background.threads": Int = "10", AtLeast(1);
        High ClusterWide Known
        "Threads for background work in Kafka. Background work here has its own task queue on each core.";
    "connections.max.idle.ms": Long = "600000", Any;
        Medium ReadOnly Used "A connection without traffic for this long is closed. -1 keeps it.";
    "early.start.listeners": List = null, LIST;
        High ReadOnly Known "Listeners that open before the broker has finished starting.";
    "fetch.max.bytes": Int = "57671680", AtLeast(1024);
        Medium ReadOnly Used
        "The most bytes in one fetch response. A first batch larger than this is still returned.";
    "inter.broker.listener.name": String = null, Any;
        Medium ReadOnly Used
        "The listener that brokers use among themselves, and whose address is advertised to them.";
    "listener.security.protocol.map": String = "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT", Any;
        Low ReadOnly Used "The security protocol of each listener name, as NAME:PROTOCOL.";
    "listeners": List = "PLAINTEXT://localhost:9092", LIST_NOT_EMPTY;
        High ReadOnly Used
        "The addresses that the broker listens on, as NAME://host:port. An empty host is every interface.";
    "max.connection.creation.rate": Int = "2147483647", AtLeast(0);
        Medium ClusterWide Used "New connections a second that the broker accepts, after a first second's worth; further ones wait. Also of a \
         listener: listener.name.<name>.max.connection.creation.rate.";
    "max.connections": Int = "2147483647", AtLeast(0);
        Medium ClusterWide Used "The most connections open at a time; further ones wait. Also of a listener: \
         listener.name.<name>.max.connections.";
    "max.connections.per.ip": Int = "2147483647", AtLeast(0);
        Medium ClusterWide Used "The most connections open at a time from one address.";
    "max.connections.per.ip.overrides": String = "", Any;
        Medium ClusterWide Used "Other limits for single addresses, as host:count.";
    "max.incremental.fetch.session.cache.slots": Int = "1000", AtLeast(0);
        Medium ReadOnly Used "The most incremental fetch sessions that the broker remembers.";
    "max.request.partition.size.limit": Int = "2000", AtLeast(1);
        Medium ReadOnly Used
        "The most partitions that one DescribeTopicPartitions response lists.";
    "num.io.threads": Int = "8", AtLeast(1);
        High ClusterWide Known
        "Request threads in Kafka. Here each core serves its own connections.";
    "num.network.threads": Int = "3", AtLeast(1);
        High ClusterWide Known
        "Network threads in Kafka. Here each core serves its own connections.";
    "queued.max.request.bytes": Long = "-1", Any;
        Medium ReadOnly Used
        "Memory for requests that are not answered yet; beyond it connections are not read. Not below \
         socket.request.max.bytes. -1 is a quarter of the machine's memory.";
    "queued.max.requests": Int = "500", AtLeast(1);
        High ReadOnly Known "Waiting requests at which Kafka stops reading.";
    "socket.connection.setup.timeout.max.ms": Long = "30000", Any;
        Medium ReadOnly Known
        "The longest that a connection of this node to another may take to be set up.";
    "socket.connection.setup.timeout.ms": Long = "10000", Any;
        Medium ReadOnly Known
        "How long a first connection of this node to another may take to be set up.";
    "socket.listen.backlog.size": Int = "50", AtLeast(1);
        Medium ReadOnly Used "Connections that may wait to be accepted, on each listener of each shard. Where it is not set, 1024.";
    "socket.receive.buffer.bytes": Int = "102400", Any;
        High ReadOnly Used "The receive buffer of client sockets. -1, or not setting it, leaves it to the system.";
    "socket.request.max.bytes": Int = "104857600", AtLeast(1);
        High ReadOnly Used "The largest request. A connection that announces more is closed.";
    "socket.send.buffer.bytes": Int = "102400", Any;
        High ReadOnly Used "The send buffer of client sockets. -1, or not setting it, leaves it to the system.";
}
