//! Sending file ranges without copying them through this process, and without the disk holding up the shard.
//!
//! `sendfile(2)` reads missing pages synchronously: a cold mebibyte was seen to block a shard for 9 ms. So a range is
//! sent in windows; a window is sent when its pages are cached, and `upcoming` brings it in before when they are not.

use crate::disk::FileRange;
use crate::net::SendFileError;
use crate::real::readable::RealReadable;
use crate::real::tcp::{RealStream, WAIT_CHUNK};
use crate::upcoming::{Upcoming, Window};

/// Sends the range whose turn it is. A file that ends before the range does is an error: the peer was promised the bytes.
pub(crate) async fn send(
    stream: &RealStream,
    range: &FileRange,
    file: &RealReadable,
    upcoming: &mut Upcoming,
) -> Result<(), SendFileError> {
    let end = range.offset + range.len;
    let mut window = Window::after(range.offset, end);
    while window.len > 0 {
        upcoming.bring_in().await.map_err(SendFileError::File)?;
        send_window(stream, file, window).await?;
        window = Window::after(window.end(), end);
        glommio::yield_if_needed().await;
    }
    Ok(())
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
