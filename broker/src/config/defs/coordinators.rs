//! Properties of groups, committed offsets, transactions and share groups.
//! Facts of Apache Kafka 4.3.1 and Kring's own defaults; never code. Constants: every core reads them.

use super::LIST_NOT_EMPTY;
use crate::config::property::properties;

properties! {
    /// Properties of groups, committed offsets, transactions and share groups.
    pub COORDINATORS =
    "add.partitions.to.txn.retry.backoff.max.ms": Int = "100", AtLeast(0);
        High ReadOnly Known
        "The longest pause before the broker asks again to add partitions to a transaction.";
    "add.partitions.to.txn.retry.backoff.ms": Int = "20", AtLeast(1);
        High ReadOnly Known
        "The first pause before the broker asks again to add partitions to a transaction.";
    "group.consumer.assignment.interval.ms": Int = "1000", AtLeast(0);
        Medium ClusterWide Known
        "The shortest time between two assignments of a consumer group of the new protocol.";
    "group.consumer.assignors": List = "uniform,range", LIST_NOT_EMPTY;
        Medium ReadOnly Known
        "The assignors of the new consumer protocol. The first is the default.";
    "group.consumer.heartbeat.interval.ms": Int = "5000", AtLeast(1);
        Medium ReadOnly Known "How often members of the new consumer protocol report.";
    "group.consumer.max.assignment.interval.ms": Int = "15000", AtLeast(0);
        Medium ReadOnly Known
        "The largest assignment interval that a consumer group may be given.";
    "group.consumer.max.heartbeat.interval.ms": Int = "15000", AtLeast(1);
        Medium ReadOnly Known "The largest heartbeat interval that a consumer group may be given.";
    "group.consumer.max.session.timeout.ms": Int = "60000", AtLeast(1);
        Medium ReadOnly Known "The largest session timeout that a consumer group may be given.";
    "group.consumer.max.size": Int = "2147483647", AtLeast(1);
        Medium ReadOnly Known "The most members of a consumer group of the new protocol.";
    "group.consumer.migration.policy": String = "bidirectional", OneOfAnyCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]);
        Medium ReadOnly Known
        "Which ways a group may change between the classic and the new protocol.";
    "group.consumer.min.assignment.interval.ms": Int = "0", AtLeast(0);
        Medium ReadOnly Known
        "The smallest assignment interval that a consumer group may be given.";
    "group.consumer.min.heartbeat.interval.ms": Int = "5000", AtLeast(1);
        Medium ReadOnly Known
        "The smallest heartbeat interval that a consumer group may be given.";
    "group.consumer.min.session.timeout.ms": Int = "45000", AtLeast(1);
        Medium ReadOnly Known "The smallest session timeout that a consumer group may be given.";
    hidden "group.consumer.regex.refresh.interval.ms": Int = "600000", AtLeast(10_000);
        Medium ReadOnly Known
        "How often subscriptions by pattern are matched anew against the topics.";
    "group.consumer.session.timeout.ms": Int = "45000", AtLeast(1);
        Medium ReadOnly Known
        "How long a member of the new consumer protocol may be silent before it is removed.";
    "group.coordinator.append.linger.ms": Int = "-1", AtLeast(-1);
        Medium ReadOnly Known
        "How long the group coordinator gathers records before it writes. -1 adapts to the load.";
    "group.coordinator.background.threads": Int = "2", AtLeast(1);
        High ReadOnly Known "Threads for slow work of the group coordinator in Kafka.";
    "group.coordinator.cached.buffer.max.bytes": Int = "1048588", AtLeast(524_288);
        Medium ClusterWide Known
        "The largest write buffer that the group coordinator keeps for reuse.";
    "group.coordinator.rebalance.protocols": List = "classic,consumer,streams", List { of: &["consumer", "classic", "share", "streams"], may_be_empty: false };
        Medium ReadOnly Known "Which group protocols are on. classic cannot be left out.";
    "group.coordinator.threads": Int = "4", AtLeast(1);
        High ReadOnly Known
        "Threads of the group coordinator in Kafka. Here each core runs its own groups.";
    "group.initial.rebalance.delay.ms": Int = "3000", Any;
        Medium ReadOnly Used
        "How long an empty classic group waits for more members before its first rebalance.";
    "group.max.session.timeout.ms": Int = "1800000", Any;
        Medium ReadOnly Used "The longest session timeout that a classic member may ask for.";
    "group.max.size": Int = "2147483647", AtLeast(1);
        Medium ReadOnly Used "The most members of a classic group.";
    "group.min.session.timeout.ms": Int = "6000", Any;
        Medium ReadOnly Used "The shortest session timeout that a classic member may ask for.";
    "group.share.assignment.interval.ms": Int = "1000", AtLeast(0);
        Medium ClusterWide Known "The shortest time between two assignments of a share group.";
    "group.share.assignors": List = "simple", LIST_NOT_EMPTY;
        Medium ReadOnly Known "The assignor of share groups.";
    "group.share.delivery.count.limit": Int = "5", Between(2, 10);
        Medium ReadOnly Known
        "How often a record is offered to a share group before it is given up.";
    "group.share.heartbeat.interval.ms": Int = "5000", AtLeast(1);
        Medium ReadOnly Known "How often members of a share group report.";
    hidden "group.share.initialize.retry.interval.ms": Int = "30000", AtLeast(1);
        Low ReadOnly Known "The pause before the start of a share partition is tried again.";
    "group.share.max.assignment.interval.ms": Int = "15000", AtLeast(0);
        Medium ReadOnly Known "The largest assignment interval that a share group may be given.";
    "group.share.max.delivery.count.limit": Int = "10", Between(5, 25);
        Medium ReadOnly Known "The largest delivery count limit that a share group may be given.";
    "group.share.max.heartbeat.interval.ms": Int = "15000", AtLeast(1);
        Medium ReadOnly Known "The largest heartbeat interval that a share group may be given.";
    "group.share.max.partition.max.record.locks": Int = "4000", Between(2000, 10_000);
        Medium ReadOnly Known
        "The largest number of record locks a partition that a share group may be given.";
    "group.share.max.record.lock.duration.ms": Int = "60000", Between(30_000, 3_600_000);
        Medium ReadOnly Known "The longest record lock that a share group may be given.";
    "group.share.max.session.timeout.ms": Int = "60000", AtLeast(1);
        Medium ReadOnly Known "The largest session timeout that a share group may be given.";
    "group.share.max.share.sessions": Int = "2000", AtLeast(1);
        Medium ReadOnly Known "The most share sessions that the broker remembers.";
    "group.share.max.size": Int = "200", Between(1, 1000);
        Medium ReadOnly Known "The most members of a share group.";
    "group.share.min.assignment.interval.ms": Int = "0", AtLeast(0);
        Medium ReadOnly Known "The smallest assignment interval that a share group may be given.";
    "group.share.min.delivery.count.limit": Int = "2", Between(2, 5);
        Medium ReadOnly Known "The smallest delivery count limit that a share group may be given.";
    "group.share.min.heartbeat.interval.ms": Int = "5000", AtLeast(1);
        Medium ReadOnly Known "The smallest heartbeat interval that a share group may be given.";
    "group.share.min.partition.max.record.locks": Int = "100", Between(100, 2000);
        Medium ReadOnly Known
        "The smallest number of record locks a partition that a share group may be given.";
    "group.share.min.record.lock.duration.ms": Int = "15000", Between(1000, 30_000);
        Medium ReadOnly Known "The shortest record lock that a share group may be given.";
    "group.share.min.session.timeout.ms": Int = "45000", AtLeast(1);
        Medium ReadOnly Known "The smallest session timeout that a share group may be given.";
    "group.share.partition.max.record.locks": Int = "2000", Between(100, 10_000);
        Medium ReadOnly Known
        "The most records of one partition that a share group may hold at a time.";
    hidden "group.share.persister.class.name": String = "org.apache.kafka.server.share.persister.DefaultStatePersister", Any;
        Medium ReadOnly Known "The Java class that keeps the state of share groups in Kafka.";
    "group.share.record.lock.duration.ms": Int = "30000", Between(1000, 3_600_000);
        Medium ReadOnly Known
        "How long a record stays with one member of a share group before it is offered again.";
    "group.share.session.timeout.ms": Int = "45000", AtLeast(1);
        Medium ReadOnly Known
        "How long a member of a share group may be silent before it is removed.";
    "group.streams.assignment.interval.ms": Int = "1000", AtLeast(0);
        Medium ClusterWide Known "The shortest time between two assignments of a streams group.";
    "group.streams.heartbeat.interval.ms": Int = "5000", AtLeast(1);
        Medium ReadOnly Known "How often members of a streams group report.";
    "group.streams.initial.rebalance.delay.ms": Int = "3000", AtLeast(0);
        Medium ReadOnly Known
        "How long an empty streams group waits for more members before its first rebalance.";
    "group.streams.max.assignment.interval.ms": Int = "15000", AtLeast(0);
        Medium ReadOnly Known "The largest assignment interval that a streams group may be given.";
    "group.streams.max.heartbeat.interval.ms": Int = "15000", AtLeast(1);
        Medium ReadOnly Known "The largest heartbeat interval that a streams group may be given.";
    "group.streams.max.session.timeout.ms": Int = "60000", AtLeast(1);
        Medium ReadOnly Known "The largest session timeout that a streams group may be given.";
    "group.streams.max.size": Int = "2147483647", AtLeast(1);
        Medium ReadOnly Known "The most members of a streams group.";
    "group.streams.max.standby.replicas": Int = "2", AtLeast(0);
        Medium ReadOnly Known
        "The most standby copies of a task that a streams group may be given.";
    "group.streams.min.assignment.interval.ms": Int = "0", AtLeast(0);
        Medium ReadOnly Known
        "The smallest assignment interval that a streams group may be given.";
    "group.streams.min.heartbeat.interval.ms": Int = "5000", AtLeast(1);
        Medium ReadOnly Known "The smallest heartbeat interval that a streams group may be given.";
    "group.streams.min.session.timeout.ms": Int = "45000", AtLeast(1);
        Medium ReadOnly Known "The smallest session timeout that a streams group may be given.";
    "group.streams.num.standby.replicas": Int = "0", AtLeast(0);
        Medium ReadOnly Known "Standby copies of each task of a streams group.";
    "group.streams.session.timeout.ms": Int = "45000", AtLeast(1);
        Medium ReadOnly Known
        "How long a member of a streams group may be silent before it is removed.";
    "offset.metadata.max.bytes": Int = "4096", Any;
        High ReadOnly Used "The largest text that may be stored with a committed offset.";
    "offsets.commit.timeout.ms": Int = "5000", AtLeast(1);
        High ReadOnly Used "How long an offset commit waits to be durable before it fails.";
    "offsets.load.buffer.size": Int = "5242880", AtLeast(1);
        High ReadOnly Known "Bytes read at a time when Kafka loads committed offsets.";
    "offsets.retention.check.interval.ms": Long = "600000", AtLeast(1);
        High ReadOnly Used "How often committed offsets are checked for expiry.";
    "offsets.retention.minutes": Int = "10080", AtLeast(1);
        High ReadOnly Used "Minutes that committed offsets are kept once their group is empty.";
    "offsets.topic.compression.codec": Int = "0", Any;
        High ReadOnly Used
        "The codec of __consumer_offsets by number: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.";
    "offsets.topic.num.partitions": Int = "50", AtLeast(1);
        High ReadOnly Used
        "Partitions of __consumer_offsets. It cannot change once the topic exists.";
    "offsets.topic.replication.factor": Short = "1", AtLeast(1);
        High ReadOnly Used "The replication factor of __consumer_offsets.";
    "offsets.topic.segment.bytes": Int = "104857600", AtLeast(1);
        High ReadOnly Used "The segment size of __consumer_offsets.";
    hidden "producer.id.expiration.check.interval.ms": Int = "600000", AtLeast(1);
        Low ReadOnly Used "How often producer ids are checked for expiry.";
    "producer.id.expiration.ms": Int = "86400000", AtLeast(1);
        Low ClusterWide Used
        "How long a partition remembers an idempotent producer that is silent.";
    "share.coordinator.append.linger.ms": Int = "-1", AtLeast(-1);
        Medium ReadOnly Known
        "How long the share coordinator gathers records before it writes. -1 adapts to the load.";
    "share.coordinator.cached.buffer.max.bytes": Int = "1048588", AtLeast(524_288);
        Medium ClusterWide Known
        "The largest write buffer that the share coordinator keeps for reuse.";
    hidden "share.coordinator.cold.partition.snapshot.interval.ms": Int = "300000", AtLeast(1);
        Low ReadOnly Known "How often the state of quiet share partitions is written anew.";
    "share.coordinator.load.buffer.size": Int = "5242880", AtLeast(1);
        High ReadOnly Known "Bytes read at a time when share state is loaded.";
    "share.coordinator.snapshot.update.records.per.snapshot": Int = "500", Between(0, 500);
        Medium ReadOnly Known "Share state updates between two whole snapshots.";
    "share.coordinator.state.topic.compression.codec": Int = "0", Any;
        High ReadOnly Known "The codec of __share_group_state by number.";
    "share.coordinator.state.topic.min.isr": Short = "1", AtLeast(1);
        High ReadOnly Known "The min.insync.replicas of __share_group_state.";
    "share.coordinator.state.topic.num.partitions": Int = "50", AtLeast(1);
        High ReadOnly Known "Partitions of __share_group_state.";
    hidden "share.coordinator.state.topic.prune.interval.ms": Int = "300000", AtLeast(1);
        Low ReadOnly Known "How often old share state is deleted.";
    "share.coordinator.state.topic.replication.factor": Short = "1", AtLeast(1);
        High ReadOnly Known "The replication factor of __share_group_state.";
    "share.coordinator.state.topic.segment.bytes": Int = "104857600", AtLeast(1);
        High ReadOnly Known "The segment size of __share_group_state.";
    "share.coordinator.threads": Int = "1", AtLeast(1);
        Medium ReadOnly Known "Threads of the share coordinator in Kafka.";
    "share.coordinator.write.timeout.ms": Int = "5000", AtLeast(1);
        High ReadOnly Known "How long a write of share state may take.";
    "share.fetch.purgatory.purge.interval.requests": Int = "1000", Any;
        Medium ReadOnly Known
        "How often Kafka sweeps finished share fetches out of its waiting list.";
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": Int = "10000", AtLeast(1);
        Low ReadOnly Known "How often transactions that ran out of time are aborted.";
    "transaction.max.timeout.ms": Int = "900000", AtLeast(1);
        High ReadOnly Known "The longest timeout that a transactional producer may ask for.";
    "transaction.partition.verification.enable": Boolean = "true", Any;
        Low ClusterWide Known
        "Whether each transactional append is checked against its transaction.";
    "transaction.remove.expired.transaction.cleanup.interval.ms": Int = "3600000", AtLeast(1);
        Low ReadOnly Known "How often transactional ids are checked for expiry.";
    "transaction.state.log.load.buffer.size": Int = "5242880", AtLeast(1);
        High ReadOnly Known "Bytes read at a time when transaction state is loaded.";
    "transaction.state.log.min.isr": Int = "1", AtLeast(1);
        High ReadOnly Known "The min.insync.replicas of __transaction_state.";
    "transaction.state.log.num.partitions": Int = "50", AtLeast(1);
        High ReadOnly Known
        "Partitions of __transaction_state. It cannot change once the topic exists.";
    "transaction.state.log.replication.factor": Short = "1", AtLeast(1);
        High ReadOnly Known "The replication factor of __transaction_state.";
    "transaction.state.log.segment.bytes": Int = "104857600", AtLeast(1);
        High ReadOnly Known "The segment size of __transaction_state.";
    "transaction.two.phase.commit.enable": Boolean = "false", Any;
        Low ReadOnly Known
        "Whether a producer may leave a prepared transaction open without a timeout.";
    "transactional.id.expiration.ms": Int = "604800000", AtLeast(1);
        High ReadOnly Known "How long a silent transactional id is remembered.";
}
