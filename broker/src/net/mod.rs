//! Connections: accepted on every shard, bounded, swept when idle, closed on faults with one line that says who
//! and why. Never decodes a body. Each listener has its own socket on each shard (SO_REUSEPORT).

mod admission;
mod budget;
mod connection;
mod frame;
mod memory;
mod outbox;
mod pipeline;
mod rate;
mod registry;
mod unsent;

pub use admission::Admission;
pub use memory::RequestBudget;

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kring_runtime::net::{AcceptError, Listener, Stream};
use kring_runtime::{Interval, Monotonic, Queue, Task, now, sleep, spawn};

use crate::api::{ApiState, Client};
use admission::Bounds;

use connection::{Ended, Fault, Place, serve};
use memory::RequestMemory;
use outbox::Outbox;
use registry::{Activity, Registry};
use unsent::Unsent;

/// Pause after a failed accept, so that a host out of descriptors is not hammered.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often idle connections are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// How long a peer may stand still in the middle of a request or a response when others wait for memory.
const STALLED_AFTER: Duration = Duration::from_secs(10);
/// How long the end of the broker waits for connections that have something to answer, and how often it looks.
const LAST_ANSWERS: Duration = Duration::from_secs(3);
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// Lines about broken peers, per shard: at most one each this often.
const FAULT_LINE_EVERY: Duration = Duration::from_secs(1);

/// What all shards share.
pub struct Limits {
    pub admission: Arc<Admission>,
    /// Connections that there are descriptors for.
    pub connections: usize,
    pub requests: RequestBudget,
    /// Memory of one shard for responses that are not sent.
    pub unsent_bytes: usize,
}

/// The connections of one shard, over all its listeners.
pub struct Server {
    state: Rc<ApiState>,
    admission: Arc<Admission>,
    connections: usize,
    memory: Rc<RequestMemory>,
    unsent: Rc<Unsent>,
    registry: Rc<Registry>,
    fault_lines: FaultLines,
}

impl Server {
    pub fn new(state: Rc<ApiState>, limits: &Limits) -> Rc<Self> {
        Rc::new(Self {
            state,
            admission: limits.admission.clone(),
            connections: limits.connections,
            memory: limits.requests.share(),
            unsent: Unsent::new(limits.unsent_bytes),
            registry: Rc::default(),
            fault_lines: FaultLines::default(),
        })
    }

    /// Accepts from one listener until the task is dropped.
    pub fn listen(self: &Rc<Self>, name: String, listener: Listener) -> Task<()> {
        let server = self.clone();
        spawn(Queue::Net, async move { server.accept_all(&name.into(), &listener).await })
    }

    /// Ends connections that are idle or keep others from memory, until the task is dropped.
    pub fn sweep(self: &Rc<Self>) -> Task<()> {
        let idle_ms = self.state.shard.config().sockets.idle_ms;
        let idle = idle_ms.map(|ms| Duration::from_millis(ms.unsigned_abs()));
        let server = self.clone();
        spawn(Queue::Net, async move {
            let mut interval = Interval::new(SWEEP_EVERY.min(idle.unwrap_or(SWEEP_EVERY)));
            loop {
                interval.tick().await;
                idle.map(|limit| server.registry.sweep(limit));
                server.end_stalled();
            }
        })
    }

    /// Who waits for memory does not wait for a peer that has stopped half way.
    fn end_stalled(&self) {
        let ended = if self.memory.is_wanted() { self.registry.end_stalled(STALLED_AFTER) } else { 0 };
        if ended > 0 {
            tracing::warn!(
                connections = ended,
                "closed connections: they stood still while others waited for their part of queued.max.request.bytes"
            );
        }
    }

    /// Ends all connections. What has been handed to the logs is answered first, for some seconds at most: an idempotent
    /// producer that is not told would send all of it again, and the next start knows the last batch of each only.
    pub async fn close(&self) {
        let deadline = now() + LAST_ANSWERS;
        self.registry.begin_end();
        while !self.registry.is_empty() && now() < deadline {
            sleep(LOOK_AGAIN).await;
        }
        self.registry.close_all();
    }

    async fn accept_all(self: &Rc<Self>, name: &Arc<str>, listener: &Listener) {
        loop {
            match listener.accept().await {
                Ok(stream) => self.admit(name, stream).await,
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

    /// While a connection waits for its place, the listener takes no other, as Kafka's acceptor does not.
    async fn admit(self: &Rc<Self>, name: &Arc<str>, stream: Stream) {
        let peer = stream.peer_addr();
        let Some(place) = self.admission.admit(name, peer.ip(), || self.bounds(name, peer.ip())).await else {
            if self.fault_lines.may_write() {
                tracing::warn!(%peer, "connection refused: its address has max.connections.per.ip of them");
            }
            return;
        };
        let activity = Activity::new();
        let id = self.registry.enter(activity.clone(), place);
        let client = Client::new(self.state.clone(), name.to_string(), peer);
        let place = Place { activity, memory: self.memory.clone(), outbox: self.outbox(id) };
        let server = self.clone();
        let task = spawn(Queue::Net, async move {
            let ended = serve(stream, client, place).await;
            server.ended(peer, &ended);
            server.registry.leave(id);
        });
        self.registry.keep(id, task);
    }

    fn outbox(&self, id: u64) -> Outbox {
        Outbox { id, registry: self.registry.clone(), unsent: self.unsent.clone() }
    }

    fn bounds(&self, listener: &str, ip: IpAddr) -> Bounds {
        let config = self.state.shard.config();
        let sockets = &config.sockets;
        let own = sockets.max_connections_per_ip_overrides.iter().find(|(host, _)| names(host, ip));
        let of_listener = sockets.of_listeners.get(listener).copied().unwrap_or_default();
        Bounds {
            of_listener: of_listener.max_connections.map_or(usize::MAX, |count| count as usize),
            rate: sockets.max_creation_rate,
            rate_of_listener: of_listener.max_creation_rate.unwrap_or(u32::MAX),
            total: self.connections.min(sockets.max_connections as usize),
            per_ip: own.map_or(sockets.max_connections_per_ip, |(_, count)| *count) as usize,
        }
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

/// Whether an entry of `max.connections.per.ip.overrides` means this address.
fn names(host: &str, ip: IpAddr) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address == ip,
        Err(_) => host.eq_ignore_ascii_case("localhost") && ip.is_loopback(),
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
