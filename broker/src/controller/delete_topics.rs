//! DeleteTopics: by name, by id, and every way to name a topic wrongly.
//! Never deletes files: the shards do, when they see the image without the topic.

use std::collections::{BTreeMap, BTreeSet};

use kring_wire::messages::remove_topic_record::RemoveTopicRecord;
use kring_wire::{ErrorCode, Str, Uuid};

use super::types::{ControllerReply, Outcome, Refused, TopicDeletion, TopicTarget};
use crate::metadata::Image;

/// Answers as Kafka does: faults of the request first, then what is not there, then what is deleted.
pub fn delete(image: &Image, topics: Vec<TopicTarget>) -> Outcome {
    let mut plan = Plan::default();
    topics.into_iter().for_each(|target| plan.note(target));
    plan.refuse_repeated();
    plan.resolve_ids(image);
    plan.resolve_names(image);
    let record = |(id, _): (&Uuid, &Str)| RemoveTopicRecord { topic_id: *id }.into();
    let records = plan.doomed.iter().map(record).collect();
    let deleted = |(id, name)| TopicDeletion { name: Some(name), id, result: Ok(()) };
    plan.results.extend(plan.doomed.into_iter().map(deleted));
    Outcome { records, reply: ControllerReply::Deleted(plan.results) }
}

#[derive(Default)]
struct Plan {
    names: Once<Str>,
    ids: Once<Uuid>,
    doomed: BTreeMap<Uuid, Str>,
    results: Vec<TopicDeletion>,
}

impl Plan {
    fn note(&mut self, target: TopicTarget) {
        match (target.name, target.id) {
            (None, Uuid::ZERO) => {
                self.refuse(None, Uuid::ZERO, invalid("Neither topic name nor id were specified."));
            }
            (None, id) => self.ids.add(id),
            (Some(name), Uuid::ZERO) => self.names.add(name),
            (Some(name), id) => {
                self.refuse(Some(name), id, invalid("You may not specify both topic name and topic id."));
            }
        }
    }

    fn refuse_repeated(&mut self) {
        for name in self.names.repeated.clone() {
            self.refuse(Some(name), Uuid::ZERO, invalid("Duplicate topic name."));
        }
        for id in self.ids.repeated.clone() {
            self.refuse(None, id, invalid("Duplicate topic id."));
        }
    }

    fn resolve_ids(&mut self, image: &Image) {
        for id in std::mem::take(&mut self.ids.single) {
            match image.topic_by_id(id) {
                Some(topic) => drop(self.doomed.insert(id, topic.name.clone())),
                None => self.refuse(None, id, Refused::plain(ErrorCode::UNKNOWN_TOPIC_ID)),
            }
        }
    }

    fn resolve_names(&mut self, image: &Image) {
        for name in std::mem::take(&mut self.names.single) {
            let Some(id) = image.topic_id(&name) else {
                let unknown = Refused::plain(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
                self.refuse(Some(name), Uuid::ZERO, unknown);
                continue;
            };
            let was_named_by_id = self.doomed.insert(id, name.clone()).is_some();
            if was_named_by_id || self.ids.repeated.contains(&id) {
                self.doomed.remove(&id);
                let message = "The provided topic name maps to an ID that was already supplied.";
                self.refuse(Some(name), id, invalid(message));
            }
        }
    }

    fn refuse(&mut self, name: Option<Str>, id: Uuid, why: Refused) {
        self.results.push(TopicDeletion { name, id, result: Err(why) });
    }
}

fn invalid(message: &'static str) -> Refused {
    Refused::new(ErrorCode::INVALID_REQUEST, Str::from_static(message))
}

/// Values that came once, and those that came more often.
struct Once<T> {
    single: BTreeSet<T>,
    repeated: BTreeSet<T>,
}

impl<T: Ord> Once<T> {
    fn add(&mut self, value: T) {
        if self.repeated.contains(&value) {
            return;
        }
        if self.single.remove(&value) {
            self.repeated.insert(value);
        } else {
            self.single.insert(value);
        }
    }
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self { single: BTreeSet::new(), repeated: BTreeSet::new() }
    }
}
