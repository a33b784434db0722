//! Reading a log: recent batches from memory, whole blocks as file ranges, the last partial block from memory.
//! Copies no record bytes and blocks no shard. Shard that owns the log; what it returns may go to any.

use std::path::PathBuf;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use kring_runtime::disk::{FileRange, ReadHandle};

use crate::batch::{BatchInfo, HEADER_BYTES};
use crate::error::LogError;
use crate::log::Log;
use crate::mutation::{self, Mutation};
use crate::segment::{Segment, SegmentView};
use crate::tail::TailRead;
use crate::types::Offset;

/// Bytes read at once to find a batch: about one index interval.
const STEP_BYTES: u32 = 8 << 10;

/// The byte after what was read, and its segment.
pub(crate) type ReadEnd = Option<(Rc<Segment>, u32)>;

/// What a reader wants.
#[derive(Clone, Copy, Debug)]
pub struct ReadRequest {
    /// First offset wanted. The batch that holds it is returned whole.
    pub offset: Offset,
    /// Nothing at or above it: the high watermark, or the last stable offset.
    pub upto: Offset,
    pub max_bytes: usize,
    /// Return the first batch even if it is larger than `max_bytes`.
    pub min_one_batch: bool,
}

/// A piece of an answer.
#[derive(Clone, Debug)]
pub enum ReadPart {
    Memory(Bytes),
    File(FileRange),
}

/// Consecutive bytes: of one segment, unless they come from memory. The last batch may be cut short by `max_bytes`, as Kafka cuts it.
#[derive(Clone, Debug, Default)]
pub struct ReadChunk {
    pub parts: Vec<ReadPart>,
    pub bytes: usize,
    /// There is a batch, but it is larger than `max_bytes`, and `min_one_batch` was not asked for.
    pub first_batch_too_large: bool,
}

impl ReadChunk {
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// All bytes as one piece, read from disk where they are not in memory.
    pub async fn into_bytes(self) -> Result<Bytes, LogError> {
        let mut parts = self.parts;
        if let (1, Some(ReadPart::Memory(_))) = (parts.len(), parts.first())
            && let Some(ReadPart::Memory(bytes)) = parts.pop()
        {
            return Ok(bytes);
        }
        let mut all = BytesMut::with_capacity(self.bytes);
        for part in parts {
            match part {
                ReadPart::Memory(bytes) => all.extend_from_slice(&bytes),
                ReadPart::File(range) => all.extend_from_slice(&read_range(&range).await?),
            }
        }
        Ok(all.freeze())
    }
}

async fn read_range(range: &FileRange) -> Result<Bytes, LogError> {
    let path = PathBuf::from("a log segment");
    let read = range.file.read_at(range.offset, range.len as usize).await;
    let bytes = read.map_err(|e| LogError::io(&path, "reading", &e))?;
    if bytes.len() as u64 != range.len {
        return Err(LogError::corrupt(&path, range.offset + bytes.len() as u64, "the file ends early"));
    }
    Ok(bytes)
}

impl Log {
    /// Batches from `offset` on. Empty at the end of what may be read; an error outside of the log.
    pub async fn read(&self, request: ReadRequest) -> Result<ReadChunk, LogError> {
        self.read_to(request).await.map(|(chunk, _)| chunk)
    }

    /// As `read`, with where it came to in the log, if there is a batch to read.
    pub(crate) async fn read_to(&self, request: ReadRequest) -> Result<(ReadChunk, ReadEnd), LogError> {
        self.undisturbed(async || self.read_once(request).await).await
    }

    async fn read_once(&self, request: ReadRequest) -> Result<(ReadChunk, ReadEnd), LogError> {
        let request = self.bounded(request)?;
        if request.offset >= request.upto {
            return Ok((ReadChunk::default(), None));
        }
        let (max_bytes, min_one) = (request.max_bytes, request.min_one_batch);
        if let Some(read) = self.0.tail.read(request.offset, request.upto, max_bytes, min_one) {
            let state = self.state();
            let end = read.end.and_then(|end| Some((state.segment_at(end.segment)?, end.position)));
            return Ok((from_memory(read), end));
        }
        let read = self.read_segments(request).await;
        read.map_err(|error| self.deleted_meanwhile(request.offset, error))
    }

    /// What an error means if the segment was deleted before its file was open.
    pub(crate) fn deleted_meanwhile(&self, offset: Offset, error: LogError) -> LogError {
        let (start, end) = (self.offsets().start(), self.offsets().end());
        if offset < start { LogError::OffsetOutOfRange { offset, start, end } } else { error }
    }

    /// The request cut to what outlives this process, or refused.
    fn bounded(&self, mut request: ReadRequest) -> Result<ReadRequest, LogError> {
        self.check_readable()?;
        let offsets = self.offsets();
        if request.offset < offsets.start() || request.offset > offsets.end() {
            let (offset, start, end) = (request.offset, offsets.start(), offsets.end());
            return Err(LogError::OffsetOutOfRange { offset, start, end });
        }
        request.upto = request.upto.min(offsets.kept());
        Ok(request)
    }

    async fn read_segments(&self, request: ReadRequest) -> Result<(ReadChunk, ReadEnd), LogError> {
        let mut segment = self.state().segment_at(request.offset);
        while let Some(current) = segment {
            if let Some((chunk, end)) = self.read_segment(&current, request).await? {
                return Ok((chunk, Some((current, end))));
            }
            segment = self.next_to_read(&current, request);
        }
        Ok((ReadChunk::default(), None))
    }

    /// Compaction may have emptied the end of a segment: the reader goes on in the next. Or it has replaced the
    /// segment meanwhile: then the one in its place may hold more.
    fn next_to_read(&self, current: &Segment, request: ReadRequest) -> Option<Rc<Segment>> {
        let state = self.state();
        if current.is_replaced() {
            return state.segment_at(request.offset);
        }
        state.segment_after(current.base).filter(|next| next.base < request.upto)
    }

    /// What was read, and the byte after it; `None` if nothing at or after the offset is in this segment.
    async fn read_segment(
        &self,
        segment: &Rc<Segment>,
        request: ReadRequest,
    ) -> Result<Option<(ReadChunk, u32)>, LogError> {
        let source = self.source(segment).await?;
        let from = segment.lookup(&self.0.shard, request.offset).await?;
        let Some((start, first)) = source.find(from, request.offset).await? else { return Ok(None) };
        let limit = self.position_of(segment, &source, request.upto).await?;
        if start >= limit {
            return Ok(Some((ReadChunk::default(), start)));
        }
        let first_bytes = first.bytes as usize;
        if first_bytes > request.max_bytes && !request.min_one_batch {
            return Ok(Some((ReadChunk { first_batch_too_large: true, ..ReadChunk::default() }, start)));
        }
        let wanted = u32::try_from(request.max_bytes.max(first_bytes)).unwrap_or(u32::MAX);
        let end = limit.min(start.saturating_add(wanted));
        let chunk = source.chunk(start, end);
        let has_failed = source.file.as_ref().is_some_and(ReadHandle::has_failed);
        let chunk = if has_failed { source.loaded(chunk).await? } else { chunk };
        Ok(Some((chunk, end)))
    }

    /// The byte of this segment below which all records are below `upto`.
    async fn position_of(&self, segment: &Segment, source: &Source, upto: Offset) -> Result<u32, LogError> {
        let whole = {
            let state = self.state();
            let next = state.segment_after(segment.base).map(|next| next.base);
            next.is_some_and(|next| upto >= next) || upto >= source.readable
        };
        if whole {
            return Ok(source.view.end());
        }
        if let Some(place) = self.0.tail.place_of(upto).filter(|place| place.segment == segment.base) {
            return Ok(place.position.min(source.view.end()));
        }
        let from = source.segment.lookup(&self.0.shard, upto).await?;
        Ok(source.find(from, upto).await?.map_or(source.view.end(), |(position, _)| position))
    }

    pub(crate) async fn source(&self, segment: &Rc<Segment>) -> Result<Source, LogError> {
        let file = match segment.has_file() {
            true => Some(segment.reader(&self.0.shard).await?),
            // All that it has is in the journal, and in memory.
            false => None,
        };
        // View and offset belong to one moment.
        let (view, offsets) = (segment.view(), self.offsets());
        let readable = if mutation::on(Mutation::ShowEnlisted) { offsets.kept() } else { offsets.readable() };
        Ok(Source { segment: segment.clone(), file, view, readable })
    }

    /// Reads go on while appends are refused: what is there can still be saved. Not after close.
    pub(crate) fn check_readable(&self) -> Result<(), LogError> {
        match &self.state().fault {
            Some(LogError::Closed) => Err(LogError::Closed),
            _ => Ok(()),
        }
    }
}

fn from_memory(read: TailRead) -> ReadChunk {
    ReadChunk {
        parts: read.parts.into_iter().map(ReadPart::Memory).collect(),
        bytes: read.bytes,
        first_batch_too_large: read.first_too_large,
    }
}

/// One segment's bytes as they were at one moment.
pub(crate) struct Source {
    pub segment: Rc<Segment>,
    file: Option<ReadHandle>,
    pub view: SegmentView,
    /// Where the log's newest view ends, at that moment.
    readable: Offset,
}

impl Source {
    /// First batch at or after byte `from` whose last offset is at or after `offset`, and where it begins.
    pub async fn find(&self, from: u32, offset: Offset) -> Result<Option<(u32, BatchInfo)>, LogError> {
        self.first_batch(from, |info| info.last_offset() >= offset).await
    }

    /// First batch at or after byte `from` that is `wanted`, and where it begins.
    pub async fn first_batch(
        &self,
        from: u32,
        wanted: impl Fn(&BatchInfo) -> bool,
    ) -> Result<Option<(u32, BatchInfo)>, LogError> {
        let (mut at, mut chunk, mut chunk_at) = (from, Bytes::new(), from);
        while at < self.view.end() {
            if u64::from(at) + HEADER_BYTES as u64 > u64::from(chunk_at) + chunk.len() as u64 {
                (chunk, chunk_at) = (self.bytes(at, STEP_BYTES).await?, at);
            }
            let header = &chunk[(at - chunk_at) as usize..];
            let info = BatchInfo::parse(header).map_err(|bad| self.corrupt(at, bad.to_string()))?;
            if info.bytes > self.view.end() - at {
                return Err(self.corrupt(at, "the batch is longer than what is left of the file".to_string()));
            }
            if wanted(&info) {
                return Ok(Some((at, info)));
            }
            at = at.saturating_add(info.bytes);
        }
        Ok(None)
    }

    /// Up to `len` bytes from `at`, fewer at the end of the view.
    pub async fn bytes(&self, at: u32, len: u32) -> Result<Bytes, LogError> {
        let to = at.saturating_add(len).min(self.view.end());
        let chunk = self.chunk(at, to);
        let bytes = chunk.bytes;
        let read = chunk.into_bytes().await.map_err(|error| self.named(error))?;
        if read.len() < bytes {
            return Err(self.corrupt(at + read.len() as u32, "the file ends early".to_string()));
        }
        Ok(read)
    }

    /// The chunk read into memory. A file that failed while it was being sent ended a whole connection; from then on
    /// it is read before anything is promised, so that a failure is an answer for this log alone.
    async fn loaded(&self, chunk: ReadChunk) -> Result<ReadChunk, LogError> {
        let bytes = chunk.into_bytes().await.map_err(|error| self.named(error))?;
        let len = bytes.len();
        Ok(ReadChunk { parts: vec![ReadPart::Memory(bytes)], bytes: len, first_batch_too_large: false })
    }

    fn chunk(&self, from: u32, to: u32) -> ReadChunk {
        let stable = self.view.stable;
        let mut parts = Vec::with_capacity(2);
        if from < stable {
            let (offset, len) = (u64::from(from), u64::from(to.min(stable) - from));
            let file = self.file.clone().expect("what is written is in a file");
            parts.push(ReadPart::File(FileRange { file, offset, len }));
        }
        if to > stable {
            parts.extend(self.view.memory(from.max(stable), to).into_iter().map(ReadPart::Memory));
        }
        ReadChunk { parts, bytes: (to - from) as usize, first_batch_too_large: false }
    }

    pub fn corrupt(&self, position: u32, cause: String) -> LogError {
        LogError::corrupt(&self.segment.path("log"), u64::from(position), cause)
    }

    /// A range does not know its file's name.
    fn named(&self, error: LogError) -> LogError {
        let path = self.segment.path("log");
        match error {
            LogError::Io { action, kind, cause, .. } => LogError::Io { path, action, kind, cause },
            LogError::Exhausted { action, cause, .. } => LogError::Exhausted { path, action, cause },
            LogError::Corrupt { position, cause, .. } => LogError::Corrupt { path, position, cause },
            other => other,
        }
    }
}
