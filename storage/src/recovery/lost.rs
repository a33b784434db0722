//! Whether a segment is missing of which only traces are left. Compaction makes gaps between segments, so a gap alone
//! is a proof only in a log that was never compacted; see decision 0024.
//! Changes nothing. Shard that will own the log.

use super::{EPOCHS, Files, Recovery};
use crate::dir::START_OFFSETS;
use crate::epochs::LeaderEpochs;
use crate::error::LogError;
use crate::mutation::{self, Mutation};
use crate::segment::{Segment, file_name};
use crate::types::Offset;

impl Recovery {
    /// An error if a segment is missing that an orderly end has left. After a crash it is a line in the log: Apache
    /// Kafka writes a start down late, and renames the `.log` of a segment before its indexes.
    pub(super) fn check_presence(
        &self,
        files: &Files,
        epochs: Option<&LeaderEpochs>,
    ) -> Result<(), LogError> {
        let Some(lost) = self.first_segment_lost(files, epochs).or_else(|| self.log_lost(files)) else {
            return Ok(());
        };
        if self.clean {
            return Err(lost);
        }
        tracing::error!(path = %self.path.display(), %lost, "a segment may be lost; `kring log verify` looks closely");
        Ok(())
    }

    /// A log that begins at 0 has no start written down. Its oldest epoch says where it began: both move with it.
    fn first_segment_lost(&self, files: &Files, epochs: Option<&LeaderEpochs>) -> Option<LogError> {
        let (start, first) = (self.points.start(), files.logs[0].0);
        let began = epochs.and_then(|epochs| epochs.entries().first()).map(|&(_, offset)| offset);
        let (file, start) = match began {
            Some(began) if start == Offset::ZERO => (EPOCHS, began),
            _ if start > Offset::ZERO => (START_OFFSETS, start),
            _ => return None,
        };
        let is_lost = first > start && !mutation::on(Mutation::SkipPresenceCheck);
        let cause = || format!("{file} says that this log starts at offset {start}: it is missing");
        is_lost.then(|| LogError::corrupt(&self.log_path(start), 0, cause()))
    }

    /// An index without its log, of records that should be there.
    fn log_lost(&self, files: &Files) -> Option<LogError> {
        let newest = files.logs.last().expect("a log without segments is another case").0;
        let should_be_there = |base: &&Offset| (self.points.start()..newest).contains(*base);
        let has_log = |base: &Offset| files.logs.binary_search_by_key(base, |&(base, _)| base).is_ok();
        let lost = files.indexes.iter().filter(should_be_there).find(|base| !has_log(base))?;
        (!mutation::on(Mutation::SkipPresenceCheck))
            .then(|| LogError::corrupt(&self.log_path(*lost), 0, "it is missing, and its index is there"))
    }

    /// Whether offsets that are in no segment must have been lost.
    pub(super) fn has_no_gaps(&self) -> bool {
        let was_compacted = self.config.compaction.compacts || self.points.cleaner().is_some();
        !was_compacted && !mutation::on(Mutation::SkipPresenceCheck)
    }

    pub(super) fn gap_after(&self, segment: &Segment, end: Offset, next: Offset) -> LogError {
        let cause = format!(
            "it ends before offset {end}, {} begins at {next}, and no compaction has made that gap",
            file_name(next, "log")
        );
        LogError::corrupt(&self.log_path(segment.base), u64::from(segment.size()), cause)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::rc::Rc;
    use std::time::Duration;

    use kring_runtime::sim::{Sim, SimConfig};
    use kring_runtime::{fs, sleep};

    use super::*;
    use kring_wire::record::{BatchBuilder, Codec, Compression};

    use crate::batch::LogBatch;
    use crate::checkpoint::LogName;
    use crate::compaction::CompactionConfig;
    use crate::config::LogConfig;
    use crate::dir::LogDir;
    use crate::inspect::Inspection;
    use crate::log::Log;
    use crate::shard::{ShardConfig, ShardStorage};

    /// Four fill a segment.
    fn batch(offset: i64) -> LogBatch {
        let mut builder =
            BatchBuilder::new(Compression::default_of(Codec::None)).base_offset(offset).leader_epoch(0);
        builder.append(1_000 + offset, None, Some(&[7; 1000])).unwrap();
        let (header, body) = builder.build().unwrap().into_parts();
        LogBatch { header, body }
    }

    const PARTITION: &str = "/data/orders-0";

    async fn open(dir: &LogDir, compacts: bool) -> Result<Log, LogError> {
        let compaction = CompactionConfig { compacts, ..CompactionConfig::default() };
        let config =
            LogConfig { segment_bytes: 4400, retention_ms: None, compaction, ..LogConfig::default() };
        let shard = ShardStorage::new(ShardConfig::default());
        Log::open(&shard, dir, LogName::new("orders", 0), Rc::new(config), None).await.map(|(log, _)| log)
    }

    /// What became of a log of five segments that lost files after its end.
    #[derive(Clone, Copy)]
    struct Loss {
        files: &'static [&'static str],
        is_clean: bool,
        compacts: bool,
        /// The log begins at 0: nothing was deleted.
        is_whole: bool,
    }

    /// What the start says of it, and how many findings `verify` has.
    fn after(loss: Loss, switched_on: Option<Mutation>) -> (Result<(), LogError>, usize) {
        let sim = Sim::new(SimConfig::new(7, 1));
        let ended = sim.run(move |_| async move {
            let dir = LogDir::open(Path::new("/data")).await.unwrap().dir;
            let log = open(&dir, loss.compacts).await.unwrap();
            (0..20).for_each(|offset| _ = log.append(batch(offset)).unwrap());
            log.flush().await.unwrap();
            if !loss.is_whole {
                log.delete_records_before(Offset(5)).await.unwrap();
                assert_eq!(log.delete_old_segments().await.unwrap().segments, 1);
            }
            log.close().await.unwrap();
            dir.write_checkpoints().await.unwrap();
            if loss.is_clean {
                assert!(dir.mark_clean(1).await.unwrap());
            }
            // The removal of the deleted segment holds the directory, too.
            sleep(Duration::from_secs(100)).await;
            drop((log, dir));
            for name in loss.files {
                fs::remove_file(Path::new(PARTITION).join(name)).await.unwrap();
            }
            let inspection = Inspection::open(Path::new("/data")).await.unwrap();
            let findings = inspection.verify(Path::new(PARTITION)).await.unwrap().findings.len();
            drop(inspection);
            let dir = LogDir::open(Path::new("/data")).await.unwrap().dir;
            mutation::switch(switched_on);
            let opened = open(&dir, loss.compacts).await.map(drop);
            mutation::switch(None);
            (opened, findings)
        });
        ended.unwrap_or_else(|error| panic!("{error}")).finished().remove(0)
    }

    fn is_corrupt(ended: &Result<(), LogError>) -> bool {
        matches!(ended, Err(LogError::Corrupt { .. }))
    }

    const FIRST: [&str; 4] = [
        "00000000000000000004.log",
        "00000000000000000004.index",
        "00000000000000000004.timeindex",
        "00000000000000000004.snapshot",
    ];
    const AT_ZERO: [&str; 3] =
        ["00000000000000000000.log", "00000000000000000000.index", "00000000000000000000.timeindex"];
    const MIDDLE: [&str; 4] = [
        "00000000000000000008.log",
        "00000000000000000008.index",
        "00000000000000000008.timeindex",
        "00000000000000000008.snapshot",
    ];

    #[test]
    fn a_first_segment_that_is_gone_is_noticed_by_the_start_that_was_written_down() {
        let loss = Loss { files: &FIRST, is_clean: true, compacts: true, is_whole: false };
        let (opened, findings) = after(loss, None);
        assert!(is_corrupt(&opened), "{opened:?}");
        assert_eq!(findings, 1);
        assert_eq!(after(loss, Some(Mutation::SkipPresenceCheck)).0, Ok(()), "the test can fail");
    }

    #[test]
    fn a_first_segment_that_is_gone_is_noticed_by_the_oldest_epoch_in_a_log_that_began_at_0() {
        for compacts in [true, false] {
            let loss = Loss { files: &AT_ZERO, is_clean: true, compacts, is_whole: true };
            let (opened, findings) = after(loss, None);
            assert!(is_corrupt(&opened), "{opened:?}");
            assert_eq!(findings, 1);
            assert_eq!(after(loss, Some(Mutation::SkipPresenceCheck)).0, Ok(()), "the test can fail");
            assert_eq!(after(Loss { files: &[], ..loss }, None), (Ok(()), 0), "nothing is lost");
        }
    }

    #[test]
    fn a_middle_segment_that_is_gone_is_noticed_by_the_gap_where_nothing_was_compacted() {
        for is_clean in [true, false] {
            let loss = Loss { files: &MIDDLE, is_clean, compacts: false, is_whole: false };
            let (opened, findings) = after(loss, None);
            assert!(is_corrupt(&opened), "{opened:?}");
            assert_eq!(findings, 1);
            assert_eq!(after(loss, Some(Mutation::SkipPresenceCheck)).0, Ok(()), "the test can fail");
        }
    }

    #[test]
    fn a_log_file_that_is_gone_is_noticed_by_its_index_though_compaction_may_make_gaps() {
        let loss = Loss { files: &MIDDLE[..1], is_clean: true, compacts: true, is_whole: false };
        let (opened, findings) = after(loss, None);
        assert!(is_corrupt(&opened), "{opened:?}");
        assert!(findings > 0);
        assert_eq!(after(loss, Some(Mutation::SkipPresenceCheck)).0, Ok(()), "the test can fail");
    }

    #[test]
    fn what_a_crash_of_kafkas_leaves_as_well_is_told_and_takes_nothing_offline() {
        for files in [&FIRST[..], &MIDDLE[..1]] {
            let (opened, findings) =
                after(Loss { files, is_clean: false, compacts: true, is_whole: false }, None);
            assert_eq!(opened, Ok(()));
            assert!(findings > 0);
        }
    }
}
