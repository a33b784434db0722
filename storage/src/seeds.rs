//! Running a scenario of the simulated machine over many seeds, and showing that it notices a bug.
//! Knows no scenario. Compiled into tests only.

use std::future::Future;
use std::num::NonZero;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use kring_runtime::sim::{RunEnd, Sim, SimConfig};

use crate::mutation::{self, Mutation};

/// The scenario holds for the seed that `KRING_SEED` names, for as many as `KRING_SEEDS` says, or for `count`. A
/// failure prints the command that repeats it; `test` is a part of the test's name. Every core takes its part.
pub(crate) fn hold(count: u64, test: &str, scenario: impl Fn(u64) + Sync) {
    let failed = first_to_fail(seeds(count), &scenario);
    if let Some(seed) = failed {
        panic!("repeat with: KRING_SEED={seed} cargo test -p kring-storage {test}");
    }
}

/// One machine through so many boots, each of which ends in a crash. What they know of each other is in `shared`.
pub(crate) fn crash_through<S, F>(seed: u64, boots: usize, boot: impl Fn(S) -> F)
where
    S: Clone + Default + 'static,
    F: Future<Output = ()> + 'static,
{
    let (sim, shared) = (Sim::new(SimConfig::new(seed, 1)), S::default());
    for _ in 0..boots {
        let end = sim.run(|_| boot(shared.clone())).unwrap_or_else(|error| panic!("{error}"));
        assert!(matches!(end, RunEnd::Crashed), "every boot of this scenario ends in a crash");
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

fn seeds(count: u64) -> Range<u64> {
    match env_number("KRING_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..env_number("KRING_SEEDS").unwrap_or(count),
    }
}

fn first_to_fail(seeds: Range<u64>, scenario: &(impl Fn(u64) + Sync)) -> Option<u64> {
    let (next, failed) = (AtomicU64::new(seeds.start), AtomicU64::new(u64::MAX));
    let take_some = || {
        while let seed = next.fetch_add(1, Ordering::Relaxed)
            && seed < seeds.end.min(failed.load(Ordering::Relaxed))
        {
            if fails(scenario, seed) {
                failed.fetch_min(seed, Ordering::Relaxed);
            }
        }
    };
    let name = thread::current().name().unwrap_or("seeds").to_string();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            let named = thread::Builder::new().name(name.clone());
            named.spawn_scoped(scope, take_some).expect("a thread for each core");
        }
    });
    Some(failed.into_inner()).filter(|&seed| seed < u64::MAX)
}

fn env_number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

fn fails(scenario: &impl Fn(u64), seed: u64) -> bool {
    catch_unwind(AssertUnwindSafe(|| scenario(seed))).is_err()
}
