//! One connection's part in the memory of unsent responses, and the end of those that keep too much of it.
//! Never touches a socket. Lives on the core that accepted the connection.

use std::rc::Rc;

use super::registry::Registry;
use super::unsent::{Hold, Pieces, Unsent};

/// A connection among those of its shard.
pub(super) struct Outbox {
    pub id: u64,
    pub registry: Rc<Registry>,
    pub unsent: Rc<Unsent>,
}

impl Outbox {
    /// Counts what the peer has not taken at once, and ends the connections that this is too much with.
    pub fn hold(&self, pieces: Pieces) -> Hold {
        let (hold, ended) = self.unsent.hold(self.id, pieces);
        for id in ended {
            tracing::warn!(
                "closed a connection: queued.max.response.bytes are in use, and it reads the slowest"
            );
            assert_ne!(id, self.id, "a connection sends one response at a time");
            self.registry.end(id);
        }
        hold
    }
}
