//! Random groups: what is in the log is what the coordinator knows, and nobody waits for ever or is told twice.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use kring_broker::coordinator::{Coordinator, CoordinatorRecord, Now, Position, Step, Token, WriteId};
use kring_broker::group::messages::*;
use kring_broker::group::{
    ClassicGroup, GroupCoordinator, GroupId, GroupSettings, GroupState, InstanceId, MemberId,
};
use kring_wire::{ErrorCode, Uuid};

/// A small generator: the same seed, the same run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }
}

#[derive(Default)]
struct World {
    log: Vec<CoordinatorRecord>,
    appended: Option<WriteId>,
    asked: BTreeSet<u64>,
    answered: BTreeSet<u64>,
    /// The last known member id and generation of each client.
    known: BTreeMap<u64, (MemberId, i32)>,
    client_of: BTreeMap<u64, u64>,
    now_ms: i64,
    appends_fail: bool,
}

const CLIENTS: u64 = 6;

fn settings() -> GroupSettings {
    GroupSettings { max_size: 3, offsets_retention_ms: 1_500_000, ..GroupSettings::default() }
}

fn group_of(client: u64) -> GroupId {
    GroupId::from(if client.is_multiple_of(2) { "even" } else { "odd" })
}

fn claim(world: &World, client: u64, dice: &mut Dice) -> MemberClaim {
    let member_id = world.known.get(&client).map(|(id, _)| id.clone()).unwrap_or_default();
    let is_static = client < 2;
    let forgets = dice.one_in(4);
    let instance_id = is_static.then(|| InstanceId::from(if client == 0 { "zero" } else { "one" }));
    MemberClaim { member_id: if forgets { MemberId::default() } else { member_id }, instance_id }
}

fn generation(world: &World, client: u64) -> i32 {
    world.known.get(&client).map_or(-1, |(_, generation)| *generation)
}

fn request(world: &World, dice: &mut Dice, client: u64) -> Request {
    let group_id = group_of(client);
    let claim = claim(world, client, dice);
    let generation_id = generation(world, client);
    match dice.roll(16) {
        0..=4 => join(dice, group_id, claim),
        5..=8 => sync(world, group_id, claim, generation_id),
        9 => Request::Heartbeat(Heartbeat { group_id, claim, generation_id }),
        10 => Request::Leave(Leave { group_id, members: vec![LeavingMember { claim, reason: None }] }),
        11 | 12 => commit(dice, group_id, claim, generation_id),
        13 => Request::OffsetDelete(OffsetDelete { group_id, topics: vec![("t".into(), vec![0, 1])] }),
        14 => Request::DeleteGroups(vec![group_id]),
        _ => Request::OffsetFetch(OffsetFetch {
            group_id,
            topics: None,
            require_stable: true,
            knows_group_error: true,
        }),
    }
}

fn join(dice: &mut Dice, group_id: GroupId, claim: MemberClaim) -> Request {
    let names = [&["range"][..], &["range", "sticky"], &["sticky", "range"]][dice.roll(3) as usize];
    let protocol = |name: &&str| Protocol {
        name: (*name).into(),
        metadata: Bytes::from_static(b"\0\0\0\0\0\0\0\0\0\0"),
    };
    let mut random = [0; 16];
    random[8..].copy_from_slice(&dice.roll(u64::MAX).to_be_bytes());
    Request::Join(Join {
        group_id,
        claim,
        client_id: "app".into(),
        client_host: "/127.0.0.1".into(),
        protocol_type: "consumer".into(),
        protocols: names.iter().map(protocol).collect(),
        session_timeout_ms: 6_000 + i32::try_from(dice.roll(20_000)).unwrap(),
        rebalance_timeout_ms: i32::try_from(dice.roll(30_000)).unwrap(),
        reason: None,
        must_know_its_id: dice.one_in(2),
        may_skip_assignment: dice.one_in(2),
        random: Uuid(random),
    })
}

fn sync(world: &World, group_id: GroupId, claim: MemberClaim, generation_id: i32) -> Request {
    let assignments =
        world.known.values().map(|(id, _)| (id.clone(), Bytes::copy_from_slice(id.as_str().as_bytes())));
    let assignments = assignments.collect();
    Request::Sync(Sync {
        group_id,
        claim,
        generation_id,
        protocol_type: None,
        protocol_name: None,
        assignments,
    })
}

fn commit(dice: &mut Dice, group_id: GroupId, claim: MemberClaim, generation_id: i32) -> Request {
    let at = |partition| CommitPartition {
        partition,
        offset: dice.roll(100) as i64,
        leader_epoch: 3,
        metadata: None,
    };
    let topic = CommitTopic { topic_id: Uuid([7; 16]), name: "t".into(), partitions: [0, 1].map(at).into() };
    let retention_ms = dice.one_in(5).then_some(10_000);
    Request::OffsetCommit(OffsetCommit {
        group_id,
        claim,
        generation_id,
        retention_ms,
        knows_group_id_not_found: true,
        topics: vec![topic],
    })
}

impl World {
    fn now(&self) -> Now {
        Now { wall_ms: self.now_ms, steady_ms: self.now_ms }
    }

    fn follow(&mut self, machine: &mut GroupCoordinator, dice: &mut Dice, step: Step<Reply>) {
        let mut steps = VecDeque::from([step]);
        while let Some(step) = steps.pop_front() {
            step.replies.into_iter().for_each(|(token, reply)| self.hear(token, reply));
            for write in step.writes {
                if self.appends_fail && dice.one_in(20) {
                    steps.push_back(machine.append_failed(
                        write.id,
                        ErrorCode::NOT_ENOUGH_REPLICAS,
                        self.now(),
                    ));
                    continue;
                }
                machine.appended(write.id, i64::try_from(self.log.len()).unwrap());
                self.log.extend(write.records);
                self.appended = Some(write.id);
            }
        }
    }

    fn flush(&mut self, machine: &mut GroupCoordinator, dice: &mut Dice) {
        while let Some(write) = self.appended.take() {
            let step = machine.durable(write, self.now());
            self.follow(machine, dice, step);
        }
    }

    fn hear(&mut self, token: Token, reply: Reply) {
        assert!(self.asked.contains(&token.0), "{token:?} never asked");
        assert!(self.answered.insert(token.0), "{token:?} is told twice");
        if let Reply::Join(join) = reply {
            let known = matches!(join.error, ErrorCode::NONE | ErrorCode::MEMBER_ID_REQUIRED);
            let client = self.client_of[&token.0];
            if known {
                self.known.insert(client, (join.member_id, join.generation_id));
            } else {
                self.known.remove(&client);
            }
        }
    }
}

fn reloaded(log: &[CoordinatorRecord]) -> GroupCoordinator {
    let mut machine = GroupCoordinator::new(settings());
    for (offset, record) in (0..).zip(log) {
        machine.replay(Position { offset, transaction: None }, record.clone()).unwrap();
    }
    machine
}

/// What of a group must survive: nothing while it is between two generations.
fn durable_view(group: &ClassicGroup) -> Option<String> {
    let settled = matches!(group.state(), GroupState::Stable | GroupState::Empty);
    let protocol = group.protocol_name().cloned().unwrap_or_default();
    let members: Vec<_> = group
        .members()
        .map(|member| {
            let timeouts = (member.session_timeout_ms, member.rebalance_timeout_ms);
            let names = (member.member_id.clone(), member.instance_id.clone());
            (names, timeouts, member.metadata(&protocol), member.assignment.clone())
        })
        .collect();
    let head = (group.state(), group.generation_id(), group.leader(), protocol);
    settled.then(|| format!("{head:?} {members:?}"))
}

fn check_log_tells_all(live: &GroupCoordinator, world: &World) {
    let loaded = reloaded(&world.log);
    for group in live.groups() {
        let group_id = group.group_id();
        assert_eq!(live.offsets().of_group(group_id), loaded.offsets().of_group(group_id));
        let copy = loaded.group(group_id).unwrap_or_else(|| panic!("{group_id} is not in the log"));
        // A group whose emptiness could not be stored is empty all the same.
        if let Some(view) = durable_view(group).filter(|_| !world.appends_fail) {
            assert_eq!(Some(view), durable_view(copy), "{group_id}");
        }
    }
    let ids = |machine: &GroupCoordinator| machine.groups().map(|g| g.group_id().clone()).collect::<Vec<_>>();
    assert_eq!(ids(live), ids(&loaded));
}

fn run(seed: u64, appends_fail: bool) {
    let mut dice = Dice(seed);
    let mut world = World { appends_fail, ..World::default() };
    let mut machine = GroupCoordinator::new(settings());
    let step = machine.loaded(world.now());
    world.follow(&mut machine, &mut dice, step);
    for token in 0..400 {
        let client = dice.roll(CLIENTS);
        let asked = request(&world, &mut dice, client);
        world.asked.insert(token);
        world.client_of.insert(token, client);
        let step = machine.handle(Token(token), asked, world.now());
        world.follow(&mut machine, &mut dice, step);
        if !dice.one_in(3) {
            world.flush(&mut machine, &mut dice);
        }
        let far = if dice.one_in(40) { 400_000 } else { 3_000 };
        world.now_ms += i64::try_from(dice.roll(far)).unwrap();
        let step = machine.tick(world.now());
        world.follow(&mut machine, &mut dice, step);
        if token % 20 == 0 {
            world.flush(&mut machine, &mut dice);
            check_log_tells_all(&machine, &world);
        }
    }
    let step = machine.unload();
    world.follow(&mut machine, &mut dice, step);
    assert_eq!(world.asked, world.answered, "everyone who asked is told");
}

fn run_seeds(appends_fail: bool) {
    for seed in 0..40 {
        let outcome = std::panic::catch_unwind(|| run(seed, appends_fail));
        assert!(outcome.is_ok(), "run({seed}, {appends_fail}) repeats this failure");
    }
}

#[test]
fn replaying_the_log_gives_the_live_state_and_every_request_is_answered_once() {
    run_seeds(false);
}

#[test]
fn failed_appends_leave_offsets_as_they_are_in_the_log_and_nobody_waiting() {
    run_seeds(true);
}
