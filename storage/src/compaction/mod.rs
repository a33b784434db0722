//! Log compaction: of each key the last record stays. Which log, which segments and which records is decided by plain
//! functions with the rules of Kafka's log cleaner; around them the segments are read, written anew and swapped in.
//!
//! Never touches the newest segment, nor anything at or above the last stable offset; never changes an offset.
//! Memory is bounded by the key map, whatever the length of the log. Shard that owns the log, queue `Background`.
//!
//! ```text
//! 5.log 9.log 14.log ─ clean ─▶ 5.log.cleaned ─ rename ─▶ 5.log.swap     until here a crash changes nothing
//!                      5.log 9.log 14.log ─ rename ─▶ *.deleted          from here on the start completes the swap
//!                               5.log.swap ─ rename ─▶ 5.log
//! ```
//!
//! | file | job |
//! |---|---|
//! | `config` | the settings, with Kafka's names and defaults |
//! | `plan` | which part of a log is dirty, which log comes first, which segments become one |
//! | `key_map` | the last offset of each key, in fixed memory |
//! | `transactions` | which transactions were aborted, which markers may go |
//! | `filter` | what becomes of a batch |
//! | `throttle` | how long to pause so as to keep to a rate |
//! | `source`, `target` | reading batches, writing a cleaned segment |
//! | `round` | one cleaning of one log |
//! | `swap` | putting a cleaned segment in the place of those it was made of, and completing that at the start |
//! | `cleaner` | the choice among the logs of a shard, and what a failure means |

mod cleaner;
mod config;
mod filter;
mod key_map;
mod plan;
mod round;
#[cfg(test)]
mod simulated;
mod source;
mod swap;
mod target;
mod throttle;
mod transactions;

pub use cleaner::{CleanedLog, Cleaner};
pub use config::{CleanerConfig, CompactionConfig};
pub(crate) use swap::{complete_swaps, is_of_swap};
