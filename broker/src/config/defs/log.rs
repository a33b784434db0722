//! Properties of logs and topics: segments, retention, compaction, flushing, defaults of new topics.
//! Facts of Apache Kafka 4.3.1 and Kring's own defaults; never code. Constants: every core reads them.

use super::{LIST, LIST_NOT_EMPTY};
use crate::config::property::properties;

properties! {
    /// Properties of logs and topics: segments, retention, compaction, flushing, defaults of new topics.
    pub LOG =
    "auto.create.topics.enable": Boolean = "true", Any;
        High ReadOnly Used "Whether a topic is created when a client first asks for it.";
    "compression.gzip.level": Int = "-1", GzipLevel;
        Medium ClusterWide Used
        "How hard gzip works where the broker compresses. -1 is the codec's own choice.";
    "compression.lz4.level": Int = "9", Between(1, 17);
        Medium ClusterWide Used "How hard lz4 works where the broker compresses.";
    "compression.type": String = "producer", OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]);
        High ClusterWide Used "The codec of stored batches. producer keeps each batch as it came.";
    "compression.zstd.level": Int = "3", Between(-131_072, 22);
        Medium ClusterWide Used "How hard zstd works where the broker compresses.";
    "cordoned.log.dirs": List = "", LIST;
        Medium PerBroker Known "Log directories that take no new partitions.";
    "default.replication.factor": Int = "1", Any;
        Medium ReadOnly Used "The replication factor of a topic that is created without one.";
    "delete.topic.enable": Boolean = "true", Any;
        High ReadOnly Used "Whether DeleteTopics is allowed.";
    hidden "internal.metadata.delete.delay.millis": Long = "60000", Any;
        Low ReadOnly Known "How long a replaced metadata segment or snapshot stays on disk.";
    hidden "internal.metadata.log.segment.bytes": Int = null, Any;
        Low ReadOnly Known "The segment size of the metadata log in Kafka's own tests.";
    hidden "internal.metadata.max.batch.size.in.bytes": Int = "8388608", Any;
        Low ReadOnly Known "The largest batch of the metadata log in Kafka's own tests.";
    "log.cleaner.backoff.ms": Long = "15000", AtLeast(0);
        Medium ClusterWide Used "How long compaction sleeps when nothing is dirty enough.";
    "log.cleaner.dedupe.buffer.size": Long = "134217728", Any;
        Medium ClusterWide Used
        "Memory for the key map of compaction, in bytes, for the whole broker.";
    "log.cleaner.delete.retention.ms": Long = "86400000", AtLeast(0);
        Medium ClusterWide Used "How long a tombstone stays readable after it was compacted.";
    "log.cleaner.enable": Boolean = "true", Any;
        Medium ReadOnly Used "Whether compaction runs at all.";
    "log.cleaner.io.buffer.load.factor": Double = "0.9", Any;
        Medium ClusterWide Known "How full the key map of Kafka's compaction may get.";
    "log.cleaner.io.buffer.size": Int = "524288", AtLeast(0);
        Medium ClusterWide Known "Memory for reading and writing in Kafka's compaction, in bytes.";
    "log.cleaner.io.max.bytes.per.second": Double = "1.7976931348623157E308", Any;
        Medium ClusterWide Used "How many bytes a second compaction may read and write together.";
    "log.cleaner.max.compaction.lag.ms": Long = "9223372036854775807", AtLeast(1);
        Medium ClusterWide Used
        "A record becomes due for compaction at the latest after this time.";
    "log.cleaner.min.cleanable.ratio": Double = "0.5", UpTo(1.0);
        Medium ClusterWide Used "The part of a log that must be dirty before it is compacted.";
    "log.cleaner.min.compaction.lag.ms": Long = "0", AtLeast(0);
        Medium ClusterWide Used "A record is not compacted before this time has passed.";
    "log.cleaner.threads": Int = "1", AtLeast(0);
        Medium ClusterWide Known
        "Compaction threads in Kafka. Here compaction runs beside the partition, on its core.";
    "log.cleanup.policy": List = "delete", List { of: &["compact", "delete"], may_be_empty: true };
        Medium ClusterWide Used
        "What happens to old segments: delete, compact, both, or neither when empty.";
    "log.dir": List = "kring-data", LIST_NOT_EMPTY;
        High ReadOnly Used
        "The data directory, when log.dirs is not set. A comma separates several.";
    "log.dir.failure.timeout.ms": Long = "30000", AtLeast(1);
        Low ReadOnly Known
        "How long a broker may fail to report a broken log directory before it stops.";
    "log.dirs": List = null, LIST_NOT_EMPTY;
        High ReadOnly Used "The data directories. Without it log.dir is taken.";
    "log.flush.interval.messages": Long = "1", AtLeast(1);
        High ClusterWide Used
        "Records that may be written before the log is flushed. 1 makes each acknowledged record durable.";
    "log.flush.interval.ms": Long = null, Any;
        High ClusterWide Used "How long a record may wait in memory before the log is flushed.";
    "log.flush.offset.checkpoint.interval.ms": Int = "60000", AtLeast(0);
        High ReadOnly Used "How often the point up to which logs are flushed is written down.";
    "log.flush.scheduler.interval.ms": Long = "9223372036854775807", Any;
        High ReadOnly Used
        "How often it is checked whether a log is due for a flush; stands in for log.flush.interval.ms.";
    "log.flush.start.offset.checkpoint.interval.ms": Int = "60000", AtLeast(0);
        High ReadOnly Used "How often the start offsets of logs are written down.";
    "log.index.interval.bytes": Int = "4096", AtLeast(0);
        Medium ClusterWide Used "How many bytes of log lie between two index entries.";
    "log.index.size.max.bytes": Int = "10485760", AtLeast(4);
        Medium ClusterWide Used "The largest size of an offset index.";
    hidden "log.initial.task.delay.ms": Long = "30000", AtLeast(0);
        Low ReadOnly Used "How long the first round of log housekeeping waits after the start.";
    "log.local.retention.bytes": Long = "-2", AtLeast(-2);
        Medium ClusterWide Known
        "Bytes of a partition kept locally with remote storage. -2 follows log.retention.bytes.";
    "log.local.retention.ms": Long = "-2", AtLeast(-2);
        Medium ClusterWide Known
        "How long segments are kept locally with remote storage. -2 follows log.retention.ms.";
    "log.message.timestamp.after.max.ms": Long = "3600000", AtLeast(0);
        Medium ClusterWide Used "How far ahead of the broker's clock a record's timestamp may be.";
    "log.message.timestamp.before.max.ms": Long = "9223372036854775807", AtLeast(0);
        Medium ClusterWide Used "How far behind the broker's clock a record's timestamp may be.";
    "log.message.timestamp.type": String = "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]);
        Medium ClusterWide Used
        "Whether a record keeps its creation time or gets the time of its append.";
    "log.preallocate": Boolean = "false", Any;
        Medium ClusterWide Known
        "Whether Kafka sets aside a segment's whole size when it creates it. Space is added by need here.";
    "log.retention.bytes": Long = "-1", Any;
        High ClusterWide Used "Bytes of a partition that are kept. -1 is no limit.";
    "log.retention.check.interval.ms": Long = "300000", AtLeast(1);
        Medium ReadOnly Used "How often segments are checked for deletion.";
    "log.retention.hours": Int = "168", Any;
        High ReadOnly Used
        "Hours that a segment is kept, when neither minutes nor milliseconds are given.";
    "log.retention.minutes": Int = null, Any;
        High ReadOnly Used "Minutes that a segment is kept, when milliseconds are not given.";
    "log.retention.ms": Long = null, Any;
        High ClusterWide Used "Milliseconds that a segment is kept. -1 is for ever.";
    "log.roll.hours": Int = "168", AtLeast(1);
        High ReadOnly Used
        "Hours after which a new segment begins, when milliseconds are not given.";
    "log.roll.jitter.hours": Int = "0", AtLeast(0);
        High ReadOnly Used "The largest random part taken off log.roll.hours.";
    "log.roll.jitter.ms": Long = null, Any;
        High ClusterWide Used "The largest random part taken off log.roll.ms.";
    "log.roll.ms": Long = null, Any;
        High ClusterWide Used
        "Milliseconds after which a new segment begins even if it is not full.";
    "log.segment.bytes": Int = "1073741824", AtLeast(1_048_576);
        High ClusterWide Used "The size at which a segment is closed and the next one begins.";
    "log.segment.delete.delay.ms": Long = "60000", AtLeast(0);
        High ClusterWide Used "How long a deleted segment stays on disk.";
    "message.max.bytes": Int = "1048588", AtLeast(0);
        High ClusterWide Used "The largest record batch that a topic takes, after compression.";
    "metadata.log.dir": String = null, Any;
        High ReadOnly Used
        "The directory of the metadata log. Without it the first data directory is taken.";
    "metadata.log.max.record.bytes.between.snapshots": Long = "20971520", AtLeast(1);
        High ReadOnly Known "Bytes of metadata records after which a snapshot is written.";
    "metadata.log.max.snapshot.interval.ms": Long = "3600000", AtLeast(0);
        High ReadOnly Known
        "How long after the last one a metadata snapshot is written, if anything changed. 0 is never.";
    "metadata.log.segment.bytes": Int = "1073741824", AtLeast(8_388_608);
        High ReadOnly Used "The size at which a segment of the metadata log is closed.";
    "metadata.log.segment.ms": Long = "604800000", Any;
        High ReadOnly Used "The age at which a segment of the metadata log is closed.";
    "metadata.max.idle.interval.ms": Int = "500", AtLeast(0);
        Low ReadOnly Known
        "How often an idle controller writes a record that says nothing. 0 is never.";
    "metadata.max.retention.bytes": Long = "104857600", Any;
        High ReadOnly Known "Bytes of metadata log and snapshots that are kept.";
    "metadata.max.retention.ms": Long = "604800000", Any;
        High ReadOnly Known "How long metadata segments and snapshots are kept.";
    "min.insync.replicas": Int = "1", AtLeast(1);
        High ClusterWide Used "How many replicas must have a record before acks=all is answered.";
    "num.partitions": Int = "1", AtLeast(1);
        Medium ReadOnly Used "Partitions of a topic that is created without a number.";
    "num.recovery.threads.per.data.dir": Int = "2", AtLeast(1);
        High ClusterWide Known
        "Threads that recover logs at start in Kafka. Here all cores recover their own.";
    "num.replica.alter.log.dirs.threads": Int = null, Any;
        High ReadOnly Known "Threads that move replicas between log directories in Kafka.";
    "unclean.leader.election.enable": Boolean = "false", Any;
        High ClusterWide Used
        "Whether a replica that is behind may lead when no other is left, at the price of lost records.";
    hidden "unclean.leader.election.interval.ms": Long = "300000", AtLeast(1);
        Medium ReadOnly Known
        "How often the controller looks for partitions that need an unclean election.";
}
