//! stub
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use bytes::{Bytes, BytesMut};
use crate::disk::FileRange;
use super::SimShard;
fn no<T>() -> io::Result<T> { Err(io::ErrorKind::Unsupported.into()) }
pub(crate) struct SimListener(SocketAddr);
impl SimListener {
 pub(crate) fn bind(_: &SimShard, _: SocketAddr) -> io::Result<Self> { no() }
 pub(crate) fn local_addr(&self) -> SocketAddr { self.0 }
 pub(crate) async fn accept(&self) -> io::Result<SimStream> { no() }
}
pub(crate) struct SimStream(SocketAddr);
impl SimStream {
 pub(crate) async fn connect(_: &SimShard, _: SocketAddr) -> io::Result<Self> { no() }
 pub(crate) fn peer(&self) -> SocketAddr { self.0 }
 pub(crate) fn local(&self) -> SocketAddr { self.0 }
 pub(crate) fn shutdown(&self, _: bool) {}
 pub(crate) async fn read(&self, _: &mut BytesMut) -> io::Result<usize> { no() }
 pub(crate) async fn write_parts(&self, _: &mut VecDeque<Bytes>) -> io::Result<()> { no() }
 pub(crate) async fn send_file(&self, _: &FileRange) -> io::Result<()> { no() }
}
