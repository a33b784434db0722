//! Walks the batches of a segment file, header by header or with every checksum, in bounded memory.
//! Changes nothing and trusts nothing: the first thing that is not a batch is the end. Owning shard.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use kring_runtime::disk::{Forward, OVERLAP, Piece, ReadAhead, ReadHandle};
use kring_runtime::{Monotonic, now, yield_if_needed};

use crate::batch::{BadBatch, BatchInfo, CRC_FROM, HEADER_BYTES};
use crate::error::LogError;
use crate::mutation::{self, Mutation};
use crate::producer::EndTransaction;
use crate::types::Offset;

/// A walk that takes longer says how far it is.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// A control batch holds one short record; a longer one is not read for its content.
const CONTROL_BYTES: u32 = 1 << 10;

/// What to walk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Base offset of the segment.
    pub base: Offset,
    /// First byte; a batch begins there.
    pub from: u32,
    /// Byte after the last.
    pub end: u32,
    pub care: Care,
}

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Care {
    /// Headers only, for what is known to be whole.
    Headers,
    /// And checksums.
    Checksums,
    /// And no gap between offsets from this one on: for the segment that was being written. Below it, compaction may
    /// have left gaps before a truncation made this the newest segment again.
    NoGapsFrom(Offset),
}

/// A batch that was met.
pub(crate) struct Met {
    pub info: BatchInfo,
    pub position: u32,
    /// The transaction marker of a control batch.
    pub marker: Option<EndTransaction>,
}

/// Where the walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Byte after the last good batch.
    pub end: u32,
    /// Offset after the last good batch; `None` if there was none.
    pub end_offset: Option<Offset>,
    /// What stopped it before the end of the extent.
    pub fault: Option<Fault>,
}

/// Why something is not the next batch of this segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing but zeros up to the end: padding, or space that was never used.
    Zeros,
    Batch(BadBatch),
    /// The base offset is not the one that must follow.
    OutOfPlace {
        expected: Offset,
        found: Offset,
    },
    FallingEpoch,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Zeros => write!(f, "zeros where a batch should be"),
            Fault::Batch(bad) => bad.fmt(f),
            Fault::OutOfPlace { expected, found } => {
                write!(f, "a batch at offset {found} where {expected} should follow")
            }
            Fault::FallingEpoch => write!(f, "the leader epoch falls"),
        }
    }
}

/// Walks an extent and shows each batch to `meet`.
pub(crate) async fn scan(
    file: &ReadHandle,
    path: &Path,
    extent: Extent,
    meet: impl FnMut(&Met),
) -> Result<Found, LogError> {
    scan_ahead(file, path, extent, ReadAhead::default(), meet).await
}

/// The same, reading so far ahead.
pub(crate) async fn scan_ahead(
    file: &ReadHandle,
    path: &Path,
    extent: Extent,
    ahead: ReadAhead,
    mut meet: impl FnMut(&Met),
) -> Result<Found, LogError> {
    let window = Window::open(file, path, extent, ahead).await?;
    let mut walk = Walk { window, extent, expected: None, epoch: i32::MIN };
    let mut found = Found { end: extent.from, end_offset: None, fault: None };
    while found.end < extent.end {
        yield_if_needed().await;
        match walk.next(found.end).await? {
            Ok(met) => {
                found.end += met.info.bytes;
                found.end_offset = Some(met.info.end_offset());
                meet(&met);
            }
            Err(fault) => {
                found.fault = Some(fault);
                break;
            }
        }
    }
    Ok(found)
}

struct Walk<'a> {
    window: Window<'a>,
    extent: Extent,
    expected: Option<Offset>,
    epoch: i32,
}

impl Walk<'_> {
    async fn next(&mut self, position: u32) -> Result<Result<Met, Fault>, LogError> {
        let header = self.window.bytes(position, HEADER_BYTES).await?;
        let info = match BatchInfo::parse(header) {
            Ok(info) => info,
            Err(bad) => return Ok(Err(self.classify(position, bad).await?)),
        };
        if u64::from(position) + u64::from(info.bytes) > u64::from(self.extent.end) {
            return Ok(Err(Fault::Batch(BadBatch::Short)));
        }
        if let Err(fault) = self.in_place(&info) {
            return Ok(Err(fault));
        }
        if self.extent.care >= Care::Checksums && !mutation::on(Mutation::SkipChecksum) {
            let computed = self.window.crc(position + CRC_FROM as u32, position + info.bytes).await?;
            if computed != info.header.crc {
                return Ok(Err(Fault::Batch(BadBatch::Crc { stored: info.header.crc, computed })));
            }
        }
        self.expected = Some(info.end_offset());
        self.epoch = info.leader_epoch.0;
        let marker = self.marker(&info, position).await?;
        Ok(Ok(Met { info, position, marker }))
    }

    fn in_place(&self, info: &BatchInfo) -> Result<(), Fault> {
        let first = if self.extent.from == 0 { self.extent.base } else { info.base_offset };
        let expected = self.expected.unwrap_or(first);
        // Compaction leaves gaps in a segment that is no longer written.
        let may_skip = match self.extent.care {
            Care::NoGapsFrom(offset) => info.base_offset <= offset,
            Care::Headers | Care::Checksums => true,
        };
        let fits = info.base_offset == expected || (may_skip && info.base_offset > expected);
        // An index has no room for it.
        let is_far = info.last_offset() - self.extent.base > i64::from(u32::MAX);
        if !fits || is_far {
            return Err(Fault::OutOfPlace { expected, found: info.base_offset });
        }
        if info.leader_epoch.0 < self.epoch {
            return Err(Fault::FallingEpoch);
        }
        Ok(())
    }

    async fn classify(&mut self, position: u32, bad: BadBatch) -> Result<Fault, LogError> {
        let mut at = position;
        while at < self.extent.end {
            let chunk = self.window.from(at, 1).await?;
            if chunk.is_empty() {
                break;
            }
            if chunk.iter().any(|&byte| byte != 0) {
                return Ok(Fault::Batch(bad));
            }
            at += chunk.len() as u32;
        }
        Ok(Fault::Zeros)
    }

    async fn marker(&mut self, info: &BatchInfo, position: u32) -> Result<Option<EndTransaction>, LogError> {
        if !info.header.is_control() || !info.producer_id.is_some() || info.bytes > CONTROL_BYTES {
            return Ok(None);
        }
        let whole = self.window.bytes(position, info.bytes as usize).await?;
        Ok(crate::batch::end_transaction(info, Bytes::copy_from_slice(whole)))
    }
}

/// A forward-moving view of a file.
struct Window<'a> {
    pieces: Forward,
    piece: Option<Piece>,
    path: &'a Path,
    end: u32,
    told: Monotonic,
}

impl<'a> Window<'a> {
    async fn open(
        file: &ReadHandle,
        path: &'a Path,
        extent: Extent,
        ahead: ReadAhead,
    ) -> Result<Window<'a>, LogError> {
        let range = (u64::from(extent.from), u64::from(extent.end));
        let opened = Forward::open(file.clone(), path, range, ahead).await;
        let pieces = opened.map_err(|e| LogError::io(path, "opening", &e))?;
        Ok(Window { pieces, piece: None, path, end: extent.end, told: now() })
    }

    /// Exactly `len` bytes from `at`, or fewer where the extent or the file ends. No more than pieces overlap.
    async fn bytes(&mut self, at: u32, len: usize) -> Result<&[u8], LogError> {
        assert!(len <= OVERLAP, "what is longer may be in two pieces");
        let held = self.from(at, len).await?;
        Ok(&held[..held.len().min(len)])
    }

    /// What is held from `at` on: at least `len` bytes, unless the extent or the file ends.
    async fn from(&mut self, at: u32, len: usize) -> Result<&[u8], LogError> {
        let upto = u64::from(at) + (len as u64).min(u64::from(self.end - at));
        while self.piece.as_ref().is_none_or(|piece| piece.pos + (piece.len() as u64) < upto) {
            let failed = |e: std::io::Error| LogError::io(self.path, "reading", &e);
            let next = self.pieces.next().await.map_err(failed)?;
            // The file may end before the extent does.
            let Some(piece) = next.filter(|piece| piece.pos <= u64::from(at)) else { break };
            self.piece = Some(piece);
            self.tell_progress(at);
        }
        let Some(piece) = &self.piece else { return Ok(&[]) };
        let from = usize::try_from(u64::from(at) - piece.pos).expect("a walk goes forward");
        Ok(piece.get(from..).unwrap_or_default())
    }

    fn tell_progress(&mut self, at: u32) {
        if self.told.elapsed() >= TELL_EVERY {
            self.told = now();
            tracing::info!(path = %self.path.display(), at, end = self.end, "still being read");
        }
    }

    /// CRC-32C of a range, piece by piece: a damaged length must not decide how much memory is taken.
    async fn crc(&mut self, from: u32, to: u32) -> Result<u32, LogError> {
        let (mut at, mut crc) = (from, 0);
        while at < to {
            let held = self.from(at, 1).await?;
            if held.is_empty() {
                break;
            }
            let part = &held[..held.len().min((to - at) as usize)];
            crc = crc32c::crc32c_append(crc, part);
            at += part.len() as u32;
        }
        Ok(crc)
    }
}
