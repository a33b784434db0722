//! A partition and a topic as the metadata log describes them.
//! Never chooses a leader; only says what was chosen. Any core.

use kring_wire::messages::partition_change_record::PartitionChangeRecord;
use kring_wire::messages::partition_record::PartitionRecord;
use kring_wire::{Str, Uuid};

use super::names;

/// No broker leads.
pub const NO_LEADER: i32 = -1;
/// In a change record: the leader stays, and so does its epoch.
const SAME_LEADER: i32 = -2;
/// In a change record: the recovery state stays.
const SAME_RECOVERY_STATE: i8 = -1;

/// Directory ids that name no directory: 0 stands for one that is not recorded, 1 for none yet, 2 for one that is
/// lost (KIP-858).
pub fn is_reserved_directory(id: Uuid) -> bool {
    id.as_u128() <= Uuid::LOST_DIRECTORY.as_u128()
}

/// Replicas and leadership of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partition {
    pub replicas: Box<[i32]>,
    pub in_sync_replicas: Box<[i32]>,
    pub removing_replicas: Box<[i32]>,
    pub adding_replicas: Box<[i32]>,
    pub eligible_leader_replicas: Box<[i32]>,
    pub last_known_eligible_leaders: Box<[i32]>,
    /// The log directory on each replica, in the order of `replicas`.
    pub directories: Box<[Uuid]>,
    pub leader: i32,
    /// 0 recovered, 1 recovering after an unclean election.
    pub leader_recovery_state: i8,
    /// Grows whenever a leader is chosen, the same one included.
    pub leader_epoch: i32,
    /// Grows with every change.
    pub partition_epoch: i32,
}

impl Partition {
    pub(super) fn changed_by(&self, change: &PartitionChangeRecord) -> Self {
        let mut next = self.clone();
        replace(&mut next.in_sync_replicas, change.isr.as_deref());
        replace(&mut next.replicas, change.replicas.as_deref());
        replace(&mut next.removing_replicas, change.removing_replicas.as_deref());
        replace(&mut next.adding_replicas, change.adding_replicas.as_deref());
        replace(&mut next.directories, change.directories.as_deref());
        replace(&mut next.eligible_leader_replicas, change.eligible_leader_replicas.as_deref());
        replace(&mut next.last_known_eligible_leaders, change.last_known_elr.as_deref());
        if change.leader != SAME_LEADER {
            next.leader = change.leader;
            next.leader_epoch += 1;
        }
        if change.leader_recovery_state != SAME_RECOVERY_STATE {
            next.leader_recovery_state = change.leader_recovery_state;
        }
        next.partition_epoch += 1;
        next
    }

    /// The log directory of a broker's replica.
    pub fn directory_on(&self, broker: i32) -> Option<Uuid> {
        let at = self.replicas.iter().position(|replica| *replica == broker)?;
        self.directories.get(at).copied()
    }

    pub(super) fn clear_eligible_leaders(&mut self) {
        self.eligible_leader_replicas = Box::default();
        self.last_known_eligible_leaders = Box::default();
    }
}

fn replace<T: Copy>(field: &mut Box<[T]>, value: Option<&[T]>) {
    if let Some(value) = value {
        *field = value.into();
    }
}

impl From<&PartitionRecord> for Partition {
    fn from(record: &PartitionRecord) -> Self {
        let boxed = |ids: &Option<Vec<i32>>| ids.as_deref().unwrap_or_default().into();
        Self {
            replicas: record.replicas.as_slice().into(),
            in_sync_replicas: record.isr.as_slice().into(),
            removing_replicas: record.removing_replicas.as_slice().into(),
            adding_replicas: record.adding_replicas.as_slice().into(),
            eligible_leader_replicas: boxed(&record.eligible_leader_replicas),
            last_known_eligible_leaders: boxed(&record.last_known_elr),
            directories: record.directories.as_slice().into(),
            leader: record.leader,
            leader_recovery_state: record.leader_recovery_state,
            leader_epoch: record.leader_epoch,
            partition_epoch: record.partition_epoch,
        }
    }
}

/// A topic with its partitions, which are numbered from 0 without a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub name: Str,
    pub id: Uuid,
    pub partitions: Vec<Partition>,
}

impl Topic {
    pub fn partition(&self, index: i32) -> Option<&Partition> {
        self.partitions.get(usize::try_from(index).ok()?)
    }

    pub fn partition_count(&self) -> i32 {
        i32::try_from(self.partitions.len()).expect("partition numbers are i32")
    }

    /// Partitions with their numbers.
    pub fn numbered(&self) -> impl Iterator<Item = (i32, &Partition)> {
        (0..).zip(&self.partitions)
    }

    /// As Kafka counts it: by the first partition.
    pub fn replication_factor(&self) -> i16 {
        let replicas = self.partitions.first().map_or(0, |partition| partition.replicas.len());
        i16::try_from(replicas).unwrap_or(i16::MAX)
    }

    pub fn is_internal(&self) -> bool {
        names::is_internal(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition() -> Partition {
        Partition {
            replicas: [1].into(),
            in_sync_replicas: [1].into(),
            leader: 1,
            leader_epoch: 4,
            partition_epoch: 9,
            ..Partition::default()
        }
    }

    #[test]
    fn naming_the_same_leader_again_starts_a_new_epoch() {
        let next = partition().changed_by(&PartitionChangeRecord { leader: 1, ..Default::default() });
        assert_eq!((next.leader, next.leader_epoch, next.partition_epoch), (1, 5, 10));
    }

    #[test]
    fn a_change_touches_only_what_it_names() {
        let change = PartitionChangeRecord { isr: Some(vec![]), ..Default::default() };
        let next = partition().changed_by(&change);
        let expected = Partition { in_sync_replicas: [].into(), partition_epoch: 10, ..partition() };
        assert_eq!(next, expected);
    }
}
