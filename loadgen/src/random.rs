//! Numbers that look random and come again from the same seed: arrival times, sizes, keys. Pure.
//! Never asks the system, so that a run can be repeated.

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Clone, Copy, Debug)]
pub struct Random(u64);

impl Random {
    /// One of many sequences of a seed.
    pub fn new(seed: u64, sequence: u64) -> Random {
        Random(mix(seed ^ mix(sequence.wrapping_add(GOLDEN))))
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// From 0 to below 1.
    pub fn next_unit(&mut self) -> f64 {
        unit(self.next_u64())
    }
}

/// Spreads the bits of a number over the whole word.
pub fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

/// From 0 to below 1, out of 53 of the bits.
pub fn unit(bits: u64) -> f64 {
    const STEP: f64 = 1.0 / (1u64 << 53) as f64;
    (bits >> 11) as f64 * STEP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_numbers_and_sequences_differ() {
        let take = |seed, sequence| {
            let mut random = Random::new(seed, sequence);
            (0..8).map(|_| random.next_u64()).collect::<Vec<_>>()
        };
        assert_eq!(take(1, 2), take(1, 2));
        assert_ne!(take(1, 2), take(1, 3));
        assert_ne!(take(1, 2), take(2, 2));
    }

    #[test]
    fn units_fill_their_range_evenly() {
        let mut random = Random::new(7, 0);
        let mut tenths = [0u32; 10];
        (0..100_000).for_each(|_| tenths[(random.next_unit() * 10.0) as usize] += 1);
        assert!(tenths.iter().all(|count| (9_500..10_500).contains(count)), "{tenths:?}");
    }
}
