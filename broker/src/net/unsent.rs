//! Memory of responses that their readers have not taken yet, bounded over the connections of a shard
//! (`queued.max.response.bytes`). Records that the cache has long forgotten stay in memory for as long as somebody is
//! being sent them. A reader that is waited for would hold up all others, so beyond the bound the one that has been at
//! its response for the longest is disconnected; it can ask again.
//! Never touches a socket. Lives on its shard's core.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use bytes::Bytes;

use crate::api::{Outgoing, Part};

/// Responses with less than this in memory are not counted: the kernel keeps more than that for a connection.
const COUNTED_FROM_BYTES: usize = 64 << 10;

/// The unsent responses of one shard.
pub(super) struct Unsent {
    limit_bytes: usize,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// All of it, what several responses share counted once.
    held_bytes: usize,
    /// By address: how many responses hold it.
    shared: HashMap<usize, Shared, Addresses>,
    /// The oldest first.
    holders: BTreeMap<u64, Holder>,
    next_turn: u64,
}

/// Addresses are no input of a peer, and these are looked up for every batch.
type Addresses = std::hash::BuildHasherDefault<std::hash::DefaultHasher>;

struct Shared {
    bytes: usize,
    holders: usize,
}

struct Holder {
    connection: u64,
    pieces: Pieces,
}

/// What a response holds in memory, by address and length.
pub(super) struct Pieces(Vec<(usize, usize)>);

/// A response that is being sent; dropping it ends its part in the count.
pub(super) struct Hold {
    unsent: Rc<Unsent>,
    turn: u64,
}

impl Pieces {
    /// Those of a response; `None` when they are not worth counting.
    pub fn of(outgoing: &Outgoing) -> Option<Self> {
        let memory = || {
            outgoing.parts.iter().filter_map(|part| match part {
                Part::Memory(bytes) => Some(bytes),
                Part::File(_) => None,
            })
        };
        let bytes: usize = memory().map(Bytes::len).sum();
        let pieces = || Self(memory().map(|bytes| (bytes.as_ptr() as usize, bytes.len())).collect());
        (bytes >= COUNTED_FROM_BYTES).then(pieces)
    }
}

impl Unsent {
    pub fn new(limit_bytes: usize) -> Rc<Self> {
        Rc::new(Self { limit_bytes, state: RefCell::default() })
    }

    /// Counts a response of a connection, and names the connections that must end for it. A single response is
    /// never too much.
    pub fn hold(self: &Rc<Self>, connection: u64, pieces: Pieces) -> (Hold, Vec<u64>) {
        let mut state = self.state.borrow_mut();
        let turn = state.enter(Holder { connection, pieces });
        let mut ended = Vec::new();
        while state.held_bytes > self.limit_bytes && state.holders.len() > 1 {
            ended.extend(state.leave_oldest());
        }
        (Hold { unsent: self.clone(), turn }, ended)
    }
}

impl State {
    fn enter(&mut self, holder: Holder) -> u64 {
        for &(address, bytes) in &holder.pieces.0 {
            let shared = self.shared.entry(address).or_insert(Shared { bytes: 0, holders: 0 });
            shared.holders += 1;
            self.held_bytes += bytes.saturating_sub(shared.bytes);
            shared.bytes = shared.bytes.max(bytes);
        }
        self.next_turn += 1;
        self.holders.insert(self.next_turn, holder);
        self.next_turn
    }

    fn leave_oldest(&mut self) -> Option<u64> {
        let oldest = *self.holders.first_key_value()?.0;
        self.leave(oldest)
    }

    /// Which connection it was, unless it has left before.
    fn leave(&mut self, turn: u64) -> Option<u64> {
        let holder = self.holders.remove(&turn)?;
        for (address, _) in &holder.pieces.0 {
            let shared = self.shared.get_mut(address).expect("a piece that was entered");
            shared.holders -= 1;
            if shared.holders == 0 {
                self.held_bytes -= shared.bytes;
                self.shared.remove(address);
            }
        }
        Some(holder.connection)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.unsent.state.borrow_mut().leave(self.turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1 << 20;

    fn response(records: &Bytes) -> Outgoing {
        Outgoing { parts: vec![Part::Memory(records.clone())] }
    }

    fn pieces(records: &Bytes) -> Pieces {
        Pieces::of(&response(records)).expect("worth counting")
    }

    fn records(bytes: usize) -> Bytes {
        vec![0; bytes].into()
    }

    #[test]
    fn beyond_the_bound_the_oldest_responses_go_until_the_rest_is_within() {
        let unsent = Unsent::new(LIMIT);
        let small: Vec<Bytes> = (0..4).map(|_| records(LIMIT / 4)).collect();
        let holds: Vec<_> = (0..).zip(&small).map(|(n, small)| unsent.hold(n, pieces(small))).collect();
        assert!(holds.iter().all(|(_, ended)| ended.is_empty()));
        let large = records(LIMIT / 2);
        let (hold, ended) = unsent.hold(9, pieces(&large));
        assert_eq!(ended, [0, 1]);
        drop(holds);
        assert_eq!(unsent.state.borrow().held_bytes, LIMIT / 2, "who was ended is not taken off twice");
        drop(hold);
        assert_eq!(unsent.state.borrow().held_bytes, 0);
        assert!(unsent.state.borrow().shared.is_empty());
    }

    #[test]
    fn what_many_readers_are_sent_alike_counts_once() {
        let (unsent, same) = (Unsent::new(LIMIT), records(LIMIT / 2));
        let holds: Vec<_> = (0..1000).map(|n| unsent.hold(n, pieces(&same))).collect();
        assert!(holds.iter().all(|(_, ended)| ended.is_empty()));
        assert_eq!(unsent.state.borrow().held_bytes, LIMIT / 2);
        drop(holds);
        assert_eq!(unsent.state.borrow().held_bytes, 0);
    }

    #[test]
    fn a_response_that_is_larger_than_the_bound_is_sent_alone() {
        let unsent = Unsent::new(LIMIT);
        let (one, other) = (records(LIMIT + 1), records(LIMIT + 1));
        let (_hold, ended) = unsent.hold(7, pieces(&one));
        assert!(ended.is_empty());
        let (_hold, ended) = unsent.hold(8, pieces(&other));
        assert_eq!(ended, [7]);
    }

    #[test]
    fn small_responses_are_not_counted() {
        assert!(Pieces::of(&response(&records(COUNTED_FROM_BYTES - 1))).is_none());
        assert!(Pieces::of(&response(&records(COUNTED_FROM_BYTES))).is_some());
    }
}
