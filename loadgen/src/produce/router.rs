//! Which partition a record goes to. Pure.

use std::ops::Range;

use crate::client::Layout;
use crate::keys::{Keys, partition_of};
use crate::random::Random;
use crate::settings::Settings;

/// Keys of producers are drawn from other sequences than their arrival times.
const SEQUENCE: u64 = 1 << 32;

pub enum Router {
    /// Records without keys: a batch for each partition in turn.
    InTurn { partition: usize, partitions: usize },
    /// Topics take turns, whatever the key: each has all keys. In its topic the key decides.
    Keyed { keys: Box<Keys>, topics: Vec<Range<usize>>, turn: usize },
}

/// The key of a record, and the topic whose turn it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    key: u64,
    topic: usize,
}

impl Router {
    pub fn new(settings: &Settings, producer: u32, layout: &Layout) -> Router {
        match settings.keys {
            None => {
                let partitions = layout.partitions();
                Router::InTurn { partition: producer as usize % partitions, partitions }
            }
            Some(space) => {
                let random = Random::new(settings.seed, SEQUENCE + u64::from(producer));
                let topics = layout.topics().map(|(_, partitions)| partitions).collect();
                // Producers begin at different topics.
                let turn = producer as usize % layout.count();
                Router::Keyed { keys: Box::new(Keys::new(space, random)), topics, turn }
            }
        }
    }

    /// The key and the topic of the next record.
    pub fn draw(&mut self) -> Option<Draw> {
        match self {
            Router::InTurn { .. } => None,
            Router::Keyed { keys, topics, turn } => {
                let topic = std::mem::replace(turn, (*turn + 1) % topics.len());
                Some(Draw { key: keys.draw(), topic })
            }
        }
    }

    /// The bytes of a key that was drawn.
    pub fn text(&mut self, draw: Option<Draw>) -> Option<&[u8]> {
        match self {
            Router::InTurn { .. } => None,
            Router::Keyed { keys, .. } => draw.map(|draw| keys.text(draw.key)),
        }
    }

    pub fn partition(&mut self, draw: Option<Draw>) -> usize {
        match (self, draw) {
            (Router::InTurn { partition, .. }, _) => *partition,
            (Router::Keyed { keys, topics, .. }, Some(Draw { key, topic })) => {
                let partitions = &topics[topic];
                partitions.start + partition_of(keys.text(key), partitions.len())
            }
            (Router::Keyed { .. }, None) => unreachable!("every record has a key"),
        }
    }

    /// The batch of a partition has left.
    pub fn sent(&mut self, sent: usize) {
        if let Router::InTurn { partition, partitions } = self
            && *partition == sent
        {
            *partition = (sent + 1) % *partitions;
        }
    }

    /// The batch of the partition whose turn it is takes no more, and cannot leave: the turn goes to the next one that
    /// `takes`. Where a key decides there is no other.
    pub fn pass(&mut self, takes: impl Fn(usize) -> bool) -> Option<usize> {
        let Router::InTurn { partition, partitions } = self else { return None };
        let (at, count) = (*partition, *partitions);
        let next = (1..count).map(|step| (at + step) % count).find(|candidate| takes(*candidate))?;
        *partition = next;
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KeySpace;
    use crate::settings::Workload;

    fn keyed(layout: &Layout, producer: u32) -> Router {
        let keys = Some(KeySpace { count: 100, skew: 0.9, bytes: 16 });
        Router::new(&Settings { keys, ..Settings::of(Workload::Produce, "t") }, producer, layout)
    }

    fn visited(router: &mut Router, batches: usize) -> Vec<usize> {
        let visit = |_| {
            let partition = router.partition(None);
            router.sent(partition);
            partition
        };
        (0..batches).map(visit).collect()
    }

    #[test]
    fn without_keys_partitions_take_turns() {
        let mut router = Router::new(&Settings::of(Workload::Produce, "t"), 4, &Layout::new([("t", 3)]));
        assert_eq!((visited(&mut router, 4), router.draw()), (vec![1, 2, 0, 1], None));
    }

    #[test]
    fn without_keys_partitions_of_all_topics_take_turns() {
        let layout = Layout::new([("a", 2), ("b", 1)]);
        let mut router = Router::new(&Settings::of(Workload::Produce, "t"), 0, &layout);
        assert_eq!(visited(&mut router, 5), [0, 1, 2, 0, 1]);
    }

    #[test]
    fn a_partition_that_takes_no_more_is_passed_over_and_its_departure_moves_nothing() {
        let mut router = Router::new(&Settings::of(Workload::Produce, "t"), 0, &Layout::new([("t", 4)]));
        assert_eq!((router.pass(|partition| partition != 1), router.partition(None)), (Some(2), 2));
        router.sent(0);
        assert_eq!(router.partition(None), 2);
        router.sent(2);
        assert_eq!((router.partition(None), router.pass(|_| false)), (3, None));
    }

    #[test]
    fn a_key_stays_in_its_partition_whoever_sends() {
        for producer in 0..3 {
            let mut router = keyed(&Layout::new([("t", 7)]), producer);
            let draw = Some(Draw { key: 402, topic: 0 });
            assert_eq!(router.text(draw).unwrap(), b"0000000000000402");
            assert_eq!(router.partition(draw), 5);
            router.sent(5);
            assert_eq!((router.partition(draw), router.pass(|_| true)), (5, None));
        }
    }

    #[test]
    fn a_key_has_its_partition_in_every_topic() {
        let mut router = keyed(&Layout::new([("a", 7), ("b", 7), ("c", 1)]), 0);
        let partitions = [0, 1, 2].map(|topic| router.partition(Some(Draw { key: 402, topic })));
        assert_eq!(partitions, [5, 7 + 5, 14]);
    }

    #[test]
    fn topics_take_turns_and_draw_the_keys_that_one_topic_would() {
        let mut several = keyed(&Layout::new([("a", 7), ("b", 7), ("c", 7)]), 1);
        let mut one = keyed(&Layout::new([("a", 7)]), 1);
        for turn in 0..9 {
            let (draw, alone) = (several.draw().unwrap(), one.draw().unwrap());
            assert_eq!((draw.topic, draw.key), ((1 + turn) % 3, alone.key));
        }
    }
}
