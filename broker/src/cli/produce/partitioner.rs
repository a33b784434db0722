//! Which partition a record goes to: as Kafka's clients choose it, so that a key has one home whoever writes.

use kring_runtime::random_below;

const SEED: u32 = 0x9747_b28c;
const MIX: u32 = 0x5bd1_e995;

pub(super) struct Partitioner {
    partitions: usize,
    fixed: Option<i32>,
    /// Where records without a key go until the next batch.
    sticky: i32,
}

impl Partitioner {
    pub(super) fn new(partitions: usize, fixed: Option<i32>) -> Self {
        assert!(partitions > 0, "a topic has partitions");
        let mut partitioner = Self { partitions, fixed, sticky: 0 };
        partitioner.move_on();
        partitioner
    }

    pub(super) fn choose(&self, key: Option<&[u8]>) -> i32 {
        match (self.fixed, key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => by_key(key, self.partitions),
            (None, None) => self.sticky,
        }
    }

    /// Records without a key go elsewhere from now on.
    pub(super) fn move_on(&mut self) {
        self.sticky = random_below(self.partitions as u64) as i32;
    }
}

fn by_key(key: &[u8], partitions: usize) -> i32 {
    ((murmur2(key) & 0x7fff_ffff) as usize % partitions) as i32
}

/// MurmurHash2 (Austin Appleby, public domain), 32 bits, with the seed of Kafka's clients.
fn murmur2(data: &[u8]) -> u32 {
    let (words, tail) = data.as_chunks::<4>();
    let mut hash = words.iter().fold(SEED ^ data.len() as u32, |hash, word| {
        let mut word = u32::from_le_bytes(*word).wrapping_mul(MIX);
        word ^= word >> 24;
        hash.wrapping_mul(MIX) ^ word.wrapping_mul(MIX)
    });
    if !tail.is_empty() {
        let last = tail.iter().rev().fold(0, |last: u32, byte| last << 8 | u32::from(*byte));
        hash = (hash ^ last).wrapping_mul(MIX);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(MIX);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_gives_the_values_of_kafkas_clients() {
        let known: [(&str, i32); 6] = [
            ("21", -973932308),
            ("foobar", -790332482),
            ("a-little-bit-long-string", -985981536),
            ("a-little-bit-longer-string", -1486304829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
            ("abc", 479470107),
        ];
        for (text, hash) in known {
            assert_eq!(murmur2(text.as_bytes()) as i32, hash, "{text}");
        }
    }

    #[test]
    fn a_key_has_one_partition_in_range() {
        for n in 0..200u32 {
            let partition = by_key(&n.to_be_bytes(), 7);
            assert!((0..7).contains(&partition));
            assert_eq!(partition, by_key(&n.to_be_bytes(), 7));
        }
    }

    #[test]
    fn a_fixed_partition_wins_over_the_key() {
        let partitioner = Partitioner { partitions: 5, fixed: Some(3), sticky: 0 };
        assert_eq!((partitioner.choose(Some(b"k")), partitioner.choose(None)), (3, 3));
    }
}
