//! Properties of remote storage. Kring has none; the names are known so that a file that has them still starts.
//! Facts of Apache Kafka 4.3.1 and Kring's own defaults; never code. Constants: every core reads them.

use crate::config::property::properties;

properties! {
    /// Properties of remote storage. Kring has none; the names are known so that a file that has them still starts.
    pub REMOTE =
    "follower.fetch.last.tiered.offset.enable": Boolean = "false", Any;
        Medium ClusterWide Known
        "Whether a new follower starts at the last offset in remote storage.";
    "remote.fetch.max.wait.ms": Int = "500", AtLeast(1);
        Medium ClusterWide Known "How long a fetch waits for remote storage.";
    "remote.list.offsets.request.timeout.ms": Long = "30000", AtLeast(1);
        Medium ClusterWide Known "How long a look-up of offsets waits for remote storage.";
    "remote.log.index.file.cache.total.size.bytes": Long = "1073741824", AtLeast(1);
        Low ClusterWide Known "Space for index files fetched from remote storage.";
    hidden "remote.log.index.file.cache.ttl.ms": Long = "900000", AtLeast(-1);
        Low ReadOnly Known "How long an index file from remote storage stays after its last use.";
    "remote.log.manager.copier.thread.pool.size": Int = "10", AtLeast(1);
        Medium ClusterWide Known "Threads that copy segments to remote storage.";
    "remote.log.manager.copy.max.bytes.per.second": Long = "9223372036854775807", AtLeast(1);
        Medium ClusterWide Known "How fast segments are copied to remote storage.";
    "remote.log.manager.copy.quota.window.num": Int = "11", AtLeast(1);
        Medium ReadOnly Known
        "How many past windows count when copies to remote storage are throttled.";
    "remote.log.manager.copy.quota.window.size.seconds": Int = "1", AtLeast(1);
        Medium ReadOnly Known
        "How long one window lasts when copies to remote storage are throttled.";
    "remote.log.manager.expiration.thread.pool.size": Int = "10", AtLeast(1);
        Medium ClusterWide Known "Threads that delete expired segments in remote storage.";
    "remote.log.manager.fetch.max.bytes.per.second": Long = "9223372036854775807", AtLeast(1);
        Medium ClusterWide Known "How fast segments are fetched from remote storage.";
    "remote.log.manager.fetch.quota.window.num": Int = "11", AtLeast(1);
        Medium ReadOnly Known
        "How many past windows count when fetches from remote storage are throttled.";
    "remote.log.manager.fetch.quota.window.size.seconds": Int = "1", AtLeast(1);
        Medium ReadOnly Known
        "How long one window lasts when fetches from remote storage are throttled.";
    "remote.log.manager.follower.thread.pool.size": Int = "2", AtLeast(1);
        Medium ClusterWide Known
        "Threads for remote storage work of partitions that this broker follows.";
    "remote.log.manager.task.interval.ms": Long = "30000", AtLeast(1);
        Low ReadOnly Known "How often copying and expiry of remote storage run.";
    hidden "remote.log.manager.task.retry.backoff.max.ms": Long = "30000", AtLeast(1);
        Low ReadOnly Known "The longest pause before remote storage work is tried again.";
    hidden "remote.log.manager.task.retry.backoff.ms": Long = "500", AtLeast(1);
        Low ReadOnly Known "The first pause before remote storage work is tried again.";
    hidden "remote.log.manager.task.retry.jitter": Double = "0.2", UpTo(0.5);
        Low ReadOnly Known
        "The random part of the pause before remote storage work is tried again.";
    "remote.log.manager.thread.pool.size": Int = "2", AtLeast(1);
        Medium ReadOnly Known "Threads of remote storage work that has no pool of its own.";
    "remote.log.metadata.custom.metadata.max.bytes": Int = "128", AtLeast(0);
        Low ReadOnly Known "The most bytes that a remote storage plug-in may attach to a segment.";
    "remote.log.metadata.manager.class.name": String = "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager", NonEmpty;
        Medium ReadOnly Known "The Java class that keeps the metadata of remote segments.";
    "remote.log.metadata.manager.class.path": String = null, Any;
        Medium ReadOnly Known
        "Where the Java class for metadata of remote segments is loaded from.";
    "remote.log.metadata.manager.impl.prefix": String = "rlmm.config.", NonEmpty;
        Medium ReadOnly Known "The prefix of properties handed to the keeper of remote metadata.";
    "remote.log.metadata.manager.listener.name": String = null, NonEmpty;
        Medium ReadOnly Known "The listener that the keeper of remote metadata connects to.";
    "remote.log.reader.max.pending.tasks": Int = "100", AtLeast(1);
        Medium ReadOnly Known "The most reads from remote storage that may wait.";
    "remote.log.reader.threads": Int = "10", AtLeast(1);
        Medium ClusterWide Known "Threads that read from remote storage.";
    "remote.log.storage.manager.class.name": String = null, NonEmpty;
        Medium ReadOnly Known "The Java class that stores segments remotely.";
    "remote.log.storage.manager.class.path": String = null, Any;
        Medium ReadOnly Known "Where the Java class for remote storage is loaded from.";
    "remote.log.storage.manager.impl.prefix": String = "rsm.config.", NonEmpty;
        Medium ReadOnly Known "The prefix of properties handed to the remote storage class.";
    "remote.log.storage.system.enable": Boolean = "false", Any;
        Medium ReadOnly Known
        "Whether segments may be moved to remote storage. It is not offered here.";
}
