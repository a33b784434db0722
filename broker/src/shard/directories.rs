//! Which log directory a partition of this core goes to, and what becomes of those in one that failed: they lose
//! their leader, the others go on. Never judges a disk: storage has.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use kring_runtime::sleep;
use kring_storage::LogName;
use kring_wire::Uuid;

use super::{Command, Shard};
use crate::controller::{ControllerRequest, PartitionKey};

pub(super) const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How many logs are being opened in each directory: many at once, none of them a partition yet.
pub(super) type Opening = Rc<RefCell<BTreeMap<usize, usize>>>;

/// The directory for a log that is being opened; counted until it is dropped.
pub(super) struct Place {
    index: usize,
    opening: Opening,
}

impl Place {
    fn take(index: usize, opening: &Opening) -> Place {
        *opening.borrow_mut().entry(index).or_default() += 1;
        Place { index, opening: opening.clone() }
    }

    /// In `log.dirs`.
    pub fn index(&self) -> usize {
        self.index
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *self.opening.borrow_mut().get_mut(&self.index).expect("it was counted") -= 1;
    }
}

impl Shard {
    /// Where a partition lives, or for a new one the working directory with the fewest partitions of this core. `None`
    /// when it may be in a directory that is offline: an empty log in its place would take its offsets back.
    pub(super) fn directory_for(&self, name: &LogName, is_new: bool) -> Option<Place> {
        let is_online = |place: &usize| self.log_dirs[*place].offline().is_none();
        let found = self.located.get(name).copied();
        let index = match found.filter(is_online) {
            Some(place) => place,
            None if is_new || (0..self.log_dirs.len()).all(|place| is_online(&place)) => self.emptiest()?,
            None => return None,
        };
        Some(Place::take(index, &self.opening))
    }

    fn emptiest(&self) -> Option<usize> {
        let opening = self.opening.borrow();
        let online = self.log_dirs.iter().enumerate().filter(|(_, dir)| dir.offline().is_none());
        let mut counts: BTreeMap<usize, usize> =
            online.map(|(place, _)| (place, opening.get(&place).copied().unwrap_or(0))).collect();
        for partition in self.all_partitions() {
            if let Some(count) = counts.get_mut(&partition.log_dir()) {
                *count += 1;
            }
        }
        counts.into_iter().min_by_key(|(place, count)| (*count, *place)).map(|(place, _)| place)
    }

    /// Makes it known to clients that the partitions of the directory at this place of `log.dirs` have no leader. The
    /// shards refuse them already.
    pub async fn directory_failed(&self, place: usize, left: Vec<Uuid>) {
        let partitions = self.partitions_in(place).await;
        let (count, dir) = (partitions.len(), self.log_dirs[place].path().display());
        tracing::warn!(%dir, partitions = count, "its replicas are not served any more: the log directory has failed");
        let request = ControllerRequest::FailDirectory { partitions, left };
        while self.ask_controller(request.clone()).await.is_err() {
            sleep(ASK_AGAIN_AFTER).await;
        }
    }

    async fn partitions_in(&self, place: usize) -> Vec<PartitionKey> {
        let sizes = self.mesh.ask_all(|reply_to| Command::Sizes { reply_to }).await;
        let all = sizes.into_iter().flatten().flatten();
        all.filter(|size| size.log_dir == place).map(|size| (size.id.topic, size.id.index)).collect()
    }
}
