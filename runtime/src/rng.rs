//! Randomness: from the kernel, or from the seed of the simulation. For ids and jitter, not for keys of long life.

use crate::context::{self, Backend};
use crate::real;

/// Fills `out` with random bytes.
pub fn fill_random(out: &mut [u8]) {
    context::with(|backend| match backend {
        Some(Backend::Sim(shard)) => shard.fill_random(out),
        Some(Backend::Real(_)) | None => real::random::fill(out),
    });
}

pub fn random_u64() -> u64 {
    let mut bytes = [0; 8];
    fill_random(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// A number below `bound`, which must not be zero.
pub fn random_below(bound: u64) -> u64 {
    assert!(bound > 0, "there is no number below zero");
    // The bias of the multiplication is below bound / 2^64.
    u64::try_from((u128::from(random_u64()) * u128::from(bound)) >> 64).expect("the upper half of 128 bits")
}
