//! Random values of every message, the same for the same seed.

use bytes::Bytes;
use kring_wire::codec::{Ctx, Records};
use kring_wire::{Str, Uuid, messages};

include!(concat!(env!("OUT_DIR"), "/sample.rs"));

#[allow(unused_imports)]
pub(crate) use for_each_message;

/// A value that the version of `c` can carry; fields of other versions keep their defaults.
pub trait Sample: Sized {
    fn sample(g: &mut Gen, c: Ctx) -> Self;
}

/// SplitMix64: small, and good enough to vary fields.
pub struct Gen(u64);

impl Gen {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Whether a field gets a value other than, mostly, its default.
    fn deviates(&mut self) -> bool {
        self.below(5) > 0
    }

    fn nullable<T: Sample>(&mut self, c: Ctx, null_allowed: bool) -> Option<T> {
        let null = null_allowed && self.below(3) == 0;
        (!null).then(|| T::sample(self, c))
    }

    /// Mostly random bits, often the values where codecs go wrong.
    fn bits(&mut self) -> u64 {
        const EDGES: [u64; 8] = [0, 1, u64::MAX, 127, 128, i64::MAX as u64, i64::MIN as u64, 1 << 31];
        if self.below(3) == 0 { EDGES[self.below(EDGES.len())] } else { self.next() }
    }
}

macro_rules! numbers {
    ($($number:ty),*) => { $(
        impl Sample for $number {
            fn sample(g: &mut Gen, _: Ctx) -> Self {
                g.bits() as $number
            }
        }
    )* };
}

numbers!(i8, i16, u16, i32, u32, i64, f64);

impl Sample for bool {
    fn sample(g: &mut Gen, _: Ctx) -> Self {
        g.below(2) == 1
    }
}

impl Sample for Uuid {
    fn sample(g: &mut Gen, _: Ctx) -> Self {
        Self::from_u128(u128::from(g.next()) << 64 | u128::from(g.bits()))
    }
}

impl Sample for Str {
    fn sample(g: &mut Gen, _: Ctx) -> Self {
        const ALPHABET: [char; 10] = ['a', 'Z', '0', '.', '-', '_', 'é', '€', '😀', '\0'];
        let length = if g.below(20) == 0 { 200 } else { g.below(8) };
        (0..length).map(|_| ALPHABET[g.below(ALPHABET.len())]).collect()
    }
}

impl Sample for Bytes {
    fn sample(g: &mut Gen, _: Ctx) -> Self {
        // Now and then long enough to be spliced instead of copied.
        let length = if g.below(30) == 0 { 9000 } else { g.below(40) };
        (0..length).map(|_| g.next() as u8).collect()
    }
}

impl Sample for Records {
    fn sample(g: &mut Gen, c: Ctx) -> Self {
        Self::Bytes(Bytes::sample(g, c))
    }
}

impl<T: Sample> Sample for Vec<T> {
    fn sample(g: &mut Gen, c: Ctx) -> Self {
        let length = if g.below(40) == 0 { 20 } else { g.below(4) };
        (0..length).map(|_| T::sample(g, c)).collect()
    }
}
