//! Incremental fetch sessions (KIP-227) as a plain state machine: what a session remembers of each partition,
//! and which partitions an incremental response may leave out. Never reads a log, never waits.
//! One cache per shard; a session that lands on another shard is answered "not found" and the client starts over.

use std::collections::{BTreeMap, HashMap};

use kring_wire::{ErrorCode, Str, Uuid};

/// The session id of a request or response without a session.
pub const NO_SESSION: i32 = 0;
const FIRST_EPOCH: i32 = 0;
const FINAL_EPOCH: i32 = -1;
/// An idle session may be evicted by a newcomer after this time (Kafka's `min.incremental.fetch.session.eviction.ms`).
const EVICTABLE_AFTER_MS: i64 = 120_000;

/// A topic as the request named it: by id from version 13 on, by name before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TopicKey {
    Id(Uuid),
    Name(Str),
}

/// One partition that a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub topic: TopicKey,
    pub partition: i32,
    pub fetch_offset: i64,
    pub max_bytes: i32,
    pub current_leader_epoch: i32,
    pub last_fetched_epoch: i32,
}

/// What a response says of one partition, as far as the session compares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    pub has_records: bool,
    pub has_error: bool,
    pub diverges: bool,
    pub high_watermark: i64,
    pub log_start_offset: i64,
}

/// What to do with a fetch request.
#[derive(Debug, PartialEq, Eq)]
pub enum Plan {
    /// Answer with this top-level error and nothing else.
    Refuse(ErrorCode),
    /// Read these and answer all; no session goes with it.
    Sessionless(Vec<Wanted>),
    /// Read these and answer all; open a session if there is room.
    Full(Vec<Wanted>),
    /// Read these and answer what has changed.
    Incremental { session_id: i32, epoch: i32, wanted: Vec<Wanted> },
}

type PartitionKey = (TopicKey, i32);

struct Remembered {
    wanted: Wanted,
    high_watermark: i64,
    log_start_offset: i64,
}

struct Session {
    epoch: i32,
    uses_topic_ids: bool,
    last_used_ms: i64,
    /// Place in the fetch order → partition. A partition that had data goes to the end, so that all get a turn.
    order: BTreeMap<u64, PartitionKey>,
    partitions: HashMap<PartitionKey, (u64, Remembered)>,
    next_place: u64,
}

impl Session {
    fn new(uses_topic_ids: bool, now_ms: i64) -> Self {
        Self {
            epoch: next_epoch(FIRST_EPOCH),
            uses_topic_ids,
            last_used_ms: now_ms,
            order: BTreeMap::new(),
            partitions: HashMap::new(),
            next_place: 0,
        }
    }

    fn remember(&mut self, wanted: Wanted) {
        let key = (wanted.topic.clone(), wanted.partition);
        if let Some((_, known)) = self.partitions.get_mut(&key) {
            known.wanted = wanted;
            return;
        }
        let remembered = Remembered { wanted, high_watermark: -1, log_start_offset: -1 };
        let place = self.take_place(&key);
        self.partitions.insert(key, (place, remembered));
    }

    fn forget(&mut self, key: &PartitionKey) {
        if let Some((place, _)) = self.partitions.remove(key) {
            self.order.remove(&place);
        }
    }

    fn take_place(&mut self, key: &PartitionKey) -> u64 {
        let place = self.next_place;
        self.next_place += 1;
        self.order.insert(place, key.clone());
        place
    }

    fn move_to_end(&mut self, key: &PartitionKey) {
        let place = self.take_place(key);
        if let Some((old, _)) = self.partitions.get_mut(key) {
            self.order.remove(&std::mem::replace(old, place));
        }
    }

    fn wanted(&self) -> Vec<Wanted> {
        self.order
            .values()
            .filter_map(|key| self.partitions.get(key))
            .map(|(_, r)| r.wanted.clone())
            .collect()
    }

    /// Takes note of what is about to be answered; true when the partition must be in the response.
    fn note(&mut self, key: &PartitionKey, answered: Answered) -> bool {
        let Some((_, known)) = self.partitions.get_mut(key) else { return true };
        let changed = known.high_watermark != answered.high_watermark
            || known.log_start_offset != answered.log_start_offset;
        known.high_watermark = if answered.has_error { -1 } else { answered.high_watermark };
        known.log_start_offset = answered.log_start_offset;
        if answered.has_records {
            self.move_to_end(key);
        }
        changed || answered.has_records || answered.has_error || answered.diverges
    }
}

fn next_epoch(epoch: i32) -> i32 {
    match epoch {
        e if e < 0 => FINAL_EPOCH,
        i32::MAX => 1,
        e => e + 1,
    }
}

/// A fetch request as far as sessions see it.
pub struct SessionRequest {
    pub session_id: i32,
    pub epoch: i32,
    pub uses_topic_ids: bool,
    pub wanted: Vec<Wanted>,
    pub forgotten: Vec<(TopicKey, i32)>,
}

/// The sessions of one shard, at most `slots` of them.
pub struct SessionCache {
    slots: usize,
    sessions: HashMap<i32, Session>,
}

impl SessionCache {
    /// `slots` is this shard's part of `max.incremental.fetch.session.cache.slots`.
    pub fn new(slots: usize) -> Self {
        Self { slots, sessions: HashMap::new() }
    }

    /// Decides what a request reads, and brings its session up to date.
    pub fn plan(&mut self, request: SessionRequest, now_ms: i64) -> Plan {
        match request.epoch {
            FINAL_EPOCH => {
                self.sessions.remove(&request.session_id);
                Plan::Sessionless(request.wanted)
            }
            FIRST_EPOCH => {
                self.sessions.remove(&request.session_id);
                Plan::Full(request.wanted)
            }
            _ => self.plan_incremental(request, now_ms),
        }
    }

    fn plan_incremental(&mut self, request: SessionRequest, now_ms: i64) -> Plan {
        let Some(session) = self.sessions.get_mut(&request.session_id) else {
            return Plan::Refuse(ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
        };
        if session.epoch != request.epoch {
            return Plan::Refuse(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
        }
        if session.uses_topic_ids != request.uses_topic_ids {
            return Plan::Refuse(ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
        }
        request.wanted.into_iter().for_each(|wanted| session.remember(wanted));
        request.forgotten.iter().for_each(|key| session.forget(key));
        session.last_used_ms = now_ms;
        session.epoch = next_epoch(session.epoch);
        if session.partitions.is_empty() {
            self.sessions.remove(&request.session_id);
            return Plan::Sessionless(Vec::new());
        }
        Plan::Incremental { session_id: request.session_id, epoch: session.epoch, wanted: session.wanted() }
    }

    /// Opens a session over partitions that a full fetch has just answered; `NO_SESSION` when there is no room.
    /// `candidate_id` is random and positive.
    pub fn open(
        &mut self,
        candidate_id: i32,
        uses_topic_ids: bool,
        answered: Vec<(Wanted, Answered)>,
        now_ms: i64,
    ) -> i32 {
        assert!(candidate_id > NO_SESSION);
        let taken = self.sessions.contains_key(&candidate_id);
        if answered.is_empty() || taken || !self.has_room(now_ms) {
            return NO_SESSION;
        }
        let mut session = Session::new(uses_topic_ids, now_ms);
        for (wanted, answer) in answered {
            let key = (wanted.topic.clone(), wanted.partition);
            session.remember(wanted);
            session.note(&key, answer);
        }
        self.sessions.insert(candidate_id, session);
        candidate_id
    }

    /// Which of the answered partitions go into an incremental response, in the same order; an error when the
    /// session moved on while this request waited.
    pub fn filter(
        &mut self,
        session_id: i32,
        epoch: i32,
        answered: &[(TopicKey, i32, Answered)],
    ) -> Result<Vec<bool>, ErrorCode> {
        let session = self.sessions.get_mut(&session_id).ok_or(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)?;
        if session.epoch != epoch {
            return Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
        }
        Ok(answered
            .iter()
            .map(|(topic, index, answer)| session.note(&(topic.clone(), *index), *answer))
            .collect())
    }

    fn has_room(&mut self, now_ms: i64) -> bool {
        if self.sessions.len() < self.slots {
            return true;
        }
        let oldest = self.sessions.iter().min_by_key(|(id, s)| (s.last_used_ms, **id));
        let evictable =
            oldest.filter(|(_, s)| now_ms - s.last_used_ms > EVICTABLE_AFTER_MS).map(|(id, _)| *id);
        evictable.is_some_and(|id| self.sessions.remove(&id).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(partition: i32, fetch_offset: i64) -> Wanted {
        Wanted {
            topic: TopicKey::Name("t".into()),
            partition,
            fetch_offset,
            max_bytes: 1024,
            current_leader_epoch: -1,
            last_fetched_epoch: -1,
        }
    }

    fn quiet(high_watermark: i64) -> Answered {
        Answered {
            has_records: false,
            has_error: false,
            diverges: false,
            high_watermark,
            log_start_offset: 0,
        }
    }

    fn request(session_id: i32, epoch: i32, wanted: Vec<Wanted>) -> SessionRequest {
        SessionRequest { session_id, epoch, uses_topic_ids: false, wanted, forgotten: Vec::new() }
    }

    fn opened(cache: &mut SessionCache) -> i32 {
        let Plan::Full(wanted) = cache.plan(request(0, 0, vec![want(0, 5), want(1, 5)]), 0) else {
            panic!("a first epoch opens a session")
        };
        cache.open(7, false, wanted.into_iter().map(|w| (w, quiet(5))).collect(), 0)
    }

    #[test]
    fn an_incremental_fetch_repeats_what_the_session_remembers() {
        let mut cache = SessionCache::new(4);
        assert_eq!(opened(&mut cache), 7);
        let plan = cache.plan(request(7, 1, vec![want(1, 9)]), 1);
        assert_eq!(plan, Plan::Incremental { session_id: 7, epoch: 2, wanted: vec![want(0, 5), want(1, 9)] });
    }

    #[test]
    fn unchanged_partitions_are_left_out_and_changed_ones_stay() {
        let mut cache = SessionCache::new(4);
        opened(&mut cache);
        cache.plan(request(7, 1, vec![]), 1);
        let topic = TopicKey::Name("t".into());
        let answers = [(topic.clone(), 0, quiet(5)), (topic, 1, quiet(6))];
        assert_eq!(cache.filter(7, 2, &answers), Ok(vec![false, true]));
    }

    #[test]
    fn a_partition_with_data_goes_to_the_end_of_the_order() {
        let mut cache = SessionCache::new(4);
        opened(&mut cache);
        cache.plan(request(7, 1, vec![]), 1);
        let data = Answered { has_records: true, ..quiet(9) };
        cache.filter(7, 2, &[(TopicKey::Name("t".into()), 0, data)]).unwrap();
        let Plan::Incremental { wanted, .. } = cache.plan(request(7, 2, vec![]), 1) else { panic!() };
        assert_eq!(wanted, vec![want(1, 5), want(0, 5)]);
    }

    #[test]
    fn a_repeated_epoch_an_unknown_id_and_a_change_of_topic_naming_are_refused() {
        let mut cache = SessionCache::new(4);
        opened(&mut cache);
        assert_eq!(
            cache.plan(request(7, 5, vec![]), 0),
            Plan::Refuse(ErrorCode::INVALID_FETCH_SESSION_EPOCH)
        );
        assert_eq!(cache.plan(request(8, 1, vec![]), 0), Plan::Refuse(ErrorCode::FETCH_SESSION_ID_NOT_FOUND));
        let by_id = SessionRequest { uses_topic_ids: true, ..request(7, 1, vec![]) };
        assert_eq!(cache.plan(by_id, 0), Plan::Refuse(ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR));
    }

    #[test]
    fn a_full_cache_refuses_newcomers_until_a_session_has_been_idle_long_enough() {
        let mut cache = SessionCache::new(1);
        opened(&mut cache);
        let fresh = vec![(want(0, 0), quiet(0))];
        assert_eq!(cache.open(9, false, fresh.clone(), 1000), NO_SESSION);
        assert_eq!(cache.open(9, false, fresh, EVICTABLE_AFTER_MS + 1), 9);
    }

    #[test]
    fn the_final_epoch_and_forgetting_everything_close_the_session() {
        let mut cache = SessionCache::new(4);
        opened(&mut cache);
        let forget = |i| (TopicKey::Name("t".into()), i);
        let all = SessionRequest { forgotten: vec![forget(0), forget(1)], ..request(7, 1, vec![]) };
        assert_eq!(cache.plan(all, 0), Plan::Sessionless(vec![]));
        opened(&mut cache);
        assert_eq!(cache.plan(request(7, -1, vec![]), 0), Plan::Sessionless(vec![]));
        assert_eq!(cache.plan(request(7, 1, vec![]), 0), Plan::Refuse(ErrorCode::FETCH_SESSION_ID_NOT_FOUND));
    }
}
