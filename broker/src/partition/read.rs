//! Reading: fence the reader's epoch, find out whether it diverged, take records up to the high watermark, or up to the
//! last stable offset with the transactions that were aborted.

use std::rc::Rc;

use kring_storage::{AbortedTransaction, LogError, Offset, ReadChunk, ReadPart, ReadRequest};
use kring_wire::ErrorCode;

use super::types::head;
use super::{FetchEntry, Fetched, FetchedPart, Partition, Refusal, refusal_of};

/// Where the length of a batch ends in it; it counts what follows.
const LENGTH_END: usize = 12;

impl Partition {
    /// Whether a reader at this place has something to be told at once: records, an error, a divergence.
    pub fn has_news(&self, entry: &FetchEntry) -> News {
        let is_plain = matches!(self.divergence(entry), Ok(None));
        if self.check_reader(entry).is_err() || !is_plain {
            return News::Urgent;
        }
        let offsets = self.log().offsets();
        let (at, end) = (Offset(entry.fetch_offset), self.end_for(entry.read_committed));
        if at < offsets.start() || at > offsets.end() {
            return News::Urgent;
        }
        // The first batch goes out even to a reader that allows no bytes.
        let allowed = u64::try_from(entry.max_bytes).unwrap_or(0).max(1);
        let available = self.log().bytes_between(at, end);
        match available {
            0 => News::Nothing,
            _ if entry.max_bytes < 0 => News::Urgent,
            _ => News::Bytes { found: available.min(allowed), is_cut: available > allowed },
        }
    }

    /// Reads for one fetch; at least one whole batch when `min_one_batch`, else at most `max_bytes`.
    pub async fn fetch(self: &Rc<Self>, entry: &FetchEntry, max_bytes: u32, min_one_batch: bool) -> Fetched {
        if let Err(refusal) = self.check_reader(entry) {
            return Fetched::refused(refusal.code);
        }
        match self.divergence(entry) {
            Err(refusal) => return Fetched::refused(refusal.code),
            Ok(Some(diverging)) => {
                return Fetched { diverging: Some(diverging), ..self.answer(ReadChunk::default(), None) };
            }
            Ok(None) => {}
        }
        match self.read(entry, max_bytes, min_one_batch).await {
            // Kafka's reader fails by it (`LogSegment.read`), and only where there is something to read.
            Ok((chunk, _)) if entry.max_bytes < 0 && has_records(&chunk) => {
                Fetched::refused(ErrorCode::UNKNOWN_SERVER_ERROR)
            }
            Ok((chunk, aborted)) => self.answer(chunk, aborted),
            Err(error) => self.unreadable(&error),
        }
    }

    fn unreadable(&self, error: &LogError) -> Fetched {
        self.tell_damage(error);
        Fetched::refused(refusal_of(error).code)
    }

    fn check_reader(&self, entry: &FetchEntry) -> Result<(), Refusal> {
        self.check_epoch(entry.current_leader_epoch)?;
        if entry.is_replica { Err(ErrorCode::NOT_LEADER_OR_FOLLOWER.into()) } else { Ok(()) }
    }

    /// The same with the size of its first batch, which the owner alone can look up.
    pub async fn measured(&self, fetched: Fetched) -> Fetched {
        match first_batch_bytes(&fetched.parts).await {
            Ok(first_batch_bytes) => Fetched { first_batch_bytes, ..fetched },
            Err(error) => {
                tracing::error!(partition = self.name(), %error, "records cannot be read");
                Fetched::refused(ErrorCode::KAFKA_STORAGE_ERROR)
            }
        }
    }

    /// Readers come back again and again: the same damage is told once.
    fn tell_damage(&self, error: &LogError) {
        let is_damage = matches!(error, LogError::Corrupt { .. } | LogError::Io { .. });
        if is_damage && self.told_damage.borrow().as_ref() != Some(error) {
            tracing::error!(partition = self.name(), %error, "records cannot be read");
            self.told_damage.replace(Some(error.clone()));
        }
    }

    async fn read(
        &self,
        entry: &FetchEntry,
        max_bytes: u32,
        min_one_batch: bool,
    ) -> Result<(ReadChunk, Option<Vec<AbortedTransaction>>), LogError> {
        let request = ReadRequest {
            offset: Offset(entry.fetch_offset),
            upto: self.end_for(entry.read_committed),
            max_bytes: (max_bytes as usize).min(usize::try_from(entry.max_bytes).unwrap_or(0)),
            min_one_batch,
        };
        if entry.read_committed {
            return self.log().read_committed(request).await.map(|(chunk, aborted)| (chunk, Some(aborted)));
        }
        self.log().read(request).await.map(|chunk| (chunk, None))
    }

    /// Where the log ends for a reader.
    pub(super) fn end_for(&self, read_committed: bool) -> Offset {
        if read_committed { self.log().last_stable_offset() } else { self.log().high_watermark() }
    }

    fn answer(&self, chunk: ReadChunk, aborted: Option<Vec<AbortedTransaction>>) -> Fetched {
        Fetched {
            error: ErrorCode::NONE,
            high_watermark: self.log().high_watermark().0,
            last_stable_offset: self.log().last_stable_offset().0,
            log_start_offset: self.log().offsets().start().0,
            leader_epoch: self.leader_epoch(),
            diverging: None,
            aborted,
            parts: chunk.parts.into_iter().map(part).collect(),
            first_batch_bytes: None,
        }
    }

    /// The reader's last epoch does not reach as far here as it believes (KIP-595). One that never was here is an error.
    fn divergence(&self, entry: &FetchEntry) -> Result<Option<(i32, i64)>, Refusal> {
        if entry.last_fetched_epoch < 0 {
            return Ok(None);
        }
        let end = self.end_of_epoch(entry.last_fetched_epoch).ok_or(ErrorCode::OFFSET_OUT_OF_RANGE)?;
        let diverges = end.epoch.0 < entry.last_fetched_epoch || end.end_offset.0 < entry.fetch_offset;
        Ok(diverges.then_some((end.epoch.0, end.end_offset.0)))
    }
}

/// What a parked reader would find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    Nothing,
    /// As many as the reader allows for the partition, and whether there are more.
    Bytes {
        found: u64,
        is_cut: bool,
    },
    /// Something that must not wait: an error, or a divergence.
    Urgent,
}

fn has_records(chunk: &ReadChunk) -> bool {
    !chunk.is_empty() || chunk.first_batch_too_large
}

async fn first_batch_bytes(parts: &[FetchedPart]) -> std::io::Result<Option<u64>> {
    let mut start = Vec::with_capacity(LENGTH_END);
    for part in head(parts.to_vec(), LENGTH_END as u64) {
        match part {
            FetchedPart::Memory(bytes) => start.extend_from_slice(&bytes),
            FetchedPart::File(range) => {
                start.extend_from_slice(&range.file.read_at(range.offset, range.len as usize).await?);
            }
        }
    }
    let length = start.get(LENGTH_END - 4..).and_then(|length| <[u8; 4]>::try_from(length).ok());
    Ok(length.map(|length| LENGTH_END as u64 + u64::from(u32::from_be_bytes(length))))
}

fn part(part: ReadPart) -> FetchedPart {
    match part {
        ReadPart::Memory(bytes) => FetchedPart::Memory(bytes),
        ReadPart::File(range) => FetchedPart::File(range),
    }
}
