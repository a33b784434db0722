//! The aborted transactions of a segment, and those of a range, as Kafka's `LocalLog.addAbortedTransactions`: of the
//! segment that is written to in memory, of the others in their `.txnindex`.
//! Never reads a segment that has none. Shard that owns the log.

use std::rc::Rc;

use kring_runtime::disk::ReadHandle;
use kring_runtime::fs;

use crate::error::LogError;
use crate::log::Log;
use crate::mutation::{self, Mutation};
use crate::read::{ReadChunk, ReadRequest};
use crate::segment::{Segment, write_file};
use crate::txn_index::{self, AbortedTransaction, ENTRY_BYTES};
use crate::types::Offset;

/// Entries read at once.
const PIECE_ENTRIES: usize = 1024;

/// Where a segment's aborted transactions are, in the order of their markers.
#[derive(Debug)]
pub(crate) enum AbortedIndex {
    Memory(Vec<AbortedTransaction>),
    /// At least one.
    File,
}

impl AbortedIndex {
    pub fn none() -> AbortedIndex {
        AbortedIndex::Memory(Vec::new())
    }

    pub fn is_empty(&self) -> bool {
        matches!(self, AbortedIndex::Memory(entries) if entries.is_empty())
    }
}

/// Takes the transactions that touch a range, in order, and notices when no later one can.
struct Collected {
    from: Offset,
    upto: Offset,
    found: Vec<AbortedTransaction>,
    is_complete: bool,
}

impl Collected {
    fn take(&mut self, entries: &[AbortedTransaction]) {
        for entry in entries {
            if self.is_complete {
                return;
            }
            if entry.last_offset >= self.from && entry.first_offset < self.upto {
                self.found.push(*entry);
            }
            self.is_complete = entry.last_stable_offset >= self.upto;
        }
    }
}

impl Log {
    /// As [`Log::read`], with the aborted transactions that a reader of committed records must leave out of it.
    pub async fn read_committed(
        &self,
        request: ReadRequest,
    ) -> Result<(ReadChunk, Vec<AbortedTransaction>), LogError> {
        // As they are now: a cleaning that replaces a segment while it is read forgets transactions with their records.
        let segments = self.segments_with_aborted(request.offset);
        let (chunk, end) = self.read_to(request).await?;
        let Some((segment, end)) = end.filter(|_| !segments.is_empty()) else {
            return Ok((chunk, Vec::new()));
        };
        let upto = self.upper_bound(&segment, end).await?;
        let collected = collect(&segments, request.offset, upto).await;
        let aborted = collected.map_err(|error| self.deleted_meanwhile(request.offset, error))?;
        Ok((chunk, aborted))
    }

    /// The aborted transactions that have an offset from `from` on and below `upto`.
    pub(crate) async fn aborted_transactions(
        &self,
        from: Offset,
        upto: Offset,
    ) -> Result<Vec<AbortedTransaction>, LogError> {
        collect(&self.segments_with_aborted(from), from, upto).await
    }

    /// From the one that holds `from` on: a transaction ends in the segment of its marker, which may be a later one.
    fn segments_with_aborted(&self, from: Offset) -> Vec<Rc<Segment>> {
        let state = self.state();
        let first = state.segments.partition_point(|segment| segment.base <= from).saturating_sub(1);
        let mut from_there = state.segments[first..].to_vec();
        if mutation::on(Mutation::AbortedOfOneSegment) {
            from_there.truncate(1);
        }
        from_there.retain(|segment| segment.has_aborted());
        from_there
    }

    /// An offset that no record in the first `end` bytes of the segment reaches, as its index tells.
    async fn upper_bound(&self, segment: &Rc<Segment>, end: u32) -> Result<Offset, LogError> {
        if let Some(indexed) = segment.indexed_from(&self.0.shard, end).await? {
            return Ok(indexed);
        }
        let state = self.state();
        Ok(state.segment_after(segment.base).map_or(state.offsets.end(), |next| next.base))
    }
}

async fn collect(
    segments: &[Rc<Segment>],
    from: Offset,
    upto: Offset,
) -> Result<Vec<AbortedTransaction>, LogError> {
    let mut collected = Collected { from, upto, found: Vec::new(), is_complete: false };
    for segment in segments {
        if !collected.is_complete {
            segment.collect_aborted(&mut collected).await?;
        }
    }
    Ok(collected.found)
}

impl Segment {
    pub fn has_aborted(&self) -> bool {
        !self.aborted().borrow().is_empty()
    }

    /// A marker that was appended ends a transaction by aborting it.
    pub fn note_aborted(&self, transaction: AbortedTransaction) {
        match &mut *self.aborted().borrow_mut() {
            AbortedIndex::Memory(entries) => entries.push(transaction),
            AbortedIndex::File => panic!("a growing segment keeps its aborted transactions"),
        }
    }

    /// The content of the index file while the segment grows; empty where there is to be no file.
    pub fn encode_aborted(&self) -> Vec<u8> {
        match &*self.aborted().borrow() {
            AbortedIndex::Memory(entries) => txn_index::encode(entries),
            AbortedIndex::File => Vec::new(),
        }
    }

    /// Writes the index file, if there is anything to write, and forgets what it holds.
    pub async fn write_aborted(&self) -> Result<(), LogError> {
        let bytes = self.encode_aborted();
        if !bytes.is_empty() {
            write_file(&self.path("txnindex"), &bytes).await?;
            self.aborted().replace(AbortedIndex::File);
        }
        Ok(())
    }

    /// Keeps in memory what the file holds, which is about to get another name.
    pub async fn hold_aborted(&self) -> Result<(), LogError> {
        if matches!(&*self.aborted().borrow(), AbortedIndex::Memory(_)) {
            return Ok(());
        }
        let mut all =
            Collected { from: Offset::ZERO, upto: Offset::MAX, found: Vec::new(), is_complete: false };
        self.collect_from_file(&mut all).await?;
        self.aborted().replace(AbortedIndex::Memory(all.found));
        Ok(())
    }

    async fn collect_aborted(&self, into: &mut Collected) -> Result<(), LogError> {
        if let AbortedIndex::Memory(entries) = &*self.aborted().borrow() {
            into.take(entries);
            return Ok(());
        }
        self.collect_from_file(into).await
    }

    /// Piece by piece: an index may be long, and its first entries say enough.
    async fn collect_from_file(&self, into: &mut Collected) -> Result<(), LogError> {
        let path = self.path("txnindex");
        let failed = |e: std::io::Error| LogError::io(&path, "reading", &e);
        let file = ReadHandle::open(&path).await.map_err(failed)?;
        let mut at = 0;
        while !into.is_complete {
            let piece = file.read_at(at, PIECE_ENTRIES * ENTRY_BYTES).await.map_err(failed)?;
            if piece.is_empty() {
                break;
            }
            let entries = txn_index::decode(&piece);
            into.take(&entries.map_err(|bad| LogError::corrupt(&path, at, bad.to_string()))?);
            at += piece.len() as u64;
        }
        Ok(())
    }
}

/// Where the aborted transactions of a segment at rest are.
pub(crate) async fn index_of(path: &std::path::Path) -> Result<AbortedIndex, LogError> {
    match fs::len(path).await {
        Ok(0) => Ok(AbortedIndex::none()),
        Ok(_) => Ok(AbortedIndex::File),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(AbortedIndex::none()),
        Err(error) => Err(LogError::io(path, "looking for", &error)),
    }
}
