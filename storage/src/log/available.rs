//! How much a reader would find, judged from memory alone. Does no I/O and reads no index.

use super::{Log, State};
use crate::tail::Place;
use crate::types::Offset;

impl Log {
    /// Bytes of batches from the one that holds `from` up to `upto`: 0 exactly when there is none. Exact for what
    /// the tail cache still holds; older offsets count from the start of their segment.
    pub fn bytes_between(&self, from: Offset, upto: Offset) -> u64 {
        if from >= upto {
            return 0;
        }
        let state = self.state();
        let (first, last) = (self.place(&state, from), self.place(&state, upto));
        let between = state.segments.iter().filter(|s| (first.segment..last.segment).contains(&s.base));
        let whole: u64 = between.map(|segment| u64::from(segment.size())).sum();
        (whole + u64::from(last.position)).saturating_sub(u64::from(first.position)).max(1)
    }

    /// Where `offset` stands: exactly, at the log's end, or at the start of its segment.
    fn place(&self, state: &State, offset: Offset) -> Place {
        if let Some(place) = self.0.tail.place_of(offset) {
            return place;
        }
        match state.segment_at(offset) {
            Some(segment) if offset >= state.offsets.end() => {
                Place { segment: segment.base, position: segment.size() }
            }
            Some(segment) => Place { segment: segment.base, position: 0 },
            None => Place { segment: offset, position: 0 },
        }
    }
}
