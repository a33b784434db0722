//! What one call of the coordinator gives out, and what earlier calls still owe until their records are durable.
//!
//! Plain values inside the coordinator of a partition.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use kring_wire::ErrorCode;

use super::codec;
use super::ids::{GroupId, InstanceId, MemberId};
use super::messages::{JoinReply, Protocol, Reply, SyncReply};
use super::record::Record;
use super::settings::GroupSettings;
use super::timers::{Alarm, TimerKey, Timers};
use crate::coordinator::{Now, Step, Token, Write, WriteId};

/// Tombstones written in one batch when many offsets go at once; nobody waits for them as a whole.
const TOMBSTONES_IN_A_BATCH: usize = 1_000;

/// What a write does beyond its replies.
#[derive(Debug)]
pub enum Effect {
    /// The state in memory is already what the records say.
    None,
    /// The records are replayed once they are in the log.
    Replay(Vec<Record>),
    /// The group exists since this write; without it, the member that made it is refused.
    CreateGroup(GroupId),
    /// The leader's assignment holds once it is durable.
    Assign(Assignment),
    /// A static member came back without a rebalance; it is answered once that is durable.
    ReplaceStatic(Box<Replacement>),
}

#[derive(Debug)]
pub struct Assignment {
    pub group_id: GroupId,
    pub generation_id: i32,
    pub of_member: BTreeMap<MemberId, Bytes>,
}

/// A static member with a new id, and what it was before.
#[derive(Debug)]
pub struct Replacement {
    pub group_id: GroupId,
    pub instance_id: InstanceId,
    pub new_id: MemberId,
    pub old_id: MemberId,
    pub old_leader: Option<MemberId>,
    pub old_protocols: Vec<Protocol>,
    pub old_rebalance_timeout_ms: i32,
    pub old_session_timeout_ms: i32,
    pub may_skip_assignment: bool,
}

#[derive(Debug)]
struct Owed {
    write: WriteId,
    effect: Effect,
    replies: Vec<(Token, Reply)>,
    appended: bool,
}

/// The replies and writes of the current call, and the debts of all.
#[derive(Debug, Default)]
pub struct Ledger {
    step: Step<Reply>,
    owed: VecDeque<Owed>,
    next_write: u64,
}

impl Ledger {
    /// Sends a reply that depends on no record.
    pub fn reply(&mut self, token: Token, reply: Reply) {
        self.step.replies.push((token, reply));
    }

    /// Sends a reply once everything that was decided so far is durable.
    pub fn reply_when_durable(&mut self, token: Token, reply: Reply) {
        match self.owed.back_mut() {
            Some(owed) => owed.replies.push((token, reply)),
            None => self.reply(token, reply),
        }
    }

    /// Asks for records to be appended.
    pub fn write(&mut self, records: &[Record], effect: Effect) {
        assert!(!records.is_empty(), "a write has records");
        let id = WriteId(self.next_write);
        self.next_write += 1;
        self.step.writes.push(Write { id, records: records.iter().map(codec::encode).collect() });
        self.owed.push_back(Owed { write: id, effect, replies: Vec::new(), appended: false });
    }

    /// Writes records that need no effect but their replay, in one batch.
    pub fn write_and_replay(&mut self, records: Vec<Record>) {
        if !records.is_empty() {
            self.write(&records.clone(), Effect::Replay(records));
        }
    }

    /// The same in as many batches as it takes.
    pub fn write_tombstones(&mut self, records: Vec<Record>) {
        for some in records.chunks(TOMBSTONES_IN_A_BATCH) {
            self.write_and_replay(some.to_vec());
        }
    }

    pub fn take_step(&mut self) -> Step<Reply> {
        std::mem::take(&mut self.step)
    }

    /// The records to replay of a write that is in the log.
    pub fn appended(&mut self, write: WriteId) -> Vec<Record> {
        let owed = self.owed.iter_mut().find(|owed| owed.write == write).expect("a write that was asked for");
        assert!(!owed.appended, "a write is appended once");
        owed.appended = true;
        match &mut owed.effect {
            Effect::Replay(records) => std::mem::take(records),
            _ => Vec::new(),
        }
    }

    /// Forgets a write that failed: its replies turn to errors, its effect is for the caller to undo.
    pub fn failed(&mut self, write: WriteId, error: ErrorCode) -> Effect {
        let at = self.owed.iter().position(|owed| owed.write == write).expect("a write that was asked for");
        let owed = self.owed.remove(at).expect("found just now");
        for (token, reply) in owed.replies {
            self.reply(token, reply.into_error(error));
        }
        owed.effect
    }

    /// Takes the oldest write up to and with `write`, releases its replies, gives back its effect.
    pub fn durable(&mut self, write: WriteId) -> Option<Effect> {
        if self.owed.front()?.write > write {
            return None;
        }
        let owed = self.owed.pop_front()?;
        assert!(owed.appended, "what is durable was appended");
        self.step.replies.extend(owed.replies);
        Some(owed.effect)
    }

    /// All debts become this error.
    pub fn fail_all(&mut self, error: ErrorCode) {
        while let Some(write) = self.owed.front().map(|owed| owed.write) {
            self.failed(write, error);
        }
    }

    pub fn all_appended(&self) -> bool {
        self.owed.back().is_none_or(|owed| owed.appended)
    }
}

/// What a decision about one group may use besides the group.
#[derive(Debug)]
pub struct Turn<'a> {
    pub settings: &'a GroupSettings,
    pub timers: &'a mut Timers,
    pub ledger: &'a mut Ledger,
    pub now: Now,
}

impl Turn<'_> {
    pub fn set_timer(&mut self, key: TimerKey, delay_ms: i64, alarm: Alarm) {
        self.timers.set(key, self.now.steady_ms.saturating_add(delay_ms), alarm);
    }

    pub fn reply_join(&mut self, token: Token, reply: JoinReply) {
        self.ledger.reply(token, Reply::Join(reply));
    }

    pub fn refuse_join(&mut self, token: Token, error: ErrorCode, member_id: MemberId) {
        self.reply_join(token, JoinReply::error(error, member_id));
    }

    pub fn reply_sync(&mut self, token: Token, reply: SyncReply) {
        self.ledger.reply(token, Reply::Sync(reply));
    }

    pub fn refuse_sync(&mut self, token: Token, error: ErrorCode) {
        self.reply_sync(token, SyncReply::error(error));
    }
}
