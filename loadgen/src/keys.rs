//! Keys of records: how many, how often each, and the partition that Kafka's clients give them. Pure.

use crate::random::Random;

/// Of 64 draws at least one is kept, but for a chance below 2⁻⁶⁴.
const DRAWS: usize = 64;

/// Which keys records have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeySpace {
    pub count: u64,
    /// The exponent of Zipf's law: 0 draws all keys alike, 1 draws key k in proportion to 1/k.
    pub skew: f64,
    pub bytes: usize,
}

/// Draws keys, in constant time and memory whatever their number: rejection-inversion (Hörmann and Derflinger, 1996).
#[derive(Clone, Debug)]
pub struct Keys {
    space: KeySpace,
    random: Random,
    from: f64,
    to: f64,
    accept: f64,
    text: Vec<u8>,
}

impl Keys {
    pub fn new(space: KeySpace, random: Random) -> Keys {
        assert!(space.count > 0, "there is a key");
        let skew = space.skew;
        Keys {
            space,
            random,
            from: integral(1.5, skew) - 1.0,
            to: integral(space.count as f64 + 0.5, skew),
            accept: 2.0 - inverse(integral(2.5, skew) - weight(2.0, skew), skew),
            text: vec![b'0'; space.bytes],
        }
    }

    /// The next key's number, from 1, the most frequent.
    pub fn draw(&mut self) -> u64 {
        let KeySpace { count, skew, .. } = self.space;
        for _ in 0..DRAWS {
            let area = self.to + self.random.next_unit() * (self.from - self.to);
            let x = inverse(area, skew);
            let key = ((x + 0.5) as u64).clamp(1, count);
            let k = key as f64;
            if k - x <= self.accept || area >= integral(k + 0.5, skew) - weight(k, skew) {
                return key;
            }
        }
        1
    }

    /// The key of this number: its decimal digits behind zeros. Valid until the next call.
    pub fn text(&mut self, key: u64) -> &[u8] {
        let mut rest = key;
        for digit in self.text.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        &self.text
    }
}

fn weight(x: f64, skew: f64) -> f64 {
    (-skew * x.ln()).exp()
}

/// The integral of the weight, zero at 1.
fn integral(x: f64, skew: f64) -> f64 {
    let log = x.ln();
    let t = (1.0 - skew) * log;
    let factor = if t.abs() > 1e-8 { t.exp_m1() / t } else { 1.0 + t / 2.0 };
    factor * log
}

fn inverse(area: f64, skew: f64) -> f64 {
    let t = (area * (1.0 - skew)).max(-1.0);
    let factor = if t.abs() > 1e-8 { t.ln_1p() / t } else { 1.0 - t / 2.0 };
    (factor * area).exp()
}

/// The partition of a key: Kafka's `BuiltInPartitioner.partitionForKey`.
pub fn partition_of(key: &[u8], partitions: usize) -> usize {
    (murmur2(key) & 0x7fff_ffff) as usize % partitions
}

/// MurmurHash2 of Austin Appleby, 32 bits, with the seed of Kafka's `Utils.murmur2`.
fn murmur2(data: &[u8]) -> u32 {
    const MIX: u32 = 0x5bd1_e995;
    let (words, tail) = data.as_chunks::<4>();
    let mut hash = 0x9747_b28c ^ data.len() as u32;
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(MIX);
        k = (k ^ k >> 24).wrapping_mul(MIX);
        hash = hash.wrapping_mul(MIX) ^ k;
    }
    if !tail.is_empty() {
        let rest = (0..).zip(tail).fold(0, |rest, (place, byte)| rest | u32::from(*byte) << (8 * place));
        hash = (hash ^ rest).wrapping_mul(MIX);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(MIX);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frequencies(count: u64, skew: f64) -> Vec<f64> {
        let mut keys = Keys::new(KeySpace { count, skew, bytes: 8 }, Random::new(5, 0));
        let mut found = vec![0.0; count as usize];
        (0..200_000).for_each(|_| found[keys.draw() as usize - 1] += 1.0 / 200_000.0);
        found
    }

    #[test]
    fn keys_follow_zipfs_law() {
        for (count, skew) in [(10, 0.0), (10, 0.5), (100, 1.0), (50, 1.5), (1, 1.0)] {
            let weights: Vec<_> = (1..=count).map(|k| (k as f64).powf(-skew)).collect();
            let sum: f64 = weights.iter().sum();
            for (found, weight) in frequencies(count, skew).iter().zip(&weights) {
                let wanted = weight / sum;
                assert!(
                    (found - wanted).abs() < 0.004 + wanted * 0.05,
                    "{count} {skew}: {found} for {wanted}"
                );
            }
        }
    }

    #[test]
    fn a_key_is_its_number_behind_zeros() {
        let mut keys = Keys::new(KeySpace { count: 5, skew: 0.0, bytes: 6 }, Random::new(5, 0));
        assert_eq!(keys.text(402), b"000402");
        assert_eq!(keys.text(7), b"000007");
    }

    /// From `UtilsTest.testMurmur2` of Apache Kafka.
    #[test]
    fn murmur2_gives_the_values_of_kafkas_clients() {
        let known: [(&str, i32); 7] = [
            ("21", -973932308),
            ("foobar", -790332482),
            ("a-little-bit-long-string", -985981536),
            ("a-little-bit-longer-string", -1486304829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
            ("abc", 479470107),
            ("", 275646681),
        ];
        for (text, hash) in known {
            assert_eq!(murmur2(text.as_bytes()) as i32, hash, "{text}");
        }
    }

    /// `Utils.toPositive(Utils.murmur2(key)) % 7`, as Apache Kafka 4.3.1 computes it.
    #[test]
    fn a_key_has_the_partition_that_kafkas_clients_give_it() {
        let known = [("", 2), ("abc", 4), ("21", 3), ("000007", 6), ("0000000000000402", 5)];
        for (key, partition) in known {
            assert_eq!(partition_of(key.as_bytes(), 7), partition, "{key}");
        }
    }
}
