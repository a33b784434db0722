//! The simulated network: connections are pairs of pipes whose bytes arrive later, in pieces, in order.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::{Buf, Bytes, BytesMut};

use crate::context::{self, Backend};
use crate::disk::FileRange;
use crate::local::Notify;
use crate::net::SendFileError;
use crate::sim::world::SimShard;
use crate::time::{self, Monotonic};

/// Bytes that a pipe holds before its writer waits.
const PIPE_BYTES: usize = 64 * 1024;
const READ_CHUNK: usize = 16 * 1024;
/// Connections that wait to be accepted.
const BACKLOG: usize = 128;
const FIRST_PORT: u16 = 40_000;

fn shard() -> Rc<SimShard> {
    match context::current() {
        Backend::Sim(shard) => shard,
        Backend::Real(_) => unreachable!("a real shard has no simulated network"),
    }
}

/// The machine's network: who listens where.
#[derive(Default)]
pub(crate) struct SimNet {
    listeners: RefCell<BTreeMap<SocketAddr, Vec<Rc<Backlog>>>>,
    ports: Cell<u16>,
}

#[derive(Default)]
struct Backlog {
    waiting: RefCell<VecDeque<SimStream>>,
    arrived: Notify,
}

impl SimNet {
    pub(crate) fn clear(&self) {
        let listeners = self.listeners.take();
        drop(listeners);
    }

    fn next_port(&self) -> u16 {
        let port = FIRST_PORT + self.ports.get();
        self.ports.set((self.ports.get() + 1) % 20_000);
        port
    }

    /// Those that listen on `addr`, or on every address with its port.
    fn listening(&self, addr: SocketAddr) -> Vec<Rc<Backlog>> {
        let listeners = self.listeners.borrow();
        let matches = |bound: &SocketAddr| {
            bound.port() == addr.port() && (bound.ip() == addr.ip() || bound.ip().is_unspecified())
        };
        listeners.iter().filter(|(bound, _)| matches(bound)).flat_map(|(_, queues)| queues.clone()).collect()
    }
}

pub(crate) struct SimListener {
    shard: Rc<SimShard>,
    addr: SocketAddr,
    backlog: Rc<Backlog>,
}

impl SimListener {
    pub(crate) fn bind(shard: &Rc<SimShard>, mut addr: SocketAddr) -> io::Result<Self> {
        let net = shard.world().net();
        if addr.port() == 0 {
            addr.set_port(net.next_port());
        }
        let backlog = Rc::new(Backlog::default());
        net.listeners.borrow_mut().entry(addr).or_default().push(backlog.clone());
        Ok(Self { shard: shard.clone(), addr, backlog })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) async fn accept(&self) -> io::Result<SimStream> {
        loop {
            let arrived = self.backlog.arrived.notified();
            let next = self.backlog.waiting.borrow_mut().pop_front();
            match next {
                Some(stream) => return Ok(stream),
                None => arrived.await,
            }
        }
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let mut listeners = self.shard.world().net().listeners.borrow_mut();
        if let Some(queues) = listeners.get_mut(&self.addr) {
            queues.retain(|queue| !Rc::ptr_eq(queue, &self.backlog));
            if queues.is_empty() {
                listeners.remove(&self.addr);
            }
        }
    }
}

/// One direction of a connection.
#[derive(Default)]
struct Pipe {
    state: RefCell<PipeState>,
    changed: Notify,
}

#[derive(Default)]
struct PipeState {
    on_the_way: VecDeque<(Monotonic, Bytes)>,
    held: usize,
    write_closed: bool,
    read_closed: bool,
}

enum Next {
    Bytes(usize),
    End,
    At(Monotonic),
    Nothing,
}

impl Pipe {
    fn close(&self, write: bool, read: bool) {
        let mut state = self.state.borrow_mut();
        state.write_closed |= write;
        state.read_closed |= read;
        drop(state);
        self.changed.notify_all();
    }

    /// Takes what has arrived, at most `room` bytes.
    fn take(&self, buf: &mut BytesMut, room: usize, now: Monotonic) -> Next {
        let mut state = self.state.borrow_mut();
        if state.read_closed {
            return Next::End;
        }
        let Some((at, bytes)) = state.on_the_way.front_mut() else {
            return if state.write_closed { Next::End } else { Next::Nothing };
        };
        if *at > now {
            return Next::At(*at);
        }
        let count = bytes.len().min(room);
        buf.extend_from_slice(&bytes[..count]);
        bytes.advance(count);
        if bytes.is_empty() {
            state.on_the_way.pop_front();
        }
        state.held -= count;
        drop(state);
        self.changed.notify_all();
        Next::Bytes(count)
    }

    async fn read(&self, buf: &mut BytesMut) -> io::Result<usize> {
        if buf.capacity() == buf.len() {
            buf.reserve(READ_CHUNK);
        }
        let spare = (buf.capacity() - buf.len()) as u64;
        let room = shard().world().random(|rng| if rng.chance(20) { rng.between(1, spare) } else { spare });
        let room = usize::try_from(room).expect("at most the spare room");
        loop {
            let changed = self.changed.notified();
            match self.take(buf, room, time::now()) {
                Next::Bytes(count) => return Ok(count),
                Next::End => return Ok(0),
                Next::At(at) => time::sleep_until(at).await,
                Next::Nothing => changed.await,
            }
        }
    }

    /// Puts some of `bytes` on the way; nothing when the pipe is full.
    fn put(&self, bytes: &mut Bytes) -> io::Result<bool> {
        let mut state = self.state.borrow_mut();
        if state.write_closed || state.read_closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let room = PIPE_BYTES - state.held;
        if room == 0 {
            return Ok(false);
        }
        let most = bytes.len().min(room) as u64;
        let (count, delay) = shard().world().random(|rng| {
            (if rng.chance(30) { rng.between(1, most) } else { most }, rng.between(2_000, 300_000))
        });
        let count = usize::try_from(count).expect("at most the room");
        let earliest = state.on_the_way.back().map_or(Monotonic::ZERO, |(at, _)| *at);
        let at = earliest.max(time::now() + std::time::Duration::from_nanos(delay));
        state.held += count;
        state.on_the_way.push_back((at, bytes.split_to(count)));
        drop(state);
        self.changed.notify_all();
        Ok(true)
    }
}

pub(crate) struct SimStream {
    incoming: Rc<Pipe>,
    outgoing: Rc<Pipe>,
    peer: SocketAddr,
    local: SocketAddr,
}

impl SimStream {
    pub(crate) async fn connect(shard: &Rc<SimShard>, addr: SocketAddr) -> io::Result<Self> {
        shard.clone().delay(20_000, 500_000).await;
        let net = shard.world().net();
        let mut queues = net.listening(addr);
        queues.retain(|queue| queue.waiting.borrow().len() < BACKLOG);
        if queues.is_empty() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let chosen = shard.world().random(|rng| rng.below(queues.len() as u64));
        let queue = &queues[usize::try_from(chosen).expect("below a length")];
        let local = SocketAddr::new(addr.ip(), net.next_port());
        let (there, back) = (Rc::new(Pipe::default()), Rc::new(Pipe::default()));
        let accepted = Self { incoming: there.clone(), outgoing: back.clone(), peer: local, local: addr };
        queue.waiting.borrow_mut().push_back(accepted);
        queue.arrived.notify_all();
        Ok(Self { incoming: back, outgoing: there, peer: addr, local })
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    pub(crate) fn shutdown(&self, both: bool) {
        self.outgoing.close(true, false);
        if both {
            self.incoming.close(false, true);
        }
    }

    pub(crate) async fn read(&self, buf: &mut BytesMut) -> io::Result<usize> {
        self.incoming.read(buf).await
    }

    pub(crate) async fn write_parts(&self, parts: &mut VecDeque<Bytes>) -> io::Result<()> {
        while let Some(front) = parts.front_mut() {
            if front.is_empty() {
                parts.pop_front();
                continue;
            }
            let changed = self.outgoing.changed.notified();
            if !self.outgoing.put(front)? {
                changed.await;
            }
        }
        Ok(())
    }

    pub(crate) async fn send_file(&self, range: &FileRange) -> Result<(), SendFileError> {
        let end = range.offset + range.len;
        let mut pos = range.offset;
        while pos < end {
            let want = usize::try_from((end - pos).min(crate::disk::SEND_WINDOW)).expect("at most a window");
            let bytes = range.file.read_at(pos, want).await.map_err(SendFileError::File)?;
            if bytes.is_empty() {
                return Err(SendFileError::too_short());
            }
            pos += bytes.len() as u64;
            self.write_parts(&mut VecDeque::from([bytes])).await.map_err(SendFileError::Socket)?;
        }
        Ok(())
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.shutdown(true);
    }
}
