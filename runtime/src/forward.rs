//! A file read from one position to another, ahead of whoever looks at it: one piece after the other, of memory that the
//! disk wrote into. What the page cache holds is copied from there.
//! Never reads what nobody asked for but the next few pieces. Belongs to the shard that opened it.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::path::Path;
use std::rc::Rc;

use bytes::Bytes;
use glommio::io::ReadResult;

use crate::context::{self, Backend};
use crate::disk::{BLOCK, ReadHandle};
use crate::real::direct::DirectReader;
use crate::task::{Queue, Task, spawn};

/// So many bytes of the next piece are at the end of each, so that what is no longer always lies in one.
pub const OVERLAP: usize = BLOCK;

/// How far a file is read ahead of whoever looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadAhead {
    /// From the beginning of one piece to that of the next; whole blocks.
    pub bytes: u32,
    /// Pieces that are on their way, with the one that is waited for or looked at.
    pub pieces: NonZeroUsize,
}

impl Default for ReadAhead {
    fn default() -> ReadAhead {
        ReadAhead { bytes: 1 << 20, pieces: NonZeroUsize::new(3).expect("it is not zero") }
    }
}

/// A part of a file.
#[derive(Debug)]
pub struct Piece {
    /// Of its first byte in the file.
    pub pos: u64,
    bytes: PieceBytes,
}

#[derive(Debug)]
enum PieceBytes {
    Read(ReadResult),
    Copied(Bytes),
}

impl Deref for Piece {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.bytes {
            PieceBytes::Read(bytes) => bytes,
            PieceBytes::Copied(bytes) => bytes,
        }
    }
}

/// The pieces of a file, in order.
pub struct Forward {
    source: Rc<Source>,
    on_their_way: VecDeque<Task<io::Result<Piece>>>,
    /// Where the first piece that was not asked for begins.
    next: u64,
    end: u64,
    ahead: ReadAhead,
}

struct Source {
    cached: ReadHandle,
    /// Where there is little to read, or no direct I/O, the page cache is the way for all of it.
    direct: Option<DirectReader>,
}

impl Forward {
    /// From the block that holds byte `from` up to byte `end`. `cached` is a handle of the same file.
    ///
    /// # Panics
    /// When pieces are not of whole blocks.
    pub async fn open(
        cached: ReadHandle,
        path: &Path,
        (from, end): (u64, u64),
        ahead: ReadAhead,
    ) -> io::Result<Self> {
        assert!(ahead.bytes > 0 && (ahead.bytes as usize).is_multiple_of(BLOCK), "{ahead:?}");
        let is_long = end.saturating_sub(from) > u64::from(ahead.bytes);
        let direct = match context::current() {
            Backend::Real(_) if is_long => DirectReader::open(path).await?,
            Backend::Real(_) | Backend::Sim(_) => None,
        };
        let next = from - from % BLOCK as u64;
        let source = Rc::new(Source { cached, direct });
        Ok(Self { source, on_their_way: VecDeque::new(), next, end, ahead })
    }

    /// `None` after the last one. A file that ends early gives shorter pieces, or empty ones.
    pub async fn next(&mut self) -> io::Result<Option<Piece>> {
        while self.on_their_way.len() < self.ahead.pieces.get() && self.next < self.end {
            self.ask();
        }
        match self.on_their_way.pop_front() {
            Some(piece) => piece.await.map(Some),
            None => Ok(None),
        }
    }

    fn ask(&mut self) {
        let (source, pos) = (self.source.clone(), self.next);
        let stride = u64::from(self.ahead.bytes);
        let len = (self.end - pos).min(stride + OVERLAP as u64);
        let len = usize::try_from(len).expect("little more than a piece");
        self.on_their_way.push_back(spawn(Queue::Cold, async move { source.piece(pos, len).await }));
        self.next += stride;
    }
}

impl Source {
    async fn piece(&self, pos: u64, len: usize) -> io::Result<Piece> {
        let bytes = match &self.direct {
            Some(direct) if !self.cached.is_resident(pos, len as u64) => {
                PieceBytes::Read(direct.read_at(pos, len).await?)
            }
            _ => PieceBytes::Copied(self.cached.read_at(pos, len).await?),
        };
        Ok(Piece { pos, bytes })
    }
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Forward(from {} to {})", self.next, self.end)
    }
}
