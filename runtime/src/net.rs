//! TCP: listeners, connections split into a reading and a writing half, and connecting. A connection stays on the
//! shard that accepted or made it. TCP_NODELAY is always set; there are no timeouts here, see [`crate::timeout`] and
//! [`Closer`].

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::rc::{Rc, Weak};

use bytes::{Bytes, BytesMut};
use rustix::net::Shutdown;

use crate::context::{self, Backend};
use crate::disk::FileRange;
use crate::real::tcp::{self, RealListener, RealStream};
use crate::real::{blocking, sendfile};
use crate::sim::net::{SimListener, SimStream};
use crate::upcoming::Upcoming;

enum Accepting {
    Real(RealListener),
    Sim(SimListener),
}

/// A listening socket of one shard. Every shard binds its own to the same address; the kernel spreads connections.
pub struct Listener(Accepting);

/// What a listener, and every connection that it accepts, is to have. `None` leaves it to us or to the system.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListenerOptions {
    /// Connections that may wait to be accepted; 1024 without it. The system has a limit of its own
    /// (`net.core.somaxconn`).
    pub backlog: Option<u32>,
    /// What the system keeps of unsent and of unread bytes. It cuts them to its own limits, and with one of them set
    /// no longer adapts it to the connection.
    pub send_buffer_bytes: Option<u32>,
    pub receive_buffer_bytes: Option<u32>,
}

/// Why a connection could not be accepted.
#[derive(Debug)]
pub enum AcceptError {
    /// The process or the system has no descriptors left: wait a little, and accept again when something has closed.
    OutOfFiles(io::Error),
    /// The connection was gone before it was accepted, or the network hiccuped: accept again.
    Passing(io::Error),
    /// The listener is of no use any more.
    Broken(io::Error),
}

/// Why a file was not sent to its end.
#[derive(Debug)]
pub enum SendFileError {
    /// It could not be read, or is shorter than the range: `UnexpectedEof`.
    File(io::Error),
    /// The connection ended.
    Socket(io::Error),
}

impl SendFileError {
    pub(crate) fn too_short() -> Self {
        Self::File(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than the range"))
    }

    /// Of a call that reads the one and writes the other: no socket ever fails with an I/O error.
    pub(crate) fn of_sendfile(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EIO | libc::EINVAL | libc::EOVERFLOW | libc::EBADMSG | libc::EUCLEAN) => {
                Self::File(error)
            }
            _ => Self::Socket(error),
        }
    }
}

impl fmt::Display for SendFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => write!(f, "the file could not be read: {error}"),
            Self::Socket(error) => write!(f, "the connection ended: {error}"),
        }
    }
}

impl std::error::Error for SendFileError {}

impl AcceptError {
    fn from_io(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => Self::OutOfFiles(error),
            Some(
                libc::ECONNABORTED
                | libc::ECONNRESET
                | libc::ENOTCONN
                | libc::EINTR
                | libc::EAGAIN
                | libc::EPROTO
                | libc::EPERM
                | libc::ENETDOWN
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::ETIMEDOUT,
            ) => Self::Passing(error),
            _ => Self::Broken(error),
        }
    }
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfFiles(e) => {
                write!(f, "no descriptor is left for a connection: {e}; raise `ulimit -n`")
            }
            Self::Passing(e) => write!(f, "a connection was lost before it was accepted: {e}"),
            Self::Broken(e) => write!(f, "connections cannot be accepted any more: {e}"),
        }
    }
}

impl std::error::Error for AcceptError {}

impl Listener {
    /// Listens on `addr`; port 0 takes a free one, see [`Listener::local_addr`]. Several shards may bind the same
    /// address; `AddrInUse` when anything outside this process holds it.
    pub fn bind(addr: SocketAddr) -> io::Result<Self> {
        Self::bind_with(addr, &ListenerOptions::default())
    }

    /// As [`Listener::bind`], with options, which a simulation does without.
    pub fn bind_with(addr: SocketAddr, options: &ListenerOptions) -> io::Result<Self> {
        match context::current() {
            Backend::Real(_) => {
                RealListener::bind(addr, options).map(|listener| Self(Accepting::Real(listener)))
            }
            Backend::Sim(shard) => {
                SimListener::bind(&shard, addr).map(|listener| Self(Accepting::Sim(listener)))
            }
        }
    }

    pub fn local_addr(&self) -> SocketAddr {
        match &self.0 {
            Accepting::Real(listener) => listener.local_addr(),
            Accepting::Sim(listener) => listener.local_addr(),
        }
    }

    /// The next connection.
    pub async fn accept(&self) -> Result<Stream, AcceptError> {
        let stream = match &self.0 {
            Accepting::Real(listener) => listener.accept().await.map(Connected::Real),
            Accepting::Sim(listener) => listener.accept().await.map(Connected::Sim),
        };
        stream.map(|stream| Stream(Rc::new(stream))).map_err(AcceptError::from_io)
    }
}

/// Connects to `addr`. Waits as long as the kernel does: wrap it in [`crate::timeout`].
pub async fn connect(addr: SocketAddr) -> io::Result<Stream> {
    let stream = match context::current() {
        Backend::Real(_) => Connected::Real(tcp::connect(addr).await?),
        Backend::Sim(shard) => Connected::Sim(SimStream::connect(&shard, addr).await?),
    };
    Ok(Stream(Rc::new(stream)))
}

/// The addresses of a host name or literal, in the order of the system's resolver. In a simulation every name is
/// the loopback address.
pub async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match context::current() {
        Backend::Real(_) => {
            let host = host.to_owned();
            blocking::run(move || Ok((host.as_str(), port).to_socket_addrs()?.collect())).await
        }
        Backend::Sim(_) => Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]),
    }
}

enum Connected {
    Real(RealStream),
    Sim(SimStream),
}

impl Connected {
    fn peer(&self) -> SocketAddr {
        match self {
            Self::Real(stream) => stream.peer,
            Self::Sim(stream) => stream.peer(),
        }
    }

    fn local(&self) -> SocketAddr {
        match self {
            Self::Real(stream) => stream.local,
            Self::Sim(stream) => stream.local(),
        }
    }

    fn shutdown(&self, how: Shutdown) {
        match self {
            Self::Real(stream) => stream.shutdown(how),
            Self::Sim(stream) => stream.shutdown(matches!(how, Shutdown::Both)),
        }
    }
}

/// A connection. It is closed when it and both its halves are dropped.
pub struct Stream(Rc<Connected>);

impl Stream {
    pub fn peer_addr(&self) -> SocketAddr {
        self.0.peer()
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.0.local()
    }

    /// One half for each direction, usable from two tasks of this shard.
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        (ReadHalf(self.0.clone()), WriteHalf(self.0))
    }

    /// A handle to end the connection from elsewhere on this shard, which does not keep it open.
    pub fn closer(&self) -> Closer {
        Closer(Rc::downgrade(&self.0))
    }
}

/// Ends a connection that others hold: for idle connections and for the end of the process.
#[derive(Clone)]
pub struct Closer(Weak<Connected>);

impl Closer {
    /// Both directions end: a pending read returns zero or an error, a pending write an error.
    pub fn close(&self) {
        if let Some(stream) = self.0.upgrade() {
            stream.shutdown(Shutdown::Both);
        }
    }
}

/// Receives.
pub struct ReadHalf(Rc<Connected>);

impl ReadHalf {
    /// Appends what has arrived to `buf`, at most its spare capacity (16 KiB when it has none), and returns how much
    /// that was: zero when the peer has closed its direction. Dropping the future loses no bytes.
    pub async fn read(&mut self, buf: &mut BytesMut) -> io::Result<usize> {
        match &*self.0 {
            Connected::Real(stream) => stream.read(buf).await,
            Connected::Sim(stream) => stream.read(buf).await,
        }
    }

    pub fn peer_addr(&self) -> SocketAddr {
        self.0.peer()
    }

    pub fn closer(&self) -> Closer {
        Closer(Rc::downgrade(&self.0))
    }
}

/// Sends. One response at a time: the futures of two calls must not run at once.
pub struct WriteHalf(Rc<Connected>);

impl WriteHalf {
    /// Sends all parts in order without joining them in memory. What has been sent is taken out of `parts`, so that
    /// after an error or a dropped future it holds what is left.
    pub async fn write_parts(&mut self, parts: &mut VecDeque<Bytes>) -> io::Result<()> {
        match &*self.0 {
            Connected::Real(stream) => stream.write_parts(parts).await,
            Connected::Sim(stream) => stream.write_parts(parts).await,
        }
    }

    /// Sends all parts in order.
    pub async fn write_all(&mut self, parts: Vec<Bytes>) -> io::Result<()> {
        self.write_parts(&mut parts.into()).await
    }

    /// Sends a range of a file from the page cache. The range must be complete, of bytes that never change again.
    /// After any error the connection is of no use; one of the file is also noted in its handle.
    pub async fn send_file(&mut self, range: &FileRange) -> Result<(), SendFileError> {
        self.send_next(&mut Upcoming::of([range.clone()])).await
    }

    /// As [`WriteHalf::send_file`], of the first of these ranges, which is taken out. The others are brought in meanwhile.
    ///
    /// # Panics
    /// When there is none.
    pub async fn send_next(&mut self, upcoming: &mut Upcoming) -> Result<(), SendFileError> {
        let range = upcoming.range().expect("there is a range to send").clone();
        let sent = self.send_range(&range, upcoming).await;
        upcoming.done();
        if matches!(sent, Err(SendFileError::File(_))) {
            range.file.mark_failed();
        }
        sent
    }

    async fn send_range(&self, range: &FileRange, upcoming: &mut Upcoming) -> Result<(), SendFileError> {
        range.offset.checked_add(range.len).ok_or_else(SendFileError::too_short)?;
        match (&*self.0, range.file.real()) {
            (Connected::Real(stream), Some(file)) => sendfile::send(stream, range, file, upcoming).await,
            (Connected::Sim(stream), None) => stream.send_file(range).await,
            _ => unreachable!("a shard has files and sockets of one backend"),
        }
    }

    /// Ends this direction: the peer reads to the end of what was sent.
    pub fn shutdown(&mut self) {
        self.0.shutdown(Shutdown::Write);
    }

    pub fn peer_addr(&self) -> SocketAddr {
        self.0.peer()
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({})", self.local_addr())
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream({} to {})", self.local_addr(), self.peer_addr())
    }
}

impl fmt::Debug for ReadHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadHalf(from {})", self.peer_addr())
    }
}

impl fmt::Debug for WriteHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WriteHalf(to {})", self.peer_addr())
    }
}

impl fmt::Debug for Closer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closer")
    }
}
