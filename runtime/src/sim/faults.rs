//! What a simulated disk does wrong, by chance and by seed: see [`DiskFaults`]. Values only.

use std::time::Duration;

use crate::sim::image::{SECTORS_OF_A_PAGE, Sectors};
use crate::sim::rng::Rng;

/// What a power cut keeps or loses as one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grain {
    /// 512 bytes: a block may be torn.
    Sector,
    /// 4 KiB.
    Block,
}

impl Grain {
    /// The sectors of a page, grain by grain.
    pub(crate) fn pieces(self) -> impl Iterator<Item = Sectors> {
        let (count, first) = match self {
            Grain::Sector => (SECTORS_OF_A_PAGE, 1),
            Grain::Block => (1, Sectors::MAX),
        };
        (0..count).map(move |bit| first << bit)
    }
}

/// How often a simulated disk misbehaves. Chances are in a thousand operations; the seed of the run decides which.
///
/// Without any of it a disk still forgets at a power cut what was not synced, and lets it land in any order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DiskFaults {
    /// Only on paths that contain this.
    pub paths: String,
    /// What a power cut keeps or loses as one; either when absent.
    pub grain: Option<Grain>,
    /// The write takes a part of its bytes, or none, and reports so. The caller of this crate never sees it.
    pub short_writes: u64,
    /// The operation takes up to `slow_by` longer.
    pub slow: u64,
    pub slow_by: Duration,
    /// `EIO`.
    pub read_errors: u64,
    /// `EIO`; some of the bytes may be there nevertheless.
    pub write_errors: u64,
    /// `EIO`; what it covered is not made durable by a later sync.
    pub sync_errors: u64,
    /// `EIO` of making, renaming and removing names, and of syncing directories.
    pub name_errors: u64,
    /// `ENOSPC` of a write, though there may be room.
    pub no_space: u64,
}

impl DiskFaults {
    /// What a program must not notice: short writes, slowness, either grain.
    pub fn harmless(seed: u64) -> DiskFaults {
        let mut rng = Rng::new(seed ^ 0x6861_726d_6c65_7373);
        DiskFaults {
            grain: [None, Some(Grain::Sector), Some(Grain::Block)][pick(&mut rng, 3)],
            short_writes: [0, 0, 20, 300][pick(&mut rng, 4)],
            slow: [0, 0, 10, 200][pick(&mut rng, 4)],
            slow_by: Duration::from_millis([5, 100, 2000][pick(&mut rng, 3)]),
            ..DiskFaults::default()
        }
    }

    /// As [`DiskFaults::harmless`], and one kind of error beside.
    pub fn with_errors(seed: u64) -> DiskFaults {
        let mut faults = DiskFaults::harmless(seed);
        let mut rng = Rng::new(seed ^ 0x6572_726f_7273);
        let kinds = [
            &mut faults.read_errors,
            &mut faults.write_errors,
            &mut faults.sync_errors,
            &mut faults.name_errors,
            &mut faults.no_space,
        ];
        let chosen = pick(&mut rng, kinds.len());
        for (kind, chance) in kinds.into_iter().enumerate() {
            *chance = if kind == chosen { [3, 30][pick(&mut rng, 2)] } else { 0 };
        }
        faults
    }
}

fn pick(rng: &mut Rng, count: usize) -> usize {
    usize::try_from(rng.below(count as u64)).expect("below a length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_choose_every_kind_of_fault() {
        let all: Vec<DiskFaults> = (0..200).map(DiskFaults::with_errors).collect();
        let chances: [fn(&DiskFaults) -> u64; 7] = [
            |f| f.short_writes,
            |f| f.slow,
            |f| f.read_errors,
            |f| f.write_errors,
            |f| f.sync_errors,
            |f| f.name_errors,
            |f| f.no_space,
        ];
        for (kind, chance) in chances.iter().enumerate() {
            assert!(all.iter().any(|f| chance(f) > 0), "kind {kind}");
            assert!(all.iter().any(|f| chance(f) == 0), "kind {kind}");
        }
        assert_eq!(DiskFaults::with_errors(7), DiskFaults::with_errors(7));
    }

    #[test]
    fn grains_cover_a_page_once() {
        for grain in [Grain::Sector, Grain::Block] {
            assert_eq!(grain.pieces().fold(0, |all, piece| all | piece), Sectors::MAX);
            assert_eq!(grain.pieces().map(Sectors::count_ones).sum::<u32>(), Sectors::BITS);
        }
    }
}
