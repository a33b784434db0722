//! Where the fake brokers are that are alone, and what they say of it.

use kring_wire::Str;
use kring_wire::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};

pub const PORT: u16 = 9092;

/// One topic with one partition.
pub fn metadata() -> MetadataResponse {
    let broker = MetadataResponseBroker {
        node_id: 1,
        host: Str::from("localhost"),
        port: i32::from(PORT),
        ..Default::default()
    };
    let partition = MetadataResponsePartition { leader_id: 1, ..Default::default() };
    let topic = MetadataResponseTopic {
        name: Some(Str::from("t")),
        partitions: vec![partition],
        ..Default::default()
    };
    MetadataResponse { brokers: vec![broker], topics: vec![topic], controller_id: 1, ..Default::default() }
}
