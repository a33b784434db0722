//! A load generator for any Kafka broker: open-loop, thread per core, latency from the intended send time.
//!
//! It has its own protocol client and shares no code with the broker, so that it tests the broker's. It never
//! follows the broker's pace unless asked to (`--max`): a slow answer delays nobody's intended send time.
//!
//! | module | job |
//! |---|---|
//! | `pace` | when which record is meant to be sent (pure) |
//! | `stamp`, `sizes`, `payload`, `keys`, `random` | what is in a record (pure) |
//! | `verify` | what must have come back (pure) |
//! | `latencies`, `measure`, `timeline`, `stats`, `own_queue` | counting (pure) |
//! | `report`, `rows` | the result of a run (pure) |
//! | `document`, `text`, `hgrm`, `live` | its forms: JSON, table, HdrHistogram's text, the line while it runs (pure) |
//! | `host` | CPU time, and where it ran |
//! | `client`, `backoff` | connections, metadata, errors, waits between tries |
//! | `produce`, `consume`, `groups`, `connections`, `counters` | the clients under load |
//! | `work`, `interrupt` | a whole run: prepare, shards, merge; and its end before its time |
//! | `plot`, `page` | reports as SVG and HTML (pure) |
//! | `sweep` | the highest rate at which a target holds (pure) |
//! | `cli` | options, printing, exit code |

mod backoff;
pub mod cli;
pub mod client;
mod connections;
mod consume;
mod counters;
pub mod document;
mod groups;
pub mod hgrm;
mod host;
mod interrupt;
mod keys;
pub mod latencies;
mod live;
pub mod measure;
mod own_queue;
pub mod pace;
pub mod page;
mod payload;
pub mod plot;
mod produce;
mod random;
pub mod report;
pub mod rows;
mod settings;
mod shared;
mod sizes;
pub mod stamp;
pub mod stats;
pub mod sweep;
pub mod text;
pub mod timeline;
pub mod verify;
mod work;

pub use document::Document;
pub use keys::KeySpace;
pub use report::{Cpu, Report};
pub use settings::{Acks, ConnectionLoad, Filler, GroupLoad, Rate, Settings, Workload};
pub use sizes::Sizes;
pub use work::{Outcome, Plan, Worker, prepare};
