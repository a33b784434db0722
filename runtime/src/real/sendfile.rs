//! Sending file ranges without copying them through this process, and without the disk holding up the shard.
//!
//! `sendfile(2)` reads missing pages synchronously: a cold mebibyte was seen to block a shard for 9 ms. So a range is
//! sent in windows; a window is sent when its pages are cached, and is brought in through io_uring before when they
//! are not; the next window is brought in while this one is being sent.

use std::io;

use crate::disk::{FileRange, SEND_WINDOW};
use crate::net::SendFileError;
use crate::real::readable::RealReadable;
use crate::real::tcp::{RealStream, WAIT_CHUNK};

#[derive(Clone, Copy)]
struct Window {
    pos: u64,
    len: u64,
}

impl Window {
    fn after(pos: u64, end: u64) -> Self {
        Self { pos, len: (end - pos).min(SEND_WINDOW) }
    }

    fn end(self) -> u64 {
        self.pos + self.len
    }
}

/// Sends the whole range. A file that ends before the range does is an error: the peer was promised the bytes.
pub(crate) async fn send(
    stream: &RealStream,
    range: &FileRange,
    file: &RealReadable,
) -> Result<(), SendFileError> {
    let end = range.offset.checked_add(range.len).ok_or_else(SendFileError::too_short)?;
    let mut window = Window::after(range.offset, end);
    bring_in(file, window).await.map_err(SendFileError::File)?;
    while window.len > 0 {
        let next = Window::after(window.end(), end);
        let (sent, fetched) =
            futures_lite::future::zip(send_window(stream, file, window), bring_in(file, next)).await;
        sent?;
        fetched.map_err(SendFileError::File)?;
        window = next;
        glommio::yield_if_needed().await;
    }
    Ok(())
}

async fn bring_in(file: &RealReadable, window: Window) -> io::Result<()> {
    if file.is_resident(window.pos, window.len) {
        Ok(())
    } else {
        file.prefetch(window.pos, window.len).await
    }
}

async fn send_window(stream: &RealStream, file: &RealReadable, window: Window) -> Result<(), SendFileError> {
    let mut pos = window.pos;
    while pos < window.end() {
        let left = usize::try_from(window.end() - pos).expect("at most a window");
        let sent = match stream.sendfile_now(file.fd(), pos, left).map_err(SendFileError::of_sendfile)? {
            Some(0) => return Err(SendFileError::too_short()),
            Some(n) => n,
            None => send_copied(stream, file, pos, left.min(WAIT_CHUNK)).await?,
        };
        pos += sent as u64;
    }
    Ok(())
}

/// glommio has no wait for a writable socket; the wait inside a small ordinary write is one.
async fn send_copied(
    stream: &RealStream,
    file: &RealReadable,
    pos: u64,
    len: usize,
) -> Result<usize, SendFileError> {
    let chunk = file.read_at(pos, len).await.map_err(SendFileError::File)?;
    if chunk.is_empty() {
        return Err(SendFileError::too_short());
    }
    stream.write_waiting(&chunk).await.map_err(SendFileError::Socket)
}
