//! The states of a classic group; a value, on the shard of its group.

/// Where a classic group stands.
///
/// ```text
///                         a member joins
///             Empty ─────────────────────────▶ PreparingRebalance ◀───────────────┐
///               ▲                               │       │      ▲                  │
///               │  all have left                │       │      │ a member joins   │ a member joins anew,
///               └───────────────────────────────┘       │      │ with new         │ leaves or times out,
///                                    all have rejoined, │      │ metadata, leaves │ or the leader rejoins
///                                       or time is up   ▼      │ or times out     │
///                                              CompletingRebalance ─────────▶ Stable
///                                                    the leader's assignment is durable
///
///             any state ──▶ Dead: deleted, expired, or given up by this broker
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupState {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
    /// Never held: a group that is dead is gone. It is the name that clients are told for it.
    Dead,
}

impl GroupState {
    /// As clients are told.
    pub fn name(self) -> &'static str {
        match self {
            GroupState::Empty => "Empty",
            GroupState::PreparingRebalance => "PreparingRebalance",
            GroupState::CompletingRebalance => "CompletingRebalance",
            GroupState::Stable => "Stable",
            GroupState::Dead => "Dead",
        }
    }

    /// Whether a group in this state may turn to `next`.
    pub fn may_become(self, next: GroupState) -> bool {
        use GroupState::{CompletingRebalance, Dead, Empty, PreparingRebalance, Stable};
        match next {
            Empty => self == PreparingRebalance,
            PreparingRebalance => matches!(self, Empty | CompletingRebalance | Stable),
            CompletingRebalance => self == PreparingRebalance,
            Stable => self == CompletingRebalance,
            Dead => true,
        }
    }
}
