//! Looks at the host and says, point by point, what was found, what is wanted, why, and what that costs; sets what it
//! is told to set; measures the disk. Never needed to run the broker, and never runs beside it on a shard of its own
//! accord.
//!
//! `check` reads files of `/proc` and `/sys` and judges. `apply` writes an undo script and then what `check` proposed.
//! `disk` measures a data directory through the runtime's own files and writes what the broker reads at its start.

mod apply;
mod check;
pub mod disk;
mod finding;
mod host;
mod look;
mod points;
mod render;
mod text;

pub use apply::{Applied, ApplyError, Change, Outcome, Plan, apply, plan};
pub use check::{Report, check};
pub use finding::{Finding, Remedy, Setting, Verdict, Who};
pub use host::{Attempt, Host, Machine};
pub use look::Look;
pub use render::render;
