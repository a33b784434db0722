//! Produce: check every batch of the request, hand each to its owning shard in request order, answer when all may
//! be acknowledged. The first stage ends when all batches have been queued, so that the next request of the same
//! connection cannot overtake this one.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use kring_runtime::{Monotonic, now, wall_ms};
use kring_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kring_wire::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, ProduceResponse,
    TopicProduceResponse,
};
use kring_wire::record::{
    BatchHeader, Codec, Compression, CrcSet, RecordError, Rules, TimestampType, verify_crcs,
};
use kring_wire::{ErrorCode, Str, Uuid};

use super::fan_out::{Asked, Split};
use super::request::{PeerFault, Request};
use super::response::{Head, Response, reply};
use super::{Client, Pending, leader_hints};
use crate::config::{self, BrokerCompression, TopicConfig};
use crate::metadata;
use crate::partition::{Acks, Offered, PartitionId, Produced, Refusal};
use crate::shard::Command;

/// The first version with leader hints (KIP-951).
const LEADER_HINTS: i16 = 10;

/// A single Kafka broker waits for nobody and meets the shortest timeout; a flush takes longer than that.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// What one partition of the request is answered.
enum Outcome {
    /// Handed to its owner: the answer comes at this place of what was asked.
    Asked(usize),
    Refused(PartitionProduceResponse),
    /// The same, but the owner is asked at this place where its log starts.
    RefusedByLog(usize, PartitionProduceResponse),
}

struct Plan {
    response: Vec<(TopicProduceResponse, Vec<(i32, Outcome)>)>,
    entries: Vec<(PartitionId, Offered)>,
}

/// Hands the batches to their owners; what is left is to wait.
pub async fn start(client: &Rc<Client>, mut request: Request) -> Result<Pending, PeerFault> {
    let head = Head::from(&request);
    let body: ProduceRequest = request.body()?;
    if body.transactional_id.is_none() && has_transactional_records(&body) {
        let refused = refuse_all(&body, |_| ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
        return Ok(ready(if body.acks == 0 { Response::Close } else { reply(&head, &refused) }));
    }
    let Some(acks) = acks_of(body.acks) else {
        return Ok(ready(reply(&head, &refuse_acks(client, &head, &body))));
    };
    let Plan { response, entries } = Planner::new(client, &head, &body).plan();
    let deadline = deadline(body.timeout_ms);
    let asked = Split::new(&client.shard.mesh, entries)
        .ask(&client.shard.mesh, |entries, reply_to| Command::Produce { acks, deadline, entries, reply_to })
        .await;
    Ok(finish(client.clone(), head, acks, response, asked).boxed_local())
}

/// Until when acks=all may wait for the disk, as Kafka waits for replicas.
fn deadline(timeout_ms: i32) -> Monotonic {
    let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
    now() + timeout.max(SHORTEST_WAIT)
}

/// As Kafka looks for them: in the first batch for each partition.
fn has_transactional_records(body: &ProduceRequest) -> bool {
    let mut records = body.topic_data.iter().flat_map(|t| &t.partition_data).filter_map(bytes_of);
    records.any(|bytes| BatchHeader::parse(bytes).is_some_and(|header| header.is_transactional()))
}

/// Which partitions there are is looked up before the acks are looked at.
fn refuse_acks(client: &Client, head: &Head, body: &ProduceRequest) -> ProduceResponse {
    let planner = Planner::new(client, head, body);
    let refuse = |topic: &TopicProduceData| match planner.target(&topic.name, topic.topic_id) {
        Err(missing) if missing != ErrorCode::INVALID_TOPIC_EXCEPTION => missing,
        _ => ErrorCode::INVALID_REQUIRED_ACKS,
    };
    refuse_all(body, refuse)
}

fn ready(response: Response) -> Pending {
    std::future::ready(Ok(response)).boxed_local()
}

fn acks_of(acks: i16) -> Option<Acks> {
    match acks {
        0 => Some(Acks::None),
        1 => Some(Acks::Leader),
        -1 => Some(Acks::All),
        _ => None,
    }
}

async fn finish(
    client: Rc<Client>,
    head: Head,
    acks: Acks,
    planned: Vec<(TopicProduceResponse, Vec<(i32, Outcome)>)>,
    asked: Asked<Produced>,
) -> Result<Response, PeerFault> {
    let mut answers: Vec<Option<Result<Produced, Refusal>>> =
        asked.collect().await.into_iter().map(Some).collect();
    let mut answer_at = |place: usize| answers[place].take().expect("one answer for one place");
    let mut body = ProduceResponse::default();
    for (mut topic, outcomes) in planned {
        let answered = outcomes.into_iter().map(|(index, outcome)| match outcome {
            Outcome::Refused(refused) => refused,
            Outcome::Asked(place) => answered(index, answer_at(place)),
            Outcome::RefusedByLog(place, refused) => {
                let log_start_offset =
                    answer_at(place).map_or_else(|r| r.log_start_offset, |p| p.log_start_offset);
                PartitionProduceResponse { log_start_offset, ..refused }
            }
        });
        topic.partition_responses = answered.collect();
        body.responses.push(topic);
    }
    if head.version >= LEADER_HINTS {
        hint(&client, &mut body);
    }
    Ok(if acks == Acks::None { without_answer(&body) } else { reply(&head, &body) })
}

/// Says who leads, where that is why a partition was refused.
fn hint(client: &Client, body: &mut ProduceResponse) {
    for topic in &mut body.responses {
        let id = match topic.topic_id {
            Uuid::ZERO => client.shard.image().topic_id(&topic.name).unwrap_or_default(),
            id => id,
        };
        let refused = topic.partition_responses.iter_mut();
        for data in refused.filter(|p| leader_hints::is_about_leadership(ErrorCode(p.error_code))) {
            let Some(leader) = leader_hints::leader(client, id, data.index) else { continue };
            data.current_leader = LeaderIdAndEpoch { leader_id: leader.id, leader_epoch: leader.epoch };
            if body.node_endpoints.iter().all(|node| node.node_id != leader.id) {
                body.node_endpoints.extend(leader_hints::node(client, leader.id).map(endpoint));
            }
        }
    }
}

fn endpoint(node: leader_hints::Node) -> NodeEndpoint {
    NodeEndpoint { node_id: node.id, host: node.host, port: node.port, rack: node.rack }
}

/// acks=0 has no response: an error can only be told by closing the connection, as Kafka does.
fn without_answer(body: &ProduceResponse) -> Response {
    let failed = body.responses.iter().flat_map(|t| &t.partition_responses).any(|p| p.error_code != 0);
    if failed { Response::Close } else { Response::Nothing }
}

fn answered(index: i32, answer: Result<Produced, Refusal>) -> PartitionProduceResponse {
    match answer {
        Err(refusal) => {
            let Refusal { code, message: error_message, log_start_offset } = refusal;
            PartitionProduceResponse { error_message, log_start_offset, ..refused(index, code) }
        }
        // Kafka tells the offsets of a batch that was appended and not confirmed in time (DelayedProduce).
        Ok(produced) => PartitionProduceResponse {
            index,
            error_code: if produced.is_late { ErrorCode::REQUEST_TIMED_OUT } else { ErrorCode::NONE }.into(),
            base_offset: produced.base_offset,
            log_append_time_ms: produced.log_append_time_ms,
            log_start_offset: produced.log_start_offset,
            ..PartitionProduceResponse::default()
        },
    }
}

fn refused(index: i32, error: ErrorCode) -> PartitionProduceResponse {
    PartitionProduceResponse {
        index,
        error_code: error.into(),
        base_offset: -1,
        log_append_time_ms: -1,
        log_start_offset: -1,
        ..PartitionProduceResponse::default()
    }
}

fn refuse_all(body: &ProduceRequest, error: impl Fn(&TopicProduceData) -> ErrorCode) -> ProduceResponse {
    let topics = body.topic_data.iter().map(|topic| TopicProduceResponse {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partition_responses: topic.partition_data.iter().map(|p| refused(p.index, error(topic))).collect(),
    });
    ProduceResponse { responses: topics.collect(), ..ProduceResponse::default() }
}

/// Checks a whole request: the CRCs of all its batches in one pass, then batch by batch.
struct Planner<'a> {
    client: &'a Client,
    version: i16,
    body: &'a ProduceRequest,
    crcs: CrcSet,
    next_crc: usize,
    now_ms: i64,
    entries: Vec<(PartitionId, Offered)>,
}

/// A topic that takes records.
struct Target {
    id: Uuid,
    name: Str,
    partitions: i32,
    /// 0 where the client does not ask for them.
    min_insync_replicas: i32,
    rules: Rules,
}

impl<'a> Planner<'a> {
    fn new(client: &'a Client, head: &Head, body: &'a ProduceRequest) -> Self {
        let batches: Vec<&Bytes> =
            body.topic_data.iter().flat_map(|t| &t.partition_data).filter_map(bytes_of).collect();
        let crcs = verify_crcs(&batches);
        let entries = Vec::with_capacity(batches.len());
        Self { client, version: head.version, body, crcs, next_crc: 0, now_ms: wall_ms(), entries }
    }

    fn plan(mut self) -> Plan {
        let mut response = Vec::with_capacity(self.body.topic_data.len());
        for topic in &self.body.topic_data {
            let target = self.target(&topic.name, topic.topic_id);
            let outcomes = topic.partition_data.iter().map(|p| (p.index, self.check(&target, p)));
            let outcomes = outcomes.collect();
            let named = TopicProduceResponse {
                name: topic.name.clone(),
                topic_id: topic.topic_id,
                partition_responses: Vec::new(),
            };
            response.push((named, outcomes));
        }
        Plan { response, entries: self.entries }
    }

    /// Finds the topic by name, or by id from version 13 on.
    fn target(&self, name: &Str, id: Uuid) -> Result<Target, ErrorCode> {
        let image = self.client.shard.image();
        let by_id = self.version >= 13;
        let topic = if by_id { image.topic_by_id(id) } else { image.topic(name) };
        let missing = if by_id { ErrorCode::UNKNOWN_TOPIC_ID } else { ErrorCode::UNKNOWN_TOPIC_OR_PARTITION };
        let topic = topic.ok_or(missing)?;
        if topic.is_internal() {
            return Err(ErrorCode::INVALID_TOPIC_EXCEPTION);
        }
        let config = self.client.shard.topic_config(topic.id);
        Ok(Target {
            id: topic.id,
            name: topic.name.clone(),
            partitions: topic.partition_count(),
            min_insync_replicas: if self.body.acks == -1 { config.min_insync_replicas } else { 0 },
            rules: rules(self.version, &config),
        })
    }

    fn check(&mut self, target: &Result<Target, ErrorCode>, data: &PartitionProduceData) -> Outcome {
        let crc_is_good = bytes_of(data).is_some() && self.take_crc();
        let target = match target {
            Ok(target) if (0..target.partitions).contains(&data.index) => target,
            Ok(_) => return Outcome::Refused(refused(data.index, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)),
            Err(error) => return Outcome::Refused(refused(data.index, *error)),
        };
        if target.min_insync_replicas > 1 && self.lacks_replicas(target, data.index) {
            return Outcome::Refused(refused(data.index, ErrorCode::NOT_ENOUGH_REPLICAS));
        }
        let records = bytes_of(data).cloned().unwrap_or_default();
        match self.client.validate(&records, crc_is_good, &target.rules, self.now_ms) {
            // There is no coordinator of transactions yet, and so none that knows the transactional id.
            Ok(batch) if batch.header().is_transactional() => {
                Outcome::Refused(refused(data.index, ErrorCode::INVALID_PRODUCER_ID_MAPPING))
            }
            Ok(batch) => Outcome::Asked(self.ask(target, data.index, Ok(batch))),
            Err(error) => self.refuse(target, data.index, &error),
        }
    }

    fn lacks_replicas(&self, target: &Target, index: i32) -> bool {
        let image = self.client.shard.image();
        let partition = image.partition(target.id, index);
        partition.is_some_and(|partition| lacks_replicas(partition, target.min_insync_replicas))
    }

    fn refuse(&mut self, target: &Target, index: i32, error: &RecordError) -> Outcome {
        let refused = invalid(&target.name, index, error);
        if !error.is_refused_by_log() {
            return Outcome::Refused(refused);
        }
        Outcome::RefusedByLog(self.ask(target, index, Err(ErrorCode(error.code()))), refused)
    }

    /// The place of the owner's answer.
    fn ask(&mut self, target: &Target, index: i32, offered: Offered) -> usize {
        self.entries.push((PartitionId { topic: target.id, index }, offered));
        self.entries.len() - 1
    }

    fn take_crc(&mut self) -> bool {
        self.next_crc += 1;
        self.crcs.is_good(self.next_crc - 1)
    }
}

/// No partition is asked for more replicas than it has (`Partition.effectiveMinIsr` of Kafka).
fn lacks_replicas(partition: &metadata::Partition, min_insync_replicas: i32) -> bool {
    let wanted = partition.replicas.len().min(usize::try_from(min_insync_replicas).unwrap_or(0));
    partition.in_sync_replicas.len() < wanted
}

fn bytes_of(data: &PartitionProduceData) -> Option<&Bytes> {
    data.records.as_ref().and_then(|records| records.as_bytes())
}

fn rules(produce_version: i16, config: &TopicConfig) -> Rules {
    Rules {
        produce_version,
        compacted: config.is_compacted,
        timestamp_type: match config.timestamp_type {
            config::TimestampType::CreateTime => TimestampType::CreateTime,
            config::TimestampType::LogAppendTime => TimestampType::LogAppendTime,
        },
        timestamp_before_max_ms: config.timestamp_before_max_ms,
        timestamp_after_max_ms: config.timestamp_after_max_ms,
        max_message_bytes: u64::from(config.max_message_bytes),
        segment_bytes: u64::from(config.segment_bytes),
        compression: compression(config.compression),
        ..Rules::default()
    }
}

fn compression(config: BrokerCompression) -> Option<Compression> {
    Some(match config {
        BrokerCompression::Producer => return None,
        BrokerCompression::Uncompressed => Compression::NONE,
        BrokerCompression::Gzip { level } => Compression { codec: Codec::Gzip, level },
        BrokerCompression::Snappy => Compression::default_of(Codec::Snappy),
        BrokerCompression::Lz4 { level } => Compression { codec: Codec::Lz4, level },
        BrokerCompression::Zstd { level } => Compression { codec: Codec::Zstd, level },
    })
}

/// Tells which records of a batch were refused, and why (KIP-467).
fn invalid(topic: &Str, index: i32, error: &RecordError) -> PartitionProduceResponse {
    let name = format!("{topic}-{index}");
    let faults = error.record_faults().iter().map(|fault| BatchIndexAndErrorMessage {
        batch_index: fault.index,
        batch_index_error_message: Some(fault.message(&name).into()),
    });
    PartitionProduceResponse {
        record_errors: faults.collect(),
        error_message: error.client_message(&name).map(Str::from),
        ..refused(index, ErrorCode(error.code()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_asked_for_no_more_replicas_than_it_has() {
        let lacks = |replicas: &[i32], in_sync: &[i32], wanted| {
            let (replicas, in_sync_replicas) = (replicas.into(), in_sync.into());
            let partition = metadata::Partition { replicas, in_sync_replicas, ..Default::default() };
            lacks_replicas(&partition, wanted)
        };
        assert!(!lacks(&[1], &[1], 2) && !lacks(&[1, 2], &[2, 1], 3));
        assert!(lacks(&[1, 2], &[1], 2) && lacks(&[1, 2, 3], &[1, 2], 3));
    }
}
