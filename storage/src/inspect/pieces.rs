//! A segment as what it is made of: batches whose checksums hold and whose records decode, and damage between them.
//! Behind damage it goes on at the next batch that is one without doubt. Changes nothing.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use kring_runtime::disk::ReadHandle;
use kring_runtime::{fs, yield_if_needed};
use kring_wire::record::{DEFAULT_MAX_DECOMPRESSED_BYTES, RecordsIter};

use crate::batch::{BadBatch, BatchInfo, CRC_FROM, HEADER_BYTES};
use crate::error::LogError;
use crate::scan::Fault;
use crate::types::Offset;

/// Bytes read at once.
const CHUNK_BYTES: usize = 1 << 20;
const MAGIC_AT: usize = 16;
const MAGIC: u8 = 2;

/// Bytes that are no batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub from: u32,
    pub to: u32,
    /// The first offset that may have been here.
    pub first: Offset,
    /// The offset that follows; `None` at the end of the file.
    pub next: Option<Offset>,
    /// Of the batch before; -1 if there is none.
    pub leader_epoch: i32,
    /// Nothing but zeros, up to the end of the file.
    pub is_padding: bool,
    pub cause: String,
}

/// One part of a segment.
#[derive(Clone, Debug)]
pub enum Piece {
    Batch { position: u32, info: BatchInfo, bytes: Bytes },
    Damage(Damage),
}

/// A walk over one segment file. Takes as much memory as its largest batch, or a mebibyte.
pub struct Pieces {
    file: Chunks,
    base: Offset,
    at: u32,
    expected: Offset,
    epoch: i32,
}

impl Pieces {
    /// # Errors
    /// When the file cannot be read, or is longer than any segment.
    pub async fn open(path: &Path, base: Offset) -> Result<Pieces, LogError> {
        Ok(Pieces { file: Chunks::open(path).await?, base, at: 0, expected: base, epoch: -1 })
    }

    /// Bytes of the file.
    pub fn size(&self) -> u32 {
        self.file.size
    }

    /// The offset after all pieces so far.
    pub fn end_offset(&self) -> Offset {
        self.expected
    }

    /// Damage behind the last byte: offsets up to `next` should follow there.
    pub(super) fn missing_end(&self, next: Offset, cause: String) -> Damage {
        let (from, to) = (self.file.size, self.file.size);
        let (first, next, leader_epoch) = (self.expected, Some(next), self.epoch);
        Damage { from, to, first, next, leader_epoch, is_padding: false, cause }
    }

    /// `None` at the end of the file.
    pub async fn next(&mut self) -> Result<Option<Piece>, LogError> {
        yield_if_needed().await;
        if self.at >= self.file.size {
            return Ok(None);
        }
        let piece = match self.batch_here().await? {
            Ok((info, bytes)) => Piece::Batch { position: self.at, info, bytes },
            Err(cause) => Piece::Damage(self.damage(cause).await?),
        };
        match &piece {
            Piece::Batch { info, .. } => {
                self.at += info.bytes;
                (self.expected, self.epoch) = (info.end_offset(), info.leader_epoch.0);
            }
            Piece::Damage(damage) => {
                self.at = damage.to;
                self.expected = damage.next.unwrap_or(self.expected);
            }
        }
        Ok(Some(piece))
    }

    /// The batch at this place with all of its bytes, or why there is none of use.
    async fn batch_here(&mut self) -> Result<Result<(BatchInfo, Bytes), String>, LogError> {
        let info = match BatchInfo::parse(&self.file.read(self.at, HEADER_BYTES).await?) {
            Ok(info) => info,
            Err(bad) => return Ok(Err(bad.to_string())),
        };
        if let Some(fault) = self.misplaced(&info) {
            return Ok(Err(fault.to_string()));
        }
        let bytes = self.file.read(self.at, info.bytes as usize).await?;
        Ok(check(&info, &bytes).map(|()| (info, bytes)))
    }

    fn misplaced(&self, info: &BatchInfo) -> Option<Fault> {
        let (expected, found) = (self.expected, info.base_offset);
        if found < expected || info.last_offset() - self.base > i64::from(i32::MAX) {
            return Some(Fault::OutOfPlace { expected, found });
        }
        (info.leader_epoch.0 < self.epoch).then_some(Fault::FallingEpoch)
    }

    async fn damage(&mut self, cause: String) -> Result<Damage, LogError> {
        let is_padding = self.file.is_zero_from(self.at).await?;
        let found = if is_padding { None } else { self.next_batch().await? };
        Ok(Damage {
            from: self.at,
            to: found.map_or(self.file.size, |(at, _)| at),
            first: self.expected,
            next: found.map(|(_, offset)| offset),
            leader_epoch: self.epoch,
            is_padding,
            cause: if is_padding { Fault::Zeros.to_string() } else { cause },
        })
    }

    /// The next batch behind this place: where the damaged one says that it ends, or the first that is found.
    async fn next_batch(&mut self) -> Result<Option<(u32, Offset)>, LogError> {
        if let Ok(info) = BatchInfo::parse(&self.file.read(self.at, HEADER_BYTES).await?)
            && let Some(found) = self.batch_at(self.at.saturating_add(info.bytes)).await?
        {
            return Ok(Some(found));
        }
        self.search().await
    }

    async fn search(&mut self) -> Result<Option<(u32, Offset)>, LogError> {
        let mut at = self.at + 1;
        while at < self.file.size {
            yield_if_needed().await;
            let chunk = self.file.read(at, CHUNK_BYTES).await?;
            let places = chunk.len().saturating_sub(HEADER_BYTES - 1);
            for place in (0..places).filter(|place| chunk[place + MAGIC_AT] == MAGIC) {
                if self.is_likely(&chunk[place..])
                    && let Some(found) = self.batch_at(at + place as u32).await?
                {
                    return Ok(Some(found));
                }
            }
            if places == 0 {
                break;
            }
            at += places as u32;
        }
        Ok(None)
    }

    fn is_likely(&self, header: &[u8]) -> bool {
        BatchInfo::parse(header).is_ok_and(|info| self.misplaced(&info).is_none())
    }

    /// A whole batch at this place, and its first offset.
    async fn batch_at(&mut self, at: u32) -> Result<Option<(u32, Offset)>, LogError> {
        let header = self.file.read(at, HEADER_BYTES).await?;
        let Some(info) = BatchInfo::parse(&header).ok().filter(|info| self.misplaced(info).is_none()) else {
            return Ok(None);
        };
        let bytes = self.file.read(at, info.bytes as usize).await?;
        Ok(check(&info, &bytes).is_ok().then_some((at, info.base_offset)))
    }
}

/// Length, checksum, and every record, decompressed.
fn check(info: &BatchInfo, bytes: &Bytes) -> Result<(), String> {
    if bytes.len() < info.bytes as usize {
        return Err(BadBatch::Short.to_string());
    }
    let (stored, computed) = (info.header.crc, crc32c::crc32c(&bytes[CRC_FROM..]));
    if stored != computed {
        return Err(BadBatch::Crc { stored, computed }.to_string());
    }
    let unreadable = |error| format!("its records cannot be read: {error}");
    let body = bytes.slice(HEADER_BYTES..);
    let mut records =
        RecordsIter::new(&info.header, body, DEFAULT_MAX_DECOMPRESSED_BYTES).map_err(unreadable)?;
    while let Some(record) = records.next_ref() {
        record.map_err(unreadable)?;
    }
    Ok(())
}

/// A file read in large pieces.
struct Chunks {
    file: ReadHandle,
    path: PathBuf,
    size: u32,
    start: u32,
    held: Bytes,
}

impl Chunks {
    async fn open(path: &Path) -> Result<Chunks, LogError> {
        let failed = |e: std::io::Error| LogError::io(path, "reading", &e);
        let bytes = fs::len(path).await.map_err(failed)?;
        let Some(size) = u32::try_from(bytes).ok().filter(|&size| size <= i32::MAX as u32) else {
            let at = u64::from(i32::MAX as u32);
            return Err(LogError::corrupt(path, at, "a segment is never longer than 2 GiB"));
        };
        let file = ReadHandle::open(path).await.map_err(failed)?;
        Ok(Chunks { file, path: path.to_path_buf(), size, start: 0, held: Bytes::new() })
    }

    /// Fewer bytes than `len` at the end of the file.
    async fn read(&mut self, at: u32, len: usize) -> Result<Bytes, LogError> {
        let at = at.min(self.size);
        let len = len.min((self.size - at) as usize);
        let is_held = at >= self.start && (at - self.start) as usize + len <= self.held.len();
        if !is_held {
            let wanted = len.max(CHUNK_BYTES).min((self.size - at) as usize);
            let read = self.file.read_at(u64::from(at), wanted).await;
            (self.held, self.start) = (read.map_err(|e| LogError::io(&self.path, "reading", &e))?, at);
        }
        let from = (at - self.start) as usize;
        Ok(self.held.slice(from..self.held.len().min(from + len)))
    }

    async fn is_zero_from(&mut self, mut at: u32) -> Result<bool, LogError> {
        while at < self.size {
            let chunk = self.read(at, CHUNK_BYTES).await?;
            if chunk.is_empty() || chunk.iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
            at += chunk.len() as u32;
        }
        Ok(true)
    }
}
