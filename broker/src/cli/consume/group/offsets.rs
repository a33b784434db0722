//! The group's offsets: what it has read before, and what has been printed now.

use kring_wire::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kring_wire::messages::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestTopic};
use kring_wire::{ErrorCode, Str};

use super::member::Member;
use crate::cli::client::offsets::Offsets;
use crate::cli::client::{ClientError, Patience, RETRY_TIME, Result};

/// Later versions ask for several groups at once.
const OFFSET_FETCH_NEWEST: i16 = 7;
/// Later versions name topics by their ids.
const OFFSET_COMMIT_NEWEST: i16 = 9;

impl Member {
    /// Where the group is in those of `partitions` that it has read before.
    pub(super) async fn committed(&mut self, partitions: &[i32]) -> Result<Offsets> {
        let mut patience = Patience::new(RETRY_TIME);
        loop {
            match self.committed_now(partitions).await {
                Ok(offsets) => return Ok(offsets),
                Err(error) => self.wait(&mut patience, error).await?,
            }
        }
    }

    async fn committed_now(&mut self, partitions: &[i32]) -> Result<Offsets> {
        let topic =
            OffsetFetchRequestTopic { name: self.topic.clone(), partition_indexes: partitions.to_vec() };
        let request = OffsetFetchRequest {
            group_id: self.group.clone(),
            topics: Some(vec![topic]),
            ..OffsetFetchRequest::default()
        };
        let answer = self.ask_coordinator(OFFSET_FETCH_NEWEST, |_| request.clone()).await?;
        let what = || format!("the offsets of group '{}' cannot be read", self.group);
        ClientError::check(answer.error_code, None, what)?;
        let mut offsets = Offsets::new();
        for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            ClientError::check(partition.error_code, None, what)?;
            if partition.committed_offset >= 0 {
                offsets.insert(partition.partition_index, partition.committed_offset);
            }
        }
        Ok(offsets)
    }

    /// Commits, unless this is no member any more: then others read those records again.
    pub(super) async fn commit_if_member(&mut self, printed: &Offsets) -> Result<()> {
        match self.commit(printed).await {
            Err(error) if error.code().is_some_and(means_joining_again) => Ok(()),
            outcome => outcome,
        }
    }

    /// Commits what is not committed yet.
    pub(super) async fn commit(&mut self, printed: &Offsets) -> Result<()> {
        let is_new = |(index, offset): &(&i32, &i64)| self.committed.get(index) != Some(offset);
        let news: Offsets = printed.iter().filter(is_new).map(|(index, offset)| (*index, *offset)).collect();
        let mut patience = Patience::new(RETRY_TIME);
        while !news.is_empty() {
            match self.commit_now(&news).await {
                Ok(()) => break,
                Err(error) => self.wait(&mut patience, error).await?,
            }
        }
        self.committed.extend(news);
        Ok(())
    }

    async fn commit_now(&mut self, news: &Offsets) -> Result<()> {
        let request = self.commit_request(news);
        let answer = self.ask_coordinator(OFFSET_COMMIT_NEWEST, |_| request.clone()).await?;
        let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.try_for_each(|partition| {
            ClientError::check(partition.error_code, None, || {
                format!("what was printed cannot be committed for group '{}'", self.group)
            })
        })
    }

    fn commit_request(&self, news: &Offsets) -> OffsetCommitRequest {
        let one = |(index, offset): (&i32, &i64)| OffsetCommitRequestPartition {
            partition_index: *index,
            committed_offset: *offset,
            committed_metadata: Some(Str::default()),
            ..OffsetCommitRequestPartition::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: self.topic.clone(),
            partitions: news.iter().map(one).collect(),
            ..OffsetCommitRequestTopic::default()
        };
        OffsetCommitRequest {
            group_id: self.group.clone(),
            generation_id_or_member_epoch: self.generation,
            member_id: self.member_id.clone(),
            topics: vec![topic],
            ..OffsetCommitRequest::default()
        }
    }
}

/// The coordinator has gone on without this member, or is about to.
pub(super) fn means_joining_again(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::REBALANCE_IN_PROGRESS | ErrorCode::ILLEGAL_GENERATION | ErrorCode::UNKNOWN_MEMBER_ID
    )
}
