//! Looking at the files of logs while no broker has them: for `kring log verify`, `repair` and `dump`.
//! Opens no log, trusts no file, and changes nothing but by [`Plan::carry_out`]. One shard of its own.
//!
//! | file | what it does |
//! |---|---|
//! | `directory` | what a path is: a data directory or one partition; its lock and its checkpoints |
//! | `pieces` | a segment as batches and the damage between them |
//! | `indexes` | index entries against the batches that they name |
//! | `verify` | one partition, file by file |
//! | `repair` | what would mend it, and doing that |

mod directory;
mod indexes;
mod pieces;
mod repair;
mod verify;

use std::path::PathBuf;

use crate::types::Offset;

pub use directory::Inspection;
pub use pieces::{Damage, Piece, Pieces};
pub use repair::Plan;
pub use verify::PartitionReport;

/// Something that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub path: PathBuf,
    /// Byte of the file.
    pub position: u64,
    /// The first offset that it concerns, if it concerns records.
    pub offset: Option<Offset>,
    pub cause: String,
}

impl Finding {
    fn at_start(path: PathBuf, cause: impl Into<String>) -> Finding {
        Finding { path, position: 0, offset: None, cause: cause.into() }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: byte {}", self.path.display(), self.position)?;
        if let Some(offset) = self.offset {
            write!(f, ", offset {offset}")?;
        }
        write!(f, ": {}", self.cause)
    }
}
