//! Properties of one topic, as clients set them.
//! Facts of Apache Kafka 4.3.1 and Kring's own defaults; never code. Constants: every core reads them.

use crate::config::property::properties;

properties! {
    /// Properties of one topic, as clients set them.
    pub TOPICS =
    "cleanup.policy": List = "delete", List { of: &["compact", "delete"], may_be_empty: true };
        Medium ClusterWide Used
        "What happens to old segments: delete, compact, both, or neither when empty.";
    "compression.gzip.level": Int = "-1", GzipLevel;
        Medium ClusterWide Used
        "How hard gzip works where the broker compresses. -1 is the codec's own choice.";
    "compression.lz4.level": Int = "9", Between(1, 17);
        Medium ClusterWide Used "How hard lz4 works where the broker compresses.";
    "compression.type": String = "producer", OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]);
        Medium ClusterWide Used
        "The codec of stored batches. producer keeps each batch as it came.";
    "compression.zstd.level": Int = "3", Between(-131_072, 22);
        Medium ClusterWide Used "How hard zstd works where the broker compresses.";
    "delete.retention.ms": Long = "86400000", AtLeast(0);
        Medium ClusterWide Used "How long a tombstone stays readable after it was compacted.";
    "file.delete.delay.ms": Long = "60000", AtLeast(0);
        Medium ClusterWide Used "How long a deleted segment stays on disk.";
    "flush.messages": Long = "1", AtLeast(1);
        Medium ClusterWide Used
        "Records that may be written before the log is flushed. 1 makes each acknowledged record durable.";
    "flush.ms": Long = "9223372036854775807", AtLeast(0);
        Medium ClusterWide Used "How long a record may wait in memory before the log is flushed.";
    "follower.replication.throttled.replicas": List = "", ThrottledReplicas;
        Medium ClusterWide Known
        "Replicas whose fetching is throttled, as partition:broker, or * for all.";
    "index.interval.bytes": Int = "4096", AtLeast(0);
        Medium ClusterWide Used "How many bytes of log lie between two index entries.";
    hidden "internal.segment.bytes": Int = null, Any;
        Medium ClusterWide Known "A segment size below the public minimum, for Kafka's own tests.";
    "leader.replication.throttled.replicas": List = "", ThrottledReplicas;
        Medium ClusterWide Known
        "Replicas that are throttled where they lead, as partition:broker, or * for all.";
    "local.retention.bytes": Long = "-2", AtLeast(-2);
        Medium ClusterWide Known
        "Bytes of a partition kept locally with remote storage. -2 follows retention.bytes.";
    "local.retention.ms": Long = "-2", AtLeast(-2);
        Medium ClusterWide Known
        "How long segments are kept locally with remote storage. -2 follows retention.ms.";
    "max.compaction.lag.ms": Long = "9223372036854775807", AtLeast(1);
        Medium ClusterWide Used
        "A record becomes due for compaction at the latest after this time.";
    "max.message.bytes": Int = "1048588", AtLeast(0);
        Medium ClusterWide Used
        "The largest record batch that the topic takes, after compression.";
    "message.timestamp.after.max.ms": Long = "3600000", AtLeast(0);
        Medium ClusterWide Used "How far ahead of the broker's clock a record's timestamp may be.";
    "message.timestamp.before.max.ms": Long = "9223372036854775807", AtLeast(0);
        Medium ClusterWide Used "How far behind the broker's clock a record's timestamp may be.";
    "message.timestamp.type": String = "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]);
        Medium ClusterWide Used
        "Whether a record keeps its creation time or gets the time of its append.";
    "min.cleanable.dirty.ratio": Double = "0.5", UpTo(1.0);
        Medium ClusterWide Used "The part of a log that must be dirty before it is compacted.";
    "min.compaction.lag.ms": Long = "0", AtLeast(0);
        Medium ClusterWide Used "A record is not compacted before this time has passed.";
    "min.insync.replicas": Int = "1", AtLeast(1);
        Medium ClusterWide Used
        "How many replicas must have a record before acks=all is answered.";
    "preallocate": Boolean = "false", Any;
        Medium ClusterWide Known
        "Whether Kafka sets aside a segment's whole size when it creates it. Space is added by need here.";
    "remote.log.copy.disable": Boolean = "false", Any;
        Medium ClusterWide Known
        "Stops copying to remote storage while what is there stays readable.";
    "remote.log.delete.on.disable": Boolean = "false", Any;
        Medium ClusterWide Known
        "Whether remote data is deleted when remote storage is turned off for the topic.";
    "remote.storage.enable": Boolean = "false", Any;
        Medium ClusterWide Known
        "Whether the topic's segments go to remote storage. It is not offered here.";
    "retention.bytes": Long = "-1", Any;
        Medium ClusterWide Used "Bytes of a partition that are kept. -1 is no limit.";
    "retention.ms": Long = "604800000", AtLeast(-1);
        Medium ClusterWide Used "Milliseconds that a segment is kept. -1 is for ever.";
    "segment.bytes": Int = "1073741824", AtLeast(1_048_576);
        Medium ClusterWide Used "The size at which a segment is closed and the next one begins.";
    "segment.index.bytes": Int = "10485760", AtLeast(4);
        Medium ClusterWide Used "The largest size of an offset index.";
    "segment.jitter.ms": Long = "0", AtLeast(0);
        Medium ClusterWide Used "The largest random part taken off segment.ms.";
    "segment.ms": Long = "604800000", AtLeast(1);
        Medium ClusterWide Used
        "Milliseconds after which a new segment begins even if it is not full.";
    "unclean.leader.election.enable": Boolean = "false", Any;
        Medium ClusterWide Used
        "Whether a replica that is behind may lead when no other is left, at the price of lost records.";
}
