//! Properties of one group, as clients set them.
//! Facts of Apache Kafka 4.3.1 and Kring's own defaults; never code. Constants: every core reads them.

use crate::config::property::properties;

properties! {
    /// Properties of one group, as clients set them.
    pub GROUP_LEVEL =
    "consumer.assignment.interval.ms": Int = "1000", AtLeast(0);
        Medium ClusterWide Known "The shortest time between two assignments of the group.";
    "consumer.heartbeat.interval.ms": Int = "5000", AtLeast(1);
        Medium ClusterWide Known "How often the group's consumers report.";
    "consumer.session.timeout.ms": Int = "45000", AtLeast(1);
        Medium ClusterWide Known "How long a consumer may be silent before it is removed.";
    "share.assignment.interval.ms": Int = "1000", AtLeast(0);
        Medium ClusterWide Known "The shortest time between two assignments of the share group.";
    "share.auto.offset.reset": String = "latest", ShareOffsetReset;
        Medium ClusterWide Known
        "Where a new share group begins: earliest, latest, or a duration back from now.";
    "share.delivery.count.limit": Int = "5", AtLeast(2);
        Medium ClusterWide Known "How often a record is offered before it is given up.";
    "share.heartbeat.interval.ms": Int = "5000", AtLeast(1);
        Medium ClusterWide Known "How often the share group's members report.";
    "share.isolation.level": String = "read_uncommitted", OneOf(&["read_committed", "read_uncommitted"]);
        Medium ClusterWide Known
        "Whether the share group sees records of open and aborted transactions.";
    "share.partition.max.record.locks": Int = "2000", AtLeast(100);
        Medium ClusterWide Known
        "The most records of one partition that the group may hold at a time.";
    "share.record.lock.duration.ms": Int = "30000", AtLeast(1000);
        Medium ClusterWide Known
        "How long a record stays with one member before it is offered again.";
    "share.renew.acknowledge.enable": Boolean = "true", Any;
        Medium ClusterWide Known "Whether a member may prolong its hold on a record.";
    "share.session.timeout.ms": Int = "45000", AtLeast(1);
        Medium ClusterWide Known
        "How long a member of the share group may be silent before it is removed.";
    "streams.assignment.interval.ms": Int = "1000", AtLeast(0);
        Medium ClusterWide Known "The shortest time between two assignments of the streams group.";
    "streams.heartbeat.interval.ms": Int = "5000", AtLeast(1);
        Medium ClusterWide Known "How often the streams group's members report.";
    "streams.initial.rebalance.delay.ms": Int = "3000", AtLeast(0);
        Medium ClusterWide Known
        "How long the empty streams group waits for more members before its first rebalance.";
    "streams.num.standby.replicas": Int = "0", AtLeast(0);
        Medium ClusterWide Known "Standby copies of each task of the streams group.";
    "streams.session.timeout.ms": Int = "45000", AtLeast(1);
        Medium ClusterWide Known
        "How long a member of the streams group may be silent before it is removed.";
}
