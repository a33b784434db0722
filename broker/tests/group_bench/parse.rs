//! Requests from words.

use bytes::Bytes;
use kring_broker::group::messages::*;
use kring_broker::group::{GroupId, InstanceId, MemberId};
use kring_wire::{Str, Uuid};

use super::subscription;

/// How the UUID from the nth random bytes looks.
pub fn long_suffix(n: u8) -> String {
    format!("00000000-0000-4000-8000-{n:012x}")
}

/// The word with long names for short ones such as `app-1`.
pub fn expand(word: &str) -> String {
    let mut text = word.to_string();
    for n in 1..=9u8 {
        for prefix in ["app", "one", "two"] {
            text = text.replace(&format!("{prefix}-{n}"), &format!("{prefix}-{}", long_suffix(n)));
        }
    }
    text
}

struct Words<'a>(&'a [String]);

impl<'a> Words<'a> {
    fn all(&self, key: &str) -> Vec<&'a str> {
        let prefix = format!("{key}=");
        self.0.iter().filter_map(|word| word.strip_prefix(&prefix)).collect()
    }

    fn one(&self, key: &str) -> Option<&'a str> {
        self.all(key).first().copied()
    }

    fn number<N: std::str::FromStr>(&self, key: &str) -> Option<N> {
        self.one(key).and_then(|text| text.parse().ok())
    }

    fn has(&self, flag: &str) -> bool {
        self.0.iter().any(|word| word == flag)
    }

    fn group(&self) -> GroupId {
        GroupId::from(self.0[0].trim_matches('\''))
    }

    fn claim(&self) -> MemberClaim {
        let member_id = MemberId::from(self.one("m").unwrap_or(""));
        MemberClaim { member_id, instance_id: self.one("i").map(InstanceId::from) }
    }

    /// Words such as `t:0=5`: topic, partition, and what follows.
    fn partitions(&self) -> Vec<(&'a str, i32, &'a str)> {
        let read = |word: &'a String| {
            let (topic, rest) = word.split_once(':')?;
            let (partition, value) = rest.split_once('=').unwrap_or((rest, ""));
            (!topic.contains('=')).then_some((topic, partition.parse().ok()?, value))
        };
        self.0.iter().filter_map(read).collect()
    }
}

pub fn request(verb: &str, words: &[String], random: u8) -> Request {
    let words = Words(words);
    match verb {
        "join" => Request::Join(join(&words, random)),
        "sync" => Request::Sync(sync(&words)),
        "beat" => Request::Heartbeat(Heartbeat {
            group_id: words.group(),
            claim: words.claim(),
            generation_id: words.number("gen").unwrap(),
        }),
        "leave" => Request::Leave(leave(&words)),
        "commit" => Request::OffsetCommit(commit(&words)),
        "fetch" => Request::OffsetFetch(fetch(&words)),
        "offsets-delete" => {
            let topics =
                words.partitions().into_iter().map(|(topic, at, _)| (Str::from(topic), vec![at])).collect();
            Request::OffsetDelete(OffsetDelete { group_id: words.group(), topics })
        }
        "delete" => Request::DeleteGroups(words.0.iter().map(|name| GroupId::from(name.as_str())).collect()),
        "list" => {
            let texts = |key| words.all(key).into_iter().map(Str::from).collect();
            Request::ListGroups(ListGroups { states: texts("state"), types: texts("type") })
        }
        "describe" => Request::DescribeGroups(DescribeGroups {
            groups: vec![words.group()],
            knows_group_id_not_found: !words.has("old"),
        }),
        "topics-deleted" => {
            let gone =
                |name: &String| DeletedTopic { topic_id: Uuid([7; 16]), name: Str::from(name.as_str()) };
            Request::TopicsDeleted(words.0.iter().map(gone).collect())
        }
        _ => panic!("what is {verb}"),
    }
}

fn join(words: &Words<'_>, random: u8) -> Join {
    let version: i16 = words.number("v").unwrap_or(9);
    let names = words.one("p").unwrap_or("range").split(',').filter(|name| !name.is_empty());
    let mut bytes = [0; 16];
    bytes[15] = random;
    Join {
        group_id: words.group(),
        claim: words.claim(),
        client_id: "app".into(),
        client_host: "/127.0.0.1".into(),
        protocol_type: words.one("type").unwrap_or("consumer").into(),
        protocols: names.map(|name| Protocol { name: name.into(), metadata: subscription("") }).collect(),
        session_timeout_ms: words.number("s").unwrap_or(10_000),
        rebalance_timeout_ms: words.number("r").unwrap_or(60_000),
        reason: None,
        must_know_its_id: version >= 4,
        may_skip_assignment: version >= 9,
        random: Uuid(bytes),
    }
}

fn sync(words: &Words<'_>) -> Sync {
    let given = words.one("give").unwrap_or("").split(',').filter_map(|pair| pair.split_once(':'));
    Sync {
        group_id: words.group(),
        claim: words.claim(),
        generation_id: words.number("gen").unwrap(),
        protocol_type: None,
        protocol_name: words.one("proto").map(Str::from),
        assignments: given
            .map(|(member_id, bytes)| (MemberId::from(member_id), Bytes::copy_from_slice(bytes.as_bytes())))
            .collect(),
    }
}

fn leave(words: &Words<'_>) -> Leave {
    let named = words
        .all("m")
        .into_iter()
        .map(|member_id| MemberClaim { member_id: member_id.into(), instance_id: None });
    let by_instance = words.all("i").into_iter().map(|instance_id| MemberClaim {
        member_id: MemberId::default(),
        instance_id: Some(instance_id.into()),
    });
    let members = named.chain(by_instance).map(|claim| LeavingMember { claim, reason: None }).collect();
    Leave { group_id: words.group(), members }
}

fn commit(words: &Words<'_>) -> OffsetCommit {
    let mut topics: Vec<CommitTopic> = Vec::new();
    for (name, partition, value) in words.partitions() {
        let (offset, metadata) = value.split_once(':').unwrap_or((value, "0"));
        let at = CommitPartition {
            partition,
            offset: offset.parse().unwrap(),
            leader_epoch: -1,
            metadata: Some("m".repeat(metadata.parse().unwrap()).into()),
        };
        match topics.last_mut().filter(|topic| &*topic.name == name) {
            Some(topic) => topic.partitions.push(at),
            None => {
                topics.push(CommitTopic { topic_id: Uuid([7; 16]), name: name.into(), partitions: vec![at] })
            }
        }
    }
    OffsetCommit {
        group_id: words.group(),
        claim: words.claim(),
        generation_id: words.number("gen").unwrap_or(-1),
        retention_ms: words.number("keep"),
        knows_group_id_not_found: !words.has("old"),
        topics,
    }
}

fn fetch(words: &Words<'_>) -> OffsetFetch {
    let topic = |(name, partition, _): (&str, i32, &str)| FetchTopic {
        topic_id: Uuid::ZERO,
        name: name.into(),
        partitions: vec![partition],
    };
    let topics: Vec<FetchTopic> = words.partitions().into_iter().map(topic).collect();
    OffsetFetch {
        group_id: words.group(),
        topics: (!topics.is_empty()).then_some(topics),
        require_stable: words.has("stable"),
        knows_group_error: true,
    }
}
