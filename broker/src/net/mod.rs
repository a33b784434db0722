//! Connections: accepted on every shard, bounded, swept when idle, closed on faults with one line that says who
//! and why. Never decodes a body. Each listener has its own socket on each shard (SO_REUSEPORT).

mod connection;
mod frame;
mod registry;

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use kring_runtime::net::{AcceptError, Listener, Stream};
use kring_runtime::{Interval, Monotonic, Queue, Task, now, sleep, spawn};

use crate::api::{ApiState, Client};
use connection::{Ended, Fault, serve};
use registry::{Activity, Registry};

/// Pause after a failed accept, so that a host out of descriptors is not hammered.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often idle connections are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// Lines about broken peers, per shard: at most one each this often.
const FAULT_LINE_EVERY: Duration = Duration::from_secs(1);

/// Bounds on the connections of one shard.
pub struct Limits {
    pub max_connections: usize,
    pub idle: Option<Duration>,
}

/// The connections of one shard, over all its listeners.
pub struct Server {
    state: Rc<ApiState>,
    registry: Rc<Registry>,
    idle: Option<Duration>,
    fault_lines: FaultLines,
}

impl Server {
    pub fn new(state: Rc<ApiState>, limits: Limits) -> Rc<Self> {
        let registry = Registry::new(limits.max_connections);
        Rc::new(Self { state, registry, idle: limits.idle, fault_lines: FaultLines::default() })
    }

    /// Accepts from one listener until the task is dropped.
    pub fn listen(self: &Rc<Self>, name: String, listener: Listener) -> Task<()> {
        let server = self.clone();
        spawn(Queue::Net, async move { server.accept_all(&name, &listener).await })
    }

    /// Ends idle connections until the task is dropped.
    pub fn sweep(self: &Rc<Self>) -> Option<Task<()>> {
        let (server, limit) = (self.clone(), self.idle?);
        Some(spawn(Queue::Net, async move {
            let mut interval = Interval::new(SWEEP_EVERY.min(limit));
            loop {
                interval.tick().await;
                server.registry.sweep(limit);
            }
        }))
    }

    /// Ends all connections.
    pub fn close(&self) {
        self.registry.close_all();
    }

    async fn accept_all(self: &Rc<Self>, name: &str, listener: &Listener) {
        loop {
            match listener.accept().await {
                Ok(stream) => self.admit(name, stream),
                Err(error) => self.accept_failed(&error).await,
            }
        }
    }

    async fn accept_failed(&self, error: &AcceptError) {
        if self.fault_lines.may_write() {
            tracing::warn!(%error, "a connection could not be accepted");
        }
        sleep(ACCEPT_PAUSE).await;
    }

    fn admit(self: &Rc<Self>, name: &str, stream: Stream) {
        let (activity, peer) = (Activity::new(), stream.peer_addr());
        let Some(id) = self.registry.admit(activity.clone()) else {
            if self.fault_lines.may_write() {
                tracing::warn!(%peer, "connection refused: max.connections is reached");
            }
            return;
        };
        let client = Client::new(self.state.clone(), name.to_string(), peer);
        let server = self.clone();
        let task = spawn(Queue::Net, async move {
            let ended = serve(stream, client, activity).await;
            server.ended(peer, &ended);
            server.registry.leave(id);
        });
        self.registry.keep(id, task);
    }

    fn ended(&self, peer: SocketAddr, ended: &Ended) {
        match ended {
            Ended::ByPeer => tracing::debug!(%peer, "connection ended"),
            Ended::ByFault(fault) => self.say(peer, fault),
        }
    }

    fn say(&self, peer: SocketAddr, fault: &Fault) {
        if self.fault_lines.may_write() {
            tracing::warn!(%peer, "closed a connection: the peer sent {fault}");
        }
    }
}

/// Bounds the lines that peers can make us write.
#[derive(Default)]
struct FaultLines {
    next: Cell<Option<Monotonic>>,
}

impl FaultLines {
    fn may_write(&self) -> bool {
        let now = now();
        let due = self.next.get().is_none_or(|next| now >= next);
        if due {
            self.next.set(Some(now + FAULT_LINE_EVERY));
        }
        due
    }
}
