//! Answers without a decision: requests refused at the door, and replies whose records did not reach the log.
//!
//! Pure mappings from an error to the shape of each answer; on any shard.

use kring_wire::{ErrorCode, Str};

use super::ids::{GroupId, MemberId};
use super::messages::*;
use super::settings::GroupSettings;
use super::state::GroupState;

/// The longest text that the protocol and its records have room for.
pub const MAX_TEXT_BYTES: usize = i16::MAX as usize;
/// What a member id has after the name it begins with: a hyphen and a UUID.
const MEMBER_ID_SUFFIX_BYTES: usize = 37;

impl Request {
    /// What can be refused without knowing any group, checked before a coordinator is even looked for.
    pub fn refused_at_the_door(&self, settings: &GroupSettings) -> Option<Reply> {
        let error = match self {
            Request::Join(join) => return refused_join(join, settings).map(Reply::Join),
            Request::Sync(Sync { group_id, .. })
            | Request::Heartbeat(Heartbeat { group_id, .. })
            | Request::Leave(Leave { group_id, .. })
            | Request::OffsetDelete(OffsetDelete { group_id, .. })
                if group_id.is_empty() =>
            {
                ErrorCode::INVALID_GROUP_ID
            }
            _ => return None,
        };
        Some(self.error_reply(error))
    }

    /// The answer when the request failed as a whole with `error`.
    pub fn error_reply(&self, error: ErrorCode) -> Reply {
        match self {
            Request::Join(_) => Reply::Join(JoinReply::error(error, MemberId::default())),
            Request::Sync(_) => Reply::Sync(SyncReply::error(error)),
            // A member of a group that is still loading is taken at its word.
            Request::Heartbeat(_) if error == ErrorCode::COORDINATOR_LOAD_IN_PROGRESS => {
                Reply::Heartbeat(ErrorCode::NONE)
            }
            Request::Heartbeat(_) => Reply::Heartbeat(error),
            Request::Leave(leave) => Reply::Leave(leave.error_reply(error)),
            Request::OffsetCommit(commit) => Reply::OffsetCommit(commit.error_reply(error)),
            Request::OffsetFetch(fetch) => Reply::OffsetFetch(fetch.error_reply(error)),
            Request::OffsetDelete(_) => Reply::OffsetDelete(OffsetDeleteReply { error, topics: Vec::new() }),
            Request::ListGroups(_) => Reply::ListGroups(Err(error)),
            Request::DescribeGroups(describe) => Reply::DescribeGroups(describe.error_reply(error)),
            Request::DeleteGroups(groups) => {
                Reply::DeleteGroups(groups.iter().map(|group| (group.clone(), error)).collect())
            }
            Request::TopicsDeleted(_) => Reply::TopicsDeleted(Err(error)),
        }
    }
}

fn refused_join(join: &Join, settings: &GroupSettings) -> Option<JoinReply> {
    let allowed = settings.min_session_timeout_ms..=settings.max_session_timeout_ms;
    let error = if join.group_id.is_empty() {
        ErrorCode::INVALID_GROUP_ID
    } else if !allowed.contains(&join.session_timeout_ms) {
        ErrorCode::INVALID_SESSION_TIMEOUT
    } else if !join.fits_records() {
        ErrorCode::INVALID_REQUEST
    } else {
        return None;
    };
    Some(JoinReply::error(error, join.claim.member_id.clone()))
}

impl Join {
    /// Whether a member id that begins with this client's name can be stored.
    fn fits_records(&self) -> bool {
        let prefix = self.claim.instance_id.as_ref().map_or(&*self.client_id, |id| id.as_str());
        prefix.len() <= MAX_TEXT_BYTES - MEMBER_ID_SUFFIX_BYTES
    }
}

impl Leave {
    /// A group that is not there has none of the members: that is an error of each, not of the request.
    pub fn error_reply(&self, error: ErrorCode) -> LeaveReply {
        if error != ErrorCode::UNKNOWN_MEMBER_ID {
            return LeaveReply { error, members: Vec::new() };
        }
        let members = self.members.iter().map(|member| (member.claim.clone(), error)).collect();
        LeaveReply { error: ErrorCode::NONE, members }
    }
}

impl OffsetCommit {
    pub fn error_reply(&self, error: ErrorCode) -> Vec<TopicErrors> {
        let refuse = |topic: &CommitTopic| TopicErrors {
            topic_id: topic.topic_id,
            name: topic.name.clone(),
            partitions: topic.partitions.iter().map(|partition| (partition.partition, error)).collect(),
        };
        self.topics.iter().map(refuse).collect()
    }
}

impl OffsetFetch {
    pub fn error_reply(&self, error: ErrorCode) -> OffsetFetchReply {
        let group_id = self.group_id.clone();
        if self.knows_group_error {
            return OffsetFetchReply { group_id, error, topics: Vec::new() };
        }
        let refuse = |topic: &FetchTopic| FetchedTopic {
            topic_id: topic.topic_id,
            name: topic.name.clone(),
            partitions: topic.partitions.iter().map(|at| FetchedPartition::none(*at, error)).collect(),
        };
        let topics = self.topics.iter().flatten().map(refuse).collect();
        OffsetFetchReply { group_id, error: ErrorCode::NONE, topics }
    }
}

impl DescribeGroups {
    fn error_reply(&self, error: ErrorCode) -> Vec<DescribedGroup> {
        self.groups.iter().map(|group| DescribedGroup::error(group.clone(), "", error, None)).collect()
    }
}

impl DescribedGroup {
    pub fn error(
        group_id: GroupId,
        state: &'static str,
        error: ErrorCode,
        message: Option<Str>,
    ) -> DescribedGroup {
        DescribedGroup {
            error,
            error_message: message,
            group_id,
            state,
            protocol_type: Str::default(),
            protocol_data: Str::default(),
            members: Vec::new(),
        }
    }

    /// What an old client is told about a group that is not there.
    pub fn dead(group_id: GroupId) -> DescribedGroup {
        DescribedGroup::error(group_id, GroupState::Dead.name(), ErrorCode::NONE, None)
    }
}

impl Reply {
    /// This reply had waited for records that were not written: what its client is told instead.
    pub fn into_error(self, error: ErrorCode) -> Reply {
        match self {
            Reply::Join(reply) => Reply::Join(JoinReply::error(error, reply.member_id)),
            Reply::Sync(_) => Reply::Sync(SyncReply::error(error)),
            Reply::Heartbeat(_) => Reply::Heartbeat(error),
            Reply::Leave(_) => Reply::Leave(LeaveReply { error, members: Vec::new() }),
            Reply::OffsetCommit(topics) => {
                Reply::OffsetCommit(topics.into_iter().map(|t| t.into_error(error)).collect())
            }
            Reply::OffsetFetch(fetch) => Reply::OffsetFetch(fetch.into_error(error)),
            Reply::OffsetDelete(_) => Reply::OffsetDelete(OffsetDeleteReply { error, topics: Vec::new() }),
            Reply::ListGroups(_) => Reply::ListGroups(Err(error)),
            Reply::DescribeGroups(groups) => Reply::DescribeGroups(
                groups
                    .into_iter()
                    .map(|group| DescribedGroup::error(group.group_id, "", error, None))
                    .collect(),
            ),
            Reply::DeleteGroups(groups) => {
                Reply::DeleteGroups(groups.into_iter().map(|(group, _)| (group, error)).collect())
            }
            Reply::TopicsDeleted(_) => Reply::TopicsDeleted(Err(error)),
        }
    }
}

impl TopicErrors {
    fn into_error(mut self, error: ErrorCode) -> TopicErrors {
        self.partitions.iter_mut().for_each(|(_, each)| *each = error);
        self
    }
}

impl OffsetFetchReply {
    fn into_error(mut self, error: ErrorCode) -> OffsetFetchReply {
        self.error = error;
        self.topics.clear();
        self
    }
}

/// What a client is told when the log refused its records.
pub fn append_error_for_client(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        | ErrorCode::NOT_ENOUGH_REPLICAS
        | ErrorCode::REQUEST_TIMED_OUT => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::KAFKA_STORAGE_ERROR => ErrorCode::NOT_COORDINATOR,
        ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE | ErrorCode::INVALID_FETCH_SIZE => {
            ErrorCode::UNKNOWN_SERVER_ERROR
        }
        other => other,
    }
}
