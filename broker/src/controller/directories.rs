//! Log directories that failed, and logs that do not open: these partitions lose their leader, as in Kafka's
//! `handleDirectoriesOffline`, and get it back with a start that finds them. Never looks at a disk. Plain functions of
//! the image.

use std::collections::BTreeMap;

use kring_wire::messages::broker_registration_change_record::BrokerRegistrationChangeRecord;
use kring_wire::messages::partition_change_record::PartitionChangeRecord;
use kring_wire::{MetadataRecord, Uuid};

use super::election::{Claim, elect};
use super::types::{ControllerReply, Outcome};
use crate::metadata::{Image, NO_LEADER, Partition, is_reserved_directory};

/// Topic and number of a partition.
pub type PartitionKey = (Uuid, i32);

/// Where a start found the partitions of this broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// The directory of each partition that was found.
    pub found: BTreeMap<PartitionKey, Uuid>,
    /// A directory is offline: what was not found may be in it.
    pub is_partial: bool,
}

impl Placement {
    fn is_lost(&self, key: PartitionKey) -> bool {
        self.is_partial && !self.found.contains_key(&key)
    }
}

/// A directory failed while the broker ran: these partitions were in it, these directories are left.
pub fn fail(image: &Image, node_id: i32, partitions: &[PartitionKey], left: Vec<Uuid>) -> Outcome {
    let mut records: Vec<MetadataRecord> = led(image, node_id, partitions)
        .map(|(key, partition)| leaderless(key, partition, node_id, is_named(partition, node_id)))
        .collect();
    if let Some(broker) = image.broker(node_id).filter(|broker| broker.log_dirs != left) {
        let (broker_id, broker_epoch) = (broker.id, broker.epoch);
        let change =
            BrokerRegistrationChangeRecord { broker_id, broker_epoch, log_dirs: left, ..Default::default() };
        records.push(change.into());
    }
    Outcome { records, reply: ControllerReply::Failed }
}

/// The logs of these did not open. Their directory works, so only a name for a lost one shows the replica as offline.
pub fn fail_partitions(image: &Image, node_id: i32, partitions: &[PartitionKey]) -> Outcome {
    let records = led(image, node_id, partitions)
        .map(|(key, partition)| leaderless(key, partition, node_id, false))
        .collect();
    Outcome { records, reply: ControllerReply::Failed }
}

fn led<'a>(
    image: &'a Image,
    node_id: i32,
    partitions: &'a [PartitionKey],
) -> impl Iterator<Item = (PartitionKey, &'a Partition)> {
    let known = partitions.iter().filter_map(|&key| Some((key, image.partition(key.0, key.1)?)));
    known.filter(move |(_, partition)| partition.leader == node_id)
}

/// What a start changes for one partition that this broker may lead.
pub fn settle(
    key: PartitionKey,
    partition: &Partition,
    (node_id, claim): (i32, Claim),
    placement: &Placement,
    is_unclean: bool,
) -> Option<MetadataRecord> {
    if placement.is_lost(key) {
        let is_named = is_named(partition, node_id);
        return (partition.leader != NO_LEADER).then(|| leaderless(key, partition, node_id, is_named));
    }
    let found = placement.found.get(&key).copied().or_else(|| made_anew(partition, node_id));
    let directories = found.and_then(|dir| moved_to(partition, node_id, dir));
    let is_election = is_unclean || partition.leader != node_id;
    let mut change = change_of(key);
    if is_election {
        elect(partition, node_id, claim, &mut change);
    }
    change.directories = directories;
    (is_election || change.directories.is_some()).then(|| change.into())
}

/// Somebody removed the files of a partition that was offline: it begins again, wherever there is room.
fn made_anew(partition: &Partition, node_id: i32) -> Option<Uuid> {
    (partition.directory_on(node_id) == Some(Uuid::LOST_DIRECTORY)).then_some(Uuid::ZERO)
}

fn change_of((topic_id, partition_id): PartitionKey) -> PartitionChangeRecord {
    PartitionChangeRecord { partition_id, topic_id, ..PartitionChangeRecord::default() }
}

/// Whether the directory of the replica is recorded.
fn is_named(partition: &Partition, node_id: i32) -> bool {
    partition.directory_on(node_id).is_some_and(|dir| !is_reserved_directory(dir))
}

/// Nobody leads. A directory that does not tell by itself that it is offline is called lost, so that the replica shows
/// as offline.
fn leaderless(key: PartitionKey, partition: &Partition, node_id: i32, dir_tells: bool) -> MetadataRecord {
    let directories = if dir_tells { None } else { moved_to(partition, node_id, Uuid::LOST_DIRECTORY) };
    PartitionChangeRecord { leader: NO_LEADER, directories, ..change_of(key) }.into()
}

/// The partition's directories with another one on this broker; `None` if it is that one.
fn moved_to(partition: &Partition, node_id: i32, dir: Uuid) -> Option<Vec<Uuid>> {
    let at = partition.replicas.iter().position(|replica| *replica == node_id)?;
    let mut directories = partition.directories.to_vec();
    directories.resize(partition.replicas.len(), Uuid::ZERO);
    (std::mem::replace(&mut directories[at], dir) != dir).then_some(directories)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kring_wire::messages::partition_record::PartitionRecord;
    use kring_wire::messages::register_broker_record::RegisterBrokerRecord;
    use kring_wire::messages::topic_record::TopicRecord;

    const TOPIC: Uuid = Uuid::from_u128(7);
    const GOOD: Uuid = Uuid::from_u128(800);
    const BAD: Uuid = Uuid::from_u128(801);

    /// Broker 1 with two directories leads partitions 0 and 1 of a topic; where 1 lies is recorded.
    fn image() -> Image {
        let partition = |partition_id, dir| PartitionRecord {
            partition_id,
            topic_id: TOPIC,
            replicas: vec![1],
            isr: vec![1],
            leader: 1,
            directories: vec![dir],
            ..PartitionRecord::default()
        };
        let broker = RegisterBrokerRecord { broker_id: 1, log_dirs: vec![GOOD, BAD], ..Default::default() };
        let topic = TopicRecord { name: "t".into(), topic_id: TOPIC };
        let records: [MetadataRecord; 4] =
            [broker.into(), topic.into(), partition(0, Uuid::ZERO).into(), partition(1, BAD).into()];
        let mut image = Image::default();
        records.iter().for_each(|record| image.apply(record).unwrap());
        image
    }

    fn replayed(mut image: Image, records: &[MetadataRecord]) -> Image {
        records.iter().for_each(|record| image.apply(record).unwrap());
        image
    }

    fn settled(image: &Image, index: i32, placement: &Placement, is_unclean: bool) -> Option<MetadataRecord> {
        let partition = image.partition(TOPIC, index).unwrap();
        settle((TOPIC, index), partition, (1, Claim::InSync), placement, is_unclean)
    }

    #[test]
    fn partitions_of_a_failed_directory_have_no_leader_and_an_offline_replica() {
        let outcome = fail(&image(), 1, &[(TOPIC, 0), (TOPIC, 1)], vec![GOOD]);
        let image = replayed(image(), &outcome.records);
        for index in [0, 1] {
            let partition = image.partition(TOPIC, index).unwrap();
            assert_eq!((partition.leader, &*partition.in_sync_replicas), (NO_LEADER, &[1][..]), "{index}");
            let dir = partition.directory_on(1).unwrap();
            assert!(!image.broker(1).unwrap().has_online_dir(dir), "{index} in {dir}");
        }
        assert_eq!(image.broker(1).unwrap().log_dirs, [GOOD]);
    }

    #[test]
    fn a_failure_told_twice_changes_nothing_more() {
        let told = || fail(&image(), 1, &[(TOPIC, 1)], vec![GOOD]);
        let image = replayed(image(), &told().records);
        assert_eq!(fail(&image, 1, &[(TOPIC, 1)], vec![GOOD]).records, []);
    }

    #[test]
    fn a_start_elects_a_leader_where_the_directory_is_back() {
        let failed = fail(&image(), 1, &[(TOPIC, 0), (TOPIC, 1)], vec![GOOD]);
        let image = replayed(image(), &failed.records);
        let placement = Placement { found: [((TOPIC, 0), BAD), ((TOPIC, 1), BAD)].into(), is_partial: false };
        for index in [0, 1] {
            let record = settled(&image, index, &placement, false).unwrap();
            let image = replayed(image.clone(), &[record]);
            let partition = image.partition(TOPIC, index).unwrap();
            assert_eq!((partition.leader, partition.directory_on(1)), (1, Some(BAD)));
        }
    }

    #[test]
    fn a_start_without_a_directory_elects_nobody_for_what_it_may_hold() {
        let placement = Placement { found: [((TOPIC, 0), GOOD)].into(), is_partial: true };
        let lost = settled(&image(), 1, &placement, true).unwrap();
        assert_eq!(replayed(image(), &[lost]).partition(TOPIC, 1).unwrap().leader, NO_LEADER);
        let found = settled(&image(), 0, &placement, true).unwrap();
        assert_eq!(replayed(image(), &[found]).partition(TOPIC, 0).unwrap().leader, 1);
    }

    #[test]
    fn a_log_that_does_not_open_has_no_leader_and_an_offline_replica_in_a_directory_that_works() {
        let image = replayed(image(), &fail_partitions(&image(), 1, &[(TOPIC, 1)]).records);
        let (broken, other) = (image.partition(TOPIC, 1).unwrap(), image.partition(TOPIC, 0).unwrap());
        assert_eq!((broken.leader, broken.directory_on(1)), (NO_LEADER, Some(Uuid::LOST_DIRECTORY)));
        assert_eq!((other.leader, &image.broker(1).unwrap().log_dirs[..]), (1, &[GOOD, BAD][..]));
        assert_eq!(fail_partitions(&image, 1, &[(TOPIC, 1)]).records, [], "told twice it changes nothing");
    }

    #[test]
    fn a_start_gives_a_log_that_did_not_open_its_directory_back_or_lets_it_begin_again() {
        let image = replayed(image(), &fail_partitions(&image(), 1, &[(TOPIC, 1)]).records);
        let found = Placement { found: [((TOPIC, 1), BAD)].into(), is_partial: false };
        for (placement, dir) in [(found, BAD), (Placement::default(), Uuid::ZERO)] {
            let record = settled(&image, 1, &placement, false).unwrap();
            let image = replayed(image.clone(), &[record]);
            let partition = image.partition(TOPIC, 1).unwrap();
            assert_eq!((partition.leader, partition.directory_on(1)), (1, Some(dir)));
        }
    }

    #[test]
    fn a_start_with_one_directory_records_none() {
        assert_eq!(settled(&image(), 0, &Placement::default(), false), None);
    }
}
