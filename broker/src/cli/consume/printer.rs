//! Prints records, and knows which have been: output is collected and written when nothing more is at hand.

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use futures_lite::future::{or, poll_once};
use kring_runtime::{signal, sleep};
use kring_wire::Str;
use kring_wire::record::{Batch, RecordError};

use super::format::Format;
use super::source::{Fetched, Source};
use crate::cli::client::offsets::Offsets;
use crate::cli::client::{ClientError, Result};
use crate::cli::shard::{self, Written};

/// Written when so much has come together.
const FULL_BYTES: usize = 256 << 10;
/// How often it is looked whether anyone still reads.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A batch that decompresses to more is refused.
const MAX_DECOMPRESSED_BYTES: u64 = 1 << 30;

/// Why printing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended<T> {
    /// All that was asked for is printed.
    Complete,
    ReaderIsGone,
    /// The user wants to stop.
    Stopped,
    /// What the caller waited for beside.
    Interrupted(T),
}

pub(super) struct Printer {
    topic: Str,
    format: Format,
    out: Vec<u8>,
    /// How many records are still wanted.
    left: Option<u64>,
    /// Where to end, for `--exit`.
    ends: Option<Offsets>,
    /// After what is in `out`.
    taken: Offsets,
    /// After what has been written.
    printed: Offsets,
}

impl Printer {
    pub(super) fn new(topic: &Str, format: Format, max_records: Option<u64>) -> Self {
        Self {
            topic: topic.clone(),
            format,
            out: Vec::new(),
            left: max_records,
            ends: None,
            taken: Offsets::new(),
            printed: Offsets::new(),
        }
    }

    /// Forgets the partitions of before.
    pub(super) fn assign(&mut self, positions: Offsets, ends: Option<Offsets>) {
        self.out.clear();
        self.ends = ends;
        self.taken = positions.clone();
        self.printed = positions;
    }

    /// By partition, the offset after the last record that was written.
    pub(super) fn printed(&self) -> &Offsets {
        &self.printed
    }

    /// Prints what `source` has until there is a reason to end.
    pub(super) async fn run<T>(
        &mut self,
        source: &Source,
        interrupt: impl Future<Output = T>,
    ) -> Result<Ended<T>> {
        let mut interrupt = pin!(interrupt);
        loop {
            if let Some(interrupted) = poll_once(interrupt.as_mut()).await {
                return Ok(self.flush().await?.map_or(Ended::Interrupted(interrupted), |ended| ended));
            }
            let fetched = match self.is_complete() {
                true => return Ok(self.flush().await?.unwrap_or(Ended::Complete)),
                false => source.next_now(),
            };
            let ended = match fetched {
                Some(fetched) => self.take(&fetched?).await?,
                None => self.wait(source, interrupt.as_mut()).await?,
            };
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
    }

    /// Writes what there is, then waits for more.
    async fn wait<T>(
        &mut self,
        source: &Source,
        interrupt: Pin<&mut impl Future<Output = T>>,
    ) -> Result<Option<Ended<T>>> {
        if let Some(ended) = self.flush().await? {
            return Ok(Some(ended));
        }
        enum Woken<T> {
            Fetched(Result<Fetched>),
            Ended(Ended<T>),
        }
        let fetched = async { Woken::Fetched(source.next().await) };
        let gone = async {
            while !shard::reader_is_gone() {
                sleep(LOOK_EVERY).await;
            }
            Woken::Ended(Ended::ReaderIsGone)
        };
        let stopped = async {
            signal::shutdown().await;
            Woken::Ended(Ended::Stopped)
        };
        let interrupted = async { Woken::Ended(Ended::Interrupted(interrupt.await)) };
        match or(or(fetched, gone), or(stopped, interrupted)).await {
            Woken::Fetched(fetched) => self.take(&fetched?).await,
            Woken::Ended(ended) => Ok(Some(ended)),
        }
    }

    fn is_complete(&self) -> bool {
        let at_end = |ends: &Offsets| {
            ends.iter().all(|(index, end)| self.taken.get(index).is_none_or(|taken| taken >= end))
        };
        self.left == Some(0) || self.ends.as_ref().is_some_and(at_end)
    }

    async fn take<T>(&mut self, fetched: &Fetched) -> Result<Option<Ended<T>>> {
        for batch in fetched.batches.iter().filter(|batch| !batch.header.is_control()) {
            self.render(fetched, batch).map_err(|error| self.unreadable(fetched.partition, &error))?;
            if self.left == Some(0) {
                return Ok(None);
            }
            if self.out.len() >= FULL_BYTES
                && let Some(ended) = self.flush().await?
            {
                return Ok(Some(ended));
            }
        }
        self.taken.insert(fetched.partition, fetched.next);
        Ok(None)
    }

    fn render(&mut self, fetched: &Fetched, batch: &Batch) -> std::result::Result<(), RecordError> {
        let index = fetched.partition;
        let end = self.ends.as_ref().and_then(|ends| ends.get(&index)).copied().unwrap_or(i64::MAX);
        for record in batch.records(MAX_DECOMPRESSED_BYTES)? {
            let record = record?;
            if !(fetched.from..end).contains(&record.offset) {
                continue;
            }
            if self.left == Some(0) {
                break;
            }
            self.format.write(&mut self.out, &self.topic, index, &record);
            self.taken.insert(index, record.offset + 1);
            self.left = self.left.map(|left| left - 1);
        }
        Ok(())
    }

    fn unreadable(&self, partition: i32, error: &RecordError) -> ClientError {
        ClientError::Plain(format!("{}-{partition} holds records that cannot be read: {error}", self.topic))
    }

    async fn flush<T>(&mut self) -> Result<Option<Ended<T>>> {
        if !self.out.is_empty() {
            match shard::write(std::mem::take(&mut self.out)).await? {
                Written::All => {}
                Written::ReaderIsGone => return Ok(Some(Ended::ReaderIsGone)),
                Written::Stopped => return Ok(Some(Ended::Stopped)),
            }
        }
        self.printed.clone_from(&self.taken);
        Ok(None)
    }
}
