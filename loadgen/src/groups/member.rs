//! One member of the group, from joining to leaving: a consumer as the others see it.
//! An error that the protocol foresees makes it join again; a lost coordinator is looked for again.

use kring_runtime::{Monotonic, now, sleep};
use kring_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use kring_wire::messages::fetch_response::{FetchResponse, PartitionData};
use kring_wire::messages::join_group_response::JoinGroupResponse;
use kring_wire::record::split_batches;
use kring_wire::{ErrorCode, Str};

use super::rebalances::Trigger;
use super::{Desk, assign};
use crate::backoff::Backoff;
use crate::client::{
    ClientError, Connection, Coordinator, Endpoint, Layout, Membership, list_offsets, refresh_leaders,
};
use crate::stats::Amount;
use crate::work::routes;

/// How long a fetch waits for records: heartbeats and changes are looked at in between.
const FETCH_WAIT_MS: i32 = 50;
const FETCH_BYTES: i32 = 1 << 20;
const EARLIEST: i64 = -2;

/// Its partitions of one leader.
struct Share {
    connection: Connection,
    /// Partitions, and the next offset to read of each.
    positions: Vec<(i32, i64)>,
}

impl Share {
    /// Counts the batches of one partition, and goes on after them.
    fn read(&mut self, partition: Option<i32>, data: PartitionData) -> Result<Amount, ClientError> {
        let code = ErrorCode(data.error_code);
        if code.is_err() {
            return Err(ClientError::refused("Fetch", code));
        }
        let Some((_, position)) = self.positions.iter_mut().find(|(own, _)| Some(*own) == partition) else {
            let sentence = format!("what was asked, but of {}", data.partition_index);
            return Err(ClientError::Missing(sentence));
        };
        let records = data.records.as_ref().and_then(|records| records.as_bytes()).cloned();
        let mut amount = Amount::default();
        for batch in split_batches(&records.unwrap_or_default()) {
            let batch = batch?;
            *position = batch.header.last_offset() + 1;
            amount.batch_bytes += batch.bytes.len() as u64;
            amount.records += u64::from(batch.header.record_count.max(0).unsigned_abs());
        }
        Ok(amount)
    }
}

pub struct Member<'a> {
    desk: &'a Desk,
    membership: Membership,
    /// Of all partitions.
    leaders: Vec<Endpoint>,
    shares: Vec<Share>,
    heartbeat_at: Monotonic,
    commit_at: Monotonic,
    backoff: Backoff,
}

impl<'a> Member<'a> {
    pub fn new(desk: &'a Desk) -> Member<'a> {
        Member {
            desk,
            membership: Membership::default(),
            leaders: desk.plan.topics.leaders.clone(),
            shares: Vec::new(),
            heartbeat_at: now(),
            commit_at: now(),
            backoff: Backoff::default(),
        }
    }

    /// Until it is not wanted any more. A broker that does not answer keeps it for so long after the end, and as long
    /// again when it leaves.
    pub async fn run(mut self) {
        let (local, drain) = (self.desk.local.clone(), self.desk.plan.settings.drain);
        if local.before_end(drain, self.stay()).await.is_none() {
            self.desk.abandon();
        }
        match local.before_end(2 * drain, self.leave()).await {
            Some(Ok(())) => {}
            Some(Err(error)) => self.desk.note(&error),
            None => self.desk.abandon(),
        }
    }

    async fn stay(&mut self) {
        while self.desk.wants() {
            if let Err(error) = self.serve().await {
                self.desk.note(&error);
                sleep(self.backoff.next()).await;
                self.refresh().await;
            }
        }
    }

    /// Whom to ask: the broker that was named, and those that lead partitions.
    fn brokers(&self) -> Vec<Endpoint> {
        let mut brokers = vec![self.desk.plan.server.clone()];
        brokers.extend(routes(&self.leaders).0);
        brokers
    }

    /// Leaders may have changed.
    async fn refresh(&mut self) {
        match refresh_leaders(&self.brokers(), &self.desk.plan.topics).await {
            Ok(leaders) => self.leaders = leaders,
            Err(error) => self.desk.note(&error),
        }
    }

    async fn coordinator(&self) -> Result<Coordinator, ClientError> {
        let plan = &self.desk.plan;
        let mut last = ClientError::Closed;
        for broker in self.brokers() {
            match Coordinator::find(&broker, &plan.topics.versions, &plan.settings.group.name).await {
                Ok(coordinator) => return Ok(coordinator),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// With one coordinator: joins, works, and joins again as often as it is told to.
    async fn serve(&mut self) -> Result<(), ClientError> {
        let mut coordinator = self.coordinator().await?;
        while self.desk.wants() {
            let outcome = match self.join(&mut coordinator).await {
                Ok(()) => self.work(&mut coordinator).await,
                Err(error) => Err(error),
            };
            let Err(error) = outcome else { continue };
            self.rejoin(error)?;
        }
        Ok(())
    }

    /// What the protocol foresees is no error: the member joins again.
    fn rejoin(&mut self, error: ClientError) -> Result<(), ClientError> {
        let ClientError::Refused { code, .. } = &error else { return Err(error) };
        match *code {
            ErrorCode::REBALANCE_IN_PROGRESS => Ok(()),
            ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION => {
                let name = format!("memberships lost ({code})");
                self.desk.local.stats.borrow_mut().count(&name, 1);
                self.membership = Membership::default();
                Ok(())
            }
            _ => Err(error),
        }
    }

    async fn join(&mut self, coordinator: &mut Coordinator) -> Result<(), ClientError> {
        let desk = self.desk;
        let joined = desk.timed("join", self.ask_to_join(coordinator)).await?;
        self.membership =
            Membership { member_id: joined.member_id.clone(), generation: joined.generation_id };
        let syncing = coordinator.sync(&self.membership, self.assignments(&joined));
        let assignment = desk.timed("sync", syncing).await?;
        let partitions = assign::partitions(assignment, &self.desk.plan.topics.layout)
            .ok_or_else(|| ClientError::Missing("partitions that can be read".to_owned()))?;
        self.open(coordinator, &partitions).await?;
        for share in 0..self.shares.len() {
            self.fetch(share).await?;
        }
        self.desk.works(self.membership.generation);
        self.backoff.reset();
        Ok(())
    }

    async fn ask_to_join(&mut self, coordinator: &mut Coordinator) -> Result<JoinGroupResponse, ClientError> {
        let group = &self.desk.plan.settings.group;
        let subscription = assign::subscription(&self.desk.plan.topics.layout);
        let timeouts = (group.session_ms, group.rebalance_ms);
        loop {
            let member_id = self.membership.member_id.clone();
            let answer = coordinator.join(&member_id, subscription.clone(), timeouts).await?;
            match ErrorCode(answer.error_code) {
                // KIP-394: the coordinator names the member before it lets it in.
                ErrorCode::MEMBER_ID_REQUIRED if member_id.is_empty() => {
                    self.membership.member_id = answer.member_id;
                }
                code if code.is_err() => return Err(ClientError::refused("JoinGroup", code)),
                _ => return Ok(answer),
            }
        }
    }

    /// Everybody's partitions, where this member leads.
    fn assignments(&self, joined: &JoinGroupResponse) -> Vec<(Str, bytes::Bytes)> {
        if joined.leader.as_str() != joined.member_id.as_str() || joined.skip_assignment {
            return Vec::new();
        }
        let layout = &self.desk.plan.topics.layout;
        let mut members: Vec<_> = joined.members.iter().map(|member| member.member_id.clone()).collect();
        members.sort_by(|one, two| one.as_str().cmp(two.as_str()));
        let count = members.len();
        let assignment = |(index, member): (usize, Str)| (member, assign::assignment(layout, count, index));
        members.into_iter().enumerate().map(assignment).collect()
    }

    /// Connects to the leaders of these partitions, and finds where to go on.
    async fn open(&mut self, coordinator: &mut Coordinator, partitions: &[i32]) -> Result<(), ClientError> {
        let plan = &self.desk.plan;
        self.shares.clear();
        if partitions.is_empty() {
            return Ok(());
        }
        let committed = coordinator.committed(&plan.topics.layout, partitions).await?;
        let (endpoints, routes) = routes(&self.leaders);
        for (at, endpoint) in endpoints.iter().enumerate() {
            let own = partitions.iter().zip(&committed).filter(|(p, _)| routes[**p as usize] == at);
            let mut positions: Vec<_> = own.map(|(partition, offset)| (*partition, *offset)).collect();
            if positions.is_empty() {
                continue;
            }
            let mut connection = Connection::open(endpoint).await?;
            for (partition, offset) in positions.iter_mut().filter(|(_, offset)| *offset < 0) {
                *offset = list_offsets(&mut connection, &plan.topics, &[*partition], EARLIEST).await?[0];
            }
            self.shares.push(Share { connection, positions });
        }
        Ok(())
    }

    /// Fetches, sends heartbeats and commits until it is not wanted, or until something is refused.
    async fn work(&mut self, coordinator: &mut Coordinator) -> Result<(), ClientError> {
        let group = &self.desk.plan.settings.group;
        (self.heartbeat_at, self.commit_at) = (now() + group.heartbeat_every, now() + group.commit_every);
        while self.desk.wants() {
            for share in 0..self.shares.len() {
                self.fetch(share).await?;
            }
            if self.shares.is_empty() {
                sleep(std::time::Duration::from_millis(FETCH_WAIT_MS as u64)).await;
            }
            if now() >= self.commit_at && !self.shares.is_empty() {
                self.commit(coordinator).await?;
                self.commit_at = now() + group.commit_every;
            }
            if now() >= self.heartbeat_at {
                self.desk.timed("heartbeat", coordinator.heartbeat(&self.membership)).await?;
                self.heartbeat_at = now() + group.heartbeat_every;
            }
        }
        Ok(())
    }

    async fn commit(&mut self, coordinator: &mut Coordinator) -> Result<(), ClientError> {
        let offsets: Vec<_> = self.shares.iter().flat_map(|share| share.positions.iter().copied()).collect();
        let layout = &self.desk.plan.topics.layout;
        self.desk.timed("offset commit", coordinator.commit(&self.membership, layout, offsets)).await
    }

    async fn fetch(&mut self, share: usize) -> Result<(), ClientError> {
        let topics = &self.desk.plan.topics;
        let share = &mut self.shares[share];
        let request = fetch_request(&topics.layout, &share.positions);
        let answer: FetchResponse = share.connection.call(topics.versions.fetch, &request).await?;
        let mut amount = Amount { requests: 1, ..Amount::default() };
        for topic in answer.responses {
            for data in topic.partitions {
                let found = topics.layout.find(&topic.topic, data.partition_index);
                amount.add(share.read(found, data)?);
            }
        }
        self.desk.local.consumed(amount, now());
        Ok(())
    }

    async fn leave(&mut self) -> Result<(), ClientError> {
        if self.membership.member_id.is_empty() {
            return Ok(());
        }
        let mut coordinator = self.coordinator().await?;
        if !self.desk.is_over() {
            self.desk.begins(Trigger::Left);
        }
        self.desk.timed("leave", coordinator.leave(&self.membership.member_id)).await
    }
}

fn fetch_request(layout: &Layout, positions: &[(i32, i64)]) -> FetchRequest {
    let partition = |(partition, offset): &(i32, i64)| FetchPartition {
        partition: layout.index(*partition),
        fetch_offset: *offset,
        partition_max_bytes: FETCH_BYTES,
        ..FetchPartition::default()
    };
    let topic = |(name, own): (&str, &[(i32, i64)])| FetchTopic {
        topic: Str::from(name),
        partitions: own.iter().map(partition).collect(),
        ..FetchTopic::default()
    };
    FetchRequest {
        max_wait_ms: FETCH_WAIT_MS,
        min_bytes: 1,
        max_bytes: FETCH_BYTES,
        topics: layout.stretches(positions, |(partition, _)| *partition).map(topic).collect(),
        ..FetchRequest::default()
    }
}
