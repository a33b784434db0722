//! A group coordinator over a real log, on the simulated machine: rebalances on many schedules, and crashes.
//! `KRING_SEED=n` repeats one schedule.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kring_broker::config::{BrokerConfig, Flags};
use kring_broker::coordinator::Driver;
use kring_broker::group::messages::*;
use kring_broker::group::{GroupCoordinator, GroupSettings, MemberId};
use kring_broker::partition::{Partition, PartitionId, PartitionParts, log_config};
use kring_runtime::sim::{RunEnd, Sim, SimConfig};
use kring_runtime::{Queue, channel, fill_random, sleep, spawn};
use kring_storage::{Log, LogDir, LogName, ShardConfig, ShardStorage};
use kring_wire::record::Compression;
use kring_wire::{ErrorCode, Uuid};

const OFFSETS: &str = "__consumer_offsets";

/// One shard with one coordinator, on a disk that lives on from boot to boot.
struct Node {
    driver: Driver<GroupCoordinator>,
}

impl Node {
    async fn boot() -> Rc<Node> {
        let (config, _) = BrokerConfig::from_sources(None, &[], &Flags::default()).unwrap();
        let config = Arc::new(config.topic(&Default::default()));
        let storage = ShardStorage::new(ShardConfig::default());
        let dir = LogDir::open(Path::new("/data")).await.unwrap().dir;
        let id = PartitionId { topic: Uuid::from_u128(7), index: 0 };
        let log_config = Rc::new(log_config(&config, 86_400_000));
        let name = LogName::new(OFFSETS, 0);
        let (log, _) = Log::open(&storage, &dir, name, log_config, Some(id.topic)).await.unwrap();
        let parts = PartitionParts { id, topic: OFFSETS.into(), leader_epoch: 0, config, log_dir: 0, log };
        let machine = GroupCoordinator::new(GroupSettings::default());
        Rc::new(Node { driver: Driver::start(Partition::new(parts), machine, Compression::NONE) })
    }

    /// Asks until the coordinator has loaded.
    async fn ask(&self, request: Request) -> Reply {
        loop {
            let (reply_to, reply) = channel::oneshot();
            self.driver.submit(request.clone(), reply_to);
            let reply = reply.recv().await.expect("the coordinator answers");
            if !is_loading(&reply) {
                return reply;
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    async fn join(&self, claim: MemberClaim) -> JoinReply {
        let mut random = [0; 16];
        fill_random(&mut random);
        let protocol = Protocol { name: "range".into(), metadata: Bytes::from_static(&[0; 10]) };
        let join = Join {
            group_id: "g".into(),
            claim,
            client_id: "app".into(),
            client_host: "/127.0.0.1".into(),
            protocol_type: "consumer".into(),
            protocols: vec![protocol],
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 60_000,
            reason: None,
            must_know_its_id: true,
            may_skip_assignment: true,
            random: Uuid(random),
        };
        match self.ask(Request::Join(join)).await {
            Reply::Join(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    async fn sync(&self, joined: &JoinReply) -> SyncReply {
        let share = |member: &JoinedMember| {
            (member.member_id.clone(), Bytes::copy_from_slice(member.member_id.as_str().as_bytes()))
        };
        let sync = Sync {
            group_id: "g".into(),
            claim: claim(&joined.member_id),
            generation_id: joined.generation_id,
            protocol_type: None,
            protocol_name: None,
            assignments: joined.members.iter().map(share).collect(),
        };
        match self.ask(Request::Sync(sync)).await {
            Reply::Sync(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    async fn commit(&self, partition: i32, offset: i64) -> ErrorCode {
        let at = CommitPartition { partition, offset, leader_epoch: 0, metadata: None };
        let topic = CommitTopic { topic_id: Uuid::ONE, name: "t".into(), partitions: vec![at] };
        let commit = OffsetCommit {
            group_id: "offsets-only".into(),
            claim: MemberClaim::default(),
            generation_id: -1,
            retention_ms: None,
            knows_group_id_not_found: true,
            topics: vec![topic],
        };
        match self.ask(Request::OffsetCommit(commit)).await {
            Reply::OffsetCommit(topics) => topics[0].partitions[0].1,
            other => panic!("{other:?}"),
        }
    }

    async fn fetch(&self, partition: i32) -> i64 {
        let topic = FetchTopic { topic_id: Uuid::ZERO, name: "t".into(), partitions: vec![partition] };
        let fetch = OffsetFetch {
            group_id: "offsets-only".into(),
            topics: Some(vec![topic]),
            require_stable: true,
            knows_group_error: true,
        };
        match self.ask(Request::OffsetFetch(fetch)).await {
            Reply::OffsetFetch(reply) => reply.topics[0].partitions[0].offset,
            other => panic!("{other:?}"),
        }
    }
}

fn claim(member_id: &MemberId) -> MemberClaim {
    MemberClaim { member_id: member_id.clone(), instance_id: None }
}

fn is_loading(reply: &Reply) -> bool {
    const LOADING: ErrorCode = ErrorCode::COORDINATOR_LOAD_IN_PROGRESS;
    match reply {
        Reply::Join(reply) => reply.error == LOADING,
        Reply::Sync(reply) => reply.error == LOADING,
        Reply::OffsetCommit(topics) => topics[0].partitions[0].1 == LOADING,
        Reply::OffsetFetch(reply) => reply.error == LOADING,
        _ => false,
    }
}

/// A member that follows the protocol until it has an assignment of a generation of `size` members.
async fn member(node: Rc<Node>, size: usize) -> (MemberId, i32) {
    let mut me = MemberId::default();
    loop {
        let joined = node.join(claim(&me)).await;
        me = joined.member_id.clone();
        if joined.error != ErrorCode::NONE {
            assert_eq!(joined.error, ErrorCode::MEMBER_ID_REQUIRED);
            continue;
        }
        let synced = node.sync(&joined).await;
        match synced.error {
            ErrorCode::NONE => {
                assert_eq!(&synced.assignment[..], me.as_str().as_bytes(), "everyone has their own share");
                if joined.leader != me || joined.members.len() == size {
                    return (me, joined.generation_id);
                }
            }
            error => assert_eq!(error, ErrorCode::REBALANCE_IN_PROGRESS),
        }
    }
}

#[test]
fn three_members_agree_on_one_generation_on_every_schedule() {
    for seed in 0..30 {
        let machine = Sim::new(SimConfig::new(seed, 1).with_seed_from_env());
        let end = machine.run(|_| async {
            let node = Node::boot().await;
            let members: Vec<_> = (0..3u64)
                .map(|late| {
                    let node = node.clone();
                    spawn(Queue::Net, async move {
                        sleep(Duration::from_millis(late * 700)).await;
                        member(node, 3).await
                    })
                })
                .collect();
            let mut generations = Vec::new();
            for member in members {
                generations.push(member.await.1);
            }
            node.driver.close();
            generations
        });
        let generations = end.unwrap_or_else(|error| panic!("{error}")).finished().remove(0);
        assert_eq!(generations, [1, 1, 1], "seed {seed}");
    }
}

#[test]
fn a_commit_that_was_acknowledged_survives_a_power_cut() {
    let mut cut_short = 0;
    for seed in 0..40 {
        let machine = Sim::new(SimConfig::new(seed, 1).with_seed_from_env());
        let acknowledged = Rc::new(RefCell::new([-1i64; 3]));
        machine.crash_at(machine.now() + Duration::from_micros(3_000 + seed * 400));
        let told = acknowledged.clone();
        let end = machine.run(move |_| {
            let told = told.clone();
            async move {
                let node = Node::boot().await;
                let writers = [0, 1, 2].map(|partition| {
                    let (node, told) = (node.clone(), told.clone());
                    spawn(Queue::Net, async move {
                        for offset in 0..200 {
                            assert_eq!(node.commit(partition, offset).await, ErrorCode::NONE);
                            told.borrow_mut()[partition as usize] = offset;
                        }
                    })
                });
                for writer in writers {
                    writer.await;
                }
                node.driver.close();
            }
        });
        cut_short += u32::from(matches!(end, Ok(RunEnd::Crashed)));
        let found = machine
            .run(|_| async {
                let node = Node::boot().await;
                let mut found = Vec::new();
                for partition in 0..3 {
                    found.push(node.fetch(partition).await);
                }
                node.driver.close();
                found
            })
            .unwrap_or_else(|error| panic!("{error}"))
            .finished()
            .remove(0);
        for (partition, acknowledged) in acknowledged.borrow().iter().enumerate() {
            assert!(found[partition] >= *acknowledged, "seed {seed}: {found:?} after {acknowledged}");
        }
    }
    assert!(cut_short > 10, "the power was cut in time in {cut_short} of 40 runs");
}
