//! Reading: fence the reader's epoch, find out whether it diverged, take records up to the high watermark, or up to the
//! last stable offset with the transactions that were aborted.

use std::rc::Rc;

use kring_storage::{AbortedTransaction, LogError, Offset, ReadChunk, ReadPart, ReadRequest};
use kring_wire::ErrorCode;

use super::{FetchEntry, Fetched, FetchedPart, Partition, Refusal, refusal_of};

impl Partition {
    /// Whether a reader at this place has something to be told at once: records, an error, a divergence.
    pub fn has_news(&self, entry: &FetchEntry) -> News {
        let is_plain = matches!(self.divergence(entry), Ok(None));
        if self.check_epoch(entry.current_leader_epoch).is_err() || !is_plain {
            return News::Urgent;
        }
        let offsets = self.log().offsets();
        let (at, end) = (Offset(entry.fetch_offset), self.end_for(entry.read_committed));
        if at < offsets.start() || at > offsets.end() {
            return News::Urgent;
        }
        // The first batch goes out even to a reader that allows no bytes.
        let (available, allowed) = (self.log().bytes_between(at, end), u64::from(entry.max_bytes.max(1)));
        match available {
            0 => News::Nothing,
            _ => News::Bytes { found: available.min(allowed), is_cut: available > allowed },
        }
    }

    /// Reads for one fetch; at least one whole batch when `min_one_batch`, else at most `max_bytes`.
    pub async fn fetch(self: &Rc<Self>, entry: &FetchEntry, max_bytes: u32, min_one_batch: bool) -> Fetched {
        if let Err(refusal) = self.check_epoch(entry.current_leader_epoch) {
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
            Ok((chunk, aborted)) => self.answer(chunk, aborted),
            Err(error) => {
                self.tell_damage(&error);
                Fetched::refused(refusal_of(&error).code)
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
            max_bytes: max_bytes.min(entry.max_bytes) as usize,
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

fn part(part: ReadPart) -> FetchedPart {
    match part {
        ReadPart::Memory(bytes) => FetchedPart::Memory(bytes),
        ReadPart::File(range) => FetchedPart::File(range),
    }
}
