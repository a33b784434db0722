//! Claims about every message in every version, on random values that are the same in each run.

#[path = "../support/mod.rs"]
mod support;

mod allocation;
mod hostile;
mod kafka_protocol;
mod roundtrip;

use bytes::Bytes;
use kring_wire::Message;
use kring_wire::codec::{Ctx, Writer};
use support::{Gen, Sample};

/// The versions of a message.
fn versions<M: Message>() -> std::ops::RangeInclusive<i16> {
    M::MIN_VERSION..=M::MAX_VERSION
}

/// A random message that `version` can carry.
fn sample<M: Message + Sample>(version: i16, seed: u64) -> M {
    M::sample(&mut Gen::new(seed), Ctx { version, flexible: M::is_flexible(version) })
}

fn encode<M: Message>(message: &M, version: i16) -> Bytes {
    let mut w = Writer::new();
    let encoded = message.encode(&mut w, version);
    encoded.unwrap_or_else(|error| panic!("{} v{version}: {error}: {message:?}", M::NAME));
    w.into_bytes().expect("no file ranges in a sample")
}
