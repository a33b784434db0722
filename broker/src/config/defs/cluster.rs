//! Properties of the node, the controller quorum, replication, quotas and metrics.
//! Facts of Apache Kafka 4.3.1 and Kring's own defaults; never code. Constants: every core reads them.

use super::{LIST, LIST_NOT_EMPTY};
use crate::config::property::properties;

properties! {
    /// Properties of the node, the controller quorum, replication, quotas and metrics.
    pub CLUSTER =
    "alter.config.policy.class.name": Class = null, Any;
        Low ReadOnly Known
        "A Java class that may veto config changes. Java plug-ins are not loaded here.";
    "alter.log.dirs.replication.quota.window.num": Int = "11", AtLeast(1);
        Low ReadOnly Known
        "How many past windows count when moves between log directories are throttled.";
    "alter.log.dirs.replication.quota.window.size.seconds": Int = "1", AtLeast(1);
        Low ReadOnly Known
        "How long one window lasts when moves between log directories are throttled.";
    "auto.leader.rebalance.enable": Boolean = "true", Any;
        High ReadOnly Known
        "Whether leadership is handed back to preferred replicas from time to time.";
    "broker.heartbeat.interval.ms": Int = "2000", Any;
        Medium ReadOnly Known "How often a broker reports to the controller quorum.";
    "broker.id": Int = "-1", Any;
        High ReadOnly Used "The older name of node.id. Where both are given they must agree.";
    "broker.rack": String = null, Any;
        Medium ReadOnly Used
        "The rack or zone of this broker, told to clients that prefer replicas close by.";
    "broker.session.timeout.ms": Int = "9000", Any;
        Medium ReadOnly Known "How long a broker may be silent before the controller fences it.";
    "client.quota.callback.class": Class = null, Any;
        Low ReadOnly Known
        "A Java class that computes client quotas. Java plug-ins are not loaded here.";
    "config.providers": List = "", LIST;
        Low ClusterWide Known
        "Java classes that look up values such as secrets. Java plug-ins are not loaded here.";
    "controlled.shutdown.enable": Boolean = "true", Any;
        Medium ReadOnly Known "Whether leadership is handed over before the broker stops.";
    "controller.listener.names": List = "CONTROLLER", LIST_NOT_EMPTY;
        High ReadOnly Used
        "The listeners meant for controllers. With one node they are parsed and not bound.";
    hidden "controller.performance.always.log.threshold.ms": Long = "2000", AtLeast(0);
        Medium ReadOnly Known "A controller event slower than this is always logged by Kafka.";
    hidden "controller.performance.sample.period.ms": Long = "60000", AtLeast(100);
        Medium ReadOnly Known "How often Kafka logs its slowest controller events.";
    "controller.quorum.append.linger.ms": Int = "25", AtLeast(0);
        Medium ReadOnly Known "How long a quorum leader gathers records before it writes them.";
    "controller.quorum.auto.join.enable": Boolean = "false", Any;
        Low ReadOnly Known "Whether a controller joins the set of voters by itself.";
    "controller.quorum.bootstrap.servers": List = "", HostPorts;
        High ReadOnly Known "Addresses, as host:port, where the controller quorum can be found.";
    "controller.quorum.election.backoff.max.ms": Int = "1000", AtLeast(0);
        High ReadOnly Known "The longest pause after an election without a winner.";
    "controller.quorum.election.timeout.ms": Int = "1000", AtLeast(0);
        High ReadOnly Known "How long a candidate waits for votes.";
    "controller.quorum.fetch.max.bytes": Int = "1048576", AtLeast(1);
        Low ReadOnly Known "The most metadata bytes in one fetch between controllers.";
    "controller.quorum.fetch.snapshot.max.bytes": Int = "1048576", AtLeast(1);
        Low ReadOnly Known "The most snapshot bytes in one fetch between controllers.";
    "controller.quorum.fetch.timeout.ms": Int = "2000", AtLeast(0);
        High ReadOnly Known
        "How long a follower of the quorum goes without a fetch before it calls an election.";
    "controller.quorum.request.timeout.ms": Int = "2000", AtLeast(0);
        Medium ReadOnly Known "How long a request between controllers may take.";
    "controller.quorum.retry.backoff.ms": Int = "20", AtLeast(0);
        Low ReadOnly Known "The pause before a failed request between controllers is sent again.";
    "controller.quorum.voters": List = "", QuorumVoters;
        High ReadOnly Known
        "The static set of controllers, as id@host:port. One node needs only itself.";
    "controller.quota.window.num": Int = "11", AtLeast(1);
        Low ReadOnly Known "How many past windows count when topic changes are throttled.";
    "controller.quota.window.size.seconds": Int = "1", AtLeast(1);
        Low ReadOnly Known "How long one window lasts when topic changes are throttled.";
    "controller.socket.timeout.ms": Int = "30000", Any;
        Medium ReadOnly Known "How long the controller waits on a socket to a broker.";
    "create.topic.policy.class.name": Class = null, Any;
        Low ReadOnly Known
        "A Java class that may veto new topics. Java plug-ins are not loaded here.";
    "delete.records.purgatory.purge.interval.requests": Int = "1", Any;
        Medium ReadOnly Known
        "How often Kafka sweeps finished DeleteRecords requests out of its waiting list.";
    "fetch.purgatory.purge.interval.requests": Int = "1000", Any;
        Medium ReadOnly Known "How often Kafka sweeps finished fetches out of its waiting list.";
    "initial.broker.registration.timeout.ms": Int = "60000", Any;
        Medium ReadOnly Known "How long a starting broker waits for the quorum to register it.";
    "kafka.metrics.polling.interval.secs": Int = "10", AtLeast(1);
        Low ReadOnly Known "How often Kafka's older metrics reporters are polled.";
    "kafka.metrics.reporters": List = "", LIST;
        Low ReadOnly Known "Java classes that Kafka's older metrics are reported to.";
    "leader.imbalance.check.interval.seconds": Long = "300", AtLeast(1);
        High ReadOnly Known
        "How often it is checked whether leadership sits on preferred replicas.";
    "metric.reporters": List = "org.apache.kafka.common.metrics.JmxReporter", LIST;
        Low ClusterWide Known
        "Java classes that metrics are reported to. Java plug-ins are not loaded here.";
    "metrics.num.samples": Int = "2", AtLeast(1);
        Low ReadOnly Known "How many samples Kafka's metrics are computed from.";
    "metrics.recording.level": String = "INFO", Any;
        Low ReadOnly Known "Which of Kafka's metrics are recorded.";
    "metrics.sample.window.ms": Long = "30000", AtLeast(1);
        Low ReadOnly Known "The time that one sample of Kafka's metrics spans.";
    "node.id": Int = "1", AtLeast(0);
        High ReadOnly Used "The number of this node in the cluster.";
    "num.replica.fetchers": Int = "1", AtLeast(1);
        High ClusterWide Known "Fetchers for each broker that is followed.";
    "process.roles": List = "broker,controller", List { of: &["broker", "controller"], may_be_empty: false };
        High ReadOnly Used
        "What this node is: broker, controller or both. One node is always both.";
    "producer.purgatory.purge.interval.requests": Int = "1000", Any;
        Medium ReadOnly Known
        "How often Kafka sweeps finished produce requests out of its waiting list.";
    "quota.window.num": Int = "11", AtLeast(1);
        Low ReadOnly Known "How many past windows count for client quotas.";
    "quota.window.size.seconds": Int = "1", AtLeast(1);
        Low ReadOnly Known "How long one window of client quotas lasts.";
    "replica.fetch.backoff.ms": Int = "1000", AtLeast(0);
        Medium ReadOnly Known "The pause of a follower after a failed fetch.";
    "replica.fetch.max.bytes": Int = "1048576", AtLeast(0);
        Medium ReadOnly Known "Bytes of one partition that a follower asks for at a time.";
    "replica.fetch.min.bytes": Int = "1", Any;
        High ReadOnly Known "Bytes that a follower's fetch waits for.";
    "replica.fetch.response.max.bytes": Int = "10485760", AtLeast(0);
        Medium ReadOnly Known "Bytes of a whole response that a follower asks for.";
    "replica.fetch.wait.max.ms": Int = "500", Any;
        High ReadOnly Known "How long a follower's fetch waits for bytes.";
    "replica.high.watermark.checkpoint.interval.ms": Long = "5000", Any;
        High ReadOnly Known "How often high watermarks are written down.";
    "replica.lag.time.max.ms": Long = "30000", Any;
        High ReadOnly Known "How long a follower may lag before it leaves the in-sync replicas.";
    "replica.selector.class": String = null, Any;
        Medium ReadOnly Known "The Java class that picks the replica a consumer reads from.";
    "replica.socket.receive.buffer.bytes": Int = "65536", Any;
        High ReadOnly Known "The socket receive buffer of followers.";
    "replica.socket.timeout.ms": Int = "30000", Any;
        High ReadOnly Known "How long a follower waits on its socket.";
    "replication.quota.window.num": Int = "11", AtLeast(1);
        Low ReadOnly Known "How many past windows count when replication is throttled.";
    "replication.quota.window.size.seconds": Int = "1", AtLeast(1);
        Low ReadOnly Known "How long one window lasts when replication is throttled.";
    "request.timeout.ms": Int = "30000", Any;
        High ReadOnly Known "How long this node waits for an answer to a request of its own.";
    hidden "server.max.startup.time.ms": Long = "9223372036854775807", AtLeast(0);
        Medium ReadOnly Known "How long a start may take before Kafka gives up.";
    "telemetry.max.bytes": Int = "1048576", AtLeast(1);
        Low ReadOnly Known "The largest metrics report that a client may push.";
    hidden "unstable.api.versions.enable": Boolean = "false", Any;
        High ReadOnly Known "Whether versions of APIs that are still in the making are offered.";
    hidden "unstable.feature.versions.enable": Boolean = "false", Any;
        High ReadOnly Known
        "Whether versions of features that are still in the making are offered.";
}
