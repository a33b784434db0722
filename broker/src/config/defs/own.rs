//! Kring's own properties, and the few of Kafka's that no file may hold.
//! Never more than what no property of Kafka can say. Constants: every core reads them.

use crate::config::property::properties;

properties! {
    /// What only Kring has.
    pub OWN =
    "kring.cache.bytes": Long = "134217728", AtLeast(1_048_576);
        Medium ReadOnly Own
        "Memory for freshly written records, in bytes, shared by all cores; readers at the tail are served from it.";
    "kring.disk.settings": List = "", List { of: &[], may_be_empty: true };
        Low ReadOnly Own
        "How the disks of all log directories are used, as name=value: write.bytes, writes.at.once, zeros.bytes, \
         read.bytes, reads.at.once. What is not named here is as kring-disk.properties of the directory says.";
    "kring.journal.bytes": Long = "16777216", Between(0, 1_073_741_824);
        Low ReadOnly Own
        "Length of the files that keep records between their acknowledgement and their write to a segment: for each core \
         in each log directory one for those that no flush is waited for, and one for those that are flushed together. \
         Below 2 MiB there are none, and each batch waits for a write of its own.";
    "kring.shards": Int = null, AtLeast(1);
        High ReadOnly Own "How many shards run, each on its own core. Without it one for each core.";
    "log.dir.reserve.bytes": Long = "1073741824", AtLeast(0);
        High ReadOnly Own
        "Free space of a data directory, at most a twentieth of its disk, below which produce is refused while all \
         else goes on; 0 keeps none.";
    "queued.max.response.bytes": Long = "-1", Any;
        Medium ReadOnly Own
        "Memory for responses that their clients have not taken yet; beyond it the slowest client is disconnected. \
         -1 is a quarter of the machine's memory.";
}

properties! {
    /// Set for a running broker only.
    pub DYNAMIC_ONLY =
    "follower.replication.throttled.rate": Long = "9223372036854775807", AtLeast(0);
        Medium ClusterWide Known "Bytes a second that throttled replicas may fetch.";
    "leader.replication.throttled.rate": Long = "9223372036854775807", AtLeast(0);
        Medium ClusterWide Known "Bytes a second that throttled replicas may be served.";
    "replica.alter.log.dirs.io.max.bytes.per.second": Long = "9223372036854775807", AtLeast(0);
        Medium ClusterWide Known "Bytes a second that moves between log directories may copy.";
}
