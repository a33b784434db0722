//! TCP on glommio's readiness: reads and writes happen at once or wait for the socket, so a dropped future loses
//! no bytes. Gathering writes and `sendfile` go to the descriptor directly.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use futures_lite::io::{AsyncRead, AsyncWrite};
use glommio::net::{TcpListener, TcpStream};
use rustix::io::Errno;
use rustix::net::{
    self, AddressFamily, SendAncillaryBuffer, SendFlags, Shutdown, SocketFlags, SocketType, sockopt,
};

use crate::net::ListenerOptions;
use crate::real::io_error;

/// How many buffers one gathering write takes.
const MAX_PARTS: usize = 64;
/// What is handed to the socket as one piece when it is full: its wait is the wait for room.
pub(crate) const WAIT_CHUNK: usize = 16 * 1024;
/// Spare room for one read.
const READ_CHUNK: usize = 16 * 1024;
/// Bytes after which a long write lets other tasks run.
const WRITE_TURN: usize = 1 << 20;
const BACKLOG: i32 = 1024;

/// The addresses this process listens on, and how often. See [`RealListener::bind`].
static LISTENING: Mutex<BTreeMap<SocketAddr, usize>> = Mutex::new(BTreeMap::new());

pub(crate) struct RealListener {
    listener: TcpListener,
    local: SocketAddr,
}

impl RealListener {
    /// SO_REUSEPORT lets every shard listen on the same port, and lets another process of the same user do so too,
    /// unnoticed. So the first listener of this process on an address first binds without it, to find the port taken.
    pub(crate) fn bind(addr: SocketAddr, options: &ListenerOptions) -> io::Result<Self> {
        let mut listening = LISTENING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !listening.contains_key(&addr) {
            drop(bound_socket(addr, false)?);
        }
        let socket = bound_socket(addr, true)?;
        set_buffers(&socket, options)?;
        let backlog = options.backlog.and_then(|backlog| i32::try_from(backlog).ok());
        net::listen(&socket, backlog.unwrap_or(BACKLOG))?;
        let local = SocketAddr::try_from(net::getsockname(&socket)?)?;
        *listening.entry(local).or_default() += 1;
        // SAFETY: the descriptor is a listening TCP socket that was just made, and it is given away here.
        let listener = unsafe { TcpListener::from_raw_fd(socket.into_raw_fd()) };
        Ok(Self { listener, local })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Nothing is awaited between accepting and owning: an `AcceptedTcpStream` that is dropped leaks its descriptor.
    pub(crate) async fn accept(&self) -> io::Result<RealStream> {
        let stream = self.listener.accept().await.map_err(io_error)?;
        RealStream::new(stream)
    }
}

impl Drop for RealListener {
    fn drop(&mut self) {
        let mut listening = LISTENING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(count) = listening.get_mut(&self.local) {
            *count -= 1;
            if *count == 0 {
                listening.remove(&self.local);
            }
        }
    }
}

fn bound_socket(addr: SocketAddr, shared: bool) -> io::Result<OwnedFd> {
    let family = if addr.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    // Blocking, because glommio accepts through io_uring, which gives up at once on a non-blocking listener.
    let socket = net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, shared)?;
    net::bind(&socket, &addr)?;
    Ok(socket)
}

/// Connections have the buffers of their listener.
fn set_buffers(socket: &OwnedFd, options: &ListenerOptions) -> io::Result<()> {
    if let Some(bytes) = options.send_buffer_bytes {
        sockopt::set_socket_send_buffer_size(socket, bytes as usize)?;
    }
    if let Some(bytes) = options.receive_buffer_bytes {
        sockopt::set_socket_recv_buffer_size(socket, bytes as usize)?;
    }
    Ok(())
}

pub(crate) async fn connect(addr: SocketAddr) -> io::Result<RealStream> {
    RealStream::new(TcpStream::connect(addr).await.map_err(io_error)?)
}

/// One connection, shared by its two halves.
pub(crate) struct RealStream {
    stream: RefCell<TcpStream>,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
}

impl RealStream {
    fn new(stream: TcpStream) -> io::Result<Self> {
        // SAFETY: the descriptor is open for as long as `stream` is, which this function holds.
        let fd = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) };
        rustix::io::ioctl_fionbio(fd, true)?;
        sockopt::set_tcp_nodelay(fd, true)?;
        let peer = net::getpeername(fd)?.ok_or(io::ErrorKind::NotConnected)?;
        let peer = SocketAddr::try_from(peer)?;
        let local = SocketAddr::try_from(net::getsockname(fd)?)?;
        Ok(Self { stream: RefCell::new(stream), peer, local })
    }

    fn with_fd<R>(&self, f: impl FnOnce(BorrowedFd<'_>) -> R) -> R {
        let stream = self.stream.borrow();
        // SAFETY: the descriptor is open for as long as `stream` is borrowed.
        f(unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) })
    }

    /// Appends what has arrived to `buf`; zero is the end.
    pub(crate) async fn read(&self, buf: &mut BytesMut) -> io::Result<usize> {
        std::future::poll_fn(|cx| self.poll_read(cx, buf)).await
    }

    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut BytesMut) -> Poll<io::Result<usize>> {
        if buf.capacity() == buf.len() {
            buf.reserve(READ_CHUNK);
        }
        let spare = buf.spare_capacity_mut();
        // SAFETY: the slice covers exactly the spare capacity, and glommio hands it to recv(2) only, which writes it.
        let room = unsafe { std::slice::from_raw_parts_mut(spare.as_mut_ptr().cast::<u8>(), spare.len()) };
        let polled = Pin::new(&mut *self.stream.borrow_mut()).poll_read(cx, room);
        match polled {
            Poll::Ready(Ok(n)) => {
                assert!(n <= room.len(), "the kernel wrote beyond the buffer");
                // SAFETY: recv(2) has just initialised these `n` bytes of the spare capacity.
                unsafe { buf.set_len(buf.len() + n) };
            }
            Poll::Ready(Err(_)) => {}
            // An idle connection keeps no memory for bytes that may never come.
            Poll::Pending if buf.is_empty() => *buf = BytesMut::new(),
            Poll::Pending => {}
        }
        polled
    }

    pub(crate) async fn write_parts(&self, parts: &mut VecDeque<Bytes>) -> io::Result<()> {
        let mut turn = 0;
        loop {
            while parts.front().is_some_and(Bytes::is_empty) {
                parts.pop_front();
            }
            let Some(front) = parts.front() else { return Ok(()) };
            let written = match self.send_now(parts)? {
                Some(n) => n,
                None => self.write_waiting(&front[..front.len().min(WAIT_CHUNK)]).await?,
            };
            consume(parts, written);
            turn += written;
            if turn >= WRITE_TURN {
                turn = 0;
                glommio::yield_if_needed().await;
            }
        }
    }

    /// One gathering write; nothing when the socket is full.
    fn send_now(&self, parts: &VecDeque<Bytes>) -> io::Result<Option<usize>> {
        let slices: Vec<_> = parts.iter().take(MAX_PARTS).map(|part| IoSlice::new(part)).collect();
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        loop {
            let sent =
                self.with_fd(|fd| net::sendmsg(fd, &slices, &mut SendAncillaryBuffer::default(), flags));
            match sent {
                Ok(n) => return Ok(Some(n)),
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes some of `chunk`, waiting until the socket has room.
    pub(crate) async fn write_waiting(&self, chunk: &[u8]) -> io::Result<usize> {
        std::future::poll_fn(|cx| Pin::new(&mut *self.stream.borrow_mut()).poll_write(cx, chunk)).await
    }

    /// Sends from a file's cached pages; nothing when the socket is full.
    pub(crate) fn sendfile_now(
        &self,
        file: BorrowedFd<'_>,
        pos: u64,
        len: usize,
    ) -> io::Result<Option<usize>> {
        loop {
            let mut offset = pos;
            match self.with_fd(|fd| rustix::fs::sendfile(fd, file, Some(&mut offset), len)) {
                Ok(n) => return Ok(Some(n)),
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(crate) fn shutdown(&self, how: Shutdown) {
        match self.with_fd(|fd| net::shutdown(fd, how)) {
            // Not connected: the peer was faster.
            Ok(()) | Err(Errno::NOTCONN) => {}
            Err(error) => tracing::debug!(peer = %self.peer, %error, "a socket could not be shut down"),
        }
    }
}

impl Drop for RealStream {
    fn drop(&mut self) {
        // A poll that io_uring still holds keeps the socket open after close(2); the peer must not wait for that.
        self.shutdown(Shutdown::Both);
    }
}

fn consume(parts: &mut VecDeque<Bytes>, mut written: usize) {
    while written > 0 {
        let Some(front) = parts.front_mut() else { unreachable!("more was written than there was") };
        if front.len() > written {
            front.advance(written);
            return;
        }
        written -= front.len();
        parts.pop_front();
    }
}
