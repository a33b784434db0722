//! Replies, records and groups as words.

use kring_broker::coordinator::CoordinatorRecord;
use kring_broker::group::messages::*;
use kring_broker::group::{GroupCoordinator, GroupId, MemberId};
use kring_wire::{GroupRecord, Str};

fn text(text: Option<&Str>) -> &str {
    text.map_or("", |text| text)
}

fn list<T>(items: &[T], one: impl Fn(&T) -> String) -> String {
    items.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn bytes(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn reply(reply: &Reply) -> String {
    match reply {
        Reply::Join(join) => joined(join),
        Reply::Sync(sync) => {
            format!(
                "{} proto={} got={}",
                sync.error.name(),
                text(sync.protocol_name.as_ref()),
                bytes(&sync.assignment)
            )
        }
        Reply::Heartbeat(error) => error.name().to_string(),
        Reply::Leave(leave) => {
            let left = list(&leave.members, |(claim, error)| format!("{}={}", claimed(claim), error.name()));
            format!("{} {left}", leave.error.name())
        }
        Reply::OffsetCommit(topics) => errors(topics),
        Reply::OffsetFetch(fetch) => list(&fetch.topics, |topic| {
            list(&topic.partitions, |at| format!("{}:{}={}", topic.name, at.partition, at.offset))
        }),
        Reply::OffsetDelete(delete) => {
            format!("{} {}", delete.error.name(), errors(&delete.topics)).trim_end().to_string()
        }
        Reply::ListGroups(groups) => {
            let one = |group: &ListedGroup| {
                format!("{}/{}/{}/{}", group.group_id, group.protocol_type, group.state, group.group_type)
            };
            format!("[{}]", list(groups.as_ref().unwrap(), one))
        }
        Reply::DescribeGroups(groups) => list(groups, described),
        Reply::DeleteGroups(groups) => list(groups, |(group, error)| format!("{group}={}", error.name())),
        Reply::TopicsDeleted(done) => done.map_or_else(|error| error.name().to_string(), |()| String::new()),
    }
    .trim_end()
    .to_string()
}

fn claimed(claim: &MemberClaim) -> String {
    let instance = claim.instance_id.as_ref().map_or(String::new(), |id| format!("/{id}"));
    format!("{}{instance}", claim.member_id)
}

fn joined(join: &JoinReply) -> String {
    if join.generation_id == -1 {
        return format!("{} me={}", join.error.name(), join.member_id);
    }
    format!(
        "{} gen={} proto={} leader={} me={} {}members=[{}]",
        join.error.name(),
        join.generation_id,
        text(join.protocol_name.as_ref()),
        join.leader,
        join.member_id,
        if join.skip_assignment { "skip " } else { "" },
        list(&join.members, |member| member.member_id.to_string()),
    )
}

fn errors(topics: &[TopicErrors]) -> String {
    list(topics, |topic| {
        list(&topic.partitions, |(at, error)| format!("{}:{at}={}", topic.name, error.name()))
    })
}

fn described(group: &DescribedGroup) -> String {
    format!(
        "{} {} {} {}/{} [{}] {}",
        group.group_id,
        group.error.name(),
        group.state,
        group.protocol_type,
        group.protocol_data,
        list(&group.members, |member| format!("{}={}", member.member_id, bytes(&member.assignment))),
        text(group.error_message.as_ref()),
    )
}

pub fn record(record: &CoordinatorRecord) -> String {
    match GroupRecord::decode(record.key.clone(), record.value.clone()).unwrap() {
        GroupRecord::OffsetCommit(key, None) => {
            format!("log offset {} {}:{} gone", key.group, key.topic, key.partition)
        }
        GroupRecord::OffsetCommit(key, Some(value)) => {
            format!("log offset {} {}:{}={}", key.group, key.topic, key.partition, value.offset)
        }
        GroupRecord::GroupMetadata(key, None) => format!("log group {} gone", key.group),
        GroupRecord::GroupMetadata(key, Some(value)) => format!(
            "log group {} gen={} proto={} leader={} [{}]",
            key.group,
            value.generation,
            text(value.protocol.as_ref()),
            text(value.leader.as_ref()),
            list(&value.members, |member| format!("{}={}", member.member_id, bytes(&member.assignment))),
        ),
        other => panic!("{other:?} was not expected"),
    }
}

pub fn group(machine: &GroupCoordinator, name: &str) -> String {
    let Some(group) = machine.group(&GroupId::from(name)) else { return format!("{name} none") };
    let members: Vec<MemberId> = group.members().map(|member| member.member_id.clone()).collect();
    format!(
        "{name} {} gen={} leader={} [{}]",
        group.state().name(),
        group.generation_id(),
        group.leader().map_or("", MemberId::as_str),
        list(&members, MemberId::to_string),
    )
}
