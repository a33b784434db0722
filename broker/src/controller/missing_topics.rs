//! Topics that come into being because someone needs them: with the broker's defaults, or as coordinators keep
//! their state. Never creates what is there. Plain functions; they run where the controller does.

use kring_wire::Str;

use super::types::{ControllerReply, NewTopic, Outcome};
use super::{Controller, create_topics, placement};
use crate::metadata::names;

/// Creates those of the named topics that are not there. Topics of coordinators that this release does not have
/// are not created: nothing would write them.
pub fn create(controller: &Controller, names: Vec<Str>, ids: create_topics::Ids<'_>) -> Outcome {
    let is_missing = |name: &Str| controller.image().topic_id(name).is_none();
    let has_owner = |name: &Str| !names::is_internal(name) || &**name == names::CONSUMER_OFFSETS;
    let mut wanted: Vec<Str> = names.into_iter().filter(|n| is_missing(n) && has_owner(n)).collect();
    wanted.sort_unstable();
    wanted.dedup();
    if wanted.is_empty() {
        return Outcome { records: Vec::new(), reply: ControllerReply::Topics(Vec::new()) };
    }
    let topics = wanted.into_iter().map(|name| describe(controller, name)).collect();
    create_topics::create(controller, topics, ids)
}

fn describe(controller: &Controller, name: Str) -> NewTopic {
    match &*name {
        names::CONSUMER_OFFSETS => consumer_offsets(controller, name),
        _ => NewTopic { name, partitions: -1, replication_factor: -1, ..NewTopic::default() },
    }
}

fn consumer_offsets(controller: &Controller, name: Str) -> NewTopic {
    let offsets = &controller.config().offsets;
    // Kafka's default of 3 keeps groups from working on one broker; as many copies as there are brokers is
    // what the setting can mean there.
    let brokers = i16::try_from(placement::active_count(controller.image())).unwrap_or(i16::MAX);
    let set = |name: &str, value: String| (Str::from(name), Some(Str::from(value)));
    NewTopic {
        name,
        partitions: offsets.topic_partitions,
        replication_factor: offsets.topic_replication_factor.min(brokers),
        assignments: Vec::new(),
        configs: vec![
            set("cleanup.policy", "compact".into()),
            set("compression.type", "producer".into()),
            set("segment.bytes", offsets.topic_segment_bytes.to_string()),
        ],
    }
}
