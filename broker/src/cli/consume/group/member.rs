//! A member of a group under the classic protocol: finds the coordinator, joins, assigns when it leads, leaves.

use std::collections::BTreeMap;
use std::time::Duration;

use kring_runtime::{Queue, Task, sleep, spawn, timeout};
use kring_wire::messages::find_coordinator_request::FindCoordinatorRequest;
use kring_wire::messages::heartbeat_request::HeartbeatRequest;
use kring_wire::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use kring_wire::messages::join_group_response::JoinGroupResponse;
use kring_wire::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use kring_wire::messages::metadata_response::MetadataResponseTopic;
use kring_wire::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use kring_wire::{ErrorCode, Request, Str};

use super::assignor::{Assignor, PartitionCounts, Subscriptions};
use super::offsets::means_joining_again;
use super::{heartbeat, protocol};
use crate::cli::client::offsets::Offsets;
use crate::cli::client::server::Address;
use crate::cli::client::{ANSWER_TIME, Client, ClientError, Connection, Patience, RETRY_TIME, Result};

const PROTOCOL_TYPE: Str = Str::from_static("consumer");
/// Short, so that a member that was killed does not hold up the others for long.
const SESSION_TIME_MS: i32 = 10_000;
const REBALANCE_TIME_MS: i32 = 60_000;
/// Joining takes as long as the slowest member.
const JOIN_TIME: Duration = Duration::from_secs(75);
const LEAVE_TIME: Duration = Duration::from_secs(2);
const REJOIN_PAUSE: Duration = Duration::from_millis(50);
/// Later versions ask for several coordinators at once.
const FIND_COORDINATOR_NEWEST: i16 = 3;

pub(super) struct Member {
    client: Client,
    pub(super) group: Str,
    pub(super) topic: Str,
    /// Where the coordinator was last.
    coordinator: Option<Address>,
    connection: Option<Connection>,
    pub(super) member_id: Str,
    pub(super) generation: i32,
    /// What the group is known to have committed in this generation.
    pub(super) committed: Offsets,
}

impl Member {
    pub(super) fn new(client: Client, group: &Str, topic: &Str) -> Self {
        Self {
            client,
            group: group.clone(),
            topic: topic.clone(),
            coordinator: None,
            connection: None,
            member_id: Str::default(),
            generation: -1,
            committed: Offsets::new(),
        }
    }

    pub(super) fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Becomes a member of the next generation. The partitions that are this member's then.
    pub(super) async fn join(&mut self) -> Result<Vec<i32>> {
        self.committed.clear();
        let mut patience = Patience::new(RETRY_TIME);
        loop {
            match self.join_once().await {
                Ok(partitions) => return Ok(partitions),
                Err(error) => self.recover(error, &mut patience).await?,
            }
        }
    }

    async fn recover(&mut self, error: ClientError, patience: &mut Patience) -> Result<()> {
        match error.code() {
            Some(ErrorCode::MEMBER_ID_REQUIRED) => Ok(()),
            Some(code) if means_joining_again(code) => {
                if code == ErrorCode::UNKNOWN_MEMBER_ID {
                    self.member_id = Str::default();
                }
                sleep(REJOIN_PAUSE).await;
                Ok(())
            }
            _ => self.wait(patience, error).await,
        }
    }

    async fn join_once(&mut self) -> Result<Vec<i32>> {
        let joined = self.ask_to_join().await?;
        let assignments = match joined.leader == joined.member_id && !joined.skip_assignment {
            true => self.assign(&joined).await?,
            false => Vec::new(),
        };
        let request = SyncGroupRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.member_id.clone(),
            protocol_type: Some(PROTOCOL_TYPE),
            protocol_name: joined.protocol_name,
            assignments,
            ..SyncGroupRequest::default()
        };
        let synced = self.ask_for(JOIN_TIME, i16::MAX, |_| request.clone()).await?;
        self.check(synced.error_code)?;
        protocol::assigned_partitions(synced.assignment, &self.topic).map_err(|error| {
            ClientError::Plain(format!(
                "group '{}' gave an assignment that cannot be read: {error}",
                self.group
            ))
        })
    }

    async fn ask_to_join(&mut self) -> Result<JoinGroupResponse> {
        let request = self.join_request()?;
        let joined = self.ask_for(JOIN_TIME, i16::MAX, |_| request.clone()).await?;
        if !joined.member_id.is_empty() {
            self.member_id = joined.member_id.clone();
        }
        self.check(joined.error_code)?;
        self.generation = joined.generation_id;
        Ok(joined)
    }

    fn join_request(&self) -> Result<JoinGroupRequest> {
        let metadata = protocol::subscription(&self.topic).map_err(|error| {
            ClientError::Plain(format!("topic '{}' cannot be asked for: {error}", self.topic))
        })?;
        let protocol = |assignor: Assignor| JoinGroupRequestProtocol {
            name: Str::from_static(assignor.name()),
            metadata: metadata.clone(),
        };
        Ok(JoinGroupRequest {
            group_id: self.group.clone(),
            session_timeout_ms: SESSION_TIME_MS,
            rebalance_timeout_ms: REBALANCE_TIME_MS,
            member_id: self.member_id.clone(),
            protocol_type: PROTOCOL_TYPE,
            protocols: Assignor::ALL.map(protocol).to_vec(),
            ..JoinGroupRequest::default()
        })
    }

    /// As the leader of the group: who reads what.
    async fn assign(&mut self, joined: &JoinGroupResponse) -> Result<Vec<SyncGroupRequestAssignment>> {
        let name = joined.protocol_name.clone().unwrap_or_default();
        let assignor =
            Assignor::from_name(&name).ok_or_else(|| self.not_for_us(format!("chose '{name}'")))?;
        let mut members = Subscriptions::new();
        for member in &joined.members {
            let topics = protocol::subscribed_topics(member.metadata.clone());
            let topics = topics.map_err(|error| self.not_for_us(format!("has a strange member: {error}")))?;
            members.insert(member.member_id.clone(), topics);
        }
        let counts = self.partition_counts(&members).await?;
        let encode = |(member_id, topics): (Str, BTreeMap<Str, Vec<i32>>)| {
            let assignment = protocol::assignment(&topics);
            let assignment = assignment.map_err(|error| self.not_for_us(error.to_string()))?;
            Ok(SyncGroupRequestAssignment { member_id, assignment })
        };
        assignor.assign(&members, &counts).into_iter().map(encode).collect()
    }

    fn not_for_us(&self, why: String) -> ClientError {
        ClientError::Plain(format!("group '{}' cannot be led by this client: it {why}", self.group))
    }

    /// Topics that are not there have no partitions.
    async fn partition_counts(&mut self, members: &Subscriptions) -> Result<PartitionCounts> {
        let mut topics: Vec<Str> = members.values().flatten().cloned().collect();
        topics.sort();
        topics.dedup();
        let answer = self.client.metadata(Some(&topics), false).await?;
        let count =
            |topic: &MetadataResponseTopic| Some((topic.name.clone()?, topic.partitions.len() as i32));
        Ok(answer.topics.iter().filter_map(count).collect())
    }

    fn check(&self, code: i16) -> Result<()> {
        ClientError::check(code, None, || format!("group '{}' cannot be joined", self.group))
    }

    /// Ends when the group must be joined again.
    pub(super) fn heartbeat(&self) -> Task<()> {
        let request = HeartbeatRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.member_id.clone(),
            ..HeartbeatRequest::default()
        };
        let coordinator = self.coordinator.clone();
        spawn(Queue::Net, async move {
            if let Some(coordinator) = coordinator {
                heartbeat::beat(coordinator, request).await;
            }
        })
    }

    pub(super) async fn ask_coordinator<R: Request>(
        &mut self,
        highest: i16,
        body: impl Fn(i16) -> R,
    ) -> Result<R::Response> {
        self.ask_for(ANSWER_TIME, highest, body).await
    }

    /// A coordinator that fails to answer is looked for again the next time.
    async fn ask_for<R: Request>(
        &mut self,
        patience: Duration,
        highest: i16,
        body: impl Fn(i16) -> R,
    ) -> Result<R::Response> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.find_coordinator().await?,
        };
        let answer = connection.ask(patience, highest, body).await?;
        self.connection = Some(connection);
        Ok(answer)
    }

    /// Waits before the next attempt, at another coordinator when this one is none any more.
    pub(super) async fn wait(&mut self, patience: &mut Patience, error: ClientError) -> Result<()> {
        if error.code() == Some(ErrorCode::NOT_COORDINATOR) {
            self.connection = None;
        }
        patience.again(error).await
    }

    async fn find_coordinator(&mut self) -> Result<Connection> {
        let group = self.group.clone();
        let ask = |_| FindCoordinatorRequest { key: group.clone(), ..FindCoordinatorRequest::default() };
        let mut patience = Patience::new(RETRY_TIME);
        loop {
            let found = self.client.ask_any(FIND_COORDINATOR_NEWEST, ask).await?;
            let checked = ClientError::check(found.error_code, found.error_message.as_ref(), || {
                format!("group '{}' has no coordinator", self.group)
            });
            match checked {
                Err(error) => patience.again(error).await?,
                Ok(()) => {
                    let port = u16::try_from(found.port).unwrap_or(0);
                    let address = Address { host: found.host.to_string(), port };
                    self.coordinator = Some(address.clone());
                    return Connection::open(&address).await;
                }
            }
        }
    }

    /// So that the others need not wait for the session to end. Nothing depends on it.
    pub(super) async fn leave(self) {
        let Some(coordinator) = self.coordinator.as_ref().filter(|_| !self.member_id.is_empty()) else {
            return;
        };
        let _in_time_or_not = timeout(LEAVE_TIME, async {
            // Not the connection at hand: it may be waiting for the answer to a request that was given up.
            let mut connection = Connection::open(coordinator).await?;
            connection.ask(LEAVE_TIME, i16::MAX, |version| self.leave_request(version)).await
        })
        .await;
    }

    fn leave_request(&self, version: i16) -> LeaveGroupRequest {
        let identity = MemberIdentity { member_id: self.member_id.clone(), ..MemberIdentity::default() };
        let (member_id, members) = match version {
            ..3 => (self.member_id.clone(), Vec::new()),
            _ => (Str::default(), vec![identity]),
        };
        LeaveGroupRequest { group_id: self.group.clone(), member_id, members }
    }
}
