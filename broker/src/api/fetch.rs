//! Fetch: bring the session up to date, ask the owners, let them wait together, assemble in session order.
//! Never copies records: the response carries slices of memory and file ranges.

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
use crate::partition::{FetchEntry, Fetched, PartitionId};
use crate::shard::{Command, FetchGate, FetchTerms, OpenOnDrop};

/// The first version that names topics by id.
const BY_TOPIC_ID: i16 = 13;
/// The isolation level of a reader of committed records.
pub(super) const READ_COMMITTED: i8 = 1;

/// The limits of one request.
struct Limits {
    max_wait: Duration,
    min_bytes: u64,
    max_bytes: u32,
    read_committed: bool,
}

pub async fn handle(client: &Rc<Client>, mut request: Request) -> Result<Response, PeerFault> {
    let head = Head::from(&request);
    let body: FetchRequest = request.body()?;
    let limits = limits(client, &body);
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

fn limits(client: &Client, body: &FetchRequest) -> Limits {
    let ceiling = client.shard.config().requests.fetch_max_bytes;
    let max_bytes = u32::try_from(body.max_bytes).unwrap_or(0).min(ceiling);
    Limits {
        max_wait: Duration::from_millis(u64::try_from(body.max_wait_ms).unwrap_or(0)),
        min_bytes: u64::try_from(body.min_bytes).unwrap_or(0).min(u64::from(max_bytes)),
        max_bytes,
        read_committed: body.isolation_level == READ_COMMITTED,
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
        wanted,
        forgotten,
    }
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
    let entries =
        found.iter().zip(&wanted).filter_map(|(id, w)| id.ok().map(|id| (id, entry(w, limits)))).collect();
    let terms = FetchTerms { max_bytes: limits.max_bytes, deadline: now() + limits.max_wait, gate };
    let mesh = &client.shard.mesh;
    let command = |entries, reply_to| Command::Fetch { terms: terms.clone(), entries, reply_to };
    let mut answers = Split::new(mesh, entries).ask(mesh, command).await.collect().await.into_iter();
    let mut answer_of = |id: Result<PartitionId, ErrorCode>| match id {
        Err(error) => Fetched::refused(error),
        Ok(_) => {
            answers.next().expect("an answer for each entry").unwrap_or_else(|r| Fetched::refused(r.code))
        }
    };
    let fetched: Vec<Fetched> = found.into_iter().map(&mut answer_of).collect();
    within(limits.max_bytes, wanted.into_iter().zip(fetched).collect())
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

fn entry(wanted: &Wanted, limits: &Limits) -> FetchEntry {
    FetchEntry {
        fetch_offset: wanted.fetch_offset,
        max_bytes: partition_max_bytes(wanted),
        current_leader_epoch: wanted.current_leader_epoch,
        last_fetched_epoch: wanted.last_fetched_epoch,
        read_committed: limits.read_committed,
    }
}

fn partition_max_bytes(wanted: &Wanted) -> u32 {
    u32::try_from(wanted.max_bytes).unwrap_or(0)
}

/// Each shard kept the limits for itself and let its first batch pass them; together they may be above. What comes
/// too late waits for the next fetch, but the first batch of the response always goes out (KIP-74).
fn within(max_bytes: u32, mut pairs: Vec<Pair>) -> Vec<Pair> {
    let mut sent_bytes = 0;
    for (wanted, fetched) in &mut pairs {
        let bytes = fetched.bytes();
        let allowed =
            u64::from(partition_max_bytes(wanted)).min(u64::from(max_bytes).saturating_sub(sent_bytes));
        if sent_bytes > 0 && bytes > allowed {
            fetched.parts.clear();
        } else {
            sent_bytes += bytes;
        }
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
