//! Which partitions this node may lead, by the rules of Kafka's `PartitionChangeBuilder`: a replica in sync, or one
//! that was in sync last while enough others were not (an eligible leader, KIP-966; Apache Kafka leaves a node alone
//! so when it stops), or the last known leader, or, where the topic's settings allow it, any replica.
//! Never looks at what is on a disk. Plain functions of the image.

use kring_wire::messages::partition_change_record::PartitionChangeRecord;

use crate::metadata::Partition;

/// By what right a replica becomes leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    InSync,
    Eligible,
    /// It held what the last leader held, as far as anybody knows: nobody else can know better.
    LastKnown,
    /// Records that others have may be lost.
    Unclean,
}

/// The best claim of a node that is there, while no other node is. What the topic allows is asked if it matters.
pub fn claim(partition: &Partition, node_id: i32, allows_unclean: impl FnOnce() -> bool) -> Option<Claim> {
    let nobody_is_left =
        partition.in_sync_replicas.is_empty() && partition.eligible_leader_replicas.is_empty();
    if !partition.replicas.contains(&node_id) {
        None
    } else if partition.in_sync_replicas.contains(&node_id) {
        Some(Claim::InSync)
    } else if partition.eligible_leader_replicas.contains(&node_id) {
        Some(Claim::Eligible)
    } else if nobody_is_left && *partition.last_known_eligible_leaders == [node_id] {
        Some(Claim::LastKnown)
    } else {
        allows_unclean().then_some(Claim::Unclean)
    }
}

/// Makes the node leader in a change that has no other. Who was not in sync is alone in sync from then on. Kafka marks
/// a partition as recovering after the last two claims until its leader says that it has nothing to recover; a log
/// that was opened has not.
pub fn elect(partition: &Partition, node_id: i32, claim: Claim, change: &mut PartitionChangeRecord) {
    change.leader = node_id;
    if claim == Claim::InSync {
        return;
    }
    change.isr = Some(vec![node_id]);
    let others = partition.eligible_leader_replicas.iter().copied().filter(|other| *other != node_id);
    change.eligible_leader_replicas = Some(others.collect());
    change.last_known_elr = Some(Vec::new());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(in_sync: &[i32], eligible: &[i32], last_known: &[i32]) -> Partition {
        Partition {
            replicas: [1, 2].into(),
            in_sync_replicas: in_sync.into(),
            eligible_leader_replicas: eligible.into(),
            last_known_eligible_leaders: last_known.into(),
            ..Partition::default()
        }
    }

    #[test]
    fn a_replica_in_sync_or_eligible_may_lead_and_another_only_if_nobody_else_could() {
        let of = |partition: &Partition| claim(partition, 1, || false);
        assert_eq!(of(&partition(&[1, 2], &[], &[])), Some(Claim::InSync));
        assert_eq!(of(&partition(&[], &[2, 1], &[1])), Some(Claim::Eligible));
        assert_eq!(of(&partition(&[], &[], &[1])), Some(Claim::LastKnown));
        for other in [partition(&[2], &[], &[1]), partition(&[], &[2], &[1]), partition(&[], &[], &[2])] {
            assert_eq!(of(&other), None);
            assert_eq!(claim(&other, 1, || true), Some(Claim::Unclean));
        }
        assert_eq!(claim(&partition(&[], &[], &[]), 3, || true), None, "no replica of it");
    }

    #[test]
    fn an_eligible_leader_is_in_sync_from_its_election_on() {
        let mut change = PartitionChangeRecord::default();
        elect(&partition(&[], &[2, 1], &[1]), 1, Claim::Eligible, &mut change);
        assert_eq!((change.leader, change.isr), (1, Some(vec![1])));
        assert_eq!((change.eligible_leader_replicas, change.last_known_elr), (Some(vec![2]), Some(vec![])));
    }
}
