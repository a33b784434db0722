//! Whether sealed segments end where they should. A file that lost its end after it had been durable looks like one
//! whose end was compacted away, so its indexes are asked what it held. Reads the ends of files only, as long as they
//! agree; changes no record. Shard that will own the log.

use kring_runtime::disk::ReadHandle;
use kring_runtime::fs;

use super::{Recovery, RecoveryReport};
use crate::error::LogError;
use crate::index::{OFFSET_ENTRY_BYTES, OffsetIndex, TIME_ENTRY_BYTES, TimeIndex};
use crate::mutation::{self, Mutation};
use crate::scan::{Care, Extent, Found};
use crate::segment::{Segment, file_name};
use crate::types::Offset;

/// The entry that an index ends with.
struct LastEntry {
    offset: Offset,
    position: u32,
}

impl Recovery {
    /// An error for the first segment whose end is gone or makes no sense.
    pub(super) async fn check_ends(&self, sealed: &[Segment], active_base: Offset) -> Result<(), LogError> {
        if mutation::on(Mutation::SkipEndCheck) {
            return Ok(());
        }
        for (number, segment) in sealed.iter().enumerate() {
            let next = sealed.get(number + 1).map_or(active_base, |next| next.base);
            self.check_end(segment, next).await?;
        }
        Ok(())
    }

    async fn check_end(&self, segment: &Segment, next: Offset) -> Result<(), LogError> {
        let Some(index_bytes) = self.len_of(segment.base, "index").await? else {
            // Without it nothing tells, and whoever needs it reads the whole segment.
            return Ok(());
        };
        let last = self.last_entry(segment.base, index_bytes).await?;
        let from = last.as_ref().map_or(0, |last| last.position);
        let found = self.walk_from(segment, from).await?;
        if let Some(fault) = found.fault {
            return Err(self.damaged(segment.base, found.end, fault));
        }
        let end = found.end_offset.unwrap_or(segment.base);
        if end == next {
            return Ok(());
        }
        let named = last.map(|last| last.offset).max(self.last_time_offset(segment.base).await?);
        match named.filter(|&named| named >= end && named < next) {
            Some(named) => Err(self.cut_short(segment, end, named)),
            None if end > next => Err(self.overlapping(segment, end, next)),
            None if self.has_no_gaps() => Err(self.gap_after(segment, end, next)),
            None => Ok(()),
        }
    }

    /// To the end of the segment; from its beginning if the index leads to no batch, and then without that index.
    async fn walk_from(&self, segment: &Segment, from: u32) -> Result<Found, LogError> {
        let is_inside = from < segment.size();
        let found = self.walk(segment, if is_inside { from } else { 0 }).await?;
        if found.fault.is_none() || from == 0 || !is_inside {
            return Ok(found);
        }
        let whole = self.walk(segment, 0).await?;
        if whole.fault.is_none() {
            tracing::warn!(path = %self.log_path(segment.base).display(), from, "the index names no batch");
            self.remove_indexes(segment.base).await?;
        }
        Ok(whole)
    }

    async fn walk(&self, segment: &Segment, from: u32) -> Result<Found, LogError> {
        let extent = Extent { base: segment.base, from, end: segment.size(), care: Care::Headers };
        self.scan(segment.base, extent, &mut RecoveryReport::default(), |_| {}).await
    }

    /// `None` if the index is empty, or its end no entry.
    async fn last_entry(&self, base: Offset, index_bytes: u64) -> Result<Option<LastEntry>, LogError> {
        let bytes = self.end_of::<OFFSET_ENTRY_BYTES>(base, "index", index_bytes).await?;
        let entry = bytes.as_ref().and_then(OffsetIndex::decode_last);
        Ok(entry.map(|(relative, position)| LastEntry { offset: base + i64::from(relative), position }))
    }

    async fn last_time_offset(&self, base: Offset) -> Result<Option<Offset>, LogError> {
        let Some(len) = self.len_of(base, "timeindex").await? else { return Ok(None) };
        let bytes = self.end_of::<TIME_ENTRY_BYTES>(base, "timeindex", len).await?;
        let entry = bytes.as_ref().and_then(TimeIndex::decode_last);
        Ok(entry.map(|(_, relative)| base + i64::from(relative)))
    }

    /// The last `N` bytes of a file of this length; `None` if it is no whole number of them.
    async fn end_of<const N: usize>(
        &self,
        base: Offset,
        suffix: &str,
        len: u64,
    ) -> Result<Option<[u8; N]>, LogError> {
        if len == 0 || !len.is_multiple_of(N as u64) {
            return Ok(None);
        }
        let path = self.path.join(file_name(base, suffix));
        let failed = |e: std::io::Error| LogError::io(&path, "reading", &e);
        let file = ReadHandle::open(&path).await.map_err(failed)?;
        let bytes = file.read_at(len - N as u64, N).await.map_err(failed)?;
        Ok(bytes.first_chunk().copied())
    }

    /// `None` if there is no such file.
    async fn len_of(&self, base: Offset, suffix: &str) -> Result<Option<u64>, LogError> {
        let path = self.path.join(file_name(base, suffix));
        match fs::len(&path).await {
            Ok(len) => Ok(Some(len)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LogError::io(&path, "looking for", &error)),
        }
    }

    fn cut_short(&self, segment: &Segment, end: Offset, named: Offset) -> LogError {
        let cause = format!("the file ends before offset {end}, and its index names offset {named}");
        LogError::corrupt(&self.log_path(segment.base), u64::from(segment.size()), cause)
    }

    fn overlapping(&self, segment: &Segment, end: Offset, next: Offset) -> LogError {
        let cause = format!("it holds offsets up to {end}, and the next segment begins at {next}");
        LogError::corrupt(&self.log_path(segment.base), u64::from(segment.size()), cause)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::rc::Rc;

    use kring_runtime::sim::{Sim, SimConfig};

    use super::*;
    use crate::checkpoint::LogName;
    use crate::config::LogConfig;
    use crate::dir::LogDir;
    use crate::log::Log;
    use crate::shard::{ShardConfig, ShardStorage};
    use crate::testing::batch_of;

    async fn open(dir: &LogDir) -> Result<Log, LogError> {
        let config =
            LogConfig { segment_bytes: 8 * 1061, index_interval_bytes: 2000, ..LogConfig::default() };
        let shard = ShardStorage::new(ShardConfig::default());
        let name = LogName::new("orders", 0);
        Log::open(&shard, dir, name, Rc::new(config), None).await.map(|(log, _)| log)
    }

    /// Opens a log whose first segment has lost its last two batches.
    fn open_cut_short(switched_on: Option<Mutation>) -> Result<(), LogError> {
        let sim = Sim::new(SimConfig::new(7, 1));
        let ended = sim.run(move |_| async move {
            let dir = LogDir::open(Path::new("/data")).await.unwrap().dir;
            let log = open(&dir).await.unwrap();
            (0..20).for_each(|offset| _ = log.append(batch_of(offset, 1, 1000)).unwrap());
            log.close().await.unwrap();
            assert!(dir.mark_clean(1).await.unwrap());
            drop((log, dir));
            fs::set_len("/data/orders-0/00000000000000000000.log", 6 * 1061).await.unwrap();
            let dir = LogDir::open(Path::new("/data")).await.unwrap().dir;
            mutation::switch(switched_on);
            let opened = open(&dir).await.map(drop);
            mutation::switch(None);
            opened
        });
        ended.unwrap_or_else(|error| panic!("{error}")).finished().remove(0)
    }

    #[test]
    fn a_sealed_segment_without_its_last_batches_is_noticed_by_its_indexes_alone() {
        assert!(matches!(open_cut_short(None), Err(LogError::Corrupt { position: 6366, .. })));
        assert_eq!(open_cut_short(Some(Mutation::SkipEndCheck)), Ok(()), "the test can fail");
    }
}
