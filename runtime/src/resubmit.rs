//! Short writes, hidden from the callers of this crate: what a write left is written again, on either backend.
//! Knows no file: it is given the way to write once. Shard that owns the file.

use std::future::Future;
use std::io;
use std::rc::Rc;

use glommio::io::DmaBuffer;

use crate::disk::{AlignedBuf, BLOCK};

/// How often a write that makes no progress is tried again.
const IDLE_RETRIES: usize = 8;

/// Writes all blocks by as many writes as that takes. The result is the length of the memory.
pub(crate) async fn write_whole<F, Fut>(memory: Rc<DmaBuffer>, pos: u64, once: F) -> io::Result<usize>
where
    F: Fn(Rc<DmaBuffer>, u64) -> Fut,
    Fut: Future<Output = io::Result<usize>>,
{
    let total = memory.len();
    let mut done = once(memory.clone(), pos).await?;
    let mut idle = 0;
    while done < total {
        // Direct positions are whole blocks: the block in which the write stopped is written again.
        let from = done - done % BLOCK;
        let (rest, _) = AlignedBuf::from_slice(&memory.as_bytes()[from..]).into_blocks();
        let written = from + once(rest, pos + from as u64).await?;
        idle = if written > done { 0 } else { idle + 1 };
        if idle > IDLE_RETRIES {
            return Err(io::Error::new(io::ErrorKind::WriteZero, "the disk takes no more bytes"));
        }
        done = done.max(written);
    }
    Ok(total)
}
