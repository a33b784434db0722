//! Which partition a record goes to. Pure.

use crate::keys::{Keys, partition_of};
use crate::random::Random;
use crate::settings::Settings;

/// Keys of producers are drawn from other sequences than their arrival times.
const SEQUENCE: u64 = 1 << 32;

pub enum Router {
    /// Records without keys: a batch for each partition in turn.
    InTurn { partition: usize, partitions: usize },
    /// The key decides.
    Keyed { keys: Box<Keys>, partitions: usize },
}

impl Router {
    pub fn new(settings: &Settings, producer: u32, partitions: usize) -> Router {
        match settings.keys {
            None => Router::InTurn { partition: producer as usize % partitions, partitions },
            Some(space) => {
                let random = Random::new(settings.seed, SEQUENCE + u64::from(producer));
                Router::Keyed { keys: Box::new(Keys::new(space, random)), partitions }
            }
        }
    }

    /// The key of the next record.
    pub fn draw(&mut self) -> Option<u64> {
        match self {
            Router::InTurn { .. } => None,
            Router::Keyed { keys, .. } => Some(keys.draw()),
        }
    }

    /// The bytes of a key that was drawn.
    pub fn text(&mut self, key: Option<u64>) -> Option<&[u8]> {
        match self {
            Router::InTurn { .. } => None,
            Router::Keyed { keys, .. } => key.map(|key| keys.text(key)),
        }
    }

    pub fn partition(&mut self, key: Option<u64>) -> usize {
        if let Router::InTurn { partition, .. } = self {
            return *partition;
        }
        let partitions = self.partitions();
        self.text(key).map_or(0, |text| partition_of(text, partitions))
    }

    fn partitions(&self) -> usize {
        match self {
            Router::InTurn { partitions, .. } | Router::Keyed { partitions, .. } => *partitions,
        }
    }

    /// The batch of a partition has left.
    pub fn sent(&mut self, sent: usize) {
        if let Router::InTurn { partition, partitions } = self {
            *partition = (sent + 1) % *partitions;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KeySpace;
    use crate::settings::Workload;

    #[test]
    fn without_keys_partitions_take_turns() {
        let mut router = Router::new(&Settings::of(Workload::Produce, "t"), 4, 3);
        let mut visited = Vec::new();
        for _ in 0..4 {
            visited.push(router.partition(None));
            router.sent(visited[visited.len() - 1]);
        }
        assert_eq!((visited, router.draw()), (vec![1, 2, 0, 1], None));
    }

    #[test]
    fn a_key_stays_in_its_partition_whoever_sends() {
        let keys = Some(KeySpace { count: 100, skew: 0.9, bytes: 16 });
        let settings = Settings { keys, ..Settings::of(Workload::Produce, "t") };
        for producer in 0..3 {
            let mut router = Router::new(&settings, producer, 7);
            assert_eq!(router.text(Some(402)).unwrap(), b"0000000000000402");
            assert_eq!(router.partition(Some(402)), 5);
            router.sent(5);
            assert_eq!(router.partition(Some(402)), 5);
        }
    }
}
