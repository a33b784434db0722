//! DescribeLogDirs: the log directories with their partitions and sizes.

use std::collections::BTreeMap;
use std::rc::Rc;

use kring_wire::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use kring_wire::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kring_wire::{ErrorCode, Str};

use super::Client;
use crate::partition::PartitionSize;
use crate::shard::{Command, LogDirState};

pub async fn handle(client: &Rc<Client>, body: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let sizes = client.shard.mesh.ask_all(|reply_to| Command::Sizes { reply_to }).await;
    let wanted = Wanted::new(&body);
    let mut by_dir: BTreeMap<usize, BTreeMap<Str, Vec<DescribeLogDirsPartition>>> = BTreeMap::new();
    for size in sizes.into_iter().flatten().flatten() {
        if wanted.has(&size.topic, size.id.index) {
            let topics = by_dir.entry(size.log_dir).or_default();
            topics.entry(size.topic.clone()).or_default().push(partition(&size));
        }
    }
    let dirs = client.shard.log_dir_states().await;
    let results =
        dirs.into_iter().enumerate().map(|(i, dir)| result(dir, by_dir.remove(&i).unwrap_or_default()));
    DescribeLogDirsResponse { results: results.collect(), ..DescribeLogDirsResponse::default() }
}

/// Which partitions are asked for: all of them when the request names no topics.
struct Wanted<'a>(Option<BTreeMap<&'a str, &'a [i32]>>);

impl<'a> Wanted<'a> {
    fn new(body: &'a DescribeLogDirsRequest) -> Self {
        let by_topic = |topics: &'a Vec<_>| {
            let pair = |t: &'a kring_wire::messages::describe_log_dirs_request::DescribableLogDirTopic| {
                (t.topic.as_str(), t.partitions.as_slice())
            };
            topics.iter().map(pair).collect()
        };
        Self(body.topics.as_ref().map(by_topic))
    }

    fn has(&self, topic: &str, index: i32) -> bool {
        match &self.0 {
            None => true,
            Some(topics) => topics.get(topic).is_some_and(|partitions| partitions.contains(&index)),
        }
    }
}

fn partition(size: &PartitionSize) -> DescribeLogDirsPartition {
    DescribeLogDirsPartition {
        partition_index: size.id.index,
        partition_size: i64::try_from(size.bytes).unwrap_or(i64::MAX),
        ..DescribeLogDirsPartition::default()
    }
}

fn result(dir: LogDirState, topics: BTreeMap<Str, Vec<DescribeLogDirsPartition>>) -> DescribeLogDirsResult {
    let error = if dir.is_offline { ErrorCode::KAFKA_STORAGE_ERROR } else { ErrorCode::NONE };
    let topics = topics.into_iter().map(|(name, mut partitions)| {
        partitions.sort_by_key(|p| p.partition_index);
        DescribeLogDirsTopic { name, partitions }
    });
    DescribeLogDirsResult {
        error_code: error.into(),
        log_dir: dir.path.into(),
        topics: topics.collect(),
        total_bytes: dir.total_bytes,
        usable_bytes: dir.usable_bytes,
        ..DescribeLogDirsResult::default()
    }
}
