//! Who reads what in a group: the `range` and `roundrobin` assignments of Kafka's consumers, made by the member that
//! leads the group. Pure; the same input gives the same output on every member.

use std::collections::BTreeMap;

use kring_wire::Str;

/// The topics that each member subscribes to.
pub(super) type Subscriptions = BTreeMap<Str, Vec<Str>>;
/// How many partitions each topic has.
pub(super) type PartitionCounts = BTreeMap<Str, i32>;
/// What each member reads.
pub(super) type Assignments = BTreeMap<Str, BTreeMap<Str, Vec<i32>>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Assignor {
    /// Each topic for itself, in runs of neighbouring partitions.
    Range,
    /// All partitions of all topics, dealt out one by one.
    RoundRobin,
}

impl Assignor {
    /// In the order of preference.
    pub(super) const ALL: [Self; 2] = [Self::Range, Self::RoundRobin];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|assignor| assignor.name() == name)
    }

    pub(super) fn assign(self, members: &Subscriptions, counts: &PartitionCounts) -> Assignments {
        let mut assignments: Assignments =
            members.keys().map(|member| (member.clone(), BTreeMap::new())).collect();
        let owners = match self {
            Self::Range => range(members, counts),
            Self::RoundRobin => round_robin(members, counts),
        };
        for (topic, partition, member) in owners {
            let topics = assignments.entry(member).or_default();
            topics.entry(topic).or_default().push(partition);
        }
        assignments
    }
}

type Owner = (Str, i32, Str);

fn subscribers<'a>(members: &'a Subscriptions, topic: &Str) -> Vec<&'a Str> {
    members.iter().filter(|(_, topics)| topics.contains(topic)).map(|(member, _)| member).collect()
}

fn range(members: &Subscriptions, counts: &PartitionCounts) -> Vec<Owner> {
    let mut owners = Vec::new();
    for (topic, count) in counts {
        let readers = subscribers(members, topic);
        let mut partitions = 0..*count;
        for (place, reader) in readers.iter().enumerate() {
            let share = share(*count, readers.len(), place);
            owners.extend(partitions.by_ref().take(share).map(|p| (topic.clone(), p, (*reader).clone())));
        }
    }
    owners
}

/// The first members get one more when it does not come out even.
fn share(count: i32, readers: usize, place: usize) -> usize {
    let count = usize::try_from(count).unwrap_or(0);
    count / readers + usize::from(place < count % readers)
}

fn round_robin(members: &Subscriptions, counts: &PartitionCounts) -> Vec<Owner> {
    let mut owners = Vec::new();
    let mut turn = members.iter().cycle();
    for (topic, count) in counts {
        if subscribers(members, topic).is_empty() {
            continue;
        }
        for partition in 0..*count {
            if let Some((member, _)) = turn.find(|(_, topics)| topics.contains(topic)) {
                owners.push((topic.clone(), partition, member.clone()));
            }
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(given: &[(&str, &[&str])]) -> Subscriptions {
        let topics = |topics: &[&str]| topics.iter().map(|topic| Str::from(*topic)).collect();
        given.iter().map(|(member, wanted)| (Str::from(*member), topics(wanted))).collect()
    }

    fn counts(given: &[(&str, i32)]) -> PartitionCounts {
        given.iter().map(|(topic, count)| (Str::from(*topic), *count)).collect()
    }

    fn shown(assignments: &Assignments) -> String {
        let topics = |topics: &BTreeMap<Str, Vec<i32>>| {
            topics.iter().map(|(topic, partitions)| format!("{topic}{partitions:?}")).collect::<String>()
        };
        let each = assignments.iter().map(|(member, assigned)| format!("{member}:{}", topics(assigned)));
        each.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn range_gives_neighbours_and_the_first_members_one_more() {
        let members = members(&[("a", &["t", "u"]), ("b", &["t", "u"]), ("c", &["t"])]);
        let assigned = Assignor::Range.assign(&members, &counts(&[("t", 5), ("u", 3)]));
        assert_eq!(shown(&assigned), "a:t[0, 1]u[0, 1] b:t[2, 3]u[2] c:t[4]");
    }

    #[test]
    fn round_robin_deals_out_all_partitions_to_those_who_want_them() {
        let members = members(&[("a", &["t"]), ("b", &["t", "u"]), ("c", &["u"])]);
        let assigned = Assignor::RoundRobin.assign(&members, &counts(&[("t", 3), ("u", 3)]));
        assert_eq!(shown(&assigned), "a:t[0, 2] b:t[1]u[0, 2] c:u[1]");
    }

    #[test]
    fn a_member_may_get_nothing_and_a_topic_may_have_no_reader() {
        let two = members(&[("a", &["t"]), ("b", &["t"])]);
        for assignor in Assignor::ALL {
            assert_eq!(shown(&assignor.assign(&two, &counts(&[("t", 1), ("x", 4)]))), "a:t[0] b:");
            assert_eq!(shown(&assignor.assign(&Subscriptions::new(), &counts(&[("t", 1)]))), "");
        }
    }

    #[test]
    fn names_are_those_of_kafkas_consumers() {
        assert_eq!(Assignor::from_name("range"), Some(Assignor::Range));
        assert_eq!(Assignor::from_name("roundrobin"), Some(Assignor::RoundRobin));
        assert_eq!(Assignor::from_name("sticky"), None);
    }
}
