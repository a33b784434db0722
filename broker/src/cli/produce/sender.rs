//! Sends batches to the leaders of their partitions until all are acknowledged. One batch of a partition is on its
//! way at a time, so that order holds when it must be sent again; an idempotent producer stores it once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use futures_lite::future::{or, pending};
use futures_util::future::join_all;
use kring_runtime::sleep;
use kring_wire::messages::init_producer_id_request::InitProducerIdRequest;
use kring_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kring_wire::messages::produce_response::{PartitionProduceResponse, ProduceResponse};
use kring_wire::record::Compression;
use kring_wire::{ErrorCode, Records};

use super::batches::{Batch, Batches, ProducerIdentity};
use crate::cli::client::metadata::Topic;
use crate::cli::client::offsets::by_leader;
use crate::cli::client::{Client, ClientError, Connection, Patience, RETRY_TIME, Result};
use crate::cli::complain;

/// Later versions name topics by their ids.
const PRODUCE_NEWEST: i16 = 12;
const ALL_IN_SYNC: i16 = -1;
const ACK_TIME_MS: i32 = 30_000;
/// A leader that moves is found again sooner.
const TELL_AFTER: Duration = Duration::from_secs(1);
/// The broker's own limit, and some time on the way.
const ANSWER_TIME: Duration = Duration::from_secs(40);

pub(super) struct Sender {
    client: Client,
    topic: Topic,
    compression: Compression,
    identity: Option<ProducerIdentity>,
    /// By partition, the sequence of its next record.
    sequences: BTreeMap<i32, i32>,
}

/// Answers by partition.
type Answers = BTreeMap<i32, PartitionProduceResponse>;

impl Sender {
    pub(super) async fn new(mut client: Client, topic: Topic, compression: Compression) -> Result<Self> {
        let identity = identity(&mut client).await?;
        Ok(Self { client, topic, compression, identity, sequences: BTreeMap::new() })
    }

    /// Returns when everything is acknowledged, or when a record is not.
    pub(super) async fn send(&mut self, batches: &mut Batches) -> Result<()> {
        let trouble = RefCell::new(None);
        or(self.until_acknowledged(batches, &trouble), told(&trouble)).await
    }

    async fn until_acknowledged(
        &mut self,
        batches: &mut Batches,
        trouble: &RefCell<Option<ClientError>>,
    ) -> Result<()> {
        let mut patience = Patience::new(RETRY_TIME);
        while !batches.is_empty() {
            match self.round(batches).await {
                Ok(()) => {
                    patience.renew();
                    trouble.take();
                }
                Err(error) => {
                    trouble.replace(Some(error.clone()).filter(ClientError::is_retriable));
                    patience.again(error).await.map_err(unacknowledged)?;
                    self.topic = self.client.topic(&self.topic.name, false).await.map_err(unacknowledged)?;
                }
            }
        }
        Ok(())
    }

    /// Sends the first batch of every partition. The error is the last of a partition, after what is done is done.
    async fn round(&mut self, batches: &mut Batches) -> Result<()> {
        let leaders = by_leader(&self.topic, batches.fronts().map(|(index, _)| index))?;
        let fronts: BTreeMap<i32, &Batch> = batches.fronts().collect();
        let mut requests = Vec::new();
        for (leader, partitions) in leaders {
            let request = self.request(partitions.iter().map(|index| (*index, fronts[index])))?;
            requests.push((leader, self.client.take(leader).await?, request));
        }
        let sent = requests.into_iter().map(|(leader, connection, request)| ask(leader, connection, request));
        let mut outcome = Ok(());
        for (leader, connection, answered) in join_all(sent).await {
            match answered {
                Err(error) => outcome = Err(error),
                Ok(answers) => {
                    self.client.put_back(leader, connection);
                    for (partition, answer) in answers {
                        outcome = outcome.and(self.settle(batches, partition, &answer));
                    }
                }
            }
        }
        outcome
    }

    fn request<'a>(&self, batches: impl Iterator<Item = (i32, &'a Batch)>) -> Result<ProduceRequest> {
        let data = batches.map(|(index, batch)| self.encode(index, batch));
        let topic = TopicProduceData {
            name: self.topic.name.clone(),
            partition_data: data.collect::<Result<_>>()?,
            ..TopicProduceData::default()
        };
        Ok(ProduceRequest {
            acks: ALL_IN_SYNC,
            timeout_ms: ACK_TIME_MS,
            topic_data: vec![topic],
            ..ProduceRequest::default()
        })
    }

    fn encode(&self, index: i32, batch: &Batch) -> Result<PartitionProduceData> {
        let sequence = self.sequences.get(&index).copied().unwrap_or(0);
        let encoded = batch
            .encode(self.compression, self.identity.map(|identity| (identity, sequence)))
            .map_err(|error| ClientError::Plain(format!("records cannot be made into a batch: {error}")))?;
        Ok(PartitionProduceData { index, records: Some(Records::Bytes(encoded.to_bytes())) })
    }

    fn settle(
        &mut self,
        batches: &mut Batches,
        partition: i32,
        answer: &PartitionProduceResponse,
    ) -> Result<()> {
        match ErrorCode(answer.error_code) {
            ErrorCode::NONE | ErrorCode::DUPLICATE_SEQUENCE_NUMBER => {
                self.advance(partition, batches.done(partition));
                Ok(())
            }
            ErrorCode::MESSAGE_TOO_LARGE if batches.cut(partition) => Ok(()),
            code => ClientError::check(code.0, answer.error_message.as_ref(), || {
                let lines = batches.front(partition).and_then(Batch::lines).map_or(String::new(), of_lines);
                let topic = &self.topic.name;
                format!("records{lines} for partition {partition} of topic '{topic}' were not taken")
            }),
        }
    }

    /// Sequences go round after `i32::MAX`.
    fn advance(&mut self, partition: i32, records: usize) {
        let sequence = self.sequences.entry(partition).or_default();
        *sequence = ((*sequence as usize + records) % (i32::MAX as usize + 1)) as i32;
    }
}

/// Says once what does not pass soon, so that the user knows what is waited for. Never ends.
async fn told(trouble: &RefCell<Option<ClientError>>) -> Result<()> {
    loop {
        sleep(TELL_AFTER).await;
        if let Some(error) = trouble.take() {
            complain(&format!("{error}; trying again"));
            return pending().await;
        }
    }
}

fn of_lines((first, last): (u64, u64)) -> String {
    if first == last { format!(" of line {first}") } else { format!(" of lines {first} to {last}") }
}

/// Without an identity where the broker gives none: then a record may be stored twice when an answer is lost.
async fn identity(client: &mut Client) -> Result<Option<ProducerIdentity>> {
    let ask = |_| InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: i32::MAX,
        ..InitProducerIdRequest::default()
    };
    let mut patience = Patience::new(RETRY_TIME);
    loop {
        let answer = match client.ask_any(i16::MAX, ask).await {
            Err(ClientError::Unsupported { .. }) => return Ok(None),
            answer => answer?,
        };
        match ClientError::check(answer.error_code, None, || "no producer id was given".to_string()) {
            Ok(()) => {
                return Ok(Some(ProducerIdentity { id: answer.producer_id, epoch: answer.producer_epoch }));
            }
            Err(error) if error.code() == Some(ErrorCode::CLUSTER_AUTHORIZATION_FAILED) => return Ok(None),
            Err(error) => patience.again(error).await?,
        }
    }
}

async fn ask(
    leader: i32,
    mut connection: Connection,
    request: ProduceRequest,
) -> (i32, Connection, Result<Answers>) {
    let answer = connection.ask(ANSWER_TIME, PRODUCE_NEWEST, |_| request.clone()).await;
    (leader, connection, answer.map(by_partition))
}

fn by_partition(answer: ProduceResponse) -> Answers {
    let partitions = answer.responses.into_iter().flat_map(|topic| topic.partition_responses);
    partitions.map(|partition| (partition.index, partition)).collect()
}

fn unacknowledged(error: ClientError) -> ClientError {
    match error {
        ClientError::Refused { .. } => error,
        other => ClientError::Plain(format!("not every record was acknowledged: {other}")),
    }
}
