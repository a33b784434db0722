//! Fetch: bring the session up to date, ask the owners, let them wait together, assemble in session order.
//! Never copies records: the response carries slices of memory and file ranges.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;
use std::time::Duration;

use kring_runtime::{now, random_u64, wall_ms};
use kring_wire::messages::fetch_request::FetchRequest;
use kring_wire::messages::fetch_response::FetchResponse;
use kring_wire::{ErrorCode, Str, Uuid};

use super::Client;
use super::fan_out::Split;
use super::fetch_response::{Answering, Pair};
use super::fetch_session::{Answered, NO_SESSION, Plan, SessionRequest, TopicKey, Wanted};
use super::request::{PeerFault, Request};
use super::response::{Head, Response, reply};
use crate::metadata::Image;
use crate::partition::{FetchEntry, Fetched, NO_EPOCH, PartitionId};
use crate::shard::{Command, FetchGate, FetchTerms, OpenOnDrop};

/// The first version that names topics by id.
const BY_TOPIC_ID: i16 = 13;
/// The first version that says who asks in `replica_state`.
const BY_REPLICA_STATE: i16 = 15;
/// The isolation level of a reader of committed records.
pub(super) const READ_COMMITTED: i8 = 1;

/// The limits of one request.
struct Limits {
    max_wait: Duration,
    min_bytes: u64,
    /// As the request has it, below the broker's ceiling; a negative one is an error to whoever reads by it.
    max_bytes: i32,
    read_committed: bool,
    /// Only another broker may ask as a replica.
    is_replica: bool,
}

impl Limits {
    fn response_bytes(&self) -> u64 {
        u64::try_from(self.max_bytes).unwrap_or(0)
    }
}

pub async fn handle(client: &Rc<Client>, mut request: Request) -> Result<Response, PeerFault> {
    let head = Head::from(&request);
    let body: FetchRequest = request.body()?;
    let limits = limits(client, &body, head.version);
    let answering = Answering { client, head };
    let plan = client.state.sessions.borrow_mut().plan(session_request(body, head.version), wall_ms());
    Ok(match plan {
        Plan::Refuse(error) => {
            reply(&head, &FetchResponse { error_code: error.into(), ..FetchResponse::default() })
        }
        Plan::Sessionless(wanted) => {
            let pairs = read(client, &limits, wanted).await;
            answering.assemble(NO_SESSION, pairs)
        }
        Plan::Full(wanted) => {
            let pairs = read(client, &limits, wanted).await;
            let session_id = open_session(client, &head, &pairs);
            answering.assemble(session_id, pairs)
        }
        Plan::Incremental { session_id, epoch, wanted } => {
            let pairs = read(client, &limits, wanted).await;
            incremental(&answering, session_id, epoch, pairs)
        }
    })
}

fn limits(client: &Client, body: &FetchRequest, version: i16) -> Limits {
    let ceiling = i32::try_from(client.shard.config().requests.fetch_max_bytes).unwrap_or(i32::MAX);
    let max_bytes = body.max_bytes.min(ceiling);
    let replica_id =
        if version >= BY_REPLICA_STATE { body.replica_state.replica_id } else { body.replica_id };
    Limits {
        max_wait: Duration::from_millis(u64::try_from(body.max_wait_ms).unwrap_or(0)),
        min_bytes: u64::try_from(body.min_bytes.min(max_bytes)).unwrap_or(0),
        max_bytes,
        read_committed: body.isolation_level == READ_COMMITTED,
        is_replica: replica_id >= 0,
    }
}

fn session_request(body: FetchRequest, version: i16) -> SessionRequest {
    let uses_topic_ids = version >= BY_TOPIC_ID;
    let key =
        |name: Str, id: Uuid| if uses_topic_ids { TopicKey::Id(id) } else { TopicKey::Name(name.detach()) };
    let mut wanted = Vec::new();
    for topic in body.topics {
        let topic_key = key(topic.topic, topic.topic_id);
        wanted.extend(topic.partitions.into_iter().map(|p| Wanted {
            topic: topic_key.clone(),
            partition: p.partition,
            fetch_offset: p.fetch_offset,
            max_bytes: p.partition_max_bytes,
            current_leader_epoch: p.current_leader_epoch,
            last_fetched_epoch: p.last_fetched_epoch,
        }));
    }
    let mut forgotten = Vec::new();
    for topic in body.forgotten_topics_data {
        let topic_key = key(topic.topic, topic.topic_id);
        forgotten.extend(topic.partitions.into_iter().map(|index| (topic_key.clone(), index)));
    }
    SessionRequest {
        session_id: body.session_id,
        epoch: body.session_epoch,
        uses_topic_ids,
        wanted: each_once(wanted),
        forgotten,
    }
}

/// As Kafka: what a request says last of a partition holds, at the place where it named it first.
fn each_once(wanted: Vec<Wanted>) -> Vec<Wanted> {
    if wanted.len() < 2 {
        return wanted;
    }
    let mut places: HashMap<(TopicKey, i32), usize> = HashMap::with_capacity(wanted.len());
    let mut kept: Vec<Wanted> = Vec::with_capacity(wanted.len());
    for one in wanted {
        match places.entry((one.topic.clone(), one.partition)) {
            Entry::Occupied(place) => kept[*place.get()] = one,
            Entry::Vacant(place) => {
                place.insert(kept.len());
                kept.push(one);
            }
        }
    }
    kept
}

/// Asks the owners for everything that is wanted, and waits until they have found enough together.
async fn read(client: &Client, limits: &Limits, wanted: Vec<Wanted>) -> Vec<Pair> {
    let image = client.shard.image();
    let found: Vec<Result<PartitionId, ErrorCode>> = wanted.iter().map(|w| find(&image, w)).collect();
    let gate = FetchGate::new(limits.min_bytes);
    let _until_answered = OpenOnDrop(gate.clone());
    // As Kafka: a partition that nobody knows is told with the answer for the others, which wait as they would.
    if limits.max_wait.is_zero() || found.iter().all(Result::is_err) {
        gate.open();
    }
    let entries = entries(&found, &wanted, limits);
    let mesh = &client.shard.mesh;
    let split = Split::new(mesh, entries);
    let is_shared = split.shards() > 1;
    let terms = FetchTerms {
        max_bytes: u32::try_from(limits.response_bytes()).unwrap_or(u32::MAX),
        deadline: now() + limits.max_wait,
        gate,
        is_shared,
        may_be_cut: is_shared && allowed_together(&wanted) > limits.response_bytes(),
    };
    let command = |entries, reply_to| Command::Fetch { terms: terms.clone(), entries, reply_to };
    let mut answers = split.ask(mesh, command).await.collect().await.into_iter();
    let mut answer_of = |id: Result<PartitionId, ErrorCode>| match id {
        // Kafka's answer to what it does not know has this list empty, not missing.
        Err(error) => Fetched { aborted: Some(Vec::new()), ..Fetched::refused(error) },
        Ok(_) => {
            answers.next().expect("an answer for each entry").unwrap_or_else(|r| Fetched::refused(r.code))
        }
    };
    let fetched: Vec<Fetched> = found.into_iter().map(&mut answer_of).collect();
    within(limits.response_bytes(), wanted.into_iter().zip(fetched).collect())
}

/// Bytes that the request allows for its partitions together, apart from its own limit.
fn allowed_together(wanted: &[Wanted]) -> u64 {
    wanted.iter().map(partition_max_bytes).sum()
}

fn find(image: &Image, wanted: &Wanted) -> Result<PartitionId, ErrorCode> {
    let (topic, missing) = match &wanted.topic {
        TopicKey::Id(id) => (image.topic_by_id(*id), ErrorCode::UNKNOWN_TOPIC_ID),
        TopicKey::Name(name) => (image.topic(name), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
    };
    let topic = topic.ok_or(missing)?;
    if !(0..topic.partition_count()).contains(&wanted.partition) {
        return Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    }
    Ok(PartitionId { topic: topic.id, index: wanted.partition })
}

/// What the owners are asked. Kafka applies a negative limit of the request to the first partition that it reads.
fn entries(
    found: &[Result<PartitionId, ErrorCode>],
    wanted: &[Wanted],
    limits: &Limits,
) -> Vec<(PartitionId, FetchEntry)> {
    let known = found.iter().zip(wanted).filter_map(|(id, wanted)| Some(((*id).ok()?, wanted)));
    let mut entries: Vec<_> = known.map(|(id, wanted)| (id, entry(wanted, limits))).collect();
    if let Some((_, first)) = entries.first_mut() {
        first.max_bytes = first.max_bytes.min(limits.max_bytes);
    }
    entries
}

fn entry(wanted: &Wanted, limits: &Limits) -> FetchEntry {
    FetchEntry {
        fetch_offset: wanted.fetch_offset,
        max_bytes: wanted.max_bytes,
        // Any negative epoch of a fetch is none; the other requests know only -1 (`FetchRequest.optionalEpoch`).
        current_leader_epoch: wanted.current_leader_epoch.max(NO_EPOCH),
        last_fetched_epoch: wanted.last_fetched_epoch,
        read_committed: limits.read_committed,
        is_replica: limits.is_replica,
    }
}

fn partition_max_bytes(wanted: &Wanted) -> u64 {
    u64::try_from(wanted.max_bytes).unwrap_or(0)
}

/// Each shard kept the limits for itself and let its first batch pass them; together they may be above. The first
/// batch of the response always goes out whole; what follows is cut to what is left, as Kafka's one reader would
/// have read it, so that nobody waits for ever behind a partition that is never empty (KIP-74).
fn within(max_bytes: u64, mut pairs: Vec<Pair>) -> Vec<Pair> {
    let mut sent_bytes = 0;
    for (wanted, fetched) in &mut pairs {
        if sent_bytes > 0 {
            fetched.cut(partition_max_bytes(wanted).min(max_bytes.saturating_sub(sent_bytes)));
        }
        sent_bytes += fetched.bytes();
    }
    pairs
}

fn answered(fetched: &Fetched) -> Answered {
    Answered {
        has_records: !fetched.parts.is_empty(),
        has_error: fetched.error.is_err(),
        diverges: fetched.diverging.is_some(),
        high_watermark: fetched.high_watermark,
        log_start_offset: fetched.log_start_offset,
    }
}

fn open_session(client: &Client, head: &Head, pairs: &[Pair]) -> i32 {
    if head.version < 7 {
        return NO_SESSION;
    }
    let candidate = ((random_u64() >> 33) as i32).max(1);
    let remembered = pairs.iter().map(|(wanted, fetched)| (wanted.clone(), answered(fetched))).collect();
    let by_id = head.version >= BY_TOPIC_ID;
    client.state.sessions.borrow_mut().open(candidate, by_id, remembered, wall_ms())
}

fn incremental(answering: &Answering<'_>, session_id: i32, epoch: i32, pairs: Vec<Pair>) -> Response {
    let said: Vec<_> = pairs.iter().map(|(w, f)| (w.topic.clone(), w.partition, answered(f))).collect();
    let kept = answering.client.state.sessions.borrow_mut().filter(session_id, epoch, &said);
    match kept {
        Err(error) => reply(
            &answering.head,
            &FetchResponse { error_code: error.into(), session_id, ..Default::default() },
        ),
        Ok(kept) => {
            let changed = pairs.into_iter().zip(kept).filter(|(_, keep)| *keep).map(|(pair, _)| pair);
            answering.assemble(session_id, changed.collect())
        }
    }
}
