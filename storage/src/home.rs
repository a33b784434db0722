//! The directory of one log: made at once, made durable with the log's first record, and refused if it belongs to
//! another topic. What is lost before that is made again: the metadata of the cluster says that it should be there.
//! Shard that owns the log.

use std::path::Path;

use kring_runtime::fs;

use crate::TopicId;
use crate::checkpoint;
use crate::dir::{FEW_LINES, bad_file, read_bytes};
use crate::error::LogError;
use crate::log::Log;
use crate::mutation::{self, Mutation};
use crate::segment::write_file;

pub(crate) const METADATA: &str = "partition.metadata";

/// Makes the directory. Costs no flush: 10,000 of them are made in the time of their system calls.
pub(crate) async fn make(path: &Path, topic_id: Option<TopicId>) -> Result<(), LogError> {
    let made = match topic_id {
        Some(id) => {
            let text = checkpoint::encode_partition_metadata(id);
            fs::create_dir_with(path, METADATA, text.as_bytes()).await
        }
        None => fs::create_dir_all(path).await,
    };
    made.map_err(|e| LogError::io(path, "creating", &e))
}

/// Whose directory it is; as `expected` if it says nothing, and then it says so from now on: a repair may have put a
/// damaged file aside.
pub(crate) async fn check(path: &Path, expected: Option<TopicId>) -> Result<Option<TopicId>, LogError> {
    match (topic_of(path).await?, expected) {
        (Some(found), Some(expected)) if expected != found && is_rot(found, expected) => {
            let path = path.join(METADATA);
            tracing::error!(path = %path.display(), %found, %expected, "a damaged topic id is written anew");
            write_id(&path, expected).await
        }
        (Some(found), Some(expected)) if expected != found => {
            Err(LogError::foreign(path, format!("it belongs to topic id {found}, not {expected}")))
        }
        (None, Some(expected)) => write_id(&path.join(METADATA), expected).await,
        (found, expected) => Ok(found.or(expected)),
    }
}

async fn write_id(metadata: &Path, id: TopicId) -> Result<Option<TopicId>, LogError> {
    match write_file(metadata, checkpoint::encode_partition_metadata(id).as_bytes()).await {
        Err(error) if error.is_passing() => {
            tracing::warn!(%error, "the next start writes the topic id down");
        }
        written => written?,
    }
    Ok(Some(id))
}

/// Ids are random: of two topics, fewer than one pair in 10^13 agrees in half of what is written of them. One that has
/// become another by damage does.
fn is_rot(found: TopicId, expected: TopicId) -> bool {
    let (found, expected) = (found.to_string(), expected.to_string());
    let same = found.bytes().zip(expected.bytes()).filter(|(one, other)| one == other).count();
    2 * same >= expected.len()
}

/// The topic that a partition directory says it belongs to; `None` if it says nothing or is not there.
pub(crate) async fn topic_of(path: &Path) -> Result<Option<TopicId>, LogError> {
    let metadata = path.join(METADATA);
    let bytes = read_bytes(&metadata, FEW_LINES).await?.unwrap_or_default();
    if bytes.iter().all(|&byte| byte == 0) {
        // A crash came before it was durable, so before the first record.
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&bytes);
    checkpoint::decode_partition_metadata(&text).map(Some).map_err(bad_file(&metadata))
}

impl Log {
    /// Before the first record: on return the directory and what it says of its topic outlive a crash.
    pub(crate) async fn settle_home(&self) -> Result<(), LogError> {
        if self.0.home_is_durable.get() {
            return Ok(());
        }
        if let Some(id) = self.0.topic_id {
            let text = checkpoint::encode_partition_metadata(id);
            write_file(&self.0.path.join(METADATA), text.as_bytes()).await?;
        }
        let dir = self.0.dir.path();
        if !mutation::on(Mutation::LeaveNewDirectoryToChance) {
            fs::sync_dir(dir).await.map_err(|e| LogError::io(dir, "flushing directory", &e))?;
        }
        self.0.home_is_durable.set(true);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use kring_wire::Uuid;

    use super::*;

    #[test]
    fn an_id_with_some_changed_characters_is_rot_and_another_one_is_not() {
        let id =
            [0x1b, 0xc4, 0x07, 0x9e, 0x60, 0xf2, 0x3d, 0xa8, 0x51, 0x8c, 0xe7, 0x12, 0x76, 0x2a, 0xd9, 0x45];
        let mut changed = id;
        changed[3..8].iter_mut().for_each(|byte| *byte ^= 0x5a);
        assert!(is_rot(Uuid(changed), Uuid(id)));
        assert!(!is_rot(Uuid(id.map(|byte| !byte)), Uuid(id)));
    }
}
