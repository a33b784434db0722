//! The fetch response: partitions by topic, records as slices and file ranges, leader hints (KIP-951).
//! Never copies records, never reads them.

use kring_runtime::disk::FileRange;
use kring_wire::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch,
    NodeEndpoint, PartitionData,
};
use kring_wire::{ErrorCode, Records, RecordsPart, Str, Uuid};

use super::Client;
use super::fetch_session::{TopicKey, Wanted};
use super::leader_hints;
use super::response::{Head, Response, reply_with_files};
use crate::partition::{Fetched, FetchedPart};

/// The first version with the addresses of leaders.
const NODE_ENDPOINTS: i16 = 16;

/// What the answers of one request share.
pub(super) struct Answering<'a> {
    pub client: &'a Client,
    pub head: Head,
}

/// A wanted partition with its answer.
pub(super) type Pair = (Wanted, Fetched);

impl Answering<'_> {
    /// Puts partitions of one topic that follow each other under one entry.
    pub(super) fn assemble(&self, session_id: i32, pairs: Vec<Pair>) -> Response {
        let mut files = Vec::new();
        let mut body = FetchResponse { session_id, ..FetchResponse::default() };
        for (wanted, fetched) in pairs {
            let mut data = partition_data(wanted.partition, fetched, &mut files);
            self.hint(&wanted, &mut data, &mut body.node_endpoints);
            match body.responses.last_mut() {
                Some(last) if names(last, &wanted.topic) => last.partitions.push(data),
                _ => body.responses.push(topic_response(wanted.topic, data)),
            }
        }
        reply_with_files(&self.head, &body, files)
    }

    /// Says who leads, when that is why the partition was refused.
    fn hint(&self, wanted: &Wanted, data: &mut PartitionData, nodes: &mut Vec<NodeEndpoint>) {
        if self.head.version < NODE_ENDPOINTS
            || !leader_hints::is_about_leadership(ErrorCode(data.error_code))
        {
            return;
        }
        let TopicKey::Id(topic) = wanted.topic else { return };
        let Some(leader) = leader_hints::leader(self.client, topic, wanted.partition) else { return };
        data.current_leader = LeaderIdAndEpoch { leader_id: leader.id, leader_epoch: leader.epoch };
        if nodes.iter().all(|node| node.node_id != leader.id) {
            nodes.extend(leader_hints::node(self.client, leader.id).map(|node| NodeEndpoint {
                node_id: node.id,
                host: node.host,
                port: node.port,
                rack: node.rack,
            }));
        }
    }
}

fn names(topic: &FetchableTopicResponse, key: &TopicKey) -> bool {
    match key {
        TopicKey::Id(id) => topic.topic_id == *id,
        TopicKey::Name(name) => topic.topic == *name,
    }
}

fn topic_response(key: TopicKey, first: PartitionData) -> FetchableTopicResponse {
    let (topic, topic_id) = match key {
        TopicKey::Id(id) => (Str::default(), id),
        TopicKey::Name(name) => (name, Uuid::ZERO),
    };
    FetchableTopicResponse { topic, topic_id, partitions: vec![first] }
}

fn partition_data(partition_index: i32, fetched: Fetched, files: &mut Vec<FileRange>) -> PartitionData {
    let diverging = fetched.diverging.map(|(epoch, end_offset)| EpochEndOffset { epoch, end_offset });
    PartitionData {
        partition_index,
        error_code: fetched.error.into(),
        high_watermark: fetched.high_watermark,
        last_stable_offset: fetched.last_stable_offset,
        log_start_offset: fetched.log_start_offset,
        diverging_epoch: diverging.unwrap_or_default(),
        aborted_transactions: fetched.aborted.map(aborted),
        records: Some(records(fetched.parts, files)),
        ..PartitionData::default()
    }
}

fn aborted(transactions: Vec<kring_storage::AbortedTransaction>) -> Vec<AbortedTransaction> {
    let named = transactions.into_iter().map(|transaction| AbortedTransaction {
        producer_id: transaction.producer_id.0,
        first_offset: transaction.first_offset.0,
    });
    named.collect()
}

fn records(parts: Vec<FetchedPart>, files: &mut Vec<FileRange>) -> Records {
    let parts = parts.into_iter().map(|part| match part {
        FetchedPart::Memory(bytes) => RecordsPart::Bytes(bytes),
        FetchedPart::File(range) => {
            let slot = u32::try_from(files.len()).expect("a response has fewer parts than that");
            let len = range.len;
            files.push(range);
            RecordsPart::File { slot, len }
        }
    });
    Records::Parts(parts.collect())
}
