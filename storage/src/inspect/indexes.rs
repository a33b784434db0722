//! Index entries against the batches that they name, while those are walked over. No I/O.

use std::iter::Peekable;
use std::vec::IntoIter;

use crate::batch::BatchInfo;
use crate::types::Offset;

/// The entries of both indexes that have not been met yet, and the first that was wrong.
pub(super) struct IndexCheck {
    base: Offset,
    offsets: Peekable<IntoIter<(u32, u32)>>,
    times: Peekable<IntoIter<(i64, u32)>>,
    wrong_offset: Option<String>,
    wrong_time: Option<String>,
}

impl IndexCheck {
    pub fn new(base: Offset, offsets: Vec<(u32, u32)>, times: Vec<(i64, u32)>) -> IndexCheck {
        IndexCheck {
            base,
            offsets: offsets.into_iter().peekable(),
            times: times.into_iter().peekable(),
            wrong_offset: None,
            wrong_time: None,
        }
    }

    /// Batches come in the order of the segment.
    pub fn meet(&mut self, position: u32, info: &BatchInfo) {
        let (base, last) = (self.base, info.last_offset());
        let named = |relative: u32| base + i64::from(relative);
        while let Some((relative, at)) = self.offsets.next_if(|&(_, at)| at <= position) {
            // Apache Kafka names the last offset of all batches that were appended together.
            if at != position || named(relative) < info.base_offset {
                self.wrong_offset.get_or_insert_with(|| not_there(named(relative)));
            }
        }
        while let Some((time, relative)) = self.times.next_if(|&(_, relative)| named(relative) <= last) {
            if time != info.max_timestamp {
                self.wrong_time.get_or_insert_with(|| not_there(named(relative)));
            }
        }
    }

    /// What is wrong with the offset index and with the time index. Entries beyond the last batch may be there in the
    /// segment that a crash interrupted.
    pub fn finish(mut self, may_run_ahead: bool) -> (Option<String>, Option<String>) {
        let base = self.base;
        let beyond = |relative: u32| (!may_run_ahead).then(|| not_there(base + i64::from(relative)));
        let (offset, time) = (self.offsets.next(), self.times.next());
        (
            self.wrong_offset.or(offset.and_then(|(relative, _)| beyond(relative))),
            self.wrong_time.or(time.and_then(|(_, relative)| beyond(relative))),
        )
    }
}

fn not_there(offset: Offset) -> String {
    format!("its entry for offset {offset} is not what the log holds")
}
