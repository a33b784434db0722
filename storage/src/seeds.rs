//! Running a scenario of the simulated machine over many seeds, and showing that it notices a bug.
//! Knows no scenario. Compiled into tests only.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::mutation::{self, Mutation};

/// The scenario holds for the seed that `KRING_SEED` names, for as many as `KRING_SEEDS` says, or for `count`. A
/// failure prints the command that repeats it; `test` is a part of the test's name.
pub(crate) fn hold(count: u64, test: &str, scenario: impl Fn(u64)) {
    for seed in seeds(count) {
        let failed = fails(&scenario, seed);
        assert!(!failed, "repeat with: KRING_SEED={seed} cargo test -p kring-storage {test}");
    }
}

/// One of the first `tries` seeds notices the bug, and passes without it.
pub(crate) fn catch(mutation: Mutation, tries: u64, scenario: impl Fn(u64)) {
    mutation::switch(Some(mutation));
    let noticed = (0..tries).find(|&seed| fails(&scenario, seed));
    mutation::switch(None);
    let seed = noticed.unwrap_or_else(|| panic!("{mutation:?} goes unnoticed"));
    assert!(!fails(&scenario, seed), "seed {seed} fails without {mutation:?}, too");
}

fn seeds(count: u64) -> std::ops::Range<u64> {
    match env_number("KRING_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..env_number("KRING_SEEDS").unwrap_or(count),
    }
}

fn env_number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

fn fails(scenario: &impl Fn(u64), seed: u64) -> bool {
    catch_unwind(AssertUnwindSafe(|| scenario(seed))).is_err()
}
