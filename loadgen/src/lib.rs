//! A load generator for any Kafka broker: open-loop, thread per core, latency from the intended send time.
//!
//! It has its own protocol client and shares no code with the broker, so that it tests the broker's. It never
//! follows the broker's pace unless asked to (`--max`): a slow answer delays nobody's intended send time.
//!
//! | module | job |
//! |---|---|
//! | `pace` | when which record is meant to be sent (pure) |
//! | `stamp`, `payload` | what is in a record (pure) |
//! | `verify` | what must have come back (pure) |
//! | `stats`, `report`, `json` | counting and showing (pure) |
//! | `client` | connections, metadata, errors |
//! | `produce`, `flight`, `consume` | the clients under load |
//! | `work` | a whole run: prepare, shards, merge |
//! | `cli` | options, printing, exit code |

pub mod cli;
pub mod client;
mod consume;
mod flight;
mod host;
mod json;
pub mod pace;
mod payload;
mod produce;
mod report;
mod settings;
mod shared;
pub mod stamp;
pub mod stats;
pub mod verify;
mod work;

pub use report::{Cpu, Report};
pub use settings::{Acks, Rate, Settings, Start, Workload};
pub use work::{Outcome, Plan, Worker, prepare};
