//! Members of a group against a coordinator that is slow, hangs or freezes, in a simulation: no socket, no clock, one
//! seed, one run. The broker here has one partition without records, and knows of one member at a time.

mod common;
#[path = "common/one_broker.rs"]
mod one_broker;

use std::cell::Cell;
use std::future::pending;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::{cut, frame, versions};
use kring_loadgen::text::table;
use kring_loadgen::{GroupLoad, Report, Settings, Worker, Workload, prepare};
use kring_runtime::net::{Listener, Stream};
use kring_runtime::{Monotonic, Queue, now, sim, sleep, sleep_until, spawn};
use kring_wire::messages::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};
use kring_wire::messages::find_coordinator_response::FindCoordinatorResponse;
use kring_wire::messages::heartbeat_response::HeartbeatResponse;
use kring_wire::messages::join_group_response::{JoinGroupResponse, JoinGroupResponseMember};
use kring_wire::messages::leave_group_response::LeaveGroupResponse;
use kring_wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use kring_wire::messages::offset_commit_response::OffsetCommitResponse;
use kring_wire::messages::offset_fetch_response::{
    OffsetFetchResponse, OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};
use kring_wire::messages::sync_group_request::SyncGroupRequest;
use kring_wire::messages::sync_group_response::SyncGroupResponse;
use kring_wire::{ApiKey, Message, Reader, Str, decode_request_header};
use one_broker::{PORT, metadata};

/// What it offers.
const KEYS: [ApiKey; 12] = [
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::Metadata,
    ApiKey::CreateTopics,
    ApiKey::ListOffsets,
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::SyncGroup,
    ApiKey::Heartbeat,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::LeaveGroup,
];
const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// A join takes so long, from 3 s on.
    JoinsTake(Duration),
    /// From 3 s on nothing at all is answered.
    Frozen,
}

struct Broker {
    fault: Fault,
    generation: Cell<i32>,
    faulty_from: Monotonic,
}

impl Broker {
    fn is_faulty(&self) -> bool {
        now() >= self.faulty_from
    }

    async fn answer(&self, key: ApiKey, version: i16, correlation: i32, mut body: Reader) -> Bytes {
        match key {
            ApiKey::ApiVersions => frame(version, correlation, &versions(&KEYS)),
            ApiKey::Metadata => frame(version, correlation, &metadata()),
            ApiKey::ListOffsets => frame(version, correlation, &list_offsets()),
            ApiKey::Fetch => {
                sleep(Duration::from_millis(50)).await;
                frame(version, correlation, &fetch())
            }
            ApiKey::FindCoordinator => frame(version, correlation, &coordinator()),
            ApiKey::JoinGroup => frame(version, correlation, &self.join().await),
            ApiKey::SyncGroup => {
                let request = SyncGroupRequest::decode(&mut body, version).unwrap();
                let assignment = request.assignments[0].assignment.clone();
                frame(version, correlation, &SyncGroupResponse { assignment, ..Default::default() })
            }
            ApiKey::Heartbeat => frame(version, correlation, &HeartbeatResponse::default()),
            ApiKey::OffsetFetch => frame(version, correlation, &committed()),
            ApiKey::OffsetCommit => frame(version, correlation, &OffsetCommitResponse::default()),
            ApiKey::LeaveGroup => frame(version, correlation, &LeaveGroupResponse::default()),
            other => panic!("nobody asked for {other}"),
        }
    }

    async fn join(&self) -> JoinGroupResponse {
        if let Fault::JoinsTake(long) = self.fault
            && self.is_faulty()
        {
            sleep(long).await;
        }
        self.generation.set(self.generation.get() + 1);
        let member = JoinGroupResponseMember { member_id: Str::from("m"), ..Default::default() };
        JoinGroupResponse {
            generation_id: self.generation.get(),
            leader: Str::from("m"),
            member_id: Str::from("m"),
            members: vec![member],
            ..Default::default()
        }
    }

    async fn serve(self: Rc<Self>, stream: Stream) {
        let (mut read, mut write) = stream.into_split();
        let mut buffer = BytesMut::new();
        loop {
            while let Some(mut request) = cut(&mut buffer) {
                if self.fault == Fault::Frozen && self.is_faulty() {
                    pending::<()>().await;
                }
                let (key, header) = decode_request_header(&mut request).unwrap();
                let version = header.request_api_version;
                let answer = self.answer(key, version, header.correlation_id, request).await;
                if write.write_all(vec![answer]).await.is_err() {
                    // The client has given it up.
                    return;
                }
            }
            if !matches!(read.read(&mut buffer).await, Ok(bytes) if bytes > 0) {
                return;
            }
        }
    }
}

fn list_offsets() -> ListOffsetsResponse {
    let partitions = vec![ListOffsetsPartitionResponse::default()];
    let topic = ListOffsetsTopicResponse { name: Str::from("t"), partitions };
    ListOffsetsResponse { topics: vec![topic], ..Default::default() }
}

fn fetch() -> FetchResponse {
    let partitions = vec![PartitionData::default()];
    let topic = FetchableTopicResponse { topic: Str::from("t"), partitions, ..Default::default() };
    FetchResponse { responses: vec![topic], ..Default::default() }
}

fn coordinator() -> FindCoordinatorResponse {
    let (host, port) = (Str::from("localhost"), i32::from(PORT));
    FindCoordinatorResponse { node_id: 1, host, port, ..Default::default() }
}

fn committed() -> OffsetFetchResponse {
    let partition = OffsetFetchResponsePartition { committed_offset: -1, ..Default::default() };
    let topic = OffsetFetchResponseTopic { name: Str::from("t"), partitions: vec![partition] };
    OffsetFetchResponse { topics: vec![topic], ..Default::default() }
}

/// One member, which leaves 2 s after the start, comes back 2 s later, and so on; ten seconds are measured, or as many
/// as pass until the operator ends it. Also returns how long all of it took.
fn run(fault: Fault, interrupt: Duration) -> (Report, Duration) {
    let mut reports = sim::run(sim::SimConfig::new(1, 1), move |_| async move {
        let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], PORT))).unwrap();
        let began = now();
        let broker = Rc::new(Broker { fault, generation: Cell::new(0), faulty_from: began + 3 * SECOND });
        let accepting = spawn(Queue::Net, async move {
            while let Ok(stream) = listener.accept().await {
                spawn(Queue::Net, broker.clone().serve(stream)).detach();
            }
        });
        spawn(Queue::Net, async move {
            sleep_until(began + interrupt).await;
            sim::request_shutdown();
        })
        .detach();
        let group = GroupLoad {
            name: "g".to_owned(),
            members: 1,
            change_every: 2 * SECOND,
            heartbeat_every: SECOND / 2,
            commit_every: SECOND,
            session_ms: 45_000,
            rebalance_ms: 300_000,
        };
        let (warm_up, duration) = (Duration::ZERO, 10 * SECOND);
        let settings = Settings { warm_up, duration, group, ..Settings::of(Workload::Groups, "t") };
        let plan = prepare(settings.clone()).await.unwrap();
        let outcome = Worker::new(plan, 1).run(0).await.unwrap();
        drop(accepting);
        (Report::new(&settings, outcome, Default::default()), began.elapsed())
    })
    .unwrap();
    reports.remove(0)
}

/// How long the rebalances took that a member caused which joined, and how many there were.
fn joining(report: &Report) -> (Duration, u64) {
    let measured =
        report.latencies().into_iter().find(|(measure, _)| measure.key() == "a member joins: rebalance");
    measured.map(|(_, summary)| (summary.max, summary.count)).unwrap_or_default()
}

#[test]
fn rebalances_of_a_coordinator_that_answers_are_measured_and_the_run_ends_in_time() {
    let (report, took) = run(Fault::None, Duration::MAX);
    let (longest, count) = joining(&report);
    assert!(longest < SECOND && count == 2, "{}", table(&report));
    assert!(report.is_good() && took < 11 * SECOND, "{took:?}: {}", table(&report));
}

#[test]
fn a_rebalance_that_is_open_at_the_end_is_waited_for_and_measured_whole() {
    // The one of 4 s is over at 13 s.
    let (report, took) = run(Fault::JoinsTake(9 * SECOND), Duration::MAX);
    let (longest, count) = joining(&report);
    assert!(longest >= 9 * SECOND && count == 1, "{}", table(&report));
    assert!(report.is_good() && took < 15 * SECOND, "{took:?}: {}", table(&report));
}

#[test]
fn a_rebalance_that_never_ends_has_lasted_until_the_run_gave_it_up_and_has_failed() {
    // The one of 4 s, given up 10 s after the end.
    let (report, took) = run(Fault::JoinsTake(Duration::MAX), Duration::MAX);
    let (longest, count) = joining(&report);
    assert!(longest > 15 * SECOND && count == 1, "{}", table(&report));
    assert!(!report.is_good(), "{}", table(&report));
    assert_eq!(report.stats.errors["rebalance not over 10 s after the end"], 1);
    assert!(took < 22 * SECOND, "{took:?}: {}", table(&report));
}

#[test]
fn a_coordinator_that_answers_nothing_any_more_keeps_no_run_for_long() {
    let (report, took) = run(Fault::Frozen, Duration::MAX);
    assert!(!report.is_good(), "{}", table(&report));
    assert!(took < 31 * SECOND, "{took:?}: {}", table(&report));
}

#[test]
fn a_group_that_is_interrupted_gives_what_was_measured_until_then() {
    let (report, took) = run(Fault::None, 5 * SECOND);
    assert_eq!(joining(&report).1, 1, "{}", table(&report));
    assert!(report.interrupted && report.is_good() && took < 6 * SECOND, "{took:?}: {}", table(&report));
}
