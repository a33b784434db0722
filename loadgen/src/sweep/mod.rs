//! The highest rate at which a latency target holds. Pure: `cli::sweep` runs the steps.
//!
//! | module | job |
//! |---|---|
//! | `decide` | which rate to try next, from what was seen so far |
//! | `judge` | whether a run held the target |
//! | `result` | a whole sweep: its table, JSON and page |
//! | `stored` | a sweep out of its JSON |

pub mod decide;
pub mod judge;
pub mod result;
pub mod stored;
